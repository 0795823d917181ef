//! What the page draws, as JSON. All times are milliseconds since 1970.

use serde::Serialize;

use crate::proof::Told;

/// `GET /state`, and each event of `GET /events`.
#[derive(Debug, Clone, Serialize)]
pub struct State {
    /// The dashboard's title.
    pub title: String,
    /// The clock when this was made.
    pub now: i64,
    /// Whether events are made up and the broker is in memory.
    pub demo: bool,
    /// Kafka's address.
    pub broker: String,
    /// The schema registry's address.
    pub registry: String,
    /// The topics that events come in on.
    pub source: String,
    /// The topics that rows are written to.
    pub sink: String,
    /// As long as records are read that were there at the start.
    pub reading: Option<Reading>,
    /// Records of the sources.
    pub events: u64,
    /// Events a second, of the last ten seconds.
    pub rate: f64,
    /// The time up to which all events are taken to have arrived.
    pub watermark: Option<i64>,
    /// Windows with events but no row.
    pub open_windows: usize,
    /// Late records.
    pub late: u64,
    /// Dead letters of any cause.
    pub dead_letters: u64,
    /// Cells that could be judged.
    pub cells: u64,
    /// Of them those whose raw records come to what their row says.
    pub equal: u64,
    /// In one word.
    pub verdict: Verdict,
    /// Cells that cannot be judged yet.
    pub waiting: u64,
    /// Cells that cannot be judged at all: some of their records or rows are no longer in the topics.
    pub left_out: u64,
    /// The first [`SHOWN`](crate::proof::SHOWN) differences.
    pub differences: Vec<Told>,
    /// Why the rest may be out of date.
    pub trouble: Option<String>,
    /// The dashboard's charts, row by row.
    pub charts: Vec<Chart>,
}

/// How far reading the topics has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Offsets read.
    pub done: i64,
    /// Offsets that were there at the start.
    pub all: i64,
}

/// The proof in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing could be judged yet.
    Waiting,
    /// Every cell that could be judged is equal.
    Equal,
    /// Some cell is not.
    Differs,
}

/// A chart with its data.
#[derive(Debug, Clone, Serialize)]
pub struct Chart {
    /// Its title.
    pub title: String,
    /// Its row on the dashboard, from 0.
    pub row: usize,
    /// Its width, in twelfths of the row.
    pub width: u8,
    /// The datasource it reads.
    pub datasource: String,
    /// What it shows, as SQL has it.
    pub metric: String,
    /// The columns that it is split by.
    pub dimensions: Vec<String>,
    /// Whether the values of its groups come to one of all together: sums and counts do, means do not.
    pub adds_up: bool,
    /// Only the time from so long ago until now is shown, ms.
    pub range: Option<i64>,
    /// What is drawn.
    #[serde(flatten)]
    pub data: Data,
}

/// What a chart draws.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Data {
    /// Filled lines over time.
    Area(OverTime),
    /// Lines over time.
    Line(OverTime),
    /// Bars over time.
    Bar(OverTime),
    /// A circle cut in shares.
    Pie {
        /// The shares, the largest first.
        slices: Vec<Slice>,
    },
    /// One number.
    BigNumber {
        /// The metric over everything.
        value: Option<f64>,
    },
    /// A row for each group.
    Table {
        /// The rows, the greatest value first.
        rows: Vec<Row>,
        /// How many groups more there are.
        more: usize,
        /// The metric over all records of groups that were too many to tell apart.
        others: Option<f64>,
    },
    /// Nothing: this page cannot draw it.
    None {
        /// Why.
        why: String,
    },
}

/// Values by time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverTime {
    /// The length of a bucket, ms.
    pub grain: i64,
    /// Buckets are level stretches.
    pub step: bool,
    /// Series upon series.
    pub stack: bool,
    /// The start of each bucket, without holes.
    pub times: Vec<i64>,
    /// One value a bucket in each.
    pub series: Vec<Series>,
    /// From here on, events are still to come.
    pub open_from: Option<i64>,
}

/// A line of a chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// The dimensions' values.
    pub name: String,
    /// The dashboard's color for it.
    pub color: Option<String>,
    /// One value a bucket.
    pub values: Vec<Option<f64>>,
}

/// A share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slice {
    /// The dimensions' values.
    pub name: String,
    /// The dashboard's color for it.
    pub color: Option<String>,
    /// Its size.
    pub value: f64,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The dimensions' values.
    pub cells: Vec<String>,
    /// The metric.
    pub value: Option<f64>,
}
