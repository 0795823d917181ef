//! The whole line on real servers: events, sums per minute, Druid, Superset, and what a person sees of them.
//!
//! What the charts show is taken from where the browser takes it, and compared with sums that the test makes of the source topic.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use crate::harness::rest::text;
use crate::harness::{Druid, Ended, Line, Superset, closed, compare, sums};

const LIMIT: Duration = Duration::from_secs(180);
const LATENESS_MS: i64 = 5_000;
const RAW: &str = "Superset aggregated sales";
const AGGREGATED: &str = "Flink Aggregated Sales";
const SHARES: &str = "stores_shares_sales";

#[test]
#[ignore = "needs tests/stack/up"]
fn line_charts_equal_each_other_and_the_sums_of_the_source() {
    let line = Line::on_servers("line");
    let druid = Druid::of(&[&line.source, &line.sink]);
    let superset = Superset::of(&format!("{}-kafka-101-tutorial", line.name));

    line.run(&["produce", "--backfill", "30m", "--count", "1800", "--seed", "101", "--partitions", "2"], LIMIT).expect(0);
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0);
    assert_eq!(last_line(&line.run(&["druid-ingest"], LIMIT).expect(0)), "created 2 changed 0 unchanged 0");
    let bootstrap = line.run(&["superset-bootstrap"], LIMIT).expect(0);
    assert_eq!(last_line(&bootstrap), "created 7 changed 0 unchanged 0");

    let (all, latest) = sums(&line);
    let whole = closed(&all, latest, LATENESS_MS);
    assert!(whole.len() >= 29 * 3, "three stores sold for half an hour, and {} sums are closed", whole.len());
    compare(&all, &area(&superset, RAW)).expect_equal();
    compare(&whole, &area(&superset, AGGREGATED)).expect_equal();
    let mut totals = BTreeMap::new();
    all.iter().for_each(|((store, _), sum)| *totals.entry(store.clone()).or_default() += sum);
    expect_shares(&superset, &totals);

    let (versions, tasks) = (druid.versions(), druid.tasks());
    assert_eq!(last_line(&line.run(&["druid-ingest"], LIMIT).expect(0)), "created 0 changed 0 unchanged 2");
    assert_eq!(last_line(&line.run(&["superset-bootstrap"], LIMIT).expect(0)), "created 0 changed 0 unchanged 7");
    assert!(bootstrap.stdout.contains(&format!("/superset/dashboard/{}-kafka-101-tutorial/", line.name)), "{}", bootstrap.stdout);
    superset.look("line", &[RAW, AGGREGATED, SHARES]);
    assert_eq!(druid.versions(), versions, "a second run must not post a supervisor again");
    assert_eq!(druid.tasks(), tasks, "a second run must not restart a task");
    compare(&whole, &area(&superset, AGGREGATED)).expect_equal();
}

fn last_line(ended: &Ended) -> &str {
    ended.stdout.lines().last().unwrap_or_default()
}

/// An area chart as (store, start of the minute) and sum: a row is a minute, a column a store.
fn area(superset: &Superset, title: &str) -> Vec<((String, i64), i64)> {
    let mut cells = Vec::new();
    for row in superset.rows(title) {
        let time = whole(&row["__time"]);
        let stores = row.as_object().expect("a row").iter().filter(|(name, sum)| *name != "__time" && !sum.is_null());
        cells.extend(stores.map(|(store, sum)| ((store.clone(), time), whole(sum))));
    }
    cells
}

/// Panics unless the pie shows these totals, and shares that fit them.
fn expect_shares(superset: &Superset, totals: &BTreeMap<String, i64>) {
    let (rows, all) = (superset.rows(SHARES), totals.values().sum::<i64>());
    assert_eq!(rows.len(), totals.len(), "{rows:?}");
    for row in &rows {
        let (store, total) = (text(&row["store_id"]), whole(&row["SUM(sale_amount)"]));
        assert_eq!(Some(&total), totals.get(&store), "{row}");
        let share = row["SUM(sale_amount)__contribution"].as_f64().expect("a share");
        assert!((share - total as f64 / all as f64).abs() < 1e-9, "{row} of {all}");
    }
}

/// A whole number, which may be written as a float.
fn whole(value: &Json) -> i64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"));
    assert!(number.fract() == 0.0, "{number} is not whole");
    number as i64
}
