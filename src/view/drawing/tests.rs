use super::*;
use crate::avro::{Encoder, Scalar};
use crate::config::{self, Metric, Millis};
use crate::proof::WEEK_MS;

const MINUTE: i64 = 60_000;

fn sales() -> Config {
    config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap()
}

/// The drawings of a pipeline file, which know the schema of SALES, and that schema.
fn drawings(config: &Config) -> (Vec<Drawing>, String) {
    let mut drawings = Drawing::all(config);
    let schema = config.sources[0].schema_text.clone();
    drawings.iter_mut().for_each(|drawing| drawing.learn(1, Some(&schema)));
    (drawings, schema)
}

/// The first chart of SALES, changed.
fn drawing(change: impl FnOnce(&mut Chart)) -> (Drawing, String) {
    let mut config = sales();
    config.dashboard = None;
    change(&mut config.charts[0]);
    let (mut drawings, schema) = drawings(&config);
    (drawings.remove(0), schema)
}

fn sale(schema: &str, store: &str, amount: i32, time_ms: i64) -> Vec<u8> {
    let mut value = Vec::new();
    wire::frame(1, &mut value);
    let slots = [Scalar::Str(store), Scalar::Int(amount), Scalar::Long(time_ms)];
    Encoder::compile(schema).unwrap().encode(&slots, &mut value).unwrap();
    value
}

fn values(slices: &[Slice]) -> Vec<(&str, f64)> {
    slices.iter().map(|slice| (slice.name.as_str(), slice.value)).collect()
}

const SALES: [(&str, i32, i64); 4] = [("ABC", 10, 0), ("ABC", 5, 59_999), ("DEF", 7, 60_000), ("ABC", 1, 3 * MINUTE)];

#[test]
fn sums_stand_in_their_minutes_and_shares_are_of_all() {
    let (mut drawings, schema) = drawings(&sales());
    for (store, amount, time_ms) in SALES {
        drawings.iter_mut().for_each(|drawing| drawing.add(Some(&sale(&schema, store, amount, time_ms)), None));
    }
    let chart = drawings[0].draw(0, Some(2 * MINUTE + 30_000));
    assert_eq!((chart.row, chart.width, chart.metric.as_str(), chart.adds_up), (0, 9, "SUM(sale_amount)", true));
    let Data::Area(OverTime { times, series, open_from, step: true, stack: true, .. }) = chart.data else { panic!("{chart:?}") };
    assert_eq!((times, open_from), (vec![0, MINUTE, 2 * MINUTE, 3 * MINUTE], Some(2 * MINUTE)));
    assert_eq!((series[0].name.as_str(), series[0].color.as_deref()), ("ABC", Some("#FF5A5F")));
    assert_eq!(series[0].values, [Some(15.0), None, None, Some(1.0)]);
    assert_eq!(series[1].values, [None, Some(7.0), None, None]);
    let Data::Pie { slices } = drawings[1].draw(0, None).data else { panic!("no pie") };
    assert_eq!(values(&slices), [("ABC", 16.0), ("DEF", 7.0)]);
}

#[test]
fn weeks_begin_on_mondays() {
    let (drawing, _) = drawing(|chart| chart.grain = Some(Millis(WEEK_MS)));
    let time = |text: &str| text.parse::<config::Instant>().unwrap().0;
    for day in ["2026-11-23T00:00:00Z", "2026-11-26T12:00:00Z", "2026-11-29T23:59:59Z"] {
        assert_eq!(drawing.bucket(time(day)), time("2026-11-23T00:00:00Z"), "{day}");
    }
}

#[test]
fn each_kind_has_its_own_data() {
    let data = |kind, function, group_by: &[&str]| {
        let (mut drawing, schema) = drawing(|chart| {
            chart.kind = kind;
            chart.metric = Metric { function, field: (function != Function::Count).then(|| "sale_amount".into()) };
            chart.group_by = group_by.iter().map(|&column| column.to_owned()).collect();
        });
        SALES.iter().for_each(|(store, amount, time_ms)| drawing.add(Some(&sale(&schema, store, *amount, *time_ms)), None));
        let chart = drawing.draw(0, None);
        (chart.data, chart.adds_up)
    };
    let (Data::Line(lines), false) = data(ChartKind::Line, Function::Max, &["store_id"]) else { panic!("no lines") };
    assert_eq!(lines.series[0].values, [Some(10.0), None, None, Some(1.0)]);
    let (Data::Bar(bars), true) = data(ChartKind::Bar, Function::Count, &[]) else { panic!("no bars") };
    assert_eq!((bars.series[0].name.as_str(), &bars.series[0].values[..2]), ("COUNT(*)", &[Some(2.0), Some(1.0)][..]));
    // Of all, whatever it is split by.
    assert_eq!(data(ChartKind::BigNumber, Function::Avg, &["store_id"]).0, Data::BigNumber { value: Some(5.75) });
    let row = |store: &str, value| Row { cells: vec![store.to_owned()], value: Some(value) };
    let rows = vec![row("DEF", 7.0), row("ABC", 16.0 / 3.0)];
    assert_eq!(data(ChartKind::Table, Function::Avg, &["store_id"]).0, Data::Table { rows, more: 0, others: None });
}

#[test]
fn a_time_range_slides() {
    for kind in [ChartKind::BigNumber, ChartKind::Pie, ChartKind::Bar] {
        let (mut drawing, schema) = drawing(|chart| {
            chart.kind = kind;
            chart.group_by.clear();
            chart.time_range = Some(Millis(10 * MINUTE));
        });
        for (minute, written_minute) in [(1, 1), (5, 5), (12, 12), (21, 12), (23, 12)] {
            let value = sale(&schema, "ABC", 1 << minute, minute * MINUTE);
            drawing.add(Some(&value), Some(written_minute * MINUTE));
        }
        let mut shown = |now_minute: i64| {
            let sum: f64 = match drawing.draw(now_minute * MINUTE, None).data {
                Data::BigNumber { value } => value.unwrap_or_default(),
                Data::Pie { slices } => slices.first().map_or(0.0, |slice| slice.value),
                Data::Bar(bars) => bars.series.iter().flat_map(|one| &one.values).flatten().sum(),
                other => panic!("{other:?}"),
            };
            sum as u64
        };
        let sum = |minutes: &[i32]| minutes.iter().map(|minute| 1_u64 << minute).sum::<u64>();
        // What happens later than now is not shown yet; what was further ahead than the range when it was written is not at all.
        assert_eq!(shown(12), sum(&[5, 12]), "{kind:?}");
        assert_eq!(shown(21), sum(&[12, 21]), "{kind:?}");
        assert_eq!(shown(24), sum(&[21]), "{kind:?}");
        assert_eq!(shown(60), 0, "{kind:?}");
        assert_eq!(drawing.tallies.groups().count(), 0, "{kind:?}");
    }
}

#[test]
fn what_cannot_be_read_is_left() {
    let (mut drawings, schema) = drawings(&sales());
    drawings[0].add(Some(&sale(&schema, "ABC", 1, 2 * AHEAD_MS)), Some(0));
    let mut value = sale(&schema, "ABC", 1, 0);
    value[4] = 9;
    for value in [None, Some(&[][..]), Some(&value[..])] {
        drawings[0].add(value, None);
    }
    assert!(matches!(drawings[0].draw(0, None).data, Data::Area(OverTime { times, .. }) if times.is_empty()));
}

#[test]
fn what_cannot_be_drawn_is_named() {
    let (mut drawing, schema) = drawing(|chart| chart.metric.field = Some("store_id".into()));
    drawing.add(Some(&sale(&schema, "ABC", 1, 0)), None);
    let Data::None { why } = drawing.draw(0, None).data else { panic!("drawn") };
    assert_eq!(why, "there is no SUM of `store_id`, which is of type string");
}

#[test]
fn many_buckets_and_many_series_are_bounded() {
    let (mut drawing, _) = drawing(|_| {});
    let add = |drawing: &mut Drawing, minute: i64, name: String| drawing.tallies.add(minute * MINUTE, &[name], Some(1.0));
    for minute in 0..2_000 {
        add(&mut drawing, minute, format!("S{}", minute % 100));
    }
    let Data::Area(OverTime { times, series, .. }) = drawing.draw(0, None).data else { panic!("no area") };
    assert_eq!((times.len(), times.last(), series.len()), (BUCKETS, Some(&(1_999 * MINUTE)), SERIES + 1));
    assert_eq!(series[SERIES].name, OTHERS);
    // A bucket that came before those kept does not come back.
    add(&mut drawing, 0, "S0".into());
    assert_eq!(drawing.times(MINUTE, i64::MAX).len(), BUCKETS);
    // A gap of years is not filled.
    add(&mut drawing, 100_000_000, "S0".into());
    assert_eq!(drawing.times(MINUTE, i64::MAX).len(), BUCKETS);
}

#[test]
fn many_groups_are_the_greatest_and_the_others() {
    let grouped = |kind, groups: usize, row_limit| {
        let (mut drawing, _) = drawing(|chart| (chart.kind, chart.row_limit) = (kind, row_limit));
        (0..groups).for_each(|group| drawing.tallies.add(0, &[format!("S{group}")], Some(group as f64)));
        drawing.draw(0, None).data
    };
    let Data::Pie { slices } = grouped(ChartKind::Pie, 100, 50_000) else { panic!("no pie") };
    assert_eq!(values(&slices)[..2], [("S99", 99.0), ("S98", 98.0)]);
    assert_eq!((slices.len(), values(&slices)[SERIES]), (SERIES + 1, (OTHERS, f64::from((0..70).sum::<i32>()))));
    let Data::Pie { slices } = grouped(ChartKind::Pie, 100, 2) else { panic!("no pie") };
    assert_eq!(values(&slices), [("S99", 99.0), ("S98", 98.0)]);
    let Data::Table { rows, more, others } = grouped(ChartKind::Table, GROUPS + 2, 50_000) else { panic!("no table") };
    assert_eq!((rows.len(), &rows[0].cells[0], more), (ROWS, &format!("S{}", GROUPS - 1), GROUPS - ROWS));
    assert_eq!(others, Some((2 * GROUPS + 1) as f64));
}
