//! Exactly once, proven by force: the aggregate is killed, stopped, cut off and doubled, against a real Kafka, and then its rows
//! are compared with what the source says they must be.
//!
//! ```text
//! cargo test --release --features faults --test faults -- --seed 1
//! ```
//!
//! The command starts brokers and registries of its own (`tests/stack`), on free ports, and stops them at its end: one of each for
//! instances that are alone, one for those that share a topic, which run beside them. Everything is drawn by the seed: topics,
//! records, faults, moments. What a fault hits at its moment is not: the machine decides that.
//!
//! * [`deck`]: which fault strikes in which case. [`cases`]: how each strikes. [`proxy`]: what stands between program and broker.
//! * [`source`]: what flows in. [`group`]: nine cases share a topic; after them a run without faults goes to its end.
//! * [`judge`]: then the rows and dead letters that readers of committed records see are held against the source's.
//! * [`controls`]: the program does a thing wrong on purpose (`src/faults.rs`), and the judge must say so.
//! * [`report`]: `target/faults/seed-S.jsonl`, a line a case; the table at the end sums it up. Exit code 0: no difference anywhere,
//!   at least half of the kills left an open transaction at the broker, aborted records were in both logs, every control was found
//!   out, no case is missing. `--from K` takes a campaign up again at case K. The lanes are not at the same case: what one of
//!   them had not come to before K is missing then, and the report names the K that brings it.

mod cases;
mod controls;
mod deck;
mod group;
#[path = "../it/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "it is shared with tests/it, which uses the rest")]
mod harness;
mod judge;
mod proxy;
mod report;
mod shared;
mod source;
mod stack;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use clap::Parser;

use cases::{Outcome, Striker};
use deck::{Fault, GROUP};
use group::Group;
use harness::Random;
use proxy::Proxy;
use report::{Entry, Report};
use source::Shape;
use stack::Stack;

/// Kills, stops, cuts off and doubles the aggregate, and compares its rows with the source.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Everything is drawn by this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many cases; a deck has each kind of fault in its share
    #[arg(long, default_value_t = deck::size())]
    cases: usize,
    /// Goes on at this case of an earlier run
    #[arg(long, default_value_t = 1)]
    from: usize,
    /// Only cases of this kind, for example "zombie"
    #[arg(long)]
    only: Option<String>,
}

/// Cases one after the other, with servers of their own. Two lanes run beside each other, since most of a case is waiting.
struct Lane {
    stack: Stack,
    proxy: Proxy,
}

impl Lane {
    fn open(folder: &Path, fresh: bool) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let proxy = Proxy::start();
        let stack = Stack::up(folder, proxy.port, fresh);
        proxy.lead_to(&stack.proxied);
        Self { stack, proxy }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults");
    let begin = Instant::now();
    let lanes = ["alone", "shared"].map(|name| folder.join(name));
    stop_on_signal(lanes.clone());
    let [alone, shared] = lanes.map(|folder| Lane::open(&folder, arguments.from == 1));
    let report = Mutex::new(Report::open(&folder, arguments.seed, arguments.from));
    let (of_alone, of_shared) = groups(&arguments).into_iter().partition::<Vec<_>, _>(|(_, cases)| !is_shared(cases));
    thread::scope(|scope| {
        scope.spawn(|| {
            run(&arguments, of_shared, &shared, &report);
            for (name, found) in controls::run(&shared.stack, arguments.seed) {
                add(&report, Entry::Control { name: name.into(), found });
            }
        });
        run(&arguments, of_alone, &alone, &report);
    });
    let report = report.into_inner().expect("no lane panicked");
    let (text, mut wrong) = report.sum_up();
    let asked_for = groups(&Arguments { from: 1, ..arguments.clone() });
    wrong.extend(report.missing(asked_for.iter().map(|(_, cases)| cases.as_slice())));
    println!("\n{text}seed {}, {} s, {}", arguments.seed, begin.elapsed().as_secs(), report.path().display());
    if wrong.is_empty() {
        [alone, shared].iter().for_each(|lane| lane.stack.wipe());
        println!("passed");
        return ExitCode::SUCCESS;
    }
    println!("FAILED:\n{}", wrong.join("\n"));
    ExitCode::FAILURE
}

fn add(report: &Mutex<Report>, entry: Entry) {
    report.lock().expect("no lane panicked").add(entry);
}

/// The cases of each topic, by the topic's number; topics without a case that was asked for are left out.
fn groups(arguments: &Arguments) -> Vec<(usize, Vec<(usize, Fault)>)> {
    let group = |number: usize| {
        let first = arguments.from.max(number * GROUP + 1);
        let last = arguments.cases.min((number + 1) * GROUP);
        let faults = (first..=last).map(|case| (case, deck::fault(arguments.seed, case)));
        let chosen = faults.filter(|(_, fault)| arguments.only.as_ref().is_none_or(|kind| *kind == fault.kind()));
        (number, chosen.collect())
    };
    let numbers = (arguments.from - 1) / GROUP..arguments.cases.div_ceil(GROUP);
    numbers.map(group).filter(|(_, cases): &(usize, Vec<_>)| !cases.is_empty()).collect()
}

fn is_shared(cases: &[(usize, Fault)]) -> bool {
    cases.iter().any(|(_, fault)| deck::is_shared(*fault))
}

fn run(arguments: &Arguments, groups: Vec<(usize, Vec<(usize, Fault)>)>, lane: &Lane, report: &Mutex<Report>) {
    for (number, cases) in groups {
        one_topic(arguments.seed, number, &cases, lane, report);
    }
}

fn one_topic(seed: u64, number: usize, cases: &[(usize, Fault)], lane: &Lane, report: &Mutex<Report>) {
    let Lane { stack, proxy } = lane;
    let keyed = is_shared(cases);
    let shape = Shape::draw(seed, u64::try_from(number).expect("few"), keyed);
    let delta = number % 2 == 1;
    let (shared, late) = (if keyed { ", shared" } else { "" }, if delta { ", late = delta" } else { "" });
    let Shape { partitions, stores, window_ms, .. } = shape;
    println!("topic {number}: {partitions} partitions, {stores} stores, windows of {} s{shared}{late}", window_ms / 1_000);
    let mut group = Group::open(stack, format!("faults-{seed}-{number}"), shape, delta);
    for (case, fault) in cases {
        group.top_up();
        let outcome = Outcome { case: *case, kind: fault.kind(), fault: fault.to_string(), ..Outcome::default() };
        let random = Random::new(&[seed, u64::try_from(*case).expect("few"), 0xca5e]);
        let outcome = Striker { stack, proxy, group: &group, random, outcome }.strike(*fault);
        show(&outcome);
        add(report, Entry::Case(outcome));
    }
    let found = group.finish("");
    println!("topic {number}: judge: {found}");
    let is_right = found.differences() == 0;
    add(report, Entry::Judged { case: cases.last().map_or(0, |(case, _)| *case), found });
    // What went wrong is kept, to be looked at.
    if is_right {
        group.forget();
    }
}

fn show(outcome: &Outcome) {
    let Outcome { case, fault, reached, kills, kills_inside, stops_inside, codes, seconds, said, problems, .. } = outcome;
    let missed = if *reached { "" } else { ", missed" };
    println!(
        "case {case:>3}  {fault:<42} {seconds:>5} s  kills {kills}, inside {}, exit codes {codes:?}{missed}",
        kills_inside + stops_inside
    );
    said.iter().for_each(|words| println!("          {words}"));
    problems.iter().for_each(|problem| println!("          PROBLEM: {problem}"));
}

/// Ctrl-C and SIGTERM leave no server and no program behind.
fn stop_on_signal(lanes: [PathBuf; 2]) {
    thread::spawn(move || {
        harness::block_on(async {
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("a handler");
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        });
        end_children();
        lanes.iter().for_each(|folder| stack::stop(folder));
        std::process::exit(130);
    });
}

/// A program that a SIGSTOP holds does not end with its parent. A script that starts a server is asked to: it ends what it began.
fn end_children() {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    for child in children.collect::<String>().split_whitespace() {
        let command = std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
        let signal = if command.contains("tests/stack/") { "-TERM" } else { "-9" };
        // It may have ended.
        let _ = std::process::Command::new("kill").args([signal, child]).status();
    }
}
