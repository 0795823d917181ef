//! Reads the topics on a thread of its own, and hands out the state again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::picture::Picture;
use super::state::{Reading, State};
use crate::aggregate::Layout;
use crate::config::{Aggregate, Config};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Look, Tail};
use crate::letters::Envelope;
use crate::proof::{Record, Stream};
use crate::registry::{Registered, Registry};

/// How often the state is told, while the history is read and after.
const TOLD: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// How long one poll waits for a record.
const WAIT: Duration = Duration::from_millis(200);
/// So many records are read before anything else is looked at.
const BATCH: usize = 10_000;
/// The pause before something is tried again that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The state as it was last told.
pub type States = watch::Receiver<Arc<State>>;

/// Watches the topics of a pipeline file until it is dropped.
pub struct Watcher {
    /// What it tells.
    pub states: States,
    stop: Arc<AtomicBool>,
}

impl Watcher {
    /// Begins to read the topics; `since_ms`: only what has this Kafka timestamp or a later one. Needs a tokio runtime.
    ///
    /// What fails on the way is told in the state ([`State::trouble`]), and tried again: who looks on must not end because a server
    /// restarts.
    pub fn start(config: &Config, since_ms: Option<i64>, demo: bool) -> Result<Self> {
        if config.aggregates.is_empty() && config.charts.is_empty() {
            return Err(Error::new(
                Kind::Config,
                "the pipeline file has no [[aggregate]] and no [[chart]]: there is nothing to show",
            ));
        }
        let reading = Some(Reading { done: 0, all: 0 });
        let nothing = Picture::new(config, demo, Vec::new()).state(Utc::now().timestamp_millis(), None, reading, None);
        let (sender, states) = watch::channel(Arc::new(nothing));
        let stop = Arc::<AtomicBool>::default();
        let registry = Registry::new(&config.registry)?;
        let work = Work {
            config: config.clone(),
            since_ms,
            demo,
            registry,
            runtime: Handle::current(),
            sender,
            stop: Arc::clone(&stop),
        };
        std::thread::Builder::new()
            .name("view".into())
            .spawn(move || work.run())
            .map_err(|error| Error::new(Kind::Failed, format!("cannot start a thread: {error}")))?;
        Ok(Self { states, stop })
    }

    /// Returns when the thread has ended, which it does only if it failed.
    pub async fn ended(&self) -> Error {
        let mut states = self.states.clone();
        while states.changed().await.is_ok() {}
        Error::new(Kind::Failed, "reading the topics ended by itself")
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Work {
    config: Config,
    since_ms: Option<i64>,
    demo: bool,
    registry: Registry,
    runtime: Handle,
    sender: watch::Sender<Arc<State>>,
    stop: Arc<AtomicBool>,
}

/// What is known, and where it comes from.
struct Known {
    /// The newest schema of each aggregate's source.
    schemas: Vec<Registered>,
    picture: Picture,
    tail: Tail,
}

impl Work {
    fn run(&self) {
        while !self.is_stopping() {
            let Some(known) = self.prepare() else { return };
            self.watch(known);
        }
    }

    /// Reads on until a topic or a schema is no longer what it was, or the end.
    fn watch(&self, mut known: Known) {
        let (mut trouble, mut told_at, mut level_ms) = (None, None::<Instant>, None);
        while !self.is_stopping() {
            trouble = match self.read(&mut known) {
                Ok(Read::Anew) => return,
                Ok(Read::Some) => None,
                Ok(Read::Nothing) => trouble,
                // Records were deleted before they were read.
                Err(error) if error.kind == Kind::DataLoss => return,
                Err(error) => Some(error.message),
            };
            let every = if level_ms.is_some() { TOLD.1 } else { TOLD.0 };
            if told_at.is_some_and(|at| at.elapsed() < every) {
                continue;
            }
            told_at = Some(Instant::now());
            level_ms = level_ms.max(known.tail.level().map(|at| at.timestamp_millis()));
            let (done, all) = known.tail.progress();
            let reading = level_ms.is_none().then_some(Reading { done, all });
            self.sender.send_replace(Arc::new(known.picture.state(
                Utc::now().timestamp_millis(),
                level_ms,
                reading,
                trouble.clone(),
            )));
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What was told last, but with this trouble.
    fn tell(&self, trouble: String) {
        let last = Arc::clone(&self.sender.borrow());
        self.sender.send_replace(Arc::new(State {
            trouble: Some(trouble),
            now: Utc::now().timestamp_millis(),
            ..State::clone(&last)
        }));
        std::thread::sleep(PAUSE);
    }

    /// Waits for the schemas of the sources.
    fn prepare(&self) -> Option<Known> {
        while !self.is_stopping() {
            match self.know() {
                Ok(known) => return Some(known),
                Err(error) => self.tell(error.message),
            }
        }
        None
    }

    fn know(&self) -> Result<Known> {
        let schemas = self.schemas()?;
        let stream = |(aggregate, schema): (&Aggregate, &Registered)| {
            let layout = Layout::new(aggregate, &schema.schema, &self.config.source(Some(&aggregate.source))?.time)?;
            Stream::new(aggregate, layout, self.since_ms)
                .map_err(|error| Error::new(Kind::Data, format!("aggregate `{}`: {error}", aggregate.sink)))
        };
        let streams: Result<Vec<Stream>> = self.config.aggregates.iter().zip(&schemas).map(stream).collect();
        let picture = Picture::new(&self.config, self.demo, streams?);
        let tail = Tail::new(&self.config.kafka, picture.topics(), self.since_ms)?;
        Ok(Known { schemas, picture, tail })
    }

    /// The newest schema of each aggregate's source.
    fn schemas(&self) -> Result<Vec<Registered>> {
        let schema = |aggregate: &Aggregate| self.runtime.block_on(self.registry.newest(&aggregate.source));
        self.config.aggregates.iter().map(schema).collect()
    }

    /// Reads what is there.
    fn read(&self, known: &mut Known) -> Result<Read> {
        let mut read = match known.tail.look()? {
            Look::Gone => return Ok(Read::Anew),
            Look::Done => Read::Some,
            Look::Early => Read::Nothing,
        };
        for count in 0..BATCH {
            let wait = if count == 0 { WAIT } else { Duration::ZERO };
            let Some((topic, message)) = known.tail.poll(wait)? else { break };
            read = Read::Some;
            let record = record(&message, known.tail.begins_late(topic, message.partition()));
            if let Some(id) = known.picture.unknown(&record, Utc::now().timestamp_millis()) {
                self.learn(&mut known.picture, id);
                if self.schemas().is_ok_and(|schemas| schemas != known.schemas) {
                    return Ok(Read::Anew);
                }
            }
            known.picture.take(&record, Utc::now().timestamp_millis());
        }
        Ok(read)
    }

    /// Asks the registry until it answers.
    fn learn(&self, picture: &mut Picture, id: u32) {
        while !self.is_stopping() {
            match self.runtime.block_on(self.registry.by_id(id)) {
                Ok(found) => return picture.learn(id, found.map(|found| found.schema).as_deref(), Utc::now().timestamp_millis()),
                // There is one, but it is no Avro schema.
                Err(error) if error.kind == Kind::Data => return picture.learn(id, None, Utc::now().timestamp_millis()),
                Err(error) => self.tell(error.message),
            }
        }
    }
}

/// What reading came to.
enum Read {
    /// The broker was heard.
    Some,
    /// Nothing was heard.
    Nothing,
    /// A topic was emptied or made anew, or a schema has changed.
    Anew,
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
