//! Made-up events with records, unions and nulls within, summed by a nested field: compared with what apache-avro reads.

use std::collections::BTreeMap;

use apache_avro::types::Value;

use super::{BEGIN, MINUTE, catch_up, produce};
use crate::harness::{Isolation, Line, number};

const SCHEMA: &str = r#"{"type":"record","name":"Sale","fields":[
    {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["SALE","RETURN"]}},
    {"name":"shop","type":["null",{"type":"record","name":"Shop","fields":[
        {"name":"id","type":"string"},{"name":"city","type":["null","string"]}]}]},
    {"name":"who","type":["null","long","string"]},
    {"name":"amount","type":["null","long"]},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#;

const SOURCE: &str = r#"
    key = "shop.city"
    time = "at"
    [generate]
    kind = { one_of = ["SALE", "RETURN"] }
    shop = { nulls = 0.3 }
    "shop.id" = { one_of = ["A", "B"] }
    "shop.city" = { one_of = ["Bern", "Basel", ""], nulls = 0.3 }
    who = { one_of = [7, "guest"], nulls = 0.5 }
    amount = { uniform = [-5, 100], nulls = 0.9 }"#;

const AGGREGATE: &str = r#"
    group_by = ["kind", "shop.city"]
    key = ["shop.city", "window_start"]
    [[measure]]
    name = "amounts"
    function = "sum"
    field = "amount"
    [[measure]]
    name = "known"
    function = "count"
    field = "who""#;

/// What stands there besides null.
fn some(value: &Value) -> Option<&Value> {
    match value {
        Value::Union(_, inner) => some(inner),
        Value::Null => None,
        value => Some(value),
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    match value {
        Some(Value::String(text) | Value::Enum(_, text)) => Some(text.clone()),
        None => None,
        other => panic!("{other:?}"),
    }
}

/// Kind, city and start of the minute.
type Cell = (Option<String>, Option<String>, i64);

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn groups_of_nested_fields_are_right_and_null_is_one() {
    let mut line = Line::on_servers("nested");
    std::fs::write(line.folder.join("sales.avsc"), SCHEMA).expect("the schema is written");
    line.edit(|table| {
        for (section, settings) in [("source", SOURCE), ("aggregate", AGGREGATE)] {
            let settings: toml::Table = settings.parse().expect("TOML");
            table[section][0].as_table_mut().expect("a table").extend(settings);
        }
    });
    produce(&line, BEGIN, 3_000, &["--partitions", "2"]);
    catch_up(&line, &["--close-all"]);

    let (mut decoder, mut expected) = (line.decoder(), BTreeMap::<Cell, (Option<i64>, i64)>::new());
    for record in line.topics.read(&line.source, Isolation::Committed) {
        let event = decoder.decode(&record.value.expect("a value"));
        let city = match some(&event["shop"]) {
            Some(Value::Record(fields)) => text(some(&fields[1].1)),
            _ => None,
        };
        assert_eq!(record.key, city.clone().map(String::into_bytes));
        let Value::TimestampMicros(at) = event["at"] else { panic!("{event:?}") };
        let cell = (text(some(&event["kind"])), city, at.div_euclid(MINUTE * 1_000) * MINUTE);
        let (sum, known) = expected.entry(cell).or_default();
        if some(&event["amount"]).is_some() {
            *sum = Some(sum.unwrap_or(0) + number(&event, "amount"));
        }
        *known += i64::from(some(&event["who"]).is_some());
    }

    let mut found = BTreeMap::new();
    for record in line.topics.read(&line.sink, Isolation::Committed) {
        let row = decoder.decode(&record.value.expect("a value"));
        let sum = some(&row["amounts"]).is_some().then(|| number(&row, "amounts"));
        let cell = (text(some(&row["kind"])), text(some(&row["shop_city"])), number(&row, "window_start"));
        let key = decoder.decode(&record.key.expect("a key"));
        assert_eq!((text(some(&key["shop_city"])), number(&key, "window_start")), (cell.1.clone(), cell.2));
        assert_eq!(found.insert(cell, (sum, number(&row, "known"))), None, "a row twice");
    }
    assert_eq!(found, expected);
    assert!(expected.keys().any(|(_, city, _)| city.is_none()) && expected.values().any(|(sum, _)| sum.is_none()));
    assert_eq!(line.topics.read(&line.dead_letters, Isolation::Committed), []);
}
