//! The topics that events come in on, and the windowed aggregates made of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::units::Millis;

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
