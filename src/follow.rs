//! Reading the topics of a pipeline file as they grow, each record with its schema known: for who looks on from outside.
//!
//! No consumer group, nothing written. Its calls block.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use tokio::runtime::Handle;

use crate::aggregate::Layout;
use crate::config::{Aggregate, Config};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Look, Tail};
use crate::letters::Envelope;
use crate::proof::{Record, Stream};
use crate::registry::{Registered, Registry};

/// How long one poll waits for a record.
const WAIT: Duration = Duration::from_millis(200);
/// So many records are read before anything else is looked at.
const BATCH: usize = 10_000;
/// The pause before something is tried again that failed.
pub const PAUSE: Duration = Duration::from_secs(1);

/// Who takes the records.
pub trait Takes {
    /// The schema that must be learnt before this record can be taken.
    fn unknown(&self, record: &Record<'_>, now_ms: i64) -> Option<u32>;
    /// Takes note of what the registry says of an id; `None`: it does not know it, or it is no Avro schema.
    fn learn(&mut self, id: u32, schema: Option<&str>, now_ms: i64);
    /// All records of a partition of this topic were deleted before now: what they came to is not known.
    fn emptied(&mut self, topic: &str, now_ms: i64);
    /// Takes a record, whose schema was learnt.
    fn take(&mut self, record: &Record<'_>, now_ms: i64);
    /// The topics that are to wait until more is read of the others.
    fn held(&self) -> Vec<String>;
}

/// What reading came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The broker was heard.
    Some,
    /// Nothing was heard.
    Nothing,
    /// A topic was emptied or made anew, or a schema has changed: what was read is no longer so.
    Anew,
}

/// A follower of a pipeline file's topics.
pub struct Follow {
    /// The pipeline file.
    pub config: Config,
    /// Only what has this Kafka timestamp or a later one, ms.
    pub since_ms: Option<i64>,
    registry: Registry,
    runtime: Handle,
    stop: Arc<AtomicBool>,
}

/// What is followed, from one [`Read::Anew`] to the next.
pub struct Followed<T> {
    /// The newest schema of each aggregate's source.
    schemas: Vec<Registered>,
    tail: Tail,
    /// Who takes the records.
    pub by: T,
}

impl Follow {
    /// Needs a tokio runtime. It ends when `stop` is set.
    pub fn new(config: &Config, since_ms: Option<i64>, stop: Arc<AtomicBool>) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            since_ms,
            registry: Registry::new(&config.registry)?,
            runtime: Handle::current(),
            stop,
        })
    }

    /// Whether it shall end.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Begins at the start of the topics; `make` gets the file's streams, and gives who takes the records and the topics to read.
    pub fn begin<T>(&self, make: impl FnOnce(Vec<Stream>) -> (T, Vec<String>)) -> Result<Followed<T>> {
        let schemas = self.schemas()?;
        let stream = |(aggregate, schema): (&Aggregate, &Registered)| {
            let layout = Layout::new(aggregate, &schema.schema, &self.config.source(Some(&aggregate.source))?.time)?;
            Stream::new(aggregate, layout, self.since_ms)
                .map_err(|error| Error::new(Kind::Data, format!("aggregate `{}`: {error}", aggregate.sink)))
        };
        let streams: Result<Vec<Stream>> = self.config.aggregates.iter().zip(&schemas).map(stream).collect();
        let (by, topics) = make(streams?);
        let tail = Tail::new(&self.config.kafka, topics, self.since_ms)?;
        Ok(Followed { schemas, tail, by })
    }

    /// The newest schema of each aggregate's source.
    fn schemas(&self) -> Result<Vec<Registered>> {
        let schema = |aggregate: &Aggregate| self.runtime.block_on(self.registry.newest(&aggregate.source));
        self.config.aggregates.iter().map(schema).collect()
    }

    /// Reads what is there; `tell` hears of what is tried again.
    pub fn read(&self, followed: &mut Followed<impl Takes>, tell: impl Fn(&Error)) -> Result<Read> {
        let mut read = match followed.tail.look()? {
            Look::Gone => return Ok(Read::Anew),
            Look::Done => Read::Some,
            Look::Early => Read::Nothing,
        };
        for topic in followed.tail.take_emptied() {
            followed.by.emptied(&topic, Utc::now().timestamp_millis());
        }
        for count in 0..BATCH {
            let wait = if count == 0 { WAIT } else { Duration::ZERO };
            let Some((topic, message)) = followed.tail.poll(wait)? else { break };
            read = Read::Some;
            let record = record(&message, followed.tail.begins_late(topic, message.partition()));
            if let Some(id) = followed.by.unknown(&record, Utc::now().timestamp_millis()) {
                self.learn(&mut followed.by, id, &tell);
                if self.schemas().is_ok_and(|schemas| schemas != followed.schemas) {
                    return Ok(Read::Anew);
                }
            }
            followed.by.take(&record, Utc::now().timestamp_millis());
        }
        followed.tail.hold(&followed.by.held())?;
        Ok(read)
    }

    /// Asks the registry until it answers.
    fn learn(&self, by: &mut impl Takes, id: u32, tell: impl Fn(&Error)) {
        while !self.is_stopping() {
            let now_ms = || Utc::now().timestamp_millis();
            match self.runtime.block_on(self.registry.by_id(id)) {
                Ok(found) => return by.learn(id, found.map(|found| found.schema).as_deref(), now_ms()),
                // There is one, but it is no Avro schema.
                Err(error) if error.kind == Kind::Data => return by.learn(id, None, now_ms()),
                Err(error) => {
                    tell(&error);
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }
}

impl<T> Followed<T> {
    /// A time at which the topics ended where they are read to by now, or before; `None`: they were not read so far.
    pub fn level(&self) -> Option<DateTime<Utc>> {
        self.tail.level()
    }

    /// How many offsets of those that were there at the start are read, and how many there were.
    pub fn progress(&self) -> (i64, i64) {
        self.tail.progress()
    }
}

fn record<'m>(message: &'m BorrowedMessage<'_>, begins_late: bool) -> Record<'m> {
    Record {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        time_ms: message.timestamp().to_millis(),
        value: message.payload(),
        envelope: message.headers().map(|_| Envelope::of(message)),
        begins_late,
    }
}
