//! Against a real Kafka and a real registry.

mod alone;
mod created;
mod decimals;
mod evolution;
mod init;
mod instances;
mod letters;
mod metrics;
mod nested;
mod poison;
mod refusals;
mod registry;
mod resets;
mod restarts;
mod rows;
mod starts;
mod view;

use std::time::Duration;

use crate::harness::{Line, Sums, closed, sums};

/// The first event of most tests.
const BEGIN: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;
/// As the shipped pipeline file has it.
const LATENESS: i64 = 5_000;
/// No single run takes longer, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// A number that the environment may give.
fn setting(name: &str, default: i64) -> i64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Writes ten events a second, from a time on.
#[track_caller]
fn produce(line: &Line, from_ms: i64, count: u32, more: &[&str]) {
    let (from, count) = (from_ms.to_string(), count.to_string());
    let fixed = ["produce", "--from", &from, "--count", &count, "--rate", "10", "--max-speed", "--seed", "1"];
    line.run(&[&fixed[..], more].concat(), LIMIT).expect(0);
}

/// Reads to the end of the source.
#[track_caller]
fn catch_up(line: &Line, more: &[&str]) {
    line.run(&[&["aggregate", "--until-caught-up"][..], more].concat(), LIMIT).expect(0);
}

/// The sums of the minutes that the watermark has closed when all is read.
fn closed_sums(line: &Line) -> Sums {
    let (sums, latest) = sums(line);
    closed(&sums, latest, LATENESS)
}
