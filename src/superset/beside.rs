//! What users set beside what the pipeline file decides. An import replaces such settings as a whole, so what it does not bring
//! along is lost. Pure.

use serde_json::{Map, Value, json};

use super::found::Found;
use super::ids::Kind;

/// Settings of a chart's editor that change what is asked for: a chart's looks are its users', its query is the file's.
const OF_THE_QUERY: [&str; 46] = [
    "aggregation",
    "all_columns",
    "columns",
    "comparison_type",
    "contributionMode",
    "custom_params",
    "filters",
    "forecastEnabled",
    "granularity",
    "granularity_sqla",
    "group_others_when_limit_reached",
    "groupby",
    "having",
    "limit",
    "metric",
    "metric_2",
    "metrics",
    "min_periods",
    "order_by_cols",
    "order_desc",
    "orderby",
    "percent_metric_calculation",
    "percent_metrics",
    "query_mode",
    "resample_method",
    "resample_rule",
    "rolling_periods",
    "rolling_type",
    "row_limit",
    "row_offset",
    "secondary_metric",
    "series",
    "series_columns",
    "series_limit",
    "series_limit_metric",
    "server_pagination",
    "show_totals",
    "since",
    "time_compare",
    "time_grain_sqla",
    "time_range",
    "timeseries_limit_metric",
    "until",
    "where",
    "x_axis",
    "x_axis_sort",
];

/// What Superset notes on a dashboard of the colours that it drew in. The file decides the colours, so they are made out anew.
const OF_THE_COLORS: [&str; 3] = ["color_scheme_domain", "map_label_colors", "shared_label_colors"];

/// Puts into the content of an import's file what its users set beside. What the file decides wins.
pub fn carry_over(kind: Kind, content: &mut Value, found: &Found) {
    match kind {
        Kind::Database => add(&mut content["extra"], &found.settings["extra"], &[]),
        Kind::Dataset => {
            append(&mut content["columns"], &found.added.columns, "column_name");
            append(&mut content["metrics"], &found.added.metrics, "metric_name");
        }
        // A setting of another kind of chart may mean something else in this one.
        Kind::Chart if found.settings["viz_type"] == content["viz_type"] => {
            add(&mut content["params"], &found.settings["params"], &OF_THE_QUERY);
        }
        Kind::Chart => {}
        Kind::Dashboard => {
            add(&mut content["metadata"], &found.settings["metadata"], &OF_THE_COLORS);
            let charts = numbers(&content["position"]);
            forget_others(&mut content["metadata"], &charts);
        }
    }
}

/// Adds the keys of one object that another lacks.
fn add(ours: &mut Value, theirs: &Value, but: &[&str]) {
    if let (Value::Object(ours), Value::Object(theirs)) = (ours, theirs) {
        for (key, value) in theirs.iter().filter(|(key, _)| !but.contains(&key.as_str())) {
            ours.entry(key).or_insert_with(|| value.clone());
        }
    }
}

/// Adds to a list what another has under names that it lacks.
fn append(ours: &mut Value, theirs: &[Value], name: &str) {
    let Value::Array(ours) = ours else { return };
    for one in theirs {
        if ours.iter().all(|known| known[name] != one[name]) {
            ours.push(one.clone());
        }
    }
}

/// The numbers of the charts in a layout.
fn numbers(position: &Value) -> Vec<u64> {
    position.as_object().into_iter().flat_map(Map::values).filter_map(|part| part["meta"]["chartId"].as_u64()).collect()
}

/// Superset fails to import what is said of charts that the dashboard no longer has.
fn forget_others(metadata: &mut Value, charts: &[u64]) {
    if let Some(Value::Array(immune)) = metadata.get_mut("timed_refresh_immune_slices") {
        immune.retain(|number| charts.iter().any(|chart| *number == json!(chart)));
    }
    if let Some(Value::Object(expanded)) = metadata.get_mut("expanded_slices") {
        expanded.retain(|number, _| charts.iter().any(|chart| *number == chart.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superset::found::read;

    fn carried(kind: Kind, mut content: Value, said: &Value) -> Value {
        let mut said = said.clone();
        said["id"] = json!(1);
        carry_over(kind, &mut content, &read(kind, &said).unwrap());
        content
    }

    #[test]
    fn a_connection_keeps_its_engine_s_parameters() {
        let extra = json!({"engine_params": {"connect_args": {"ssl_verify_cert": false}}});
        let content = carried(Kind::Database, json!({"extra": {}}), &json!({"extra": extra.to_string()}));
        assert_eq!(content["extra"], extra);
        assert_eq!(carried(Kind::Database, json!({"extra": {}}), &json!({"extra": null})), json!({"extra": {}}));
    }

    #[test]
    fn a_dataset_keeps_metrics_and_columns_of_other_names() {
        let said = json!({
            "metrics": [{"id": 1, "metric_name": "total", "expression": "SUM(sale_amount)", "currency": null}],
            "columns": [{"column_name": "half", "expression": "sale_amount / 2", "type": "LONG"}, {"column_name": "store_id", "type": "LONG"}],
        });
        let ours = json!({"columns": [{"column_name": "store_id", "type": "VARCHAR"}], "metrics": []});
        let content = carried(Kind::Dataset, ours, &said);
        assert_eq!(content["metrics"], json!([{"metric_name": "total", "expression": "SUM(sale_amount)"}]));
        assert_eq!(content["columns"][0], json!({"column_name": "store_id", "type": "VARCHAR"}));
        assert_eq!(content["columns"][1]["expression"], "sale_amount / 2");
        assert_eq!(content["columns"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_chart_keeps_its_looks_but_not_what_changes_its_query() {
        let ours = || json!({"viz_type": "pie", "params": {"viz_type": "pie", "donut": false}});
        let params = json!({"viz_type": "pie", "donut": true, "show_total": true, "metrics": ["x"], "time_range": "Last week"});
        let said = |kind| json!({"viz_type": kind, "params": params.to_string()});
        let same = carried(Kind::Chart, ours(), &said("pie"));
        assert_eq!(same["params"], json!({"viz_type": "pie", "donut": false, "show_total": true}));
        assert_eq!(carried(Kind::Chart, ours(), &said("table")), ours(), "another kind's settings are not carried over");
        assert_eq!(carried(Kind::Chart, ours(), &json!({"viz_type": "pie", "params": "{"})), ours());
    }

    #[test]
    fn a_dashboard_keeps_its_settings_but_none_of_charts_that_are_gone() {
        let ours = json!({
            "metadata": {"refresh_frequency": 10},
            "position": {"CHART-1": {"type": "CHART", "meta": {"chartId": 7}}, "ROOT_ID": {}, "VERSION": "v2"},
        });
        let metadata = json!({
            "refresh_frequency": 0, "filter_bar_orientation": "HORIZONTAL", "cross_filters_enabled": false,
            "map_label_colors": {"ABC": "#000000"}, "timed_refresh_immune_slices": [7, 8], "expanded_slices": {"7": true, "8": true},
        });
        let content = carried(Kind::Dashboard, ours, &json!({"json_metadata": metadata.to_string()}));
        assert_eq!(
            content["metadata"],
            json!({
                "refresh_frequency": 10, "filter_bar_orientation": "HORIZONTAL", "cross_filters_enabled": false,
                "timed_refresh_immune_slices": [7], "expanded_slices": {"7": true}, "native_filter_configuration": [],
            })
        );
    }
}
