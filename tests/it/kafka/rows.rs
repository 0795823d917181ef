//! The rows of the sink are right, in a run that ends and in one that goes on.

use std::time::{Duration, SystemTime};

use super::{BEGIN, LIMIT, MINUTE, catch_up, closed_sums, produce};
use crate::harness::{Isolation, Line, compare, rows, sums, wait_for};

fn every_closed_minute_is_there_once(partitions: &str) {
    let line = Line::on_servers("rows");
    produce(&line, BEGIN, 20_000, &["--partitions", partitions]);
    catch_up(&line, &[]);
    let expected = closed_sums(&line);
    assert!(expected.len() > 90, "{} cells", expected.len());
    compare(&expected, &rows(&line, Isolation::Committed)).expect_equal();

    let ends = line.topics.ends(&line.sink, Isolation::Committed);
    catch_up(&line, &[]);
    assert_eq!(line.topics.ends(&line.sink, Isolation::Committed), ends, "a second run writes nothing");

    catch_up(&line, &["--close-all"]);
    compare(&sums(&line).0, &rows(&line, Isolation::Committed)).expect_equal();
    assert_eq!(line.topics.read(&line.dead_letters, Isolation::Committed), []);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn every_closed_minute_of_one_partition_is_there_once() {
    every_closed_minute_is_there_once("1");
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn every_closed_minute_of_four_partitions_is_there_once() {
    every_closed_minute_is_there_once("4");
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_run_that_goes_on_writes_rows_as_windows_close_and_ends_when_asked() {
    let mut line = Line::on_servers("live");
    line.set_aggregate("idle_timeout", "3s");
    produce(&line, BEGIN, 600, &[]);
    let mut aggregate = line.start(&["aggregate"]);
    let cells = |line: &Line| if line.topics.partitions(&line.sink) == 0 { 0 } else { rows(line, Isolation::Committed).len() };
    wait_for("the first minute's rows", LIMIT, || (cells(&line) >= 3).then_some(()));

    // A minute later in event time: the watermark passes the end of what is there.
    produce(&line, BEGIN + MINUTE, 1_200, &[]);
    let expected = closed_sums(&line);
    wait_for("the rows that the watermark closes", LIMIT, || (cells(&line) >= expected.len()).then_some(()));
    assert!(aggregate.is_alive());

    let all = sums(&line).0;
    assert!(all.len() > expected.len(), "the last minute is open");
    wait_for("the last minute of a stream that has stopped", LIMIT, || (cells(&line) >= all.len()).then_some(()));
    compare(&all, &rows(&line, Isolation::Committed)).expect_equal();

    aggregate.terminate();
    let ended = aggregate.wait(Duration::from_secs(10)).expect(0);
    assert!(ended.stdout.contains("stopped: 1800 records read"), "{}", ended.stdout);
    let committed = line.topics.committed(&line.group(), &line.source);
    assert_eq!(committed[&0].1["position"], 1_800, "{committed:?}");
    assert_eq!(committed[&0].0, 1_800, "no window is open");
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn partitions_that_are_added_meanwhile_are_read_too() {
    let line = Line::on_servers("grown");
    produce(&line, BEGIN, 600, &[]);
    let aggregate = line.start(&["aggregate"]);
    let committed = || line.topics.committed(&line.group(), &line.source);
    wait_for("the first partition's progress", LIMIT, || {
        committed().get(&0).filter(|(_, stamp)| stamp["position"] == 600).map(drop)
    });
    line.topics.grow(&line.source, 4);
    wait_for("the new partitions to be taken up", LIMIT, || (committed().len() == 4).then_some(()));

    produce(&line, BEGIN + MINUTE, 2_400, &[]);
    assert!(
        line.topics.ends(&line.source, Isolation::Committed)[1..].iter().sum::<i64>() > 0,
        "all keys are in the old partition"
    );
    drop(aggregate);
    catch_up(&line, &[]);
    compare(&closed_sums(&line), &rows(&line, Isolation::Committed)).expect_equal();
    assert_eq!(line.topics.read(&line.dead_letters, Isolation::Committed), []);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn what_comes_after_a_silence_of_all_partitions_is_not_late() {
    let mut line = Line::on_servers("resumed");
    line.set_aggregate("idle_timeout", "1s");
    produce(&line, BEGIN, 20_000, &["--partitions", "4"]);
    // Fetches so small that one partition's records of many windows come before those of the next.
    let aggregate = line.start(&["aggregate", "-X", "fetch.message.max.bytes=20000", "-X", "queued.min.messages=1"]);
    let has_all = || line.topics.partitions(&line.sink) > 0 && rows(&line, Isolation::Committed).len() >= sums(&line).0.len();
    wait_for("the last window of a stream that has stopped", LIMIT, || has_all().then_some(()));

    produce(&line, BEGIN + 100 * MINUTE, 20_000, &[]);
    wait_for("the rows of what came after", LIMIT, || {
        let late = line.topics.read(&line.dead_letters, Isolation::Committed).len();
        assert_eq!(late, 0, "records are late");
        has_all().then_some(())
    });
    compare(&sums(&line).0, &rows(&line, Isolation::Committed)).expect_equal();
    aggregate.terminate();
    aggregate.wait(Duration::from_secs(10)).expect(0);
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("a time")
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_process_that_was_suspended_closes_no_window_over_what_came_meanwhile() {
    const WINDOW: i64 = 10_000;
    let mut line = Line::on_servers("suspended");
    line.set_aggregate("window", "10s");
    line.set_aggregate("lateness", "0s");
    line.set_aggregate("idle_timeout", "1s");
    let start = now_ms().div_euclid(WINDOW) * WINDOW + WINDOW;
    wait_for("a window to begin", LIMIT, || (now_ms() >= start).then_some(()));
    produce(&line, start, 10, &[]);
    let aggregate = line.start(&["aggregate"]);
    let position = || line.topics.committed(&line.group(), &line.source).get(&0).map(|(_, stamp)| stamp["position"].clone());
    wait_for("the first records to be committed", LIMIT, || (position()? == 10).then_some(()));
    // Silent for longer than the idle timeout, but the window goes on.
    wait_for("the partition to be silent", LIMIT, || (now_ms() > start + 8_500).then_some(()));
    aggregate.stop();
    produce(&line, start + 5_000, 10, &[]);
    wait_for("the window's end", LIMIT, || (now_ms() > start + WINDOW + 4_000).then_some(()));
    aggregate.go_on();
    wait_for("the window's rows", LIMIT, || (line.topics.ends(&line.sink, Isolation::Committed)[0] > 0).then_some(()));
    assert_eq!(line.topics.read(&line.dead_letters, Isolation::Committed), [], "what came while it was suspended is not late");
}
