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

/// Remembers the last error that librdkafka reported out of band: calls that fail only say "timed out", this says why.
#[derive(Debug, Clone, Default)]
pub struct Context {
    last: Arc<Mutex<Option<(KafkaError, String)>>>,
}

impl Context {
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
