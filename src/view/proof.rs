//! The proof: every closed cell recomputed from the raw records, compared with the sink's rows. Pure.
//!
//! A cell is a group in a window. What it should be is computed by the [`recompute`] oracle, which shares no code with the engine,
//! from all records of the cell but those that became dead letters. A cell is judged once it has a row; one without is missing
//! once a row of a later window was read, since windows are closed in order. Whatever is not equal at once may still be under way
//! in another partition or topic: it differs only if nothing of the cell has come for a while, and if rows show that the aggregate
//! has come past its records. So an aggregate that is stopped, or far behind, is not wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::rows::{Found, Rows, add_up, is_same};
use super::state::SHOWN;
use crate::avro::Scalar;
use crate::engine::{Definition, Number, Observed, recompute};

/// For so long nothing must have come for a cell before it differs, ms.
const GRACE_MS: i64 = 3_000;
/// The same of a missing row, where several instances close windows, each its own.
const SHARED_GRACE_MS: i64 = 60_000;
/// So many equal cells are kept to tell a second row from a first one; older ones are only counted.
const KEPT: usize = 100_000;

/// So many records of cells without a row are kept, about 200 MB of them: enough unless nobody aggregates.
const RECORDS: usize = 2_000_000;

/// A cell: window start in ms, and group.
pub type Key = (i64, Box<[u8]>);

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
}

/// What can be said of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Equal,
    Waiting,
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
    pub raw: Option<Vec<Scalar<'static>>>,
    /// What the rows hold, added up.
    pub aggregate: Option<Vec<Scalar<'static>>>,
}

/// The proof as it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Result {
    /// Cells that are equal.
    pub equal: u64,
    /// Cells that differ.
    pub differing: u64,
    /// Cells whose row, or whose records, are still to come.
    pub waiting: u64,
    /// Cells that cannot be judged: some of their records or rows are no longer in the topics.
    pub left_out: u64,
    /// The first differences, by window and group.
    pub differences: Vec<Difference>,
}

/// Where a record is: partition and offset.
type Place = (i32, i64);

/// What is known of a cell beyond that it is equal.
#[derive(Debug, Default)]
struct Cell {
    /// The records that came since it was last found equal.
    records: Vec<(Place, Vec<Option<Number>>)>,
    /// The rows that came since.
    rows: Vec<Vec<Scalar<'static>>>,
    /// Records that became dead letters; their places may be read before them.
    excused: BTreeSet<Place>,
    /// Its row, if it was found equal before.
    proven: Option<Vec<Scalar<'static>>>,
    /// When something last came for it, ms.
    changed_ms: i64,
}

/// An equal cell.
#[derive(Debug)]
struct Proven {
    row: Vec<Scalar<'static>>,
    /// Records that became dead letters and are still to be read.
    excused: BTreeSet<Place>,
}

impl Cell {
    /// Forgets the records that became dead letters.
    fn leave_out_excused(&mut self) {
        let excused = &mut self.excused;
        if !excused.is_empty() {
            self.records.retain(|(place, _)| !excused.remove(place));
        }
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

    /// What all its rows come to, the proven one included.
    fn all_rows(&self) -> Option<Vec<Scalar<'static>>> {
        let rows: Vec<_> = self.proven.iter().chain(&self.rows).cloned().collect();
        add_up(&rows)
    }
}

/// Takes records, rows and dead letters in any order, and judges.
#[derive(Debug)]
pub struct Proof {
    definition: Definition,
    /// Late records are dropped and nothing tells of them.
    drops_late: bool,
    /// Several instances may close windows, each its own.
    is_shared: bool,
    open: BTreeMap<Key, Cell>,
    equal: BTreeMap<Key, Proven>,
    /// Equal cells that are no longer kept.
    forgotten: u64,
    /// Cells of windows before this are left out, ms.
    complete_from: i64,
    left_out: BTreeSet<Key>,
    /// The last window with a row, ms.
    last_row: Option<i64>,
    /// By partition, the greatest offset that the aggregate has surely read.
    aggregated: BTreeMap<i32, i64>,
    /// Late records that were dropped.
    dropped: u64,
}

impl Proof {
    /// Nothing is known yet.
    pub fn new(definition: Definition, drops_late: bool, is_shared: bool) -> Self {
        Self {
            definition,
            drops_late,
            is_shared,
            open: BTreeMap::new(),
            equal: BTreeMap::new(),
            forgotten: 0,
            complete_from: i64::MIN,
            left_out: BTreeSet::new(),
            last_row: None,
            aggregated: BTreeMap::new(),
            dropped: 0,
        }
    }

    /// Cells of windows that begin before this time are not judged: their records or rows are not all there.
    pub fn leave_out_before(&mut self, time_ms: i64) {
        self.complete_from = self.complete_from.max(time_ms);
    }

    /// The end of the last window with a row, ms.
    pub fn closed_through(&self) -> Option<i64> {
        self.last_row.map(|start| start + self.definition.window_ms)
    }

    /// Late records that nothing tells of: those of equal cells, with late = "drop".
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many windows have records but no row, and begin at this time or later.
    pub fn open_windows(&self, from_ms: i64) -> usize {
        let open = self.open.iter().filter(|(key, cell)| key.0 >= from_ms && cell.proven.is_none() && cell.rows.is_empty());
        open.map(|(key, _)| key.0).collect::<BTreeSet<_>>().len()
    }

    fn cell(&mut self, key: Key, now_ms: i64) -> &mut Cell {
        let cell = match self.equal.remove(&key) {
            Some(Proven { row, excused }) => Cell { proven: Some(row), excused, ..Cell::default() },
            None => Cell::default(),
        };
        let cell = self.open.entry(key).or_insert(cell);
        cell.changed_ms = now_ms;
        cell
    }

    /// A record of the source.
    pub fn add_record(&mut self, key: Key, place: Place, values: Vec<Option<Number>>, now_ms: i64) {
        self.cell(key, now_ms).records.push((place, values));
    }

    /// A dead letter with a record of this cell.
    pub fn excuse(&mut self, key: Key, place: Place, now_ms: i64) {
        self.cell(key, now_ms).excused.insert(place);
    }

    /// A row of the sink.
    pub fn add_row(&mut self, row: Found, now_ms: i64) {
        self.last_row = self.last_row.max(Some(row.start_ms));
        self.cell((row.start_ms, row.group), now_ms).rows.push(row.values);
    }

    /// Judges every cell that something came for. While `reading`, the topics' history is not all read, and nothing differs yet.
    pub fn judge(&mut self, rows: &Rows, now_ms: i64, reading: bool) -> Result {
        let mut result = Result::default();
        let mut open = Vec::new();
        self.note_progress();
        for (key, mut cell) in std::mem::take(&mut self.open) {
            if key.0 < self.complete_from {
                self.left_out.insert(key);
                continue;
            }
            cell.leave_out_excused();
            match self.judge_cell(rows, &key, &cell, now_ms, reading) {
                None => open.push((key, cell)),
                Some(Judgement::Equal) => {
                    let row = cell.all_rows().unwrap_or_default();
                    self.equal.insert(key, Proven { row, excused: cell.excused });
                }
                Some(Judgement::Waiting) => {
                    result.waiting += 1;
                    open.push((key, cell));
                }
                Some(Judgement::Differs(what)) => {
                    result.differing += 1;
                    if result.differences.len() < SHOWN {
                        result.differences.push(self.difference(rows, &key, &cell, what));
                    }
                    open.push((key, cell));
                }
            }
        }
        self.open = open.into_iter().collect();
        self.bound();
        result.equal = self.equal.len() as u64 + self.forgotten;
        result.left_out = self.left_out.len() as u64;
        result
    }

    /// A cell with a row was read by the aggregate, at least its first record in each partition.
    fn note_progress(&mut self) {
        for cell in self.open.values().filter(|cell| !cell.rows.is_empty()) {
            for (partition, offset) in cell.first_places() {
                let known = self.aggregated.entry(partition).or_insert(offset);
                *known = offset.max(*known);
            }
        }
    }

    fn is_aggregated(&self, cell: &Cell) -> bool {
        let read = |(partition, offset): &Place| self.aggregated.get(partition).is_some_and(|through| offset <= through);
        cell.records.iter().all(|(place, _)| read(place))
    }

    fn difference(&self, rows: &Rows, key: &Key, cell: &Cell, what: What) -> Difference {
        let raw = match due(&self.definition, rows, key, cell) {
            Due::Row(due) => Some(due),
            Due::Nothing | Due::NoRow => cell.proven.clone(),
        };
        Difference { key: key.clone(), what, raw, aggregate: cell.all_rows() }
    }

    /// `None`: there is nothing to judge, all its records became dead letters.
    fn judge_cell(&mut self, rows: &Rows, key: &Key, cell: &Cell, now_ms: i64, reading: bool) -> Option<Judgement> {
        let is_closed = self.last_row.is_some_and(|last| key.0 < last);
        if cell.rows.is_empty() && cell.proven.is_none() && !is_closed {
            return (!cell.records.is_empty()).then_some(Judgement::Waiting);
        }
        let quiet_ms = now_ms - cell.changed_ms;
        let after = |grace_ms, what| {
            let is_settled = !reading && quiet_ms >= grace_ms && self.is_aggregated(cell);
            if is_settled { Judgement::Differs(what) } else { Judgement::Waiting }
        };
        let adds_up = self.definition.late_deltas;
        if !adds_up && cell.rows.len() + usize::from(cell.proven.is_some()) > 1 {
            return Some(Judgement::Differs(What::Twice));
        }
        let (due, found) = (due(&self.definition, rows, key, cell), add_up(&cell.rows));
        Some(match (due, found, cell.proven.is_some()) {
            // Nothing but dead letters.
            (Due::Nothing, None, true) => Judgement::Equal,
            (Due::Nothing, None, false) => return None,
            (Due::Nothing, Some(_), _) => after(GRACE_MS, What::Extra),
            (Due::Row(due), Some(found), _) if is_same(&due, &found) => Judgement::Equal,
            (_, Some(_), _) => after(GRACE_MS, What::Wrong),
            (_, None, true) if self.drops_late => {
                self.dropped += cell.records.len() as u64;
                Judgement::Equal
            }
            (_, None, true) => after(GRACE_MS, What::Wrong),
            (Due::NoRow, None, false) => Judgement::Equal,
            (Due::Row(_), None, false) => after(if self.is_shared { SHARED_GRACE_MS } else { GRACE_MS }, What::Missing),
        })
    }

    /// Bounds the memory, at the cost of the oldest windows.
    fn bound(&mut self) {
        while self.equal.len() > KEPT {
            if let Some(((start, _), _)) = self.equal.pop_first() {
                self.forgotten += 1;
                self.leave_out_before(start + 1);
            }
        }
        let mut records: usize = self.open.values().map(|cell| cell.records.len()).sum();
        while records > RECORDS {
            let Some((key, cell)) = self.open.pop_first() else { break };
            records -= cell.records.len();
            self.leave_out_before(key.0 + 1);
            self.left_out.insert(key);
        }
        while self.left_out.len() > KEPT {
            self.left_out.pop_first();
        }
    }
}

/// What the records of a cell come to.
#[derive(Debug)]
enum Due {
    /// There are none.
    Nothing,
    /// Results that do not fit the sink's types: there is no row.
    NoRow,
    /// A row with these measures.
    Row(Vec<Scalar<'static>>),
}

fn due(definition: &Definition, rows: &Rows, key: &Key, cell: &Cell) -> Due {
    let observed = |values: &Vec<Option<Number>>| Observed { time_ms: key.0, group: key.1.clone(), values: values.clone() };
    let cells = recompute(definition, cell.records.iter().map(|(_, values)| observed(values)));
    match cells.into_iter().next() {
        None => Due::Nothing,
        Some((_, values)) => rows.expected(key.0, &key.1, values).map_or(Due::NoRow, Due::Row),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::aggregate::Layout;
    use crate::config;

    const WINDOW: i64 = 60_000;
    /// Long after everything.
    const LATER: i64 = 1_000_000;

    struct Case {
        proof: Proof,
        rows: Rows,
        offset: i64,
    }

    impl Case {
        fn new(late_deltas: bool, drops_late: bool) -> Self {
            let config = config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap();
            let layout = Layout::new(&config.aggregates[0], &config.sources[0].schema_text, "sale_ts").unwrap();
            let definition = Definition { late_deltas, ..layout.definition.clone() };
            Self { proof: Proof::new(definition, drops_late, false), rows: Rows::new(Arc::new(layout)).unwrap(), offset: 0 }
        }

        /// A sale in the window with this number; returns its place.
        fn sale(&mut self, window: i64, amount: i128) -> Place {
            self.offset += 1;
            let place = (0, self.offset);
            self.proof.add_record(key(window), place, vec![Some(Number::Int(amount))], 0);
            place
        }

        fn row(&mut self, window: i64, sum: i64) {
            let (start_ms, group) = key(window);
            self.proof.add_row(Found { start_ms, group, values: vec![Scalar::Int(i32::try_from(sum).unwrap())] }, 0);
        }

        /// Equal, differing, waiting.
        fn judge(&mut self, now_ms: i64) -> (u64, u64, u64) {
            let result = self.proof.judge(&self.rows, now_ms, false);
            (result.equal, result.differing, result.waiting)
        }

        fn what(&mut self) -> Vec<What> {
            let result = self.proof.judge(&self.rows, LATER, false);
            result.differences.iter().map(|difference| difference.what).collect()
        }
    }

    fn key(window: i64) -> Key {
        (window * WINDOW, [6, b'A', b'B', b'C'].into())
    }

    #[test]
    fn a_row_that_is_the_sum_of_its_records_is_equal_in_whatever_order_they_come() {
        let mut case = Case::new(false, false);
        case.row(1, 300);
        assert_eq!(case.judge(0), (0, 0, 1));
        case.sale(1, 100);
        assert_eq!(case.judge(0), (0, 0, 1));
        case.sale(1, 200);
        assert_eq!(case.judge(0), (1, 0, 0));
        assert_eq!(case.judge(LATER), (1, 0, 0));
    }

    #[test]
    fn a_window_without_rows_is_open_until_a_later_one_has_some() {
        let mut case = Case::new(false, false);
        case.sale(1, 100);
        assert_eq!((case.judge(LATER), case.proof.open_windows(i64::MIN)), ((0, 0, 1), 1));
        case.sale(2, 5);
        case.row(2, 5);
        assert_eq!(case.judge(GRACE_MS - 1), (1, 0, 1));
        assert_eq!(case.judge(GRACE_MS), (1, 1, 0));
        assert_eq!(case.what(), [What::Missing]);
    }

    #[test]
    fn what_is_wrong_is_told_only_after_a_while_but_a_second_row_at_once() {
        let mut case = Case::new(false, false);
        case.sale(1, 100);
        case.row(1, 101);
        assert_eq!(case.judge(GRACE_MS - 1), (0, 0, 1));
        assert_eq!(case.what(), [What::Wrong]);

        let mut case = Case::new(false, false);
        case.sale(1, 100);
        case.row(1, 100);
        assert_eq!(case.judge(0), (1, 0, 0));
        case.row(1, 100);
        assert_eq!(case.judge(0), (0, 1, 0));
        let difference = case.proof.judge(&case.rows, 0, false).differences.remove(0);
        assert_eq!((difference.what, difference.raw), (What::Twice, Some(vec![Scalar::Int(100)])));
        assert_eq!(difference.aggregate, Some(vec![Scalar::Int(200)]));

        let mut case = Case::new(false, false);
        case.row(1, 100);
        assert_eq!(case.what(), [What::Extra]);
    }

    #[test]
    fn nothing_differs_while_the_history_is_read() {
        let mut case = Case::new(false, false);
        case.sale(1, 100);
        case.row(1, 101);
        let result = case.proof.judge(&case.rows, LATER, true);
        assert_eq!((result.differing, result.waiting), (0, 1));
    }

    #[test]
    fn dead_letters_excuse_their_records_whichever_is_read_first() {
        let mut case = Case::new(false, false);
        case.sale(1, 100);
        case.row(1, 100);
        assert_eq!(case.judge(0), (1, 0, 0));
        // A late record, whose letter comes after it; and one whose letter comes before.
        let late = case.sale(1, 7);
        case.proof.excuse(key(1), late, 0);
        assert_eq!(case.judge(LATER), (1, 0, 0));
        case.proof.excuse(key(2), (0, case.offset + 1), 0);
        assert_eq!(case.judge(LATER), (1, 0, 0));
        // And one whose letter was read long before, when its cell was equal already.
        case.proof.excuse(key(1), (0, 1_000), 0);
        assert_eq!(case.judge(LATER), (1, 0, 0));
        case.proof.add_record(key(1), (0, 1_000), vec![Some(Number::Int(3))], 0);
        assert_eq!(case.judge(LATER), (1, 0, 0));
        case.sale(2, 8);
        case.sale(2, 9);
        case.row(2, 9);
        assert_eq!(case.judge(LATER), (2, 0, 0));
    }

    #[test]
    fn a_record_that_the_aggregate_has_not_read_is_nothing_wrong() {
        let mut case = Case::new(false, false);
        case.sale(1, 100);
        case.row(1, 100);
        // Late, but the aggregate may be stopped; then there is a row of what came after it, and no letter.
        case.sale(1, 7);
        assert_eq!(case.judge(LATER), (0, 0, 1));
        case.sale(2, 5);
        case.row(2, 5);
        assert_eq!(case.what(), [What::Wrong]);
    }

    #[test]
    fn late_records_that_are_dropped_are_counted() {
        let mut case = Case::new(false, true);
        case.sale(1, 100);
        case.row(1, 100);
        assert_eq!(case.judge(0), (1, 0, 0));
        case.sale(1, 7);
        assert_eq!((case.judge(0), case.proof.dropped()), ((1, 0, 0), 1));
    }

    #[test]
    fn deltas_are_added_to_their_window() {
        let mut case = Case::new(true, false);
        case.sale(1, 100);
        case.row(1, 100);
        assert_eq!(case.judge(0), (1, 0, 0));
        case.sale(1, 7);
        case.sale(1, 8);
        case.row(1, 7);
        assert_eq!(case.judge(0), (0, 0, 1));
        case.row(1, 8);
        assert_eq!(case.judge(0), (1, 0, 0));
        case.row(1, 8);
        assert_eq!(case.what(), [What::Extra]);
    }

    #[test]
    fn a_sum_that_does_not_fit_has_no_row() {
        let mut case = Case::new(false, false);
        case.sale(1, i128::from(i32::MAX));
        case.sale(1, 1);
        assert_eq!(case.judge(0), (0, 0, 1));
        case.sale(2, 1);
        case.row(2, 1);
        assert_eq!(case.judge(0), (2, 0, 0));
    }

    #[test]
    fn windows_that_are_not_all_there_are_left_out() {
        let mut case = Case::new(false, false);
        case.proof.leave_out_before(2 * WINDOW);
        case.sale(1, 100);
        case.sale(2, 100);
        case.row(2, 100);
        let result = case.proof.judge(&case.rows, LATER, false);
        assert_eq!((result.equal, result.differing, result.left_out), (1, 0, 1));
    }

    #[test]
    fn memory_is_bounded() {
        let mut case = Case::new(false, false);
        let windows = i64::try_from(KEPT).unwrap() + 10;
        for window in 0..windows {
            case.sale(window, 1);
            case.row(window, 1);
        }
        assert_eq!(case.judge(0), (KEPT as u64 + 10, 0, 0));
        assert_eq!((case.proof.equal.len(), case.proof.open.len()), (KEPT, 0));
        case.sale(0, 1);
        let result = case.proof.judge(&case.rows, LATER, false);
        assert_eq!((result.equal, result.differing, result.left_out), (KEPT as u64 + 10, 0, 1));
    }
}
