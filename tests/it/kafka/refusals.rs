//! What cannot be aggregated, or not without losing or repeating something, is refused by name and with a way out.

use super::{BEGIN, LIMIT, MINUTE, catch_up, produce};
use crate::harness::{Ended, Line, wait_for};

const WAYS_OUT: [&str; 4] = ["--start earliest", "--start latest", "--start after=TIME", "--reset"];

#[track_caller]
fn refused(line: &Line, code: i32, words: &[&str]) -> Ended {
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(code).says(words).says(&["hint: "])
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_source_topic_that_is_not_there() {
    let line = Line::on_servers("no-topic");
    refused(&line, 69, &["there is no topic", &line.source, "pipeline produce"]);
    assert_eq!(line.topics.partitions(&line.sink), 0, "nothing was created");
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_subject_that_is_not_there() {
    let line = Line::on_servers("no-subject");
    line.topics.create(&line.source, 1, &[]);
    refused(&line, 65, &["there is no subject", &format!("{}-value", line.source), "schema registry at http"]);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_schema_without_the_configured_field() {
    let line = Line::on_servers("no-field");
    line.topics.create(&line.source, 1, &[]);
    let other =
        r#"{"type":"record","name":"Other","fields":[{"name":"store_id","type":"string"},{"name":"sale_ts","type":"long"}]}"#;
    line.decoder().register(&format!("{}-value", line.source), other);
    refused(&line, 65, &["sale_amount", &line.source]);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_sink_with_rows_but_no_committed_offsets() {
    let line = Line::on_servers("rows-only");
    produce(&line, BEGIN, 100, &[]);
    line.topics.create(&line.sink, 1, &[]);
    line.topics.write(&line.sink, [(None, None, Some(&b"a row"[..]))]);
    refused(&line, 74, &["no offsets are committed, but the sink holds rows"]).says(&WAYS_OUT);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn another_window_than_that_of_the_committed_state() {
    let mut line = Line::on_servers("window");
    produce(&line, BEGIN, 1_500, &[]);
    catch_up(&line, &[]);
    line.set_aggregate("window", "2m");
    refused(&line, 78, &["another aggregate", "window 60000 ms", "window 120000 ms"]).says(&WAYS_OUT);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_source_topic_that_was_deleted_and_made_anew() {
    let line = Line::on_servers("anew");
    produce(&line, BEGIN, 1_500, &[]);
    catch_up(&line, &[]);
    line.topics.delete(&[&line.source]);
    wait_for("the topic to go", LIMIT, || (line.topics.partitions(&line.source) == 0).then_some(()));
    produce(&line, BEGIN + 10 * MINUTE, 3_000, &[]);
    let ended = refused(&line, 74, &[]).says(&WAYS_OUT);
    // The broker forgets the offsets of a topic that is deleted, but not at once.
    let rule =
        ["made anew", "no offsets are committed, but the sink holds rows"].iter().find(|words| ended.stderr.contains(*words));
    assert!(rule.is_some(), "{}", ended.stderr);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn records_that_are_needed_but_gone() {
    let line = Line::on_servers("gone");
    produce(&line, BEGIN, 1_500, &[]);
    catch_up(&line, &[]);
    // Those of the open window too.
    line.topics.delete_records(&line.source);
    refused(&line, 74, &["retention"]).says(&WAYS_OUT);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn offsets_that_another_program_committed() {
    let line = Line::on_servers("foreign");
    produce(&line, BEGIN, 1_500, &[]);
    line.topics.commit(&line.group(), &line.source, 700);
    refused(&line, 74, &["not committed by this program"]).says(&WAYS_OUT);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_compacted_source() {
    let line = Line::on_servers("compacted");
    line.topics.create(&line.source, 1, &[("cleanup.policy", "compact")]);
    produce(&line, BEGIN, 100, &[]);
    refused(&line, 74, &["compacted", &line.source]);
}
