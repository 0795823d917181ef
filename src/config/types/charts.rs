//! What Superset shows: charts and the dashboard.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::units::Millis;
use super::flow::Function;

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
