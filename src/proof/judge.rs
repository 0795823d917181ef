//! The proof: every closed cell recomputed from the raw records, compared with the sink's rows. Pure.
//!
//! A cell is a group in a window. What it should be is computed by the [`recompute`] oracle, which shares no code with the engine,
//! from all records of the cell but those that became dead letters. A cell is judged once it has a row, or once a row of a later
//! window was read, since windows are closed in order; it is judged anew whenever something comes for it.
//!
//! Records, rows and letters are read in any order, so what is not equal may still be under way. It differs only once all topics
//! were read to where they ended at a later time, and if rows show that the aggregate has come past the cell's records: an aggregate
//! that is stopped, or far behind, is not wrong. Only a second row of a cell tells at once.

mod bound;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::SHOWN;
use super::rows::{Found, Rows, add_up, is_same};
use crate::avro::Scalar;
use crate::engine::{Definition, Number, Observed, recompute};

/// A transaction becomes visible partition by partition: for so long nothing must have come for a cell before it differs, ms.
const GRACE_MS: i64 = 1_000;
/// The same of a missing row, where several instances close windows, each its own.
const SHARED_GRACE_MS: i64 = 60_000;

/// A cell: window start in ms, and group.
pub type Key = (i64, Box<[u8]>);

/// Where a record is: partition and offset.
type Place = (i32, i64);

/// The measures of a row.
type Measures = Vec<Scalar<'static>>;

/// What is wrong with a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Its row is not what its records come to.
    Wrong,
    /// It has no row.
    Missing,
    /// It has a row but no records.
    Extra,
    /// It has a row too many.
    Twice,
    /// Its row leaves out late records, which are dead letters: as it should be.
    Late,
}

/// What can be said of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Judgement {
    /// There is nothing to judge: no record, or none that did not become a dead letter.
    #[default]
    Nothing,
    /// Rows or records are still to come.
    Waiting,
    /// It cannot be told.
    LeftOut,
    Equal,
    Differs(What),
}

/// A cell that is not equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Which.
    pub key: Key,
    /// What is wrong with it.
    pub what: What,
    /// What its records come to.
    pub raw: Option<Measures>,
    /// What its rows hold, added up.
    pub aggregate: Option<Measures>,
}

/// The proof as it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// Cells that are equal.
    pub equal: u64,
    /// Cells that differ.
    pub differing: u64,
    /// Cells whose row, or whose records, are still to come.
    pub waiting: u64,
    /// Of these those that have rows: the aggregate may not have come past all their records.
    pub pending: u64,
    /// Cells that cannot be judged: some of their records or rows are no longer in the topics, or late ones were dropped.
    pub left_out: u64,
    /// The first differences, by window and group.
    pub differences: Vec<Difference>,
    /// Of the equal cells those whose row leaves out late records, which are dead letters.
    pub explained: u64,
    /// The first of them, beside what all their records come to.
    pub explanations: Vec<Difference>,
}

/// What is known of a cell.
#[derive(Debug, Default)]
struct Cell {
    records: Vec<(Place, Vec<Option<Number>>)>,
    rows: Vec<Measures>,
    /// Records that became dead letters, and when (Kafka's timestamp, ms); they may be read before their records.
    excused: BTreeMap<Place, i64>,
    /// What its records came to, if they are no longer kept.
    base: Option<Measures>,
    /// When the first record of it was written that may have been late (Kafka's timestamp, ms).
    maybe_late: Option<i64>,
    /// When something last came for it, ms.
    changed_ms: i64,
    judgement: Judgement,
}

/// A record that is to be counted.
#[derive(Debug)]
pub struct Counted {
    /// Where it is.
    pub place: Place,
    /// One value for each of [`Definition::functions`].
    pub values: Vec<Option<Number>>,
    /// If its window may have been closed when it was read: when it was written (Kafka's timestamp, ms).
    pub maybe_late: Option<i64>,
}

/// What the records of a cell come to.
#[derive(Debug)]
enum Due {
    /// There are none.
    Nothing,
    /// Results that do not fit the sink's types: there is no row.
    NoRow,
    /// A row with these measures.
    Row(Measures),
    /// Records came after the others were given up.
    Unknown,
}

/// How many cells of windows that are no longer kept were what.
#[derive(Debug, Clone, Copy, Default)]
struct Forgotten {
    equal: u64,
    explained: u64,
    differing: u64,
    left_out: u64,
}

/// Takes records, rows and dead letters in any order, and judges.
#[derive(Debug)]
pub struct Proof {
    definition: Definition,
    /// Of late records that were written before this time nothing tells: they are dropped, or their letters were deleted, ms.
    traceless_before: i64,
    /// Several instances may close windows, each its own.
    is_shared: bool,
    cells: BTreeMap<Key, Cell>,
    /// The cells to judge.
    changed: BTreeSet<Key>,
    /// How many records are kept.
    records: usize,
    /// How many cells have rows, but no records so far.
    rows_ahead: usize,
    /// Cells of windows that are no longer kept.
    forgotten: Forgotten,
    /// Of windows before this, equal cells are no longer kept, ms.
    kept_from: i64,
    /// Windows before this were given up, ms.
    given_up_until: i64,
    /// Rows of cells that are no longer kept, since they had one.
    second_rows: Vec<Difference>,
    /// Cells of windows before this are left out, ms.
    complete_from: i64,
    left_out: BTreeSet<Key>,
    /// Dead letters of before this time are of an earlier life of the sink, ms.
    letters_from: i64,
    /// The last window with a row, ms.
    last_row: Option<i64>,
    /// By partition, the greatest offset that the aggregate has surely read.
    aggregated: BTreeMap<i32, i64>,
    /// By partition, up to where it said to have read, and when, ms.
    positions: BTreeMap<i32, (i64, i64)>,
}

impl Proof {
    /// Nothing is known yet. `drops_late`: late records are dropped; `is_shared`: several instances may close windows.
    pub fn new(definition: Definition, drops_late: bool, is_shared: bool) -> Self {
        Self {
            definition,
            traceless_before: if drops_late { i64::MAX } else { i64::MIN },
            is_shared,
            cells: BTreeMap::new(),
            changed: BTreeSet::new(),
            records: 0,
            rows_ahead: 0,
            forgotten: Forgotten::default(),
            kept_from: i64::MIN,
            given_up_until: i64::MIN,
            second_rows: Vec::new(),
            complete_from: i64::MIN,
            left_out: BTreeSet::new(),
            letters_from: i64::MIN,
            last_row: None,
            aggregated: BTreeMap::new(),
            positions: BTreeMap::new(),
        }
    }

    /// Cells of windows that begin before this time are not judged: their records or rows are not all there.
    pub fn leave_out_before(&mut self, time_ms: i64) {
        self.complete_from = self.complete_from.max(time_ms);
        while let Some(entry) = self.cells.first_entry().filter(|entry| entry.key().0 < self.complete_from) {
            let (key, cell) = entry.remove_entry();
            self.changed.remove(&key);
            self.records -= cell.records.len();
            self.rows_ahead -= usize::from(cell.is_ahead());
            self.left_out.insert(key);
        }
    }

    /// Dead letters that were written before this time excuse nothing.
    pub fn leave_out_letters_before(&mut self, time_ms: i64) {
        self.letters_from = self.letters_from.max(time_ms);
    }

    /// Dead letters that were written before this time may have been deleted, so their records are not known to be excused.
    pub fn letters_are_gone_before(&mut self, time_ms: i64) {
        self.traceless_before = self.traceless_before.max(time_ms);
    }

    /// The end of the last window with a row, ms.
    pub fn closed_through(&self) -> Option<i64> {
        self.last_row.map(|start| start + self.definition.window_ms)
    }

    /// The windows after the last one with a row that have records, ms.
    pub fn open_windows(&self) -> BTreeSet<i64> {
        let from = self.closed_through().unwrap_or(i64::MIN);
        let open = self.cells.range((from, Box::default())..).filter(|(_, cell)| cell.judgement == Judgement::Waiting);
        open.map(|(key, _)| key.0).collect()
    }

    /// The cell, to be judged anew; `None`: it is left out.
    fn change(&mut self, key: Key, now_ms: i64) -> Option<&mut Cell> {
        if key.0 < self.kept_from && !self.cells.contains_key(&key) {
            return None;
        }
        if key.0 < self.complete_from {
            self.left_out.insert(key);
            return None;
        }
        self.changed.insert(key.clone());
        let cell = self.cells.entry(key).or_default();
        cell.changed_ms = now_ms;
        Some(cell)
    }

    /// A record of the source.
    pub fn add_record(&mut self, key: Key, record: Counted, now_ms: i64) {
        if let Some(cell) = self.change(key, now_ms) {
            let is_first = cell.is_ahead();
            cell.records.push((record.place, record.values));
            cell.maybe_late = cell.maybe_late.into_iter().chain(record.maybe_late).min();
            self.records += 1;
            self.rows_ahead -= usize::from(is_first);
        }
    }

    /// A dead letter with a record of this cell, written at `letter_ms`.
    pub fn excuse(&mut self, key: Key, place: Place, letter_ms: i64, now_ms: i64) {
        if let Some(cell) = self.change(key, now_ms) {
            cell.excused.insert(place, letter_ms);
        }
    }

    /// A row of the sink.
    pub fn add_row(&mut self, row: Found, now_ms: i64) {
        let start_ms = row.start_ms;
        self.note_second(&row);
        if let Some(cell) = self.change((start_ms, row.group), now_ms) {
            let is_ahead = cell.records.is_empty() && cell.base.is_none() && cell.rows.is_empty();
            cell.rows.push(row.values);
            self.rows_ahead += usize::from(is_ahead);
        }
        let before = self.last_row.unwrap_or(i64::MIN);
        if start_ms > before {
            self.last_row = Some(start_ms);
            // These should have rows by now.
            for (key, cell) in self.cells.range_mut((before, Box::default())..(start_ms, Box::default())) {
                if cell.rows.is_empty() {
                    cell.changed_ms = now_ms;
                    self.changed.insert(key.clone());
                }
            }
        }
    }

    /// A row of a cell that is no longer kept, since it was equal: it is one too many.
    fn note_second(&mut self, row: &Found) {
        let from = self.given_up_until.max(self.complete_from);
        let key = (row.start_ms, row.group.clone());
        if !(from..self.kept_from).contains(&row.start_ms) || self.cells.contains_key(&key) {
            return;
        }
        if self.definition.late_deltas || self.is_shared {
            self.forgotten.left_out += 1;
            return;
        }
        self.forgotten.differing += 1;
        if self.second_rows.len() < SHOWN {
            self.second_rows.push(Difference { key, what: What::Twice, raw: None, aggregate: Some(row.values.clone()) });
        }
    }

    /// Judges every cell that something has come for. `level_ms`: all topics were read to where they ended at this time.
    pub fn judge(&mut self, rows: &Rows, level_ms: Option<i64>) -> Judged {
        self.believe_positions(level_ms);
        self.note_progress();
        for key in std::mem::take(&mut self.changed) {
            let Some(cell) = self.cells.get(&key) else { continue };
            let judgement = self.judge_cell(rows, &key, cell, level_ms);
            let is_open = cell.rows.is_empty() && self.last_row.is_none_or(|last| key.0 >= last);
            // Until something comes, this stays so.
            let rests = matches!(judgement, Judgement::Equal | Judgement::Nothing | Judgement::LeftOut) || is_open;
            if let Some(cell) = self.cells.get_mut(&key) {
                cell.judgement = judgement;
            }
            if !rests {
                self.changed.insert(key);
            }
        }
        self.bound();
        self.summary(rows)
    }

    fn summary(&self, rows: &Rows) -> Judged {
        let Forgotten { equal, explained, differing, left_out } = self.forgotten;
        let left_out = left_out + self.left_out.len() as u64;
        let mut judged =
            Judged { equal, differing, left_out, explained, differences: self.second_rows.clone(), ..Judged::default() };
        for (key, cell) in &self.cells {
            match cell.judgement {
                Judgement::Nothing => {}
                Judgement::Waiting => {
                    judged.waiting += 1;
                    judged.pending += u64::from(!cell.rows.is_empty());
                }
                Judgement::LeftOut => judged.left_out += 1,
                Judgement::Equal => {
                    judged.equal += 1;
                    if cell.is_explained(self.letters_from) {
                        judged.explained += 1;
                        if judged.explanations.len() < SHOWN {
                            judged.explanations.push(self.explanation(rows, key, cell));
                        }
                    }
                }
                Judgement::Differs(what) => {
                    judged.differing += 1;
                    if judged.differences.len() < SHOWN {
                        judged.differences.push(self.difference(rows, key, cell, what));
                    }
                }
            }
        }
        judged
    }

    fn difference(&self, rows: &Rows, key: &Key, cell: &Cell, what: What) -> Difference {
        let raw = if let Due::Row(due) = self.due(rows, key, cell) { Some(due) } else { None };
        Difference { key: key.clone(), what, raw, aggregate: add_up(&cell.rows) }
    }

    /// What a cell would be with its late records.
    fn explanation(&self, rows: &Rows, key: &Key, cell: &Cell) -> Difference {
        let raw = self.sums(key, cell.records.iter()).and_then(|values| rows.expected(key.0, &key.1, values));
        Difference { key: key.clone(), what: What::Late, raw, aggregate: add_up(&cell.rows) }
    }

    /// How many cells of windows that end by this time (ms) have records but no row, and the first of them.
    pub fn overdue(&self, rows: &Rows, closed_through: i64) -> (u64, Vec<Difference>) {
        let last_start = closed_through.saturating_sub(self.definition.window_ms);
        let closed = self.cells.iter().take_while(|(key, _)| key.0 <= last_start);
        let leaves_no_trace = |cell: &Cell| cell.maybe_late.is_some_and(|written_ms| written_ms < self.traceless_before);
        let lacking =
            closed.filter(|(_, cell)| cell.judgement == Judgement::Waiting && cell.rows.is_empty() && !leaves_no_trace(cell));
        let (mut count, mut first) = (0, Vec::new());
        for (key, cell) in lacking.filter(|(key, cell)| matches!(self.due(rows, key, cell), Due::Row(_))) {
            count += 1;
            if first.len() < SHOWN {
                first.push(self.difference(rows, key, cell, What::Missing));
            }
        }
        (count, first)
    }

    /// A cell with a row was read by the aggregate, at least its first record in each partition.
    fn note_progress(&mut self) {
        let cells = self.changed.iter().filter_map(|key| self.cells.get(key)).filter(|cell| !cell.rows.is_empty());
        let mut first: BTreeMap<i32, i64> = BTreeMap::new();
        for cell in cells {
            for (partition, offset) in cell.first_places() {
                let known = first.entry(partition).or_insert(offset);
                *known = offset.max(*known);
            }
        }
        for (partition, offset) in first {
            let known = self.aggregated.entry(partition).or_insert(offset);
            *known = offset.max(*known);
        }
    }

    /// The aggregate had read this partition up to this offset, exclusively, at this time, ms. That is believed once all topics were
    /// read to where they ended later: the letters that were committed with it are known by then.
    pub fn note_position(&mut self, partition: i32, position: i64, asked_ms: i64) {
        self.positions.entry(partition).or_insert((position, asked_ms));
    }

    fn believe_positions(&mut self, level_ms: Option<i64>) {
        let Some(level_ms) = level_ms else { return };
        let aggregated = &mut self.aggregated;
        self.positions.retain(|partition, (position, asked_ms)| {
            let is_known = level_ms > *asked_ms;
            if is_known {
                let known = aggregated.entry(*partition).or_insert(i64::MIN);
                *known = (*position - 1).max(*known);
            }
            !is_known
        });
    }

    fn is_aggregated(&self, cell: &Cell) -> bool {
        let read = |(partition, offset): Place| self.aggregated.get(&partition).is_some_and(|through| offset <= *through);
        cell.counted(self.letters_from).all(|(place, _)| read(*place))
    }

    fn judge_cell(&self, rows: &Rows, key: &Key, cell: &Cell, level_ms: Option<i64>) -> Judgement {
        let is_closed = self.last_row.is_some_and(|last| key.0 < last);
        if cell.rows.is_empty() && !is_closed {
            let any = cell.counted(self.letters_from).next().is_some();
            return if any { Judgement::Waiting } else { Judgement::Nothing };
        }
        let after = |grace_ms, what| {
            let is_level = level_ms.is_some_and(|level_ms| level_ms > cell.changed_ms + grace_ms);
            if is_level && self.is_aggregated(cell) { Judgement::Differs(what) } else { Judgement::Waiting }
        };
        if !self.definition.late_deltas && cell.rows.len() > 1 {
            return Judgement::Differs(What::Twice);
        }
        match (self.due(rows, key, cell), add_up(&cell.rows)) {
            (Due::Unknown, _) => Judgement::Waiting,
            (Due::Nothing, None) => Judgement::Nothing,
            (Due::Nothing, Some(_)) => after(GRACE_MS, What::Extra),
            (Due::Row(due), Some(found)) if is_same(&due, &found) => Judgement::Equal,
            (Due::NoRow, None) => Judgement::Equal,
            _ if cell.maybe_late.is_some_and(|written_ms| written_ms < self.traceless_before) => Judgement::LeftOut,
            (_, Some(_)) => after(GRACE_MS, What::Wrong),
            (Due::Row(_), None) => after(if self.is_shared { SHARED_GRACE_MS } else { GRACE_MS }, What::Missing),
        }
    }

    fn due(&self, rows: &Rows, key: &Key, cell: &Cell) -> Due {
        let due = match self.sums(key, cell.counted(self.letters_from)) {
            None => Due::Nothing,
            Some(values) => rows.expected(key.0, &key.1, values).map_or(Due::NoRow, Due::Row),
        };
        match (&cell.base, due) {
            (None, due) => due,
            (Some(base), Due::Nothing) => Due::Row(base.clone()),
            (Some(base), Due::Row(due)) if self.definition.late_deltas => {
                add_up(&[base.clone(), due]).map_or(Due::Unknown, Due::Row)
            }
            (Some(_), _) => Due::Unknown,
        }
    }

    /// What these records of a cell come to; `None`: there are none.
    fn sums<'r>(
        &self,
        key: &Key,
        records: impl Iterator<Item = &'r (Place, Vec<Option<Number>>)>,
    ) -> Option<Vec<Option<Number>>> {
        let observed = |values: &Vec<Option<Number>>| Observed { time_ms: key.0, group: key.1.clone(), values: values.clone() };
        recompute(&self.definition, records.map(|(_, values)| observed(values))).into_values().next()
    }
}

impl Cell {
    /// The records that did not become dead letters at this time or later.
    fn counted(&self, letters_from: i64) -> impl Iterator<Item = &(Place, Vec<Option<Number>>)> {
        let is_excused = move |place| self.excused.get(place).is_some_and(|letter_ms| *letter_ms >= letters_from);
        self.records.iter().filter(move |(place, _)| !is_excused(place))
    }

    /// Whether it has rows, but no records so far.
    fn is_ahead(&self) -> bool {
        !self.rows.is_empty() && self.records.is_empty() && self.base.is_none()
    }

    /// Whether some of its records became dead letters at this time or later.
    fn is_explained(&self, letters_from: i64) -> bool {
        self.excused.values().any(|letter_ms| *letter_ms >= letters_from)
    }

    /// Its first record in each partition.
    fn first_places(&self) -> BTreeMap<i32, i64> {
        let mut first = BTreeMap::new();
        for ((partition, offset), _) in &self.records {
            let known = first.entry(*partition).or_insert(*offset);
            *known = (*offset).min(*known);
        }
        first
    }
}

#[cfg(test)]
mod tests;
