//! How long it is waited for what is not yet right. Pure.

/// So long an answer may be behind the topic, ms.
pub const PATIENCE_MS: i64 = 20_000;

/// Whether there are ever fewer of what is not yet right.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// The fewest, and since when, ms.
    fewest: Option<(u64, i64)>,
}

impl Progress {
    /// There are so many now.
    pub fn note(&mut self, count: u64, now_ms: i64) {
        if count == 0 {
            // What comes later is another matter.
            self.fewest = None;
        } else if self.fewest.is_none_or(|(fewest, _)| count < fewest) {
            self.fewest = Some((count, now_ms));
        }
    }

    /// Whether what has been wrong since then (ms) will stay so: it got no better, nor did the rest.
    pub fn has_ended(self, since_ms: i64, now_ms: i64) -> bool {
        let fewest_since = self.fewest.map_or(now_ms, |(_, since_ms)| since_ms);
        now_ms - fewest_since.max(since_ms) >= PATIENCE_MS
    }
}
