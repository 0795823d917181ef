//! Waiting for the schema registry: while it does not answer, nothing is read, but nobody is kept waiting either.

use std::time::{Duration, Instant};

use rdkafka::Message;

use super::control::Control;
use super::turn::{Interrupted, Turn};
use super::work::Work;
use crate::error::{Error, Kind};
use crate::kafka::Source;

/// How long, and how often, the registry is asked for a schema before giving up.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
/// The longest that a stop goes unnoticed.
const POLL: Duration = Duration::from_millis(50);

type Result<T> = std::result::Result<T, Interrupted>;

/// What it takes to wait.
pub(super) struct Patience<'s> {
    pub source: &'s Source,
    pub turn: &'s Turn<'s>,
    pub control: &'s Control,
    /// The partitions that are not paused.
    pub fetching: Vec<i32>,
}

/// What became of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Learnt {
    /// The registry answered.
    AtOnce,
    /// It answered after a while in which nothing was read.
    Waited,
    /// Told to stop before it answered.
    Stopped,
}

impl Patience<'_> {
    /// Learns a schema.
    pub fn learn(&self, work: &mut Work<'_>, id: u32) -> Result<Learnt> {
        let mut since = None;
        while let Err(error) = work.learn(id) {
            let begin = *since.get_or_insert_with(Instant::now);
            if error.kind != Kind::Unreachable || begin.elapsed() >= LIMIT {
                return Err(Interrupted::GiveUp(error));
            }
            if self.control.is_stopping() {
                return Ok(Learnt::Stopped);
            }
            tracing::warn!("{error}; asking again");
            self.set_paused(true)?;
            self.wait()?;
        }
        if since.is_none() {
            return Ok(Learnt::AtOnce);
        }
        self.set_paused(false)?;
        Ok(Learnt::Waited)
    }

    fn set_paused(&self, paused: bool) -> crate::error::Result<()> {
        self.fetching.iter().try_for_each(|partition| self.source.set_paused(*partition, paused))
    }

    fn wait(&self) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < PAUSE && !self.control.is_stopping() {
            self.control.beat("waiting for the schema registry");
            self.turn.check()?;
            // All partitions are paused: there is no record that could be lost here.
            if let Some(record) = self.source.poll(POLL) {
                let record = record?;
                let what = format!("a record of paused partition {} came", record.partition());
                return Err(Interrupted::StartOver(Error::new(Kind::Failed, what)));
            }
        }
        Ok(())
    }
}
