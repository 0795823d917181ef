//! One aggregate as it is seen from outside: its source, its sink and its dead letters. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use super::judge::{self, Counted, Proof, What};
use super::rows::Rows;
use crate::aggregate::{Layout, Reader, Writer};
use crate::avro::{PlanError, Scalar};
use crate::config::{Aggregate, Late};
use crate::engine::window_start;
use crate::letters::Envelope;

/// Rows that are so far behind the watermark, in event time, are missed, ms.
const BEHIND_MS: i64 = 60_000;

/// A record of any topic.
#[derive(Debug)]
pub struct Record<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Kafka's timestamp, ms.
    pub time_ms: Option<i64>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers, as a dead letter has them.
    pub envelope: Option<Envelope>,
    /// Whether records of its partition were there before the first that was read.
    pub begins_late: bool,
}

/// A cell that is not equal, in words.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// The topic its row is in, or should be.
    pub sink: String,
    /// Window start.
    pub window: i64,
    /// The group.
    pub group: String,
    /// What is wrong.
    pub what: What,
    /// Each measure.
    pub measures: Vec<Measure>,
}

/// A measure of a cell that is not equal.
#[derive(Debug, Clone, Serialize)]
pub struct Measure {
    /// Its name.
    pub name: String,
    /// What the raw records come to.
    pub raw: Option<String>,
    /// What the sink says.
    pub aggregate: Option<String>,
}

/// A topic of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Source,
    Sink,
    DeadLetters,
}

/// What is known of a partition of the source.
#[derive(Debug, Clone, Copy)]
struct Partition {
    max_event_time: i64,
    /// When the last event was read, ms.
    read_ms: i64,
}

/// The records that closed windows, and how long it took to the rows.
#[derive(Debug, Default)]
struct Closings {
    /// Up to which time windows were closed, ms, and the Kafka timestamp of the record that did it.
    closed: VecDeque<(i64, i64)>,
    /// The end of the last window with a row, ms.
    emitted: Option<i64>,
    latencies: Vec<i64>,
}

impl Closings {
    /// So many are kept.
    const KEPT: usize = 1_000;

    fn close(&mut self, through: Option<i64>, written_ms: Option<i64>) {
        let (Some(through), Some(written_ms)) = (through, written_ms) else { return };
        if self.closed.back().is_none_or(|(before, _)| through > *before) {
            if self.closed.len() >= Self::KEPT {
                self.closed.pop_front();
            }
            self.closed.push_back((through, written_ms));
        }
    }

    fn emit(&mut self, end_ms: i64, written_ms: Option<i64>) {
        if self.emitted.is_some_and(|emitted| end_ms <= emitted) {
            return;
        }
        self.emitted = Some(end_ms);
        let closing = self.closed.iter().find(|(through, _)| *through >= end_ms);
        if let (Some((_, closed_ms)), Some(written_ms)) = (closing, written_ms)
            && self.latencies.len() < Self::KEPT
        {
            self.latencies.push(written_ms - closed_ms);
        }
    }
}

/// An aggregate's topics, read side by side.
#[derive(Debug)]
pub struct Stream {
    /// The topic that events come in on.
    pub source: String,
    /// The topic that rows are written to.
    pub sink: String,
    dead_letters: String,
    idle_timeout_ms: i64,
    layout: Arc<Layout>,
    reader: Reader,
    rows: Rows,
    proof: Proof,
    partitions: BTreeMap<i32, Partition>,
    /// Partitions whose first record was read, by topic.
    begun: BTreeSet<(Of, i32)>,
    closings: Closings,
    late: u64,
    letters: u64,
    /// Records of the sink that are no rows.
    no_rows: u64,
}

impl Stream {
    /// The stream of an aggregate, none of which was read yet. Cells of windows that begin before `since_ms` are left out.
    pub fn new(aggregate: &Aggregate, layout: Layout, since_ms: Option<i64>) -> Result<Self, PlanError> {
        let layout = Arc::new(layout);
        let mut proof = Proof::new(layout.definition.clone(), aggregate.late == Late::Drop, aggregate.keyed_by_group);
        since_ms.into_iter().for_each(|since_ms| proof.leave_out_before(since_ms));
        Ok(Self {
            source: aggregate.source.clone(),
            sink: aggregate.sink.clone(),
            dead_letters: aggregate.dead_letter_topic(),
            idle_timeout_ms: aggregate.idle_timeout.0,
            reader: Reader::new(Arc::clone(&layout)),
            rows: Rows::new(Arc::clone(&layout))?,
            layout,
            proof,
            partitions: BTreeMap::new(),
            begun: BTreeSet::new(),
            closings: Closings::default(),
            late: 0,
            letters: 0,
            no_rows: 0,
        })
    }

    /// The topics to read.
    pub fn topics(&self) -> [&str; 3] {
        [&self.source, &self.sink, &self.dead_letters]
    }

    /// The topic that must wait for the other one, so that what is kept of them stays within bounds.
    pub fn held(&self) -> Option<&str> {
        match (self.proof.needs_rows(), self.proof.needs_records()) {
            (true, false) => Some(&self.source),
            (false, true) => Some(&self.sink),
            _ => None,
        }
    }

    /// Takes note of what the registry says of an id.
    pub fn learn(&mut self, id: u32, schema: Option<&str>) {
        self.reader.learn(id, schema.map_or(Writer::Unknown, Writer::Schema));
        self.rows.learn(id, schema);
    }

    /// Takes a record, if it is of one of the topics.
    pub fn take(&mut self, record: &Record<'_>, now_ms: i64) {
        if record.topic == self.source {
            self.take_event(record, now_ms);
        }
        if record.topic == self.sink {
            self.take_row(record, now_ms);
        }
        if record.topic == self.dead_letters {
            self.take_letter(record, now_ms);
        }
    }

    /// All records of a partition of this topic were deleted before now. Of a sink that is no news: who empties it writes it again.
    pub fn emptied(&mut self, topic: &str, now_ms: i64) {
        if topic == self.source {
            self.proof.leave_out_before(now_ms);
        }
        if topic == self.dead_letters {
            self.proof.letters_are_gone_before(now_ms);
        }
    }

    fn take_event(&mut self, record: &Record<'_>, now_ms: i64) {
        let definition = &self.layout.definition;
        let Ok(event) = self.reader.read(record.value) else { return };
        if !definition.is_in_range(event.time_ms, record.time_ms) {
            return;
        }
        let start = window_start(event.time_ms, definition.window_ms, definition.offset_ms);
        let (key, values, time_ms) = ((start, event.group.clone().into_boxed_slice()), event.values.clone(), event.time_ms);
        let (window_ms, lateness_ms) = (definition.window_ms, definition.lateness_ms);
        if self.begun.insert((Of::Source, record.partition)) && record.begins_late {
            // Some of those before it may have been as late as allowed.
            let last_begun = window_start(time_ms.saturating_add(lateness_ms), window_ms, definition.offset_ms);
            self.proof.leave_out_before(last_begun.saturating_add(window_ms));
        }
        let known = self.partitions.entry(record.partition).or_insert(Partition { max_event_time: i64::MIN, read_ms: now_ms });
        // The engine's watermark is not above that of a partition, unless it was idle.
        let maybe_late = (known.max_event_time.saturating_sub(lateness_ms) >= start + window_ms - 1)
            .then_some(record.time_ms.unwrap_or(i64::MIN));
        *known = Partition { max_event_time: known.max_event_time.max(time_ms), read_ms: now_ms };
        self.closings.close(self.surely_closed_through(), record.time_ms);
        self.proof.add_record(key, Counted { place: (record.partition, record.offset), values, maybe_late }, now_ms);
    }

    fn take_row(&mut self, record: &Record<'_>, now_ms: i64) {
        let Some(row) = self.rows.read(record.value) else {
            self.no_rows += 1;
            return;
        };
        if self.begun.insert((Of::Sink, record.partition)) && record.begins_late {
            self.proof.leave_out_before(row.start_ms.saturating_add(self.layout.definition.window_ms));
            record.time_ms.into_iter().for_each(|time_ms| self.proof.leave_out_letters_before(time_ms));
        }
        self.closings.emit(row.start_ms.saturating_add(self.layout.definition.window_ms), record.time_ms);
        self.proof.add_row(row, now_ms);
    }

    fn take_letter(&mut self, record: &Record<'_>, now_ms: i64) {
        let Some(envelope) = record.envelope.as_ref().filter(|envelope| envelope.is_of(&self.sink)) else { return };
        if self.begun.insert((Of::DeadLetters, record.partition)) && record.begins_late {
            record.time_ms.into_iter().for_each(|time_ms| self.proof.letters_are_gone_before(time_ms));
        }
        self.letters += 1;
        self.late += u64::from(envelope.cause == "late");
        let Some(place) = envelope.origin.filter(|_| envelope.is_record_of(&self.source)) else { return };
        if let Ok(event) = self.reader.read(record.value) {
            let definition = &self.layout.definition;
            let start = window_start(event.time_ms, definition.window_ms, definition.offset_ms);
            self.proof.excuse((start, event.group.clone().into()), place, record.time_ms.unwrap_or(i64::MAX), now_ms);
        }
    }

    /// The time up to which all events are taken to have arrived, ms: as the engine has it, seen from outside.
    pub fn watermark(&self, now_ms: i64) -> Option<i64> {
        let lateness_ms = self.layout.definition.lateness_ms;
        let idle = |partition: &&Partition| now_ms.saturating_sub(partition.read_ms) >= self.idle_timeout_ms;
        let holding = self.partitions.values().filter(|partition| !idle(partition)).map(|one| one.max_event_time).min();
        let latest = || self.partitions.values().map(|partition| partition.max_event_time).max();
        holding.or_else(latest).map(|time| time - lateness_ms)
    }

    /// The end of the windows that are closed whatever comes, ms: by the least, over the partitions that hold records, of the greatest
    /// event time. Their rows must be there.
    pub fn surely_closed_through(&self) -> Option<i64> {
        let definition = &self.layout.definition;
        let least = self.partitions.values().map(|partition| partition.max_event_time).min()?;
        Some(window_start(least - definition.lateness_ms + 1, definition.window_ms, definition.offset_ms))
    }

    /// The aggregate had read this partition of the source up to this offset, exclusively, at this time, ms.
    pub fn note_position(&mut self, partition: i32, position: i64, asked_ms: i64) {
        self.proof.note_position(partition, position, asked_ms);
    }

    /// How many rows are missing of windows that are surely closed, and the first of them.
    pub fn overdue(&self) -> (u64, Vec<Told>) {
        let closed_through = self.surely_closed_through().unwrap_or(i64::MIN);
        let (count, first) = self.proof.overdue(&self.rows, closed_through);
        (count, first.iter().map(|difference| self.describe(difference)).collect())
    }

    /// The end of the windows that are closed, ms.
    pub fn closed_through(&self, now_ms: i64) -> Option<i64> {
        let definition = &self.layout.definition;
        let by_watermark = self.watermark(now_ms).map(|time| window_start(time + 1, definition.window_ms, definition.offset_ms));
        self.proof.closed_through().max(by_watermark)
    }

    /// How long the rows of each window took that were read since this was last asked: from the record that closed it, by their Kafka
    /// timestamps, ms.
    pub fn closing_latencies(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.closings.latencies)
    }

    /// How many windows have events but no row.
    pub fn open_windows(&self) -> usize {
        self.proof.open_windows().len()
    }

    /// What a person should look into.
    pub fn trouble(&self) -> Option<String> {
        let Self { sink, no_rows, .. } = self;
        if *no_rows > 0 {
            return Some(format!("{no_rows} records of {sink} cannot be read as rows"));
        }
        let watermark = self.watermark(i64::MIN)?;
        let first_open = *self.proof.open_windows().first()?;
        let behind_ms = watermark - (first_open + self.layout.definition.window_ms);
        (behind_ms > BEHIND_MS).then(|| {
            format!(
                "{sink} lacks the rows of the last {} min, so they are not proven: does `pipeline aggregate` run?",
                behind_ms / 60_000
            )
        })
    }

    /// Late records, and dead letters of any cause.
    pub fn put_aside(&self) -> (u64, u64) {
        (self.late, self.letters)
    }

    /// The proof as it stands; `level_ms`: all topics were read to where they ended at this time.
    pub fn judge(&mut self, level_ms: Option<i64>) -> judge::Judged {
        self.proof.judge(&self.rows, level_ms)
    }

    /// A difference as the page shows it.
    pub fn describe(&self, difference: &judge::Difference) -> Told {
        let text = |values: &Option<Vec<Scalar<'_>>>, place: usize| Some(values.as_ref()?.get(place)?.to_string());
        let measures = self.rows.measures().iter().enumerate().map(|(place, field)| Measure {
            name: field.name.clone(),
            raw: text(&difference.raw, place),
            aggregate: text(&difference.aggregate, place),
        });
        Told {
            sink: self.sink.clone(),
            window: difference.key.0,
            group: self.layout.describe_group(&difference.key.1),
            what: difference.what,
            measures: measures.collect(),
        }
    }
}

/// The id of the schema that a value was written with.
pub fn schema_id(value: Option<&[u8]>) -> Option<u32> {
    let (id, _) = crate::avro::wire::split(value?).ok()?;
    i32::try_from(id).is_ok().then_some(id)
}
