//! What a chart of Superset shows, as cells. Pure.

use serde_json::{Map, Value};

use super::sql::{number, text};
use super::table::Shown;
use crate::config::{Chart, ChartKind, TIME_COLUMN};

/// What ends the name of a column that has each group's share of all.
const SHARE: &str = "__contribution";
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
            // Without a split the one series is called as the metric is; what was added beside it is not.
            let is_metric = chart.group_by.is_empty() && *series == chart.metric.label();
            let group = if is_metric { String::new() } else { without_null(series) };
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
    let mut shown = Shown::new();
    for row in rows {
        let part = |name: &String| row.get(name).map_or_else(|| "null".to_owned(), text);
        let group = dimensions.iter().map(part).collect::<Vec<_>>().join(", ");
        for (name, value) in row.iter().filter(|(name, _)| !dimensions.contains(name) && !name.ends_with(SHARE)) {
            // What was added by hand is a cell of its own.
            let group = if *name == label { group.clone() } else { format!("{group}, {name}") };
            let is_again = shown.contains_key(&(0, vec![group.clone()]));
            let group = if is_again { format!("{group}, again") } else { group };
            if let Some(value) = number(value).or((*name != label).then_some(f64::NAN)) {
                shown.insert((0, vec![group]), vec![Some(value)]);
            }
        }
    }
    shown
}

/// Splits a series' name, in which a comma of a value is escaped, and gives what has no value the word that the topic's records
/// have for it.
fn without_null(series: &str) -> String {
    let hidden = series.replace("\\,", "\u{0}");
    let part = |part| if NULLS.contains(&part) { "null" } else { part };
    hidden.split(", ").map(part).collect::<Vec<_>>().join(", ").replace('\u{0}', ",")
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
    fn what_was_added_by_hand_is_a_cell_of_its_own() {
        let mut chart = sales().charts[0].clone();
        chart.group_by.clear();
        let over_time = shown(&chart, &rows(json!([{"__time": 60000, "COUNT(*)": 2, "SUM(sale_amount)": 5}])));
        assert_eq!(over_time.len(), 2);
        let pie = &sales().charts[2];
        let added = json!([{"store_id": "ABC", "SUM(sale_amount)": 5, "SUM(sale_amount)__contribution": 1.0, "COUNT(*)": 2},
            {"store_id": "ABC", "SUM(sale_amount)": 7}]);
        let groups: Vec<_> = shown(pie, &rows(added)).into_keys().map(|(_, group)| group.concat()).collect();
        assert_eq!(groups, ["ABC", "ABC, COUNT(*)", "ABC, again"]);
    }

    #[test]
    fn a_comma_of_a_value_is_escaped_in_a_series() {
        assert_eq!(without_null("A\\,B, <NULL>"), "A,B, null");
    }

    #[test]
    fn without_a_time_axis_each_group_is_a_row() {
        let shown = shown(&sales().charts[2], &rows(json!([{"store_id": "ABC", "SUM(sale_amount)": 5}, {"store_id": null}])));
        assert_eq!(shown.into_iter().collect::<Vec<_>>(), [((0, vec!["ABC".into()]), vec![Some(5.0)])]);
    }
}
