//! What a datasource or a chart must show, cell by cell, by the records of its topic. Pure.
//!
//! Events come in while Druid and Superset are asked, so an answer is right if it is what the topic came to at some time of the last
//! [`PATIENCE_MS`]: each cell keeps its changes for so long. What is not right is *unsettled*; it differs once it has stayed as it is
//! for that long, while the whole table came no nearer either, since Druid may be busy with a backlog.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cell::{Cell, Values, is_same, results};
use super::freshness::{Latencies, Path};
use super::progress::{PATIENCE_MS, Progress};
use crate::avro::{FieldKind, Plan, wire};
use crate::config::{Function, Metric};
use crate::proof::{Question, Record, SHOWN, Tally, bucket, floor};

/// So many cells are kept; of those that are older, equal ones are only counted.
const CELLS: usize = 200_000;
/// So many changes are kept; of cells that change faster nothing can be said until they rest.
const CHANGES: usize = 200_000;

/// A cell: the start of its bucket, ms (0 where there is one for all times), and the value of each dimension.
pub type Key = (i64, Vec<String>);
/// What was answered: by cell, one value for each metric.
pub type Shown = BTreeMap<Key, Values>;

/// How time is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buckets {
    /// Not at all.
    One,
    /// Into windows of this length and offset, ms.
    Windows(i64, i64),
    /// Into buckets of a chart, ms: weeks begin on a Monday.
    Grain(i64),
}

impl Buckets {
    fn start(self, time_ms: i64) -> i64 {
        match self {
            Self::One => 0,
            Self::Windows(length, offset) => floor(time_ms.saturating_sub(offset), length).saturating_add(offset),
            Self::Grain(length) => bucket(time_ms, length),
        }
    }

    fn length(self) -> i64 {
        match self {
            Self::One => 0,
            Self::Windows(length, _) | Self::Grain(length) => length,
        }
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The topic whose records answer it, too.
    pub topic: String,
    /// The metrics, over Druid's columns.
    pub metrics: Vec<Metric>,
    /// How time is cut.
    pub buckets: Buckets,
    /// Only rows of the time from so long ago until now are asked for, ms.
    pub range_ms: Option<i64>,
    /// Druid drops rows that are older than this, ms.
    pub retention_ms: Option<i64>,
    /// How far events may come out of order, ms.
    pub lateness_ms: i64,
    /// The answer has the values of all dimensions in one text, as Superset names its series.
    pub is_joined: bool,
}

/// Since when an answer is wrong, and came no nearer.
#[derive(Debug, Clone, PartialEq)]
struct Unsettled {
    since_ms: i64,
    found: Option<Values>,
    /// How far it is from what it should be, the metrics added up.
    gap: f64,
}

/// A cell that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Differs {
    /// Which.
    pub key: Key,
    /// The metric's place.
    pub metric: usize,
    /// What the topic comes to.
    pub expected: Option<f64>,
    /// What was answered.
    pub found: Option<f64>,
}

/// How the last answer compares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compared {
    /// Cells that are equal.
    pub equal: u64,
    /// Cells that differ.
    pub differing: u64,
    /// Cells that are wrong, but may be under way.
    pub waiting: u64,
    /// Of these those that never were right.
    pub never_right: u64,
    /// Of those that wait: those that do not merely change too fast.
    pub unsettled: u64,
    /// Cells that cannot be told.
    pub left_out: u64,
    /// Cells that the topic comes to.
    pub cells: u64,
    /// The first differences.
    pub differences: Vec<Differs>,
}

/// The cells of a question.
#[derive(Debug)]
pub struct Table {
    /// What is asked.
    pub asked: Asked,
    question: Question,
    functions: Vec<Function>,
    /// By writer schema; the error says why its records count for nothing, and whether it is Avro all the same.
    plans: HashMap<u32, Result<Plan, (String, bool)>>,
    /// Why the last record counted for nothing.
    pub unread: Option<String>,
    /// The greatest relative error of each metric: sums of floats depend on the order.
    tolerance: f64,
    cells: BTreeMap<Key, Cell>,
    /// How many changes the cells keep.
    changes: usize,
    /// The oldest event time, ms.
    oldest_ms: i64,
    /// Partitions of which a record was read.
    begun: BTreeSet<i32>,
    /// Buckets before this are left out, ms.
    complete_from: i64,
    left_out: BTreeSet<Key>,
    /// Buckets before this are no longer kept, ms; and what was found of them.
    kept_from: i64,
    forgotten: Compared,
    unsettled: BTreeMap<Key, Unsettled>,
    progress: Progress,
    /// Changes are kept: all that was there at the start is read.
    is_live: bool,
    /// How long events take to the topic.
    pub arrivals: Path,
}

impl Table {
    /// No record was read yet. Buckets that begin before `since_ms` are left out.
    pub fn new(asked: Asked, question: Question, since_ms: Option<i64>) -> Self {
        Self {
            functions: question.functions().collect(),
            asked,
            question,
            plans: HashMap::new(),
            unread: None,
            tolerance: 1e-9,
            cells: BTreeMap::new(),
            changes: 0,
            oldest_ms: i64::MAX,
            begun: BTreeSet::new(),
            complete_from: since_ms.unwrap_or(i64::MIN),
            left_out: BTreeSet::new(),
            kept_from: i64::MIN,
            forgotten: Compared::default(),
            unsettled: BTreeMap::new(),
            progress: Progress::default(),
            is_live: false,
            arrivals: Path::default(),
        }
    }

    /// The columns that cells are told apart by.
    pub fn dimensions(&self) -> &[String] {
        &self.question.dimensions
    }

    /// Takes note of what the registry says of an id.
    pub fn learn(&mut self, id: u32, schema: Option<&str>) {
        let plan = match schema {
            Some(schema) => self.question.plan(schema).map_err(|why| (why, true)),
            None => Err((format!("the registry has no Avro schema {id}"), false)),
        };
        if let Ok(plan) = &plan
            && plan.fields().iter().enumerate().any(|(place, _)| plan.kind(place) == FieldKind::Float)
        {
            self.tolerance = 1e-6;
        }
        self.plans.insert(id, plan);
    }

    /// From now on changes are kept.
    pub fn go_live(&mut self) {
        self.is_live = true;
    }

    /// Takes a record of the topic. What cannot be read is left, as Druid leaves it.
    pub fn take(&mut self, record: &Record<'_>, now_ms: i64) {
        let Some((id, datum)) = record.value.and_then(|value| wire::split(value).ok()) else { return };
        let plan = match self.plans.get(&id) {
            Some(Ok(plan)) => plan,
            Some(Err((why, is_avro))) => {
                self.unread = Some(why.clone());
                if *is_avro {
                    // Druid may make rows of such records.
                    self.leave_out_before(i64::MAX);
                }
                return;
            }
            None => return,
        };
        let Some(answer) = self.question.ask(plan, datum) else { return };
        let start = self.asked.buckets.start(answer.time_ms);
        if self.begun.insert(record.partition) && record.begins_late {
            // Some of those before it may have been as late as allowed.
            let last_begun = self.asked.buckets.start(answer.time_ms.saturating_add(self.asked.lateness_ms));
            self.leave_out_before(last_begun.saturating_add(self.asked.buckets.length().max(1)));
        }
        let group = if self.asked.is_joined { vec![answer.group.join(", ")] } else { answer.group };
        let key = (start, group);
        if start < self.kept_from && !self.cells.contains_key(&key) {
            return;
        }
        self.oldest_ms = self.oldest_ms.min(answer.time_ms);
        if self.is_left_out(start) {
            if self.left_out.len() < CELLS {
                self.left_out.insert(key);
            }
            return;
        }
        if self.asked.buckets == Buckets::One && self.cells.len() >= CELLS && !self.cells.contains_key(&key) {
            self.give_up();
            return;
        }
        let cell = self.cells.entry(key).or_default();
        if self.is_live {
            let is_full = self.changes >= CHANGES;
            self.changes += 1;
            self.changes -= cell.remember(is_full, now_ms, record.time_ms, answer.time_ms);
            record.time_ms.into_iter().for_each(|written_ms| self.arrivals.add(written_ms - answer.time_ms));
        }
        cell.tallies.resize(self.functions.len(), Tally::default());
        for (tally, value) in cell.tallies.iter_mut().zip(&answer.values) {
            value.iter().for_each(|value| tally.add(*value));
        }
    }

    fn is_left_out(&self, start: i64) -> bool {
        match self.asked.buckets {
            Buckets::One => self.complete_from > i64::MIN,
            _ => start < self.complete_from,
        }
    }

    /// There are more groups than can be kept.
    fn give_up(&mut self) {
        self.unread = Some(format!("it has more than {CELLS} groups, which are not compared"));
        self.leave_out_before(i64::MAX);
    }

    /// Buckets that begin before this time are not compared: their records are not all there.
    pub fn leave_out_before(&mut self, time_ms: i64) {
        self.complete_from = self.complete_from.max(time_ms);
        while let Some(entry) = self.cells.first_entry() {
            if entry.key().0 >= self.complete_from && self.asked.buckets != Buckets::One {
                break;
            }
            let (key, cell) = entry.remove_entry();
            self.changes -= cell.changes.len();
            self.left_out.insert(key);
        }
    }

    /// From when on rows are of interest, ms; `None`: nothing can be compared, since topic and table do not go back equally far.
    pub fn first_ms(&self, now_ms: i64) -> Option<i64> {
        let kept_from = self.cells.first_key_value().map_or(self.kept_from, |(key, _)| key.0.min(self.kept_from));
        self.begins_ms(now_ms).map(|first_ms| first_ms.max(kept_from))
    }

    /// The same, whatever is still kept.
    fn begins_ms(&self, now_ms: i64) -> Option<i64> {
        // A bucket that begins before the range is in it in part only.
        let range = self.asked.range_ms.map_or(i64::MIN, |range| now_ms.saturating_sub(range).saturating_add(1_000));
        let retention = self.asked.retention_ms.map_or(i64::MIN, |retention| now_ms.saturating_sub(retention));
        if self.asked.buckets == Buckets::One {
            return (self.complete_from == i64::MIN && self.oldest_ms >= retention).then_some(i64::MIN);
        }
        let from = self.complete_from.max(range).max(retention);
        let aligned = if from == i64::MIN { from } else { self.asked.buckets.start(from) };
        Some(if aligned < from { aligned.saturating_add(self.asked.buckets.length()) } else { aligned })
    }

    /// Up to when, exclusively, rows are of interest, ms: while the topic is read, as far as it was. `None`: they all are.
    pub fn until_ms(&self) -> Option<i64> {
        let last = self.cells.last_key_value().filter(|_| !self.is_live && self.asked.buckets != Buckets::One);
        last.map(|(key, _)| key.0.saturating_add(self.asked.buckets.length()))
    }

    /// Compares an answer that was complete at `now_ms`.
    pub fn compare(&mut self, shown: &Shown, now_ms: i64, latencies: &mut Latencies) -> Compared {
        let Some(first_ms) = self.begins_ms(now_ms) else {
            return Compared { left_out: (self.left_out.len() + self.cells.len()) as u64, ..Compared::default() };
        };
        self.outlive(first_ms);
        let until_ms = self.until_ms().unwrap_or(i64::MAX);
        let mut compared = self.forgotten.clone();
        compared.left_out += self.left_out.len() as u64;
        let mut wrong: BTreeMap<Key, Option<Values>> = BTreeMap::new();
        let nothing = vec![None; self.functions.len()];
        for (key, cell) in &mut self.cells {
            compared.cells += 1;
            let found = shown.get(key);
            let is_right = cell.is_right(&self.functions, found.unwrap_or(&nothing), self.tolerance, now_ms, latencies);
            cell.was_right |= is_right;
            if is_right {
                compared.equal += 1;
            } else if now_ms < cell.blurred_until {
                compared.waiting += 1;
            } else {
                wrong.insert(key.clone(), found.cloned());
            }
            self.changes -= cell.forget_before(now_ms - PATIENCE_MS);
        }
        let from_ms = first_ms.max(self.kept_from);
        let is_compared = |key: &Key| self.asked.buckets == Buckets::One || (from_ms..until_ms).contains(&key.0);
        for (key, found) in shown.iter().filter(|(key, _)| is_compared(key) && !self.cells.contains_key(*key)) {
            if found.iter().any(Option::is_some) {
                wrong.insert(key.clone(), Some(found.clone()));
            }
        }
        self.settle(wrong, now_ms, &mut compared);
        self.bound(now_ms);
        compared
    }

    /// What is out of the range by now never comes back.
    fn outlive(&mut self, first_ms: i64) {
        while self.asked.buckets != Buckets::One
            && let Some(key) = self.cells.first_key_value().map(|(key, _)| key.clone()).filter(|key| key.0 < first_ms)
        {
            self.forgotten.left_out += 1;
            self.unsettled.remove(&key);
            self.drop_cell(&key);
        }
    }

    /// There is no answer: what was wrong in the last one begins anew.
    pub fn pause(&mut self) {
        self.unsettled.clear();
        self.progress = Progress::default();
    }

    /// Which of the wrong answers have been so for long enough.
    fn settle(&mut self, wrong: BTreeMap<Key, Option<Values>>, now_ms: i64, compared: &mut Compared) {
        let before = std::mem::take(&mut self.unsettled);
        for (key, found) in wrong {
            let gap = self.gap(&key, found.as_ref());
            let known = before.get(&key).filter(|known| gap >= known.gap);
            let (since_ms, gap) = known.map_or((now_ms, gap), |known| (known.since_ms, known.gap));
            self.unsettled.insert(key, Unsettled { since_ms, found, gap });
        }
        self.progress.note(self.unsettled.len() as u64, now_ms);
        for (key, Unsettled { since_ms, found, .. }) in &self.unsettled {
            let cell = self.cells.get(key);
            if !self.progress.has_ended(*since_ms, now_ms) {
                compared.waiting += 1;
                compared.unsettled += 1;
                compared.never_right += u64::from(cell.is_none_or(|cell| !cell.was_right));
                continue;
            }
            compared.differing += 1;
            if compared.differences.len() < SHOWN {
                compared.differences.push(self.difference(key, found.as_ref()));
            }
        }
    }

    /// What a cell should be.
    fn expected(&self, key: &Key) -> Values {
        let cell = self.cells.get(key);
        cell.map_or_else(|| vec![None; self.functions.len()], |cell| results(&cell.tallies, &self.functions))
    }

    fn gap(&self, key: &Key, found: Option<&Values>) -> f64 {
        let one = |(place, expected): (usize, Option<f64>)| match (
            expected,
            found.and_then(|found| found.get(place).copied().flatten()),
        ) {
            (Some(expected), Some(found)) => (expected - found).abs(),
            (None, None) => 0.0,
            _ => f64::INFINITY,
        };
        let gap: f64 = self.expected(key).into_iter().enumerate().map(one).sum();
        if gap.is_nan() { f64::INFINITY } else { gap }
    }

    /// Whether a metric of a cell has this value, or had it lately.
    pub fn has_been(&self, key: &Key, metric: usize, value: Option<f64>) -> bool {
        let is = |tallies: &[Tally]| {
            tallies.get(metric).zip(self.functions.get(metric)).is_some_and(|(tally, function)| {
                is_same(tally.result(*function), value, self.tolerance, tally.magnitude(*function))
            })
        };
        self.cells.get(key).is_none_or(|cell| is(&cell.tallies) || cell.changes.iter().any(|change| is(&change.before)))
    }

    /// Whether two values of a cell's metric are the same.
    pub fn is_same(&self, key: &Key, metric: usize, a: Option<f64>, b: Option<f64>) -> bool {
        let tally = self.cells.get(key).and_then(|cell| cell.tallies.get(metric)).zip(self.functions.get(metric));
        is_same(a, b, self.tolerance, tally.map_or(0.0, |(tally, function)| tally.magnitude(*function)))
    }

    /// The first metric of a cell that differs.
    fn difference(&self, key: &Key, found: Option<&Values>) -> Differs {
        let expected = self.expected(key);
        let found = found.cloned().unwrap_or_else(|| vec![None; self.functions.len()]);
        let pairs = expected.iter().zip(&found);
        let metric = pairs.enumerate().position(|(place, (a, b))| !self.is_same(key, place, *a, *b)).unwrap_or(0);
        Differs {
            key: key.clone(),
            metric,
            expected: expected.get(metric).copied().flatten(),
            found: found.get(metric).copied().flatten(),
        }
    }

    /// Whether there are so many cells that they have to be compared before more are read.
    pub fn is_full(&self) -> bool {
        self.cells.len() >= CELLS && self.asked.buckets != Buckets::One
    }

    /// Bounds the memory: of the oldest cells that are right only the number is kept.
    fn bound(&mut self, now_ms: i64) {
        if !self.is_full() {
            return;
        }
        // Rows without records may be of records still to be read, unless nothing comes any nearer.
        let extra = self.unsettled.iter().find(|(key, _)| !self.cells.contains_key(*key));
        let extra = extra.filter(|(_, unsettled)| !self.progress.has_ended(unsettled.since_ms, now_ms));
        let until = extra.map_or(i64::MAX, |(key, _)| key.0);
        let spare = self.cells.len() - CELLS / 2;
        let oldest = self.cells.iter().take_while(|(key, _)| key.0 < until);
        let right = oldest.filter(|(key, cell)| cell.was_right && !self.unsettled.contains_key(*key));
        let keys: Vec<Key> = right.map(|(key, _)| key.clone()).take(spare).collect();
        for key in keys {
            self.forgotten.cells += 1;
            self.forgotten.equal += 1;
            self.drop_cell(&key);
        }
        self.bound_wrong(now_ms);
    }

    /// The same of those that are wrong and too many to keep.
    fn bound_wrong(&mut self, now_ms: i64) {
        while self.is_full()
            && let Some((key, unsettled)) = self.unsettled.first_key_value().map(|(key, one)| (key.clone(), one.since_ms))
            && self.progress.has_ended(unsettled, now_ms)
        {
            self.unsettled.remove(&key);
            self.forgotten.left_out += 1;
            self.drop_cell(&key);
        }
    }

    fn drop_cell(&mut self, key: &Key) {
        if let Some(cell) = self.cells.remove(key) {
            self.changes -= cell.changes.len();
        }
        self.kept_from = self.kept_from.max(key.0.saturating_add(1));
    }
}

#[cfg(test)]
mod tests;
