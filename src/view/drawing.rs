//! The data of a chart, added up record by record from its topic. Pure.
//!
//! The chart is the one that superset-bootstrap makes a slice of: what Superset asks Druid for is computed here from the topic.

mod tallies;

use std::collections::{BTreeMap, HashMap};

use self::tallies::{Limits, Tallies};
use super::state::{self, Data, OverTime, Row, Series, Slice};
use crate::avro::{Plan, wire};
use crate::config::{Chart, ChartKind, Config, Datasource, Function};
use crate::proof::{DAY_MS, Question, Tally, bucket};

/// So many buckets are kept, the latest.
const BUCKETS: usize = 1_000;
/// So many series or slices are told apart,
const SERIES: usize = 30;
/// and this is the name of all others together.
const OTHERS: &str = "(others)";

/// A chart without a time axis tells so many groups apart,
const GROUPS: usize = 10_000;
/// and this many if it has a time range, since then it keeps each for each of
const SLIDING_GROUPS: usize = 1_000;
/// so many parts of that range. What it shows goes back by the range and up to one part more.
const PARTS: i64 = 100;
/// A table shows so many rows, the greatest values.
const ROWS: usize = 200;

/// What happens so long after it was written is not drawn, ms.
const AHEAD_MS: i64 = DAY_MS;

/// A chart and what was added up for it.
#[derive(Debug)]
pub struct Drawing {
    chart: Chart,
    /// The topic behind its datasource.
    pub topic: String,
    row: usize,
    width: u8,
    colors: BTreeMap<String, String>,
    /// The error says why it cannot be drawn.
    question: Result<Question, String>,
    /// The length of a bucket, ms; `None`: there is one for all times.
    grain: Option<i64>,
    /// By writer schema; the error says why its records are not drawn.
    plans: HashMap<u32, Result<Plan, String>>,
    /// Why the last record is not drawn.
    unread: Option<String>,
    tallies: Tallies,
}

impl Drawing {
    /// The charts of the pipeline file's dashboard, row by row; without a dashboard all charts, one below the other.
    pub fn all(config: &Config) -> Vec<Self> {
        let places: Vec<(&Chart, usize, u8)> = match &config.dashboard {
            Some(dashboard) => {
                let rows = dashboard.rows.iter().enumerate();
                rows.flat_map(|(row, tiles)| tiles.iter().map(move |tile| (row, tile)))
                    .filter_map(|(row, tile)| Some((config.chart(&tile.chart)?, row, tile.width)))
                    .collect()
            }
            None => config.charts.iter().enumerate().map(|(row, chart)| (chart, row, 12)).collect(),
        };
        let colors = config.dashboard.as_ref().map(|dashboard| dashboard.colors.clone()).unwrap_or_default();
        let draw = |(chart, row, width): (&Chart, _, _)| {
            Some(Self::new(chart, config.datasource(&chart.datasource)?, (row, width), colors.clone()))
        };
        places.into_iter().filter_map(draw).collect()
    }

    fn new(chart: &Chart, datasource: &Datasource, (row, width): (usize, u8), colors: BTreeMap<String, String>) -> Self {
        let (grain, limits) = match (chart.kind.is_over_time(), chart.time_range) {
            (true, _) => (Some(chart.grain.map_or(60_000, |grain| grain.0)), Limits { buckets: BUCKETS, groups: SERIES }),
            // Twice the range: what is to come counts as soon as it is now.
            (false, Some(range)) => {
                (Some((range.0 / PARTS).max(1_000)), Limits { buckets: 2 * PARTS as usize + 2, groups: SLIDING_GROUPS })
            }
            (false, None) => (None, Limits { buckets: 1, groups: GROUPS }),
        };
        Self {
            chart: chart.clone(),
            topic: datasource.topic.clone(),
            row,
            width,
            colors,
            question: Question::of_chart(chart, datasource),
            grain,
            plans: HashMap::new(),
            unread: None,
            tallies: Tallies::new(limits),
        }
    }

    /// Takes note of what the registry says of an id.
    pub fn learn(&mut self, id: u32, schema: Option<&str>) {
        let Ok(question) = &self.question else { return };
        let schema = schema.ok_or_else(|| format!("the registry has no Avro schema {id}"));
        self.plans.insert(id, schema.and_then(|schema| question.plan(schema)));
    }

    /// Takes a record of the topic, written at `written_ms`; one that cannot be read is left, as Druid leaves it.
    pub fn add(&mut self, value: Option<&[u8]>, written_ms: Option<i64>) {
        let Ok(question) = &self.question else { return };
        let Some((id, datum)) = value.and_then(|value| wire::split(value).ok()) else { return };
        let plan = match self.plans.get(&id) {
            Some(Ok(plan)) => plan,
            Some(Err(why)) => return self.unread = Some(why.clone()),
            None => return,
        };
        let Some(answer) = question.ask(plan, datum) else { return };
        // One clock that runs years ahead must not push everything else out of the picture.
        let ahead_ms = self.chart.time_range.map_or(AHEAD_MS, |range| range.0.min(AHEAD_MS));
        if written_ms.is_some_and(|written_ms| answer.time_ms > written_ms.saturating_add(ahead_ms)) {
            return;
        }
        self.unread = None;
        self.tallies.add(self.bucket(answer.time_ms), &answer.group, answer.values.first().copied().flatten());
    }

    fn bucket(&self, time_ms: i64) -> i64 {
        self.grain.map_or(0, |grain| bucket(time_ms, grain))
    }

    /// The chart with its data at this time; `open_from`: the time from which events are still to come; both ms.
    pub fn draw(&mut self, now_ms: i64, open_from: Option<i64>) -> state::Chart {
        let until_ms = match self.chart.time_range {
            Some(range) => {
                self.tallies.forget_before(self.bucket(now_ms.saturating_sub(range.0)));
                now_ms
            }
            None => i64::MAX,
        };
        let unread = self.unread.as_ref().filter(|_| self.tallies.buckets().is_empty());
        let data = match (self.question.as_ref().err().or(unread), self.chart.kind) {
            (Some(why), _) => Data::None { why: why.clone() },
            (None, ChartKind::Area) => Data::Area(self.over_time(until_ms, open_from)),
            (None, ChartKind::Line) => Data::Line(self.over_time(until_ms, open_from)),
            (None, ChartKind::Bar) => Data::Bar(self.over_time(until_ms, open_from)),
            (None, ChartKind::Pie) => Data::Pie { slices: self.slices(until_ms) },
            (None, ChartKind::BigNumber) => Data::BigNumber { value: self.number(until_ms) },
            (None, ChartKind::Table) => self.table(until_ms),
        };
        state::Chart {
            title: self.chart.title.clone(),
            row: self.row,
            width: self.width,
            datasource: self.chart.datasource.clone(),
            metric: self.chart.metric.label(),
            dimensions: self.question.as_ref().map(|question| question.dimensions.clone()).unwrap_or_default(),
            adds_up: matches!(self.function(), Function::Sum | Function::Count),
            range: self.chart.time_range.map(|range| range.0),
            data,
        }
    }

    /// What is computed of the records.
    fn function(&self) -> Function {
        let asked = self.question.as_ref().ok().and_then(|question| question.functions().next());
        asked.unwrap_or(self.chart.metric.function)
    }

    fn over_time(&self, until_ms: i64, open_from: Option<i64>) -> OverTime {
        let (grain, function, buckets) = (self.grain.unwrap_or(60_000), self.function(), self.tallies.buckets());
        let times = self.times(grain, until_ms);
        let series = |name: String, tally: &dyn Fn(i64) -> Option<Tally>| {
            let values = times.iter().map(|time| tally(*time)?.result(function)).collect();
            Series { color: self.color(&name), name, values }
        };
        let groups = self.tallies.groups();
        let mut all: Vec<Series> =
            groups.map(|group| series(self.name(group), &|time| buckets.get(&time)?.groups.get(group).copied())).collect();
        if buckets.values().any(|bucket| bucket.others.is_some()) {
            all.push(series(OTHERS.to_owned(), &|time| buckets.get(&time)?.others));
        }
        // A bucket that is open in part is open.
        let open_from = open_from.map(|time_ms| self.bucket(time_ms));
        OverTime { grain, step: self.chart.step, stack: self.chart.stack, times, series: all, open_from }
    }

    /// The latest buckets, those without a record too.
    fn times(&self, grain: i64, until_ms: i64) -> Vec<i64> {
        let mut starts = self.tallies.buckets().range(..=until_ms).map(|(start, _)| *start);
        let Some(first) = starts.next() else { return Vec::new() };
        let last = starts.next_back().unwrap_or(first);
        let length = i64::try_from(BUCKETS).unwrap_or(i64::MAX) - 1;
        let first = first.max(last.saturating_sub(grain.saturating_mul(length)));
        (0..=length).map(|number| first + number * grain).take_while(|time| *time <= last).collect()
    }

    /// What a group is called; without dimensions there is one, which is called as the metric is.
    fn name(&self, group: &[String]) -> String {
        if group.is_empty() { self.chart.metric.label() } else { group.join(", ") }
    }

    /// Each group's tally, the greatest value first, and that of all others.
    fn ranked(&self, until_ms: i64) -> (Vec<(tallies::Group, Tally)>, Option<Tally>) {
        let all = self.tallies.together(until_ms);
        let value = |tally: &Tally| tally.result(self.function()).unwrap_or(f64::NEG_INFINITY);
        let mut ranked: Vec<_> = all.groups.into_iter().collect();
        ranked.sort_by(|(_, a), (_, b)| value(b).total_cmp(&value(a)));
        (ranked, all.others)
    }

    fn slices(&self, until_ms: i64) -> Vec<Slice> {
        let (mut ranked, mut others) = self.ranked(until_ms);
        let limit = self.chart.row_limit as usize;
        if ranked.len() > limit {
            ranked.truncate(limit);
            others = None;
        }
        for (_, tally) in ranked.drain(SERIES.min(ranked.len())..) {
            others.get_or_insert_default().merge(&tally);
        }
        let named = ranked.iter().map(|(group, tally)| (self.name(group), *tally));
        let slice = |(name, tally): (String, Tally)| {
            Some(Slice { color: self.color(&name), name, value: tally.result(self.function())? })
        };
        named.chain(others.map(|tally| (OTHERS.to_owned(), tally))).filter_map(slice).collect()
    }

    fn number(&self, until_ms: i64) -> Option<f64> {
        self.tallies.together(until_ms).groups.values().copied().next().unwrap_or_default().result(self.function())
    }

    fn table(&self, until_ms: i64) -> Data {
        let (mut ranked, others) = self.ranked(until_ms);
        let groups = ranked.len();
        ranked.truncate(ROWS.min(self.chart.row_limit as usize));
        let row = |(group, tally): &(tallies::Group, Tally)| Row { cells: group.to_vec(), value: tally.result(self.function()) };
        Data::Table {
            rows: ranked.iter().map(row).collect(),
            more: groups - ranked.len(),
            others: others.and_then(|tally| tally.result(self.function())),
        }
    }

    fn color(&self, name: &str) -> Option<String> {
        self.colors.get(name).cloned()
    }
}

#[cfg(test)]
mod tests;
