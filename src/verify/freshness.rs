//! How long it takes from one place to the next. Pure.

use std::collections::VecDeque;

use super::report::Freshness;

/// The last so many are kept of each path.
const KEPT: usize = 10_000;

/// The last latencies of one path, ms.
#[derive(Debug, Clone, Default)]
pub struct Path(VecDeque<i64>);

impl Path {
    /// Takes one in, ms. Clocks that differ make it negative.
    pub fn add(&mut self, latency_ms: i64) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(latency_ms);
    }

    /// In figures; `None`: there are none.
    pub fn told(&self, path: &str) -> Option<Freshness> {
        let mut sorted: Vec<i64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let at = |share: f64| sorted.get(((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied();
        Some(Freshness {
            path: path.to_owned(),
            count: sorted.len() as u64,
            p50_ms: at(0.5)?,
            p99_ms: at(0.99)?,
            max_ms: at(1.0)?,
        })
    }
}

/// What an answer tells of the way to it.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// From a record's Kafka timestamp on.
    pub since_written: Path,
    /// From its event time on.
    pub since_event: Path,
}

impl Latencies {
    /// A record was first seen in an answer that was complete at `now_ms`.
    pub fn add(&mut self, now_ms: i64, written_ms: Option<i64>, event_ms: i64) {
        written_ms.into_iter().for_each(|written_ms| self.since_written.add(now_ms - written_ms));
        self.since_event.add(now_ms - event_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_are_faster_and_one_in_a_hundred_is_slower() {
        let mut path = Path::default();
        assert_eq!(path.told("a"), None);
        (1..=100).rev().for_each(|latency| path.add(latency));
        let told = path.told("a").unwrap();
        assert_eq!((told.count, told.p50_ms, told.p99_ms, told.max_ms), (100, 50, 99, 100));
        (0..KEPT).for_each(|_| path.add(7));
        assert_eq!(path.told("a").map(|told| (told.count, told.max_ms)), Some((KEPT as u64, 7)));
    }
}
