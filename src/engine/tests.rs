//! The engine by examples; against the oracle, in `crash`: disorder, several partitions and processes, a crash at any moment.

mod crash;
mod functions;
mod memory;

use super::*;

const WINDOW: i64 = 10;

fn definition(lateness_ms: i64) -> Definition {
    let functions = vec![Function::Sum, Function::Count, Function::Min, Function::Max, Function::Avg];
    Definition { window_ms: WINDOW, offset_ms: 0, lateness_ms, max_future_ms: 1_000, functions, late_deltas: false, keyed: false }
}

/// Equal, with every NaN the same but 0 and -0 not.
fn same(a: Option<Number>, b: Option<Number>) -> bool {
    match (a, b) {
        (Some(Number::Float(a)), Some(Number::Float(b))) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
        (a, b) => a == b,
    }
}

fn one_partition(lateness_ms: i64) -> Engine {
    Engine::new(definition(lateness_ms), [(0, 0, Progress::starting_at(0))])
}

fn observe(engine: &mut Engine, partition: i32, offset: i64, time_ms: i64) -> Verdict {
    let values = [Some(Number::Int(1)); 5];
    engine.observe(&Event { partition, offset, time_ms, kafka_time_ms: None, group: &[0], values: &values })
}

#[test]
fn a_window_closes_when_the_watermark_reaches_its_last_millisecond() {
    let mut engine = one_partition(5);
    observe(&mut engine, 0, 0, 3);
    observe(&mut engine, 0, 1, 13);
    assert_eq!(engine.pending_rows(), 0);
    observe(&mut engine, 0, 2, 14);
    assert_eq!(engine.take_rows().iter().map(|row| (row.start_ms, row.end_ms)).collect::<Vec<_>>(), [(0, 10)]);
    assert_eq!(observe(&mut engine, 0, 3, 9), Verdict::Late);
    assert_eq!(observe(&mut engine, 0, 4, 10), Verdict::Counted);
}

#[test]
fn times_before_the_epoch_have_windows_too() {
    assert_eq!(window_start(-1, 10, 0), -10);
    assert_eq!(window_start(-10, 10, 0), -10);
    assert_eq!(window_start(9, 10, 3), 3);
    assert_eq!(window_start(2, 10, 3), -7);
}

#[test]
fn an_unread_partition_holds_the_watermark_until_it_is_idle() {
    let mut engine = Engine::new(definition(0), [(0, 0, Progress::starting_at(0)), (1, 0, Progress::starting_at(0))]);
    observe(&mut engine, 0, 0, 0);
    observe(&mut engine, 0, 1, 55);
    assert_eq!((engine.watermark(), engine.pending_rows()), (None, 0));
    engine.set_idle(1, true);
    assert_eq!((engine.watermark(), engine.pending_rows()), (Some(55), 1));
    // Its first record ends the idleness; what is closed stays closed.
    assert_eq!(observe(&mut engine, 1, 0, 12), Verdict::Late);
    assert_eq!(engine.watermark(), Some(12));
}

#[test]
fn once_a_silent_partition_brings_an_event_none_counts_as_silent() {
    let mut engine = Engine::new(definition(0), [(0, 0, Progress::starting_at(0)), (1, 0, Progress::starting_at(0))]);
    observe(&mut engine, 0, 0, 5);
    observe(&mut engine, 1, 0, 6);
    engine.set_idle(0, true);
    engine.set_idle(1, true);
    assert!(!engine.take_resumed());
    // Both go on at once, but all of the first is read before the second.
    observe(&mut engine, 0, 1, 15);
    observe(&mut engine, 0, 2, 95);
    assert_eq!(engine.watermark(), Some(6));
    assert_eq!(observe(&mut engine, 1, 1, 15), Verdict::Counted);
    assert!(engine.take_resumed());
    assert!(!engine.take_resumed());
}

#[test]
fn a_silent_stream_is_closed_by_the_wall_clock() {
    let mut engine = one_partition(5);
    observe(&mut engine, 0, 0, 3);
    engine.close_by_wall_clock(1_000);
    assert_eq!(engine.pending_rows(), 0, "not while it may go on");
    engine.set_idle(0, true);
    engine.close_by_wall_clock(14);
    assert_eq!(engine.pending_rows(), 0);
    engine.close_by_wall_clock(15);
    assert_eq!(engine.pending_rows(), 1);
}

#[test]
fn a_stream_of_old_events_goes_on_after_a_pause() {
    let mut engine = one_partition(5);
    observe(&mut engine, 0, 0, 3);
    engine.set_idle(0, true);
    engine.close_by_wall_clock(1_000_000);
    assert_eq!(engine.pending_rows(), 1);
    assert_eq!(observe(&mut engine, 0, 1, 9), Verdict::Late);
    assert_eq!(observe(&mut engine, 0, 2, 10), Verdict::Counted);
}

#[test]
fn a_replay_that_ends_with_a_new_record_turns_closing_on() {
    // The record before the position was Kafka's own: the first record that comes after it is new.
    let mut engine = Engine::new(definition(0), [(0, 0, Progress { closed_through: 20, ..Progress::starting_at(4) })]);
    observe(&mut engine, 0, 0, 25);
    observe(&mut engine, 0, 4, 31);
    assert_eq!(engine.take_rows().iter().map(|row| row.start_ms).collect::<Vec<_>>(), [20]);
    observe(&mut engine, 0, 5, 45);
    assert_eq!(engine.take_rows().iter().map(|row| row.start_ms).collect::<Vec<_>>(), [30]);
}

#[test]
fn records_that_cannot_be_read_are_no_sign_of_life() {
    let mut engine = Engine::new(definition(0), [(0, 0, Progress::starting_at(0)), (1, 0, Progress::starting_at(0))]);
    observe(&mut engine, 0, 0, 15);
    engine.set_idle(1, true);
    assert!(engine.reject(1, 0));
    assert_eq!((engine.watermark(), engine.last_event(0), engine.last_event(1)), (Some(15), Some(0), None));
}

#[test]
fn an_event_time_far_past_its_kafka_timestamp_moves_nothing() {
    let mut engine = one_partition(0);
    let event = Event { partition: 0, offset: 0, time_ms: 1_101, kafka_time_ms: Some(100), group: &[0], values: &[] };
    assert_eq!(engine.observe(&event), Verdict::OutOfRange);
    assert_eq!(engine.watermark(), None);
    assert_eq!(engine.observe(&Event { offset: 1, time_ms: 1_100, ..event }), Verdict::Counted);
    assert_eq!(engine.observe(&Event { offset: 2, time_ms: i64::MAX, kafka_time_ms: None, ..event }), Verdict::OutOfRange);
}

#[test]
fn partitions_closed_by_different_instances_are_asked_each_for_itself() {
    let ahead = Progress { position: 5, closed_through: 50, max_event_time: Some(55) };
    let behind = Progress { position: 5, closed_through: 20, max_event_time: Some(25) };
    let mut engine = Engine::new(definition(0), [(0, 5, ahead), (1, 5, behind)]);
    assert_eq!(observe(&mut engine, 0, 5, 45), Verdict::Late);
    assert_eq!(observe(&mut engine, 1, 5, 45), Verdict::Counted);
    observe(&mut engine, 0, 6, 70);
    assert_eq!(engine.commits().iter().map(|commit| commit.progress.closed_through).collect::<Vec<_>>(), [50, 40]);
}

#[test]
fn a_replay_ends_where_the_log_does_even_without_a_record_there() {
    let progress = Progress { closed_through: 20, ..Progress::starting_at(4) };
    let mut engine = Engine::new(definition(0), [(0, 0, progress)]);
    for (offset, time_ms) in [(0, 5), (1, 25), (2, 35)] {
        observe(&mut engine, 0, offset, time_ms);
    }
    engine.read_up_to(0, 3);
    assert!(engine.replaying());
    engine.read_up_to(0, 4);
    assert!(!engine.replaying());
    assert_eq!(engine.take_rows().iter().map(|row| row.start_ms).collect::<Vec<_>>(), [20]);
    assert_eq!(engine.commits()[0].progress.position, 4);
}

#[test]
fn a_partition_far_ahead_should_wait_once_the_cells_are_many() {
    let mut engine = Engine::new(definition(0), [(0, 0, Progress::starting_at(0)), (1, 0, Progress::starting_at(0))]);
    observe(&mut engine, 0, 0, 0);
    observe(&mut engine, 0, 1, 10 * WINDOW + 1);
    assert!(!engine.should_wait(0));
    let mut engine = engine.with_cell_budget(1);
    assert!(engine.should_wait(0), "of an unread one");
    observe(&mut engine, 1, 0, 1);
    assert!(!engine.should_wait(0));
    observe(&mut engine, 0, 2, 10 * WINDOW + 2);
    assert!(engine.should_wait(0) && !engine.should_wait(1));
    let engine = engine.with_cell_budget(2);
    assert!(!engine.should_wait(0));
}

#[test]
fn closed_cells_no_longer_count_as_open() {
    let assigned = [(0, 0, Progress::starting_at(0)), (1, 0, Progress::starting_at(0))];
    let mut engine = Engine::new(definition(0), assigned).with_cell_budget(2);
    for (offset, time_ms) in [0, 10, 20, 300].into_iter().enumerate() {
        observe(&mut engine, 0, offset as i64, time_ms);
    }
    assert!(engine.should_wait(0));
    observe(&mut engine, 1, 0, 25);
    assert_eq!(engine.pending_rows(), 2);
    assert!(!engine.should_wait(0), "two cells are left");
}

#[test]
fn a_partition_that_was_far_ahead_is_read_again_all_the_same() {
    let ahead = Progress { max_event_time: Some(500), ..Progress::starting_at(40) };
    let behind = Progress { max_event_time: Some(5), ..Progress::starting_at(3) };
    let mut engine = Engine::new(definition(0), [(0, 0, ahead), (1, 2, behind)]).with_cell_budget(0);
    assert!(!engine.should_wait(0) && !engine.should_wait(1));
    observe(&mut engine, 1, 2, 5);
    assert!(!engine.should_wait(0), "nobody else can go on before it has come to its position");
    assert!(engine.should_wait(1));
    observe(&mut engine, 0, 39, 500);
    assert!(engine.should_wait(0) && !engine.should_wait(1));
}

#[test]
fn what_comes_late_is_one_row_a_cell_and_transaction() {
    let definition = Definition { late_deltas: true, functions: vec![Function::Sum, Function::Count], ..definition(0) };
    let mut engine = Engine::new(definition.clone(), [(0, 0, Progress::starting_at(0))]);
    observe(&mut engine, 0, 0, 3);
    observe(&mut engine, 0, 1, 25);
    assert_eq!(engine.take_rows().len(), 1);
    let closed_through = engine.commits()[0].progress.closed_through;
    assert_eq!(observe(&mut engine, 0, 2, 3), Verdict::Late);
    assert_eq!(observe(&mut engine, 0, 3, 4), Verdict::Late);
    assert_eq!(engine.open_windows(), 1);
    assert_eq!(engine.pending_rows(), 1);
    let two = Some(Number::Int(2));
    let delta = Row { start_ms: 0, end_ms: 10, group: [0].into(), values: vec![two, two] };
    assert_eq!(engine.take_rows(), [delta]);
    assert_eq!((engine.pending_rows(), engine.take_rows().len()), (0, 0));
    let commit = engine.commits()[0];
    assert_eq!(commit.progress.closed_through, closed_through);
    // After a restart it is old, and gives no second delta.
    let mut engine = Engine::new(definition, [(0, commit.offset, commit.progress)]);
    for (offset, time_ms) in [(1, 25), (2, 3), (3, 4)] {
        assert_ne!(observe(&mut engine, 0, offset, time_ms), Verdict::Late);
    }
    assert_eq!(engine.pending_rows(), 0);
    assert_eq!(observe(&mut engine, 0, 4, 4), Verdict::Late);
    assert_eq!(engine.pending_rows(), 1);
}

#[test]
fn a_group_in_two_partitions_is_found_where_each_should_be_in_one() {
    let assigned = [(3, 0, Progress::starting_at(0)), (4, 0, Progress::starting_at(2))];
    let mut engine = Engine::new(Definition { keyed: true, ..definition(0) }, assigned);
    assert_eq!(observe(&mut engine, 3, 0, 3), Verdict::Counted);
    assert_eq!(observe(&mut engine, 4, 0, 17), Verdict::Counted, "in another window");
    assert_eq!(observe(&mut engine, 4, 1, 3), Verdict::Scattered { other: 3 }, "one that is read again too");
    assert_eq!(observe(&mut engine, 3, 1, 17), Verdict::Scattered { other: 4 });
    engine.close_all();
    let counts: Vec<_> = engine.take_rows().iter().map(|row| row.values[1]).collect();
    assert_eq!(counts, [Some(Number::Int(1)); 2]);
    let mut engine = Engine::new(definition(0), assigned);
    assert_eq!(observe(&mut engine, 3, 0, 3), Verdict::Counted);
    assert_eq!(observe(&mut engine, 4, 0, 3), Verdict::Counted);
}
