//! The pipeline file's tables, as serde reads them. `config/pipeline.toml` is the commented example of every key.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Secret;
use super::secret;
use super::units::Millis;

/// A whole pipeline file.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Identifies what this file makes (Superset's ids are derived from it).
    pub name: String,
    /// The Kafka cluster.
    #[serde(default)]
    pub kafka: Kafka,
    /// The schema registry.
    #[serde(default)]
    pub registry: Registry,
    /// Druid, by its router.
    #[serde(default)]
    pub druid: Druid,
    /// Superset.
    #[serde(default)]
    pub superset: Superset,
    /// The topics that events come in on.
    #[serde(default, rename = "source")]
    pub sources: Vec<Source>,
    /// The windowed aggregates made of them.
    #[serde(default, rename = "aggregate")]
    pub aggregates: Vec<Aggregate>,
    /// The Druid datasources fed from topics.
    #[serde(default, rename = "datasource")]
    pub datasources: Vec<Datasource>,
    /// The charts drawn from datasources.
    #[serde(default, rename = "chart")]
    pub charts: Vec<Chart>,
    /// The dashboard that shows the charts.
    pub dashboard: Option<Dashboard>,
}

/// `[kafka]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// `host:port`, comma-separated.
    pub bootstrap_servers: String,
    /// librdkafka properties, passed on as they are; `NAME_file` reads the value of NAME from a file.
    #[serde(serialize_with = "properties")]
    pub properties: BTreeMap<String, Property>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self { bootstrap_servers: "127.0.0.1:9092".into(), properties: BTreeMap::new() }
    }
}

/// Of each property what may be seen.
fn properties<S: Serializer>(properties: &BTreeMap<String, Property>, serializer: S) -> Result<S::Ok, S::Error> {
    let seen = |(name, value): (&String, &Property)| (name.clone(), secret::seen(name, value.0.expose()));
    serializer.collect_map(properties.iter().map(seen))
}

/// The value of a librdkafka property: text, however TOML wrote it, and never printed, since it may be a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Property(pub Secret);

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Float(number) => number.to_string(),
            _ => return Err(de::Error::custom("a librdkafka property is a string, a number or a boolean")),
        };
        Ok(Self(Secret::new(text)))
    }
}

impl JsonSchema for Property {
    fn schema_name() -> Cow<'static, str> {
        "Property".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"], "description": "The value of a librdkafka property." })
    }
}

/// How requests to a server are sent; from `--timeout` and `ca_file`.
#[derive(Debug, Clone)]
pub struct Http {
    /// How long one request may take, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Who may have signed the server's https certificate, beside those that the system trusts.
    pub authorities: Vec<reqwest::Certificate>,
}

impl Default for Http {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), authorities: Vec::new() }
    }
}

/// `[registry]`: anything that speaks Confluent's schema registry API; the address may have a path.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// The address, `/subjects` left off.
    pub url: String,
    /// For basic authentication.
    pub username: Option<String>,
    /// For basic authentication.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// A file of certificates (PEM) that its https certificate may be signed by, beside those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How requests are sent.
    #[serde(skip)]
    pub http: Http,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8081".into(),
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            http: Http::default(),
        }
    }
}

/// `[druid]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Druid {
    /// The router's address.
    pub url: String,
    /// For basic authentication.
    pub username: Option<String>,
    /// For basic authentication.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// A file of certificates (PEM) that its https certificate may be signed by, beside those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How requests are sent.
    #[serde(skip)]
    pub http: Http,
    /// Kafka as Druid reaches it; default: as we do.
    pub kafka_bootstrap_servers: Option<String>,
    /// The registry as Druid reaches it; default: as we do.
    pub registry_url: Option<String>,
}

impl Default for Druid {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8888".into(),
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            http: Http::default(),
            kafka_bootstrap_servers: None,
            registry_url: None,
        }
    }
}

/// `[superset]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Superset {
    /// Superset's address.
    pub url: String,
    /// A user of Superset's own database.
    pub username: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// A file of certificates (PEM) that its https certificate may be signed by, beside those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How requests are sent.
    #[serde(skip)]
    pub http: Http,
    /// Druid's router as Superset reaches it; default: as we do.
    pub druid_url: Option<String>,
}

impl Default for Superset {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8088".into(),
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            http: Http::default(),
            druid_url: None,
        }
    }
}

/// `[[source]]`: a topic of Avro events.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The topic; its schema is registered under `TOPIC-value`.
    pub topic: String,
    /// The file of the Avro schema that `produce` writes with.
    pub schema: PathBuf,
    /// That file's text.
    #[serde(skip)]
    pub schema_text: String,
    /// The field that becomes the record key; none: records have no key.
    pub key: Option<String>,
    /// The field that holds the event time.
    pub time: String,
    /// How `produce` makes up each field but the time; of a nested one, the dotted path.
    #[serde(default)]
    pub generate: BTreeMap<String, Generate>,
    /// Partitions of the topic, if it is created; default 1.
    pub partitions: Option<i32>,
    /// Replication factor of the topic, if it is created; default: the broker's.
    pub replication_factor: Option<i32>,
    /// How long the topic keeps a record, if it is created; default: the broker's.
    pub retention: Option<Millis>,
}

/// How a field's values are made up: by `one_of` or `uniform`. A nullable record has `nulls` only, and entries for its fields.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Generate {
    /// One of these values, each as likely as the others.
    pub one_of: Option<Vec<Constant>>,
    /// A number between these two, both included.
    pub uniform: Option<[f64; 2]>,
    /// The share of events in which it is null, from 0 to 1.
    pub nulls: f64,
}

/// A single value as TOML writes it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "expected a string, a number or a boolean")]
pub enum Constant {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A real number.
    Real(f64),
    /// A text, or an enum's symbol.
    Text(String),
}

/// `[[aggregate]]`: tumbling windows over a source.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// The source's topic.
    pub source: String,
    /// The topic that rows are written to.
    pub sink: String,
    /// Window length.
    pub window: Millis,
    /// Shifts the window boundaries away from the epoch.
    #[serde(default = "zero")]
    pub offset: Millis,
    /// How far events may come out of order: the watermark is the greatest event time less this.
    #[serde(default = "five_seconds")]
    pub lateness: Millis,
    /// A partition read to its end and silent for so long no longer holds the watermark.
    #[serde(default = "thirty_seconds")]
    pub idle_timeout: Millis,
    /// An event time further ahead of the record's Kafka timestamp than this is poison.
    #[serde(default = "one_minute")]
    pub max_future: Millis,
    /// What becomes of records whose window is closed.
    #[serde(default)]
    pub late: Late,
    /// What becomes of records that cannot be read.
    #[serde(default)]
    pub poison: Poison,
    /// The fields that rows are grouped by.
    pub group_by: Vec<String>,
    /// Whether every group's records are in one partition. Needed by `aggregate --instance`, which ends with
    /// exit code 78 if it sees a group in two.
    #[serde(default)]
    pub keyed_by_group: bool,
    /// The group-by fields (and `window_start`, `window_end`) that make the record key in the sink; default: all group-by fields.
    pub key: Option<Vec<String>>,
    /// The sums, counts and so on.
    #[serde(rename = "measure")]
    pub measures: Vec<Measure>,
    /// The topic for dead letters, which is that of no source and no sink; default `SOURCE_DEAD_LETTERS`.
    pub dead_letters: Option<String>,
    /// Replication factor of sink and dead letters, if they are created; default: the broker's.
    pub replication_factor: Option<i32>,
    /// How long sink and dead letters keep a record, if they are created; default: the broker's.
    pub retention: Option<Millis>,
}

fn zero() -> Millis {
    Millis(0)
}

fn five_seconds() -> Millis {
    Millis(5_000)
}

fn thirty_seconds() -> Millis {
    Millis(30_000)
}

fn one_minute() -> Millis {
    Millis(60_000)
}

impl Aggregate {
    /// The topic that dead letters go to.
    pub fn dead_letter_topic(&self) -> String {
        self.dead_letters.clone().unwrap_or_else(|| format!("{}_DEAD_LETTERS", self.source))
    }

    /// The fields of the record key in the sink.
    pub fn key_fields(&self) -> &[String] {
        self.key.as_deref().unwrap_or(&self.group_by)
    }
}

/// What becomes of a late record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Late {
    /// It goes to the dead-letter topic with the cause `late`.
    #[default]
    DeadLetter,
    /// It is counted and dropped.
    Drop,
    /// Its window gets one more row, with only what came late: for sinks that add rows up. Sums and counts only.
    Delta,
}

/// What becomes of a record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Poison {
    /// It goes to the dead-letter topic.
    #[default]
    DeadLetter,
    /// It is counted and skipped.
    Skip,
    /// `aggregate` ends with exit code 65.
    Fail,
}

/// `[[aggregate.measure]]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// The field's name in the sink.
    pub name: String,
    /// What is computed.
    pub function: Function,
    /// Of which field; `count` needs none.
    pub field: Option<String>,
}

/// An aggregate function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// The sum of the field's values.
    Sum,
    /// How many records (with a field: how many values that are not null).
    Count,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The mean value.
    Avg,
}

impl Function {
    /// As SQL and Superset write it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Sum => "SUM",
            Self::Count => "COUNT",
            Self::Min => "MIN",
            Self::Max => "MAX",
            Self::Avg => "AVG",
        }
    }
}

/// `[[datasource]]`: a Druid datasource that a Kafka supervisor fills from a topic.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Datasource {
    /// Its name in Druid, and the table's in Superset.
    pub name: String,
    /// The topic it is filled from.
    pub topic: String,
    /// The field that becomes `__time`.
    pub time: String,
    /// The fields that become columns, nested ones as dotted paths, and none that is measured; default: all that can.
    pub columns: Option<Vec<String>>,
    /// Rows are added up as they come; default: every record is a row.
    pub rollup: Option<Rollup>,
    /// The time that one segment holds.
    #[serde(default)]
    pub segment: Segment,
    /// How long Druid keeps rows, by their time; default: for ever.
    pub retention: Option<Millis>,
    /// How many tasks read the topic at a time.
    #[serde(default = "one")]
    pub task_count: u32,
    /// How many copies of each task run.
    #[serde(default = "one")]
    pub replicas: u32,
    /// How long a task reads before it hands its segments over; whole seconds.
    #[serde(default = "ten_minutes")]
    pub task_duration: Millis,
    /// Settings of Druid's `tuningConfig`, passed on as they are.
    #[serde(default)]
    #[schemars(schema_with = "tuning")]
    pub tuning: BTreeMap<String, toml::Value>,
}

fn tuning(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
}

fn one() -> u32 {
    1
}

fn ten_minutes() -> Millis {
    Millis(600_000)
}

/// How rows of a datasource are added up as they come.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollup {
    /// Rows of the same dimensions within this time become one: 1s, 1m, 5m, 10m, 15m, 30m, 1h, 6h, 8h or 1d.
    pub grain: Millis,
    /// What is kept of the fields that are no dimensions: sums, counts, least and greatest values.
    #[serde(rename = "measure")]
    pub measures: Vec<Measure>,
}

impl Rollup {
    /// Druid's word for the grain; `None`: it has none.
    pub fn granularity(&self) -> Option<&'static str> {
        Some(match self.grain.0 {
            1_000 => "SECOND",
            60_000 => "MINUTE",
            300_000 => "FIVE_MINUTE",
            600_000 => "TEN_MINUTE",
            900_000 => "FIFTEEN_MINUTE",
            1_800_000 => "THIRTY_MINUTE",
            3_600_000 => "HOUR",
            21_600_000 => "SIX_HOUR",
            28_800_000 => "EIGHT_HOUR",
            86_400_000 => "DAY",
            _ => return None,
        })
    }
}

/// The time that one segment of a datasource holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Segment {
    /// An hour.
    #[default]
    Hour,
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
}

/// The column that a field becomes: nested ones (`customer.country`) are joined with an underscore, since neither Avro nor SQL
/// takes a dot in a name.
pub fn column_name(field: &str) -> String {
    field.replace('.', "_")
}

/// `[[chart]]`: one chart, drawn by Superset as a slice.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// The title; unique within the file.
    pub title: String,
    /// How it is drawn.
    #[serde(rename = "type")]
    pub kind: ChartKind,
    /// The datasource it reads.
    pub datasource: String,
    /// The number it shows.
    pub metric: Metric,
    /// The columns it is split by.
    #[serde(default)]
    pub group_by: Vec<String>,
    /// For charts over time: the length of a bucket.
    pub grain: Option<Millis>,
    /// For charts over time: draw a bucket as a level stretch, not as a point on a slope.
    #[serde(default)]
    pub step: bool,
    /// For charts over time: series upon series.
    #[serde(default)]
    pub stack: bool,
    /// Only the time from so long ago until now; default: all there is.
    pub time_range: Option<Millis>,
    /// The most rows a query may bring; beyond it Superset cuts off the smallest values.
    #[serde(default = "fifty_thousand")]
    pub row_limit: u32,
}

fn fifty_thousand() -> u32 {
    50_000
}

/// How a chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChartKind {
    /// Filled lines over time.
    Area,
    /// Lines over time.
    Line,
    /// Bars over time.
    Bar,
    /// A circle cut in shares, with percentages.
    Pie,
    /// One number, over everything.
    BigNumber,
    /// A row for each group.
    Table,
}

impl ChartKind {
    /// Whether it has a time axis, and so a grain.
    pub fn is_over_time(self) -> bool {
        matches!(self, Self::Area | Self::Line | Self::Bar)
    }
}

/// The number that a chart shows.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// What is computed.
    pub function: Function,
    /// Of which column; `count` needs none: it counts rows.
    pub field: Option<String>,
}

impl Metric {
    /// Its name, as SQL has it: `SUM(amount)`, `COUNT(*)`.
    pub fn label(&self) -> String {
        format!("{}({})", self.function.sql(), self.field.as_deref().unwrap_or("*"))
    }
}

/// `[dashboard]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// The title.
    pub title: String,
    /// The last part of its address: lower-case letters, digits and dashes, but neither a number nor a UUID.
    pub slug: String,
    /// How often it asks for new data; whole seconds.
    #[serde(default = "ten_seconds")]
    pub refresh: Millis,
    /// Fixed colours, by the name of a series (`#RRGGBB`).
    #[serde(default)]
    pub colors: BTreeMap<String, String>,
    /// The charts, row by row.
    pub rows: Vec<Vec<Cell>>,
    /// What its reader can narrow it down by.
    #[serde(default)]
    pub filters: Vec<Filter>,
}

/// What the reader of a dashboard can narrow it down by: the values of a column, or with no column the time.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// What it is called on the page; unique within the dashboard.
    pub title: String,
    /// The datasource whose values are offered; for a filter by time none is needed.
    pub datasource: Option<String>,
    /// The column.
    pub column: Option<String>,
}

fn ten_seconds() -> Millis {
    Millis(10_000)
}

/// A chart's place in a dashboard row.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The chart's title.
    pub chart: String,
    /// Its width in twelfths of the dashboard.
    pub width: u8,
}
