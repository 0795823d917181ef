//! What there is to compare. Pure.

use super::report::Hop;
use super::table::{Asked, Buckets};
use crate::config::{Chart, Config, Datasource, Function, Metric, column_name};
use crate::druid::columns::{ColumnType, Columns};
use crate::proof::Question;

/// The buckets of a datasource that no aggregate has to do with, ms.
const MINUTE_MS: i64 = 60_000;

/// A comparison: what is asked of Druid or of a chart, and of each record of the topic.
#[derive(Debug)]
pub struct Item {
    /// Where.
    pub hop: Hop,
    /// The datasource, or the chart's title.
    pub name: String,
    /// The datasource.
    pub datasource: String,
    /// The questions; the error says why nothing can be compared.
    pub questions: Result<(Asked, Question), String>,
}

/// The comparison of a datasource with its topic: rows counted, and what aggregates or charts are made of added up, by the window and
/// group of an aggregate that reads or writes the topic.
pub fn datasource(config: &Config, datasource: &Datasource, columns: &Columns) -> Item {
    let as_source = config.aggregates.iter().find(|one| one.source == datasource.topic);
    let as_sink = config.aggregates.iter().find(|one| one.sink == datasource.topic);
    let aggregate = as_sink.or(as_source);
    let has = |column: &String| columns.dimensions.iter().any(|dimension| dimension.name == *column);
    let dimensions: Vec<String> =
        aggregate.map(|one| one.group_by.iter().map(|path| column_name(path)).filter(has).collect()).unwrap_or_default();
    let buckets = aggregate.map_or(Buckets::Windows(MINUTE_MS, 0), |one| Buckets::Windows(one.window.0, one.offset.0));
    let buckets = match (buckets, &datasource.rollup) {
        // Rows that were added up over longer than a window cannot be told apart by it.
        (Buckets::Windows(window, offset), Some(rollup)) if window % rollup.grain.0 != 0 || offset % rollup.grain.0 != 0 => {
            Buckets::Windows(rollup.grain.0, 0)
        }
        (buckets, _) => buckets,
    };
    let metrics = metrics(config, datasource, columns);
    let asked = Asked {
        topic: datasource.topic.clone(),
        metrics,
        buckets,
        range_ms: None,
        retention_ms: datasource.retention.map(|retention| retention.0),
        lateness_ms: lateness(config, &datasource.topic),
        is_joined: false,
    };
    let question = Question::new(&asked.metrics, dimensions, datasource);
    let name = datasource.name.clone();
    Item { hop: Hop::Druid, datasource: name.clone(), name, questions: question.map(|question| (asked, question)) }
}

/// How far the records of a topic may come out of order, ms: as far as its aggregates allow.
fn lateness(config: &Config, topic: &str) -> i64 {
    let aggregates = config.aggregates.iter().filter(|one| one.source == topic);
    aggregates.map(|one| one.lateness.0).max().unwrap_or(0)
}

/// What is computed of a datasource's rows.
fn metrics(config: &Config, datasource: &Datasource, columns: &Columns) -> Vec<Metric> {
    let metric = |function, field: &str| Metric { function, field: Some(field.to_owned()) };
    if let Some(rollup) = &datasource.rollup {
        let known = rollup.measures.iter().filter(|one| columns.metrics.iter().any(|metric| metric.name == one.name));
        return known
            .map(|measure| match measure.function {
                Function::Min | Function::Max => metric(measure.function, &measure.name),
                _ => metric(Function::Sum, &measure.name),
            })
            .collect();
    }
    let mut metrics = vec![Metric { function: Function::Count, field: None }];
    let is_number = |column: &str| {
        columns
            .dimensions
            .iter()
            .any(|one| one.name == column && matches!(one.kind, ColumnType::Long | ColumnType::Float | ColumnType::Double))
    };
    let mut add = |function: Function, column: &str| {
        let function = if function == Function::Avg { Function::Sum } else { function };
        let is_known = metrics.iter().any(|one| one.function == function && one.field.as_deref() == Some(column));
        if is_number(column) && !is_known {
            metrics.push(metric(function, column));
        }
    };
    for aggregate in &config.aggregates {
        for measure in &aggregate.measures {
            if aggregate.source == datasource.topic
                && let Some(field) = &measure.field
            {
                add(measure.function, &column_name(field));
            }
            if aggregate.sink == datasource.topic {
                let function = if measure.function == Function::Count { Function::Sum } else { measure.function };
                add(function, &column_name(&measure.name));
            }
        }
    }
    metrics
}

/// The comparison of a chart with the topic behind its datasource.
pub fn chart(config: &Config, chart: &Chart, datasource: &Datasource) -> Item {
    let (title, range) = (chart.title.clone(), chart.time_range.map(|range| range.0));
    let item = |questions| Item { hop: Hop::Superset, name: title, datasource: datasource.name.clone(), questions };
    if !chart.kind.is_over_time() && range.is_some() {
        return item(Err("its time range slides on while it is asked for, and it has no time axis: it is not compared".into()));
    }
    let buckets =
        if chart.kind.is_over_time() { Buckets::Grain(chart.grain.map_or(MINUTE_MS, |grain| grain.0)) } else { Buckets::One };
    let asked = Asked {
        topic: datasource.topic.clone(),
        metrics: vec![chart.metric.clone()],
        buckets,
        range_ms: range,
        retention_ms: datasource.retention.map(|retention| retention.0),
        lateness_ms: lateness(config, &datasource.topic),
        is_joined: true,
    };
    item(Question::of_chart(chart, datasource).map(|question| (asked, question)))
}
