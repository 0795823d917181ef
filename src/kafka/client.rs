//! How every Kafka client of this program is set up.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use crate::config;

/// The properties that every client has; `[kafka.properties]` and `-X` win over them.
pub fn client_config(kafka: &config::Kafka, defaults: &[(&str, &str)]) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &kafka.bootstrap_servers);
    client.set("client.id", "pipeline");
    // Answers come to a person who waits: a dead broker is noticed soon, and tried again soon.
    client.set("socket.connection.setup.timeout.ms", "5000");
    client.set("reconnect.backoff.max.ms", "2000");
    for (name, value) in defaults {
        client.set(*name, *value);
    }
    for (name, value) in &kafka.properties {
        client.set(name, value.0.expose());
    }
    client.set_log_level(RDKafkaLogLevel::Error);
    client
}

/// Remembers the last error that librdkafka reported out of band: calls that fail only say "timed out", this says why. And it knows who
/// asks, and for what, so that a refusal can be told with its remedy.
#[derive(Debug, Clone, Default)]
pub struct Context {
    last: Arc<Mutex<Option<(KafkaError, String)>>>,
    user: Option<String>,
    needs: Vec<Need>,
}

/// A right that a client needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The operation, as Kafka's ACLs call it: `Read`.
    pub operation: &'static str,
    /// On what.
    pub resource: Resource,
}

/// What an ACL is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A topic.
    Topic(String),
    /// A consumer group.
    Group(String),
    /// A transactional id.
    TransactionalId(String),
}

impl Resource {
    /// Its name.
    pub fn name(&self) -> &str {
        let (Self::Topic(name) | Self::Group(name) | Self::TransactionalId(name)) = self;
        name
    }
}

impl Context {
    /// That of a client of this cluster.
    pub fn of(kafka: &config::Kafka) -> Self {
        let user = kafka.properties.get("sasl.username").or_else(|| kafka.properties.get("sasl.user"));
        Self { user: user.map(|user| user.0.expose().to_owned()), ..Self::default() }
    }

    /// The same for a client that needs a right.
    #[must_use]
    pub fn needing(mut self, operation: &'static str, resource: Resource) -> Self {
        self.needs.push(Need { operation, resource });
        self
    }

    /// The name that it logs in by, if that is known.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// What it needs.
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// The last connection error and librdkafka's words on it.
    pub fn last_error(&self) -> Option<(KafkaError, String)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "rdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "rdkafka", %error, "{reason}");
        // "All brokers are down" follows the cause and would hide it.
        let general = error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::AllBrokersDown);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !general || last.is_none() {
            *last = Some((error, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
