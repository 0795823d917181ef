//! Preparing the job, and running session after session until it is done.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::control::Control;
use super::layout::Layout;
use super::restore::Start;
use super::rows::Sink;
use super::session::Session;
use super::turn::Interrupted;
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Cluster, Member, Setting, TopicSpec};
use crate::registry::Registry;

/// So many sessions may fail one after the other, none of them committing anything, before the job gives up.
const FAILED_SESSIONS: u32 = 5;
/// The pause before a new session.
const PAUSE: Duration = Duration::from_secs(1);

/// An aggregate that is ready to run: schemas registered, topics there.
pub struct Job {
    pub(super) kafka: config::Kafka,
    pub(super) aggregate: config::Aggregate,
    pub(super) layout: Arc<Layout>,
    pub(super) registry: Registry,
    pub(super) runtime: Handle,
    /// The consumer group; alone, the transactional id too.
    pub(super) group: String,
    /// The name of an instance that shares the source with others.
    instance: Option<String>,
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

impl Job {
    /// Reads the source's schema, registers the sink's, and creates the topics that are missing.
    pub async fn prepare(config: &Config, aggregate: &config::Aggregate, start: Start) -> Result<Self> {
        let source = config.source(Some(&aggregate.source))?;
        let cluster = Cluster::new(&config.kafka, "read_committed")?;
        let partitions = cluster.existing(&source.topic)?;
        refuse_compacted(&cluster, &source.topic, "sums over it would be wrong, since older records of a key vanish").await?;
        let registry = Registry::new(&config.registry)?;
        let schema = registry.newest(&source.topic).await?;
        let layout = Arc::new(Layout::new(aggregate, &schema.schema, &source.time)?);
        let key_id = registry.register(&format!("{}-key", aggregate.sink), &layout.key_schema).await?;
        let value_id = registry.register(&format!("{}-value", aggregate.sink), &layout.value_schema).await?;
        let dead_letters = aggregate.dead_letter_topic();
        let sink = ensure_sink(&cluster, aggregate, partitions).await?;
        // A dead letter is larger than the record that it holds.
        let settings = [DELETE, ("max.message.bytes", "8388608")];
        let letters = TopicSpec { name: &dead_letters, partitions: 1, settings: &settings, ..sink };
        cluster.ensure(&letters).await?;
        Ok(Self {
            kafka: config.kafka.clone(),
            aggregate: aggregate.clone(),
            layout,
            registry,
            runtime: Handle::current(),
            group: format!("pipeline-{}", aggregate.sink),
            instance: None,
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

    /// The same job, but it shares the source's partitions with other instances, each of another name.
    #[must_use]
    pub fn share(self, instance: &str) -> Self {
        Self { instance: Some(instance.to_owned()), ..self }
    }

    /// Whether an aggregate may be shared by instances: an error before anything is touched.
    pub fn may_share(aggregate: &config::Aggregate, instance: &str) -> Result<()> {
        if aggregate.keyed_by_group {
            return Ok(());
        }
        Err(Error::new(
            Kind::Config,
            format!("--instance {instance}: aggregate `{}` is not said to be keyed by its groups", aggregate.sink),
        )
        .hint("instances can share a topic only if each group's records are all in one partition; if they are, set keyed_by_group = true"))
    }

    /// Where to begin, the end of the sink looked up if it is that. Nobody else writes there any more.
    pub(super) fn resolve(&self, start: Start, has_begun: bool, control: &Control) -> Result<Start> {
        let sink = Sink {
            kafka: &self.kafka,
            registry: &self.registry,
            topic: &self.aggregate.sink,
            runtime: &self.runtime,
            beat: &|| control.beat("reading the sink"),
        };
        if start == Start::AfterSink { sink.start_behind(has_begun) } else { Ok(start) }
    }

    /// Whoever takes this id over fences who had it: alone, every other instance; sharing, a twin of the same name.
    pub(super) fn transactional_id(&self) -> String {
        self.instance.as_ref().map_or_else(|| self.group.clone(), |instance| format!("{}/{instance}", self.group))
    }

    /// The topics that it writes.
    pub(super) fn written(&self) -> [&str; 2] {
        [&self.aggregate.sink, &self.dead_letters]
    }

    /// Runs the job to its end. Blocks: call it on a thread of its own.
    pub fn run(&self, control: &Control) -> Result<Outcome> {
        let join = |instance| Member::join(&self.kafka, &self.aggregate.source, &self.group, instance);
        let member = self.instance.as_deref().map(join).transpose()?;
        let mut start = self.start;
        let mut failed = 0;
        loop {
            let commits = control.snapshot().commits;
            let ended = Session::begin(self, control, start, member.as_ref()).and_then(|session| {
                start = Start::Committed;
                session.run()
            });
            let error = match ended {
                Ok(outcome) => return Ok(outcome),
                Err(Interrupted::Stopped) => return Ok(Outcome::Stopped),
                Err(Interrupted::Reassigned) => continue,
                Err(Interrupted::GiveUp(error)) => return Err(error),
                Err(Interrupted::StartOver(error)) => error,
            };
            failed = if control.snapshot().commits > commits { 1 } else { failed + 1 };
            if failed >= FAILED_SESSIONS || control.is_stopping() {
                return Err(error.while_doing(format!("gave up after {failed} attempts")));
            }
            tracing::warn!("{error}; beginning anew from what is committed");
            std::thread::sleep(PAUSE);
        }
    }
}

/// Rows are not to be compacted: the key may be that of many.
const DELETE: (&str, &str) = ("cleanup.policy", "delete");

/// Creates the sink topic, if need be, with as many partitions as the source.
pub(super) async fn ensure_sink<'a>(
    cluster: &Cluster,
    aggregate: &'a config::Aggregate,
    partitions: i32,
) -> Result<TopicSpec<'a>> {
    let (replication, retention) = (aggregate.replication_factor, aggregate.retention);
    let sink = TopicSpec { name: &aggregate.sink, partitions, replication, retention, settings: &[DELETE] };
    cluster.ensure(&sink).await?;
    refuse_compacted(cluster, &aggregate.sink, "of each key it would keep the last window only").await?;
    Ok(sink)
}

/// Compaction removes records that sums need, and sums that readers need.
pub(super) async fn refuse_compacted(cluster: &Cluster, topic: &str, why: &str) -> Result<()> {
    match cluster.setting(topic, "cleanup.policy").await? {
        Setting::Is(policy) if policy.contains("compact") => Err(compacted(topic, &policy, why)),
        Setting::Is(_) => Ok(()),
        Setting::Untold => {
            tracing::warn!("the broker does not tell whether topic {topic} is compacted; if it is, records and rows vanish");
            Ok(())
        }
        Setting::Unsupported => {
            tracing::debug!("the broker has no settings of topics: {topic} is taken as not compacted");
            Ok(())
        }
    }
}

/// The refusal of a topic that is compacted.
pub fn compacted(topic: &str, policy: &str, why: &str) -> Error {
    let what = format!("topic {topic} is compacted (cleanup.policy={policy}): {why}");
    Error::new(Kind::DataLoss, what).hint("use a topic with cleanup.policy=delete")
}
