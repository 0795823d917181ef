use super::*;
use crate::avro::{Encoder, Scalar};
use crate::config::{self, Config};

const SCHEMA: &str = r#"{"type":"record","name":"S","fields":[{"name":"store_id","type":"string"},
    {"name":"sale_amount","type":"int"},{"name":"sale_ts","type":"long"}]}"#;

/// Sums and counts of sales per store and minute.
fn sums(buckets: Buckets) -> Table {
    let config: Config = config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap();
    let metrics = vec![
        Metric { function: Function::Count, field: None },
        Metric { function: Function::Sum, field: Some("sale_amount".into()) },
    ];
    let question = Question::new(&metrics, vec!["store_id".into()], &config.datasources[0]).unwrap();
    let asked = Asked {
        topic: "SALES".into(),
        metrics,
        buckets,
        range_ms: None,
        retention_ms: None,
        lateness_ms: 5_000,
        is_joined: false,
    };
    let mut table = Table::new(asked, question, None);
    table.learn(1, Some(SCHEMA));
    table
}

/// A sale of this store at this event time, ms; read at `now_ms`, and written half a second before.
fn sell(table: &mut Table, store: &str, amount: i32, time_ms: i64, now_ms: i64) {
    let mut value = vec![0, 0, 0, 0, 1];
    let slots = [Scalar::Str(store), Scalar::Int(amount), Scalar::Long(time_ms)];
    Encoder::compile(SCHEMA).unwrap().encode(&slots, &mut value).unwrap();
    table.take(&record(&value, now_ms - 500, false), now_ms);
}

fn record(value: &[u8], written_ms: i64, begins_late: bool) -> Record<'_> {
    Record { topic: "SALES", partition: 0, offset: 0, time_ms: Some(written_ms), value: Some(value), envelope: None, begins_late }
}

fn shown(cells: &[(i64, &str, f64, f64)]) -> Shown {
    cells.iter().map(|(time, store, count, sum)| ((*time, vec![(*store).to_owned()]), vec![Some(*count), Some(*sum)])).collect()
}

const MINUTE: Buckets = Buckets::Windows(60_000, 0);

/// Equal, differing and waiting cells.
fn compare(table: &mut Table, shown: &Shown, now_ms: i64) -> (u64, u64, u64) {
    let compared = table.compare(shown, now_ms, &mut Latencies::default());
    (compared.equal, compared.differing, compared.waiting)
}

/// Two stores in one minute, read before anybody was asked.
fn two_stores() -> Table {
    let mut table = sums(MINUTE);
    sell(&mut table, "ABC", 5, 60_001, 0);
    sell(&mut table, "ABC", 7, 119_999, 0);
    sell(&mut table, "DEF", 1, 60_000, 0);
    table.go_live();
    table
}

const RIGHT: [(i64, &str, f64, f64); 2] = [(60_000, "ABC", 2.0, 12.0), (60_000, "DEF", 1.0, 1.0)];

#[test]
fn what_is_right_is_equal_at_once() {
    assert_eq!(compare(&mut two_stores(), &shown(&RIGHT), 1_000), (2, 0, 0));
}

#[test]
fn what_is_wrong_differs_when_it_has_stayed_so() {
    let altered = [(60_000, "ABC", 2.0, 13.0), RIGHT[1]];
    let lost = [RIGHT[1]];
    let doubled = [(60_000, "ABC", 4.0, 24.0), RIGHT[1]];
    let extra = [RIGHT[0], RIGHT[1], (120_000, "GHI", 1.0, 0.0)];
    // A row whose amount is 0 is seen in the count.
    let zero = [(60_000, "ABC", 3.0, 12.0), RIGHT[1]];
    for (cells, expected, found) in [
        (&altered[..], Some(12.0), Some(13.0)),
        (&lost, Some(2.0), None),
        (&doubled, Some(2.0), Some(4.0)),
        (&extra, None, Some(1.0)),
        (&zero, Some(2.0), Some(3.0)),
    ] {
        let mut table = two_stores();
        let equal = if cells.len() == 3 { 2 } else { 1 };
        assert_eq!(compare(&mut table, &shown(cells), 1_000), (equal, 0, 1), "{cells:?}");
        assert_eq!(compare(&mut table, &shown(cells), 1_000 + PATIENCE_MS - 1), (equal, 0, 1), "{cells:?}");
        let compared = table.compare(&shown(cells), 1_000 + PATIENCE_MS, &mut Latencies::default());
        assert_eq!((compared.differing, compared.never_right), (1, 0), "{cells:?}");
        let difference = &compared.differences[0];
        assert_eq!((difference.expected, difference.found), (expected, found), "{cells:?}");
        // Once it is mended it is equal again.
        let mended = if cells.len() == 3 { &extra[..2] } else { &RIGHT };
        assert_eq!(compare(&mut table, &shown(mended), 60_000), (2, 0, 0), "{cells:?}");
    }
}

#[test]
fn a_backlog_is_waited_for_as_long_as_it_gets_smaller() {
    let mut table = sums(MINUTE);
    (0..10).for_each(|minute| sell(&mut table, "ABC", 1, minute * 60_000, 0));
    table.go_live();
    let cells: Vec<_> = (0..10).map(|minute| (minute * 60_000, "ABC", 1.0, 1.0)).collect();
    for step in 0..10 {
        let now_ms = step as i64 * (PATIENCE_MS - 1);
        assert_eq!(compare(&mut table, &shown(&cells[..step]), now_ms), (step as u64, 0, 10 - step as u64));
    }
    let last = 9 * (PATIENCE_MS - 1);
    assert_eq!(compare(&mut table, &shown(&cells[..9]), last + PATIENCE_MS - 1), (9, 0, 1));
    assert_eq!(compare(&mut table, &shown(&cells[..9]), last + PATIENCE_MS), (9, 1, 0));
}

#[test]
fn an_answer_may_be_as_old_as_the_patience_lasts_and_no_older() {
    let mut table = two_stores();
    let mut latencies = Latencies::default();
    sell(&mut table, "ABC", 3, 70_000, 2_000);
    sell(&mut table, "ABC", 4, 70_000, 3_000);
    // Neither is in it yet.
    assert_eq!(table.compare(&shown(&RIGHT), 3_100, &mut latencies).equal, 2);
    assert!(latencies.since_written.told("p").is_none());
    // The first is.
    let first = [(60_000, "ABC", 3.0, 15.0), RIGHT[1]];
    assert_eq!(table.compare(&shown(&first), 3_500, &mut latencies).equal, 2);
    let told = latencies.since_written.told("p").unwrap();
    assert_eq!((told.count, told.max_ms), (1, 2_000));
    // A sum that it never came to.
    assert_eq!(compare(&mut table, &shown(&[(60_000, "ABC", 3.0, 16.0), RIGHT[1]]), 3_600), (1, 0, 1));
    // It stays as it was for too long.
    let after = 3_600 + PATIENCE_MS;
    assert_eq!(compare(&mut table, &shown(&first), after), (2, 0, 0));
    assert_eq!(compare(&mut table, &shown(&first), after + 1), (1, 0, 1));
    assert_eq!(compare(&mut table, &shown(&first), after + PATIENCE_MS), (1, 0, 1));
    assert_eq!(compare(&mut table, &shown(&first), after + PATIENCE_MS + 1), (1, 1, 0));
}

#[test]
fn a_cell_that_changes_too_fast_is_waited_for() {
    let mut table = two_stores();
    let most = CHANGES as i32 + 10;
    for number in 0..most {
        sell(&mut table, "ABC", 1, 60_000, 2_000 + i64::from(number) / 1_000);
    }
    assert_eq!(compare(&mut table, &shown(&RIGHT), 3_100), (1, 0, 1), "older than what is kept");
    let caught_up = [(60_000, "ABC", f64::from(most) + 2.0, f64::from(most) + 12.0), RIGHT[1]];
    assert_eq!(compare(&mut table, &shown(&caught_up), 3_200), (2, 0, 0));
}

#[test]
fn where_records_were_deleted_the_first_buckets_are_left_out() {
    let mut table = sums(MINUTE);
    let mut value = vec![0, 0, 0, 0, 1];
    let slots = [Scalar::Str("ABC"), Scalar::Int(5), Scalar::Long(90_000)];
    Encoder::compile(SCHEMA).unwrap().encode(&slots, &mut value).unwrap();
    table.take(&record(&value, 0, true), 0);
    sell(&mut table, "ABC", 1, 130_000, 0);
    table.go_live();
    let found = shown(&[(60_000, "ABC", 9.0, 99.0), (120_000, "ABC", 1.0, 1.0)]);
    let compared = table.compare(&found, 1_000, &mut Latencies::default());
    assert_eq!((compared.equal, compared.waiting, compared.left_out), (1, 0, 1));
    // What is over all times cannot be compared at all.
    let mut one = sums(Buckets::One);
    one.take(&record(&value, 0, true), 0);
    assert_eq!(one.first_ms(0), None);
    assert_eq!(one.compare(&Shown::new(), 1_000, &mut Latencies::default()).left_out, 1);
}

#[test]
fn only_whole_buckets_of_the_range_are_compared() {
    let mut table = two_stores();
    table.asked.range_ms = Some(3_600_000);
    let inside = 60_000 + 3_600_000 - 1_000;
    assert_eq!(compare(&mut table, &shown(&RIGHT), inside), (2, 0, 0));
    assert_eq!(compare(&mut table, &Shown::new(), inside + 1), (0, 0, 0), "the chart shows a part of it");
}

#[test]
fn what_cannot_be_read_counts_for_nothing_and_is_told() {
    let mut table = sums(MINUTE);
    table.learn(2, None);
    table.take(&record(&[0, 0, 0, 0, 2, 0], 0, false), 0);
    table.take(&record(b"text", 0, false), 0);
    assert_eq!(table.unread.as_deref(), Some("the registry has no Avro schema 2"));
    assert_eq!(compare(&mut table, &Shown::new(), 0), (0, 0, 0));
}

#[test]
fn what_is_wrong_differs_although_events_keep_coming() {
    let mut table = sums(Buckets::One);
    sell(&mut table, "ABC", 5, 60_000, 0);
    table.go_live();
    // The answer lacks the first sale, and goes on with the others.
    let answer = |count: f64| shown(&[(0, "ABC", count, count)]);
    for second in 1..=40 {
        sell(&mut table, "ABC", 1, 60_000, second * 1_000);
        let compared = table.compare(&answer(second as f64), second * 1_000 + 100, &mut Latencies::default());
        assert_eq!((compared.equal, compared.differing == 1), (0, second > 20), "after {second} s");
    }
}

#[test]
fn what_is_out_of_the_range_makes_room() {
    let mut table = sums(MINUTE);
    table.asked.range_ms = Some(3_600_000);
    for minute in 0..CELLS as i64 {
        sell(&mut table, "ABC", 1, minute * 60_000, 0);
    }
    assert!(table.is_full());
    let now_ms = CELLS as i64 * 60_000;
    compare(&mut table, &Shown::new(), now_ms);
    assert!(!table.is_full() && table.cells.len() <= 60);
}

#[test]
fn what_druid_has_dropped_cannot_be_compared_over_all_times() {
    let mut table = sums(Buckets::One);
    table.asked.retention_ms = Some(3_600_000);
    sell(&mut table, "ABC", 1, 0, 0);
    assert_eq!(table.first_ms(3_600_000), Some(i64::MIN));
    assert_eq!(table.first_ms(3_600_001), None);
}

#[test]
fn records_of_which_druid_may_make_rows_are_not_taken_for_none() {
    let mut table = two_stores();
    table.learn(2, Some(r#"{"type":"record","name":"S","fields":[{"name":"sale_ts","type":"long"}]}"#));
    table.take(&record(&[0, 0, 0, 0, 2, 0], 0, false), 0);
    let compared = table.compare(&shown(&[(0, "", 1.0, 0.0)]), 1_000 + PATIENCE_MS, &mut Latencies::default());
    assert_eq!((compared.equal, compared.differing, compared.waiting, compared.left_out), (0, 0, 0, 2));
}

#[test]
fn while_the_topic_is_read_rows_beyond_are_not_too_many() {
    let mut table = sums(MINUTE);
    sell(&mut table, "ABC", 1, 0, 0);
    let beyond = shown(&[(0, "ABC", 1.0, 1.0), (60_000, "ABC", 1.0, 1.0)]);
    assert_eq!((table.until_ms(), compare(&mut table, &beyond, 0)), (Some(60_000), (1, 0, 0)));
    table.go_live();
    assert_eq!((table.until_ms(), compare(&mut table, &beyond, 0)), (None, (1, 0, 1)));
}

#[test]
fn too_many_groups_without_a_time_axis_are_given_up() {
    let mut table = sums(Buckets::One);
    for group in 0..=CELLS {
        sell(&mut table, &group.to_string(), 1, 60_000, 0);
    }
    assert!(!table.is_full() && table.cells.is_empty() && table.unread.is_some());
    assert_eq!(compare(&mut table, &Shown::new(), 0), (0, 0, 0));
}

#[test]
fn of_more_cells_than_are_kept_the_settled_ones_are_counted() {
    let mut table = sums(MINUTE);
    let mut right = Shown::new();
    for minute in 0..CELLS as i64 + 10 {
        sell(&mut table, "ABC", 1, minute * 60_000, 0);
        right.insert((minute * 60_000, vec!["ABC".into()]), vec![Some(1.0), Some(1.0)]);
    }
    assert!(table.is_full());
    let all = CELLS as u64 + 10;
    assert_eq!(compare(&mut table, &right, 0), (all, 0, 0));
    assert!(!table.is_full() && table.first_ms(0) > Some(0));
    assert_eq!(compare(&mut table, &right, 1), (all, 0, 0));
    // What is wrong is kept.
    right.insert((CELLS as i64 * 60_000, vec!["ABC".into()]), vec![Some(2.0), Some(1.0)]);
    assert_eq!(compare(&mut table, &right, 2), (all - 1, 0, 1));
}

#[test]
fn whole_numbers_are_compared_to_the_digit_and_others_nearly() {
    for (a, b, same) in [
        (1e15, 1e15 + 1.0, false),
        (0.1 + 0.2, 0.3, true),
        (0.0, -0.0, true),
        (1.0, 1.000_001, false),
        (1e300, 1e300 * (1.0 + 1e-12), true),
        (f64::NAN, f64::NAN, true),
    ] {
        assert_eq!(is_same(Some(a), Some(b), 1e-9, 0.0), same, "{a} {b}");
    }
    assert!(is_same(Some(0.0), Some(5.6e-17), 1e-9, 0.6), "amounts that cancel");
    assert!(is_same(None, None, 0.0, 0.0) && !is_same(None, Some(0.0), 1.0, 0.0));
}
