//! Names that were chosen to break something: carried through unharmed, or refused clearly before anything is made.

use std::collections::BTreeMap;

use toml::Value;

use super::{LIMIT, titles};
use crate::harness::{Druid, Line, Superset};

#[test]
#[ignore = "needs tests/stack/up"]
fn hostile_stores_and_titles_arrive_unharmed() {
    let mut line = Line::on_servers("names");
    let druid = Druid::of(&[&line.source, &line.sink]);
    let superset = Superset::of(line.table()["dashboard"]["slug"].as_str().expect("a slug"));
    let long = "x".repeat(240);
    line.edit(|table| {
        let stores: Vec<Value> = titles::HARMLESS.iter().map(|title| Value::from(*title)).collect();
        table["source"][0]["generate"]["store_id"]["one_of"] = stores.into();
        table["dashboard"]["title"] = long.clone().into();
        table["dashboard"]["colors"] = toml::Table::from_iter([(titles::HARMLESS[1].to_owned(), Value::from("#FF5A5F"))]).into();
        let mut rows = table["dashboard"]["rows"].clone();
        for (number, title) in titles::HARMLESS.iter().enumerate().take(3) {
            let old = table["chart"][number]["title"].clone();
            table["chart"][number]["title"] = Value::from(*title);
            for cell in rows.as_array_mut().expect("rows").iter_mut().flat_map(|row| row.as_array_mut().expect("cells")) {
                if cell["chart"] == old {
                    cell["chart"] = Value::from(*title);
                }
            }
        }
        table["dashboard"]["rows"] = rows;
    });
    line.run(&["produce", "--backfill", "5m", "--count", "600", "--seed", "8"], LIMIT).expect(0);
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0);
    line.run(&["druid-ingest"], LIMIT).expect(0);
    line.run(&["superset-bootstrap"], LIMIT).expect(0);
    line.run(&["druid-ingest", "--dry-run"], LIMIT).expect(0);
    line.run(&["superset-bootstrap", "--dry-run"], LIMIT).expect(0);
    assert_eq!(superset.dashboard()["dashboard_title"].as_str(), Some(long.as_str()));
    // The third chart is the pie: a row for each store.
    let totals: BTreeMap<String, i64> = superset
        .rows(titles::HARMLESS[2])
        .iter()
        .map(|row| {
            (row["store_id"].as_str().expect("a store").to_owned(), row["SUM(sale_amount)"].as_f64().expect("a sum") as i64)
        })
        .collect();
    let mut wanted = BTreeMap::new();
    for ((store, _), sum) in crate::harness::sums(&line).0 {
        *wanted.entry(store).or_default() += sum;
    }
    assert_eq!(totals, wanted);
    assert_eq!(wanted.len(), titles::HARMLESS.len());
    assert_eq!(druid.versions(), [1, 1]);
}

/// (table, key, value, what the message says)
const REFUSED: [(&str, &str, &str, &str); 9] = [
    ("source", "topic", "no/slash", "is not a topic name"),
    ("source", "topic", "quo\"te", "is not a topic name"),
    ("datasource", "topic", "%2e%2e", "is not a topic name"),
    ("datasource", "name", "../../x", "datasource"),
    ("datasource", "name", " padded", "datasource"),
    ("chart", "title", "two\nlines", "chart"),
    ("dashboard", "slug", "Ünïcode", "slug"),
    ("dashboard", "title", "nul\0", "dashboard"),
    ("", "name", "bell\u{7}", "name"),
];

#[test]
fn what_no_server_takes_is_refused_before_anything_is_asked() {
    for (section, key, value, part) in REFUSED {
        // Port 9 answers nobody: a name that is refused here is refused by the program itself.
        let mut line = Line::new("refused", "127.0.0.1:9");
        line.edit(|table| match section {
            "" => drop(table.insert(key.into(), value.into())),
            "dashboard" => drop(table["dashboard"].as_table_mut().expect("a table").insert(key.into(), value.into())),
            _ => table[section][0][key] = value.into(),
        });
        line.run(&["superset-bootstrap", "--dry-run"], LIMIT).expect(78).says(&[part]);
    }
    for (section, key) in [("datasource", "name"), ("chart", "title"), ("dashboard", "title")] {
        let mut line = Line::new("refused", "127.0.0.1:9");
        let long = "x".repeat(300);
        line.edit(|table| match section {
            "dashboard" => table[section][key] = long.into(),
            _ => table[section][0][key] = long.into(),
        });
        line.run(&["superset-bootstrap", "--dry-run"], LIMIT).expect(78).says(&["300"]);
    }
}
