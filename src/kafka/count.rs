//! Counting the records of a topic.
//!
//! Offsets do not tell how many there are: transactions leave markers that take offsets, and what was aborted still has its own.
//! So the topic is read, as a reader of committed records sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::{Context, Ends, client_config, explain};
use crate::config;
use crate::error::{Kind, Result};

/// Without a record or an end for so long, counting is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);

/// librdkafka wants a group id even of a consumer that joins no group.
const SETTINGS: [(&str, &str); 8] = [
    ("group.id", "pipeline-count"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "earliest"),
    ("isolation.level", "read_committed"),
    // The end is told by an empty answer, which the broker gives after this time.
    ("fetch.wait.max.ms", "50"),
    // The default of a second makes reading eight times slower.
    ("fetch.queue.backoff.ms", "2"),
];

/// How many records a topic has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Records with a value that passed the test.
    pub good: u64,
    /// Records with a value that did not.
    pub bad: u64,
    /// Records without a value.
    pub empty: u64,
}

/// Counts the committed records of a topic up to `ends`, as [`super::Cluster::ends`] of a `read_committed` cluster told them.
///
/// `good` tells of a value whether it counts as good. Blocks; joins no consumer group and commits nothing.
pub fn count(
    kafka: &config::Kafka,
    topic: &str,
    ends: &BTreeMap<i32, Ends>,
    mut good: impl FnMut(&[u8]) -> Result<bool>,
) -> Result<Counted> {
    let context = Context::default();
    let what = format!("Kafka at {}, counting the records of topic {topic}", kafka.bootstrap_servers);
    let failed = |error: KafkaError| explain(&what, &error, &context);
    let mut reader = Reader::new(kafka, &context, topic, ends).map_err(failed)?;
    let mut counted = Counted::default();
    let mut last_heard = Instant::now();
    while !reader.open.is_empty() {
        let mut judged = Ok(());
        match reader.step(|value| judged = counted.add(value, &mut good)) {
            Ok(true) => last_heard = Instant::now(),
            Ok(false) if last_heard.elapsed() < PATIENCE => {}
            Ok(false) => return Err(failed(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut))),
            // librdkafka connects again by itself.
            Err(error) if failed(error.clone()).kind == Kind::Unreachable && last_heard.elapsed() < PATIENCE => {}
            Err(error) => return Err(failed(error)),
        }
        judged?;
    }
    Ok(counted)
}

impl Counted {
    fn add(&mut self, value: Option<&[u8]>, good: impl FnOnce(&[u8]) -> Result<bool>) -> Result<()> {
        match value.map(good).transpose()? {
            None => self.empty += 1,
            Some(true) => self.good += 1,
            Some(false) => self.bad += 1,
        }
        Ok(())
    }
}

/// A consumer of those partitions that are not yet read to their end.
struct Reader<'a> {
    consumer: BaseConsumer<Context>,
    topic: &'a str,
    open: BTreeMap<i32, i64>,
}

impl<'a> Reader<'a> {
    fn new(kafka: &config::Kafka, context: &Context, topic: &'a str, ends: &BTreeMap<i32, Ends>) -> KafkaResult<Self> {
        let consumer: BaseConsumer<Context> = client_config(kafka, &SETTINGS).create_with_context(context.clone())?;
        let open: BTreeMap<i32, i64> =
            ends.iter().filter(|(_, ends)| ends.low < ends.high).map(|(partition, ends)| (*partition, ends.high)).collect();
        let mut partitions = TopicPartitionList::new();
        for partition in open.keys() {
            partitions.add_partition_offset(topic, *partition, Offset::Beginning)?;
        }
        consumer.assign(&partitions)?;
        Ok(Self { consumer, topic, open })
    }

    /// Polls once and hands over the value of a record before the end; whether anything was heard.
    fn step(&mut self, mut each: impl FnMut(Option<&[u8]>)) -> KafkaResult<bool> {
        let (partition, offset) = match self.consumer.poll(POLL) {
            None => return Ok(false),
            // Markers at the end are no records: what tells is that nothing more is there.
            Some(Err(KafkaError::PartitionEOF(partition))) => (partition, i64::MAX - 1),
            Some(Err(error)) => return Err(error),
            Some(Ok(record)) => {
                if self.open.get(&record.partition()).is_some_and(|end| record.offset() < *end) {
                    each(record.payload());
                }
                (record.partition(), record.offset())
            }
        };
        if self.open.get(&partition).is_some_and(|end| offset + 1 >= *end) {
            self.close(partition)?;
        }
        Ok(true)
    }

    fn close(&mut self, partition: i32) -> KafkaResult<()> {
        self.open.remove(&partition);
        let mut done = TopicPartitionList::new();
        done.add_partition(self.topic, partition);
        self.consumer.pause(&done)
    }
}
