//! What turns records into pending rows and dead letters; apart from the consumer, which lends the records.

use std::ops::Range;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use super::dead_letter::DeadLetter;
use super::reader::{Reader, Unreadable, Writer};
use super::run::{Job, Snapshot};
use crate::config::{Late, Poison};
use crate::engine::{Engine, Event, Row, Verdict};
use crate::error::{Error, Kind};
use crate::kafka::Broken;

/// How often, and how far apart, the registry is asked for a schema before giving up.
const SCHEMA_ATTEMPTS: u32 = 10;
const SCHEMA_PAUSE: Duration = Duration::from_secs(1);

type Result<T> = std::result::Result<T, Broken>;

/// Records in, rows and dead letters out.
pub(super) struct Work<'a> {
    pub job: &'a Job,
    pub engine: Engine,
    pub reader: Reader,
    /// Dead letters that are not committed yet.
    pub letters: Vec<DeadLetter>,
    pub count: Snapshot,
}

/// Rows as bytes: keys and values one after the other, and where each lies.
#[derive(Default)]
pub(super) struct Encoded {
    pub bytes: Vec<u8>,
    pub rows: Vec<(Range<usize>, Range<usize>)>,
}

impl Work<'_> {
    /// Takes a record: into its window, among the dead letters, or nowhere.
    pub fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<()> {
        self.count.records += 1;
        let (partition, offset) = (message.partition(), message.offset());
        let verdict = loop {
            match self.reader.read(message.payload()) {
                Ok(decoded) => {
                    break self.engine.observe(&Event {
                        partition,
                        offset,
                        time_ms: decoded.time_ms,
                        kafka_time_ms: message.timestamp().to_millis(),
                        group: &decoded.group,
                        values: &decoded.values,
                    });
                }
                Err(Unreadable::Schema(id)) => self.fetch_schema(id)?,
                Err(Unreadable::Poison { cause, detail }) => {
                    return if self.engine.reject(partition, offset) { self.poison(message, cause, detail) } else { Ok(()) };
                }
            }
        };
        match verdict {
            Verdict::Counted | Verdict::Old => Ok(()),
            Verdict::OutOfRange => self.poison(
                message,
                "event-time-out-of-range",
                "the event time is too far past the record's Kafka timestamp".into(),
            ),
            Verdict::Late => {
                self.count.late += 1;
                if self.job.aggregate.late == Late::DeadLetter {
                    self.bury(message, "late", "its window was closed when it was read".into());
                }
                Ok(())
            }
        }
    }

    fn poison(&mut self, message: &BorrowedMessage<'_>, cause: &'static str, detail: String) -> Result<()> {
        self.count.poison += 1;
        match self.job.aggregate.poison {
            Poison::Skip => {}
            Poison::DeadLetter => self.bury(message, cause, detail),
            Poison::Fail => {
                let place = format!("{} [{}] at offset {}", message.topic(), message.partition(), message.offset());
                let error = Error::new(Kind::Data, format!("record {place} cannot be read: {cause}: {detail}"));
                return Err(Broken::GiveUp(
                    error.hint("mend the producer, or set poison = \"dead-letter\" in the pipeline file"),
                ));
            }
        }
        Ok(())
    }

    fn bury(&mut self, message: &BorrowedMessage<'_>, cause: &'static str, detail: String) {
        self.letters.push(DeadLetter {
            cause,
            detail,
            origin: Some((message.partition(), message.offset())),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        });
    }

    fn fetch_schema(&mut self, id: u32) -> Result<()> {
        // Ids are Java ints: what is no such number was never given out, and registries answer it as they like.
        if i32::try_from(id).is_err() {
            self.reader.learn(id, Writer::Unknown);
            return Ok(());
        }
        let mut attempt = 1;
        loop {
            match self.job.runtime.block_on(self.job.registry.by_id(id)) {
                Ok(Some(found)) => self.reader.learn(id, Writer::Schema(&found.schema)),
                Ok(None) => self.reader.learn(id, Writer::Unknown),
                Err(error) if error.kind == Kind::Data => self.reader.learn(id, Writer::Unfit(error.message)),
                Err(error) if error.kind == Kind::Unreachable && attempt < SCHEMA_ATTEMPTS => {
                    tracing::warn!("{error}; asking again");
                    attempt += 1;
                    std::thread::sleep(SCHEMA_PAUSE);
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            return Ok(());
        }
    }

    /// Rows that do not fit the sink's types become dead letters.
    pub fn encode(&mut self, rows: &[Row]) -> Result<Encoded> {
        let job = self.job;
        let mut encoded = Encoded::default();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for row in rows {
            key.clear();
            value.clear();
            crate::avro::wire::frame(job.key_id, &mut key);
            crate::avro::wire::frame(job.value_id, &mut value);
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
        self.count.poison += 1;
        match self.job.aggregate.poison {
            Poison::Skip => {}
            Poison::Fail => {
                let error = Error::new(Kind::Data, format!("a row does not fit the sink: {detail}"));
                return Err(Broken::GiveUp(
                    error.hint("make the field a long in the source's schema, or set poison = \"dead-letter\""),
                ));
            }
            Poison::DeadLetter => self.letters.push(DeadLetter {
                cause: "overflow",
                detail,
                origin: None,
                key: Some(group.into_bytes()),
                value: None,
            }),
        }
        Ok(())
    }
}
