//! `--start` and `--reset` do what the help text says.

use super::{BEGIN, LIMIT, MINUTE, catch_up, closed_sums, produce};
use crate::harness::{Isolation, Line, Sums, compare, rows, sums};

/// The first minute that begins after `BEGIN`, and some minutes more.
fn minute(number: i64) -> i64 {
    (BEGIN / MINUTE + 1 + number) * MINUTE
}

fn from(sums: Sums, start: i64) -> Sums {
    sums.into_iter().filter(|((_, found), _)| *found >= start).collect()
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn latest_leaves_out_what_is_there() {
    let line = Line::on_servers("latest");
    produce(&line, minute(0), 3_000, &[]);
    catch_up(&line, &["--start", "latest"]);
    assert_eq!(rows(&line, Isolation::Committed), []);
    produce(&line, minute(10), 3_000, &[]);
    catch_up(&line, &[]);
    compare(&from(closed_sums(&line), minute(10)), &rows(&line, Isolation::Committed)).expect_equal();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn after_leaves_out_the_windows_that_end_by_then() {
    let line = Line::on_servers("after");
    produce(&line, minute(0), 6_000, &[]);
    let time = chrono::DateTime::from_timestamp_millis(minute(4)).expect("a time").to_rfc3339();
    catch_up(&line, &["--start", &format!("after={time}")]);
    compare(&from(closed_sums(&line), minute(4)), &rows(&line, Isolation::Committed)).expect_equal();
    assert_eq!(line.topics.read(&line.dead_letters, Isolation::Committed), [], "what is left out is not late");
    // The rest of the topic's life goes on from there.
    produce(&line, minute(20), 1_000, &[]);
    catch_up(&line, &["--close-all"]);
    compare(&from(sums(&line).0, minute(4)), &rows(&line, Isolation::Committed)).expect_equal();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn earliest_writes_again_what_the_source_still_holds() {
    let line = Line::on_servers("earliest");
    produce(&line, minute(0), 3_000, &[]);
    catch_up(&line, &[]);
    catch_up(&line, &["--start", "earliest"]);
    let twice = rows(&line, Isolation::Committed);
    let expected = closed_sums(&line);
    assert_eq!(twice.len(), 2 * expected.len());
    compare(&expected, &twice[..expected.len()]).expect_equal();
    compare(&expected, &twice[expected.len()..]).expect_equal();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn reset_empties_the_sink_and_does_it_all_again() {
    let mut line = Line::on_servers("reset");
    produce(&line, minute(0), 3_000, &["--partitions", "2"]);
    catch_up(&line, &[]);
    // Also the way out of a changed definition.
    line.set_aggregate("lateness", "0s");
    line.edit(|table| table["aggregate"][0]["measure"][0]["function"] = "max".into());
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(78).says(&["--reset"]);
    line.edit(|table| table["aggregate"][0]["measure"][0]["function"] = "sum".into());
    line.set_aggregate("lateness", "5s");
    catch_up(&line, &["--reset"]);
    compare(&closed_sums(&line), &rows(&line, Isolation::Committed)).expect_equal();
    catch_up(&line, &["--close-all"]);
    compare(&sums(&line).0, &rows(&line, Isolation::Committed)).expect_equal();
}

/// A topic whose last offset is not that of a record.
fn written_by_transactions(test: &str) -> Line {
    let line = Line::on_servers(test);
    produce(&line, minute(0), 3_000, &[]);
    let copy = format!("{}-COPY", line.source);
    line.topics.create(&copy, 1, &[]);
    line.topics.copy_in_a_transaction(&line.source, &copy);
    line.topics.delete_records(&line.source);
    line.topics.copy_in_a_transaction(&copy, &line.source);
    line.topics.delete(&[&copy]);
    line
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_source_that_ends_with_a_control_record() {
    let line = written_by_transactions("control");
    catch_up(&line, &[]);
    catch_up(&line, &["--close-all"]);
    compare(&sums(&line).0, &rows(&line, Isolation::Committed)).expect_equal();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn after_in_a_source_that_ends_with_a_control_record() {
    let line = written_by_transactions("after-control");
    catch_up(&line, &["--start", &format!("after={}", minute(2)), "--close-all"]);
    compare(&from(sums(&line).0, minute(2)), &rows(&line, Isolation::Committed)).expect_equal();
}
