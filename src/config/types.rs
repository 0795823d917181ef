//! The pipeline file's tables, as serde reads them. `config/pipeline.toml` is the commented example of every key.

mod charts;
mod connections;
mod datasources;
mod flow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::charts::{Cell, Chart, ChartKind, Dashboard, Filter, Metric};
pub use self::connections::{Credentials, Druid, Flink, FromEnv, Handed, Http, Kafka, PROVIDER, Property, Registry, Superset};
pub use self::datasources::{Datasource, Rollup, Segment, TIME_COLUMN, WINDOW_FIELDS, column_name};
pub use self::flow::{Aggregate, Constant, Function, Generate, Late, Measure, Poison, Source};

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
    /// Flink, for those aggregates that run there.
    #[serde(default)]
    pub flink: Flink,
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
