//! A chart as Superset stores it: what its editor shows (`params`), and the query that the browser would send
//! (`query_context`), without which Superset itself cannot compute the chart's data. Pure.

use serde_json::{Value, json};

use crate::config::{Chart, ChartKind, Metric, Millis, TIME_COLUMN};
use crate::error::{Error, Kind, Result};

/// The palette for series whose colour the pipeline file leaves open.
pub const PALETTE: &str = "supersetColors";
/// How strongly areas are filled.
const OPACITY: f64 = 0.2;
const MINUTE: Millis = Millis(60_000);
const QUARTER_DAY: Millis = Millis(21_600_000);

/// The buckets that Superset can cut Druid's time into. Months and years have no length.
const GRAINS: [(i64, &str); 12] = [
    (1_000, "PT1S"),
    (5_000, "PT5S"),
    (30_000, "PT30S"),
    (60_000, "PT1M"),
    (300_000, "PT5M"),
    (600_000, "PT10M"),
    (900_000, "PT15M"),
    (1_800_000, "PT30M"),
    (3_600_000, "PT1H"),
    (21_600_000, "PT6H"),
    (86_400_000, "P1D"),
    (604_800_000, "P1W"),
];

/// Superset's name of a kind of chart.
pub fn viz_type(kind: ChartKind) -> &'static str {
    match kind {
        ChartKind::Area => "echarts_area",
        ChartKind::Line => "echarts_timeseries_line",
        ChartKind::Bar => "echarts_timeseries_bar",
        ChartKind::Pie => "pie",
        ChartKind::BigNumber => "big_number_total",
        ChartKind::Table => "table",
    }
}

/// The settings of the chart's editor.
pub fn params(chart: &Chart) -> Result<Value> {
    let mut params = match chart.kind {
        ChartKind::Area | ChartKind::Line | ChartKind::Bar => over_time(chart)?,
        ChartKind::Pie => pie(chart),
        ChartKind::BigNumber => big_number(chart),
        ChartKind::Table => table(chart),
    };
    set(
        &mut params,
        json!({
            "viz_type": viz_type(chart.kind),
            "adhoc_filters": [time_filter(chart)],
            "annotation_layers": [],
            "extra_form_data": {},
        }),
    );
    if chart.kind != ChartKind::BigNumber {
        set(&mut params, json!({ "groupby": columns(chart), "row_limit": chart.row_limit }));
    }
    if !matches!(chart.kind, ChartKind::BigNumber | ChartKind::Table) {
        set(
            &mut params,
            json!({
                "color_scheme": PALETTE,
                "show_legend": true,
                "legendType": "scroll",
                "legendOrientation": "bottom",
            }),
        );
    }
    Ok(params)
}

/// Sets the keys of one object in another.
fn set(object: &mut Value, keys: Value) {
    if let (Value::Object(object), Value::Object(keys)) = (object, keys) {
        object.extend(keys);
    }
}

/// The columns that a chart is split by. One number is split by none.
fn columns(chart: &Chart) -> &[String] {
    if chart.kind == ChartKind::BigNumber { &[] } else { &chart.group_by }
}

fn over_time(chart: &Chart) -> Result<Value> {
    let mut params = json!({
        "x_axis": TIME_COLUMN,
        "time_grain_sqla": time_grain(chart)?,
        "x_axis_sort_asc": true,
        "metrics": [metric(&chart.metric)],
        "order_desc": true,
        // Hides the metric's name, so that two charts of different columns have the same legend and colours.
        "truncate_metric": true,
        "show_empty_columns": true,
        "comparison_type": "values",
        "sort_series_type": "name",
        "sort_series_ascending": true,
        "stack": if chart.stack { json!("Stack") } else { Value::Null },
        // Superset offers ways of stacking, and fails to where it knows none.
        "show_extra_controls": chart.kind == ChartKind::Area && chart.stack,
        "only_total": true,
        "zoomable": false,
        "x_axis_time_format": time_format(chart),
        "rich_tooltip": true,
        "tooltipTimeFormat": "smart_date",
        "y_axis_format": "SMART_NUMBER",
        "y_axis_bounds": [null, null],
        "minorTicks": true,
        "truncateXAxis": true,
    });
    if chart.kind == ChartKind::Bar {
        params["orientation"] = json!("vertical");
    } else {
        // A bucket holds from its start until the next one: "end" is where the step is.
        params["seriesType"] = json!(if chart.step { "end" } else { "line" });
        params["markerEnabled"] = json!(false);
    }
    if chart.kind == ChartKind::Area {
        params["opacity"] = json!(OPACITY);
    }
    Ok(params)
}

/// How times are written at the axis: no finer than the buckets are.
fn time_format(chart: &Chart) -> &'static str {
    match chart.grain.unwrap_or(Millis(0)) {
        grain if grain < MINUTE => "%H:%M:%S",
        grain if grain < QUARTER_DAY => "%H:%M",
        _ => "smart_date",
    }
}

fn pie(chart: &Chart) -> Value {
    json!({
        "metric": metric(&chart.metric),
        "sort_by_metric": true,
        "label_type": "percent",
        "show_labels": true,
        "show_labels_threshold": 5,
        "labels_outside": true,
        "label_line": false,
        "donut": false,
        "outerRadius": 70,
        "number_format": "SMART_NUMBER",
        "date_format": "smart_date",
    })
}

fn big_number(chart: &Chart) -> Value {
    json!({
        "metric": metric(&chart.metric),
        "header_font_size": 0.4,
        "y_axis_format": "SMART_NUMBER",
        "time_format": "smart_date",
    })
}

fn table(chart: &Chart) -> Value {
    json!({
        "query_mode": "aggregate",
        "metrics": [metric(&chart.metric)],
        "percent_metrics": [],
        "all_columns": [],
        "order_by_cols": [],
        "order_desc": true,
        "temporal_columns_lookup": { TIME_COLUMN: true },
        "server_pagination": false,
        "table_timestamp_format": "smart_date",
        "show_cell_bars": true,
        // Else a thousand is written as 1k.
        "column_config": { chart.metric.label(): { "d3NumberFormat": "," } },
        "color_pn": true,
        "allow_render_html": false,
    })
}

/// The query, as the browser builds it from the settings. The import writes the datasource's number into it.
pub fn query_context(chart: &Chart) -> Result<Value> {
    let query = match chart.kind {
        ChartKind::Area | ChartKind::Line | ChartKind::Bar => over_time_query(chart)?,
        ChartKind::Pie => pie_query(chart),
        ChartKind::BigNumber => big_number_query(chart),
        ChartKind::Table => table_query(chart),
    };
    Ok(json!({
        "force": false,
        "result_format": "json",
        "result_type": "full",
        "form_data": params(chart)?,
        "queries": [query],
    }))
}

fn query(chart: &Chart) -> Value {
    json!({
        "filters": [{ "col": TIME_COLUMN, "op": "TEMPORAL_RANGE", "val": time_range(chart) }],
        "extras": { "having": "", "where": "" },
        "applied_time_extras": {},
        "columns": columns(chart),
        "metrics": [metric(&chart.metric)],
        "orderby": [[metric(&chart.metric), false]],
        "annotation_layers": [],
        "row_limit": chart.row_limit,
        "series_limit": 0,
        "group_others_when_limit_reached": false,
        "order_desc": true,
        "url_params": {},
        "custom_params": {},
        "custom_form_data": {},
    })
}

fn over_time_query(chart: &Chart) -> Result<Value> {
    let grain = time_grain(chart)?;
    let time = json!({
        "timeGrain": grain,
        "columnType": "BASE_AXIS",
        "sqlExpression": TIME_COLUMN,
        "label": TIME_COLUMN,
        "expressionType": "SQL",
        "isColumnReference": true,
    });
    let mut query = query(chart);
    query["extras"]["time_grain_sqla"] = json!(grain);
    query["columns"] = std::iter::once(time).chain(columns(chart).iter().map(|name| json!(name))).collect();
    query["series_columns"] = json!(columns(chart));
    query["time_offsets"] = json!([]);
    query["post_processing"] = one_column_a_series(chart);
    Ok(query)
}

fn one_column_a_series(chart: &Chart) -> Value {
    let label = chart.metric.label();
    let pivot = json!({
        "index": [TIME_COLUMN],
        "columns": columns(chart),
        "aggregates": { label.as_str(): { "operator": "mean" } },
        "drop_missing_columns": false,
    });
    let mut steps = vec![json!({ "operation": "pivot", "options": pivot })];
    // Without a group the metric's name is all the name that the series has.
    if !chart.group_by.is_empty() {
        let options = json!({ "columns": { label.as_str(): null }, "level": 0, "inplace": true });
        steps.push(json!({ "operation": "rename", "options": options }));
    }
    steps.push(json!({ "operation": "flatten" }));
    steps.into()
}

fn pie_query(chart: &Chart) -> Value {
    let label = chart.metric.label();
    let share = json!({ "columns": [label], "rename_columns": [format!("{label}__contribution")] });
    let mut query = query(chart);
    query["post_processing"] = json!([{ "operation": "contribution", "options": share }]);
    query
}

fn big_number_query(chart: &Chart) -> Value {
    let mut query = query(chart);
    if let Value::Object(query) = &mut query {
        query.remove("orderby");
        query.remove("row_limit");
    }
    query
}

fn table_query(chart: &Chart) -> Value {
    let mut query = query(chart);
    query["post_processing"] = json!([]);
    query["time_offsets"] = json!([]);
    query
}

fn metric(metric: &Metric) -> Value {
    let function = metric.function.sql();
    let Some(field) = &metric.field else {
        return json!({
            "expressionType": "SQL",
            "sqlExpression": "COUNT(*)",
            "label": metric.label(),
            "hasCustomLabel": false,
            "optionName": "metric_count",
        });
    };
    json!({
        "expressionType": "SIMPLE",
        "aggregate": function,
        "column": { "column_name": field },
        "label": metric.label(),
        "hasCustomLabel": false,
        "optionName": format!("metric_{}_{field}", function.to_lowercase()),
    })
}

/// The filter by time. It is there even where it lets everything through: through it a dashboard's time filter reaches the chart.
fn time_filter(chart: &Chart) -> Value {
    json!({
        "expressionType": "SIMPLE",
        "clause": "WHERE",
        "subject": TIME_COLUMN,
        "operator": "TEMPORAL_RANGE",
        "comparator": time_range(chart),
        "isExtra": false,
        "isNew": false,
        "sqlExpression": null,
    })
}

/// A stretch of time until now, in the words of Superset's custom ranges.
fn time_range(chart: &Chart) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")];
    let Some(Millis(length)) = chart.time_range else { return "No filter".into() };
    let (ms, unit) = UNITS.into_iter().find(|(ms, _)| length % ms == 0).unwrap_or((1_000, "second"));
    format!(r#"DATEADD(DATETIME("now"), -{}, {unit}) : now"#, (length + ms - 1) / ms)
}

fn time_grain(chart: &Chart) -> Result<&'static str> {
    let wanted = chart.grain.unwrap_or(Millis(0)).0;
    GRAINS.iter().find(|(ms, _)| *ms == wanted).map(|(_, name)| *name).ok_or_else(|| {
        let known: Vec<String> = GRAINS.iter().map(|(ms, _)| Millis(*ms).to_string()).collect();
        Error::new(Kind::Config, format!("[[chart]] `{}`: Superset has no time buckets of {}", chart.title, Millis(wanted)))
            .hint(format!("its `grain` can be {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superset::testing::sales;

    /// A request that a browser sent, measured.
    const BROWSER: &str = include_str!("testdata/chart_request.json");

    #[test]
    fn the_query_is_the_one_that_a_browser_sends() {
        let browser: Value = serde_json::from_str(BROWSER).unwrap();
        let mut chart = sales().charts[0].clone();
        chart.row_limit = 10_000;
        assert_eq!(query_context(&chart).unwrap()["queries"], browser["queries"]);
    }

    /// Of each other kind, what a browser sent for the charts of [`kinds`], measured on Superset 6.1.
    const QUERIES: &str = include_str!("testdata/chart_queries.json");

    fn kinds() -> Vec<Chart> {
        #[derive(serde::Deserialize)]
        struct Charts {
            chart: Vec<Chart>,
        }
        let text = r#"chart = [
            { title = "Line", type = "line", datasource = "SALES", metric = { function = "avg", field = "sale_amount" }, group_by = ["store_id"], grain = "5m", time_range = "6h" },
            { title = "Bar", type = "bar", datasource = "SALES", metric = { function = "count" }, group_by = ["store_id"], grain = "5m", stack = true, time_range = "90m" },
            { title = "Pie", type = "pie", datasource = "SALES", metric = { function = "sum", field = "sale_amount" }, group_by = ["store_id"] },
            { title = "Total", type = "big-number", datasource = "SALES", metric = { function = "sum", field = "sale_amount" } },
            { title = "Lately", type = "big-number", datasource = "SALES", metric = { function = "count" }, time_range = "1h" },
            { title = "Table", type = "table", datasource = "SALES", metric = { function = "max", field = "sale_amount" }, group_by = ["store_id"] },
        ]"#;
        toml::from_str::<Charts>(text).unwrap().chart
    }

    #[test]
    fn every_kinds_query_is_the_one_that_a_browser_sends() {
        let browser: Value = serde_json::from_str(QUERIES).unwrap();
        for chart in kinds() {
            assert_eq!(query_context(&chart).unwrap()["queries"], browser[&chart.title], "{}", chart.title);
        }
    }

    #[test]
    fn a_length_of_time_is_a_range_until_now() {
        let range = |text: &str| {
            let mut chart = kinds().remove(0);
            chart.time_range = Some(text.parse().unwrap());
            time_range(&chart)
        };
        assert_eq!(range("2d"), r#"DATEADD(DATETIME("now"), -2, day) : now"#);
        assert_eq!(range("90m"), r#"DATEADD(DATETIME("now"), -90, minute) : now"#);
        assert_eq!(range("1500ms"), r#"DATEADD(DATETIME("now"), -2, second) : now"#);
    }

    #[test]
    fn a_grain_that_superset_lacks_is_refused() {
        let mut chart = sales().charts[0].clone();
        chart.grain = Some(Millis(7_000));
        let error = params(&chart).unwrap_err();
        assert_eq!(error.kind, Kind::Config);
        assert!(error.to_string().contains("7s"), "{error}");
    }

    #[test]
    fn the_row_limit_reaches_editor_and_query() {
        let mut chart = sales().charts[2].clone();
        chart.row_limit = 7;
        assert_eq!(params(&chart).unwrap()["row_limit"], 7);
        assert_eq!(query_context(&chart).unwrap()["queries"][0]["row_limit"], 7);
    }
}
