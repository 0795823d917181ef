//! The aggregate's way in: reads chosen partitions from chosen offsets, committed records only.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::{Context, Resource, client_config, explain};
use crate::config;
use crate::error::{Error, Kind, Result};

/// Offsets that an open transaction of another instance holds are asked for so often: the broker ends one that nobody does within
/// its timeout (10 s) and the broker's own round (10 s).
const ATTEMPTS: u32 = 15;
const ATTEMPT: Duration = Duration::from_secs(2);

/// An offset that a group committed, with its metadata.
pub type Committed = (i64, String);

/// Reads partitions of one topic, assigned by hand: no group membership, so a restart waits for nobody's session to end.
/// The group's name is only where the offsets are kept.
pub struct Source {
    topic: String,
    place: String,
    context: Context,
    consumer: BaseConsumer<Context>,
}

impl Source {
    /// A reader of a topic that keeps its offsets under a group's name.
    pub fn new(kafka: &config::Kafka, topic: &str, group: &str) -> Result<Self> {
        let context =
            Context::of(kafka).needing("Read", Resource::Topic(topic.into())).needing("Read", Resource::Group(group.into()));
        let place = format!("Kafka at {}", kafka.bootstrap_servers);
        let settings = [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("allow.auto.create.topics", "false"),
            // The default of 1 s stalls the fetcher each time its queue is full: 0.2 M records/s in place of 1.7 M.
            ("fetch.queue.backoff.ms", "2"),
        ];
        let consumer = client_config(kafka, &settings)
            .create_with_context(context.clone())
            .map_err(|error| explain(&place, &error, &context))?;
        Ok(Self { topic: topic.into(), place, context, consumer })
    }

    fn explain(&self, what: &str, error: &KafkaError) -> Error {
        explain(&format!("{}, {what} {}", self.place, self.topic), error, &self.context)
    }

    /// What the group committed for each partition. Offsets of transactions still open are waited for (KIP-447).
    pub fn committed(&self, partitions: i32) -> Result<BTreeMap<i32, Option<Committed>>> {
        self.committed_while(partitions, || Ok(()))
    }

    /// The same; while it waits, `go_on` is asked every two seconds whether to.
    pub fn committed_while<E: From<Error>>(
        &self,
        partitions: i32,
        go_on: impl Fn() -> std::result::Result<(), E>,
    ) -> std::result::Result<BTreeMap<i32, Option<Committed>>, E> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(&self.topic, 0, partitions - 1);
        let mut attempt = 1;
        let answer = loop {
            match self.consumer.committed_offsets(asked.clone(), ATTEMPT) {
                Ok(answer) => break answer,
                Err(error) if attempt < ATTEMPTS && error.rdkafka_error_code().is_some_and(is_passing) => attempt += 1,
                Err(error) => return Err(self.explain("asking for the committed offsets of", &error).into()),
            }
            go_on()?;
        };
        Ok(self.found(&answer)?)
    }

    fn found(&self, answer: &TopicPartitionList) -> Result<BTreeMap<i32, Option<Committed>>> {
        answer
            .elements()
            .iter()
            .map(|found| {
                found.error().map_err(|error| self.explain("asking for the committed offsets of", &error))?;
                let committed = match found.offset() {
                    Offset::Offset(offset) => Some((offset, found.metadata().to_owned())),
                    _ => None,
                };
                Ok((found.partition(), committed))
            })
            .collect()
    }

    /// Commits again what was found committed; `false`: the group has members, and the broker takes it from them only.
    ///
    /// Transactions are not refused so (the offsets of a transaction are taken from anybody who names no member), so this is how
    /// a lone instance learns for sure that nobody shares the topic.
    pub fn claim(&self, partition: i32, committed: &Committed) -> Result<bool> {
        let list = self.list([(partition, committed.0)], |_| Ok(Some(committed.1.clone())))?;
        match self.consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.rdkafka_error_code(), Some(Code::UnknownMemberId | Code::IllegalGeneration)) => {
                Ok(false)
            }
            Err(error) => Err(self.explain("claiming the committed offsets of", &error)),
        }
    }

    /// Reads these partitions from these offsets on.
    pub fn assign(&self, offsets: impl IntoIterator<Item = (i32, i64)>) -> Result<()> {
        // Who leads the partitions may be asked when no connection is up yet, and then librdkafka asks again only after a second. If
        // nobody answers now, reading waits for it.
        drop(self.consumer.fetch_metadata(Some(&self.topic), ATTEMPT));
        let list = self.list(offsets, |_| Ok(None))?;
        self.consumer.assign(&list).map_err(|error| self.explain("reading", &error))
    }

    /// The next record, or `None` if none comes within `timeout`.
    pub fn poll(&self, timeout: Duration) -> Option<Result<BorrowedMessage<'_>>> {
        match self.consumer.poll(timeout)? {
            Ok(message) => Some(Ok(message)),
            // The client goes on by itself when the broker is back; the error is kept in the context.
            Err(error) if error.rdkafka_error_code().is_some_and(is_passing) => None,
            Err(error) => Some(Err(self.lost(&error))),
        }
    }

    fn lost(&self, error: &KafkaError) -> Error {
        let explained = self.explain("reading", error);
        if explained.kind == Kind::DataLoss {
            return Error::new(
                Kind::DataLoss,
                format!("{}: records that are needed are gone from topic {}", self.place, self.topic),
            )
            .hint("they were deleted by retention or with the topic; see --start and --reset in pipeline aggregate --help");
        }
        explained
    }

    /// The error of a reading that comes to no end: nothing moved for `waited`.
    pub fn stalled(&self, waited: Duration) -> Error {
        self.explain(
            &format!("nothing came for {} s while reading", waited.as_secs()),
            &KafkaError::MessageConsumption(Code::OperationTimedOut),
        )
    }

    /// How far each partition was read: past control records too, so it reaches the end of a transactional log.
    pub fn positions(&self) -> BTreeMap<i32, i64> {
        let Ok(positions) = self.consumer.position() else { return BTreeMap::new() };
        let known = |(partition, offset)| if let Offset::Offset(offset) = offset { Some((partition, offset)) } else { None };
        positions.elements().iter().map(|found| (found.partition(), found.offset())).filter_map(known).collect()
    }

    /// Stops or resumes fetching a partition.
    pub fn set_paused(&self, partition: i32, paused: bool) -> Result<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        let done = if paused { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        done.map_err(|error| self.explain("pausing", &error))
    }

    /// What a transaction needs to commit offsets for the group.
    pub fn group_metadata(&self) -> Result<ConsumerGroupMetadata> {
        self.consumer
            .group_metadata()
            .ok_or_else(|| Error::new(Kind::Failed, format!("{}: the consumer has no group", self.place)))
    }

    /// Offsets with metadata, in the form that a transaction takes.
    pub fn list(
        &self,
        offsets: impl IntoIterator<Item = (i32, i64)>,
        metadata: impl Fn(i32) -> Result<Option<String>>,
    ) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            let mut entry = list.add_partition(&self.topic, partition);
            entry.set_offset(Offset::Offset(offset)).map_err(|error| self.explain("an offset of", &error))?;
            if let Some(metadata) = metadata(partition)? {
                entry.set_metadata(metadata);
            }
        }
        Ok(list)
    }
}

/// Errors that end by themselves.
pub(super) fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::Resolve
            | Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
            | Code::PreferredLeaderNotAvailable
    )
}
