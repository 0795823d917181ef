//! Random edits of a pipeline file: after each, the servers hold what it says and there is nothing left to do.

use serde_json::{Value as Json, json};
use toml::{Table, Value};

use super::{LIMIT, titles};
use crate::harness::{Druid, Line, Random, Superset};

/// The dashboard keeps its address: it is what the test looks at.
const SLUG: &str = "slug";

/// How many edits; more: `TEST_EDITS=200`.
fn edits() -> usize {
    std::env::var("TEST_EDITS").map_or(30, |text| text.parse().expect("TEST_EDITS is a number"))
}

#[test]
#[ignore = "needs tests/stack/up"]
fn after_each_random_edit_the_servers_hold_the_file() {
    let seed = std::env::var("TEST_SEED").map_or(6, |text| text.parse().expect("TEST_SEED is a number"));
    let mut line = Line::on_servers("edits");
    let druid = Druid::of(&[&line.source, &line.sink]);
    let superset = Superset::of(line.table()["dashboard"][SLUG].as_str().expect("a slug"));
    line.run(&["produce", "--backfill", "5m", "--count", "300", "--seed", "6"], LIMIT).expect(0);
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0);
    line.run(&["druid-ingest"], LIMIT).expect(0);
    line.run(&["superset-bootstrap"], LIMIT).expect(0);

    let mut random = Random::new(&[seed]);
    for number in 1..=edits() {
        // A change of a supervisor restarts its tasks, which takes Druid a while.
        let of_druid = random.once_in(6);
        let mut told = String::new();
        line.edit(|table| {
            told = if of_druid { edit_datasource(&mut random, table) } else { edit_dashboard(&mut random, table, number) };
        });
        println!("edit {number}: {told}");
        if of_druid {
            line.run(&["druid-ingest", "--dry-run"], LIMIT).expect(2);
            line.run(&["druid-ingest"], LIMIT).expect(0);
        }
        line.run(&["superset-bootstrap"], LIMIT).expect(0);
        line.run(&["druid-ingest", "--dry-run"], LIMIT).expect(0);
        let planned = line.run(&["superset-bootstrap", "--dry-run", "--output", "json"], LIMIT).expect(0);
        let planned: Json = serde_json::from_str(&planned.stdout).expect("JSON");
        assert_eq!(
            (&planned["created"], &planned["changed"], &planned["removed"]),
            (&json!(0), &json!(0), &json!(0)),
            "{planned}"
        );
        holds_dashboard(&superset, line.table(), &told);
        holds_supervisors(&druid, line.table(), &told);
    }
}

fn one_of<'a, T: ?Sized>(random: &mut Random, list: &[&'a T]) -> &'a T {
    list[place(random, list.len())]
}

fn place(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.between(0, i64::try_from(length).expect("few") - 1)).expect("a place")
}

fn entry<'a>(random: &mut Random, table: &'a mut Table, section: &str) -> &'a mut Table {
    let entries = table[section].as_array_mut().expect("tables");
    let place = place(random, entries.len());
    entries[place].as_table_mut().expect("a table")
}

fn edit_datasource(random: &mut Random, table: &mut Table) -> String {
    let datasource = entry(random, table, "datasource");
    let name = datasource["name"].as_str().expect("a name").to_owned();
    let (key, value): (&str, Value) = match random.between(0, 3) {
        0 => ("task_duration", format!("{}m", random.between(11, 199)).into()),
        1 => ("segment", one_of(random, &["hour", "day", "week", "month"]).into()),
        2 => ("retention", format!("{}d", random.between(30, 2999)).into()),
        _ => {
            let tuning = Table::from_iter([("maxRowsInMemory".to_owned(), Value::from(random.between(50_000, 149_999)))]);
            ("tuning", tuning.into())
        }
    };
    if datasource.get(key) == Some(&value)
        || (key == "segment" && value.as_str() == Some("hour") && !datasource.contains_key(key))
    {
        datasource.insert("task_duration".into(), format!("{}m", random.between(300, 899)).into());
        return format!("{name}: another task_duration");
    }
    let told = format!("{name}: {key} = {value}");
    datasource.insert(key.into(), value);
    told
}

fn edit_dashboard(random: &mut Random, table: &mut Table, number: usize) -> String {
    match random.between(0, 9) {
        0 => add_chart(random, table, number),
        1 => remove_chart(random, table),
        2 => rename_chart(random, table, number),
        3 => {
            let title = format!("{} {number}", one_of(random, &titles::HARMLESS));
            table["dashboard"]["title"] = title.clone().into();
            format!("the dashboard is called {title}")
        }
        4 => {
            let refresh = format!("{}s", random.between(5, 59));
            table["dashboard"].as_table_mut().expect("a table").insert("refresh".into(), refresh.clone().into());
            format!("refresh {refresh}")
        }
        5 => {
            table["dashboard"]["rows"].as_array_mut().expect("rows").reverse();
            "rows in another order".into()
        }
        6 => filter(random, table),
        _ => edit_chart(random, table),
    }
}

fn edit_chart(random: &mut Random, table: &mut Table) -> String {
    let chart = entry(random, table, "chart");
    let title = chart["title"].as_str().expect("a title").to_owned();
    let over_time = ["area", "line", "bar"].contains(&chart["type"].as_str().expect("a type"));
    let (key, value): (&str, Value) = match random.between(0, 5) {
        0 if over_time => ("grain", one_of(random, &["1m", "5m", "1h"]).into()),
        1 if over_time => ("stack", random.once_in(2).into()),
        2 if over_time => ("type", one_of(random, &["area", "line", "bar"]).into()),
        3 => ("time_range", one_of(random, &["1h", "6h", "1d", "7d"]).into()),
        4 => {
            chart["metric"]
                .as_table_mut()
                .expect("a table")
                .insert("function".into(), one_of(random, &["sum", "max", "min", "avg", "count"]).into());
            return format!("{title}: another metric");
        }
        _ => ("row_limit", random.between(1_000, 39999).into()),
    };
    let told = format!("{title}: {key} = {value}");
    chart.insert(key.into(), value);
    told
}

fn add_chart(random: &mut Random, table: &mut Table, number: usize) -> String {
    let mut chart = entry(random, table, "chart").clone();
    let title = format!("{} {number}", one_of(random, &titles::HARMLESS));
    chart.insert("title".into(), title.clone().into());
    table["chart"].as_array_mut().expect("charts").push(chart.into());
    let cell = Table::from_iter([("chart".to_owned(), Value::from(title.clone())), ("width".to_owned(), Value::from(6))]);
    table["dashboard"]["rows"].as_array_mut().expect("rows").push(Value::Array(vec![cell.into()]));
    format!("a chart more, {title}")
}

fn remove_chart(random: &mut Random, table: &mut Table) -> String {
    let charts = table["chart"].as_array_mut().expect("charts");
    if charts.len() == 1 {
        return "nothing: it is the last chart".into();
    }
    let gone = charts.remove(place(random, charts.len()))["title"].clone();
    let rows = table["dashboard"]["rows"].as_array_mut().expect("rows");
    for row in rows.iter_mut() {
        row.as_array_mut().expect("cells").retain(|cell| cell["chart"] != gone);
    }
    rows.retain(|row| !row.as_array().expect("cells").is_empty());
    format!("no {gone} any more")
}

fn rename_chart(random: &mut Random, table: &mut Table, number: usize) -> String {
    let chart = entry(random, table, "chart");
    let (old, new) = (chart["title"].clone(), Value::from(format!("{} {number}", one_of(random, &titles::HARMLESS))));
    chart["title"] = new.clone();
    for row in table["dashboard"]["rows"].as_array_mut().expect("rows") {
        for cell in row.as_array_mut().expect("cells") {
            if cell["chart"] == old {
                cell["chart"] = new.clone();
            }
        }
    }
    format!("{old} is called {new}")
}

fn filter(random: &mut Random, table: &mut Table) -> String {
    let datasource = table["datasource"][0]["name"].clone();
    let filters = [
        Table::from_iter([("title".to_owned(), Value::from("When"))]),
        Table::from_iter([
            ("title".to_owned(), Value::from("Store")),
            ("datasource".to_owned(), datasource),
            ("column".to_owned(), "store_id".into()),
        ]),
    ];
    let chosen: Vec<Value> = filters.into_iter().filter(|_| random.once_in(2)).map(Value::from).collect();
    let told = format!("{} filters", chosen.len());
    table["dashboard"].as_table_mut().expect("a table").insert("filters".into(), chosen.into());
    told
}

/// What the dashboard is in Superset, held against the file by other code than the program's.
fn holds_dashboard(superset: &Superset, table: &Table, told: &str) {
    let (found, wanted) = (superset.dashboard(), &table["dashboard"]);
    assert_eq!(found["dashboard_title"].as_str(), wanted["title"].as_str(), "after {told}");
    let metadata: Json = serde_json::from_str(found["json_metadata"].as_str().expect("metadata")).expect("JSON");
    let refresh = wanted["refresh"].as_str().expect("a length").trim_end_matches('s').parse::<u64>().expect("seconds");
    assert_eq!(metadata["refresh_frequency"], refresh, "after {told}");
    let filters = metadata["native_filter_configuration"].as_array().map_or(0, Vec::len);
    assert_eq!(filters, wanted.get("filters").and_then(Value::as_array).map_or(0, Vec::len), "after {told}");
    let titles = |list: Vec<String>| {
        let mut list = list;
        list.sort();
        list
    };
    let there = superset.charts().iter().map(|chart| chart["slice_name"].as_str().expect("a title").to_owned()).collect();
    let charts = table["chart"].as_array().expect("charts");
    let on_page = |title: &Value| {
        wanted["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .flat_map(|row| row.as_array().expect("cells"))
            .any(|cell| &cell["chart"] == title)
    };
    let wanted_titles = charts
        .iter()
        .filter(|chart| on_page(&chart["title"]))
        .map(|chart| chart["title"].as_str().expect("a title").to_owned())
        .collect();
    assert_eq!(titles(there), titles(wanted_titles), "after {told}");
    for chart in charts.iter().filter(|chart| on_page(&chart["title"])) {
        holds_chart(&superset.chart(chart["title"].as_str().expect("a title")), chart, told);
    }
    // Nothing of ours is left elsewhere.
    let prefix = table["datasource"][0]["name"].as_str().expect("a name");
    let all = superset.list("chart", &json!([{ "col": "datasource_name", "opr": "ct", "value": prefix }]));
    assert!(all.len() <= charts.len(), "after {told}: {all:?}");
}

fn holds_chart(found: &Json, wanted: &Value, told: &str) {
    let params: Json = serde_json::from_str(found["params"].as_str().expect("params")).expect("JSON");
    let kind = match wanted["type"].as_str().expect("a type") {
        "area" => "echarts_area",
        "line" => "echarts_timeseries_line",
        "bar" => "echarts_timeseries_bar",
        other => other,
    };
    assert_eq!((found["viz_type"].as_str(), params["viz_type"].as_str()), (Some(kind), Some(kind)), "after {told}");
    let limit = wanted.get("row_limit").and_then(Value::as_integer).unwrap_or(50_000);
    assert_eq!(params["row_limit"], limit, "after {told}");
    let metric = if params["metric"].is_object() { &params["metric"] } else { &params["metrics"][0] };
    let function = wanted["metric"]["function"].as_str().expect("a function").to_uppercase();
    assert_eq!(metric["aggregate"], function, "after {told}");
    if let Some(grain) = wanted.get("grain").and_then(Value::as_str).filter(|_| kind != "pie") {
        let grain = format!("PT{}", grain.to_uppercase());
        assert_eq!(params["time_grain_sqla"], grain, "after {told}");
    }
    let ranges = params["adhoc_filters"].to_string();
    assert_eq!(ranges.contains("No filter"), wanted.get("time_range").is_none(), "after {told}: {ranges}");
    let query: Json = serde_json::from_str(found["query_context"].as_str().expect("a query")).expect("JSON");
    assert_eq!(query["queries"][0]["row_limit"], limit, "after {told}");
}

/// What the supervisors are in Druid.
fn holds_supervisors(druid: &Druid, table: &Table, told: &str) {
    for datasource in table["datasource"].as_array().expect("datasources") {
        let name = datasource["name"].as_str().expect("a name");
        let spec = druid.supervisor(name);
        let text = |key, otherwise: &str| datasource.get(key).and_then(Value::as_str).unwrap_or(otherwise).to_owned();
        let minutes: u64 = text("task_duration", "10m").trim_end_matches('m').parse().expect("minutes");
        assert_eq!(spec["spec"]["ioConfig"]["taskDuration"], format!("PT{}S", minutes * 60), "after {told}");
        assert_eq!(
            spec["spec"]["dataSchema"]["granularitySpec"]["segmentGranularity"],
            text("segment", "hour").to_uppercase(),
            "after {told}"
        );
        if let Some(rows) = datasource.get("tuning").map(|tuning| tuning["maxRowsInMemory"].as_integer().expect("a number")) {
            assert_eq!(spec["spec"]["tuningConfig"]["maxRowsInMemory"], rows, "after {told}");
        }
        let rules = druid.rules(name).to_string();
        let days = text("retention", "");
        let kept = if days.is_empty() { rules == "[]" } else { rules.contains(&format!("P{}\"", days.to_uppercase())) };
        assert!(kept, "after {told}: {rules}");
    }
}
