//! A look at the last records of a topic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::consumer::is_passing;
use super::{Context, Ends, Resource, client_config, explain};
use crate::config;
use crate::error::Result;

/// The values of the last records (`each` a partition at most) of a topic, or as many as come within `limit`. Blocks.
pub fn last_values(
    kafka: &config::Kafka,
    topic: &str,
    ends: &BTreeMap<i32, Ends>,
    each: i64,
    limit: Duration,
) -> Result<Vec<Vec<u8>>> {
    let mut values = Vec::new();
    last_records(kafka, topic, ends, each, limit, |value| values.push(value.to_vec()))?;
    Ok(values)
}

/// Hands the same values to `take`, one after the other; its time counts too.
pub fn last_records(
    kafka: &config::Kafka,
    topic: &str,
    ends: &BTreeMap<i32, Ends>,
    each: i64,
    limit: Duration,
    mut take: impl FnMut(&[u8]),
) -> Result<()> {
    each_record(kafka, topic, ends, each, limit, |record| record.payload().into_iter().for_each(&mut take))
}

/// The latest Kafka timestamp (ms) among the last records of the partitions, as far as they come within `limit`. Blocks.
pub fn newest(kafka: &config::Kafka, topic: &str, ends: &BTreeMap<i32, Ends>, limit: Duration) -> Result<Option<i64>> {
    let mut newest = None;
    each_record(kafka, topic, ends, 1, limit, |record| newest = newest.max(record.timestamp().to_millis()))?;
    Ok(newest)
}

fn each_record(
    kafka: &config::Kafka,
    topic: &str,
    ends: &BTreeMap<i32, Ends>,
    each: i64,
    limit: Duration,
    take: impl FnMut(&BorrowedMessage<'_>),
) -> Result<()> {
    let context = Context::of(kafka).needing("Read", Resource::Topic(topic.into()));
    let failed = |error: KafkaError| explain(&format!("Kafka at {}, reading {topic}", kafka.bootstrap_servers), &error, &context);
    // The group's name is only there because assigning wants one: nothing is committed to it.
    let settings = [("group.id", "pipeline-produce"), ("enable.auto.commit", "false"), ("enable.partition.eof", "true")];
    let consumer: BaseConsumer<Context> = client_config(kafka, &settings).create_with_context(context.clone()).map_err(failed)?;
    let mut assigned = TopicPartitionList::new();
    for (&partition, ends) in ends.iter().filter(|(_, ends)| ends.low < ends.high) {
        let from = Offset::Offset(ends.low.max(ends.high.saturating_sub(each)));
        assigned.add_partition_offset(topic, partition, from).map_err(failed)?;
    }
    consumer.assign(&assigned).map_err(failed)?;
    read_up_to(&consumer, ends, assigned.count(), Instant::now() + limit, take).map_err(failed)
}

/// Reads `partitions` partitions to their ends as they were; what is written meanwhile is left.
fn read_up_to(
    consumer: &BaseConsumer<Context>,
    ends: &BTreeMap<i32, Ends>,
    partitions: usize,
    deadline: Instant,
    mut take: impl FnMut(&BorrowedMessage<'_>),
) -> Result<(), KafkaError> {
    let mut read = BTreeSet::new();
    while read.len() < partitions && Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(record)) => {
                let high = ends.get(&record.partition()).map_or(0, |ends| ends.high);
                if record.offset() < high {
                    take(&record);
                }
                if record.offset() + 1 >= high {
                    read.insert(record.partition());
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(read.insert(partition)),
            // Another broker may answer.
            Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_passing) => {}
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    Ok(())
}
