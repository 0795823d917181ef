//! How long it takes from kill -9 to the next row: with many records in closed windows, and with as many in an open one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use apache_avro::types::Value;

use crate::harness::{Isolation, Line, Running, encode, number, sums, text, wait_for};
use crate::kafka::setting;

/// No step takes longer.
const LIMIT: Duration = Duration::from_secs(300);
/// What a restart may take when every window but the last is closed.
const ACCEPTED: Duration = Duration::from_secs(5);
/// The first event: midnight.
const BEGIN: i64 = 1_699_920_000_000;
const DAY: i64 = 24 * 3_600_000;
/// Events for each second of event time.
const RATE: i64 = 1_000;

/// Writes a thousand events for each second of event time; returns how many.
fn produce(line: &Line) -> i64 {
    let records = setting("TEST_RESTART_RECORDS", 1_000_000);
    let (from, count, rate) = (BEGIN.to_string(), records.to_string(), RATE.to_string());
    let arguments = ["produce", "--from", &from, "--count", &count, "--rate", &rate, "--max-speed", "--seed", "1"];
    let took = line.run(&arguments, LIMIT).expect(0).took;
    println!("{records} records produced in {took:.1?}");
    records
}

/// A sale more, at this time.
fn sell(line: &Line, time: i64) {
    let schema = std::fs::read_to_string(line.folder.join("sales.avsc")).expect("the schema");
    let id = line.decoder().register(&format!("{}-value", line.source), &schema);
    let value =
        encode(id, &schema, &[("store_id", "ABC".into()), ("sale_amount", Value::Int(0)), ("sale_ts", Value::Long(time))]);
    line.topics.write(&line.source, [(Some(0), None, Some(&value[..]))]);
}

/// Waits until so many records are read and committed.
fn wait_for_position(line: &Line, aggregate: &mut Running, position: i64) {
    wait_for(&format!("position {position}"), LIMIT, || {
        assert!(aggregate.is_alive(), "{}", aggregate.stderr());
        (line.topics.committed(&line.group(), &line.source).get(&0)?.1["position"] == position).then_some(())
    });
}

/// Kills the aggregate and starts it again, while a sale at `time` comes that closes what is open; returns the new one, and how long
/// it was from the kill to the first row.
fn restart(line: &Line, mut aggregate: Running, time: i64) -> (Running, Duration) {
    let reader = reader_of_new_rows(line);
    let begin = Instant::now();
    aggregate.kill_nine();
    let aggregate = line.start(&["aggregate"]);
    sell(line, time);
    while reader.poll(Duration::from_millis(100)).transpose().expect("a row").is_none() {
        assert!(begin.elapsed() < LIMIT, "no row came: {}", aggregate.stderr());
    }
    (aggregate, begin.elapsed())
}

fn reader_of_new_rows(line: &Line) -> BaseConsumer {
    let end = line.topics.ends(&line.sink, Isolation::Uncommitted)[0];
    let mut config = line.topics.config();
    let consumer: BaseConsumer =
        config.set("isolation.level", "read_committed").set("group.id", "it").create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&line.sink, 0, Offset::Offset(end)).expect("an offset");
    consumer.assign(&list).expect("assigned");
    consumer
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn with_all_windows_closed_but_the_last() {
    let mut line = Line::on_servers("restart-closed");
    line.set_aggregate("idle_timeout", "1h");
    let records = produce(&line);
    let mut aggregate = line.start(&["aggregate"]);
    wait_for_position(&line, &mut aggregate, records);
    let (_aggregate, took) = restart(&line, aggregate, BEGIN + records * 1_000 / RATE + 120_000);
    println!("{records} records, all but the last minute's in closed windows: kill -9 to the first new row {took:.2?}");
    assert!(took < ACCEPTED);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn with_all_records_in_the_open_window() {
    let mut line = Line::on_servers("restart-open");
    line.set_aggregate("idle_timeout", "1h");
    line.set_aggregate("window", "1d");
    let records = produce(&line);
    assert!(records * 1_000 / RATE < DAY, "one day holds them all");
    // Each of the three is one start of the program and: all records for the first time; all of them again; none.
    let first = line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0).took;
    let mut aggregate = line.start(&["aggregate"]);
    sell(&line, BEGIN);
    wait_for_position(&line, &mut aggregate, records + 1);
    let (aggregate, again) = restart(&line, aggregate, BEGIN + 2 * DAY);
    drop(aggregate);
    let none = line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0).took;

    let rate = |took: Duration| records as f64 / took.saturating_sub(none).as_secs_f64() / 1e6;
    println!(
        "{records} records in the open window: caught up in {first:.2?}; kill -9 to the first new row {again:.2?}; a start alone {none:.2?}"
    );
    println!("without the start: {:.2} M records/s caught up, {:.2} M/s replayed", rate(first), rate(again));
    expect_the_day(&line);
    assert!(again < 2 * first, "replaying takes more than twice as long");
}

/// Panics unless the sink has the day's rows, each once, and right.
fn expect_the_day(line: &Line) {
    let mut expected = BTreeMap::new();
    for ((store, _), sum) in sums(line).0 {
        *expected.entry(store).or_insert(0) += sum;
    }
    let mut decoder = line.decoder();
    let rows: Vec<_> = line.topics.read(&line.sink, Isolation::Committed);
    let rows: Vec<_> = rows.iter().map(|row| decoder.decode(row.value.as_deref().expect("a value"))).collect();
    let found: BTreeMap<_, _> =
        rows.iter().map(|row| (text(row, "store_id").to_owned(), number(row, "aggregated_sales"))).collect();
    assert_eq!((rows.len(), found), (expected.len(), expected));
}
