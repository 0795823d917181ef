//! The data of a chart, added up record by record from its topic. Pure.
//!
//! The chart is the one that superset-bootstrap makes a slice of: what Superset asks Druid for is computed here from the topic.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::rows::to_float;
use super::state::{self, Data, Series, Slice};
use crate::avro::{Plan, Scalar, wire};
use crate::config::{Chart, ChartKind, Config, Function};

/// So many buckets are kept, the latest.
const BUCKETS: usize = 1_000;
/// So many series are told apart,
const SERIES: usize = 30;
/// and this is the name of all others together.
const OTHERS: &str = "(others)";

/// What happens so long after it was written is not drawn, ms.
const AHEAD_MS: i64 = 24 * 3_600_000;

/// A metric over some records.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    count: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
}

impl Tally {
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.min = Some(self.min.map_or(value, |min| min.min(value)));
        self.max = Some(self.max.map_or(value, |max| max.max(value)));
    }

    fn result(&self, function: Function) -> Option<f64> {
        match function {
            Function::Count => Some(self.count as f64),
            Function::Sum => (self.count > 0).then_some(self.sum),
            Function::Avg => (self.count > 0).then(|| self.sum / self.count as f64),
            Function::Min => self.min,
            Function::Max => self.max,
        }
    }
}

/// A chart and what was added up for it.
#[derive(Debug)]
pub struct Drawing {
    chart: Chart,
    /// The topic behind its datasource.
    pub topic: String,
    row: usize,
    width: u8,
    colors: BTreeMap<String, String>,
    /// Event time, dimensions, the metric's field.
    wanted: Vec<String>,
    plans: HashMap<u32, Option<Plan>>,
    names: BTreeSet<String>,
    /// By bucket, ms, and series; charts without a time axis have one bucket.
    buckets: BTreeMap<i64, BTreeMap<String, Tally>>,
}

impl Drawing {
    /// The charts of the pipeline file's dashboard, row by row; without a dashboard all charts, one below the other.
    pub fn all(config: &Config) -> Vec<Self> {
        let find = |title: &str| config.charts.iter().find(|chart| chart.title == title);
        let places: Vec<(&Chart, usize, u8)> = match &config.dashboard {
            Some(dashboard) => {
                let rows = dashboard.rows.iter().enumerate();
                rows.flat_map(|(row, tiles)| tiles.iter().map(move |tile| (row, tile)))
                    .filter_map(|(row, tile)| Some((find(&tile.chart)?, row, tile.width)))
                    .collect()
            }
            None => config.charts.iter().enumerate().map(|(row, chart)| (chart, row, 12)).collect(),
        };
        let colors = config.dashboard.as_ref().map(|dashboard| dashboard.colors.clone()).unwrap_or_default();
        places.into_iter().filter_map(|(chart, row, width)| Self::new(config, chart, row, width, colors.clone())).collect()
    }

    fn new(config: &Config, chart: &Chart, row: usize, width: u8, colors: BTreeMap<String, String>) -> Option<Self> {
        let datasource = config.datasources.iter().find(|datasource| datasource.name == chart.datasource)?;
        let mut wanted = vec![datasource.time.clone()];
        wanted.extend(chart.group_by.iter().cloned());
        // A count of rows asks for the time once more, which every row has.
        wanted.push(chart.metric.field.clone().unwrap_or_else(|| datasource.time.clone()));
        Some(Self {
            chart: chart.clone(),
            topic: datasource.topic.clone(),
            row,
            width,
            colors,
            wanted,
            plans: HashMap::new(),
            names: BTreeSet::new(),
            buckets: BTreeMap::new(),
        })
    }

    /// Takes note of what the registry says of an id.
    pub fn learn(&mut self, id: u32, schema: Option<&str>) {
        self.plans.insert(id, schema.and_then(|schema| Plan::compile(schema, &self.wanted).ok()));
    }

    /// Takes a record of the topic, written at `written_ms`; one that cannot be read is left, as Druid leaves it.
    pub fn add(&mut self, value: Option<&[u8]>, written_ms: Option<i64>) {
        let Some((id, datum)) = value.and_then(|value| wire::split(value).ok()) else { return };
        let Some(Some(plan)) = self.plans.get(&id) else { return };
        let mut slots = vec![Scalar::Null; self.wanted.len()];
        if plan.decode(datum, &mut slots).is_err() {
            return;
        }
        let Some(time_ms) = slots[0].event_time(plan.kind(0)) else { return };
        // One clock that runs years ahead must not push everything else out of the picture.
        if written_ms.is_some_and(|written_ms| time_ms > written_ms.saturating_add(AHEAD_MS)) {
            return;
        }
        let (Some(metric), dimensions) = (slots.last().copied(), &slots[1..slots.len() - 1]) else { return };
        let value = match (self.chart.metric.function, to_float(metric)) {
            (_, Some(value)) => value,
            (Function::Count, None) if metric != Scalar::Null => 1.0,
            _ => return,
        };
        let bucket = self.chart.grain.map_or(0, |grain| time_ms.div_euclid(grain.0) * grain.0);
        let name = dimensions.iter().map(Scalar::to_string).collect::<Vec<_>>().join(", ");
        self.tally(bucket, name, value);
    }

    fn tally(&mut self, bucket: i64, name: String, value: f64) {
        let too_old = self.buckets.len() >= BUCKETS && self.buckets.first_key_value().is_some_and(|(first, _)| bucket < *first);
        if too_old {
            return;
        }
        let known = self.names.contains(&name) || self.names.len() < SERIES && self.names.insert(name.clone());
        let name = if known { name } else { OTHERS.to_owned() };
        self.buckets.entry(bucket).or_default().entry(name).or_default().add(value);
        if self.buckets.len() > BUCKETS {
            self.buckets.pop_first();
        }
    }

    /// The chart with its data; `open_from`: the time from which events are still to come, ms.
    pub fn draw(&self, open_from: Option<i64>) -> state::Chart {
        let data = match self.chart.kind {
            ChartKind::Area | ChartKind::Line | ChartKind::Bar => self.area(open_from),
            ChartKind::Pie | ChartKind::BigNumber | ChartKind::Table => Data::Pie { slices: self.slices() },
        };
        let metric = self.chart.metric.label();
        let (title, datasource) = (self.chart.title.clone(), self.chart.datasource.clone());
        state::Chart { title, row: self.row, width: self.width, datasource, metric, data }
    }

    fn area(&self, open_from: Option<i64>) -> Data {
        let grain = self.chart.grain.map_or(60_000, |grain| grain.0);
        let times = self.times(grain);
        let others = self.buckets.values().any(|bucket| bucket.contains_key(OTHERS)).then_some(OTHERS);
        let series = self.names.iter().map(String::as_str).chain(others).map(|name| {
            let value = |time: &i64| self.buckets.get(time)?.get(name)?.result(self.chart.metric.function);
            Series { name: name.to_owned(), color: self.color(name), values: times.iter().map(value).collect() }
        });
        Data::Area { grain, step: self.chart.step, stack: self.chart.stack, series: series.collect(), times, open_from }
    }

    /// The latest buckets, those without a record too.
    fn times(&self, grain: i64) -> Vec<i64> {
        let (Some((first, _)), Some((last, _))) = (self.buckets.first_key_value(), self.buckets.last_key_value()) else {
            return Vec::new();
        };
        let length = i64::try_from(BUCKETS).unwrap_or(i64::MAX) - 1;
        let first = (*first).max(last.saturating_sub(grain.saturating_mul(length)));
        (0..=length).map(|number| first + number * grain).take_while(|time| time <= last).collect()
    }

    fn slices(&self) -> Vec<Slice> {
        let tallies = self.buckets.values().next();
        let mut slices: Vec<Slice> = tallies
            .into_iter()
            .flatten()
            .filter_map(|(name, tally)| {
                let value = tally.result(self.chart.metric.function)?;
                Some(Slice { name: name.clone(), color: self.color(name), value })
            })
            .collect();
        slices.sort_by(|a, b| b.value.total_cmp(&a.value));
        slices
    }

    fn color(&self, name: &str) -> Option<String> {
        self.colors.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::Encoder;
    use crate::config;

    const MINUTE: i64 = 60_000;

    fn drawings() -> (Vec<Drawing>, String) {
        let config = config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap();
        let mut drawings = Drawing::all(&config);
        let schema = config.sources[0].schema_text.clone();
        drawings.iter_mut().for_each(|drawing| drawing.learn(1, Some(&schema)));
        (drawings, schema)
    }

    fn sale(schema: &str, store: &str, amount: i32, time_ms: i64) -> Vec<u8> {
        let mut value = Vec::new();
        wire::frame(1, &mut value);
        let slots = [Scalar::Str(store), Scalar::Int(amount), Scalar::Long(time_ms)];
        Encoder::compile(schema).unwrap().encode(&slots, &mut value).unwrap();
        value
    }

    #[test]
    fn sums_stand_in_their_minutes_and_shares_are_of_all() {
        let (mut drawings, schema) = drawings();
        for (store, amount, time_ms) in [("ABC", 10, 0), ("ABC", 5, 59_999), ("DEF", 7, 60_000), ("ABC", 1, 3 * MINUTE)] {
            drawings.iter_mut().for_each(|drawing| drawing.add(Some(&sale(&schema, store, amount, time_ms)), None));
        }
        let chart = drawings[0].draw(Some(2 * MINUTE));
        assert_eq!((chart.row, chart.width, chart.metric.as_str()), (0, 9, "SUM(sale_amount)"));
        let Data::Area { times, series, open_from, step: true, stack: true, .. } = chart.data else { panic!("{chart:?}") };
        assert_eq!((times, open_from), (vec![0, MINUTE, 2 * MINUTE, 3 * MINUTE], Some(2 * MINUTE)));
        assert_eq!((series[0].name.as_str(), series[0].color.as_deref()), ("ABC", Some("#FF5A5F")));
        assert_eq!(series[0].values, [Some(15.0), None, None, Some(1.0)]);
        assert_eq!(series[1].values, [None, Some(7.0), None, None]);
        let Data::Pie { slices } = drawings[1].draw(None).data else { panic!("no pie") };
        assert_eq!(
            slices.iter().map(|slice| (slice.name.as_str(), slice.value)).collect::<Vec<_>>(),
            [("ABC", 16.0), ("DEF", 7.0)]
        );
    }

    #[test]
    fn what_cannot_be_read_is_left() {
        let (mut drawings, schema) = drawings();
        drawings[0].add(Some(&sale(&schema, "ABC", 1, 2 * AHEAD_MS)), Some(0));
        let mut value = sale(&schema, "ABC", 1, 0);
        value[4] = 9;
        for value in [None, Some(&[][..]), Some(&value[..])] {
            drawings[0].add(value, None);
        }
        assert!(matches!(drawings[0].draw(None).data, Data::Area { times, .. } if times.is_empty()));
    }

    #[test]
    fn many_buckets_and_many_series_are_bounded() {
        let (mut drawings, _) = drawings();
        for number in 0..2_000 {
            drawings[0].tally(number * MINUTE, format!("S{}", number % 100), 1.0);
        }
        let Data::Area { times, series, .. } = drawings[0].draw(None).data else { panic!("no area") };
        assert_eq!((times.len(), times.last(), series.len()), (BUCKETS, Some(&(1_999 * MINUTE)), SERIES + 1));
        assert_eq!(series[SERIES].name, OTHERS);
        // A bucket that came before those kept does not come back.
        drawings[0].tally(0, "S0".into(), 1.0);
        assert_eq!(drawings[0].times(MINUTE).len(), BUCKETS);
        // A gap of years is not filled.
        drawings[0].tally(100_000_000 * MINUTE, "S0".into(), 1.0);
        assert_eq!(drawings[0].times(MINUTE).len(), BUCKETS);
    }

    #[test]
    fn metrics_are_those_of_sql() {
        let mut tally = Tally::default();
        assert_eq!(tally.result(Function::Sum), None);
        [3.0, 1.0, 2.0].into_iter().for_each(|value| tally.add(value));
        let results = [Function::Sum, Function::Count, Function::Min, Function::Max, Function::Avg].map(|one| tally.result(one));
        assert_eq!(results, [Some(6.0), Some(3.0), Some(1.0), Some(3.0), Some(2.0)]);
    }
}
