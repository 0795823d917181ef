//! Writing to a topic in order and without duplicates.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::{Context, Resource, client_config, explain};
use crate::config;
use crate::error::{Error, Result};

/// What a writer's client has besides what every client has.
const DEFAULTS: [(&str, &str); 7] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("linger.ms", "5"),
    // As Java's clients place keys, so that whoever else writes to the topic agrees.
    ("partitioner", "murmur2_random"),
    ("message.timeout.ms", "30000"),
    // Room for half a second at full speed, when the broker falters.
    ("queue.buffering.max.messages", "1000000"),
    ("batch.num.messages", "100000"),
];

/// Delivery reports are picked up after so many records.
const POLL_EVERY: u64 = 256;

/// How long to wait for room in a full queue before the caller is asked again.
const QUEUE_WAIT: Duration = Duration::from_millis(10);

/// What became of the records so far.
#[derive(Debug, Default)]
pub struct Tally {
    delivered: AtomicU64,
    failed: AtomicU64,
    cause: OnceLock<KafkaError>,
}

impl Tally {
    /// Records that the broker has confirmed.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Records that were given up.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Hands delivery reports to the tally, the rest to the context that every client has.
struct Reports {
    context: Context,
    tally: Arc<Tally>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.tally.delivered.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => {
                self.tally.cause.get_or_init(|| error.clone());
                self.tally.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

/// An idempotent producer of one topic: what it confirms is there once, in the order sent. Its calls block.
///
/// A record that cannot be delivered within `message.timeout.ms` (30 s) fails, and with it the writer.
pub struct Writer {
    producer: BaseProducer<Reports>,
    topic: String,
    what: String,
    sent: u64,
}

impl Writer {
    /// A writer to this topic. Connects when the first record comes.
    pub fn new(kafka: &config::Kafka, topic: &str) -> Result<Self> {
        let what = format!("Kafka at {}, writing to {topic}", kafka.bootstrap_servers);
        let context = Context::of(kafka).needing("Write", Resource::Topic(topic.into()));
        let reports = Reports { context, tally: Arc::default() };
        let producer = client_config(kafka, &DEFAULTS)
            .create_with_context(reports)
            .map_err(|error| explain(&what, &error, &Context::default()))?;
        Ok(Self { producer, topic: topic.into(), what, sent: 0 })
    }

    /// What became of the records so far; for others to watch.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.producer.context().tally)
    }

    /// Puts a record in the queue; `false` if there was no room, even after a short wait.
    ///
    /// The record's timestamp is now.
    pub fn send(&mut self, key: Option<&[u8]>, value: &[u8]) -> Result<bool> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).payload(value);
        record.key = key;
        let queued = match self.producer.send(record) {
            Ok(()) => true,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => false,
            Err((error, _)) => return Err(self.explain(&error)),
        };
        self.sent += u64::from(queued);
        if !queued {
            self.wait(QUEUE_WAIT)?;
        } else if self.sent.is_multiple_of(POLL_EVERY) {
            self.wait(Duration::ZERO)?;
        }
        Ok(queued)
    }

    /// Waits, and picks up delivery reports meanwhile. An error once any record has failed.
    pub fn wait(&self, time: Duration) -> Result<()> {
        self.producer.poll(time);
        match self.producer.context().tally.cause.get() {
            Some(error) => Err(self.explain(error)),
            None => Ok(()),
        }
    }

    /// Does nothing for a while, then picks up delivery reports. For waits between records: the last millisecond of [`Writer::wait`]
    /// is spent in a busy loop of the client's, which at a thousand records a second took a whole core.
    pub fn pause(&self, time: Duration) -> Result<()> {
        std::thread::sleep(time);
        self.wait(Duration::ZERO)
    }

    /// Waits until all records sent are delivered, or the time is up; returns how many are still under way.
    pub fn flush(&self, limit: Duration) -> Result<u64> {
        let deadline = Instant::now() + limit;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.wait(Duration::from_millis(1))?;
        }
        self.wait(Duration::ZERO)?;
        let tally = &self.producer.context().tally;
        Ok(self.sent.saturating_sub(tally.delivered() + tally.failed()))
    }

    fn explain(&self, error: &KafkaError) -> Error {
        // After a fatal error every call only says that there was one.
        let fatal = self.producer.client().fatal_error();
        let cause = fatal.map_or_else(|| error.clone(), |(code, _)| KafkaError::MessageProduction(code));
        explain(&self.what, &cause, &self.producer.context().context)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;

    use super::*;
    use crate::config::{Property, Secret};
    use crate::error::Kind;
    use crate::kafka::{Ends, last_values};

    const TOPIC: &str = "T";

    fn cluster(properties: &[(&str, &str)]) -> (MockCluster<'static, DefaultProducerContext>, config::Kafka) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 1, 1).unwrap();
        let property = |(name, value): &(&str, &str)| ((*name).to_owned(), Property(Secret::new(*value)));
        let kafka = config::Kafka {
            bootstrap_servers: cluster.bootstrap_servers(),
            properties: properties.iter().map(property).collect::<BTreeMap<_, _>>(),
        };
        (cluster, kafka)
    }

    /// Sends until the writer fails.
    fn failure(mut writer: Writer) -> Error {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            let sent = writer.send(None, b"value").and_then(|_| writer.wait(Duration::from_millis(10)));
            if let Err(error) = sent {
                return error;
            }
        }
        panic!("the writer has not failed");
    }

    #[test]
    fn what_is_sent_is_delivered_in_order_even_through_a_narrow_queue() {
        let (_cluster, kafka) = cluster(&[("queue.buffering.max.messages", "10")]);
        let mut writer = Writer::new(&kafka, TOPIC).unwrap();
        let mut was_full = false;
        for number in 0..100_u8 {
            while !writer.send(Some(b"key"), &[number]).unwrap() {
                was_full = true;
            }
        }
        assert_eq!(writer.flush(Duration::from_secs(10)).unwrap(), 0);
        assert_eq!((was_full, writer.tally().delivered(), writer.tally().failed()), (true, 100, 0));
        let ends = BTreeMap::from([(0, Ends { low: 0, high: 100 })]);
        let last = last_values(&kafka, TOPIC, &ends, 3, Duration::from_secs(10)).unwrap();
        assert_eq!(last, [[97], [98], [99]]);
    }

    #[test]
    fn a_refused_record_ends_the_writer() {
        let (cluster, kafka) = cluster(&[]);
        let refused = rdkafka_sys::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        cluster.request_errors(rdkafka_sys::RDKafkaApiKey::Produce, &[refused; 10]);
        let error = failure(Writer::new(&kafka, TOPIC).unwrap());
        assert_eq!(error.kind, Kind::Refused, "{error}");
        assert!(error.message.contains("writing to T"), "{error}");
    }

    #[test]
    fn a_broker_that_goes_away_ends_the_writer_with_the_cause() {
        let (cluster, kafka) = cluster(&[("message.timeout.ms", "2000")]);
        let mut writer = Writer::new(&kafka, TOPIC).unwrap();
        assert!(writer.send(None, b"first").unwrap());
        assert_eq!(writer.flush(Duration::from_secs(10)).unwrap(), 0);
        let tally = writer.tally();
        cluster.broker_down(1).unwrap();
        let error = failure(writer);
        assert_eq!((error.kind, tally.delivered()), (Kind::Unreachable, 1), "{error}");
        assert!(error.message.contains("refused"), "{error}");
    }
}
