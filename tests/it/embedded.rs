//! The program against the broker and the registry that the library has inside. Needs no server.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use pipeline::embedded::{Broker, Registry};
use tokio::runtime::Runtime;

use crate::harness::{Isolation, Line, Running, closed, compare, rows, sums, wait_for};

/// A question that the broker does not know would be waited for longer than this.
const LIMIT: Duration = Duration::from_secs(9);
/// As the shipped pipeline file has it.
const LATENESS: i64 = 5_000;

/// A line on servers of its own, in this process.
pub(super) struct Embedded {
    pub(super) line: Line,
    _broker: Broker,
    _registry: Registry,
    _runtime: Runtime,
}

impl Embedded {
    pub(super) fn start(test: &str, partitions: i32) -> Self {
        let name = format!("embedded-{test}-{}", std::process::id());
        let topic = |suffix: &str, partitions| (format!("{name}-SALES{suffix}"), partitions);
        let broker = Broker::start(&[topic("", partitions), topic("_AGGREGATE", partitions), topic("_DEAD_LETTERS", 1)]).unwrap();
        let runtime = Runtime::new().unwrap();
        let registry = runtime.block_on(async { Registry::start() }).unwrap();
        let mut line = Line::named(name, broker.address());
        line.edit(|table| table["registry"]["url"] = registry.url().into());
        Self { line, _broker: broker, _registry: registry, _runtime: runtime }
    }

    fn run(&self, arguments: &[&str]) {
        self.line.run(arguments, LIMIT).expect(0);
    }
}

#[track_caller]
fn sums_a_backfill(partitions: i32) {
    let embedded = Embedded::start(&format!("backfill-{partitions}"), partitions);
    embedded.run(&["produce", "--backfill", "2h", "--count", "7200"]);
    embedded.run(&["aggregate", "--until-caught-up", "--close-all"]);
    let (expected, _) = sums(&embedded.line);
    assert!(expected.len() >= 360, "three stores, 120 minutes: {}", expected.len());
    compare(&expected, &rows(&embedded.line, Isolation::Committed)).expect_equal();
}

#[test]
fn a_backfill_is_summed() {
    sums_a_backfill(1);
}

#[test]
fn a_backfill_in_four_partitions_is_summed() {
    sums_a_backfill(4);
}

#[test]
fn side_by_side_produce_and_aggregate_keep_up() {
    let Embedded { line, .. } = &Embedded::start("live", 1);
    let produce = line.start(&["produce", "--backfill", "10m", "--rate", "50"]);
    wait_for("the schema", LIMIT, || produce.stderr().contains("schema id").then_some(()));
    let aggregate = line.start(&["aggregate"]);
    wait_for("rows", LIMIT, || (line.topics.ends(&line.sink, Isolation::Committed)[0] > 0).then_some(()));
    end(produce);
    let (sums, latest) = sums(line);
    let expected = closed(&sums, latest, LATENESS);
    wait_for("all rows", LIMIT, || (rows(line, Isolation::Committed).len() >= expected.len()).then_some(()));
    end(aggregate);
    compare(&expected, &rows(line, Isolation::Committed)).expect_equal();
}

#[track_caller]
fn end(running: Running) {
    running.terminate();
    running.wait(LIMIT).expect(0);
}

#[test]
fn a_second_aggregate_is_told_that_it_would_repeat() {
    let embedded = Embedded::start("again", 1);
    embedded.run(&["produce", "--backfill", "10m", "--count", "600"]);
    embedded.run(&["aggregate", "--until-caught-up"]);
    let again = embedded.line.run(&["aggregate", "--until-caught-up"], LIMIT);
    again.expect(74).says(&["no offsets are committed, but the sink holds rows", "--start earliest"]);
}

/// Runs `init` at a terminal, which `script` makes, and answers; the exit code and what was on the screen.
fn init_at_a_terminal(line: &Line, answer: &str) -> (Option<i32>, String) {
    let file = line.file();
    let typed = format!("'{}' --config '{}' init --topic '{}'", env!("CARGO_BIN_EXE_pipeline"), file.display(), line.source);
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &typed, "/dev/null"]).current_dir(&line.folder);
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script is there");
    child.stdin.as_ref().expect("piped").write_all(answer.as_bytes()).expect("it reads");
    wait_for("its end", LIMIT, || child.try_wait().expect("a child"));
    let ended = child.wait_with_output().expect("a child");
    (ended.status.code(), String::from_utf8_lossy(&ended.stdout).into_owned())
}

#[test]
fn init_writes_only_what_it_was_told_to() {
    let Embedded { line, .. } = &Embedded::start("init", 1);
    line.run(&["produce", "--backfill", "10m", "--count", "600"], LIMIT).expect(0);
    let (code, said) = init_at_a_terminal(line, "n\n");
    let written = || line.folder.join(format!("{}.toml", line.source)).exists();
    assert_eq!((code, written()), (Some(1), false), "{said}");
    assert!(said.contains("[y/N]") && said.contains("nothing was changed"), "{said}");
    let (code, said) = init_at_a_terminal(line, "y\n");
    assert_eq!((code, written()), (Some(0), true), "{said}");
}
