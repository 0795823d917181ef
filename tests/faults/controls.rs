//! Negative controls: the program does a thing wrong on purpose, and the judge must find out.

use std::time::Duration;

use pipeline::faults::CONTROLS;

use crate::group::Group;
use crate::harness::wait_for;
use crate::judge::Judgement;
use crate::source::Shape;
use crate::stack::Stack;

const LIMIT: Duration = Duration::from_secs(60);

/// Where a control shows when the program is killed there.
fn telling_point(control: &str) -> &'static str {
    match control {
        "offsets-outside" => "between",
        "state-not-rebuilt" => "after-commit",
        _ => "after-flush",
    }
}

/// Runs each control to its judgement; the name of each, and what was found.
pub fn run(stack: &Stack, seed: u64) -> Vec<(&'static str, Judgement)> {
    CONTROLS.into_iter().zip(0..).map(|(control, number)| (control, one(stack, seed, control, number))).collect()
}

fn one(stack: &Stack, seed: u64, control: &str, number: u64) -> Judgement {
    let shape = Shape { window_ms: 60_000, ..Shape::draw(seed, 1_000_000 + number, false) };
    let mut group = Group::open(stack, format!("faults-{seed}-{control}"), shape, false);
    group.top_up();
    for arrival in [5, 8] {
        let mut process = group.start(&format!("{control}; kill {} {arrival}", telling_point(control)), None, &[]);
        wait_for("the program to kill itself", LIMIT, || (!process.is_alive()).then_some(()));
    }
    // The run to the end recovers: wrongly only if recovery is what the control breaks.
    let judgement = group.finish(if control == "state-not-rebuilt" { control } else { "" });
    group.forget();
    judgement
}
