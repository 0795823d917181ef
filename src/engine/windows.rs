//! The engine: open windows, the watermark, and closing.

use std::collections::BTreeMap;

use super::accumulator::{Function, Number};
use super::partition::{Commit, Partition, Progress};
use super::window::Window;

/// Event times beyond this many milliseconds from the epoch are no times (the range of ECMAScript's Date): it keeps window
/// arithmetic far from overflow.
const TIME_RANGE: i64 = 8_640_000_000_000_000;

/// A partition this many windows ahead of the watermark is read no further until the others catch up,
const WINDOWS_AHEAD: i64 = 10;
/// but only while there are more open cells than this (some 25 MB with one measure). To pause is dear: it throws away what the
/// client had fetched, and made four partitions three to five times slower than one. What it is for is to bound the memory.
const CELL_BUDGET: usize = 200_000;

/// What is computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Window length, ms, greater than zero.
    pub window_ms: i64,
    /// Shift of the window boundaries, ms.
    pub offset_ms: i64,
    /// The watermark is the greatest event time less this, ms.
    pub lateness_ms: i64,
    /// An event time more than this past its record's Kafka timestamp is poison, ms.
    pub max_future_ms: i64,
    /// The aggregates of each cell, in the order of [`Event::values`].
    pub functions: Vec<Function>,
    /// Whether late values are given out as rows of their own, to be added to the window's (of sums and counts only).
    pub late_deltas: bool,
    /// Whether each group must be in one partition, as it must where several processes share them.
    pub keyed: bool,
}

impl Definition {
    /// Whether this is an event time, and not too far past its record's Kafka timestamp.
    pub fn is_in_range(&self, time_ms: i64, kafka_time_ms: Option<i64>) -> bool {
        let latest = kafka_time_ms.map_or(TIME_RANGE, |time| time.saturating_add(self.max_future_ms));
        (-TIME_RANGE..=latest.min(TIME_RANGE)).contains(&time_ms)
    }
}

/// A decoded record.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its event time, ms.
    pub time_ms: i64,
    /// The timestamp that Kafka keeps with the record, ms, if it has one.
    pub kafka_time_ms: Option<i64>,
    /// What it is grouped by: equal bytes, equal group.
    pub group: &'a [u8],
    /// One value for each of [`Definition::functions`].
    pub values: &'a [Option<Number>],
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is in its window.
    Counted,
    /// Its window is closed. With [`Definition::late_deltas`] it is in a row of its own.
    Late,
    /// It is not counted: with [`Definition::keyed`], its group is in the window already, from another partition.
    Scattered {
        /// That partition.
        other: i32,
    },
    /// Its event time is too far past its Kafka timestamp, or no time at all.
    OutOfRange,
    /// It was dealt with before the restart.
    Old,
}

/// The result of one group in one closed window.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Window start, ms, included.
    pub start_ms: i64,
    /// Window end, ms, excluded.
    pub end_ms: i64,
    /// The group, as it came in [`Event::group`].
    pub group: Box<[u8]>,
    /// One result for each of [`Definition::functions`].
    pub values: Vec<Option<Number>>,
}

/// The start of the window that a time belongs to.
pub fn window_start(time_ms: i64, window_ms: i64, offset_ms: i64) -> i64 {
    (time_ms - offset_ms).div_euclid(window_ms) * window_ms + offset_ms
}

/// The state of the aggregation over the assigned partitions.
#[derive(Debug)]
pub struct Engine {
    definition: Definition,
    partitions: BTreeMap<i32, Partition>,
    /// By window start.
    open: BTreeMap<i64, Window>,
    open_cells: usize,
    cell_budget: usize,
    closed: Vec<Row>,
    /// Of closed windows: what came late since the rows were last taken.
    late: BTreeMap<i64, Window>,
    /// An event time that passes this may lift the watermark over the next window end: so a record costs one comparison.
    alarm: i64,
    /// Whether a silent partition has brought an event, and nobody was told.
    resumed: bool,
}

impl Engine {
    /// An engine over these partitions: for each the offset that reading begins at, and its progress.
    pub fn new(definition: Definition, assigned: impl IntoIterator<Item = (i32, i64, Progress)>) -> Self {
        let partitions =
            assigned.into_iter().map(|(partition, offset, progress)| (partition, Partition::restored(offset, progress)));
        let mut engine = Self {
            definition,
            partitions: partitions.collect(),
            open: BTreeMap::new(),
            open_cells: 0,
            cell_budget: CELL_BUDGET,
            closed: Vec::new(),
            late: BTreeMap::new(),
            alarm: i64::MIN,
            resumed: false,
        };
        engine.set_alarm();
        engine
    }

    /// Takes a decoded record. Records of a partition come in the order of their offsets.
    pub fn observe(&mut self, event: &Event<'_>) -> Verdict {
        let start =
            window_start(event.time_ms.clamp(-TIME_RANGE, TIME_RANGE), self.definition.window_ms, self.definition.offset_ms);
        let in_range = self.definition.is_in_range(event.time_ms, event.kafka_time_ms);
        let Some(partition) = self.partitions.get_mut(&event.partition) else { return Verdict::Old };
        let old = event.offset < partition.replay_until;
        let replay_ended = partition.advance(event.offset + 1);
        let verdict = if in_range {
            partition.last_event = Some(event.offset);
            if partition.idle {
                self.resume();
            }
            self.count(start, event)
        } else {
            Verdict::OutOfRange
        };
        if replay_ended {
            self.close_by_watermark();
        }
        match verdict {
            Verdict::Counted | Verdict::Scattered { .. } => verdict,
            _ if old => Verdict::Old,
            _ => verdict,
        }
    }

    /// Puts an event into its window, if that is open.
    fn count(&mut self, start: i64, event: &Event<'_>) -> Verdict {
        let Some(partition) = self.partitions.get_mut(&event.partition) else { return Verdict::Old };
        let progress = &mut partition.progress;
        let before = progress.max_event_time.unwrap_or(i64::MIN);
        progress.max_event_time = Some(before.max(event.time_ms));
        let added = if start + self.definition.window_ms > progress.closed_through {
            partition.first_offsets.entry(start).or_insert(event.offset);
            let window = self.open.entry(start).or_default();
            let cells = window.len();
            let added = window.add(&self.definition, event);
            self.open_cells += window.len() - cells;
            added.map(|()| Verdict::Counted)
        } else if self.definition.late_deltas && event.offset >= partition.replay_until {
            self.late.entry(start).or_default().add(&self.definition, event).map(|()| Verdict::Late)
        } else {
            Ok(Verdict::Late)
        };
        if before < self.alarm && self.alarm <= event.time_ms {
            self.close_by_watermark();
        }
        added.unwrap_or_else(|other| Verdict::Scattered { other })
    }

    /// Takes note of a record that could not be decoded. Returns whether it is new, and so to be handled.
    ///
    /// It does not end idleness: a partition that brings nothing usable must not hold all others.
    pub fn reject(&mut self, partition: i32, offset: i64) -> bool {
        let is_new = self.partitions.get(&partition).is_some_and(|partition| offset >= partition.replay_until);
        self.read_up_to(partition, offset + 1);
        is_new
    }

    /// Takes note that a partition was read up to this offset, though the last ones may hold no record for us: a transaction ends
    /// with a record of Kafka's own.
    pub fn read_up_to(&mut self, partition: i32, offset: i64) {
        if self.partitions.get_mut(&partition).is_some_and(|partition| partition.advance(offset)) {
            self.close_by_watermark();
        }
    }

    /// The offset of the last record of a partition that was an event: as long as it stays, the partition is silent.
    pub fn last_event(&self, partition: i32) -> Option<i64> {
        self.partitions.get(&partition).and_then(|partition| partition.last_event)
    }

    /// Whether records that were read before the restart are still being read again. Until then nothing closes.
    pub fn replaying(&self) -> bool {
        self.partitions.values().any(Partition::replaying)
    }

    /// How many offsets are still to be read again.
    pub fn left_to_replay(&self) -> i64 {
        self.partitions.values().map(|partition| (partition.replay_until - partition.progress.position).max(0)).sum()
    }

    /// Whether this partition has come to where it was before the restart.
    fn caught_up_with_itself(&self, partition: i32) -> bool {
        self.partitions.get(&partition).is_none_or(|partition| !partition.replaying())
    }

    /// The time up to which all events are taken to have arrived, ms; `None` as long as a partition that holds it is unread.
    ///
    /// The least over the partitions that are not idle; if all are idle, the greatest of them all.
    pub fn watermark(&self) -> Option<i64> {
        let time = |partition: &Partition| partition.progress.max_event_time.map(|time| time - self.definition.lateness_ms);
        let mut holding = self.partitions.values().filter(|partition| !partition.idle).peekable();
        if holding.peek().is_some() { holding.map(time).min().flatten() } else { self.partitions.values().filter_map(time).max() }
    }

    /// How many windows are open.
    pub fn open_windows(&self) -> usize {
        self.open.len()
    }

    /// Closes what the watermark closes.
    fn close_by_watermark(&mut self) {
        if self.replaying() {
            return;
        }
        if let Some(watermark) = self.watermark() {
            self.close_through(window_start(watermark + 1, self.definition.window_ms, self.definition.offset_ms));
        }
        self.set_alarm();
    }

    /// If all partitions are idle: closes the open windows that ended `lateness` or more before this wall-clock time, ms. So the
    /// last window of a stream that has stopped appears too; a stream of old events that only paused can go on behind it.
    pub fn close_by_wall_clock(&mut self, now_ms: i64) {
        let all_idle = self.partitions.values().all(|partition| partition.idle);
        if let Some(last) = self.open.keys().next_back().filter(|_| all_idle && !self.replaying()) {
            let ended = window_start(now_ms - self.definition.lateness_ms, self.definition.window_ms, self.definition.offset_ms);
            self.close_through(ended.min(last + self.definition.window_ms));
            self.set_alarm();
        }
    }

    /// Closes every open window.
    pub fn close_all(&mut self) {
        if let Some(last) = self.open.keys().next_back().copied().filter(|_| !self.replaying()) {
            self.close_through(last + self.definition.window_ms);
            self.set_alarm();
        }
    }

    fn close_through(&mut self, boundary: i64) {
        while let Some(entry) = self.open.first_entry().filter(|entry| *entry.key() < boundary) {
            let (start, window) = entry.remove_entry();
            self.open_cells -= window.len();
            window.emit(&self.definition, start, &mut self.closed);
        }
        for partition in self.partitions.values_mut() {
            partition.progress.closed_through = partition.progress.closed_through.max(boundary);
            while partition.first_offsets.first_entry().is_some_and(|entry| *entry.key() < boundary) {
                partition.first_offsets.pop_first();
            }
        }
    }

    /// The event time that lifts the watermark to the next window end, if all other partitions allow it.
    fn set_alarm(&mut self) {
        self.alarm = match self.watermark() {
            Some(watermark) => self.boundary_after(watermark) - 1 + self.definition.lateness_ms,
            // Partitions are unread: the first event of each may be the one that gives the engine a watermark.
            None => -TIME_RANGE,
        };
    }

    /// The end of the first window that this watermark does not close.
    fn boundary_after(&self, watermark: i64) -> i64 {
        window_start(watermark + 1, self.definition.window_ms, self.definition.offset_ms) + self.definition.window_ms
    }

    /// The rows of the windows that were closed since they were last taken, then those of what came late.
    pub fn take_rows(&mut self) -> Vec<Row> {
        for (start, window) in std::mem::take(&mut self.late) {
            window.emit(&self.definition, start, &mut self.closed);
        }
        std::mem::take(&mut self.closed)
    }

    /// How many rows wait to be taken.
    pub fn pending_rows(&self) -> usize {
        self.closed.len() + self.late.values().map(Window::len).sum::<usize>()
    }

    /// Marks a partition as silent, or not. A silent one does not hold the watermark.
    pub fn set_idle(&mut self, partition: i32, idle: bool) {
        if let Some(partition) = self.partitions.get_mut(&partition)
            && partition.idle != idle
        {
            partition.idle = idle;
            self.close_by_watermark();
        }
    }

    /// Whether a partition is marked as silent.
    pub fn has_idle(&self) -> bool {
        self.partitions.values().any(|partition| partition.idle)
    }

    /// Marks every partition as one that may bring something: what is closed stays closed.
    pub fn wake_all(&mut self) {
        self.partitions.values_mut().for_each(|partition| partition.idle = false);
        self.set_alarm();
    }

    /// A silent partition has brought an event. The others may have some of the same time that are not read yet, and whichever is
    /// read first must not close their windows: so no partition is idle until it is found silent again.
    fn resume(&mut self) {
        self.wake_all();
        self.resumed = true;
    }

    /// Whether a silent partition has brought an event since this was last asked.
    pub fn take_resumed(&mut self) -> bool {
        std::mem::take(&mut self.resumed)
    }

    /// Whether a partition should wait for the others: it is far ahead of them and the open cells are many, or it has come to
    /// where it was before the restart and they have not.
    ///
    /// While records are read again, being ahead does not count: the others wait for this partition then, not for time to pass.
    pub fn should_wait(&self, partition: i32) -> bool {
        if self.replaying() { self.caught_up_with_itself(partition) } else { self.is_ahead(partition) }
    }

    fn is_ahead(&self, partition: i32) -> bool {
        if self.open_cells <= self.cell_budget {
            return false;
        }
        let Some(time) = self.partitions.get(&partition).and_then(|partition| partition.progress.max_event_time) else {
            return false;
        };
        let base = self.watermark().or_else(|| self.open.keys().next().copied());
        base.is_some_and(|base| time - self.definition.lateness_ms > base + WINDOWS_AHEAD * self.definition.window_ms)
    }

    /// Another bound for the open cells.
    #[cfg(test)]
    pub(super) fn with_cell_budget(self, cell_budget: usize) -> Self {
        Self { cell_budget, ..self }
    }

    /// What a transaction that carries all rows taken so far has to say of each assigned partition.
    pub fn commits(&self) -> Vec<Commit> {
        self.partitions.iter().map(|(number, partition)| partition.commit(*number)).collect()
    }
}
