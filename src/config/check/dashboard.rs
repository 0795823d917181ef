//! The rules for charts and the dashboard.

use super::super::layers::suggest;
use super::super::types::{Chart, ChartKind, Config, Dashboard, Filter, Function, column_name};
use super::super::units::Millis;
use super::names::{self, shown};
use super::{at_least_one, longer_than_zero, unique, whole_seconds, wrong};
use crate::error::Result;

pub fn chart(config: &Config, chart: &Chart) -> Result<()> {
    let place = format!("[[chart]] `{}`", shown(&chart.title));
    names::title(&place, &chart.title)?;
    datasource(config, &place, &chart.datasource)?;
    chart.group_by.iter().chain(&chart.metric.field).try_for_each(|column| is_column(&place, column))?;
    if chart.metric.field.is_none() && chart.metric.function != Function::Count {
        return Err(wrong(&place, format!("the metric {} needs a `field`", chart.metric.function.sql())));
    }
    longer_than_zero(&place, "time_range", chart.time_range)?;
    longer_than_zero(&place, "grain", chart.grain)?;
    at_least_one(&place, "row_limit", Some(chart.row_limit.into()))?;
    let over_time = chart.kind.is_over_time();
    match chart.kind {
        _ if over_time && chart.grain.is_none() => Err(wrong(&place, "a chart over time needs a `grain`, for example \"1m\"")),
        _ if !over_time && (chart.step || chart.stack) => Err(wrong(&place, "`step` and `stack` are for charts over time")
            .hint("leave them out, or set type = \"area\", \"line\" or \"bar\"")),
        ChartKind::Pie | ChartKind::Table if chart.group_by.is_empty() => Err(wrong(&place, "a pie or a table needs `group_by`")),
        ChartKind::BigNumber if !chart.group_by.is_empty() => {
            Err(wrong(&place, "a big number is one number, and takes no `group_by`")
                .hint("leave it out, or set type = \"table\""))
        }
        _ => Ok(()),
    }
}

fn datasource(config: &Config, place: &str, name: &str) -> Result<()> {
    if config.datasource(name).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = config.datasources.iter().map(|one| one.name.as_str()).collect();
    Err(wrong(place, format!("there is no datasource `{}`", shown(name)))
        .hint(suggest(name, &known).unwrap_or_else(|| format!("there are: {}", known.join(", ")))))
}

/// What reads a datasource names its columns, not the fields that they were.
fn is_column(place: &str, column: &str) -> Result<()> {
    if column.contains('.') {
        return Err(wrong(place, format!("there is no column `{}`: no column's name has a dot", shown(column)))
            .hint(format!("the column of that field is `{}`", shown(&column_name(column)))));
    }
    names::column(place, column)
}

pub fn dashboard(config: &Config, dashboard: &Dashboard) -> Result<()> {
    let place = format!("[dashboard] `{}`", shown(&dashboard.title));
    names::title(&place, &dashboard.title)?;
    names::slug(&place, &dashboard.slug)?;
    // None at all is Superset's "never".
    if dashboard.refresh != Millis(0) {
        whole_seconds(&place, "refresh", dashboard.refresh)?;
    }
    if dashboard.rows.is_empty() {
        return Err(
            wrong(&place, "`rows` is empty, so it shows no chart").hint("put one chart at least on it, or leave [dashboard] out")
        );
    }
    for row in &dashboard.rows {
        if row.is_empty() {
            return Err(wrong(&place, "a row of `rows` is empty").hint("leave it out"));
        }
        if let Some(cell) = row.iter().find(|cell| config.chart(&cell.chart).is_none()) {
            return Err(wrong(&place, format!("there is no chart `{}`", shown(&cell.chart))));
        }
        let width: u32 = row.iter().map(|cell| u32::from(cell.width)).sum();
        if width > 12 || row.iter().any(|cell| cell.width == 0) {
            return Err(wrong(&place, format!("a row is {width} wide; each chart takes 1 or more, all together 12 at most")));
        }
    }
    unique("dashboard.filters", dashboard.filters.iter().map(|filter| &filter.title))?;
    dashboard.filters.iter().try_for_each(|one| filter(config, &place, one))?;
    match dashboard.colors.iter().find(|(_, color)| !is_color(color)) {
        Some((series, color)) => {
            Err(wrong(&place, format!("colour `{}` of `{}` is not of the form #RRGGBB", shown(color), shown(series))))
        }
        None => Ok(()),
    }
}

fn filter(config: &Config, place: &str, filter: &Filter) -> Result<()> {
    let place = format!("{place}, filter `{}`", shown(&filter.title));
    names::title(&place, &filter.title)?;
    if let Some(name) = &filter.datasource {
        datasource(config, &place, name)?;
    }
    match (&filter.datasource, &filter.column) {
        (None, Some(_)) => Err(wrong(&place, "a filter by a column needs the `datasource` whose values it offers")),
        (_, Some(column)) => is_column(&place, column),
        (_, None) => Ok(()),
    }
}

fn is_color(text: &str) -> bool {
    text.len() == 7 && text.starts_with('#') && text[1..].chars().all(|c| c.is_ascii_hexdigit())
}
