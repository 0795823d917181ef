//! All that is known of a pipeline file's topics, and what was answered to the questions about them. Pure.

use std::collections::BTreeMap;

use super::freshness::{Latencies, Path};
use super::plan::Item;
use super::progress::Progress;
use super::report::{Comparison, Difference, Freshness, Hop, Report, Verdict};
use super::sql;
use super::table::{Asked, Compared, Differs, Shown, Table};
use crate::error::Error;
use crate::follow::Takes;
use crate::proof::{Record, SHOWN, Stream, Told, What, schema_id};

/// An unknown schema id is asked for again after this time, as the aggregate does.
const ASK_AGAIN_MS: i64 = 30_000;

/// A comparison and how it stands.
pub struct Entry {
    /// Where.
    pub hop: Hop,
    /// The datasource, or the chart's title.
    pub name: String,
    /// The datasource.
    pub datasource: String,
    /// What must be shown; the error says why nothing can be compared.
    table: Result<Table, String>,
    latencies: Latencies,
    last: Compared,
    /// Why there was no answer the last time.
    trouble: Option<Error>,
    /// Why rows may be missing, as the server says it.
    cause: Option<String>,
    /// Of a chart that differs: what Druid itself answers.
    by_druid: Option<Shown>,
    /// The most rows that a chart shows.
    row_limit: Option<u32>,
    /// It was asked since all was read that was there at the start.
    is_asked: bool,
}

/// The streams and comparisons of a pipeline file.
pub struct Book {
    streams: Vec<(Stream, Overdue)>,
    /// The comparisons.
    pub entries: Vec<Entry>,
    strict: bool,
    /// The schema ids that are known, and until when (ms) the registry need not be asked again.
    known: BTreeMap<u32, i64>,
    is_live: bool,
}

/// Rows that are missing of windows that are closed.
#[derive(Default)]
struct Overdue {
    progress: Progress,
    since_ms: Option<i64>,
    /// The same of cells with rows that the aggregate may not have come past.
    pending: Progress,
    pending_since_ms: Option<i64>,
    closing: Path,
}

/// What to ask.
pub struct Question {
    /// The comparison's place.
    pub place: usize,
    /// The query in SQL.
    pub sql: String,
    /// Its parameters.
    pub parameters: Vec<serde_json::Value>,
}

impl Book {
    /// Nothing was read yet.
    pub fn new(streams: Vec<Stream>, items: Vec<(Item, Option<u32>)>, since_ms: Option<i64>, strict: bool) -> Self {
        let entry = |(item, row_limit): (Item, Option<u32>)| Entry {
            hop: item.hop,
            name: item.name,
            datasource: item.datasource,
            table: item.questions.map(|(asked, question)| Table::new(asked, question, since_ms)),
            latencies: Latencies::default(),
            last: Compared::default(),
            trouble: None,
            cause: None,
            by_druid: None,
            row_limit,
            is_asked: false,
        };
        Self {
            streams: streams.into_iter().map(|stream| (stream, Overdue::default())).collect(),
            entries: items.into_iter().map(entry).collect(),
            strict,
            known: BTreeMap::new(),
            is_live: false,
        }
    }

    /// The topics to read.
    pub fn topics(&self) -> Vec<String> {
        let topics = self.streams.iter().flat_map(|(stream, _)| stream.topics());
        let asked = self.entries.iter().filter_map(|entry| Some(entry.table.as_ref().ok()?.asked.topic.as_str()));
        let mut topics: Vec<String> = topics.chain(asked).map(str::to_owned).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// All is read that was there at the start: from now on it matters when something comes.
    pub fn go_live(&mut self) {
        if !self.is_live {
            self.is_live = true;
            self.entries.iter_mut().filter_map(|entry| entry.table.as_mut().ok()).for_each(Table::go_live);
            self.streams.iter_mut().for_each(|(stream, _)| drop(stream.closing_latencies()));
        }
    }

    /// Whether cells have to be compared before more records are read.
    pub fn is_full(&self) -> bool {
        self.entries.iter().any(|entry| entry.table.as_ref().is_ok_and(Table::is_full))
    }

    /// What to ask Druid about these comparisons.
    pub fn questions(&self, of: impl Fn(&Entry) -> bool, now_ms: i64) -> Vec<Question> {
        let entries = self.entries.iter().enumerate().filter(|(_, entry)| of(entry));
        let question = |(place, entry): (usize, &Entry)| {
            let table = entry.table.as_ref().ok()?;
            let (sql, parameters) =
                sql::query(&entry.datasource, table.dimensions(), &table.asked, (table.first_ms(now_ms)?, table.until_ms()));
            Some(Question { place, sql, parameters })
        };
        entries.filter_map(question).collect()
    }

    /// Reads Druid's rows as an answer to a comparison.
    pub fn read(&self, place: usize, rows: &[Vec<serde_json::Value>]) -> Shown {
        match &self.entries[place].table {
            Ok(table) => sql::shown(rows, table.dimensions().len(), table.asked.is_joined),
            Err(_) => Shown::new(),
        }
    }

    /// Takes an answer, complete at `now_ms`.
    pub fn answer(&mut self, place: usize, answer: Result<Shown, Error>, now_ms: i64) {
        let entry = &mut self.entries[place];
        match (answer, &mut entry.table) {
            (Ok(shown), Ok(table)) => {
                entry.last = table.compare(&shown, now_ms, &mut entry.latencies);
                (entry.trouble, entry.is_asked) = (None, true);
                if entry.hop == Hop::Druid && entry.last.waiting + entry.last.differing == 0 {
                    let datasource = entry.datasource.clone();
                    self.note_cause(&datasource, None);
                }
            }
            (Ok(_), Err(_)) => {}
            (Err(error), table) => {
                table.iter_mut().for_each(Table::pause);
                entry.trouble = Some(error);
            }
        }
    }

    /// Whether a chart differs: then Druid is asked as well.
    pub fn is_doubtful_chart(entry: &Entry) -> bool {
        entry.hop == Hop::Superset && entry.last.differing > 0
    }

    /// Druid's own answer to a chart's question; `None`: it does not matter.
    pub fn answer_for_chart(&mut self, place: usize, by_druid: Option<Shown>) {
        self.entries[place].by_druid = by_druid;
    }

    /// The datasources whose rows are not all right, and what the servers say of them.
    pub fn note_cause(&mut self, datasource: &str, cause: Option<&str>) {
        for entry in self.entries.iter_mut().filter(|entry| entry.datasource == datasource) {
            entry.cause = cause.map(str::to_owned);
        }
    }

    /// The datasources some of whose rows are not right.
    pub fn doubtful_datasources(&self) -> Vec<String> {
        let doubtful =
            self.entries.iter().filter(|entry| entry.hop == Hop::Druid && entry.last.waiting + entry.last.differing > 0);
        doubtful.map(|entry| entry.datasource.clone()).collect()
    }

    /// The aggregates whose sinks have cells that they may not have come past: source and sink of each.
    pub fn pending_aggregates(&self) -> Vec<(String, String)> {
        let pending = self.streams.iter().filter(|(_, overdue)| overdue.pending_since_ms.is_some());
        pending.map(|(stream, _)| (stream.source.clone(), stream.sink.clone())).collect()
    }

    /// The aggregate of this sink had read a partition of its source up to this offset, exclusively, at this time, ms.
    pub fn note_position(&mut self, sink: &str, partition: i32, position: i64, asked_ms: i64) {
        self.streams
            .iter_mut()
            .filter(|(stream, _)| stream.sink == sink)
            .for_each(|(stream, _)| stream.note_position(partition, position, asked_ms));
    }

    /// How it all stands; `level_ms`: all topics were read to where they ended at this time.
    pub fn report(&mut self, now_ms: i64, level_ms: Option<i64>, reading: Option<(i64, i64)>, trouble: Option<&Error>) -> Report {
        let mut comparisons: Vec<(Comparison, bool)> = Vec::new();
        for (stream, overdue) in &mut self.streams {
            comparisons.push(kafka(stream, overdue, self.strict, now_ms, level_ms));
        }
        comparisons.extend(self.entries.iter().map(Entry::comparison));
        let is_settled =
            level_ms.is_some() && comparisons.iter().all(|(_, is_settled)| *is_settled) && !self.is_druid_still_compared();
        let failed = trouble.or_else(|| self.entries.iter().find_map(|entry| entry.trouble.as_ref()));
        let comparisons: Vec<Comparison> = comparisons.into_iter().map(|(comparison, _)| comparison).collect();
        let cells: u64 = comparisons.iter().map(|one| one.equal).sum();
        let verdict = match comparisons.iter().any(|one| one.differing > 0) {
            _ if !is_settled || failed.is_some() => Verdict::Waiting,
            true => Verdict::Differs,
            false if cells > 0 => Verdict::Equal,
            false => Verdict::Waiting,
        };
        Report {
            reading,
            verdict,
            trouble: failed.map(|error| error.message.clone()),
            error: failed.cloned(),
            is_empty: is_settled && failed.is_none() && cells == 0,
            freshness: self.freshness(),
            comparisons,
        }
    }

    /// Whether a chart differs while rows of its datasource are under way: they may differ next.
    fn is_druid_still_compared(&self) -> bool {
        let differs = |datasource: &str| {
            self.entries.iter().any(|one| one.hop == Hop::Superset && one.datasource == datasource && one.last.differing > 0)
        };
        self.entries.iter().any(|one| one.hop == Hop::Druid && one.last.unsettled > 0 && differs(&one.datasource))
    }

    fn freshness(&self) -> Vec<Freshness> {
        let mut told: BTreeMap<String, Freshness> = BTreeMap::new();
        let mut tell = |freshness: Option<Freshness>| {
            freshness.into_iter().for_each(|one| drop(told.insert(one.path.clone(), one)));
        };
        for (stream, overdue) in &self.streams {
            tell(overdue.closing.told(&format!("{} -> {}, from the event that closes a window", stream.source, stream.sink)));
        }
        for entry in &self.entries {
            let Ok(table) = &entry.table else { continue };
            let topic = &table.asked.topic;
            let is_source = self.streams.iter().any(|(stream, _)| stream.source == *topic);
            let place = match entry.hop {
                Hop::Superset => format!("chart `{}`", entry.name),
                _ => format!("Druid {}", entry.name),
            };
            tell(entry.latencies.since_written.told(&format!("{topic} -> {place}")));
            if is_source {
                tell(table.arrivals.told(&format!("event -> {topic}")));
                tell(entry.latencies.since_event.told(&format!("event -> {place}")));
            }
        }
        told.into_values().collect()
    }
}

impl Takes for Book {
    fn held(&self) -> Vec<String> {
        self.streams.iter().filter_map(|(stream, _)| stream.held()).map(str::to_owned).collect()
    }

    fn unknown(&self, record: &Record<'_>, now_ms: i64) -> Option<u32> {
        schema_id(record.value).filter(|id| self.known.get(id).is_none_or(|until_ms| *until_ms < now_ms))
    }

    fn learn(&mut self, id: u32, schema: Option<&str>, now_ms: i64) {
        self.known.insert(id, if schema.is_some() { i64::MAX } else { now_ms + ASK_AGAIN_MS });
        self.streams.iter_mut().for_each(|(stream, _)| stream.learn(id, schema));
        self.entries.iter_mut().filter_map(|entry| entry.table.as_mut().ok()).for_each(|table| table.learn(id, schema));
    }

    fn emptied(&mut self, topic: &str, now_ms: i64) {
        self.streams.iter_mut().for_each(|(stream, _)| stream.emptied(topic, now_ms));
        let tables = self.entries.iter_mut().filter_map(|entry| entry.table.as_mut().ok());
        tables.filter(|table| table.asked.topic == topic).for_each(|table| table.leave_out_before(now_ms));
    }

    fn take(&mut self, record: &Record<'_>, now_ms: i64) {
        self.streams.iter_mut().for_each(|(stream, _)| stream.take(record, now_ms));
        let tables = self.entries.iter_mut().filter_map(|entry| entry.table.as_mut().ok());
        tables.filter(|table| table.asked.topic == record.topic).for_each(|table| table.take(record, now_ms));
    }
}

/// A sink against its raw records, and whether that is settled.
fn kafka(stream: &mut Stream, overdue: &mut Overdue, strict: bool, now_ms: i64, level_ms: Option<i64>) -> (Comparison, bool) {
    let mut judged = stream.judge(level_ms);
    let (missing, first) = if level_ms.is_some() { stream.overdue() } else { (0, Vec::new()) };
    overdue.progress.note(missing, now_ms);
    overdue.since_ms = (missing > 0).then(|| overdue.since_ms.unwrap_or(now_ms));
    let latencies = stream.closing_latencies().into_iter().filter(|_| level_ms.is_some());
    latencies.for_each(|latency| overdue.closing.add(latency));
    let mut told: Vec<Told> = judged.differences.iter().map(|difference| stream.describe(difference)).collect();
    overdue.pending.note(judged.pending, now_ms);
    overdue.pending_since_ms = (judged.pending > 0).then(|| overdue.pending_since_ms.unwrap_or(now_ms));
    let is_pending = overdue.pending_since_ms.is_some_and(|since_ms| !overdue.pending.has_ended(since_ms, now_ms));
    let is_overdue = overdue.since_ms.is_some_and(|since_ms| overdue.progress.has_ended(since_ms, now_ms));
    if is_overdue {
        judged.differing += missing;
        judged.waiting -= missing.min(judged.waiting);
        told.extend(first);
    }
    if strict {
        judged.differing += judged.explained;
        judged.equal -= judged.explained;
        told.extend(judged.explanations.iter().map(|difference| stream.describe(difference)));
    }
    told.truncate(SHOWN);
    let (late, letters) = stream.put_aside();
    let note = (late > 0).then(|| format!("{late} late records are dead letters, of {letters}"));
    let comparison = Comparison {
        hop: Hop::Kafka,
        name: stream.sink.clone(),
        equal: judged.equal,
        differing: judged.differing,
        waiting: judged.waiting,
        left_out: judged.left_out,
        explained: if strict { 0 } else { judged.explained },
        note: stream.trouble().filter(|_| !is_overdue).or(note),
        differences: told.into_iter().map(difference).collect(),
    };
    (comparison, !is_pending && (missing == 0 || is_overdue))
}

fn difference(told: Told) -> Difference {
    let measure = told.measures.iter().find(|one| one.raw != one.aggregate).or(told.measures.first());
    let why = match told.what {
        What::Wrong => "its row is not what its records come to",
        What::Missing => "it has no row: does `pipeline aggregate` run?",
        What::Extra => "it has a row, but no records",
        What::Twice => "it has a row too many",
        What::Late => "its late records are dead letters",
    };
    Difference {
        hop: Hop::Kafka,
        name: told.sink,
        time: Some(told.window),
        group: told.group,
        metric: measure.map(|one| one.name.clone()).unwrap_or_default(),
        expected: measure.and_then(|one| one.raw.clone()),
        found: measure.and_then(|one| one.aggregate.clone()),
        why: why.into(),
    }
}

impl Entry {
    /// How it stands, and whether that is settled.
    fn comparison(&self) -> (Comparison, bool) {
        let mut comparison = Comparison {
            hop: self.hop,
            name: self.name.clone(),
            equal: self.last.equal,
            differing: self.last.differing,
            waiting: self.last.waiting,
            left_out: self.last.left_out,
            explained: 0,
            note: None,
            differences: Vec::new(),
        };
        match &self.table {
            Err(why) => {
                comparison.note = Some(why.clone());
                (comparison, true)
            }
            Ok(table) => {
                comparison.note = self.note(table);
                comparison.differences = self.last.differences.iter().map(|one| self.difference(table, one)).collect();
                (comparison, self.is_asked && self.last.never_right == 0)
            }
        }
    }

    fn note(&self, table: &Table) -> Option<String> {
        let beyond = self.row_limit.filter(|limit| self.last.cells > u64::from(*limit));
        let limit = || beyond.map(|limit| format!("its row_limit of {limit} leaves out some of {} rows", self.last.cells));
        let unread = || table.unread.as_ref().map(|why| format!("not all is compared: {why}"));
        let left_out = || {
            let all = self.last.left_out > 0 && self.last.equal + self.last.differing + self.last.waiting == 0;
            all.then(|| format!("{} no longer has all records of the time it shows", table.asked.topic))
        };
        limit().or_else(unread).or_else(left_out).or_else(|| self.cause.clone().filter(|_| self.last.waiting > 0))
    }

    fn difference(&self, table: &Table, one: &Differs) -> Difference {
        let Asked { metrics, topic, .. } = &table.asked;
        let in_druid =
            self.by_druid.as_ref().map(|shown| shown.get(&one.key).and_then(|values| values.get(one.metric).copied().flatten()));
        let hop = match in_druid {
            // Druid is asked a moment after the chart.
            Some(value)
                if table.is_same(&one.key, one.metric, value, one.found) || !table.has_been(&one.key, one.metric, value) =>
            {
                Hop::Druid
            }
            _ => self.hop,
        };
        let place = if hop == Hop::Druid { format!("Druid's {}", self.datasource) } else { "the chart".to_owned() };
        let mut why = match (one.expected, one.found) {
            (Some(_), None) => format!("{place} lacks it"),
            (None, _) => format!("{place} has it, {topic} has no such records"),
            (Some(expected), Some(found)) if (found - expected * 2.0).abs() <= expected.abs() * 1e-9 => {
                format!("{place} has it twice")
            }
            _ => format!("{place} has another value than {topic} comes to"),
        };
        if let Some(cause) = self.cause.as_ref().filter(|_| hop == Hop::Druid) {
            why = format!("{why}; {cause}");
        }
        let number = |value: Option<f64>| value.map(|value| value.to_string());
        Difference {
            hop,
            name: if hop == self.hop { self.name.clone() } else { self.datasource.clone() },
            time: (table.asked.buckets != super::table::Buckets::One).then_some(one.key.0),
            group: one.key.1.join(", "),
            metric: metrics.get(one.metric).map(crate::config::Metric::label).unwrap_or_default(),
            expected: number(one.expected),
            found: number(one.found),
            why,
        }
    }
}
