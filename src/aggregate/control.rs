//! The line between the job's thread and the rest of the program: a way to stop it, what it tells, and whether it lives.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use crate::error::{Error, Kind};

/// Nothing that the job does takes longer than this without a beat in between; where librdkafka has no limit of its own, this is it.
const SILENCE: u32 = 60;
/// How often the watchdog looks.
const LOOK: Duration = Duration::from_secs(1);

/// Where the job stands. But for the records, it counts what is committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Records read, those read again after a restart too.
    pub records: u64,
    /// Rows committed.
    pub rows: u64,
    /// Late records.
    pub late: u64,
    /// Records, and rows, that could not be used.
    pub poison: u64,
    /// Dead letters, by cause.
    pub letters: BTreeMap<&'static str, u64>,
    /// Transactions committed.
    pub commits: u64,
    /// The watermark, ms.
    pub watermark: Option<i64>,
    /// Windows open.
    pub open_windows: usize,
    /// Partitions read by this instance.
    pub partitions: usize,
    /// Offsets to read again when the session began.
    pub replay_total: i64,
    /// Offsets still to read again.
    pub replay_left: i64,
    /// Offsets between where reading is and where the partitions end, control records too; `None` as long as the ends are unknown.
    pub input_lag: Option<i64>,
    /// A session has begun: it has its partitions and knows where they were left.
    pub has_begun: bool,
}

/// The bounds of [`Control::transactions`]'s buckets, seconds.
const TRANSACTION_BUCKETS: [f64; 10] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// Shared by the job and who watches it.
#[derive(Debug)]
pub struct Control {
    stop: AtomicBool,
    snapshot: Mutex<Snapshot>,
    beats: AtomicU64,
    doing: Mutex<&'static str>,
    /// How long transactions take, seconds.
    pub transactions: Histogram,
}

/// A handle of it.
pub type Status = Arc<Control>;

impl Default for Control {
    fn default() -> Self {
        Self {
            stop: AtomicBool::default(),
            snapshot: Mutex::default(),
            beats: AtomicU64::default(),
            doing: Mutex::default(),
            transactions: Histogram::new(TRANSACTION_BUCKETS),
        }
    }
}

impl Control {
    /// Asks the job to end: it commits what it has and returns.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Where the job stands; at most a quarter of a second old.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// A sign of life, and what comes next.
    pub(super) fn beat(&self, doing: &'static str) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }

    /// What the job was about to do at its last sign of life.
    pub fn doing(&self) -> &'static str {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watchdog: returns when the job has given no sign of life for 60 s.
    ///
    /// It counts its own looks, not the clock: a process that was suspended is not stuck. Some of librdkafka's transaction calls
    /// have been seen to hang (librdkafka#4420); nothing but the end of the process helps then.
    pub async fn stuck(&self) -> Error {
        self.silent_for(SILENCE, LOOK).await;
        Error::new(Kind::Watchdog, format!("no sign of life for {SILENCE} s while {}", self.doing()))
            .hint("nothing is lost: start it again, and it goes on from its last commit")
    }

    async fn silent_for(&self, looks: u32, pause: Duration) {
        let (mut beats, mut silence) = (0, 0);
        while silence < looks {
            tokio::time::sleep(pause).await;
            let now = self.beats.load(Ordering::Relaxed);
            silence = if now == beats { silence + 1 } else { 0 };
            beats = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_watchdog_barks_only_without_a_beat() {
        let control = Control::default();
        let pause = Duration::from_millis(20);
        let alive = async {
            for _ in 0..100 {
                tokio::time::sleep(pause / 4).await;
                control.beat("reading");
            }
        };
        tokio::select! {
            () = control.silent_for(5, pause) => panic!("it beat all the time"),
            () = alive => {}
        }
        control.silent_for(5, pause).await;
        assert_eq!(control.doing(), "reading");
    }
}
