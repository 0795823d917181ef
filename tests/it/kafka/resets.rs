//! `--reset` loses and repeats nothing, whoever else runs and whenever it dies.

use super::{BEGIN, LIMIT, catch_up, produce};
use crate::harness::{Isolation, Line, compare, high, rows, sums, wait_for};

/// Reading little at a time makes many small transactions.
const SLOWLY: [&str; 6] =
    ["-X", "fetch.message.max.bytes=5000", "-X", "queued.min.messages=1", "-X", "fetch.queue.backoff.ms=20"];

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn while_another_instance_writes() {
    let line = Line::on_servers("reset-twin");
    produce(&line, BEGIN, 1_000_000, &["-X", "batch.num.messages=200"]);
    let first = line.start(&[&["aggregate"][..], &SLOWLY].concat());
    let end = || line.topics.partitions(&line.sink) > 0 && line.topics.ends(&line.sink, Isolation::Committed)[0] > 0;
    wait_for("the first instance's rows", LIMIT, || end().then_some(()));

    catch_up(&line, &["--reset", "--close-all"]);
    first.wait(LIMIT).expect(75);
    compare(&sums(&line).0, &rows(&line, Isolation::Committed)).expect_equal();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn killed_when_the_sink_was_emptied() {
    let line = Line::on_servers("reset-killed");
    produce(&line, BEGIN, 3_000, &[]);
    catch_up(&line, &["--close-all"]);
    let rows_before = rows(&line, Isolation::Committed);
    let end = high(&line.topics.consumer(Isolation::Committed, "it"), &line.sink, 0);

    let mut reset = line.start(&["aggregate", "--until-caught-up", "--close-all", "--reset"]);
    let consumer = line.topics.consumer(Isolation::Committed, "it");
    wait_for("the sink to be emptied", LIMIT, || (crate::harness::low(&consumer, &line.sink, 0) >= end).then_some(()));
    reset.kill_nine();

    // What is not refused must end in a whole sink.
    let ended = line.run(&["aggregate", "--until-caught-up", "--close-all"], LIMIT);
    if ended.code == Some(74) {
        ended.says(&["--reset"]);
        catch_up(&line, &["--reset", "--close-all"]);
    } else {
        ended.expect(0);
    }
    let rows_after = rows(&line, Isolation::Committed);
    assert_eq!(rows_after.len(), rows_before.len());
    compare(&sums(&line).0, &rows_after).expect_equal();
}
