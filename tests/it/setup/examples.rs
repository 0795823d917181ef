//! The worked examples of `config/`, from events to a dashboard whose every chart is right.

use std::collections::BTreeMap;

use apache_avro::types::Value as Avro;
use rdkafka::Message;
use serde_json::Value as Json;
use toml::Value;

use super::LIMIT;
use crate::harness::{Decoder, Druid, Isolation, Line, Superset};

#[test]
#[ignore = "needs tests/stack/up"]
fn the_clicks_are_charted_right() {
    charted_right("clicks");
}

#[test]
#[ignore = "needs tests/stack/up"]
fn the_sensors_are_charted_right() {
    charted_right("sensors");
}

fn charted_right(example: &str) {
    let line = Line::example(&format!("{example}.toml"), example);
    let druid = Druid::of(&line.all("datasource", "name"));
    let dashboard = &line.table()["dashboard"];
    let superset = Superset::of(dashboard["slug"].as_str().expect("a slug"));
    line.run(&["produce", "--backfill", "10m", "--count", "3000", "--seed", "7"], LIMIT).expect(0);
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0);
    line.run(&["druid-ingest"], LIMIT).expect(0);
    line.run(&["superset-bootstrap"], LIMIT).expect(0);
    line.run(&["druid-ingest", "--dry-run"], LIMIT).expect(0);
    line.run(&["superset-bootstrap", "--dry-run"], LIMIT).expect(0);
    for chart in line.table()["chart"].as_array().expect("charts") {
        let title = chart["title"].as_str().expect("a title");
        let (wanted, found) = (expected(&line, chart), shown(chart, &superset.rows(title)));
        assert!(!wanted.is_empty(), "`{title}` has nothing to show");
        assert_eq!(wanted.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "`{title}`");
        for (cell, value) in &wanted {
            let shown = found[cell];
            assert!((value - shown).abs() <= value.abs() * 1e-9, "`{title}`: {cell:?} is {value}, shown {shown}");
        }
        println!("`{title}`: {} cells right", wanted.len());
    }
    line.run(&["verify"], LIMIT).expect(0);
    superset.look(example, &line.all("chart", "title"));
    assert_eq!(druid.versions().len(), line.all("datasource", "name").len());
}

/// A cell of a chart: the start of its bucket, ms (0 where there is none), and its group.
type Cells = BTreeMap<(i64, String), f64>;

#[derive(Debug, Clone, PartialEq)]
enum Field {
    Null,
    Number(f64),
    Text(String),
}

impl Field {
    fn name(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A record's single values by the names of their columns; a time in ms.
fn flatten(prefix: &str, value: &Avro, into: &mut BTreeMap<String, Field>) {
    let field = match value {
        Avro::Record(fields) => {
            for (name, inner) in fields {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}_{name}") };
                flatten(&path, inner, into);
            }
            return;
        }
        Avro::Union(_, inner) => return flatten(prefix, inner, into),
        Avro::Int(number) => Field::Number(f64::from(*number)),
        Avro::Long(number) | Avro::TimestampMillis(number) => Field::Number(*number as f64),
        Avro::TimestampMicros(number) => Field::Number(number.div_euclid(1_000) as f64),
        Avro::Float(number) => Field::Number(f64::from(*number)),
        Avro::Double(number) => Field::Number(*number),
        Avro::String(text) | Avro::Enum(_, text) => Field::Text(text.clone()),
        Avro::Boolean(flag) => Field::Text(flag.to_string()),
        _ => Field::Null,
    };
    into.insert(prefix.to_owned(), field);
}

/// What a chart must show, by the records of its topic.
fn expected(line: &Line, chart: &Value) -> Cells {
    let datasources = line.table()["datasource"].as_array().expect("datasources");
    let datasource = datasources.iter().find(|one| one["name"] == chart["datasource"]).expect("its datasource");
    let grain = chart.get("grain").map_or(i64::MAX, |grain| milliseconds(grain.as_str().expect("a length")));
    let time = datasource["time"].as_str().expect("a field").replace('.', "_");
    let (function, field) = metric(chart, datasource);
    let mut numbers: BTreeMap<(i64, String), Vec<f64>> = BTreeMap::new();
    let mut decoder: Decoder = line.decoder();
    line.topics.scan(datasource["topic"].as_str().expect("a topic"), Isolation::Committed, |message| {
        let mut fields = BTreeMap::new();
        let record = decoder.decode(message.payload().expect("a value"));
        flatten("", &Avro::Record(record.into_iter().collect()), &mut fields);
        let Field::Number(time) = fields[&time] else { panic!("no time in {fields:?}") };
        let bucket = if grain == i64::MAX { 0 } else { (time as i64).div_euclid(grain) * grain };
        let groups = chart.get("group_by").and_then(Value::as_array).into_iter().flatten();
        let group = groups.map(|name| fields.get(name.as_str().expect("text")).map_or_else(String::new, Field::name));
        let cell = numbers.entry((bucket, group.collect::<Vec<_>>().join(", "))).or_default();
        match field.as_ref().map(|name| &fields[name]) {
            None => cell.push(1.0),
            Some(Field::Number(number)) => cell.push(*number),
            Some(Field::Text(_)) if function == "count" => cell.push(1.0),
            Some(_) => {}
        }
    });
    numbers.retain(|_, numbers| function == "count" || !numbers.is_empty());
    numbers.into_iter().map(|(cell, numbers)| (cell, computed(&function, &numbers))).collect()
}

/// The chart's function and field; of a datasource that is rolled up, those of the records behind it.
fn metric(chart: &Value, datasource: &Value) -> (String, Option<String>) {
    let text = |value: &Value, key: &str| value.get(key).map(|value| value.as_str().expect("text").to_owned());
    let (function, field) = (text(&chart["metric"], "function").expect("a function"), text(&chart["metric"], "field"));
    let measures = datasource.get("rollup").and_then(|rollup| rollup["measure"].as_array());
    match measures.into_iter().flatten().find(|measure| text(measure, "name") == field) {
        Some(measure) => {
            (text(measure, "function").expect("a function"), text(measure, "field").map(|path| path.replace('.', "_")))
        }
        None => (function, field),
    }
}

fn computed(function: &str, numbers: &[f64]) -> f64 {
    match function {
        "count" => numbers.len() as f64,
        "sum" => numbers.iter().sum(),
        "avg" => numbers.iter().sum::<f64>() / numbers.len() as f64,
        "min" => numbers.iter().copied().fold(f64::INFINITY, f64::min),
        "max" => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        other => panic!("no function {other}"),
    }
}

fn milliseconds(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).expect("a unit"));
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => panic!("no unit {other}"),
    };
    number.parse::<i64>().expect("a number") * unit
}

/// What a chart shows, by the rows that its query brings.
fn shown(chart: &Value, rows: &[Json]) -> Cells {
    let label = {
        let metric = &chart["metric"];
        let field = metric.get("field").map_or("*", |field| field.as_str().expect("text"));
        format!("{}({field})", metric["function"].as_str().expect("a function").to_uppercase())
    };
    let groups: Vec<&str> =
        chart.get("group_by").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let mut cells = Cells::new();
    for row in rows {
        let row = row.as_object().expect("a row");
        if chart.get("grain").is_some() {
            let time = row["__time"].as_f64().expect("a time") as i64;
            for (series, value) in row.iter().filter(|(name, _)| *name != "__time") {
                let series = if groups.is_empty() { String::new() } else { without_null(series) };
                cells.extend(value.as_f64().map(|value| ((time, series), value)));
            }
        } else {
            let group = groups
                .iter()
                .map(|name| row[*name].as_str().map_or_else(|| without_null(&row[*name].to_string()), str::to_owned));
            let group = group.collect::<Vec<_>>().join(", ");
            cells.extend(row[&label].as_f64().map(|value| ((0, group), value)));
        }
    }
    cells
}

/// Superset has several words for no value.
fn without_null(series: &str) -> String {
    let part = |part: &str| if ["<NULL>", "null", "None", "nan"].contains(&part) { String::new() } else { part.to_owned() };
    series.split(", ").map(part).collect::<Vec<_>>().join(", ")
}
