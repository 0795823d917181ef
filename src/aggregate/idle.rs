//! When a partition counts as silent. Pure: the clock comes in as an argument.
//!
//! Silent is only a partition that was read to the end of its log and whose broker kept answering "nothing new" for the whole
//! timeout. A backlog, a pause, a broker that does not answer, a process that was suspended: none of them is silence.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Watches the assigned partitions.
#[derive(Debug)]
pub struct IdleWatch {
    timeout: Duration,
    quiet: HashMap<i32, Quiet>,
}

#[derive(Debug, Clone, Copy)]
struct Quiet {
    last_event: Option<i64>,
    since: Instant,
    last: Instant,
}

impl IdleWatch {
    /// A partition is idle after this long.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, quiet: HashMap::new() }
    }

    /// Takes in that at `now` the partition was read to its end, or not, and that its last event was at this offset; returns
    /// whether it is idle; `None`: it is too early to tell. Answers further apart than `gap` leave room in which anything may have
    /// happened.
    pub fn observe(
        &mut self,
        partition: i32,
        at_end: bool,
        last_event: Option<i64>,
        now: Instant,
        gap: Duration,
    ) -> Option<bool> {
        if !at_end {
            self.quiet.remove(&partition);
            return Some(false);
        }
        let begin = Quiet { last_event, since: now, last: now };
        let quiet = self.quiet.entry(partition).or_insert(begin);
        if quiet.last_event != last_event || now.duration_since(quiet.last) > gap {
            *quiet = begin;
            return Some(false);
        }
        quiet.last = now;
        (now.duration_since(quiet.since) >= self.timeout).then_some(true)
    }

    /// The same of every partition.
    pub fn forget_all(&mut self) {
        self.quiet.clear();
    }

    /// Takes in that nothing is known of the partition: it is paused, or its broker did not answer.
    pub fn forget(&mut self, partition: i32) {
        self.quiet.remove(&partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds (seconds, read to the end, offset of the last event) and tells whether the partition is idle in the end.
    fn idle(observations: &[(u64, bool, i64)]) -> bool {
        let begin = Instant::now();
        let mut watch = IdleWatch::new(Duration::from_secs(10));
        let mut observe = |(seconds, at_end, event): &(u64, bool, i64)| {
            watch.observe(0, *at_end, Some(*event), begin + Duration::from_secs(*seconds), Duration::from_secs(5))
        };
        observations.iter().map(&mut observe).last().flatten() == Some(true)
    }

    #[test]
    fn silence_at_the_end_of_the_log_is_idle_after_the_timeout() {
        assert!(!idle(&[(0, true, 5), (4, true, 5), (8, true, 5)]));
        assert!(idle(&[(0, true, 5), (4, true, 5), (8, true, 5), (10, true, 5)]));
    }

    #[test]
    fn a_backlog_a_new_event_or_a_gap_is_not_silence() {
        assert!(!idle(&[(0, true, 5), (4, false, 5), (8, true, 5), (10, true, 5)]), "backlog");
        assert!(!idle(&[(0, true, 5), (4, true, 6), (8, true, 6), (10, true, 6)]), "new event");
        assert!(!idle(&[(0, true, 5), (20, true, 5)]), "no answers in between: suspended, or the broker was away");
        assert!(!idle(&[(0, true, 5), (4, true, 5), (8, true, 5), (12, true, 5), (20, true, 5)]), "not any more");
    }
}
