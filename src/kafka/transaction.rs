//! The only caller of Kafka's transaction calls (KIP-98, KIP-447).
//!
//! A transaction that fails is not repaired: its producer is thrown away, and a new one (the same transactional id) makes the
//! broker abort whatever was left open. So there are two outcomes of a commit besides success: start over, or give up.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use rdkafka::util::Timeout;

use super::{Context, Resource, client_config, explain};
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::faults;

/// The broker aborts a transaction that is open for longer, and fences its producer.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the broker's answer is waited for when a transaction has failed.
const LAST_WORD: Duration = Duration::from_secs(5);
/// How long the broker may take to make the producer known, and to abort what a predecessor left open.
const INIT_TIMEOUT: Duration = Duration::from_secs(12);

/// A record to write.
pub struct Outgoing<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Option<OwnedHeaders>,
}

/// Why a transaction did not happen, or may not have.
#[derive(Debug)]
pub enum Broken {
    /// Begin anew from what is committed: the outcome is unknown, or the transaction is lost.
    StartOver(Error),
    /// Beginning anew would not help.
    GiveUp(Error),
}

impl From<Error> for Broken {
    /// A server that is away may come back; everything else stays as it is.
    fn from(error: Error) -> Self {
        if error.kind == Kind::Unreachable { Self::StartOver(error) } else { Self::GiveUp(error) }
    }
}

/// A transactional producer.
pub struct Transactional {
    place: String,
    context: Context,
    producer: BaseProducer<Context>,
    #[cfg(feature = "faults")]
    untransacted: Option<BaseProducer<Context>>,
}

impl Transactional {
    /// Makes the producer known to the broker, which fences every older one of the same id and aborts what it left open.
    pub fn new(kafka: &config::Kafka, transactional_id: &str) -> Result<Self, Broken> {
        let context = Context::of(kafka).needing("Write", Resource::TransactionalId(transactional_id.into()));
        let place = format!("Kafka at {}, transactional id {transactional_id}", kafka.bootstrap_servers);
        let settings = [
            ("transactional.id", transactional_id),
            ("transaction.timeout.ms", "10000"),
            // Shorter than the transaction, so that a record that cannot be delivered is known before the broker fences us.
            ("message.timeout.ms", "9000"),
            // Requests that get no answer are the transaction's to give up, not to wait for a minute.
            ("socket.timeout.ms", "10000"),
            // The rows of a closing come all at once: waiting for more of them only makes them late.
            ("linger.ms", "1"),
            // Where Java's clients, and Flink's, put the same key.
            ("partitioner", "murmur2_random"),
            ("queue.buffering.max.messages", "200000"),
            // A dead letter is its record and headers: larger than the record, which was as large as the broker took it.
            ("message.max.bytes", "8388608"),
        ];
        let producer: BaseProducer<Context> = client_config(kafka, &settings)
            .create_with_context(context.clone())
            .map_err(|error| Broken::GiveUp(explain(&place, &error, &context)))?;
        #[cfg(feature = "faults")]
        let untransacted =
            faults::control("no-transaction").then(|| client_config(kafka, &settings[2..]).create_with_context(context.clone()));
        let transactional = Self {
            place,
            context,
            producer,
            #[cfg(feature = "faults")]
            untransacted: untransacted.and_then(rdkafka::error::KafkaResult::ok),
        };
        transactional.producer.init_transactions(INIT_TIMEOUT).map_err(|error| transactional.broken("starting", &error))?;
        Ok(transactional)
    }

    /// The same, known to write these topics: a refusal names them.
    #[must_use]
    pub fn writing(mut self, topics: &[&str]) -> Self {
        let needing = |context: Context, topic: &&str| context.needing("Write", Resource::Topic((*topic).into()));
        self.context = topics.iter().fold(self.context, needing);
        self
    }

    /// Writes the records and the offsets, both or neither.
    pub fn commit<'a>(
        &self,
        records: impl IntoIterator<Item = Outgoing<'a>>,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), Broken> {
        self.attempt(records, offsets, group).map_err(|broken| self.last_word(broken))
    }

    fn attempt<'a>(
        &self,
        records: impl IntoIterator<Item = Outgoing<'a>>,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), Broken> {
        let deadline = Instant::now() + TRANSACTION_TIMEOUT;
        self.begin()?;
        for record in records {
            self.send(record, deadline)?;
        }
        faults::point("after-produce");
        // The commit flushes too, but polls only ten times a second.
        self.drain(deadline);
        faults::point("after-flush");
        if faults::control("offsets-outside") {
            self.end(deadline)?;
            faults::point("between");
            self.begin()?;
        }
        self.repeat("committing offsets", deadline, || {
            self.producer.send_offsets_to_transaction(offsets, group, left(deadline))
        })?;
        faults::point("after-offsets");
        self.end(deadline)
    }

    /// What timed out here, perhaps while the process was suspended, says nothing of who has the id now. The broker does, asked to
    /// abort: it must not be found out by fencing an instance that has taken over.
    fn last_word(&self, broken: Broken) -> Broken {
        let Broken::StartOver(error) = broken else { return broken };
        // Its reports are to be read here: the abort waits until no record is under way.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        self.drain(Instant::now() + LAST_WORD);
        match self.producer.abort_transaction(LAST_WORD).map_err(|error| self.broken("giving a transaction up", &error)) {
            Err(Broken::GiveUp(fenced)) if fenced.kind == Kind::Fenced => Broken::GiveUp(fenced),
            // The new producer's first call aborts what is still open.
            Ok(()) | Err(_) => Broken::StartOver(error),
        }
    }

    fn begin(&self) -> Result<(), Broken> {
        faults::point("before-begin");
        self.producer.begin_transaction().map_err(|error| self.broken("beginning a transaction", &error))?;
        faults::point("after-begin");
        Ok(())
    }

    fn end(&self, deadline: Instant) -> Result<(), Broken> {
        self.repeat("committing a transaction", deadline, || self.producer.commit_transaction(Timeout::Never))?;
        faults::point("after-commit");
        Ok(())
    }

    /// Waits until every record is delivered or given up.
    fn drain(&self, deadline: Instant) {
        while self.records().in_flight_count() > 0 && Instant::now() < deadline {
            self.records().poll(Duration::from_millis(1));
        }
    }

    /// What sends the records.
    fn records(&self) -> &BaseProducer<Context> {
        #[cfg(feature = "faults")]
        if let Some(untransacted) = &self.untransacted {
            return untransacted;
        }
        &self.producer
    }

    fn send(&self, outgoing: Outgoing<'_>, deadline: Instant) -> Result<(), Broken> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(outgoing.topic);
        record.key = outgoing.key;
        record.payload = outgoing.value;
        record.headers = outgoing.headers;
        loop {
            match self.records().send(record) {
                Ok(()) => return Ok(()),
                Err((error, back))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) && Instant::now() < deadline =>
                {
                    self.records().poll(Duration::from_millis(1));
                    record = back;
                }
                Err((error, _)) => return Err(self.broken("writing", &error)),
            }
        }
    }

    /// Some errors only say "not yet"; they are asked again until the transaction's time is over.
    fn repeat(&self, what: &str, deadline: Instant, call: impl Fn() -> Result<(), KafkaError>) -> Result<(), Broken> {
        loop {
            match call() {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {
                    self.producer.poll(Duration::from_millis(10));
                }
                Err(error) => return Err(self.broken(what, &error)),
            }
        }
    }

    fn broken(&self, what: &str, error: &KafkaError) -> Broken {
        let code = match error {
            KafkaError::Transaction(error) => Some(error.code()),
            other => other.rdkafka_error_code(),
        };
        let explained = explain(&format!("{}, {what}", self.place), error, &self.context);
        match (explained.kind, code) {
            (Kind::Fenced, _) => Broken::GiveUp(
                Error::new(Kind::Fenced, format!("{}: fenced while {what}: another instance has taken over, or the broker ended a transaction that took too long", self.place))
                    .hint("only one instance may run; if there is no other, start again"),
            ),
            (Kind::Refused | Kind::Config | Kind::Data, _) => Broken::GiveUp(explained),
            _ => Broken::StartOver(explained),
        }
    }
}

fn left(deadline: Instant) -> Timeout {
    Timeout::After(deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100)))
}
