//! The tutorial's own Flink job beside `pipeline aggregate`: the same rows, byte for byte, and what happens where one is swapped for
//! the other in mid-stream.

mod job;

use std::collections::BTreeSet;
use std::time::Duration;

use apache_avro::types::Value;

use crate::harness::{Isolation, Line, Record, Sums, closed, compare, encode, high, rows, sums, sums_without, wait_for};
use job::{Job, Settings};

const BEGIN: i64 = 1_700_000_040_000;
const MINUTE: i64 = 60_000;
const LATENESS: i64 = 5_000;
const LIMIT: Duration = Duration::from_secs(60);
const EVENTS: usize = 12_000;
/// An empty name and one of two bytes a letter, too.
const STORES: [&str; 5] = ["ABC", "DEF", "GHI", "", "Ärø"];

/// Store, amount, time.
type Sale = (&'static str, i32, i64);

/// Ten sales a second, up to 8 s out of order, so that some are late by a little; every 250th is late by
/// minutes. Amounts are large and at random: a sum over other records is another sum.
fn sales() -> Vec<Sale> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        i64::try_from(state % below).expect("small")
    };
    let mut sale = |n: usize| {
        let behind = if n > 3_000 && n.is_multiple_of(250) { 3 * MINUTE } else { random(8_000) };
        let amount = i32::try_from(random(2_000_000)).expect("small") - 500_000;
        (STORES[n % STORES.len()], amount, BEGIN + 100 * n as i64 - behind)
    };
    let mut sales: Vec<_> = (0..EVENTS).map(&mut sale).collect();
    // The two sides of a boundary: the first leaves the window open, the second closes it, the third is late by a millisecond.
    let end = BEGIN + 5 * MINUTE;
    let edge = [end + LATENESS - 2, end - 1, end + LATENESS - 1, end - 1, end];
    let place = sales.iter().position(|(.., time)| *time >= end + LATENESS - 2).expect("it is passed");
    sales.splice(place..place, edge.map(|time| (STORES[0], 1_000_003, time)));
    sales
}

/// Writes sales to the line's source.
fn write(line: &Line, sales: &[Sale]) {
    let schema = std::fs::read_to_string(line.folder.join("sales.avsc")).expect("the schema");
    let id = line.decoder().register(&format!("{}-value", line.source), &schema);
    let value = |(store, amount, time): &Sale| {
        encode(
            id,
            &schema,
            &[("store_id", (*store).into()), ("sale_amount", Value::Int(*amount)), ("sale_ts", Value::Long(*time))],
        )
    };
    let values: Vec<Vec<u8>> = sales.iter().map(value).collect();
    line.topics.write(&line.source, values.iter().map(|value| (Some(0), None, Some(&value[..]))));
}

/// A line whose source and sink are there, and empty.
fn line(test: &str) -> Line {
    let line = Line::on_servers(test);
    line.topics.create(&line.source, 1, &[]);
    line.topics.create(&line.sink, 1, &[("cleanup.policy", "delete")]);
    line
}

/// The same and one more, after which every window but its own is closed.
fn sales_to_the_end() -> Vec<Sale> {
    let mut sales = sales();
    let latest = sales.iter().map(|(.., time)| *time).max().expect("sales");
    sales.push((STORES[0], 1, latest.div_euclid(MINUTE) * MINUTE + MINUTE + LATENESS));
    sales
}

/// Waits until the sink holds so many rows.
fn wait_for_rows(line: &Line, job: Option<&Job>, count: usize) {
    let (consumer, mut end) = (line.topics.consumer(Isolation::Committed, "it"), 0);
    wait_for(&format!("{count} rows"), LIMIT, || {
        job.inspect(|job| job.expect_running());
        let before = std::mem::replace(&mut end, high(&consumer, &line.sink, 0));
        (end > before && rows(line, Isolation::Committed).len() >= count).then_some(())
    });
}

/// What the line's dead letters say of late records: their offsets.
fn late(line: &Line) -> BTreeSet<i64> {
    let letters = line.topics.read(&line.dead_letters, Isolation::Committed);
    let offset = |letter: &Record| {
        assert_eq!(letter.headers["cause"], "late");
        letter.headers["offset"].parse().expect("an offset")
    };
    letters.iter().map(offset).collect()
}

/// A sink's records without their schema ids.
fn data(line: &Line) -> Vec<(Vec<u8>, Vec<u8>)> {
    let data = |bytes: Option<Vec<u8>>| bytes.expect("bytes").split_off(5);
    line.topics.read(&line.sink, Isolation::Committed).into_iter().map(|row| (data(row.key), data(row.value))).collect()
}

fn flink_and_the_aggregate_write_the_same(key: &str) {
    let (mut ours, theirs) = (line("flink-ours"), line("flink-theirs"));
    ours.set_aggregate("key", key.split(", ").map(toml::Value::from).collect::<Vec<_>>());
    write(&ours, &sales_to_the_end());
    ours.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0);
    let late = late(&ours);
    assert!(late.len() > 50, "{late:?}");
    let (sums, latest) = sums_without(&ours, |_, offset| late.contains(&offset));
    let expected = closed(&sums, latest, LATENESS);
    let group = theirs.group();
    let settings = Settings { key, group: &group, startup: "earliest-offset", condition: "TRUE" };
    let job = Job::start(&ours, &theirs, &settings);
    wait_for_rows(&theirs, Some(&job), expected.len());
    job.stop();

    // Flink left out what we call late, and nothing else.
    compare(&expected, &rows(&theirs, Isolation::Committed)).expect_equal();
    let (ours, theirs) = (data(&ours), data(&theirs));
    assert_eq!(ours.len(), theirs.len());
    assert_eq!(ours.iter().collect::<BTreeSet<_>>(), theirs.iter().collect());
    println!("{} rows, the same bytes; {} late records left out", ours.len(), late.len());
}

/// What the aggregate alone makes of these sales.
struct Reference {
    line: Line,
    cells: Sums,
    late: BTreeSet<i64>,
}

impl Reference {
    fn of(sales: &[Sale]) -> Self {
        let line = line("flink-reference");
        write(&line, sales);
        line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0);
        let (cells, late) = (rows(&line, Isolation::Committed).into_iter().collect(), late(&line));
        Self { line, cells, late }
    }

    /// How many rows there are when only these sales have come.
    fn rows_after(&self, sales: &[Sale]) -> usize {
        closed(&self.cells, sales.iter().map(|(.., time)| *time).max().expect("sales"), LATENESS).len()
    }

    /// Panics unless a sink holds the same rows, each once, and the same bytes.
    fn expect_equal(&self, other: &Line) {
        compare(&self.cells, &rows(other, Isolation::Committed)).expect_equal();
        assert_eq!(data(other).into_iter().collect::<BTreeSet<_>>(), data(&self.line).into_iter().collect());
    }
}

/// The end of the last window in the sink.
fn written_up_to(line: &Line) -> i64 {
    rows(line, Isolation::Committed).iter().map(|((_, start), _)| start + MINUTE).max().expect("rows")
}

/// As SQL and RFC 3339 want it.
fn clock(time_ms: i64, format: &str) -> String {
    chrono::DateTime::from_timestamp_millis(time_ms).expect("a time").format(format).to_string()
}

/// Flink aggregates the first sales and is stopped; returns up to when it has written.
fn flink_first(line: &Line, reference: &Reference, first: &[Sale]) -> i64 {
    write(line, first);
    let group = format!("{}-flink", line.name);
    let settings = Settings { key: "store_id", group: &group, startup: "earliest-offset", condition: "TRUE" };
    let job = Job::start(line, line, &settings);
    wait_for_rows(line, Some(&job), reference.rows_after(first));
    job.stop();
    line.topics.delete_group(&group);
    // A plain start would write all of them again.
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(74).says(&["--start after=TIME"]);
    written_up_to(line)
}

#[test]
#[ignore = "needs tests/stack/up kafka registry flink"]
fn from_flink_to_the_aggregate_no_row_is_missing_or_doubled() {
    let sales = sales_to_the_end();
    let (first, second) = sales.split_at(EVENTS / 2);
    let (reference, line) = (Reference::of(&sales), line("flink-first"));
    let after = format!("after={}", clock(flink_first(&line, &reference, first), "%FT%TZ"));
    let aggregate = line.start(&["aggregate", "--start", &after]);
    wait_for("the first commit", LIMIT, || line.topics.committed(&line.group(), &line.source).get(&0).map(drop));
    write(&line, second);
    wait_for_rows(&line, None, reference.cells.len());
    aggregate.terminate();
    aggregate.wait(LIMIT).expect(0);
    reference.expect_equal(&line);
    let since: BTreeSet<i64> = reference.late.iter().copied().filter(|offset| *offset >= first.len() as i64).collect();
    assert_eq!(late(&line), since, "what was late before has gone with Flink, which drops it");
}

#[test]
#[ignore = "needs tests/stack/up kafka registry flink"]
fn from_flink_to_the_aggregate_with_a_backlog_late_records_of_it_are_counted() {
    let sales = sales_to_the_end();
    let (first, second) = sales.split_at(EVENTS / 2);
    let (reference, line) = (Reference::of(&sales), line("flink-backlog"));
    let end = flink_first(&line, &reference, first);
    write(&line, second);
    line.run(&["aggregate", "--until-caught-up", "--start", &format!("after={}", clock(end, "%FT%TZ"))], LIMIT).expect(0);

    // What is in the log at such a start counts as read before, and of that nothing is late, if its window is not left out.
    let (all, latest) = sums(&line);
    let mut expected = reference.cells.clone();
    expected.retain(|(_, start), _| *start < end);
    expected.extend(closed(&all, latest, LATENESS).into_iter().filter(|((_, start), _)| *start >= end));
    assert_ne!(expected, reference.cells, "there are such late records");
    compare(&expected, &rows(&line, Isolation::Committed)).expect_equal();
    assert_eq!(late(&line), BTreeSet::new());
}

#[test]
#[ignore = "needs tests/stack/up kafka registry flink"]
fn from_the_aggregate_to_flink_no_row_is_missing_or_doubled() {
    let sales = sales_to_the_end();
    let (first, second) = sales.split_at(EVENTS / 2);
    let (reference, line) = (Reference::of(&sales), line("flink-second"));
    write(&line, first);
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0);
    // The offset that the aggregate commits is that of its oldest record in an open window; after it come some of closed ones.
    let condition = format!("sale_ts >= TIMESTAMP '{}'", clock(written_up_to(&line), "%F %T"));
    let group = line.group();
    let job =
        Job::start(&line, &line, &Settings { key: "store_id", group: &group, startup: "group-offsets", condition: &condition });
    write(&line, second);
    wait_for_rows(&line, Some(&job), reference.cells.len());
    // The offset of Flink's first checkpoint takes the place of ours: going on from ours would write Flink's rows again.
    wait_for("a checkpoint", LIMIT, || line.topics.committed(&group, &line.source)[&0].1.is_null().then_some(()));
    job.stop();
    reference.expect_equal(&line);
    line.run(&["aggregate", "--until-caught-up"], LIMIT)
        .expect(74)
        .says(&["not committed by this program", "--start after=TIME"]);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry flink"]
fn the_same_rows_keyed_by_store() {
    flink_and_the_aggregate_write_the_same("store_id");
}

#[test]
#[ignore = "needs tests/stack/up kafka registry flink"]
fn the_same_rows_keyed_by_store_and_window() {
    flink_and_the_aggregate_write_the_same("store_id, window_start, window_end");
}
