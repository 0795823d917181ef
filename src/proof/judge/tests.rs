//! The proof on small cases by hand, and on random histories of the engine.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::bound::{AHEAD, CELLS, RECORDS};
use super::*;
use crate::aggregate::Layout;
use crate::config;
use crate::engine::{self, Engine, Event, Progress, Verdict};

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
        self.record(window, (0, self.offset), amount, None)
    }

    fn record(&mut self, window: i64, place: Place, amount: i128, maybe_late: Option<i64>) -> Place {
        let values = vec![Some(Number::Int(amount))];
        self.proof.add_record(key(window), Counted { place, values, maybe_late }, 0);
        place
    }

    fn row(&mut self, window: i64, sum: i64) {
        let (start_ms, group) = key(window);
        self.proof.add_row(Found { start_ms, group, values: vec![Scalar::Int(i32::try_from(sum).unwrap())] }, 0);
    }

    fn letter(&mut self, window: i64, place: Place) {
        self.proof.excuse(key(window), place, 0, 0);
    }

    /// Equal, differing, waiting.
    fn judge(&mut self, level_ms: i64) -> (u64, u64, u64) {
        let judged = self.proof.judge(&self.rows, Some(level_ms));
        (judged.equal, judged.differing, judged.waiting)
    }

    fn what(&mut self) -> Vec<What> {
        let judged = self.proof.judge(&self.rows, Some(LATER));
        judged.differences.iter().map(|difference| difference.what).collect()
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
    assert_eq!((case.judge(LATER), case.proof.open_windows().len()), ((0, 0, 1), 1));
    case.sale(2, 5);
    case.row(2, 5);
    assert_eq!(case.judge(GRACE_MS), (1, 0, 1));
    assert_eq!(case.judge(GRACE_MS + 1), (1, 1, 0));
    assert_eq!(case.what(), [What::Missing]);
}

#[test]
fn what_is_wrong_is_told_only_after_a_while_but_a_second_row_at_once() {
    let mut case = Case::new(false, false);
    case.sale(1, 100);
    case.row(1, 101);
    assert_eq!(case.judge(GRACE_MS), (0, 0, 1));
    assert_eq!(case.what(), [What::Wrong]);

    let mut case = Case::new(false, false);
    case.sale(1, 100);
    case.row(1, 100);
    assert_eq!(case.judge(0), (1, 0, 0));
    case.row(1, 100);
    assert_eq!(case.judge(0), (0, 1, 0));
    let difference = case.proof.judge(&case.rows, None).differences.remove(0);
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
    let judged = case.proof.judge(&case.rows, None);
    assert_eq!((judged.differing, judged.waiting), (0, 1));
}

#[test]
fn what_comes_after_a_cell_was_equal_is_judged_with_all_of_it() {
    // Topics are read in pieces: sums may agree by chance, and records of nothing may be read last.
    let mut case = Case::new(false, false);
    case.sale(1, 100);
    case.row(1, 100);
    assert_eq!(case.judge(0), (1, 0, 0));
    case.sale(1, 0);
    assert_eq!(case.judge(LATER), (1, 0, 0));
    case.sale(1, 5);
    assert_eq!(case.judge(0), (0, 0, 1));
    case.sale(1, -5);
    assert_eq!(case.judge(LATER), (1, 0, 0));
}

#[test]
fn dead_letters_excuse_their_records_whichever_is_read_first() {
    let mut case = Case::new(false, false);
    case.sale(1, 100);
    case.row(1, 100);
    assert_eq!(case.judge(0), (1, 0, 0));
    // A late record, whose letter comes after it; and one whose letter comes before, also if its cell was equal meanwhile.
    let late = case.sale(1, 7);
    case.letter(1, late);
    assert_eq!(case.judge(LATER), (1, 0, 0));
    case.letter(1, (0, 1_000));
    assert_eq!(case.judge(LATER), (1, 0, 0));
    case.record(1, (0, 1_000), 3, None);
    assert_eq!(case.judge(LATER), (1, 0, 0));
    // A cell of nothing but letters is none.
    case.letter(2, (0, 2_000));
    case.record(2, (0, 2_000), 3, None);
    assert_eq!((case.judge(LATER), case.proof.open_windows().len()), ((1, 0, 0), 0));
}

#[test]
fn letters_of_an_earlier_life_of_the_sink_excuse_nothing() {
    let mut case = Case::new(false, false);
    let late = case.sale(1, 7);
    case.letter(1, late);
    case.proof.leave_out_letters_before(1);
    case.row(1, 7);
    assert_eq!(case.judge(LATER), (1, 0, 0));
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
fn where_late_records_may_have_been_dropped_nothing_is_told() {
    let mut case = Case::new(false, true);
    case.sale(1, 100);
    case.row(1, 100);
    case.record(1, (0, 5), 7, Some(0));
    case.sale(2, 100);
    case.row(2, 101);
    case.record(3, (0, 6), 1, None);
    case.row(3, 1);
    let judged = case.proof.judge(&case.rows, Some(LATER));
    assert_eq!((judged.equal, judged.differing, judged.left_out), (1, 1, 1));
}

#[test]
fn a_late_record_whose_letter_may_be_deleted_is_nothing_wrong() {
    let mut case = Case::new(false, false);
    for (window, written_ms) in [(1, 10), (2, 20)] {
        case.sale(window, 100);
        case.row(window, 100);
        case.record(window, (0, 3 + window), 7, Some(written_ms));
    }
    case.record(3, (0, 9), 1, None);
    case.row(3, 1);
    case.proof.letters_are_gone_before(20);
    let judged = case.proof.judge(&case.rows, Some(LATER));
    assert_eq!((judged.equal, judged.differing, judged.left_out), (1, 1, 1));
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
    assert_eq!(case.judge(LATER), (0, 0, 1), "more records may be under way");
    case.sale(2, 1);
    case.row(2, 1);
    assert_eq!(case.what(), [What::Wrong]);
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
    let judged = case.proof.judge(&case.rows, Some(LATER));
    assert_eq!((judged.equal, judged.differing, judged.left_out), (1, 0, 1));
}

#[test]
fn memory_is_bounded_by_whole_windows() {
    let mut case = Case::new(false, false);
    let windows = i64::try_from(CELLS).unwrap() + 10;
    for window in 0..windows {
        case.sale(window, 1);
        case.row(window, 1);
    }
    assert_eq!(case.judge(0), (CELLS as u64 + 10, 0, 0));
    assert!(case.proof.cells.len() <= CELLS);
    case.sale(0, 1);
    assert_eq!(case.judge(LATER), (CELLS as u64 + 10, 0, 0));
    // A second row of a cell that is no longer kept.
    case.row(0, 1);
    let judged = case.proof.judge(&case.rows, Some(LATER));
    assert_eq!((judged.differing, judged.differences[0].what), (1, What::Twice));
}

#[test]
fn what_is_wrong_is_kept_however_many_cells_there_are() {
    let mut case = Case::new(false, false);
    let windows = i64::try_from(CELLS).unwrap() + 10;
    for window in 0..windows {
        case.sale(window, 1);
        if window != 4 {
            case.row(window, if window == 3 { 2 } else { 1 });
        }
    }
    case.proof.judge(&case.rows, None);
    assert!(case.proof.cells.len() <= CELLS);
    assert_eq!(case.what(), [What::Wrong, What::Missing]);
}

#[test]
fn records_of_equal_cells_are_given_up_first() {
    let mut case = Case::new(false, false);
    for window in 0..10 {
        let sales = i64::try_from(RECORDS).unwrap() / 8;
        for _ in 0..sales {
            case.sale(window, 1);
        }
        case.row(window, sales);
        case.judge(0);
    }
    assert_eq!(case.judge(LATER), (10, 0, 0));
    assert!(case.proof.records <= RECORDS, "{}", case.proof.records);
    // What comes for such a cell is told only as far as it can be.
    let late = case.sale(0, 1);
    assert_eq!(case.judge(LATER), (9, 0, 1));
    case.letter(0, late);
    assert_eq!(case.judge(LATER), (10, 0, 0));
    case.row(0, 1);
    assert_eq!(case.what(), [What::Twice]);
}

#[test]
fn what_nobody_aggregates_is_left_out_in_the_end() {
    let mut case = Case::new(false, false);
    let most = RECORDS / 4 * 5;
    for number in 0..=i64::try_from(most).unwrap() {
        case.sale(number / 1_000, 1);
    }
    assert!(case.proof.needs_rows());
    let judged = case.proof.judge(&case.rows, Some(LATER));
    assert_eq!((judged.left_out, judged.waiting), (1, most as u64 / 1_000));
    assert!(case.proof.records <= most);
}

#[test]
fn rows_that_are_ahead_wait_for_their_records() {
    let mut case = Case::new(false, false);
    for window in 0..i64::try_from(AHEAD).unwrap() {
        assert!(!case.proof.needs_records());
        case.row(window, 1);
    }
    assert!(case.proof.needs_records() && !case.proof.needs_rows());
    case.sale(3, 1);
    assert!(!case.proof.needs_records());
    case.row(1_000_000, 1);
    case.proof.leave_out_before(5 * WINDOW);
    assert_eq!(case.proof.rows_ahead, AHEAD + 1 - 5);
}

#[test]
fn a_cell_without_its_late_records_is_explained() {
    let mut case = Case::new(false, false);
    case.sale(1, 100);
    let late = case.sale(1, 7);
    case.letter(1, late);
    case.row(1, 100);
    case.sale(2, 5);
    case.row(2, 5);
    let judged = case.proof.judge(&case.rows, Some(LATER));
    assert_eq!((judged.equal, judged.explained), (2, 1));
    let explanation = &judged.explanations[0];
    assert_eq!((explanation.what, explanation.key.0), (What::Late, WINDOW));
    assert_eq!(explanation.raw, Some(vec![Scalar::Int(107)]));
    assert_eq!(explanation.aggregate, Some(vec![Scalar::Int(100)]));
}

#[test]
fn rows_of_closed_windows_are_overdue_unless_there_is_none_to_come() {
    let mut case = Case::new(false, false);
    case.sale(1, 100);
    let letter = case.sale(2, 7);
    case.letter(2, letter);
    case.record(3, (0, 1_000), i128::from(i32::MAX) + 1, None);
    case.sale(4, 5);
    case.judge(LATER);
    let overdue = |case: &Case, windows: i64| case.proof.overdue(&case.rows, windows * WINDOW).0;
    // Of the others one has nothing but a dead letter, and one a sum that does not fit.
    assert_eq!([1, 2, 4, 5].map(|windows| overdue(&case, windows)), [0, 1, 1, 2]);
    assert_eq!(case.proof.overdue(&case.rows, 5 * WINDOW).1[0].what, What::Missing);
}

#[test]
fn how_far_the_aggregate_has_read_settles_its_last_row() {
    let mut case = Case::new(false, false);
    case.sale(1, 100);
    case.sale(1, 7);
    case.row(1, 100);
    let judged = case.proof.judge(&case.rows, Some(LATER));
    assert_eq!((judged.waiting, judged.pending), (1, 1));
    case.proof.note_position(0, 2, 0);
    assert_eq!(case.judge(LATER), (0, 0, 1), "the second record is not read");
    case.proof.note_position(0, 3, LATER);
    assert_eq!(case.judge(LATER), (0, 0, 1), "its letter may not be read");
    let judged = case.proof.judge(&case.rows, Some(LATER + 1));
    assert_eq!(judged.differences[0].what, What::Wrong);
}

/// A history of two partitions as the engine sees it: what each topic holds in the end.
#[derive(Debug, Clone)]
struct History {
    records: Vec<(Key, Place, i128)>,
    letters: Vec<(Key, Place)>,
    rows: Vec<(Key, i64)>,
}

/// Events out of order, some late, in windows of ten units and three groups.
fn history(times: &[(usize, u8, i64)]) -> History {
    let definition = Definition {
        window_ms: 10,
        offset_ms: 0,
        lateness_ms: 5,
        max_future_ms: 0,
        functions: vec![engine::Function::Sum],
        late_deltas: false,
        keyed: false,
    };
    let mut engine = Engine::new(definition, [0, 1].map(|partition| (partition, 0, Progress::starting_at(0))));
    let mut history = History { records: Vec::new(), letters: Vec::new(), rows: Vec::new() };
    let mut next = [0, 0];
    for (number, (partition, group, jitter)) in times.iter().enumerate() {
        let time_ms = number as i64 * 2 - jitter;
        let (offset, amount) = (next[*partition], i128::from(*jitter) - 3);
        next[*partition] += 1;
        let (partition, values) = (i32::try_from(*partition).unwrap(), [Some(Number::Int(amount))]);
        // A string of one letter.
        let group = [2, b'A' + group];
        let event = Event { partition, offset, time_ms, kafka_time_ms: None, group: &group, values: &values };
        let key: Key = (time_ms.div_euclid(10) * 10, group.into());
        if engine.observe(&event) == Verdict::Late {
            history.letters.push((key.clone(), (partition, offset)));
        }
        history.records.push((key, (partition, offset), amount));
    }
    let sum = |row: &engine::Row| match row.values[0] {
        Some(Number::Int(sum)) => i64::try_from(sum).unwrap(),
        ref other => panic!("{other:?}"),
    };
    history.rows = engine.take_rows().iter().map(|row| ((row.start_ms, row.group.clone()), sum(row))).collect();
    history
}

/// Reads a history, each topic in its order but side by side as `turns` say, and judges now and then, as in the midst of reading.
fn read(history: &History, turns: &[u8]) -> Judged {
    let mut case = Case::new(false, false);
    case.proof.definition.window_ms = 10;
    let mut left = (history.records.iter(), history.letters.iter(), history.rows.iter());
    let mut turns = turns.iter().cycle();
    let mut done = [false; 3];
    while done != [true; 3] {
        match turns.next().unwrap() % 4 {
            0 => match left.0.next() {
                Some((key, place, amount)) => {
                    let record = Counted { place: *place, values: vec![Some(Number::Int(*amount))], maybe_late: None };
                    case.proof.add_record(key.clone(), record, 0);
                }
                None => done[0] = true,
            },
            1 => match left.1.next() {
                Some((key, place)) => case.proof.excuse(key.clone(), *place, 0, 0),
                None => done[1] = true,
            },
            2 => match left.2.next() {
                Some(((start_ms, group), sum)) => {
                    let values = vec![Scalar::Int(i32::try_from(*sum).unwrap())];
                    case.proof.add_row(Found { start_ms: *start_ms, group: group.clone(), values }, 0);
                }
                None => done[2] = true,
            },
            _ => {
                let judged = case.proof.judge(&case.rows, None);
                assert!(judged.differences.iter().all(|difference| difference.what == What::Twice), "{judged:?}");
            }
        }
    }
    case.proof.judge(&case.rows, Some(LATER))
}

fn arbitrary() -> impl Strategy<Value = (History, Vec<u8>)> {
    let events = vec((0..2_usize, 0..3_u8, prop_oneof![4 => 0..6_i64, 1 => 0..40_i64]), 60..200);
    // Each kind of turn is there, so that reading comes to an end.
    let turns = vec(0..4_u8, 10..60).prop_map(|turns| [turns, vec![0, 1, 2, 3]].concat());
    (events.prop_map(|times| history(&times)), turns)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_engine_writes_is_equal_in_whatever_order_it_is_read((history, turns) in arbitrary()) {
        let judged = read(&history, &turns);
        prop_assert_eq!((judged.equal, &judged.differences), (history.rows.len() as u64, &Vec::new()));
    }

    #[test]
    fn one_thing_wrong_is_found((mut history, turns) in arbitrary(), which in 0..5_u8, at in 0..1_000_usize) {
        // Of the first half, so that later rows show how far the aggregate has come.
        let half = history.rows.len() / 2;
        prop_assume!(half > 0);
        let at = at % half;
        let key = history.rows[at].0.clone();
        let expected = match which {
            0 => { history.rows[at].1 += 1; What::Wrong }
            1 => { history.rows.remove(at); What::Missing }
            2 => { let row = history.rows[at].clone(); history.rows.insert(at, row); What::Twice }
            3 => {
                let counted = |(of, place, amount): &(Key, Place, i128)|
                    *of == key && *amount != 0 && !history.letters.iter().any(|(_, late)| late == place);
                let record = history.records.iter().position(counted);
                prop_assume!(record.is_some());
                history.records.remove(record.unwrap());
                if history.records.iter().any(|(of, place, _)| *of == key && !history.letters.iter().any(|(_, late)| late == place)) {
                    What::Wrong
                } else {
                    What::Extra
                }
            }
            _ => {
                let first_late = history.letters.iter().position(|(of, _)| history.rows[..half].iter().any(|(row, _)| row == of));
                prop_assume!(first_late.is_some());
                let (of, place) = history.letters.remove(first_late.unwrap());
                let amount = history.records.iter().find(|(_, found, _)| *found == place).map_or(0, |record| record.2);
                // A late record far behind is told only once rows of what came after it are there.
                let last = history.rows.iter().filter_map(|(row, _)| {
                    history.records.iter().filter(|(of, found, _)| of == row && found.0 == place.0).map(|record| record.1.1).min()
                }).max();
                prop_assume!(amount != 0 && last.is_some_and(|last| last >= place.1));
                let judged = read(&history, &turns);
                prop_assert_eq!(judged.differences.iter().map(|one| (&one.key, one.what)).collect::<Vec<_>>(), [(&of, What::Wrong)]);
                return Ok(());
            }
        };
        let judged = read(&history, &turns);
        prop_assert_eq!(judged.differences.iter().map(|one| (&one.key, one.what)).collect::<Vec<_>>(), [(&key, expected)]);
    }
}
