//! `pipeline up`: from nothing to a verified dashboard, again, to its end, and on from where it failed.

use std::time::{Duration, Instant};

use toml::Value;

use super::LIMIT;
use crate::harness::{Druid, Ended, Isolation, Line, Running, Superset};

/// From nothing to a verified dashboard, with history given: this and a window at most.
const GOAL: Duration = Duration::from_secs(60 + 60);
/// Whoever asks a process to end waits ten seconds before it kills.
const WIND_DOWN: Duration = Duration::from_secs(10);

/// A line, and what it has on the servers; all of it goes with it.
struct Up {
    // In this order: Druid's tasks end before their topics go.
    druid: Druid,
    superset: Superset,
    line: Line,
}

impl Up {
    fn new(test: &str) -> Self {
        let line = Line::on_servers(test);
        let druid = Druid::of(&[&line.source, &line.sink]);
        let superset = Superset::of(&format!("{}-kafka-101-tutorial", line.name));
        Self { druid, superset, line }
    }

    #[track_caller]
    fn once(&self) -> Ended {
        self.line.run(&["up", "--once"], LIMIT)
    }

    fn events(&self) -> i64 {
        self.line.topics.ends(&self.line.source, Isolation::Uncommitted).iter().sum()
    }

    /// Panics if a transaction is open on the sink.
    #[track_caller]
    fn expect_no_open_transaction(&self) {
        let ends = |isolation| self.line.topics.ends(&self.line.sink, isolation);
        assert_eq!(ends(Isolation::Committed), ends(Isolation::Uncommitted), "a transaction is open");
        assert!(!self.line.topics.has_members(&self.line.group()), "a consumer is left");
    }
}

/// Waits for what a run says; panics with all that it said, if that does not come.
#[track_caller]
fn wait_until(running: &mut Running, what: &str, has_come: impl Fn(&Running) -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !has_come(running) {
        let goes_on = running.is_alive() && Instant::now() < deadline;
        assert!(goes_on, "in vain for {what}:\n{}{}", running.stdout(), running.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Panics unless each of these steps has ended well, in this order.
#[track_caller]
fn expect_done(ended: &Ended, steps: &[&str]) {
    let lines = ended.stderr.lines().filter(|line| line.starts_with("done  "));
    let done: Vec<&str> = lines.filter_map(|line| line.split_whitespace().nth(3)).collect();
    assert_eq!(done, steps, "{}", ended.stderr);
}

/// Verified is what `up` says so of, and gives the address of.
#[track_caller]
fn expect_verified(ended: &Ended, up: &Up) {
    expect_done(ended, &["servers", "topics", "history", "aggregate", "Druid", "Superset", "verify"]);
    let page = format!("/superset/dashboard/{}-kafka-101-tutorial/", up.line.name);
    let said: Vec<&str> = ended.stdout.lines().collect();
    assert!(matches!(said[..], [address, last] if address.ends_with(&page) && last.contains("verified: ")), "{}", ended.stdout);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn up_makes_a_verified_dashboard_from_nothing_and_again_changes_nothing() {
    let up = Up::new("up-nothing");
    let first = up.once().expect(0).says(&["1800 events: the last 30m", "created 2 changed 0", "created 7 changed 0"]);
    expect_verified(&first, &up);
    assert!(first.took < GOAL, "it took {:?}", first.took);
    assert!(!up.superset.rows("Flink Aggregated Sales").is_empty());
    up.expect_no_open_transaction();

    let (events, versions, tasks) = (up.events(), up.druid.versions(), up.druid.tasks());
    let again = up.once().expect(0).says(&["none: there are events already", "unchanged 2", "unchanged 7"]);
    expect_verified(&again, &up);
    assert!((events..events + 120).contains(&up.events()), "{} events more: a second history", up.events() - events);
    assert_eq!((up.druid.versions(), up.druid.tasks()), (versions, tasks), "nothing is to be posted again");
    up.expect_no_open_transaction();
}

#[test]
#[ignore = "needs tests/stack/up"]
fn up_goes_on_until_it_is_asked_to_end_and_leaves_nothing_open() {
    let up = Up::new("up-ends");
    let mut running = up.line.start(&["up", "--rate", "50", "--backfill", "5m"]);
    // The address is told when all is verified.
    wait_until(&mut running, "the address", |running| running.stdout().contains("/superset/dashboard/"));
    let events = up.events();
    wait_until(&mut running, "events that go on", |_| up.events() > events + 50);
    assert!(running.stderr().contains("  watermark "), "{}", running.stderr());
    running.terminate();
    let asked = Instant::now();
    let ended = running.wait(WIND_DOWN).expect(0);
    assert!(asked.elapsed() < WIND_DOWN && ended.stdout.lines().count() == 2, "{}", ended.stdout);
    up.expect_no_open_transaction();
    assert!(!up.druid.supervisor(&up.line.source).is_null(), "what was set up stays");
}

#[test]
#[ignore = "needs tests/stack/up"]
fn up_ends_in_the_middle_when_it_is_asked_to() {
    let up = Up::new("up-middle");
    let mut running = up.line.start(&["up", "--once"]);
    wait_until(&mut running, "Druid's tasks", |running| running.stderr().contains("begun   "));
    running.terminate();
    // Nothing was verified, and that was all it was for.
    let ended = running.wait(WIND_DOWN).expect(1).says(&["stopped ", "before anything was verified"]);
    assert!(!ended.stderr.contains("Superset   every"), "{}", ended.stderr);
    up.expect_no_open_transaction();
}

#[test]
#[ignore = "needs tests/stack/up"]
fn up_goes_on_where_a_step_failed() {
    let mut up = Up::new("up-fails");
    let wrong = up.line.start_with(&["up", "--once"], &[("PIPELINE_DRUID_PASSWORD", "wrong")]).wait(LIMIT);
    wrong.expect(77).says(&["failed ", "not begun: ", "Run `pipeline up` again"]);

    let columns = |line: &mut Line, columns: &[&str]| {
        let columns: Vec<Value> = columns.iter().map(|name| Value::from(*name)).collect();
        line.edit(|table| drop(table["datasource"][0].as_table_mut().expect("a table").insert("columns".into(), columns.into())));
    };
    columns(&mut up.line, &["nowhere"]);
    let wrong = up.once().expect(65).says(&["nowhere", "not begun: Superset, verify", "Run `pipeline up` again"]);
    assert!(wrong.stderr.lines().any(|line| line.starts_with("done  ") && line.contains("topics")), "{}", wrong.stderr);
    assert!(up.druid.supervisor(&up.line.source).is_null(), "nothing is posted before all is looked at");
    up.expect_no_open_transaction();

    columns(&mut up.line, &["store_id", "sale_amount"]);
    let right = up.once().expect(0).says(&["none: there are events already"]);
    expect_verified(&right, &up);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn up_without_events_of_its_own_needs_the_topic() {
    let up = Up::new("up-missing");
    let ended = up.line.run(&["up", "--once", "--no-produce"], LIMIT);
    ended.expect(69).says(&[&format!("there is no topic {}", up.line.source), "--no-produce"]);
    assert_eq!(up.line.topics.partitions(&up.line.sink), 0, "nothing is made");
}
