//! Looking at topics, and creating them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::{Metadata, MetadataPartition, MetadataTopic};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::{Context, Resource, Right, client_config, describe, explain};
use crate::config::{self, Millis};
use crate::error::{Error, Kind, Result};

/// How long a question to the cluster may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The name of a topic that nobody has.
const NO_TOPIC: &str = "pipeline.no-such-topic";
/// How often a topic is looked for that must be there soon.
const CREATION_PAUSE: Duration = Duration::from_millis(50);
/// How many of a client's errors are looked through for the cause behind a question that got no answer.
const EXPLANATIONS: usize = 5;

/// The replication factor by which a broker takes its own.
const BROKERS_OWN: i32 = -1;
/// How long a topic keeps a record, ms; less than 0: for ever.
const RETENTION: &str = "retention.ms";

/// A topic to create.
#[derive(Debug, Clone)]
pub struct TopicSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many partitions.
    pub partitions: i32,
    /// On how many brokers each record is kept; `None`: as many as the broker says.
    pub replication: Option<i32>,
    /// How long a record is kept, by its Kafka timestamp; `None`: as long as the broker says.
    pub retention: Option<Millis>,
    /// More topic settings.
    pub settings: &'a [(&'a str, &'a str)],
}

/// The first and the next offset of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The oldest offset that is still there.
    pub low: i64,
    /// The offset that comes next: with `read_committed`, of the last stable record.
    pub high: i64,
}

/// On how many brokers a partition is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// Whether one of them leads: without it, nobody can read or write.
    pub has_leader: bool,
    /// All of them.
    pub all: usize,
    /// Those that have every record.
    pub in_sync: usize,
}

/// What a broker tells of a topic's setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// The value.
    Is(String),
    /// Nothing, for lack of a permission, or because it does not know the setting.
    Untold,
    /// It cannot be asked: its topics have no settings.
    Unsupported,
}

/// A connection for questions about topics. Its calls block: from async code, run them on a blocking thread.
pub struct Cluster {
    bootstrap: String,
    limit: Duration,
    context: Context,
    consumer: BaseConsumer<Context>,
    admin: AdminClient<Context>,
}

impl Cluster {
    /// Connects lazily: the first question finds out whether the broker is there.
    ///
    /// `isolation` is librdkafka's `isolation.level` (`read_committed` or `read_uncommitted`): which end [`Cluster::ends`] tells.
    pub fn new(kafka: &config::Kafka, isolation: &str) -> Result<Self> {
        let context = Context::of(kafka);
        let config = client_config(kafka, &[("isolation.level", isolation)]);
        let place = |error| explain(&format!("Kafka at {}", kafka.bootstrap_servers), &error, &Context::default());
        Ok(Self {
            bootstrap: kafka.bootstrap_servers.clone(),
            limit: TIMEOUT,
            consumer: config.create_with_context(context.clone()).map_err(place)?,
            admin: config.create_with_context(context.clone()).map_err(place)?,
            context,
        })
    }

    /// The same, but a question may take no longer than this.
    #[must_use]
    pub fn hurried(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// How many brokers there are, as the first one that answers has it.
    pub fn brokers(&self) -> Result<usize> {
        // A topic that nobody has keeps the answer small.
        let asked = self.consumer.fetch_metadata(Some(NO_TOPIC), self.limit);
        asked.map(|metadata| metadata.brokers().len()).map_err(|error| self.explain("asking for its brokers", &error))
    }

    /// The partitions of a topic; `None` if there is no such topic.
    pub fn copies(&self, topic: &str) -> Result<Option<Vec<Copies>>> {
        if self.partitions(topic)?.is_none() {
            return Ok(None);
        }
        let metadata = self.metadata(topic)?;
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        let copies = |partition: &MetadataPartition| Copies {
            has_leader: partition.leader() >= 0,
            all: partition.replicas().len(),
            in_sync: partition.isr().len(),
        };
        Ok(Some(partitions.map(copies).collect()))
    }

    fn explain(&self, what: &str, error: &KafkaError) -> Error {
        self.explain_with(&self.context, what, error)
    }

    /// The same of something that needs a right.
    fn refused(&self, operation: &'static str, resource: Resource, what: &str, error: &KafkaError) -> Error {
        self.explain_with(&self.context.clone().needing(operation, resource), what, error)
    }

    fn of_topic(&self, operation: &'static str, topic: &str, what: &str, error: &KafkaError) -> Error {
        self.refused(operation, Resource::Topic(topic.into()), what, error)
    }

    fn explain_with(&self, context: &Context, what: &str, error: &KafkaError) -> Error {
        // Errors arrive on the client's queue, which only polling empties, one a poll.
        for _ in 0..EXPLANATIONS {
            drop(self.consumer.poll(Duration::from_millis(20)));
        }
        explain(&format!("Kafka at {}, {what}", self.bootstrap), error, context)
    }

    /// How many partitions a topic has; `None` if there is no such topic.
    pub fn partitions(&self, topic: &str) -> Result<Option<i32>> {
        let metadata = self.metadata(topic)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(Some(i32::try_from(found.partitions().len()).unwrap_or(i32::MAX))),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
            Some(code) => Err(self.of_topic("Describe", topic, &looking_at(topic), &KafkaError::MetadataFetch(code))),
        }
    }

    fn metadata(&self, topic: &str) -> Result<Metadata> {
        self.consumer.fetch_metadata(Some(topic), self.limit).map_err(|error| self.explain(&looking_at(topic), &error))
    }

    /// A broker to ask about a topic: one that leads a partition. Any would do; without being told, librdkafka asks the controller,
    /// and waits in vain where a cluster names none.
    fn leader(&self, topic: &str) -> Result<Option<i32>> {
        let metadata = self.metadata(topic)?;
        let leaders = metadata.topics().iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::leader);
        Ok(leaders.into_iter().find(|leader| *leader >= 0))
    }

    /// How many partitions a topic has; an error if there is no such topic.
    pub fn existing(&self, topic: &str) -> Result<i32> {
        self.partitions(topic)?.ok_or_else(|| {
            Error::new(Kind::Unreachable, format!("Kafka at {}: there is no topic {topic}", self.bootstrap))
                .hint("is the topic's name right? `pipeline produce` creates the source topic, `pipeline aggregate` its sink")
        })
    }

    /// The ends of every partition of a topic.
    pub fn ends(&self, topic: &str) -> Result<BTreeMap<i32, Ends>> {
        (0..self.existing(topic)?).map(|partition| Ok((partition, self.partition_ends(topic, partition)?))).collect()
    }

    /// The ends of one partition.
    pub fn partition_ends(&self, topic: &str, partition: i32) -> Result<Ends> {
        let (low, high) = self.consumer.fetch_watermarks(topic, partition, self.limit).map_err(|error| {
            self.of_topic("Describe", topic, &format!("looking for the end of {topic} [{partition}]"), &error)
        })?;
        Ok(Ends { low, high })
    }

    /// The id that the broker gave the topic when it was created, in base64 (all zeros before Kafka 2.8).
    pub fn topic_id(&self, topic: &str) -> Result<String> {
        let leader = self.leader(topic)?;
        // SAFETY: the handle lives as long as `self`.
        #[allow(unsafe_code)]
        let id = unsafe { describe::topic_id(self.admin.inner().native_ptr(), topic, leader, self.limit) };
        id.map_err(|error| self.of_topic("Describe", topic, &format!("asking for the id of topic {topic}"), &error))
    }

    /// What this user may do with a topic that is there; `None` if the broker does not tell.
    pub fn rights(&self, topic: &str) -> Result<Option<BTreeSet<Right>>> {
        let leader = self.leader(topic)?;
        // SAFETY: the handle lives as long as `self`.
        #[allow(unsafe_code)]
        let rights = unsafe { describe::rights(self.admin.inner().native_ptr(), topic, leader, self.limit) };
        rights.map_err(|error| self.explain(&format!("asking what is allowed with topic {topic}"), &error))
    }

    /// The members that a consumer group has now; none where the broker cannot be asked.
    pub fn members(&self, group: &str) -> Result<Vec<String>> {
        // SAFETY: the handle lives as long as `self`.
        #[allow(unsafe_code)]
        match unsafe { describe::members(self.admin.inner().native_ptr(), group, self.limit) } {
            Ok(members) => Ok(members.into_iter().map(|(client, host)| format!("{client} at {host}")).collect()),
            Err(KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature)) => {
                tracing::debug!("the broker does not tell the members of groups, so neither those of {group}");
                Ok(Vec::new())
            }
            Err(error) => {
                let what = format!("asking for the members of consumer group {group}");
                Err(self.refused("Read", Resource::Group(group.into()), &what, &error))
            }
        }
    }

    /// A setting of a topic, for example `cleanup.policy`.
    pub async fn setting(&self, topic: &str, name: &str) -> Result<Setting> {
        let settings = self.settings(topic).await?;
        Ok(settings.map_or(Setting::Unsupported, |mut all| all.remove(name).map_or(Setting::Untold, Setting::Is)))
    }

    /// All settings of a topic; empty for lack of a permission, `None` if it cannot be asked: its topics have no settings.
    pub async fn settings(&self, topic: &str) -> Result<Option<BTreeMap<String, String>>> {
        let options = AdminOptions::new().request_timeout(Some(self.limit)).broker_id(self.leader(topic)?);
        let resources = match self.admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await {
            Ok(resources) => resources,
            Err(KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature)) => return Ok(None),
            Err(error) => {
                return Err(self.of_topic(
                    "DescribeConfigs",
                    topic,
                    &format!("asking for the settings of topic {topic}"),
                    &error,
                ));
            }
        };
        let resource = resources.into_iter().next().and_then(std::result::Result::ok);
        let entries = resource.into_iter().flat_map(|resource| resource.entries);
        Ok(Some(entries.filter_map(|entry| Some((entry.name, entry.value?))).collect()))
    }

    /// Deletes every record of a topic; the topic stays.
    pub async fn empty(&self, topic: &str) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.existing(topic)? {
            let mut entry = list.add_partition(topic, partition);
            entry.set_offset(Offset::End).map_err(|error| self.explain("an offset", &error))?;
        }
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
        let what = format!("emptying topic {topic}");
        let answers =
            self.admin.delete_records(&list, &options).await.map_err(|error| self.of_topic("Delete", topic, &what, &error))?;
        // The call succeeds though a partition was refused, for example on a compacted topic.
        answers
            .elements()
            .iter()
            .try_for_each(|partition| partition.error().map_err(|error| self.of_topic("Delete", topic, &what, &error)))
    }

    /// Deletes a topic; that there is none is no error. Waits until the broker no longer tells of it.
    pub async fn delete(&self, topic: &str) -> Result<()> {
        let what = format!("deleting topic {topic}");
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
        let answers = self.admin.delete_topics(&[topic], &options).await.map_err(|error| self.explain(&what, &error))?;
        match answers.into_iter().next() {
            Some(Err((_, code))) if code != RDKafkaErrorCode::UnknownTopicOrPartition => {
                return Err(self.of_topic("Delete", topic, &what, &KafkaError::AdminOp(code)));
            }
            _ => {}
        }
        let deadline = Instant::now() + TIMEOUT;
        while self.partitions(topic)?.is_some() {
            if Instant::now() >= deadline {
                return Err(Error::new(Kind::Watchdog, format!("Kafka at {}: topic {topic} is still there", self.bootstrap))
                    .hint("does something write to it, so that the broker makes it anew? stop that first"));
            }
            tokio::time::sleep(CREATION_PAUSE).await;
        }
        Ok(())
    }

    /// Whether the broker knows a consumer group of this name.
    pub fn has_group(&self, group: &str) -> Result<bool> {
        let what = format!("looking for consumer group {group}");
        let found = self.consumer.fetch_group_list(Some(group), TIMEOUT).map_err(|error| self.explain(&what, &error))?;
        // The broker answers for a group that it does not know, too, and calls it dead.
        Ok(found.groups().iter().any(|found| found.name() == group && !matches!(found.state(), "Dead" | "")))
    }

    /// Deletes a consumer group, and with it how far it has read; that there is none is no error.
    pub async fn delete_group(&self, group: &str) -> Result<()> {
        let what = format!("deleting consumer group {group}");
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let answers = self.admin.delete_groups(&[group], &options).await.map_err(|error| self.explain(&what, &error))?;
        match answers.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::NonEmptyGroup))) => {
                Err(Error::new(Kind::Failed, format!("Kafka at {}, {what}: it has members", self.bootstrap))
                    .hint("stop `pipeline aggregate` first"))
            }
            Some(Err((_, code))) if code != RDKafkaErrorCode::GroupIdNotFound => {
                Err(self.refused("Delete", Resource::Group(group.into()), &what, &KafkaError::AdminOp(code)))
            }
            _ => Ok(()),
        }
    }

    /// Creates a topic unless it exists; returns how many partitions it has, and whether it was created. One that exists stays as it
    /// is: a warning tells which of the settings asked for it does not have. (How many partitions it should have, only the caller knows.)
    pub async fn ensure(&self, spec: &TopicSpec<'_>) -> Result<(i32, bool)> {
        if let Some(partitions) = self.partitions(spec.name)? {
            for (setting, found, wanted) in self.unlike(spec).await {
                tracing::warn!(
                    "topic {} has {setting} {found}, the pipeline file says {wanted}: it stays as it is; \
                     `kafka-configs` and `kafka-reassign-partitions` change topics",
                    spec.name
                );
            }
            return Ok((partitions, false));
        }
        let retention = spec.retention.map(|retention| retention.0.to_string());
        // Without a factor, the broker's own (KIP-464).
        let replication = spec.replication.unwrap_or(BROKERS_OWN);
        let mut topic = NewTopic::new(spec.name, spec.partitions, TopicReplication::Fixed(replication));
        for (name, value) in spec.settings.iter().copied().chain(retention.as_deref().map(|value| (RETENTION, value))) {
            topic = topic.set(name, value);
        }
        let what = format!("creating topic {}", spec.name);
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
        let answers = self
            .admin
            .create_topics([&topic], &options)
            .await
            .map_err(|error| self.of_topic("Create", spec.name, &what, &error))?;
        match answers.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok((self.just_created(spec.name).await?, false)),
            Some(Err((_, code))) => Err(self.of_topic("Create", spec.name, &what, &KafkaError::AdminOp(code))),
            _ => Ok((spec.partitions, true)),
        }
    }

    /// The settings of an existing topic that are not as asked for, each with what it is and what it should be. Looking is a service:
    /// what a broker does not tell is left.
    async fn unlike(&self, spec: &TopicSpec<'_>) -> Vec<(&'static str, String, String)> {
        let mut unlike = Vec::new();
        let wanted = spec.replication.filter(|factor| *factor != BROKERS_OWN);
        if let (Some(wanted), Some(found)) = (wanted, self.replication(spec.name)) {
            unlike.push(("replication_factor", found.to_string(), wanted.to_string()));
        }
        if let Some(wanted) = spec.retention {
            match self.setting(spec.name, RETENTION).await {
                Ok(Setting::Is(found)) => {
                    let found =
                        found.parse().map_or(found, |ms: i64| if ms < 0 { "for ever".into() } else { Millis(ms).to_string() });
                    unlike.push(("retention", found, wanted.to_string()));
                }
                Ok(Setting::Untold | Setting::Unsupported) => {}
                Err(error) => tracing::debug!("{}", error.message),
            }
        }
        unlike.retain(|(_, found, wanted)| found != wanted);
        unlike
    }

    /// The number of copies of a topic's first partition.
    fn replication(&self, topic: &str) -> Option<usize> {
        let metadata = self.metadata(topic).ok()?;
        Some(metadata.topics().first()?.partitions().first()?.replicas().len())
    }

    /// The partitions of a topic that another instance creates at this moment: the broker knows it a little later.
    async fn just_created(&self, topic: &str) -> Result<i32> {
        let deadline = Instant::now() + TIMEOUT;
        while self.partitions(topic)?.is_none() && Instant::now() < deadline {
            tokio::time::sleep(CREATION_PAUSE).await;
        }
        self.existing(topic)
    }
}

fn looking_at(topic: &str) -> String {
    format!("looking at topic {topic}")
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka_sys::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    /// librdkafka's mock knows neither settings of topics nor DescribeGroups, and names no controller.
    fn cluster() -> (MockCluster<'static, DefaultProducerContext>, Cluster) {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("A", 1, 1).unwrap();
        mock.create_topic("B", 2, 1).unwrap();
        let kafka = config::Kafka { bootstrap_servers: mock.bootstrap_servers(), ..config::Kafka::default() };
        (mock, Cluster::new(&kafka, "read_committed").unwrap())
    }

    #[tokio::test]
    async fn what_a_broker_does_not_know_is_known_at_once() {
        let (_mock, cluster) = cluster();
        let begin = Instant::now();
        assert_eq!(cluster.setting("A", "cleanup.policy").await.unwrap(), Setting::Unsupported);
        assert!(cluster.members("group").unwrap().is_empty());
        assert!(begin.elapsed() < TIMEOUT, "{:?}", begin.elapsed());
    }

    #[test]
    fn each_topic_has_an_id() {
        let (_mock, cluster) = cluster();
        let (a, b) = (cluster.topic_id("A").unwrap(), cluster.topic_id("B").unwrap());
        assert_eq!((&a, a.len(), a == b), (&cluster.topic_id("A").unwrap(), 22, false));
    }

    #[test]
    fn a_refusal_is_an_error() {
        let (mock, cluster) = cluster();
        // Often, as a real broker would: with each connection that comes up while librdkafka waits for an answer, it asks once more.
        let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
        mock.request_errors(RDKafkaApiKey::FindCoordinator, &[refused; 10]);
        let error = cluster.members("group").unwrap_err();
        assert_eq!(error.kind, Kind::Refused, "{error}");
        assert!(error.message.contains("members of consumer group group"), "{error}");
    }
}
