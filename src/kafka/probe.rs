//! Whether the broker would allow something, found out without doing it.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};

use super::{Context, Resource, client_config, explain};
use crate::config;
use crate::error::Result;

/// What a user may do with a topic or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Read its records; of a group: be its member and commit.
    Read,
    /// Write records.
    Write,
}

/// Whether transactions can be had: their coordinator answers, and an id like this one is allowed. Blocks.
///
/// The broker makes the id known, which fences whoever has it: it must be nobody's.
pub fn may_transact(kafka: &config::Kafka, transactional_id: &str, limit: Duration) -> Result<()> {
    let context = Context::of(kafka).needing("Write", Resource::TransactionalId(transactional_id.into()));
    let what = format!("Kafka at {}, transactional id {transactional_id}", kafka.bootstrap_servers);
    let config = client_config(kafka, &[("transactional.id", transactional_id)]);
    let failed = |error: KafkaError| explain(&what, &error, &context);
    let producer: BaseProducer<Context> = config.create_with_context(context.clone()).map_err(failed)?;
    producer.init_transactions(limit).map_err(failed)
}
