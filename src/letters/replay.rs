//! Sending dead letters again through the source topic, each once.
//!
//! How far the letters of a cause were sent is the offset of a consumer group, which is committed in the transaction that sends
//! them. That group's name is the transactional id too: a second replay of the cause fences the first, and whoever begins reads
//! the offsets only after that. So a letter is sent once, whatever is killed when. The offset carries the topic's id: letters
//! of a topic that was made anew are new.

use std::collections::BTreeMap;

use rdkafka::Message;
use rdkafka::message::{Header, OwnedHeaders};

use super::{CAUSES_MAX, Envelope, Letter};
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::kafka::{Broken, Ends, Outgoing, Source, Transactional, scan};

/// A transaction has so many records at most,
const BATCH_RECORDS: usize = 1_000;
/// and ends with the record that makes it so large.
const BATCH_BYTES: usize = 4 << 20;

/// Why the letters of a cause are not sent again unless asked for.
pub fn left_behind(cause: &str) -> Option<&'static str> {
    match cause {
        "late" => Some("a late record would be late again"),
        "overflow" => Some("a sum that does not fit is no record"),
        _ => None,
    }
}

/// From which dead-letter topic to which source.
pub struct Replay<'a> {
    /// The cluster.
    pub kafka: &'a config::Kafka,
    /// The dead-letter topic.
    pub letters: &'a str,
    /// The id that the broker gave it.
    pub letters_id: &'a str,
    /// Where it begins and ends.
    pub ends: &'a BTreeMap<i32, Ends>,
    /// The source topic.
    pub source: &'a str,
    /// The sink of the aggregate whose letters are meant.
    pub sink: &'a str,
}

/// The letters of one cause.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Those that can be sent again.
    pub waiting: u64,
    /// Those that were sent before.
    pub sent_before: u64,
    /// Those that are no record of the source topic.
    pub strangers: u64,
    /// The offsets from which on they were not sent before; `None`: nobody had to ask.
    from: Option<BTreeMap<i32, i64>>,
}

/// What one replay sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Records.
    pub records: u64,
    /// Transactions.
    pub transactions: u64,
}

impl Replay<'_> {
    /// Counts what could be sent again, of one cause or of each. `heard` is called for every record.
    pub fn look(&self, cause: Option<&str>, mut heard: impl FnMut()) -> Result<BTreeMap<String, Waiting>> {
        let mut causes: BTreeMap<String, Waiting> = BTreeMap::new();
        scan(self.kafka, self.letters, self.ends, |message| {
            heard();
            let envelope = Envelope::of(message);
            if cause.is_some_and(|cause| cause != envelope.cause) || !envelope.is_of(self.sink) {
                return Ok(());
            }
            if !causes.contains_key(&envelope.cause) && causes.len() >= CAUSES_MAX {
                let what = format!("topic {} has letters of more than {CAUSES_MAX} causes", self.letters);
                return Err(Error::new(Kind::Data, what).hint("choose one with --cause"));
            }
            let found = causes.entry(envelope.cause.clone()).or_default();
            if !envelope.is_record_of(self.source) {
                found.strangers += 1;
                return Ok(());
            }
            let from = match &mut found.from {
                Some(from) => from,
                none => none.insert(self.progress(&self.reader(&envelope.cause)?)?),
            };
            if from.get(&message.partition()).is_some_and(|from| message.offset() < *from) {
                found.sent_before += 1;
            } else {
                found.waiting += 1;
            }
            Ok(())
        })?;
        Ok(causes)
    }

    /// The consumer group and the transactional id.
    fn group(&self, cause: &str) -> String {
        format!("pipeline-{}-replay-{cause}", self.sink)
    }

    fn reader(&self, cause: &str) -> Result<Source> {
        Source::new(self.kafka, self.letters, &self.group(cause))
    }

    /// Up to where the letters of a reader's cause were sent.
    fn progress(&self, reader: &Source) -> Result<BTreeMap<i32, i64>> {
        let committed = reader.committed(i32::try_from(self.ends.len()).unwrap_or(i32::MAX))?;
        let of_this_topic = |(partition, committed): (i32, Option<(i64, String)>)| {
            committed.filter(|(_, topic_id)| topic_id == self.letters_id).map(|(offset, _)| (partition, offset))
        };
        Ok(committed.into_iter().filter_map(of_this_topic).collect())
    }

    /// Sends the letters of a cause that were not sent before.
    pub fn send(&self, cause: &str, mut heard: impl FnMut()) -> Result<Sent> {
        // First of all: this aborts what a predecessor left open, and whoever still sends is fenced.
        let producer = Transactional::new(self.kafka, &self.group(cause)).map_err(ended)?;
        let reader = self.reader(cause)?;
        let progress = self.progress(&reader)?;
        let from = |(partition, ends): (&i32, &Ends)| {
            let low = progress.get(partition).copied().unwrap_or(ends.low).max(ends.low);
            (*partition, Ends { low, high: ends.high })
        };
        let ends = self.ends.iter().map(from).collect();
        let mut sending = Sending { replay: self, producer, reader, batch: Vec::new(), bytes: 0, sent: Sent::default() };
        scan(self.kafka, self.letters, &ends, |message| {
            heard();
            let envelope = Envelope::of(message);
            if envelope.cause == cause && envelope.is_of(self.sink) && envelope.is_record_of(self.source) {
                sending.bytes += message.payload_len() + message.key_len();
                sending.batch.push(Letter::of(envelope, message));
            }
            if sending.is_full() { sending.commit() } else { Ok(()) }
        })?;
        sending.commit()?;
        Ok(sending.sent)
    }
}

/// Letters on their way.
struct Sending<'a> {
    replay: &'a Replay<'a>,
    producer: Transactional,
    reader: Source,
    batch: Vec<Letter>,
    bytes: usize,
    sent: Sent,
}

impl Sending<'_> {
    fn is_full(&self) -> bool {
        self.batch.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES
    }

    /// One transaction: the records, and how far that is.
    fn commit(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        // Of each partition the last letter counts: they come in the order of offsets.
        let next: BTreeMap<i32, i64> = self.batch.iter().map(|letter| (letter.place.0, letter.place.1 + 1)).collect();
        let offsets = self.reader.list(next, |_| Ok(Some(self.replay.letters_id.to_owned())))?;
        let records = self.batch.iter().map(|letter| Outgoing {
            topic: self.replay.source,
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            headers: Some(replayed_from(self.replay.letters, letter.place)),
        });
        self.producer.commit(records, &offsets, &self.reader.group_metadata()?).map_err(ended)?;
        self.sent.records += self.batch.len() as u64;
        self.sent.transactions += 1;
        self.batch.clear();
        self.bytes = 0;
        Ok(())
    }
}

fn replayed_from(topic: &str, (partition, offset): (i32, i64)) -> OwnedHeaders {
    let place = format!("{topic}/{partition}/{offset}");
    OwnedHeaders::new().insert(Header { key: "replayed-from", value: Some(&place) })
}

/// Nothing is tried again here: the next run knows how far this one came.
fn ended(broken: Broken) -> Error {
    match broken {
        Broken::GiveUp(error) => error,
        Broken::StartOver(error) => error.hint("run it again: what was sent is known, and is not sent twice"),
    }
}
