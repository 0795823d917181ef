//! What the engine knows of one partition.

use std::collections::BTreeMap;

/// How far a partition has come, as it is committed beside its offset and found again after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The offset after the last record that was read.
    pub position: i64,
    /// Windows that end at or before this time (ms) are closed for this partition, with rows or without.
    pub closed_through: i64,
    /// The greatest event time seen, ms; `None` before the first record.
    pub max_event_time: Option<i64>,
}

impl Progress {
    /// Of a partition that nothing was read of.
    pub fn starting_at(position: i64) -> Self {
        Self { position, closed_through: i64::MIN, max_event_time: None }
    }
}

/// What a transaction says of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// The partition.
    pub partition: i32,
    /// Where to read from after a restart.
    pub offset: i64,
    /// The rest of what a restart needs.
    pub progress: Progress,
}

/// One assigned partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub progress: Progress,
    /// Whether it is silent, and so does not hold the watermark. Not kept over a restart: it may have ended in between.
    pub idle: bool,
    /// The offset of the last record that was an event.
    pub last_event: Option<i64>,
    /// Records below this offset were read before the restart.
    pub replay_until: i64,
    /// The offset of the first record in each open window, by window start.
    pub first_offsets: BTreeMap<i64, i64>,
}

impl Partition {
    pub fn restored(offset: i64, progress: Progress) -> Self {
        let replay_until = progress.position;
        let progress = Progress { position: offset, ..progress };
        Self { progress, idle: false, last_event: None, replay_until, first_offsets: BTreeMap::new() }
    }

    pub fn replaying(&self) -> bool {
        self.progress.position < self.replay_until
    }

    /// Moves the position; returns whether that ended this partition's replay.
    pub fn advance(&mut self, position: i64) -> bool {
        let replaying = self.replaying();
        self.progress.position = self.progress.position.max(position);
        replaying && !self.replaying()
    }

    /// What a transaction says of this partition, whose number this is.
    ///
    /// The offset is that of the oldest record in an open window. Offsets rise but event times do not, so the oldest window need
    /// not hold it. In the midst of a replay the position is still the one before the restart: what lies between was read.
    pub fn commit(&self, partition: i32) -> Commit {
        let offset = self.first_offsets.values().copied().min().unwrap_or(self.progress.position);
        let position = self.progress.position.max(self.replay_until);
        Commit { partition, offset, progress: Progress { position, ..self.progress } }
    }
}
