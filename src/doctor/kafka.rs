//! Kafka: is it there, are the topics as the pipeline needs them, may this user do what has to be done?

use std::time::Duration;

use chrono::Utc;
use tokio::runtime::Handle;

use super::desk::Desk;
use super::report::Verdict;
use super::topics::{self, Role, Seen};
use super::{QUESTION, clocks};
use crate::config::{Aggregate, Config, Source};
use crate::error::{Error, Kind, Result};
use crate::kafka::{self, Cluster};

/// How long the newest records are looked for.
const NEWEST: Duration = Duration::from_secs(2);
/// In so many partitions of a topic.
const NEWEST_PARTITIONS: usize = 8;
/// The id of all zeros that brokers give topics who know of no ids.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Looks at Kafka.
pub(super) async fn look(desk: Desk) {
    let (blocking, runtime) = (desk.clone(), Handle::current());
    let looked = tokio::task::spawn_blocking(move || look_at_all(&blocking, &runtime));
    let ended = async { looked.await.map_err(|error| Error::new(Kind::Failed, format!("a thread ended early: {error}"))) };
    match desk.in_time(ended).await {
        Some(Ok(())) => {}
        Some(Err(error)) => desk.failed("answers", error),
        None => desk.note("the rest", "not looked at: Kafka answers slowly, and there was no time"),
    }
}

fn look_at_all(desk: &Desk, runtime: &Handle) {
    let config = &desk.config;
    let reached = Cluster::new(&config.kafka, "read_committed").and_then(|cluster| {
        let cluster = cluster.hurried(QUESTION);
        let brokers = cluster.brokers()?;
        Ok((cluster, brokers))
    });
    let (cluster, brokers) = match reached {
        Ok(reached) => reached,
        Err(error) => {
            let why = if error.kind == Kind::Unreachable { "Kafka does not answer" } else { "Kafka cannot be asked" };
            desk.failed("answers", error);
            desk.skipped("topics and transactions", format!("because {why}"));
            return;
        }
    };
    let told = format!("{brokers} broker{}", if brokers == 1 { "" } else { "s" });
    desk.fine("answers", format!("{}: {told}", config.kafka.bootstrap_servers));
    let look = Look { desk, config, cluster, brokers, runtime };
    for (topic, role) in roles(config) {
        if let Err(error) = look.topic(&topic, role) {
            let lost = error.kind == Kind::Unreachable;
            desk.failed(format!("topic {topic}"), error);
            if lost {
                desk.skipped("the other topics and transactions", "because Kafka stopped answering");
                return;
            }
        }
    }
    config.aggregates.iter().for_each(|aggregate| look.transactions(aggregate));
}

/// The topics of a pipeline file, each once.
fn roles(config: &Config) -> Vec<(String, Role<'_>)> {
    let mut roles: Vec<(String, Role<'_>)> = Vec::new();
    // A source that an aggregate writes is made by it.
    let is_sink = |topic: &str| config.aggregates.iter().any(|aggregate| aggregate.sink == topic);
    let sources = config.sources.iter().filter(|source| !is_sink(&source.topic));
    let sources = sources.map(|source| (source.topic.clone(), Role::Source(source)));
    let sinks = config.aggregates.iter().flat_map(|aggregate| {
        [(aggregate.sink.clone(), Role::Sink(aggregate, None)), (aggregate.dead_letter_topic(), Role::Letters(None))]
    });
    for (topic, role) in sources.chain(sinks) {
        // Two aggregates of one source may share their dead letters.
        if roles.iter().all(|(known, _)| *known != topic) {
            roles.push((topic, role));
        }
    }
    roles
}

struct Look<'a> {
    desk: &'a Desk,
    config: &'a Config,
    cluster: Cluster,
    brokers: usize,
    runtime: &'a Handle,
}

impl Look<'_> {
    fn topic(&self, topic: &str, role: Role<'_>) -> Result<()> {
        let what = format!("topic {topic}");
        let Some(partitions) = self.cluster.copies(topic)? else {
            self.desk.report(what, topics::missing(&self.config.kafka.bootstrap_servers, topic, role));
            return Ok(());
        };
        let settings = self.runtime.block_on(self.cluster.settings(topic))?.unwrap_or_default();
        let rights = match self.cluster.rights(topic) {
            Ok(rights) => rights,
            Err(error) => {
                tracing::debug!("{error}");
                None
            }
        };
        let seen = Seen { partitions, settings, rights, brokers: self.brokers };
        for verdict in topics::judge(topic, self.complete(role)?, &self.config.aggregates, &seen) {
            self.desk.report(what.clone(), verdict);
        }
        if let Role::Source(source) = role {
            self.source(&what, source, seen.partitions.len())?;
        }
        Ok(())
    }

    /// The same role, with what it depends on of the source.
    fn complete<'a>(&self, role: Role<'a>) -> Result<Role<'a>> {
        Ok(match role {
            Role::Sink(aggregate, _) => {
                let partitions = self.cluster.partitions(&aggregate.source)?;
                Role::Sink(aggregate, partitions.and_then(|count| usize::try_from(count).ok()))
            }
            Role::Letters(_) => Role::Letters(self.largest_record()),
            Role::Source(_) => role,
        })
    }

    /// The largest record that a source takes, bytes.
    fn largest_record(&self) -> Option<i64> {
        let sources = self.config.sources.iter().filter(|source| matches!(self.cluster.partitions(&source.topic), Ok(Some(_))));
        let sizes = sources.filter_map(|source| {
            let settings = self.runtime.block_on(self.cluster.settings(&source.topic)).ok()??;
            settings.get("max.message.bytes")?.parse().ok()
        });
        sizes.max()
    }

    fn source(&self, what: &str, source: &Source, partitions: usize) -> Result<()> {
        let is_summed = self.config.aggregates.iter().any(|aggregate| aggregate.source == source.topic);
        if is_summed && self.cluster.topic_id(&source.topic)? == NO_ID {
            self.desk.note(
                what,
                "this broker gives topics no ids (Kafka before 2.8): that a topic was deleted and made anew could not be noticed",
            );
        }
        let ends = (0..i32::try_from(partitions.min(NEWEST_PARTITIONS)).unwrap_or(0))
            .map(|partition| Ok((partition, self.cluster.partition_ends(&source.topic, partition)?)))
            .collect::<Result<_>>()?;
        let newest = kafka::newest(&self.config.kafka, &source.topic, &ends, NEWEST)?;
        let ahead = newest.and_then(|newest| clocks::record(&source.topic, newest, Utc::now().timestamp_millis()));
        if let Some(verdict) = ahead {
            self.desk.report(what, verdict);
        }
        Ok(())
    }

    /// Whether the aggregate's transactions are allowed. Its own transactional id is left alone, for whoever starts with it fences
    /// the aggregate that runs.
    fn transactions(&self, aggregate: &Aggregate) {
        let group = format!("pipeline-{}", aggregate.sink);
        let what = format!("transactions of {group}");
        if let Err(error) = self.cluster.members(&group) {
            self.desk.failed(format!("group {group}"), error);
        }
        // No topic's name has a colon, so no other aggregate has this id.
        let id = format!("{group}:doctor");
        let verdict = match kafka::may_transact(&self.config.kafka, &id, QUESTION) {
            Ok(()) => Verdict::Fine("allowed to ids that begin so".into()),
            Err(error) if error.kind == Kind::Refused => Verdict::Note(format!(
                "could not be checked: this user may not use the transactional id {id}; an ACL for {group} alone is enough for the \
                 aggregate, which needs WRITE and DESCRIBE of it"
            )),
            Err(error) => Verdict::Failed(error.hint(
                "do the brokers have a transaction coordinator? their topic __transaction_state needs as many brokers as its replication \
                 factor says (transaction.state.log.replication.factor)",
            )),
        };
        self.desk.report(what, verdict);
    }
}
