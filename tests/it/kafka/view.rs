//! `pipeline view`: the proof against a real Kafka.

use std::time::Duration;

use serde_json::Value;

use super::restarts::{LATE, aggregate_with_restarts, times};
use super::{BEGIN, LIMIT, MINUTE, catch_up, closed_sums, produce};
use crate::harness::{Isolation, Line, Running, block_on, wait_for};

struct View {
    running: Running,
    page: String,
}

impl View {
    fn of(line: &Line, arguments: &[&str]) -> Self {
        let running = line.start(&[&["view", "--listen", "127.0.0.1:0"], arguments].concat());
        let page = wait_for("the address", LIMIT, || Some(running.stdout().lines().next()?.to_owned()));
        Self { running, page }
    }

    fn state(&self) -> Value {
        let text = block_on(async { reqwest::get(format!("{}state", self.page)).await?.text().await }).expect("the state");
        serde_json::from_str(&text).expect("JSON")
    }

    #[track_caller]
    fn wait_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, LIMIT, || Some(self.state()).filter(&is_so))
    }

    /// Waits until so many cells are equal; no other may differ at any time.
    #[track_caller]
    fn wait_for_cells(&self, cells: usize) -> Value {
        self.wait_until("the proof", |state| {
            assert_ne!(state["verdict"], "differs", "{state}");
            state["verdict"] == "equal" && state["equal"] == cells
        })
    }

    fn end(self) {
        self.running.terminate();
        self.running.wait(Duration::from_secs(10)).expect(0);
    }
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn disorder_restarts_and_late_records_are_proven() {
    let line = Line::on_servers("view-late");
    aggregate_with_restarts(&line, &times());
    let view = View::of(&line, &[]);
    let state = view.wait_for_cells(closed_sums(&line).len());
    assert_eq!((&state["late"], &state["dead_letters"], &state["left_out"]), (&LATE.into(), &LATE.into(), &0.into()), "{state}");
    view.end();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn rows_of_what_came_late_are_added_up() {
    let mut line = Line::on_servers("view-delta");
    line.set_aggregate("late", "delta");
    aggregate_with_restarts(&line, &times());
    let view = View::of(&line, &[]);
    view.wait_for_cells(closed_sums(&line).len());
    view.end();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn it_begins_before_the_topics_and_goes_on_while_they_grow() {
    let line = Line::on_servers("view-grows");
    let view = View::of(&line, &[]);
    view.wait_until("the missing subject to be told", |state| {
        state["trouble"].as_str().is_some_and(|it| it.contains("no subject"))
    });
    produce(&line, BEGIN, 6_000, &["--partitions", "4"]);
    // Nobody aggregates: nothing is wrong, and nothing proven.
    let lacks = |state: &Value| state["trouble"].as_str().is_some_and(|it| it.contains("does `pipeline aggregate` run?"));
    let state = view.wait_until("the events", |state| state["events"] == 6_000 && lacks(state));
    assert_eq!((&state["verdict"], &state["cells"]), (&"waiting".into(), &0.into()), "{state}");
    catch_up(&line, &[]);
    view.wait_for_cells(closed_sums(&line).len());

    // A record of long ago, which the aggregate has not seen: it is not to blame. Then it is a dead letter.
    produce(&line, BEGIN, 1, &[]);
    produce(&line, BEGIN + 10 * MINUTE, 6_000, &[]);
    let state = view.wait_until("more events", |state| state["events"] == 12_001 && lacks(state));
    assert_ne!(state["verdict"], "differs");
    catch_up(&line, &[]);
    let state = view.wait_until("the dead letter", |state| state["late"] == 1 && state["verdict"] == "equal" && !lacks(state));
    assert_eq!(state["differences"], Value::Array(Vec::new()));

    // The sink is emptied, and written again.
    let cells = state["equal"].clone();
    line.run(&["aggregate", "--reset", "--until-caught-up"], LIMIT).expect(0);
    view.wait_until("the proof of the new rows", |state| {
        assert_ne!(state["verdict"], "differs", "{state}");
        state["verdict"] == "equal" && state["equal"] == cells && state["reading"].is_null()
    });
    view.end();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_row_that_is_not_right_is_found() {
    let line = Line::on_servers("view-wrong");
    produce(&line, BEGIN, 3_000, &[]);
    catch_up(&line, &[]);
    // The rows of the first minute cannot be judged: others may have been deleted with what was before them.
    let cells = closed_sums(&line).len() - 3;
    // All rows anew, but one with another sum, and one not.
    let mut rows = line.topics.read(&line.sink, Isolation::Committed);
    *rows[5].value.as_mut().unwrap().last_mut().unwrap() ^= 2;
    line.topics.delete_records(&line.sink);
    line.topics.write(
        &line.sink,
        rows.iter()
            .enumerate()
            .filter(|(number, _)| *number != 7)
            .map(|(_, row)| (Some(0), row.key.as_deref(), row.value.as_deref())),
    );
    let view = View::of(&line, &[]);
    let state = view.wait_until("both differences", |state| state["differences"].as_array().unwrap().len() == 2);
    let what: Vec<&str> = state["differences"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert_eq!((what, &state["equal"], &state["cells"]), (vec!["wrong", "missing"], &(cells - 2).into(), &cells.into()));
    assert_eq!(state["left_out"], 3);
    view.end();
}
