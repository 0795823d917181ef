//! Two instances of one aggregate.

use super::LIMIT;
use crate::harness::{Isolation, Line, compare, rows, sums, wait_for};

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_second_instance_takes_over_and_the_first_ends_with_75() {
    let line = Line::on_servers("fence");
    let mut produce = line.start(&["produce", "--backfill", "20m", "--rate", "100", "--seed", "1"]);
    wait_for("the source topic", LIMIT, || (line.topics.partitions(&line.source) > 0).then_some(()));
    let position = || {
        let committed = line.topics.committed(&line.group(), &line.source);
        committed.get(&0).and_then(|(_, stamp)| stamp["position"].as_i64()).unwrap_or(0)
    };
    let first = line.start(&["aggregate"]);
    wait_for("a commit of the first instance", LIMIT, || (position() > 1_000).then_some(()));

    let second = line.start(&["aggregate"]);
    // It hears of it with its next commit.
    first.wait(LIMIT).expect(75).says(&["fenced", "another instance has taken over", "hint"]);
    let taken_over = position();
    wait_for("a commit of the second instance", LIMIT, || (position() > taken_over).then_some(()));
    assert!(produce.is_alive());
    produce.terminate();
    produce.wait(LIMIT).expect(0);
    second.terminate();
    second.wait(LIMIT).expect(0);

    line.run(&["aggregate", "--until-caught-up", "--close-all"], LIMIT).expect(0);
    compare(&sums(&line).0, &rows(&line, Isolation::Committed)).expect_equal();
    assert_eq!(line.topics.read(&line.dead_letters, Isolation::Committed), []);
}
