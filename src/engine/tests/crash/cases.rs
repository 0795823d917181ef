//! What happens to the processes, and to which logs.

use proptest::prelude::*;

use super::super::super::*;
use super::super::{WINDOW, definition};
use super::{Entry, Log};

/// How far a group's number is from the next partition's, where groups are not shared.
const GROUPS: u8 = 3;

#[derive(Debug, Clone)]
pub enum Step {
    Read(usize),
    Commit(usize),
    Crash(usize),
    Move(usize, usize),
    AddPartition,
    Idle(usize),
    IdleAll(usize),
    WallClock(usize, i64),
    CloseAll(usize),
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        160 => (0..4usize).prop_map(Step::Read),
        24 => (0..3usize).prop_map(Step::Commit),
        6 => (0..3usize).prop_map(Step::Crash),
        4 => (0..4usize, 0..3usize).prop_map(|(partition, process)| Step::Move(partition, process)),
        2 => Just(Step::AddPartition),
        4 => (0..4usize).prop_map(Step::Idle),
        2 => (0..3usize).prop_map(Step::IdleAll),
        4 => (0..3usize, -20i64..60).prop_map(|(process, ahead)| Step::WallClock(process, ahead)),
        1 => (0..3usize).prop_map(Step::CloseAll),
    ];
    prop::collection::vec(step, 0..250)
}

/// Event times rise by `slope` from offset to offset and jump about by some windows; some are at a boundary.
pub fn log() -> impl Strategy<Value = Log> {
    let event = (-30i64..60, 0..GROUPS, prop::option::weighted(0.9, -1000i64..1000));
    let jump = prop_oneof![3 => Just(None), 1 => (-1i64..=1).prop_map(Some)];
    let kind = prop_oneof![20 => Just(0u8), 1 => Just(1u8), 1 => Just(2u8), 1 => Just(3u8)];
    (0i64..6, prop::collection::vec((event, jump, kind), 0..40)).prop_map(|(slope, entries)| {
        let entry = |(offset, drawn): (i64, _)| {
            let ((time, group, value), jump, kind): ((i64, u8, Option<i64>), Option<i64>, u8) = drawn;
            let time = time + slope * offset;
            let time_ms = jump.map_or(time, |jump| time - time.rem_euclid(WINDOW) + jump);
            match kind {
                0 => Entry::Event { time_ms, group, value },
                1 => Entry::Future { time_ms: time_ms + 10_000 },
                2 => Entry::Broken,
                _ => Entry::Control,
            }
        };
        (0..).zip(entries).map(entry).collect()
    })
}

/// What a case is about besides its logs and steps.
#[derive(Debug, Clone)]
pub struct Setting {
    pub definition: Definition,
    pub cell_budget: usize,
    pub processes: usize,
    /// Partitions that are there from the beginning.
    pub partitions: usize,
    /// Added to all event times.
    base_ms: i64,
}

pub fn setting() -> impl Strategy<Value = Setting> {
    let base = prop_oneof![Just(0i64), Just(-1_000_000_000_007), Just(1_700_000_000_000)];
    (1..4usize, 1..5usize, base, 0i64..40, 0..WINDOW, any::<bool>(), 0..12usize).prop_map(
        |(processes, partitions, base_ms, lateness_ms, offset_ms, late_deltas, cell_budget)| {
            let mut definition = Definition { offset_ms, late_deltas, keyed: processes > 1, ..definition(lateness_ms) };
            if late_deltas {
                definition.functions = vec![Function::Sum, Function::Count];
            }
            Setting { definition, cell_budget, processes, partitions, base_ms }
        },
    )
}

impl Setting {
    /// Where processes share, no group is in two partitions.
    pub fn placed(&self, logs: &[Log]) -> Vec<Log> {
        let place = |partition: usize, entry: &Entry| {
            let mut entry = entry.clone();
            match &mut entry {
                Entry::Event { time_ms, group, .. } => {
                    *time_ms += self.base_ms;
                    *group += if self.definition.keyed { GROUPS * partition as u8 } else { 0 };
                }
                Entry::Future { time_ms } => *time_ms += self.base_ms,
                Entry::Broken | Entry::Control => {}
            }
            entry
        };
        let logs = logs.iter().enumerate();
        logs.map(|(partition, log)| log.iter().map(|entry| place(partition, entry)).collect()).collect()
    }
}
