//! Reads the topics on a thread of its own, and hands out the state again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::picture::Picture;
use super::state::{Reading, State};
use super::stream::{Record, Stream};
use crate::aggregate::Layout;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::kafka::{Look, Tail};
use crate::letters::Envelope;
use crate::registry::Registry;

/// How often the state is told, while the history is read and after.
const TOLD: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// How long one poll waits for a record.
const WAIT: Duration = Duration::from_millis(200);
/// So many records are read before anything else is looked at.
const BATCH: usize = 10_000;
/// The pause before something is tried again that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The state as it was last told; `None` before the first time.
pub type States = watch::Receiver<Option<Arc<State>>>;

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
        let (sender, states) = watch::channel(None);
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
    sender: watch::Sender<Option<Arc<State>>>,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn run(&self) {
        while !self.is_stopping() {
            let Some((picture, tail)) = self.prepare() else { return };
            self.watch(picture, tail);
        }
    }

    /// Reads on until a topic is no longer what was read of it, or the end.
    fn watch(&self, mut picture: Picture, mut tail: Tail) {
        let (mut trouble, mut told_at, mut read_all) = (None, None::<Instant>, false);
        while !self.is_stopping() {
            trouble = match self.read(&mut picture, &mut tail) {
                Ok(Read::Anew) => return,
                Ok(Read::Some) => None,
                Ok(Read::Nothing) => trouble,
                Err(error) => Some(error.message),
            };
            let every = if read_all { TOLD.1 } else { TOLD.0 };
            if told_at.is_some_and(|at| at.elapsed() < every) {
                continue;
            }
            told_at = Some(Instant::now());
            let (done, all) = tail.progress();
            // Only once: what comes later is read as it comes.
            read_all = read_all || done >= all && tail.has_begun();
            let reading = (!read_all).then_some(Reading { done, all });
            self.sender.send_replace(Some(Arc::new(picture.state(now_ms(), reading, trouble.clone()))));
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits for the schemas of the sources.
    fn prepare(&self) -> Option<(Picture, Tail)> {
        while !self.is_stopping() {
            let error = match self.streams().and_then(|streams| {
                let picture = Picture::new(&self.config, self.demo, streams);
                let tail = Tail::new(&self.config.kafka, picture.topics(), self.since_ms)?;
                Ok((picture, tail))
            }) {
                Ok(ready) => return Some(ready),
                Err(error) => error,
            };
            let mut nothing = Picture::new(&self.config, self.demo, Vec::new());
            let reading = Some(Reading { done: 0, all: 0 });
            self.sender.send_replace(Some(Arc::new(nothing.state(now_ms(), reading, Some(error.message)))));
            std::thread::sleep(PAUSE);
        }
        None
    }

    fn streams(&self) -> Result<Vec<Stream>> {
        let stream = |aggregate: &crate::config::Aggregate| {
            let source = self.config.source(Some(&aggregate.source))?;
            let subject = format!("{}-value", source.topic);
            let schema = self.runtime.block_on(self.registry.latest(&subject))?.ok_or_else(|| {
                Error::new(
                    Kind::Data,
                    format!("schema registry at {}: there is no subject `{subject}` yet", self.config.registry.url),
                )
            })?;
            let layout = Layout::new(aggregate, &schema.schema, &source.time)?;
            Stream::new(aggregate, layout, self.since_ms)
                .map_err(|error| Error::new(Kind::Data, format!("aggregate `{}`: {error}", aggregate.sink)))
        };
        self.config.aggregates.iter().map(stream).collect()
    }

    /// Reads what is there.
    fn read(&self, picture: &mut Picture, tail: &mut Tail) -> Result<Read> {
        let mut read = match tail.look()? {
            Look::Gone => return Ok(Read::Anew),
            Look::Done => Read::Some,
            Look::Early => Read::Nothing,
        };
        for count in 0..BATCH {
            let wait = if count == 0 { WAIT } else { Duration::ZERO };
            let Some((topic, message)) = tail.poll(wait)? else { break };
            read = Read::Some;
            let record = record(&message, tail.begins_late(topic, message.partition()));
            if let Some(id) = picture.unknown(&record) {
                self.learn(picture, id);
            }
            picture.take(&record, now_ms());
        }
        Ok(read)
    }

    /// Asks the registry until it answers.
    fn learn(&self, picture: &mut Picture, id: u32) {
        while !self.is_stopping() {
            let error = match self.runtime.block_on(self.registry.by_id(id)) {
                Ok(found) => return picture.learn(id, found.map(|found| found.schema).as_deref()),
                // It answered, but with a schema that is no Avro schema, or is refused to us.
                Err(error) if error.kind != Kind::Unreachable => {
                    tracing::warn!("{error}");
                    return picture.learn(id, None);
                }
                Err(error) => error,
            };
            self.sender.send_replace(Some(Arc::new(picture.state(now_ms(), None, Some(error.message)))));
            std::thread::sleep(PAUSE);
        }
    }
}

/// What reading came to.
enum Read {
    /// The broker was heard.
    Some,
    /// Nothing was heard.
    Nothing,
    /// A topic was emptied, or made anew.
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

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
