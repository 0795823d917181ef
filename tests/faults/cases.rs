//! One case: start the program, let the fault strike, see how it ends.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::deck::Fault;
use crate::group::{Group, LIMIT};
use crate::harness::Random;
use crate::harness::{Ended, Isolation, Running, wait_for};
use crate::judge::Watch;
use crate::proxy::{END_TXN, Proxy, Rule};
use crate::stack::Stack;

/// A point that is not reached within this is given up, and the program killed where it is.
pub const REACH: Duration = Duration::from_secs(15);
/// The program ends by itself within this after the broker has given up its transaction, or is back.
pub const END: Duration = Duration::from_secs(90);
/// A request that got no answer is given up after less than this.
const ASKING: Duration = Duration::from_secs(11);
/// A transaction is seen open within this, if any is.
const AIM: Duration = Duration::from_secs(5);
/// Unreachable, fenced: how a run may end by itself when the network or the broker fails.
pub const MAY_END: [i32; 2] = [69, 75];

/// What became of a case.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub case: usize,
    pub kind: String,
    pub fault: String,
    /// Whether the fault struck where it was meant to.
    pub reached: bool,
    /// SIGKILLs of the program,
    pub kills: usize,
    /// and those of them that left an open transaction at the broker.
    pub kills_inside: usize,
    /// SIGSTOPs that did.
    pub stops_inside: usize,
    /// Exit codes of runs that ended by themselves or were asked to.
    pub codes: Vec<i32>,
    /// What those said that failed.
    pub said: Vec<String>,
    pub seconds: f64,
    /// What must not be.
    pub problems: Vec<String>,
}

pub struct Striker<'a> {
    pub stack: &'a Stack,
    pub proxy: &'a Proxy,
    pub group: &'a Group,
    pub random: Random,
    pub outcome: Outcome,
}

impl Striker<'_> {
    pub fn strike(mut self, fault: Fault) -> Outcome {
        let begin = Instant::now();
        match fault {
            Fault::Point(point, arrival) => self.at_a_point(point, arrival),
            Fault::Random(time) => self.at_random(time),
            Fault::Aimed(time) => self.aimed(time),
            Fault::CommitUnanswered(number) => self.at_a_commit(Rule::KeepAnswer(number), false),
            Fault::AnswerLost(number) => self.at_a_commit(Rule::KeepAnswer(number), true),
            Fault::CommitLost(number) => self.at_a_commit(Rule::KeepRequest(END_TXN, number), true),
            Fault::Delay(time) => self.delayed(time),
            Fault::Hold(number, time) => self.held(number, time),
            Fault::Reset(times) => self.reset(times),
            Fault::Stopped(point, arrival) => self.stopped(point, arrival),
            Fault::Zombie(point, arrival) => self.zombie(point, arrival),
            Fault::ZombieAsking(api, arrival) => self.zombie_asking(api, arrival),
            Fault::Broker(arrival) => self.without_broker(arrival),
            Fault::Rebalance(point, arrival) => self.rebalance(point, arrival),
            Fault::SessionLost(point, arrival) => self.session_lost(point, arrival),
        }
        self.proxy.set(Rule::Pass);
        self.outcome.seconds = (begin.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        self.outcome
    }

    /// Half of the runs go on at the end of the topic, half end there.
    fn start(&mut self, faults: &str, through: Option<&str>) -> Running {
        let more: &[&str] = if self.random.once_in(2) { &["--until-caught-up"] } else { &[] };
        self.group.start(faults, through, more)
    }

    fn start_proxied(&mut self, rule: Rule) -> Running {
        self.proxy.set(rule);
        let address = self.proxy.address();
        self.start("", Some(&address))
    }

    fn at_a_point(&mut self, point: &str, arrival: u32) {
        let mut process = self.start(&format!("kill {point} {arrival}"), None);
        let deadline = Instant::now() + REACH;
        while process.is_alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if process.is_alive() {
            return self.kill(process);
        }
        self.outcome.reached = self.ended(&process.wait(END), &[0]).is_none();
        self.killed();
    }

    fn at_random(&mut self, time: Duration) {
        let process = self.start("", None);
        std::thread::sleep(time);
        self.outcome.reached = true;
        self.kill(process);
    }

    fn aimed(&mut self, time: Duration) {
        let process = self.start("", None);
        std::thread::sleep(time);
        self.outcome.reached = self.kill_inside(process);
    }

    fn at_a_commit(&mut self, rule: Rule, reset: bool) {
        let mut process = self.start_proxied(rule);
        self.outcome.reached = self.is_kept(&mut process);
        if reset {
            self.proxy.set(Rule::Pass);
            self.proxy.reset();
            self.leave_alone(&mut process);
            self.end(process);
        } else {
            self.kill(process);
        }
    }

    /// Waits until the proxy keeps what its rule says; whether it does.
    fn is_kept(&self, process: &mut Running) -> bool {
        let deadline = Instant::now() + REACH;
        while !self.proxy.has_kept() && process.is_alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.proxy.has_kept()
    }

    fn delayed(&mut self, time: Duration) {
        let mut process = self.start_proxied(Rule::Delay(time));
        self.outcome.reached = true;
        self.leave_alone(&mut process);
        self.end(process);
    }

    fn held(&mut self, commits: u32, time: Duration) {
        let mut process = self.start_proxied(Rule::Pass);
        let deadline = Instant::now() + REACH;
        while self.proxy.commits() < commits && process.is_alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.outcome.reached = self.proxy.commits() >= commits;
        self.proxy.set(Rule::Hold);
        std::thread::sleep(time);
        self.proxy.set(Rule::Pass);
        self.leave_alone(&mut process);
        self.end(process);
    }

    fn reset(&mut self, times: u32) {
        let mut process = self.start_proxied(Rule::Pass);
        for _ in 0..times {
            std::thread::sleep(Duration::from_millis(self.random.between(200, 1_500).cast_unsigned()));
            self.proxy.reset();
        }
        self.outcome.reached = true;
        self.leave_alone(&mut process);
        self.end(process);
    }

    /// Stops the program inside a transaction; `None` if it did not get there.
    fn hold_inside(&mut self, point: &str, arrival: u32) -> Option<Running> {
        let mut process = self.start(&format!("stop {point} {arrival}"), None);
        let deadline = Instant::now() + REACH;
        while process.is_alive() && !process.is_stopped() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !process.is_stopped() {
            self.end(process);
            return None;
        }
        self.outcome.reached = true;
        self.outcome.stops_inside += usize::from(self.group.is_inside());
        Some(process)
    }

    fn stopped(&mut self, point: &str, arrival: u32) {
        let Some(process) = self.hold_inside(point, arrival) else { return };
        wait_for("the broker to give the transaction up", LIMIT, || (!self.group.is_inside()).then_some(()));
        let rows = || self.group.line.topics.ends(&self.group.line.sink, Isolation::Uncommitted);
        let before = rows();
        process.go_on();
        self.ended(&process.wait(END), &MAY_END);
        if rows() != before {
            self.outcome.problems.push(format!("it wrote after its transaction was given up: {before:?}, now {:?}", rows()));
        }
    }

    fn zombie(&mut self, point: &str, arrival: u32) {
        if let Some(first) = self.hold_inside(point, arrival) {
            self.taken_over(first, Duration::ZERO);
        }
    }

    fn zombie_asking(&mut self, api: i16, arrival: u32) {
        let mut first = self.start_proxied(Rule::KeepRequest(api, arrival));
        if !self.is_kept(&mut first) {
            return self.end(first);
        }
        first.stop();
        self.outcome.reached = true;
        self.outcome.stops_inside += usize::from(self.group.is_inside());
        self.proxy.set(Rule::Pass);
        self.taken_over(first, ASKING);
    }

    /// A second instance takes over from one that is suspended, for at least so long; then that goes on, and hears of it.
    fn taken_over(&mut self, first: Running, suspended: Duration) {
        let (begin, before) = (Instant::now(), self.group.position());
        let mut second = self.start("", None);
        if !self.group.wait_for_progress(&mut second, before, END) {
            self.outcome.problems.push(format!("the second instance ended: {}", second.stderr()));
        }
        std::thread::sleep(suspended.saturating_sub(begin.elapsed()));
        first.go_on();
        self.ended(&first.wait(END), &[75]);
        self.kill_inside(second);
    }

    fn without_broker(&mut self, arrival: u32) {
        let Some(mut process) = self.hold_inside("after-flush", arrival) else { return };
        self.stack.kill_broker();
        process.go_on();
        self.stack.revive_broker();
        self.leave_alone(&mut process);
        self.end(process);
    }

    /// Lets the program go on until it has committed something, or has ended.
    pub fn leave_alone(&mut self, process: &mut Running) {
        self.group.wait_for_progress(process, self.group.position(), REACH);
    }

    /// Kills what still runs, or asks it to end.
    pub fn end(&mut self, mut process: Running) {
        let ask = self.random.once_in(4);
        if process.is_alive() && !ask {
            self.kill_inside(process);
            return;
        }
        if ask {
            self.proxy.set(Rule::Pass);
            if process.is_alive() {
                process.terminate();
            }
        }
        self.ended(&process.wait(END), &[0, MAY_END[0], MAY_END[1]]);
    }

    /// Kills it when a transaction is seen open, or when none is for long; returns whether one was seen.
    pub fn kill_inside(&mut self, mut process: Running) -> bool {
        let (watch, deadline) = (Watch::new(&self.group.line), Instant::now() + AIM);
        let mut seen = false;
        // A tight loop: a transaction is open for a few milliseconds only.
        while !seen && process.is_alive() && Instant::now() < deadline {
            seen = watch.sees_one();
        }
        self.kill(process);
        seen
    }

    fn kill(&mut self, mut process: Running) {
        if process.is_alive() {
            process.kill_nine();
            return self.killed();
        }
        self.ended(&process.wait(END), &[0, MAY_END[0], MAY_END[1]]);
    }

    fn killed(&mut self) {
        self.outcome.kills += 1;
        self.outcome.kills_inside += usize::from(self.group.is_inside());
    }

    /// Takes note of how a run ended: killed (`None`), or by one of these codes.
    pub fn ended(&mut self, ended: &Ended, allowed: &[i32]) -> Option<i32> {
        let code = ended.code?;
        self.outcome.codes.push(code);
        self.outcome.said.extend(ended.stderr.lines().filter(|line| line.starts_with("error: ")).map(str::to_owned));
        if !allowed.contains(&code) || ended.stderr.contains("panicked at") {
            self.outcome.problems.push(format!("exit code {code}, not {allowed:?}:\n{}", ended.stderr));
        }
        Some(code)
    }
}
