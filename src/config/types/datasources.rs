//! What Druid holds.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::super::units::Millis;
use super::flow::Measure;

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

/// The column that Druid keeps the time in.
pub const TIME_COLUMN: &str = "__time";
/// The fields that every window row has besides its group-by fields and measures.
pub const WINDOW_FIELDS: [&str; 2] = ["window_start", "window_end"];

/// The column that a field becomes: nested ones (`customer.country`) are joined with an underscore, since neither Avro nor SQL
/// takes a dot in a name.
pub fn column_name(field: &str) -> String {
    field.replace('.', "_")
}
