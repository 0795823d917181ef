//! `pipeline dead-letters`

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::time::Instant;

use tokio::runtime::Handle;

use super::messages;
use crate::cli::{DeadLetters, Output};
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Cluster, Ends, scan};
use crate::letters::{Envelope, Letter, Newest, Replay, Summary, Waiting, left_behind, show};
use crate::registry::Registry;

/// One run over one dead-letter topic. Everything in it blocks.
struct Desk {
    kafka: config::Kafka,
    registry: Registry,
    runtime: Handle,
    sink: String,
    source: String,
    /// The dead-letter topic.
    topic: String,
    args: DeadLetters,
}

pub(super) async fn run(config: &Config, args: &DeadLetters) -> Result<()> {
    let aggregate = config.aggregate(args.sink.as_deref())?;
    let desk = Desk {
        kafka: config.kafka.clone(),
        registry: Registry::new(&config.registry)?,
        runtime: Handle::current(),
        sink: aggregate.sink.clone(),
        source: aggregate.source.clone(),
        topic: aggregate.dead_letter_topic(),
        args: args.clone(),
    };
    tokio::task::spawn_blocking(move || desk.run())
        .await
        .map_err(|error| Error::new(Kind::Failed, format!("a thread ended early: {error}")))?
}

impl Desk {
    fn run(&self) -> Result<()> {
        let cluster = Cluster::new(&self.kafka, "read_committed")?;
        let Some(ends) = self.ends(&cluster)? else { return self.no_topic(&cluster) };
        match self.args.show {
            _ if self.args.replay => self.replay(&ends, &cluster),
            Some(most) => self.show(&ends, usize::from(most)),
            None => self.list(&ends),
        }
    }

    fn ends(&self, cluster: &Cluster) -> Result<Option<BTreeMap<i32, Ends>>> {
        if cluster.partitions(&self.topic)?.is_none() { Ok(None) } else { cluster.ends(&self.topic).map(Some) }
    }

    fn no_topic(&self, cluster: &Cluster) -> Result<()> {
        if cluster.partitions(&self.sink)?.is_some() {
            warning!(
                "topic {} is not there, though {} is, and `pipeline aggregate` creates both: was it deleted, or does `dead_letters` in the pipeline file name another topic than before?",
                self.topic,
                self.sink
            );
        }
        match self.args.output {
            Output::Text => print(&format!("no dead letters: there is no topic {}\n", self.topic)),
            Output::Json => print(&format!("{:#}\n", Summary::default().json(&self.topic))),
        }
    }

    fn is_wanted(&self, envelope: &Envelope) -> bool {
        envelope.is_of(&self.sink) && self.args.cause.as_ref().is_none_or(|cause| *cause == envelope.cause)
    }

    /// " of cause C", if only those are asked for.
    fn of_cause(&self) -> String {
        self.args.cause.as_ref().map_or_else(String::new, |cause| format!(" of cause {cause}"))
    }

    fn list(&self, ends: &BTreeMap<i32, Ends>) -> Result<()> {
        let mut summary = Summary::default();
        let mut progress = Progress::new(&self.topic, ends);
        scan(&self.kafka, &self.topic, ends, |message| {
            progress.heard();
            let envelope = Envelope::of(message);
            if self.is_wanted(&envelope) {
                summary.add(&envelope, Letter::time_of(message));
            }
            Ok(())
        })?;
        messages::clear_progress();
        match self.args.output {
            Output::Json => print(&format!("{:#}\n", summary.json(&self.topic))),
            Output::Text if summary.total == 0 => print(&format!("no dead letters{} in topic {}\n", self.of_cause(), self.topic)),
            Output::Text => print(&format!("topic {}\n{summary}\n", self.topic)),
        }
    }

    fn show(&self, ends: &BTreeMap<i32, Ends>, most: usize) -> Result<()> {
        let mut newest = Newest::new(most);
        let mut progress = Progress::new(&self.topic, ends);
        scan(&self.kafka, &self.topic, ends, |message| {
            progress.heard();
            let envelope = Envelope::of(message);
            if self.is_wanted(&envelope) {
                newest.add(Letter::of(envelope, message));
            }
            Ok(())
        })?;
        messages::clear_progress();
        let schema = |id| Ok(self.runtime.block_on(self.registry.by_id(id))?.map(|found| found.schema));
        let shown: Vec<String> = newest.into_letters().map(|letter| show(&letter, &self.topic, schema)).collect();
        if shown.is_empty() {
            return print(&format!("no dead letters{} in topic {}\n", self.of_cause(), self.topic));
        }
        print(&shown.join("\n"))
    }

    fn replay(&self, ends: &BTreeMap<i32, Ends>, cluster: &Cluster) -> Result<()> {
        cluster.existing(&self.source)?;
        let letters_id = cluster.topic_id(&self.topic)?;
        let replay = Replay {
            kafka: &self.kafka,
            letters: &self.topic,
            letters_id: &letters_id,
            ends,
            source: &self.source,
            sink: &self.sink,
        };
        let mut progress = Progress::new(&self.topic, ends);
        let found = replay.look(self.args.cause.as_deref(), || progress.heard())?;
        messages::clear_progress();
        let chosen = self.choose(&found);
        let waiting: u64 = chosen.iter().map(|(_, found)| found.waiting).sum();
        if waiting == 0 {
            return print(&format!("nothing to send again{} from {}\n", self.of_cause(), self.topic));
        }
        super::confirm(&format!("send {waiting} records to {} again", self.source), self.args.yes)?;
        let mut total = 0;
        for (cause, _) in chosen.iter().filter(|(_, found)| found.waiting > 0) {
            let mut progress = Progress::new(&self.topic, ends);
            let sent = replay.send(cause, || progress.heard())?;
            messages::clear_progress();
            print(&format!("{cause}: sent {} records to {} again\n", sent.records, self.source))?;
            total += sent.records;
        }
        print(&format!("sent {total} records to {} again\n", self.source))
    }

    /// The causes to send, after telling what is there.
    fn choose<'a>(&self, found: &'a BTreeMap<String, Waiting>) -> Vec<(&'a str, &'a Waiting)> {
        let mut chosen = Vec::new();
        for (cause, found) in found {
            let left = left_behind(cause).filter(|_| self.args.cause.is_none());
            if found.strangers > 0 {
                note!("{cause}: {} left: no record of {}", found.strangers, self.source);
            }
            if found.sent_before > 0 {
                note!("{cause}: {} sent before", found.sent_before);
            }
            match left {
                Some(why) if found.waiting > 0 => note!("{cause}: {} left: {why}", found.waiting),
                Some(_) => {}
                None => {
                    note!("{cause}: {} to send", found.waiting);
                    chosen.push((cause.as_str(), found));
                }
            }
        }
        chosen
    }
}

/// Tells how far a long topic was read.
struct Progress<'a> {
    topic: &'a str,
    read: u64,
    most: u64,
    told: Instant,
}

impl<'a> Progress<'a> {
    fn new(topic: &'a str, ends: &BTreeMap<i32, Ends>) -> Self {
        let most = ends.values().map(|ends| u64::try_from(ends.high - ends.low).unwrap_or(0)).sum();
        Self { topic, read: 0, most, told: Instant::now() }
    }

    fn heard(&mut self) {
        self.read += 1;
        if self.read.is_multiple_of(256) && self.told.elapsed() >= messages::progress_interval() {
            self.told = Instant::now();
            messages::progress(&format!("{} of at most {} letters of {} read", self.read, self.most, self.topic));
        }
    }
}

/// Whoever reads may stop reading: `pipeline dead-letters | head` is no failure.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Failed, format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
