//! Reading a topic from end to end, as a reader of committed records sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::{Context, Ends, Resource, client_config, explain};
use crate::config;
use crate::error::{Kind, Result};

/// Without a record or an end for so long, reading is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);

/// librdkafka wants a group id even of a consumer that joins no group.
const SETTINGS: [(&str, &str); 8] = [
    ("group.id", "pipeline-scan"),
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

/// Hands every committed record of a topic from `low` up to `high` to `each`, partitions in any order; `high` is as
/// [`super::Cluster::ends`] of a `read_committed` cluster told it.
///
/// Blocks; joins no consumer group and commits nothing. An error of `each` ends it.
pub fn scan(
    kafka: &config::Kafka,
    topic: &str,
    ends: &BTreeMap<i32, Ends>,
    mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<()>,
) -> Result<()> {
    let context = Context::of(kafka).needing("Read", Resource::Topic(topic.into()));
    let what = format!("Kafka at {}, reading all of topic {topic}", kafka.bootstrap_servers);
    let failed = |error: KafkaError| explain(&what, &error, &context);
    let mut scan = Scan::new(kafka, &context, topic, ends).map_err(failed)?;
    let mut last_heard = Instant::now();
    while !scan.open.is_empty() {
        let mut taken = Ok(());
        match scan.step(|record| taken = each(record)) {
            Ok(true) => last_heard = Instant::now(),
            Ok(false) if last_heard.elapsed() < PATIENCE => {}
            Ok(false) => return Err(failed(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut))),
            // librdkafka connects again by itself.
            Err(error) if failed(error.clone()).kind == Kind::Unreachable && last_heard.elapsed() < PATIENCE => {}
            Err(error) => return Err(failed(error)),
        }
        taken?;
    }
    Ok(())
}

/// A consumer of those partitions that are not yet read to their end.
struct Scan<'a> {
    consumer: BaseConsumer<Context>,
    topic: &'a str,
    open: BTreeMap<i32, i64>,
}

impl<'a> Scan<'a> {
    fn new(kafka: &config::Kafka, context: &Context, topic: &'a str, ends: &BTreeMap<i32, Ends>) -> KafkaResult<Self> {
        let consumer: BaseConsumer<Context> = client_config(kafka, &SETTINGS).create_with_context(context.clone())?;
        let mut partitions = TopicPartitionList::new();
        let mut open = BTreeMap::new();
        for (partition, ends) in ends.iter().filter(|(_, ends)| ends.low < ends.high) {
            partitions.add_partition_offset(topic, *partition, Offset::Offset(ends.low))?;
            open.insert(*partition, ends.high);
        }
        consumer.assign(&partitions)?;
        Ok(Self { consumer, topic, open })
    }

    /// Polls once and hands over a record before the end; whether anything was heard.
    fn step(&mut self, each: impl FnOnce(&BorrowedMessage<'_>)) -> KafkaResult<bool> {
        let (partition, offset) = match self.consumer.poll(POLL) {
            None => return Ok(false),
            // Markers at the end are no records: what tells is that nothing more is there.
            Some(Err(KafkaError::PartitionEOF(partition))) => (partition, i64::MAX - 1),
            Some(Err(error)) => return Err(error),
            Some(Ok(record)) => {
                if self.open.get(&record.partition()).is_some_and(|end| record.offset() < *end) {
                    each(&record);
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
