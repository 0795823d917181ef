//! What a chart of Superset shows, as cells. Pure.

use serde_json::{Map, Value};

use super::sql::{number, text};
use super::table::Shown;
use crate::config::{Chart, ChartKind, TIME_COLUMN};

/// How Superset names what has no value.
const NULLS: [&str; 2] = ["<NULL>", "null"];

/// The rows of a chart's data, by cell. Over time there is one row a bucket with a column a series; else one a group.
pub fn shown(chart: &Chart, rows: &[Map<String, Value>]) -> Shown {
    if chart.kind.is_over_time() { over_time(chart, rows) } else { by_group(chart, rows) }
}

fn over_time(chart: &Chart, rows: &[Map<String, Value>]) -> Shown {
    let mut shown = Shown::new();
    for row in rows {
        let Some(time) = row.get(TIME_COLUMN).and_then(Value::as_f64) else { continue };
        for (series, value) in row.iter().filter(|(name, _)| *name != TIME_COLUMN) {
            // Without a split the one series is called as the metric is.
            let group = if chart.group_by.is_empty() { String::new() } else { without_null(series) };
            if let Some(value) = number(value) {
                shown.insert((time as i64, vec![group]), vec![Some(value)]);
            }
        }
    }
    shown
}

fn by_group(chart: &Chart, rows: &[Map<String, Value>]) -> Shown {
    let dimensions: &[String] = if chart.kind == ChartKind::BigNumber { &[] } else { &chart.group_by };
    let label = chart.metric.label();
    let cell = |row: &Map<String, Value>| {
        let part = |name: &String| without_null(&row.get(name).map_or_else(|| "null".to_owned(), text));
        let group: Vec<String> = dimensions.iter().map(part).collect();
        let value = row.get(&label).and_then(number)?;
        Some(((0, vec![group.join(", ")]), vec![Some(value)]))
    };
    rows.iter().filter_map(cell).collect()
}

/// The topic's records have one word for it.
fn without_null(series: &str) -> String {
    let part = |part| if NULLS.contains(&part) { "null" } else { part };
    series.split(", ").map(part).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{self, Config};

    fn rows(rows: Value) -> Vec<Map<String, Value>> {
        serde_json::from_value(rows).unwrap()
    }

    fn sales() -> Config {
        config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap()
    }

    #[test]
    fn over_time_each_series_is_a_column() {
        let chart = &sales().charts[0];
        let shown = shown(chart, &rows(json!([{"__time": 60000.0, "ABC": 5, "<NULL>": 7.5, "DEF": null}])));
        let cells: Vec<_> = shown.into_iter().collect();
        assert_eq!(cells, [((60_000, vec!["ABC".into()]), vec![Some(5.0)]), ((60_000, vec!["null".into()]), vec![Some(7.5)])]);
    }

    #[test]
    fn without_a_split_there_is_one_series() {
        let mut chart = sales().charts[0].clone();
        chart.group_by.clear();
        let shown = shown(&chart, &rows(json!([{"__time": 60000, "SUM(sale_amount)": 5}])));
        assert_eq!(shown.into_iter().collect::<Vec<_>>(), [((60_000, vec![String::new()]), vec![Some(5.0)])]);
    }

    #[test]
    fn without_a_time_axis_each_group_is_a_row() {
        let shown = shown(&sales().charts[2], &rows(json!([{"store_id": "ABC", "SUM(sale_amount)": 5}, {"store_id": null}])));
        assert_eq!(shown.into_iter().collect::<Vec<_>>(), [((0, vec!["ABC".into()]), vec![Some(5.0)])]);
    }
}
