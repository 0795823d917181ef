//! Events out of order, with a restart every so often: what was read before is neither counted nor called late again.

use std::collections::{BTreeMap, BTreeSet};

use apache_avro::types::Value;

use super::{BEGIN, LATENESS, LIMIT, MINUTE, catch_up};
use crate::harness::{Isolation, Line, closed, compare, encode, rows, sums, sums_without, wait_for};

const CHUNK: usize = 1_000;
const CHUNKS: usize = 6;
/// How many of them are late.
pub(super) const LATE: usize = 11;

/// Ten events a second, up to 4.5 s out of order; every 250th is three minutes old.
pub(super) fn times() -> Vec<i64> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        i64::try_from(state % 4_500).expect("small")
    };
    let count = i64::try_from(CHUNK * CHUNKS).expect("few");
    (0..count).map(|n| BEGIN + 100 * n - if n > 3_000 && n % 250 == 0 { 3 * MINUTE } else { random() }).collect()
}

/// The offsets of those whose minute the watermark had closed before they came.
fn late(times: &[i64]) -> BTreeSet<i64> {
    let mut latest = i64::MIN + LATENESS;
    let mut late = BTreeSet::new();
    for (offset, time) in (0..).zip(times) {
        if time.div_euclid(MINUTE) * MINUTE + MINUTE - 1 <= latest - LATENESS {
            late.insert(offset);
        }
        latest = latest.max(*time);
    }
    late
}

/// Writes these events and aggregates them, with a restart after every thousand: every other one by `kill -9`.
pub(super) fn aggregate_with_restarts(line: &Line, times: &[i64]) {
    line.topics.create(&line.source, 1, &[]);
    let schema = std::fs::read_to_string(line.folder.join("sales.avsc")).expect("the schema");
    let id = line.decoder().register(&format!("{}-value", line.source), &schema);
    let sale = |(number, time): (usize, &i64)| {
        let store = ["ABC", "DEF", "GHI"][number % 3];
        let amount = i32::try_from(number).expect("few");
        let fields = [("store_id", store.into()), ("sale_amount", Value::Int(amount)), ("sale_ts", Value::Long(*time))];
        encode(id, &schema, &fields)
    };
    let values: Vec<Vec<u8>> = times.iter().enumerate().map(sale).collect();
    for (number, chunk) in values.chunks(CHUNK).enumerate() {
        line.topics.write(&line.source, chunk.iter().map(|value| (Some(0), None, Some(&value[..]))));
        if number % 2 == 0 {
            catch_up(line, &[]);
            continue;
        }
        let end = i64::try_from((number + 1) * CHUNK).expect("few");
        let mut aggregate = line.start(&["aggregate"]);
        wait_for("a commit", LIMIT, || {
            (line.topics.committed(&line.group(), &line.source)[&0].1["position"] == end).then_some(())
        });
        aggregate.kill_nine();
    }
    catch_up(line, &[]);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn of_disordered_events_each_is_in_one_row_or_late_once() {
    let (line, times) = (Line::on_servers("restarts"), times());
    aggregate_with_restarts(&line, &times);
    let late = late(&times);
    assert_eq!(late.len(), LATE, "{late:?}");
    let letters = line.topics.read(&line.dead_letters, Isolation::Committed);
    let offsets: Vec<i64> = letters.iter().map(|letter| letter.headers["offset"].parse().expect("an offset")).collect();
    assert_eq!(offsets, late.iter().copied().collect::<Vec<_>>());
    let (sums, latest) = sums_without(&line, |_, offset| late.contains(&offset));
    compare(&closed(&sums, latest, LATENESS), &rows(&line, Isolation::Committed)).expect_equal();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn rows_with_what_came_late_add_up_to_all_that_came() {
    let (mut line, times) = (Line::on_servers("delta"), times());
    line.set_aggregate("late", "delta");
    aggregate_with_restarts(&line, &times);
    let found = rows(&line, Isolation::Committed);
    let mut added = BTreeMap::new();
    found.iter().for_each(|(cell, sum)| *added.entry(cell.clone()).or_insert(0) += sum);
    assert!(found.len() > added.len() && found.len() <= added.len() + late(&times).len(), "{found:?}");
    let (sums, latest) = sums(&line);
    compare(&closed(&sums, latest, LATENESS), &added.into_iter().collect::<Vec<_>>()).expect_equal();
    assert_eq!(line.topics.read(&line.dead_letters, Isolation::Committed), []);
}
