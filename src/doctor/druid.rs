//! Druid: is it there, do all its processes run, does it reach Kafka and the registry, do its supervisors read?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::JoinSet;

use super::desk::Desk;
use super::report::Verdict;
use super::supervisors::{self, Ends, Seen, Tasks};
use super::{QUESTION, clocks};
use crate::config::Datasource;
use crate::druid::sample::{self, Told};
use crate::druid::spec::{self, Supervisor};
use crate::druid::status::{About, Worker};
use crate::druid::{Druid, Found, columns, diff, retention};
use crate::error::{Error, Kind, Result};
use crate::kafka::Cluster;
use crate::plan::Action;
use crate::registry::Registry;

/// What a supervisor needs.
const EXTENSIONS: [&str; 2] = ["druid-kafka-indexing-service", "druid-avro-extensions"];
/// What Druid on Kubernetes need not have: there a task may be a pod of its own.
const TASKS: &str = "a process that runs tasks";
/// The kinds of processes without which rows do not come, or cannot be asked for, and the kinds that do the same.
const NEEDED: [(&str, &[&str]); 3] =
    [("a broker", &["broker"]), ("a historical", &["historical"]), (TASKS, &["indexer", "middle_manager", "peon"])];
/// How many records the sampler looks at, and for how long: where there are none, it waits.
const SAMPLE_ROWS: u64 = 1;
const SAMPLE_MS: u64 = 500;

/// What one datasource came to.
struct Looked {
    place: usize,
    findings: Vec<(String, Verdict)>,
    tasks: Option<Tasks>,
}

/// Looks at Druid.
pub(super) async fn look(desk: Desk) {
    if desk.config.datasources.is_empty() {
        desk.skipped("answers", "because the pipeline file has no [[datasource]]");
        return;
    }
    let druid = match Druid::new(&desk.config.druid) {
        Ok(druid) => druid,
        Err(error) => return desk.failed("answers", error),
    };
    match desk.ask(druid.about()).await {
        Ok(about) => introduce(&desk, &about),
        Err(error) => {
            desk.failed("answers", error);
            desk.skipped("processes, slots and supervisors", "because Druid cannot be asked");
            return;
        }
    }
    let (workers, ()) = tokio::join!(desk.ask(druid.workers()), processes(&desk, &druid));
    let workers = workers.unwrap_or_default();
    let desk = Arc::new(desk);
    let mut looks = JoinSet::new();
    for place in 0..desk.config.datasources.len() {
        let look = Look { desk: Arc::clone(&desk), druid: druid.clone(), workers: workers.clone(), place };
        looks.spawn(Box::pin(look.at_all()));
    }
    let mut looked = looks.join_all().await;
    looked.sort_by_key(|looked| looked.place);
    // A datasource that could not be looked at may have its tasks: then nothing is known of the slots that are needed.
    match looked.iter().map(|looked| looked.tasks).collect::<Option<Vec<Tasks>>>() {
        Some(tasks) => desk.report("task slots", supervisors::slots(&tasks, &workers)),
        None => desk.skipped("task slots", "because it is not known which tasks run"),
    }
    for (what, verdict) in looked.into_iter().flat_map(|looked| looked.findings) {
        desk.report(what, verdict);
    }
}

fn introduce(desk: &Desk, about: &About) {
    let url = &desk.config.druid.url;
    let release = if about.version.is_empty() { "of a release that it does not tell this user" } else { about.version.as_str() };
    desk.fine("answers", format!("{url}: Druid {release}"));
    if let Some(date) = about.date {
        desk.report("clock", clocks::compare("Druid", date, SystemTime::now()));
    }
    let lacking: Vec<&str> = EXTENSIONS.into_iter().filter(|extension| !about.has(extension)).collect();
    if lacking.is_empty() {
        desk.fine("extensions", EXTENSIONS.join(", "));
    } else if !about.modules.is_empty() {
        desk.note(
            "extensions",
            format!(
                "its router does not load {}: it need not, but coordinator and workers must, which a sample of a topic shows",
                lacking.join(" and ")
            ),
        );
    }
}

/// Whether each kind of process runs.
async fn processes(desk: &Desk, druid: &Druid) {
    let [coordinator, overlord] = [druid.leader("coordinator"), druid.leader("indexer")];
    let (coordinator, overlord, processes) = tokio::join!(desk.ask(coordinator), desk.ask(overlord), desk.ask(druid.processes()));
    for (name, leader) in [("coordinator", coordinator), ("overlord", overlord)] {
        match leader {
            Ok(address) => desk.fine(name, address),
            Err(error) => desk.report(name, unless_refused(error, &format!("no {name} leads"))),
        }
    }
    match processes {
        Ok(processes) => desk.report("processes", judge(&processes)),
        Err(error) => desk.report("processes", unless_refused(error, "no query is answered")),
    }
}

/// Who may not look at Druid's inner life may be well served by it all the same.
fn unless_refused(error: Error, what: &str) -> Verdict {
    match error.kind {
        Kind::Refused => Verdict::Note(format!("could not be checked: {}", error.message)),
        _ => Verdict::Failed(error.while_doing(what).hint("do all of Druid's processes run? their logs say why if not")),
    }
}

fn judge(processes: &BTreeMap<String, u64>) -> Verdict {
    let lacking: Vec<&str> = NEEDED
        .iter()
        .filter(|(_, kinds)| !kinds.iter().any(|kind| processes.get(*kind).is_some_and(|count| *count > 0)))
        .map(|(name, _)| *name)
        .collect();
    if lacking.is_empty() {
        let told: Vec<String> = processes.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        return Verdict::Fine(told.join(", "));
    }
    let message = format!("Druid lacks {}", lacking.join(" and "));
    if lacking == [TASKS] {
        return Verdict::Note(format!("{message}; all is well if it runs each task as a pod of its own"));
    }
    Verdict::Failed(Error::new(Kind::Unreachable, message).hint("start what is missing, or look into its log"))
}

/// A look at one datasource.
struct Look {
    desk: Arc<Desk>,
    druid: Druid,
    workers: Vec<Worker>,
    place: usize,
}

/// What a datasource's supervisor is judged by.
struct Facts {
    desired: Supervisor,
    action: Action,
    seen: Seen,
    rules: Option<String>,
}

impl Look {
    fn datasource(&self) -> &Datasource {
        &self.desk.config.datasources[self.place]
    }

    async fn at_all(self) -> Looked {
        let name = self.datasource().name.clone();
        let what = format!("supervisor {name}");
        let none = |verdict, tasks| Looked { place: self.place, findings: vec![(what.clone(), verdict)], tasks };
        let desired = match self.desk.ask(self.desired()).await {
            Ok(Ok(desired)) => desired,
            Ok(Err(why)) => return none(Verdict::Skipped(why), self.wanted_of_none().await),
            Err(error) => return none(Verdict::Failed(error), None),
        };
        let facts = match self.desk.ask(Box::pin(self.facts(desired))).await {
            Ok(facts) => facts,
            Err(error) => return none(Verdict::Failed(error), None),
        };
        let partitions = match &facts.seen.ends {
            Ends::At(ends) => Some(ends.len()),
            Ends::NoTopic => Some(self.planned()),
            Ends::Unknown => None,
        };
        let tasks = Tasks::of(self.datasource(), partitions, facts.seen.status.as_ref());
        let verdicts = supervisors::judge(&facts.desired, &facts.action, &facts.seen);
        let mut findings: Vec<(String, Verdict)> = verdicts.into_iter().map(|verdict| (what.clone(), verdict)).collect();
        findings.extend(facts.rules.clone().map(|told| (format!("retention of {name}"), Verdict::Note(told))));
        findings.push((format!("its way to topic {}", self.datasource().topic), self.way(&facts).await));
        Looked { place: self.place, findings, tasks: Some(tasks) }
    }

    /// The supervisor that there should be; or why that is not known.
    async fn desired(&self) -> Result<Result<Supervisor, String>> {
        let (config, datasource) = (&self.desk.config, self.datasource());
        let schema = match Registry::new(&config.registry)?.latest(&format!("{}-value", datasource.topic)).await {
            Ok(Some(found)) => found.schema,
            Ok(None) => return Ok(Err(format!("because there is no schema of topic {} yet", datasource.topic))),
            Err(error) if error.kind == Kind::Unreachable => {
                return Ok(Err("because the schema registry does not answer as one".into()));
            }
            Err(error) => return Ok(Err(format!("because the schema registry cannot be asked: {}", error.message))),
        };
        let columns =
            columns::columns(&format!("{}-value", datasource.topic), &schema, datasource).map_err(|error| match error.hint {
                Some(_) => error,
                None => error.hint("the [[datasource]] must name fields that the topic's schema has"),
            })?;
        spec::supervisor(config, datasource, &columns).map(Ok)
    }

    /// The tasks that a supervisor would need of which nothing is there yet.
    async fn wanted_of_none(&self) -> Option<Tasks> {
        let found = self.desk.ask(self.druid.supervisor(&self.datasource().name)).await.ok()?;
        found.is_none().then(|| Tasks::of(self.datasource(), Some(self.planned()), None))
    }

    /// How many partitions the topic will have, if it is made.
    fn planned(&self) -> usize {
        let (config, topic) = (&self.desk.config, &self.datasource().topic);
        let source = config.aggregates.iter().find(|one| one.sink == *topic).map_or(topic, |one| &one.source);
        let partitions = config.source(Some(source)).ok().and_then(|source| source.partitions);
        partitions.and_then(|count| usize::try_from(count).ok()).unwrap_or(1)
    }

    async fn facts(&self, desired: Supervisor) -> Result<Facts> {
        let (config, datasource, druid) = (&self.desk.config, self.datasource(), &self.druid);
        let name = &datasource.name;
        let found = Found::look(druid, name).await?;
        let action = diff::action(&desired.to_json()?, &found, self.desk.adopt);
        let mut seen = Seen { workers: self.workers.clone(), ..Seen::default() };
        let mut rules = None;
        if found.supervisor().is_some() {
            let (status, ended, pending) =
                tokio::join!(druid.status(name), druid.tasks(name, "complete"), druid.tasks(name, "pending"));
            (seen.status, seen.ended, seen.queued) = (Some(status?), ended?, pending?.len());
            rules = self.rules(found.owner() == Some(&config.name)).await;
        }
        // Druid is asked before Kafka, or records that come in between would look as if the topic had shrunk.
        // Why Kafka cannot be asked is told under Kafka.
        seen.ends = self.ends().await.unwrap_or(Ends::Unknown);
        Ok(Facts { desired, action, seen, rules })
    }

    /// How the datasource's rules of retention are not as the file says.
    async fn rules(&self, is_ours: bool) -> Option<String> {
        let found = self.druid.rules(&self.datasource().name).await.ok()?;
        let step = retention::step(&self.desk.config.name, self.datasource(), &found, is_ours)?;
        (step.action != Action::Unchanged)
            .then(|| "not as the pipeline file says: `pipeline druid-ingest --dry-run` shows how".into())
    }

    async fn ends(&self) -> Result<Ends> {
        let (kafka, topic) = (self.desk.config.kafka.clone(), self.datasource().topic.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let cluster = Cluster::new(&kafka, "read_committed")?.hurried(QUESTION);
            let Some(partitions) = cluster.partitions(&topic)? else { return Ok(Ends::NoTopic) };
            let ends = (0..partitions).map(|partition| Ok((partition, cluster.partition_ends(&topic, partition)?.high)));
            ends.collect::<Result<_>>().map(Ends::At)
        });
        asked.await.map_err(|error| Error::new(Kind::Failed, format!("a thread ended early: {error}")))?
    }

    /// Druid's own way to Kafka and to the registry, by a sample of the topic.
    async fn way(&self, facts: &Facts) -> Verdict {
        let (desired, topic) = (&facts.desired, &self.datasource().topic);
        // Of one that is not there no sample is taken: Druid would make it.
        match facts.seen.ends {
            Ends::At(_) => {}
            Ends::NoTopic => return Verdict::Skipped(format!("because topic {topic} is not there")),
            Ends::Unknown => return Verdict::Skipped("because Kafka cannot be asked for the topic".into()),
        }
        match self.desk.ask(self.druid.sample(desired, SAMPLE_ROWS, SAMPLE_MS)).await {
            Ok(sampled) => match sample::judge(desired, &sampled) {
                Ok(Told::Rows(rows, _)) if rows.is_empty() => Verdict::Fine(format!(
                    "Druid reaches Kafka at {}; there is no record to try the registry with",
                    desired.kafka()
                )),
                Ok(Told::Rows(..)) => Verdict::Fine(format!(
                    "Druid reaches Kafka at {} and the registry at {}",
                    desired.kafka(),
                    desired.registry()
                )),
                Ok(Told::Nothing(why)) => Verdict::Note(why),
                Err(error) => Verdict::Failed(error),
            },
            // It has answered other questions: it is what the sampler waits for that does not.
            Err(error) if error.kind == Kind::Unreachable => {
                let (kafka, registry) = (desired.kafka(), desired.registry());
                let message = format!(
                    "Druid's sampler gives no answer in time: Druid waits for Kafka at {kafka}, or for the schema registry at {registry}"
                );
                Verdict::Failed(Error::new(Kind::Unreachable, message).hint(
                    "[druid] kafka_bootstrap_servers and registry_url say how Druid reaches them, where that differs from how this program \
                     does",
                ))
            }
            Err(error) => Verdict::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processes_that_are_needed_are_named_if_they_are_missing() {
        let of = |kinds: &[&str]| judge(&kinds.iter().map(|kind| ((*kind).to_owned(), 1)).collect());
        assert!(matches!(of(&["broker", "historical", "middle_manager"]), Verdict::Fine(told) if told.starts_with("1 broker")));
        let Verdict::Failed(error) = of(&["broker", "coordinator"]) else { panic!("two are missing") };
        assert!(error.message.contains("a historical and a process that runs tasks"), "{error}");
    }

    #[test]
    fn a_look_that_is_refused_is_no_failure() {
        assert!(matches!(unless_refused(Error::new(Kind::Refused, "403"), "x"), Verdict::Note(_)));
        assert!(matches!(unless_refused(Error::new(Kind::Unreachable, "503"), "x"), Verdict::Failed(_)));
    }
}
