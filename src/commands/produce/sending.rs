//! The thread that makes events and writes them, and what others may know of it while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::events::{Events, Scratch};
use crate::engine::generator::{Pace, Random, Schedule};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Tally, Writer};

/// The least and the most that the thread waits at a time: events closer together than the least go out in one burst.
const WAIT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// How long the last events may take to be confirmed: longer than librdkafka tries to deliver them.
const FLUSH: Duration = Duration::from_secs(40);

/// The same when the user wants to go.
const FLUSH_WHEN_STOPPED: Duration = Duration::from_secs(10);

/// What is to be written.
pub(in crate::commands) struct Job {
    pub(super) events: Events,
    pub(super) schema_id: u32,
    pub(super) seed: u64,
    pub(super) schedule: Schedule,
    /// None: no waiting between events.
    pub(super) pace: Option<Pace>,
    /// None: no end.
    pub(super) count: Option<u64>,
    pub(super) writer: Writer,
}

/// What goes between the thread and its watcher.
pub(in crate::commands) struct Shared {
    /// Set by the watcher: make no more events.
    pub(in crate::commands) stop: AtomicBool,
    /// Set by the thread: the last event's time.
    pub(super) time_us: AtomicI64,
}

impl Default for Shared {
    fn default() -> Self {
        Self { stop: AtomicBool::new(false), time_us: AtomicI64::new(i64::MIN) }
    }
}

impl Shared {
    pub(in crate::commands) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What was written in the end.
pub(in crate::commands) struct Outcome {
    /// The first and the last event time.
    pub(super) span_us: Option<(i64, i64)>,
    /// Events that the broker has confirmed.
    pub(super) delivered: u64,
    /// Events that were given up.
    pub(super) failed: u64,
    /// Events that the broker had not confirmed when the time for that was over.
    pub(super) unconfirmed: u64,
}

/// Microseconds since 1970, by the wall clock.
pub(super) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl Job {
    /// What becomes of its events.
    pub(in crate::commands) fn tally(&self) -> Arc<Tally> {
        self.writer.tally()
    }

    /// Makes and writes until the count is reached or the watcher says stop, then waits for the broker's confirmations.
    pub(in crate::commands) fn run(mut self, shared: &Shared) -> Result<Outcome> {
        let span_us = self.write(shared)?;
        let (unconfirmed, tally) = (self.confirm(shared)?, self.writer.tally());
        // Counted before the writer is dropped, which gives up what is still under way.
        Ok(Outcome { span_us, delivered: tally.delivered(), failed: tally.failed(), unconfirmed })
    }

    fn write(&mut self, shared: &Shared) -> Result<Option<(i64, i64)>> {
        let (mut random, mut scratch, mut span_us) = (Random::new(self.seed), Scratch::default(), None);
        let mut number = 0;
        while !shared.stopped() && self.count.is_none_or(|count| number < count) {
            let now_us = now_us();
            let wait_us = self.pace.as_mut().map_or(0, |pace| pace.wait_us(number, now_us));
            if wait_us > 0 {
                self.writer.pause(Duration::from_micros(wait_us.unsigned_abs()).clamp(WAIT.0, WAIT.1))?;
                continue;
            }
            let time_us = self.schedule.time_us(number, now_us);
            self.events.write(self.schema_id, time_us, &mut random, &mut scratch)?;
            while !self.writer.send(scratch.key(), scratch.value())? {
                if shared.stopped() {
                    return Ok(span_us);
                }
            }
            shared.time_us.store(time_us, Ordering::Relaxed);
            span_us = span_us.map_or(Some((time_us, time_us)), |(first, last)| Some((time_us.min(first), time_us.max(last))));
            number += 1;
        }
        Ok(span_us)
    }

    fn confirm(&self, shared: &Shared) -> Result<u64> {
        let started = Instant::now();
        loop {
            let unconfirmed = self.writer.flush(WAIT.1)?;
            let stopped = shared.stopped();
            if unconfirmed == 0 || (stopped && started.elapsed() > FLUSH_WHEN_STOPPED) {
                return Ok(unconfirmed);
            }
            if started.elapsed() > FLUSH {
                let what = format!("the broker has not confirmed {unconfirmed} events within {} s", FLUSH.as_secs());
                return Err(Error::new(Kind::Unreachable, what));
            }
        }
    }
}
