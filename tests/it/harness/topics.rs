//! Topics as any other Kafka client sees them.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::Value as Json;

use super::{block_on, wait_for};

const TIMEOUT: Duration = Duration::from_secs(10);
/// No test reads a topic for longer.
const READING: Duration = Duration::from_secs(600);

/// Whether records of transactions that are open, or were aborted, are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    Committed,
    Uncommitted,
}

impl Isolation {
    fn name(self) -> &'static str {
        match self {
            Self::Committed => "read_committed",
            Self::Uncommitted => "read_uncommitted",
        }
    }
}

/// A record as it lies in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: BTreeMap<String, String>,
}

impl Record {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
        }
    }
}

/// A cluster's topics.
pub struct Topics {
    kafka: String,
    properties: Vec<(&'static str, String)>,
}

impl Topics {
    pub fn new(kafka: &str) -> Self {
        Self::with(kafka, Vec::new())
    }

    /// Those of a cluster that takes clients with these properties only.
    pub fn with(kafka: &str, properties: Vec<(&'static str, String)>) -> Self {
        Self { kafka: kafka.into(), properties }
    }

    /// What every client of the cluster needs.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka).set("allow.auto.create.topics", "false");
        for (name, value) in &self.properties {
            config.set(*name, value);
        }
        config
    }

    /// A consumer with nothing assigned.
    pub fn consumer(&self, isolation: Isolation, group: &str) -> BaseConsumer {
        let mut config = self.config();
        config.set("isolation.level", isolation.name()).set("group.id", group).set("enable.auto.commit", "false");
        // Else a full queue is looked at again only after a second.
        config.set("fetch.queue.backoff.ms", "2").set("enable.partition.eof", "true").set("auto.offset.reset", "error");
        // The end of a topic is told by an answer with nothing in it.
        config.set("fetch.wait.max.ms", "10");
        config.create().expect("a consumer")
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an admin client")
    }

    /// How many partitions a topic has; 0 if it is not there.
    pub fn partitions(&self, topic: &str) -> i32 {
        let consumer = self.consumer(Isolation::Uncommitted, "it");
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).expect("metadata");
        i32::try_from(metadata.topics().first().map_or(0, |topic| topic.partitions().len())).expect("few")
    }

    /// Hands every record, from the first to the end, to `take`: partition by partition in the order of offsets.
    pub fn scan(&self, topic: &str, isolation: Isolation, mut take: impl FnMut(&BorrowedMessage<'_>)) {
        let consumer = self.consumer(isolation, "it");
        let partitions = self.partitions(topic);
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let (low, _) = consumer.fetch_watermarks(topic, partition, TIMEOUT).expect("watermarks");
            list.add_partition_offset(topic, partition, Offset::Offset(low)).expect("an offset");
        }
        consumer.assign(&list).expect("assigned");
        let (mut open, deadline) = ((0..partitions).collect::<HashSet<_>>(), Instant::now() + READING);
        while !open.is_empty() {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => take(&message),
                // The end as the broker had it after this call began.
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
                Some(Err(error)) => panic!("reading {topic}: {error}"),
                None => assert!(Instant::now() < deadline, "reading {topic} takes too long"),
            }
        }
    }

    /// Every record of a topic.
    pub fn read(&self, topic: &str, isolation: Isolation) -> Vec<Record> {
        let mut records = Vec::new();
        self.scan(topic, isolation, |message| records.push(Record::of(message)));
        records
    }

    /// The next offset of each partition.
    pub fn ends(&self, topic: &str, isolation: Isolation) -> Vec<i64> {
        let consumer = self.consumer(isolation, "it");
        (0..self.partitions(topic)).map(|partition| high(&consumer, topic, partition)).collect()
    }

    /// A setting of a topic, as the broker tells it.
    pub fn setting(&self, topic: &str, name: &str) -> Option<String> {
        let resource = [ResourceSpecifier::Topic(topic)];
        let answers = block_on(self.admin().describe_configs(&resource, &AdminOptions::new())).expect("settings");
        let settings = answers.into_iter().next().expect("an answer").expect("a topic");
        settings.get(name).and_then(|entry| entry.value.clone())
    }

    /// Creates a topic.
    pub fn create(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let answers = block_on(self.admin().create_topics([&new], &options)).expect("created");
        answers.into_iter().for_each(|answer| drop(answer.expect("created")));
        wait_for("the new topic", TIMEOUT, || (self.partitions(topic) == partitions).then_some(()));
    }

    /// Gives a topic more partitions.
    pub fn grow(&self, topic: &str, partitions: usize) {
        let grown = [NewPartitions::new(topic, partitions)];
        let answers = block_on(self.admin().create_partitions(&grown, &AdminOptions::new())).expect("an answer");
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }

    /// Deletes topics, if they are there.
    pub fn delete(&self, topics: &[&str]) {
        // The broker answers for each one; those that are not there are no failure.
        let _ = block_on(self.admin().delete_topics(topics, &AdminOptions::new().operation_timeout(Some(TIMEOUT))));
    }

    /// Deletes a consumer group, if it is there.
    pub fn delete_group(&self, group: &str) {
        // It may not be there.
        let _ = block_on(self.admin().delete_groups(&[group], &AdminOptions::new()));
    }

    /// Whether a consumer group has members.
    pub fn has_members(&self, group: &str) -> bool {
        let groups = self.consumer(Isolation::Uncommitted, "it").fetch_group_list(Some(group), TIMEOUT).expect("groups");
        groups.groups().iter().any(|group| !group.members().is_empty())
    }

    /// Deletes all records of a topic.
    pub fn delete_records(&self, topic: &str) {
        self.delete_records_before(topic, Offset::End);
    }

    /// Deletes the records of each partition before an offset.
    pub fn delete_records_before(&self, topic: &str, offset: Offset) {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions(topic) {
            list.add_partition_offset(topic, partition, offset).expect("an offset");
        }
        block_on(self.admin().delete_records(&list, &AdminOptions::new())).expect("deleted");
    }

    /// Writes records (partition, key, value), in this order.
    pub fn write<'a>(&self, topic: &str, records: impl IntoIterator<Item = (Option<i32>, Option<&'a [u8]>, Option<&'a [u8]>)>) {
        let mut config = self.config();
        config.set("enable.idempotence", "true").set("linger.ms", "5").set("partitioner", "murmur2_random");
        let producer: BaseProducer = config.create().expect("a producer");
        for (partition, key, value) in records {
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
            (record.partition, record.key, record.payload) = (partition, key, value);
            producer.send(record).map_err(|(error, _)| error).expect("sent");
        }
        producer.flush(TIMEOUT).expect("flushed");
    }

    /// Writes a value into partition 0 with this Kafka timestamp, ms.
    pub fn write_at(&self, topic: &str, time_ms: i64, value: &[u8]) {
        let producer: BaseProducer = self.config().create().expect("a producer");
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        (record.partition, record.timestamp, record.payload) = (Some(0), Some(time_ms), Some(value));
        producer.send(record).map_err(|(error, _)| error).expect("sent");
        producer.flush(TIMEOUT).expect("flushed");
    }

    /// A producer whose transactions are started, with more properties.
    pub fn transactional(&self, id: &str, properties: &[(&str, &str)]) -> BaseProducer {
        let mut config = self.config();
        config.set("transactional.id", id);
        for (name, value) in properties {
            config.set(*name, *value);
        }
        let producer: BaseProducer = config.create().expect("a producer");
        producer.init_transactions(TIMEOUT).expect("started");
        producer
    }

    /// Copies a topic's records into another one in one transaction: what is written ends with a control record.
    pub fn copy_in_a_transaction(&self, from: &str, to: &str) {
        let producer = self.transactional(to, &[]);
        producer.begin_transaction().expect("begun");
        for Record { key, value, .. } in self.read(from, Isolation::Committed) {
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(to);
            (record.key, record.payload) = (key.as_deref(), value.as_deref());
            producer.send(record).map_err(|(error, _)| error).expect("sent");
        }
        producer.commit_transaction(TIMEOUT).expect("committed");
    }

    /// Commits an offset of partition 0 as any consumer does.
    pub fn commit(&self, group: &str, topic: &str, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("an offset");
        self.consumer(Isolation::Committed, group).commit(&list, CommitMode::Sync).expect("committed");
    }

    /// What a group has committed: partition, offset, metadata. Open transactions are not waited for.
    pub fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, (i64, Json)> {
        committed(&self.consumer(Isolation::Uncommitted, group), topic, self.partitions(topic))
    }
}

/// The next offset of a partition, as the consumer's isolation level has it.
pub fn high(consumer: &BaseConsumer, topic: &str, partition: i32) -> i64 {
    consumer.fetch_watermarks(topic, partition, TIMEOUT).expect("watermarks").1
}

/// The oldest offset of a partition.
pub fn low(consumer: &BaseConsumer, topic: &str, partition: i32) -> i64 {
    consumer.fetch_watermarks(topic, partition, TIMEOUT).expect("watermarks").0
}

/// What the consumer's group has committed; the metadata as JSON.
pub fn committed(consumer: &BaseConsumer, topic: &str, partitions: i32) -> BTreeMap<i32, (i64, Json)> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, partitions - 1);
    let answer = consumer.committed_offsets(asked, TIMEOUT).expect("committed offsets");
    let found = answer.elements().into_iter().filter_map(|found| match found.offset() {
        Offset::Offset(offset) => {
            Some((found.partition(), (offset, serde_json::from_str(found.metadata()).unwrap_or(Json::Null))))
        }
        _ => None,
    });
    found.collect()
}
