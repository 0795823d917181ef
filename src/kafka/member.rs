//! Membership in a consumer group: which partitions are ours, and since when.
//!
//! The member fetches nothing: what it is assigned stays paused, and [`super::Source`] reads it by hand. So a reader never lives
//! longer than the assignment it was made for, and no position of an earlier one can be taken for its own.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::consumer::is_passing;
use super::{Context, Resource, client_config, explain};
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::faults;

/// The broker gives a member's partitions to others when it has not heard of it for 6 s, or when it has not looked after
/// rebalances for 90 s: longer than the longest wait in a session.
const SETTINGS: [(&str, &str); 9] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    ("allow.auto.create.topics", "false"),
    ("partition.assignment.strategy", "range"),
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "2000"),
    ("max.poll.interval.ms", "90000"),
];

/// A share of a topic's partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Counts the assignments: another number, another assignment.
    pub turn: u64,
    /// The partitions.
    pub partitions: Vec<i32>,
}

/// Takes in what the group decides. Runs inside [`Member::serve`], and so never inside a transaction.
struct Shares {
    context: Context,
    turn: Mutex<(u64, Option<Vec<i32>>)>,
}

impl Shares {
    fn set(&self, partitions: Option<Vec<i32>>) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *turn = (turn.0 + 1, partitions);
    }

    fn current(&self) -> Option<Share> {
        let (turn, partitions) = self.turn.lock().unwrap_or_else(PoisonError::into_inner).clone();
        partitions.map(|partitions| Share { turn, partitions })
    }
}

impl ClientContext for Shares {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ConsumerContext for Shares {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // Any offset will do, since nothing is fetched; without one librdkafka would ask for those committed.
            let done = list.set_all_offsets(Offset::End).and_then(|()| consumer.assign(list)).and_then(|()| consumer.pause(list));
            match done {
                Ok(()) => self.set(Some(
                    list.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect(),
                )),
                Err(error) => self.error(error, "taking over partitions"),
            }
        } else {
            faults::point("revoke");
            self.set(None);
            if let Err(error) = consumer.unassign() {
                self.error(error, "handing over partitions");
            }
        }
    }
}

/// A member of a group that shares one topic.
pub struct Member {
    place: String,
    consumer: BaseConsumer<Shares>,
}

impl Member {
    /// Joins a group; the share of the topic's partitions comes later, see [`Member::serve`].
    ///
    /// The instance's name makes it a static member (KIP-345): started again within the session timeout it has its share back at
    /// once, and a twin of the same name fences it.
    pub fn join(kafka: &config::Kafka, topic: &str, group: &str, instance: &str) -> Result<Self> {
        let place = format!("Kafka at {}, instance {instance} of consumer group {group}", kafka.bootstrap_servers);
        let context =
            Context::of(kafka).needing("Read", Resource::Group(group.into())).needing("Read", Resource::Topic(topic.into()));
        let shares = Shares { context, turn: Mutex::default() };
        let settings: Vec<_> = [("group.id", group), ("group.instance.id", instance)].into_iter().chain(SETTINGS).collect();
        let consumer: BaseConsumer<Shares> = client_config(kafka, &settings)
            .create_with_context(shares)
            .map_err(|error| explain(&place, &error, &Context::default()))?;
        let member = Self { place, consumer };
        member.consumer.subscribe(&[topic]).map_err(|error| member.explain(&error))?;
        Ok(member)
    }

    /// Takes in what the group has decided, for which it waits up to `timeout`; returns the share held now, `None` while the group
    /// is dividing anew. Between calls nothing changes.
    pub fn serve(&self, timeout: Duration) -> Result<Option<Share>> {
        match self.consumer.poll(timeout) {
            // A record that was fetched before the pause came through: the reader gets it by itself.
            None | Some(Ok(_)) => {}
            Some(Err(error)) if error.rdkafka_error_code().is_some_and(|code| is_passing(code) || code == Code::PollExceeded) => {
            }
            Some(Err(error)) => return Err(self.explain(&error)),
        }
        Ok(self.consumer.context().current())
    }

    /// What a transaction needs to commit offsets as this member. It is of the assignment of this moment: the broker refuses it
    /// once the group has divided anew (KIP-447).
    pub fn group_metadata(&self) -> Result<ConsumerGroupMetadata> {
        self.consumer
            .group_metadata()
            .ok_or_else(|| Error::new(Kind::Failed, format!("{}: the consumer has no group", self.place)))
    }

    fn explain(&self, error: &KafkaError) -> Error {
        // After a fatal error every call only says that there was one.
        let fatal = self.consumer.client().fatal_error().map(|(code, _)| KafkaError::MessageConsumption(code));
        explain(&self.place, fatal.as_ref().unwrap_or(error), &self.consumer.context().context)
    }
}
