//! One aggregate as it is seen from outside: its source, its sink and its dead letters. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::proof::{self, Proof};
use super::rows::Rows;
use super::state;
use crate::aggregate::{Layout, Reader, Writer};
use crate::avro::{PlanError, Scalar};
use crate::config::{Aggregate, Late};
use crate::engine::window_start;
use crate::letters::Envelope;

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

/// What is known of a partition of the source.
#[derive(Debug, Clone, Copy)]
struct Partition {
    max_event_time: i64,
    /// When the last event was read, ms.
    read_ms: i64,
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
    /// Partitions of the source (true) and the sink whose first record was read.
    begun: BTreeSet<(bool, i32)>,
    late: u64,
    letters: u64,
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
            late: 0,
            letters: 0,
        })
    }

    /// The topics to read.
    pub fn topics(&self) -> [&str; 3] {
        [&self.source, &self.sink, &self.dead_letters]
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

    fn take_event(&mut self, record: &Record<'_>, now_ms: i64) {
        let definition = &self.layout.definition;
        let Ok(event) = self.reader.read(record.value) else { return };
        // Too far ahead of its Kafka timestamp: the aggregate puts it aside.
        if record.time_ms.is_some_and(|time_ms| event.time_ms > time_ms.saturating_add(definition.max_future_ms)) {
            return;
        }
        let start = window_start(event.time_ms, definition.window_ms, definition.offset_ms);
        let (key, values, time_ms) = ((start, event.group.clone().into_boxed_slice()), event.values.clone(), event.time_ms);
        let (window_ms, lateness_ms) = (definition.window_ms, definition.lateness_ms);
        if self.begun.insert((true, record.partition)) && record.begins_late {
            // Some of those before it may have been as late as allowed.
            let last_begun = window_start(time_ms.saturating_add(lateness_ms), window_ms, definition.offset_ms);
            self.proof.leave_out_before(last_begun.saturating_add(window_ms));
        }
        let known = self.partitions.entry(record.partition).or_insert(Partition { max_event_time: i64::MIN, read_ms: now_ms });
        *known = Partition { max_event_time: known.max_event_time.max(time_ms), read_ms: now_ms };
        self.proof.add_record(key, (record.partition, record.offset), values, now_ms);
    }

    fn take_row(&mut self, record: &Record<'_>, now_ms: i64) {
        let Some(row) = self.rows.read(record.value) else { return };
        if self.begun.insert((false, record.partition)) && record.begins_late {
            self.proof.leave_out_before(row.start_ms.saturating_add(self.layout.definition.window_ms));
        }
        self.proof.add_row(row, now_ms);
    }

    fn take_letter(&mut self, record: &Record<'_>, now_ms: i64) {
        let Some(envelope) = record.envelope.as_ref().filter(|envelope| envelope.is_of(&self.sink)) else { return };
        self.letters += 1;
        self.late += u64::from(envelope.cause == "late");
        let Some(place) = envelope.origin.filter(|_| envelope.is_record_of(&self.source)) else { return };
        if let Ok(event) = self.reader.read(record.value) {
            let definition = &self.layout.definition;
            let start = window_start(event.time_ms, definition.window_ms, definition.offset_ms);
            self.proof.excuse((start, event.group.clone().into()), place, now_ms);
        }
    }

    /// The time up to which all events are taken to have arrived, ms: as the engine has it, seen from outside.
    pub fn watermark(&self, now_ms: i64) -> Option<i64> {
        let lateness_ms = self.layout.definition.lateness_ms;
        let idle = |partition: &&Partition| now_ms - partition.read_ms >= self.idle_timeout_ms;
        let holding = self.partitions.values().filter(|partition| !idle(partition)).map(|one| one.max_event_time).min();
        let latest = || self.partitions.values().map(|partition| partition.max_event_time).max();
        holding.or_else(latest).map(|time| time - lateness_ms)
    }

    /// The end of the windows that are closed, ms.
    pub fn closed_through(&self, now_ms: i64) -> Option<i64> {
        let definition = &self.layout.definition;
        let by_watermark = self.watermark(now_ms).map(|time| window_start(time + 1, definition.window_ms, definition.offset_ms));
        self.proof.closed_through().max(by_watermark)
    }

    /// How many windows have events but no row.
    pub fn open_windows(&self) -> usize {
        self.proof.open_windows(self.proof.closed_through().unwrap_or(i64::MIN))
    }

    /// Late records, and dead letters of any cause.
    pub fn put_aside(&self) -> (u64, u64) {
        (self.late + self.proof.dropped(), self.letters)
    }

    /// The proof as it stands.
    pub fn judge(&mut self, now_ms: i64, reading: bool) -> proof::Result {
        self.proof.judge(&self.rows, now_ms, reading)
    }

    /// A difference as the page shows it.
    pub fn describe(&self, difference: &proof::Difference) -> state::Difference {
        let text = |values: &Option<Vec<Scalar<'_>>>, place: usize| Some(values.as_ref()?.get(place)?.to_string());
        let measures = self.rows.measures().iter().enumerate().map(|(place, field)| state::Measure {
            name: field.name.clone(),
            raw: text(&difference.raw, place),
            aggregate: text(&difference.aggregate, place),
        });
        state::Difference {
            sink: self.sink.clone(),
            window: difference.key.0,
            group: self.layout.describe_group(&difference.key.1),
            what: difference.what,
            measures: measures.collect(),
        }
    }
}

/// Whether a record's schema must be learnt first; the same id counts for all topics.
pub fn schema_id(value: Option<&[u8]>) -> Option<u32> {
    let (id, _) = crate::avro::wire::split(value?).ok()?;
    i32::try_from(id).is_ok().then_some(id)
}
