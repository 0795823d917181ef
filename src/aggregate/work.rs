//! What turns records into pending rows and dead letters; apart from the consumer, which lends the records.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use super::control::Snapshot;
use super::dead_letter::DeadLetter;
use super::reader::{Reader, Unreadable, Writer};
use super::restore::{SCHEMALESS_CAP, Schemaless, remember};
use super::run::Job;
use super::turn::Interrupted;
use crate::avro::wire;
use crate::config::{Late, Poison};
use crate::engine::{Commit, Engine, Event, Row, Verdict};
use crate::error::{Error, Kind};

/// The registry is not asked again sooner for an id that it did not know.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Dead letters of so many bytes are committed before more is read: a transaction must end in its time.
const LETTER_BYTES: usize = 4 << 20;
/// The registry is not waited for any longer at a time: somebody may want to stop.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

type Result<T> = std::result::Result<T, Interrupted>;

/// Records in, rows and dead letters out.
pub(super) struct Work<'a> {
    job: &'a Job,
    pub engine: Engine,
    reader: Reader,
    /// Dead letters that are not committed yet, and the bytes of their keys and values.
    letters: Vec<DeadLetter>,
    letter_bytes: usize,
    pub count: Snapshot,
    /// What is not committed yet.
    fresh: Fresh,
    /// When the registry said of an id that it does not know it.
    unknown_since: HashMap<u32, Instant>,
    /// The schema ids for which records were rejected and must stay so if they are read again, by partition.
    schemaless: BTreeMap<i32, Schemaless>,
    /// The same as it was committed before this session; empty once it is read again.
    schemaless_before: BTreeMap<i32, Schemaless>,
}

/// Counts of what is not committed yet: if it never is, it will be counted again.
#[derive(Default)]
struct Fresh {
    late: u64,
    poison: u64,
    letters: BTreeMap<&'static str, u64>,
}

/// Rows as bytes: keys and values one after the other, and where each lies.
#[derive(Default)]
pub(super) struct Encoded {
    pub bytes: Vec<u8>,
    pub rows: Vec<(Range<usize>, Range<usize>)>,
}

impl<'a> Work<'a> {
    pub fn new(job: &'a Job, engine: Engine, count: Snapshot, schemaless: BTreeMap<i32, Schemaless>) -> Self {
        Self {
            job,
            engine,
            reader: Reader::new(job.layout.clone()),
            letters: Vec::new(),
            letter_bytes: 0,
            count,
            fresh: Fresh::default(),
            unknown_since: HashMap::new(),
            schemaless_before: schemaless.clone(),
            schemaless,
        }
    }

    /// Takes a record: into its window, among the dead letters, or nowhere. Or returns the id of a schema that must be learnt first.
    pub fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<Option<u32>> {
        let (partition, offset) = (message.partition(), message.offset());
        if self.was_schemaless(message) {
            self.engine.reject(partition, offset);
            return Ok(None);
        }
        let verdict = match self.reader.read(message.payload()) {
            Ok(decoded) => self.engine.observe(&Event {
                partition,
                offset,
                time_ms: decoded.time_ms,
                kafka_time_ms: message.timestamp().to_millis(),
                group: &decoded.group,
                values: &decoded.values,
            }),
            Err(Unreadable::Schema(id)) => return Ok(Some(id)),
            Err(Unreadable::Schemaless { id, cause, detail }) => {
                if self.engine.reject(partition, offset) || self.was_read(partition) {
                    remember(self.schemaless.entry(partition).or_default(), id, offset);
                    self.poison(message, cause, detail)?;
                }
                return Ok(None);
            }
            Err(Unreadable::Poison { cause, detail }) => {
                if self.engine.reject(partition, offset) {
                    self.poison(message, cause, detail)?;
                }
                return Ok(None);
            }
        };
        self.settle(verdict, message)?;
        Ok(None)
    }

    fn settle(&mut self, verdict: Verdict, message: &BorrowedMessage<'_>) -> Result<()> {
        match verdict {
            Verdict::Counted | Verdict::Old => Ok(()),
            Verdict::OutOfRange => self.poison(
                message,
                "event-time-out-of-range",
                "the event time is too far past the record's Kafka timestamp".into(),
            ),
            Verdict::Late => {
                self.fresh.late += 1;
                if self.job.aggregate.late == Late::DeadLetter {
                    self.bury(message, "late", "its window was closed when it was read".into());
                }
                Ok(())
            }
            Verdict::Scattered { other } => Err(self.scattered(message, other)),
        }
    }

    fn poison(&mut self, message: &BorrowedMessage<'_>, cause: &'static str, detail: String) -> Result<()> {
        self.fresh.poison += 1;
        match self.job.aggregate.poison {
            Poison::Skip => {}
            Poison::DeadLetter => self.bury(message, cause, detail),
            Poison::Fail => {
                let place = format!("{} [{}] at offset {}", message.topic(), message.partition(), message.offset());
                let error = Error::new(Kind::Data, format!("record {place} cannot be read: {cause}: {detail}"));
                return Err(Interrupted::GiveUp(
                    error.hint("mend the producer, or set poison = \"dead-letter\" in the pipeline file"),
                ));
            }
        }
        Ok(())
    }

    fn bury(&mut self, message: &BorrowedMessage<'_>, cause: &'static str, detail: String) {
        self.write_letter(DeadLetter {
            cause,
            detail,
            origin: Some((message.partition(), message.offset())),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        });
    }

    fn write_letter(&mut self, letter: DeadLetter) {
        *self.fresh.letters.entry(letter.cause).or_default() += 1;
        self.letter_bytes += letter.key.as_ref().map_or(0, Vec::len) + letter.value.as_ref().map_or(0, Vec::len);
        self.letters.push(letter);
    }

    /// Whether so much is to be written that nothing more should be read before.
    pub fn is_full(&self) -> bool {
        self.letter_bytes >= LETTER_BYTES
    }

    /// How many dead letters are not committed yet.
    pub fn letters(&self) -> usize {
        self.letters.len()
    }

    /// Those letters, to be written.
    pub fn take_letters(&mut self) -> Vec<DeadLetter> {
        self.letter_bytes = 0;
        std::mem::take(&mut self.letters)
    }

    /// Takes note of a commit with so many rows: only now what it held counts.
    pub fn committed(&mut self, rows: usize) {
        let Fresh { late, poison, letters } = std::mem::take(&mut self.fresh);
        self.count.rows += rows as u64;
        self.count.late += late;
        self.count.poison += poison;
        letters.into_iter().for_each(|(cause, count)| *self.count.letters.entry(cause).or_default() += count);
        self.count.commits += 1;
    }

    /// Asks the registry for a schema. An error: it does not answer, and may be asked again.
    pub fn learn(&mut self, id: u32) -> crate::error::Result<()> {
        let asked = async {
            let answer = tokio::time::timeout(ANSWER_LIMIT, self.job.registry.by_id(id)).await;
            answer.unwrap_or_else(|_| Err(Error::new(Kind::Unreachable, "the schema registry does not answer")))
        };
        match self.job.runtime.block_on(asked) {
            Ok(Some(found)) => self.reader.learn(id, Writer::Schema(&found.schema)),
            Ok(None) => {
                self.unknown_since.insert(id, Instant::now());
                self.reader.learn(id, Writer::Unknown);
            }
            Err(error) if error.kind == Kind::Data => self.reader.learn(id, Writer::Unfit(error.message)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What is to be done now and then: lets the registry be asked again for ids that it did not know.
    pub fn tidy(&mut self) {
        let reader = &mut self.reader;
        self.unknown_since.retain(|id, since| {
            let keep = since.elapsed() < ASK_AGAIN;
            if !keep {
                reader.forget(*id);
            }
            keep
        });
        if !self.engine.replaying() {
            self.schemaless_before.clear();
        }
    }

    /// Whether a record of before the restart that has no schema now had one then: it was counted, and would be lost. (If as many ids
    /// are kept as fit, others may have been dropped; then it is taken for rejected.)
    fn was_read(&self, partition: i32) -> bool {
        self.schemaless_before.get(&partition).is_none_or(|ids| ids.len() < SCHEMALESS_CAP)
    }

    /// Whether this record was rejected before the restart because of its schema.
    fn was_schemaless(&self, message: &BorrowedMessage<'_>) -> bool {
        let Some(before) = self.schemaless_before.get(&message.partition()) else { return false };
        let id = message.payload().and_then(|value| wire::split(value).ok()).map(|(id, _)| id);
        id.and_then(|id| before.get(&id)).is_some_and(|last| message.offset() <= *last)
    }

    /// The schema ids to keep with each partition's offset: those of records that a restart would read again.
    pub fn schemaless(&mut self, commits: &[Commit]) -> &BTreeMap<i32, Schemaless> {
        for commit in commits {
            if let Some(ids) = self.schemaless.get_mut(&commit.partition) {
                ids.retain(|_, last| *last >= commit.offset);
            }
        }
        self.schemaless.retain(|_, ids| !ids.is_empty());
        &self.schemaless
    }

    /// Rows that do not fit the sink's types become dead letters.
    pub fn encode(&mut self, rows: &[Row]) -> Result<Encoded> {
        let job = self.job;
        let mut encoded = Encoded::default();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for row in rows {
            key.clear();
            value.clear();
            wire::frame(job.key_id, &mut key);
            wire::frame(job.value_id, &mut value);
            match job.layout.encode_row(row, &mut key, &mut value) {
                Ok(()) => {
                    let begin = encoded.bytes.len();
                    encoded.bytes.extend_from_slice(&key);
                    let middle = encoded.bytes.len();
                    encoded.bytes.extend_from_slice(&value);
                    encoded.rows.push((begin..middle, middle..encoded.bytes.len()));
                }
                Err(reason) => self.overflow(row, &reason)?,
            }
        }
        Ok(encoded)
    }

    fn overflow(&mut self, row: &Row, reason: &str) -> Result<()> {
        let group = self.job.layout.describe_group(&row.group);
        let detail = format!("window {} to {}, group {group}: {reason}", row.start_ms, row.end_ms);
        self.fresh.poison += 1;
        match self.job.aggregate.poison {
            Poison::Skip => {}
            Poison::Fail => {
                let error = Error::new(Kind::Data, format!("a row does not fit the sink: {detail}"));
                return Err(Interrupted::GiveUp(
                    error.hint("make the field a long in the source's schema, or set poison = \"dead-letter\""),
                ));
            }
            Poison::DeadLetter => self.write_letter(DeadLetter {
                cause: "overflow",
                detail,
                origin: None,
                key: Some(group.into_bytes()),
                value: None,
            }),
        }
        Ok(())
    }

    /// Instances that share a topic cannot bring such a group together: nobody sees both partitions.
    fn scattered(&mut self, message: &BorrowedMessage<'_>, other: i32) -> Interrupted {
        let group = match self.reader.read(message.payload()) {
            Ok(decoded) => self.job.layout.describe_group(&decoded.group),
            Err(_) => String::new(),
        };
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let what =
            format!("topic {topic}: group {group} is in partitions {other} and {partition} (offset {offset}) within one window");
        Interrupted::GiveUp(Error::new(Kind::Config, what).hint(
            "several instances need every group in one partition: let the producers key their records by the group, or set \
             keyed_by_group = false and run one instance",
        ))
    }
}
