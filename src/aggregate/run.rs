//! Preparing the job, and running session after session until it is done.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::layout::Layout;
use super::restore::Start;
use super::session::Session;
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Broken, Cluster, TopicSpec};
use crate::registry::Registry;

/// So many sessions may fail one after the other, none of them committing anything, before the job gives up.
const FAILED_SESSIONS: u32 = 5;
/// The pause before a new session.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the ends of the source's partitions are asked for.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// An aggregate that is ready to run: schemas registered, topics there.
pub struct Job {
    pub(super) kafka: config::Kafka,
    pub(super) aggregate: config::Aggregate,
    pub(super) layout: Arc<Layout>,
    pub(super) registry: Registry,
    pub(super) runtime: Handle,
    /// The consumer group and the transactional id: a second instance fences the first.
    pub(super) group: String,
    pub(super) dead_letters: String,
    pub(super) key_id: u32,
    pub(super) value_id: u32,
    pub(super) until_caught_up: bool,
    pub(super) close_all: bool,
    start: Start,
}

/// How a job ended, if it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to stop.
    Stopped,
    /// It read to where the topic ended at its start.
    CaughtUp,
}

/// Where the job stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Records read, those read again after a restart too.
    pub records: u64,
    /// Rows committed.
    pub rows: u64,
    /// Late records.
    pub late: u64,
    /// Records, and rows, that could not be used.
    pub poison: u64,
    /// Transactions committed.
    pub commits: u64,
    /// The watermark, ms.
    pub watermark: Option<i64>,
    /// Windows open.
    pub open_windows: usize,
    /// Offsets to read again when the session began.
    pub replay_total: i64,
    /// Offsets still to read again.
    pub replay_left: i64,
}

/// The line between the job's thread and the rest: a way to stop it, and what it tells.
#[derive(Debug, Default)]
pub struct Control {
    /// Set it to end the job.
    pub stop: AtomicBool,
    snapshot: Mutex<Snapshot>,
}

/// Shared by the job and who watches it.
pub type Status = Arc<Control>;

impl Control {
    /// Where the job stands; at most a quarter of a second old.
    pub fn snapshot(&self) -> Snapshot {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }
}

impl Job {
    /// Reads the source's schema, registers the sink's, and creates the topics that are missing.
    pub async fn prepare(config: &Config, aggregate: &config::Aggregate, start: Start) -> Result<Self> {
        let source = config.source(Some(&aggregate.source))?;
        let cluster = Cluster::new(&config.kafka, "read_committed")?;
        let partitions = cluster.existing(&source.topic)?;
        refuse_compacted(&cluster, &source.topic, "sums over it would be wrong, since older records of a key vanish").await?;
        let registry = Registry::new(&config.registry)?;
        let subject = format!("{}-value", source.topic);
        let schema = registry.latest(&subject).await?.ok_or_else(|| {
            Error::new(Kind::Data, format!("schema registry at {}: there is no subject `{subject}`", config.registry.url))
                .hint("`pipeline produce` registers it; is the address right, its path included?")
        })?;
        let layout = Arc::new(Layout::new(aggregate, &schema.schema, &source.time)?);
        let key_id = registry.register(&format!("{}-key", aggregate.sink), &layout.key_schema).await?;
        let value_id = registry.register(&format!("{}-value", aggregate.sink), &layout.value_schema).await?;
        let dead_letters = aggregate.dead_letter_topic();
        let delete = ("cleanup.policy", "delete");
        cluster.ensure(&TopicSpec { name: &aggregate.sink, partitions, settings: &[delete] }).await?;
        refuse_compacted(&cluster, &aggregate.sink, "of each key it would keep the last window only").await?;
        // A dead letter is larger than the record that it holds.
        let large = ("max.message.bytes", "8388608");
        cluster.ensure(&TopicSpec { name: &dead_letters, partitions: 1, settings: &[delete, large] }).await?;
        Ok(Self {
            kafka: config.kafka.clone(),
            aggregate: aggregate.clone(),
            layout,
            registry,
            runtime: Handle::current(),
            group: format!("pipeline-{}", aggregate.sink),
            dead_letters,
            key_id,
            value_id,
            until_caught_up: false,
            close_all: false,
            start,
        })
    }

    /// The same job, but it ends when it has read to where the topic ends now; with `close_all` it closes every window then.
    #[must_use]
    pub fn until_caught_up(self, close_all: bool) -> Self {
        Self { until_caught_up: true, close_all, ..self }
    }

    /// The same job, but it first empties the sink and does everything again.
    #[must_use]
    pub fn reset(self) -> Self {
        Self { start: Start::Reset, ..self }
    }

    /// Runs the job to its end. Blocks: call it on a thread of its own.
    pub fn run(&self, control: &Control) -> Result<Outcome> {
        let mut start = self.start;
        let mut failed = 0;
        loop {
            let commits = control.snapshot().commits;
            let ended = Session::begin(self, control, start).and_then(|session| {
                start = Start::Committed;
                session.run()
            });
            let error = match ended {
                Ok(outcome) => return Ok(outcome),
                Err(Broken::GiveUp(error)) => return Err(error),
                Err(Broken::StartOver(error)) => error,
            };
            failed = if control.snapshot().commits > commits { 1 } else { failed + 1 };
            if failed >= FAILED_SESSIONS || control.stop.load(Ordering::Relaxed) {
                return Err(error.while_doing(format!("gave up after {failed} attempts")));
            }
            tracing::warn!("{error}; beginning anew from what is committed");
            std::thread::sleep(PAUSE);
        }
    }
}

/// Compaction removes records that sums need, and sums that readers need.
async fn refuse_compacted(cluster: &Cluster, topic: &str, why: &str) -> Result<()> {
    match cluster.setting(topic, "cleanup.policy").await? {
        Some(policy) if policy.contains("compact") => {
            let what = format!("topic {topic} is compacted (cleanup.policy={policy}): {why}");
            Err(Error::new(Kind::DataLoss, what).hint("use a topic with cleanup.policy=delete"))
        }
        Some(_) => Ok(()),
        None => {
            tracing::warn!("the broker does not tell whether topic {topic} is compacted; if it is, records and rows vanish");
            Ok(())
        }
    }
}

/// Asks for the ends of partitions, again and again, on a thread of its own: a question to a broker may take long.
pub(super) struct EndWatch {
    ends: Arc<Mutex<BTreeMap<i32, (i64, Instant)>>>,
    partitions: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl EndWatch {
    pub fn start(cluster: Cluster, topic: &str, partitions: Vec<i32>) -> Self {
        let watch = Self { ends: Arc::default(), partitions: Arc::default(), stop: Arc::default() };
        let (ends, count, stop, topic) = (watch.ends.clone(), watch.partitions.clone(), watch.stop.clone(), topic.to_owned());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for partition in &partitions {
                    let asked_at = Instant::now();
                    if let Ok(found) = cluster.partition_ends(&topic, *partition) {
                        ends.lock().unwrap_or_else(PoisonError::into_inner).insert(*partition, (found.high, asked_at));
                    }
                }
                if let Ok(Some(found)) = cluster.partitions(&topic) {
                    count.store(usize::try_from(found).unwrap_or(0), Ordering::Relaxed);
                }
                std::thread::park_timeout(WATCH_PAUSE);
            }
        });
        watch
    }

    /// How many partitions the topic has; 0 as long as that is not known.
    pub fn partitions(&self) -> usize {
        self.partitions.load(Ordering::Relaxed)
    }

    /// The last answer for each partition, and when it was asked for.
    pub fn latest(&self) -> BTreeMap<i32, (i64, Instant)> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
