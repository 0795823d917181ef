//! A cell of a question: what the topic comes to, and whether an answer is that. Pure.

use std::collections::VecDeque;

use super::freshness::Latencies;
use super::progress::PATIENCE_MS;
use crate::config::Function;
use crate::proof::Tally;

/// Numbers up to here are whole without loss.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// One value for each metric; `None`: null, or nothing.
pub type Values = Vec<Option<f64>>;

/// A record that changed a cell.
#[derive(Debug)]
pub struct Change {
    /// What the cell was before.
    pub before: Vec<Tally>,
    /// When it was read, ms.
    read_ms: i64,
    /// Its Kafka timestamp, ms.
    written_ms: Option<i64>,
    /// Its event time, ms.
    event_ms: i64,
    /// An answer showed it.
    seen: bool,
}

/// A cell: what the topic comes to, and what it came to lately.
#[derive(Debug, Default)]
pub struct Cell {
    /// One for each metric.
    pub tallies: Vec<Tally>,
    /// What changed it lately, the oldest first.
    pub changes: VecDeque<Change>,
    /// Changes were dropped until this time, ms.
    pub blurred_until: i64,
    /// An answer was right, at some time.
    pub was_right: bool,
}

impl Cell {
    /// Keeps a change, in place of an older one if that must be; returns how many it gave up for it.
    pub fn remember(&mut self, is_full: bool, read_ms: i64, written_ms: Option<i64>, event_ms: i64) -> usize {
        if is_full {
            self.blurred_until = read_ms + PATIENCE_MS;
            if self.changes.pop_front().is_none() {
                return 1;
            }
        }
        let before = self.tallies.clone();
        self.changes.push_back(Change { before, read_ms, written_ms, event_ms, seen: false });
        usize::from(is_full)
    }

    /// Forgets older changes; returns how many.
    pub fn forget_before(&mut self, time_ms: i64) -> usize {
        let old = self.changes.iter().take_while(|change| change.read_ms < time_ms).count();
        self.changes.drain(..old).count()
    }

    /// Whether this is what the cell comes to, or came to lately; what it shows is seen.
    pub fn is_right(
        &mut self,
        functions: &[Function],
        found: &Values,
        tolerance: f64,
        now_ms: i64,
        latencies: &mut Latencies,
    ) -> bool {
        let is = |tallies: &[Tally]| {
            let mut pairs = tallies.iter().zip(functions).zip(found);
            let same = |((tally, function), found): ((&Tally, &Function), &Option<f64>)| {
                is_same(tally.result(*function), *found, tolerance, tally.magnitude(*function))
            };
            if tallies.is_empty() { found.iter().all(Option::is_none) } else { pairs.all(same) }
        };
        let shows = if is(&self.tallies) {
            self.changes.len()
        } else {
            let Some(state) = self.changes.iter().rposition(|change| is(&change.before)) else { return false };
            state
        };
        for change in self.changes.iter_mut().take(shows).filter(|change| !change.seen) {
            change.seen = true;
            latencies.add(now_ms, change.written_ms, change.event_ms);
        }
        true
    }
}

/// What each metric comes to.
pub fn results(tallies: &[Tally], functions: &[Function]) -> Values {
    tallies.iter().zip(functions).map(|(tally, function)| tally.result(*function)).collect()
}

/// Whether two numbers are the same: whole ones to the digit, others nearly, by the magnitude of what was added up.
pub fn is_same(a: Option<f64>, b: Option<f64>, tolerance: f64, magnitude: f64) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            let is_whole = |value: f64| value.fract() == 0.0 && value.abs() < WHOLE;
            if is_whole(a) && is_whole(b) {
                a.total_cmp(&b).is_eq() || a == 0.0 && b == 0.0
            } else {
                (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(magnitude) || a.is_nan() && b.is_nan()
            }
        }
        (a, b) => a.is_none() && b.is_none(),
    }
}
