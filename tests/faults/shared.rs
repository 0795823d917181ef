//! Cases of several instances that share a topic: they come, go, die and lose their sessions in the midst of each other's work.

use std::time::{Duration, Instant};

use crate::cases::{END, MAY_END, REACH, Striker};
use crate::harness::Running;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Points inside a transaction. While others write, the log does not tell whose transaction is open.
const INSIDE: [&str; 2] = ["after-flush", "after-offsets"];

impl Striker<'_> {
    /// Each case has names of its own: who comes back with its name within the session's time has its old share, and no partition
    /// is handed over.
    fn share(&mut self, name: &str, faults: &str) -> Running {
        let name = format!("{name}{}", self.outcome.case);
        self.group.start(faults, None, &["--instance", &name])
    }

    /// Each instance comes when the others are at work, so that all have to hand partitions over.
    pub fn rebalance(&mut self, point: &str, arrival: u32) {
        let count = self.random.between(2, 4);
        self.group.wait_for_no_members();
        let before = self.group.position();
        let mut victim = self.share(NAMES[0], &format!("kill {point} {arrival}"));
        self.group.wait_for_progress(&mut victim, before, REACH);
        let mut others = Vec::new();
        for name in NAMES.iter().take(usize::try_from(count).expect("few")).skip(1) {
            std::thread::sleep(Duration::from_millis(self.random.between(500, 2_500).cast_unsigned()));
            others.push(self.share(name, ""));
        }
        let deadline = Instant::now() + REACH;
        while victim.is_alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let alive = victim.is_alive();
        if alive {
            victim.kill_nine();
        }
        let killed = self.ended(&victim.wait(END), &[]).is_none();
        self.outcome.reached = !alive && killed;
        self.outcome.kills += usize::from(killed);
        self.outcome.kills_inside += usize::from(self.outcome.reached && INSIDE.contains(&point));
        // Its share goes to who comes with its name, or after its session's end to others.
        let name = if self.random.once_in(2) { NAMES[0] } else { NAMES[4] };
        let mut last = self.share(name, "");
        self.group.wait_for_handover(&mut last, END);
        self.end_all(others);
        self.kill_inside(last);
    }

    pub fn session_lost(&mut self, point: &str, arrival: u32) {
        self.group.wait_for_no_members();
        let mut first = self.share(NAMES[0], &format!("stop {point} {arrival}"));
        let mut second = self.share(NAMES[1], "");
        let deadline = Instant::now() + REACH;
        while first.is_alive() && !first.is_stopped() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if first.is_stopped() {
            self.outcome.reached = true;
            self.outcome.stops_inside += 1;
            self.group.wait_for_handover(&mut second, END);
            first.go_on();
            self.leave_alone(&mut first);
        }
        self.end_all(vec![first]);
        self.kill_inside(second);
    }

    fn end_all(&mut self, processes: Vec<Running>) {
        for mut process in processes {
            if process.is_alive() {
                process.terminate();
            }
            self.ended(&process.wait(END), &[0, MAY_END[0], MAY_END[1]]);
        }
    }
}
