//! Reading topics from their beginning, and going on as they grow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::{Cluster, Context, Ends, Resource, client_config, explain};
use crate::config;
use crate::error::Result;

/// How often topics and partitions are looked for that were not there.
const LOOK: Duration = Duration::from_secs(2);
/// How long a question to the broker may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// librdkafka wants a group id even of a consumer that joins no group.
const SETTINGS: [(&str, &str); 9] = [
    ("group.id", "pipeline-view"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    // The default of a second makes reading eight times slower.
    ("fetch.queue.backoff.ms", "2"),
    // Whoever looks on must not take the memory of a job: the default is 64 MiB a partition.
    ("queued.max.messages.kbytes", "8192"),
    ("fetch.message.max.bytes", "262144"),
    ("fetch.wait.max.ms", "250"),
];

/// A partition: the place of its topic in the list, and its number.
type Place = (usize, i32);

/// What looking at the topics came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It is too early to look again.
    Early,
    /// The broker has answered, and what was read is still so.
    Done,
    /// A topic was emptied, or made anew: what was read of it is no longer so.
    Gone,
}

/// A reader of committed records of several topics: no consumer group, nothing committed. Its calls block.
pub struct Tail {
    what: String,
    context: Context,
    consumer: BaseConsumer<Context>,
    cluster: Cluster,
    topics: Vec<String>,
    from_ms: Option<i64>,
    /// How many partitions of each topic are read, in the order of `topics`.
    partitions: Vec<i32>,
    /// Where each partition was begun, and where it ended then.
    begun: BTreeMap<Place, Ends>,
    /// The topics of partitions that were begun with all their records deleted.
    emptied: Vec<String>,
    looked_at: Option<Instant>,
    /// How long until it is looked again.
    pause: Duration,
    /// When the ends were last asked for, and what they were.
    ends: Option<(DateTime<Utc>, BTreeMap<Place, i64>)>,
    /// The topics that wait.
    held: Vec<String>,
    /// How far each partition was read at the last look.
    seen: BTreeMap<Place, i64>,
}

impl Tail {
    /// A reader of these topics, some of which may not be there yet; with `from_ms` only of records with this Kafka timestamp or a
    /// later one.
    pub fn new(kafka: &config::Kafka, topics: Vec<String>, from_ms: Option<i64>) -> Result<Self> {
        let needing = |context: Context, topic: &String| context.needing("Read", Resource::Topic(topic.clone()));
        let context = topics.iter().fold(Context::of(kafka), needing);
        let what = format!("Kafka at {}, reading {}", kafka.bootstrap_servers, topics.join(", "));
        let consumer = client_config(kafka, &SETTINGS).create_with_context(context.clone());
        let consumer = consumer.map_err(|error| explain(&what, &error, &context))?;
        let (partitions, begun) = (vec![0; topics.len()], BTreeMap::new());
        let cluster = Cluster::new(kafka, "read_committed")?;
        Ok(Self {
            what,
            context,
            consumer,
            cluster,
            topics,
            from_ms,
            partitions,
            begun,
            emptied: Vec::new(),
            looked_at: None,
            pause: LOOK,
            ends: None,
            held: Vec::new(),
            seen: BTreeMap::new(),
        })
    }

    fn explain(&self, error: &KafkaError) -> crate::error::Error {
        explain(&self.what, error, &self.context)
    }

    /// Takes up topics and partitions that have come to be, if it is time to look again.
    pub fn look(&mut self) -> Result<Look> {
        if self.looked_at.is_some_and(|at| at.elapsed() < self.pause) {
            return Ok(Look::Early);
        }
        let (begin, now, mut ends) = (Instant::now(), Utc::now(), BTreeMap::new());
        for topic in 0..self.topics.len() {
            let found = self.cluster.partitions(&self.topics[topic])?.unwrap_or(0);
            for partition in 0..self.partitions[topic] {
                if partition >= found {
                    return Ok(Look::Gone);
                }
                // Before the ends, which only grow.
                let position = self.position(topic, partition);
                let found = self.cluster.partition_ends(&self.topics[topic], partition)?;
                if position.is_some_and(|position| self.is_gone(topic, partition, position, found)) {
                    return Ok(Look::Gone);
                }
                if let Some(position) = position {
                    self.seen.insert((topic, partition), position);
                }
                ends.insert((topic, partition), found.high);
            }
            for partition in self.partitions[topic]..found {
                ends.insert((topic, partition), self.begin(topic, partition)?);
                self.partitions[topic] = partition + 1;
            }
        }
        self.looked_at = Some(Instant::now());
        self.ends = Some((now, ends));
        // Of a topic with many partitions it takes long: no more than a tenth of the time.
        self.pause = LOOK.max(begin.elapsed() * 10);
        Ok(Look::Done)
    }

    /// Whether all that was read of a partition was deleted at once, or the partition is another one.
    fn is_gone(&self, topic: usize, partition: i32, position: i64, found: Ends) -> bool {
        let begun = self.begun.get(&(topic, partition)).map_or(0, |begun| begun.low);
        // What has come since the last look may be of after that.
        let seen = self.seen.get(&(topic, partition)).copied().unwrap_or(begun);
        found.high < position || seen > begun && found.low >= seen
    }

    /// A time at which the topics ended where they are read to by now, or before; `None`: they were not read so far.
    pub fn level(&self) -> Option<DateTime<Utc>> {
        let (asked_at, ends) = self.ends.as_ref()?;
        ends.iter().all(|(place, end)| self.reached(*place) >= *end).then_some(*asked_at)
    }

    fn reached(&self, place: Place) -> i64 {
        let begun = || self.begun.get(&place).map_or(0, |begun| begun.low);
        self.position(place.0, place.1).unwrap_or_else(begun)
    }

    fn position(&self, topic: usize, partition: i32) -> Option<i64> {
        let positions = self.consumer.position().ok()?;
        match positions.find_partition(&self.topics[topic], partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// Returns where it ends now.
    fn begin(&mut self, topic: usize, partition: i32) -> Result<i64> {
        let name = self.topics[topic].clone();
        let ends = self.cluster.partition_ends(&name, partition)?;
        let failed = |error: KafkaError| self.explain(&error);
        let mut low = ends.low;
        if let Some(from_ms) = self.from_ms {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_offset(&name, partition, Offset::Offset(from_ms)).map_err(failed)?;
            let answer = self.consumer.offsets_for_times(asked, TIMEOUT).map_err(failed)?;
            low = match answer.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset) {
                Some(Offset::Offset(offset)) => offset.max(low),
                _ => ends.high,
            };
        }
        let mut added = TopicPartitionList::new();
        added.add_partition_offset(&name, partition, Offset::Offset(low)).map_err(failed)?;
        self.consumer.incremental_assign(&added).map_err(failed)?;
        if ends.low > 0 && ends.low == ends.high {
            self.emptied.push(name);
        }
        self.begun.insert((topic, partition), Ends { low, high: ends.high });
        Ok(ends.high)
    }

    /// Topics that turned out to have a partition whose records are all deleted, since this was last asked.
    pub fn take_emptied(&mut self) -> Vec<String> {
        std::mem::take(&mut self.emptied)
    }

    /// The next record, with the place of its topic in the list that [`Tail::new`] was given; `None`: none came in this time.
    ///
    /// # Errors
    /// The broker is away, or refuses. librdkafka connects again by itself: reading goes on with the next call.
    pub fn poll(&self, wait: Duration) -> Result<Option<(usize, BorrowedMessage<'_>)>> {
        match self.consumer.poll(wait) {
            None => Ok(None),
            Some(Err(error)) => Err(self.explain(&error)),
            Some(Ok(record)) => Ok(self.topics.iter().position(|topic| topic == record.topic()).map(|topic| (topic, record))),
        }
    }

    /// Has these topics wait, and no others; none, if all the others are read to their ends.
    pub fn hold(&mut self, topics: &[String]) -> Result<()> {
        let others = |place: &Place| !topics.contains(&self.topics[place.0]);
        let is_behind = |(place, end): (&Place, &i64)| self.reached(*place) < *end;
        let ends = self.ends.iter().flat_map(|(_, ends)| ends);
        let is_of_use = !topics.is_empty() && ends.filter(|(place, _)| others(place)).any(is_behind);
        let topics = if is_of_use { topics } else { &[] };
        if self.held == topics {
            return Ok(());
        }
        let (mut wait, mut go_on) = (TopicPartitionList::new(), TopicPartitionList::new());
        for (topic, partition) in self.begun.keys() {
            let list = if topics.contains(&self.topics[*topic]) { &mut wait } else { &mut go_on };
            list.add_partition(&self.topics[*topic], *partition);
        }
        self.consumer.pause(&wait).map_err(|error| self.explain(&error))?;
        self.consumer.resume(&go_on).map_err(|error| self.explain(&error))?;
        self.held = topics.to_vec();
        Ok(())
    }

    /// Whether records of this partition were there before those that are read: deleted by retention, or left out by the time.
    pub fn begins_late(&self, topic: usize, partition: i32) -> bool {
        self.begun.get(&(topic, partition)).is_some_and(|ends| ends.low > 0)
    }

    /// How many offsets of those that were there at the start are read, and how many there were.
    pub fn progress(&self) -> (i64, i64) {
        self.begun.iter().fold((0, 0), |(done, all), ((topic, partition), ends)| {
            let read = self.position(*topic, *partition).unwrap_or(ends.low).clamp(ends.low, ends.high.max(ends.low));
            (done + read - ends.low, all + (ends.high - ends.low).max(0))
        })
    }
}
