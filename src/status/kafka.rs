//! Asking Kafka: source topics, and aggregates with their sinks and dead letters. All of it blocks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use tokio::runtime::Handle;

use super::count::{Counted, Fresh};
use super::facts::{Aggregate, DeadLetters, Job, Size, Source, Told};
use super::in_time;
use crate::aggregate::{committed_progress, is_with_flink};
use crate::avro::{Plan, Scalar, wire};
use crate::config::{self, Config};
use crate::engine::Progress;
use crate::error::{Error, Kind, Result};
use crate::kafka::{self, Cluster, Ends, last_values};
use crate::letters::{Envelope, Letter, Summary};
use crate::registry::Registry;

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(3);
/// How long an open transaction of the job is waited for.
const OPEN: Duration = Duration::from_secs(4);
/// How long reading the last records may take, and how many of each partition: the last may not be the newest, nor an event.
const READING: Duration = Duration::from_secs(2);
const EACH: i64 = 20;
/// How long the registry may take for a schema: without it only the event time is not known.
const SCHEMA: Duration = Duration::from_secs(2);
/// Of so many partitions the oldest record that waits is looked for.
const WAITING: usize = 16;

/// Someone who asks about one hop, again and again.
pub(super) trait Desk: Sized + Send + 'static {
    /// What there is to know.
    type Facts: Send + 'static;

    /// Who asks about the hop of this name.
    fn new(config: &Arc<Config>, name: &str) -> Result<Self>;

    /// A first look, so that the next one can tell what has moved.
    fn glance(&mut self) -> Result<()>;

    /// Asks for all there is to know.
    fn ask(&mut self) -> Result<Told<Self::Facts>>;
}

fn cluster(config: &Config) -> Result<Cluster> {
    Ok(Cluster::new(&config.kafka, "read_committed")?.hurried(QUESTION))
}

/// The ends of a topic; `None` if there is no such topic.
fn ends(cluster: &Cluster, topic: &str) -> Result<Option<BTreeMap<i32, Ends>>> {
    let Some(partitions) = cluster.partitions(topic)? else { return Ok(None) };
    (0..partitions).map(|partition| Ok((partition, cluster.partition_ends(topic, partition)?))).collect::<Result<_>>().map(Some)
}

fn has_some(ends: &BTreeMap<i32, Ends>) -> bool {
    ends.values().any(|ends| ends.low < ends.high)
}

/// How much is in a topic; its records are counted by `counter`.
#[derive(Default)]
struct Counter {
    counted: Counted,
    records: u64,
}

impl Counter {
    fn size(&mut self, kafka: &config::Kafka, topic: &str, ends: &BTreeMap<i32, Ends>) -> Result<Size> {
        let fresh = match self.counted.look(ends) {
            Fresh::TooMany => None,
            Fresh::More(fresh) => Some(fresh),
            Fresh::Anew(fresh) => {
                self.records = 0;
                Some(fresh)
            }
        };
        if let Some(fresh) = fresh.as_ref().filter(|fresh| has_some(fresh)) {
            let counted = kafka::count(kafka, topic, fresh, |_| Ok(true)).inspect_err(|_| self.counted.forget())?;
            self.records += counted.good;
        }
        Ok(Size {
            low: ends.values().map(|ends| ends.low).sum(),
            high: ends.values().map(|ends| ends.high).sum(),
            records: fresh.map(|_| self.records),
        })
    }
}

/// How many committed records of a topic come after these offsets; `None`: too many to be counted.
///
/// That is not what the offsets differ by: control records, which nobody is given, take offsets too.
pub(super) fn after(config: &Config, topic: &str, offsets: &BTreeMap<i32, i64>) -> Result<Option<u64>> {
    let mut unread = ends(&cluster(config)?, topic)?.unwrap_or_default();
    for (partition, ends) in &mut unread {
        ends.low = offsets.get(partition).map_or(ends.low, |offset| (*offset).clamp(ends.low, ends.high));
    }
    match Counted::default().look(&unread) {
        Fresh::TooMany => Ok(None),
        _ if !has_some(&unread) => Ok(Some(0)),
        Fresh::Anew(unread) | Fresh::More(unread) => Ok(Some(kafka::count(&config.kafka, topic, &unread, |_| Ok(true))?.good)),
    }
}

/// Who asks about a source.
pub(super) struct SourceDesk {
    config: Arc<Config>,
    topic: String,
    time: String,
    cluster: Cluster,
    registry: Registry,
    runtime: Handle,
    counter: Counter,
    /// How to read the event time, by schema id; `None`: it cannot be read.
    plans: HashMap<u32, Option<Plan>>,
    /// When was last looked, and where the topic ended then.
    before: Option<(Instant, i64)>,
}

impl Desk for SourceDesk {
    type Facts = Source;

    fn new(config: &Arc<Config>, name: &str) -> Result<Self> {
        Ok(Self {
            topic: name.into(),
            time: config.source(Some(name))?.time.clone(),
            cluster: cluster(config)?,
            registry: Registry::new(&config.registry)?,
            runtime: Handle::current(),
            counter: Counter::default(),
            plans: HashMap::new(),
            before: None,
            config: Arc::clone(config),
        })
    }

    fn glance(&mut self) -> Result<()> {
        let ends = ends(&self.cluster, &self.topic)?.unwrap_or_default();
        self.before = Some((Instant::now(), ends.values().map(|ends| ends.high).sum()));
        Ok(())
    }

    fn ask(&mut self) -> Result<Told<Source>> {
        let Some(ends) = ends(&self.cluster, &self.topic)? else {
            return Ok(Told::absent("not there: `pipeline produce` creates it"));
        };
        let now = Instant::now();
        let size = self.counter.size(&self.config.kafka, &self.topic, &ends)?;
        let before = self.before.replace((now, size.high));
        let rate = before.map(|(at, high)| (size.high - high).max(0) as f64 / (now - at).as_secs_f64().max(0.001));
        let (newest, trouble) = match self.newest(&ends) {
            Ok(newest) => (newest, None),
            Err(error) => (None, Some(error)),
        };
        Ok(Told::Known(Source { partitions: ends.len(), size, rate, newest, trouble }))
    }
}

impl SourceDesk {
    /// The latest event time among the last records, ms.
    fn newest(&mut self, ends: &BTreeMap<i32, Ends>) -> Result<Option<i64>> {
        if ends.values().all(|ends| ends.low == ends.high) {
            return Ok(None);
        }
        let mut newest = None;
        for value in last_values(&self.config.kafka, &self.topic, ends, EACH, READING)? {
            let Ok((id, datum)) = wire::split(&value) else { continue };
            if !self.plans.contains_key(&id) {
                let where_it_is = format!("schema registry at {}", self.config.registry.url);
                let asked = in_time(SCHEMA, &where_it_is, self.registry.by_id(id));
                let schema = self.runtime.block_on(asked)?;
                self.plans.insert(id, schema.and_then(|found| Plan::compile(&found.schema, &[&self.time]).ok()));
            }
            newest = newest.max(self.plans.get(&id).and_then(Option::as_ref).and_then(|plan| event_time(plan, datum)));
        }
        Ok(newest)
    }
}

fn event_time(plan: &Plan, datum: &[u8]) -> Option<i64> {
    let mut slot = [Scalar::Null];
    plan.decode(datum, &mut slot).ok()?;
    slot[0].event_time(plan.kind(0))
}

/// Who asks about an aggregate.
pub(super) struct AggregateDesk {
    config: Arc<Config>,
    aggregate: config::Aggregate,
    group: String,
    cluster: Cluster,
    offsets: kafka::Source,
    sink: Counter,
    letters: Letters,
    /// What was committed as read at the last look.
    before: Option<i64>,
}

/// What is committed of a source.
struct Committed {
    /// By partition: what was read.
    progress: BTreeMap<i32, Progress>,
    /// Offsets after that.
    lag: i64,
    /// The partitions that have some, and where they begin.
    waiting: BTreeMap<i32, i64>,
    note: Option<String>,
}

impl Desk for AggregateDesk {
    type Facts = Aggregate;

    fn new(config: &Arc<Config>, name: &str) -> Result<Self> {
        let aggregate = config.aggregate(Some(name))?.clone();
        let group = format!("pipeline-{name}");
        Ok(Self {
            cluster: cluster(config)?,
            offsets: kafka::Source::new(&config.kafka, &aggregate.source, &group)?,
            sink: Counter::default(),
            letters: Letters::new(&aggregate),
            before: None,
            config: Arc::clone(config),
            aggregate,
            group,
        })
    }

    fn glance(&mut self) -> Result<()> {
        self.before = self.committed()?.map(|committed| committed.position());
        Ok(())
    }

    fn ask(&mut self) -> Result<Told<Aggregate>> {
        let Some(committed) = self.committed()? else {
            return Ok(Told::absent("nothing is committed yet: `pipeline aggregate` begins it"));
        };
        let position = committed.position();
        let moved = self.before.replace(position).is_some_and(|before| before != position);
        let behind_ms = self.oldest(&committed)?.map(|time| (chrono::Utc::now().timestamp_millis() - time).max(0));
        let sink = match ends(&self.cluster, &self.aggregate.sink)? {
            Some(ends) => Some(self.sink.size(&self.config.kafka, &self.aggregate.sink, &ends)?),
            None => None,
        };
        let mut facts = Aggregate {
            members: self.cluster.members(&self.group)?,
            job: Job::of(committed.lag, behind_ms, moved),
            lag: committed.lag,
            behind_ms,
            sink,
            dead_letters: self.letters.count(&self.config.kafka, &self.cluster)?,
            note: committed.note,
            group: self.group.clone(),
            ..Aggregate::default()
        };
        let progress: Vec<Progress> = committed.progress.into_values().collect();
        facts.progress(&progress, self.aggregate.window.0, self.aggregate.offset.0, self.aggregate.lateness.0);
        Ok(Told::Known(facts))
    }
}

impl AggregateDesk {
    /// What is committed; `None`: nothing, or there is no source.
    fn committed(&self) -> Result<Option<Committed>> {
        let source = &self.aggregate.source;
        let Some(partitions) = self.cluster.partitions(source)? else { return Ok(None) };
        let until = Instant::now() + OPEN;
        let found = self.offsets.committed_while(partitions, || {
            if Instant::now() < until {
                return Ok(());
            }
            let what = format!("Kafka at {}: no answer about {}", self.config.kafka.bootstrap_servers, self.group);
            Err(Error::new(Kind::Unreachable, what)
                .hint("a transaction that is open is waited for: is `pipeline aggregate` stuck?"))
        })?;
        if found.values().all(Option::is_none) {
            return Ok(None);
        }
        // Before the ends: nobody has come further than where the log ends later.
        let ends = ends(&self.cluster, source)?.unwrap_or_default();
        let topic_id = self.cluster.topic_id(source)?;
        let mut committed = Committed { progress: BTreeMap::new(), lag: 0, waiting: BTreeMap::new(), note: None };
        for (partition, ends) in ends {
            match found.get(&partition).and_then(Option::as_ref) {
                None => committed.waits(partition, ends.low, ends),
                Some((offset, metadata)) => {
                    let read = committed_progress(metadata);
                    committed.waits(partition, read.as_ref().map_or(*offset, |(progress, _)| progress.position), ends);
                    committed.note = match &read {
                        Some((_, id)) if *id == topic_id => committed.note,
                        Some(_) => Some(format!("topic {source} was deleted and made anew since the last commit")),
                        None if is_with_flink(metadata) => Some(format!(
                            "the offset of partition {partition} is Flink's, or another consumer's: `pipeline aggregate --engine flink` \
                             watches its job"
                        )),
                        None => Some(format!("the offset of partition {partition} is of an unfinished --reset, or not ours")),
                    };
                    committed.progress.extend(read.map(|(progress, _)| (partition, progress)));
                }
            }
        }
        Ok(Some(committed))
    }

    /// The Kafka timestamp of the oldest record that was not read.
    fn oldest(&self, committed: &Committed) -> Result<Option<i64>> {
        let first = |(partition, low): (&i32, &i64)| (*partition, Ends { low: *low, high: *low + 1 });
        let firsts: BTreeMap<i32, Ends> = committed.waiting.iter().take(WAITING).map(first).collect();
        let mut oldest: Option<i64> = None;
        if firsts.is_empty() {
            return Ok(oldest);
        }
        kafka::scan(&self.config.kafka, &self.aggregate.source, &firsts, |record| {
            let time = record.timestamp().to_millis();
            oldest = oldest.into_iter().chain(time).min();
            Ok(())
        })?;
        Ok(oldest)
    }
}

impl Committed {
    /// What comes after a position waits.
    fn waits(&mut self, partition: i32, position: i64, ends: Ends) {
        if position < ends.high {
            self.lag += ends.high - position;
            self.waiting.insert(partition, position);
        }
    }

    fn position(&self) -> i64 {
        self.progress.values().map(|progress| progress.position).sum()
    }
}

/// Counts an aggregate's dead letters.
struct Letters {
    topic: String,
    sink: String,
    counted: Counted,
    summary: Summary,
}

impl Letters {
    fn new(aggregate: &config::Aggregate) -> Self {
        let (topic, sink) = (aggregate.dead_letter_topic(), aggregate.sink.clone());
        Self { topic, sink, counted: Counted::default(), summary: Summary::default() }
    }

    fn count(&mut self, kafka: &config::Kafka, cluster: &Cluster) -> Result<DeadLetters> {
        let topic = self.topic.clone();
        let ends = ends(cluster, &topic)?.unwrap_or_default();
        let fresh = match self.counted.look(&ends) {
            Fresh::TooMany => return Ok(DeadLetters { topic, ..DeadLetters::default() }),
            Fresh::More(fresh) => fresh,
            Fresh::Anew(fresh) => {
                self.summary = Summary::default();
                fresh
            }
        };
        let mut take = |record: &BorrowedMessage<'_>| {
            let envelope = Envelope::of(record);
            if envelope.is_of(&self.sink) {
                self.summary.add(&envelope, Letter::time_of(record));
            }
            Ok(())
        };
        if has_some(&fresh) {
            kafka::scan(kafka, &topic, &fresh, &mut take).inspect_err(|_| self.counted.forget())?;
        }
        let causes = self.summary.causes.iter().map(|(cause, found)| (cause.clone(), found.count)).collect();
        Ok(DeadLetters { topic, total: Some(self.summary.total), causes })
    }
}
