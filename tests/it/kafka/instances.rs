//! Instances of one aggregate: one after the other, and side by side.

use std::time::Duration;

use super::{BEGIN, LIMIT, MINUTE, catch_up};
use crate::harness::{Isolation, Line, Running, compare, rows, sums, wait_for};

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

/// A topic of four partitions whose records are keyed by the group, each partition with some groups.
fn keyed(test: &str) -> Line {
    let mut line = Line::on_servers(test);
    line.set_aggregate("keyed_by_group", true);
    // The parts share a minute: on a slow machine the pause between them must not close it.
    line.set_aggregate("idle_timeout", "10m");
    line.edit(|table| {
        let stores: Vec<String> = (0..24).map(|number| format!("S{number:02}")).collect();
        table["source"][0]["generate"]["store_id"] = toml::Table::from_iter([("one_of".to_owned(), stores.into())]).into();
    });
    line
}

/// Writes a hundred minutes of events, the `part`th hundred.
fn produce_part(line: &Line, part: i64) {
    let from = (BEGIN + part * 100 * MINUTE).to_string();
    let arguments = ["produce", "--from", &from, "--count", "60000", "--rate", "10", "--max-speed", "--partitions", "4"];
    line.run(&arguments, LIMIT).expect(0);
    let ends = line.topics.ends(&line.source, Isolation::Committed);
    assert!(ends.iter().all(|end| *end > 0), "a partition without groups: {ends:?}");
}

/// Whether all that was written is read, and committed.
fn is_caught_up(line: &Line) -> bool {
    let ends = line.topics.ends(&line.source, Isolation::Committed);
    let committed = line.topics.committed(&line.group(), &line.source);
    committed.len() == ends.len()
        && committed.iter().all(|(partition, (_, stamp))| stamp["position"] == ends[*partition as usize])
}

/// Starts an instance, with fetches so small that a rebalance finds it at work.
fn start(line: &Line, name: &str) -> Running {
    line.start(&["aggregate", "--instance", name, "-X", "fetch.message.max.bytes=20000", "-X", "queued.min.messages=1"])
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn instances_come_and_go_and_every_sum_is_there_once() {
    let line = keyed("shared");
    produce_part(&line, 0);
    let mut running: Vec<Running> = Vec::new();
    for (part, instances) in (1..).zip([1, 2, 4, 3, 1]) {
        // The topic is being read when the group changes.
        produce_part(&line, part);
        while running.len() > instances {
            let mut leaving = running.remove(0);
            if running.len().is_multiple_of(2) {
                leaving.kill_nine();
            } else {
                leaving.terminate();
                leaving.wait(Duration::from_secs(10)).expect(0);
            }
        }
        while running.len() < instances {
            running.push(start(&line, &format!("{part}-{}", running.len())));
        }
        wait_for("all instances to catch up", LIMIT, || {
            for instance in &mut running {
                assert!(instance.is_alive(), "{}", instance.stderr());
            }
            is_caught_up(&line).then_some(())
        });
    }
    for instance in running {
        instance.terminate();
        instance.wait(Duration::from_secs(10)).expect(0);
    }
    // Alone again, which also closes what is open.
    catch_up(&line, &["--close-all"]);
    compare(&sums(&line).0, &rows(&line, Isolation::Committed)).expect_equal();
    assert_eq!(line.topics.read(&line.dead_letters, Isolation::Committed), []);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn one_alone_and_those_that_share_do_not_meet() {
    let line = keyed("meet");
    produce_part(&line, 0);
    let alone = line.start(&["aggregate"]);
    wait_for("the lone instance to catch up", LIMIT, || is_caught_up(&line).then_some(()));
    let sharing = start(&line, "a");
    // The lone one hears of it when it has something to commit.
    wait_for("the group to have a member", LIMIT, || line.topics.has_members(&line.group()).then_some(()));
    produce_part(&line, 1);
    alone.wait(LIMIT).expect(75).says(&["fenced"]);
    wait_for("the sharing instance to catch up", LIMIT, || is_caught_up(&line).then_some(()));

    line.run(&["aggregate"], LIMIT).expect(78).says(&["has members", "--instance NAME", "hint: "]);
    produce_part(&line, 2);
    wait_for("the sharing instance to go on", LIMIT, || is_caught_up(&line).then_some(()));

    // A twin of the same name fences it, also when there is nothing to commit.
    let twin = start(&line, "a");
    sharing.wait(LIMIT).expect(75).says(&["another instance has taken over"]);
    produce_part(&line, 3);
    wait_for("the twin to catch up", LIMIT, || is_caught_up(&line).then_some(()));
    twin.terminate();
    twin.wait(Duration::from_secs(10)).expect(0);
    catch_up(&line, &["--close-all"]);
    compare(&sums(&line).0, &rows(&line, Isolation::Committed)).expect_equal();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn sharing_needs_a_topic_that_is_keyed_by_the_group() {
    let mut line = keyed("unkeyed");
    produce_part(&line, 0);
    line.set_aggregate("keyed_by_group", false);
    line.run(&["aggregate", "--instance", "a"], LIMIT).expect(78).says(&["--instance a", "keyed_by_group = true"]);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn partitions_added_to_a_shared_topic_end_every_instance_until_one_alone_has_closed_the_windows() {
    let line = keyed("shared-grown");
    produce_part(&line, 0);
    let instances = [start(&line, "a"), start(&line, "b")];
    wait_for("both to catch up", LIMIT, || is_caught_up(&line).then_some(()));
    line.topics.grow(&line.source, 5);
    for instance in instances {
        instance.wait(LIMIT).expect(78).says(&["4 partitions", "5 now", "without --instance"]);
    }
    start(&line, "a").wait(LIMIT).expect(78).says(&["4 partitions", "5 now"]);
    // Taken up, but the windows of before are open still.
    catch_up(&line, &[]);
    start(&line, "a").wait(LIMIT).expect(78).says(&["4 partitions", "5 now"]);
    produce_part(&line, 1);
    catch_up(&line, &[]);
    let instances = [start(&line, "a"), start(&line, "b")];
    produce_part(&line, 2);
    wait_for("both to catch up", LIMIT, || is_caught_up(&line).then_some(()));
    for instance in instances {
        instance.terminate();
        instance.wait(Duration::from_secs(10)).expect(0);
    }
    catch_up(&line, &["--close-all"]);
    compare(&sums(&line).0, &rows(&line, Isolation::Committed)).expect_equal();
}
