//! `pipeline druid-ingest`: a supervisor for each datasource, made from the registry's schema, and rules of retention; then its rows
//! are waited for.

mod rows;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::blocking;
use crate::backup::Backup;
use crate::cli::{Output, Setup};
use crate::config::{Config, Datasource};
use crate::druid::sample;
use crate::druid::spec::{self, Supervisor};
use crate::druid::wait::{self, Promise};
use crate::druid::{self, Druid, Found, cause, columns, diff, restore, retention};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Cluster, Ends};
use crate::plan::{self, Action, Change, Plan, Step};
use crate::registry::Registry;

/// How many rows are shown before a supervisor is posted.
const SAMPLE_ROWS: u64 = 3;
/// How long Druid looks for them.
const SAMPLE_MS: u64 = 3_000;
/// How long it looks if there are none.
const EMPTY_SAMPLE_MS: u64 = 500;

/// An answer that takes longer is explained.
const SLOW: Duration = Duration::from_secs(5);

/// What is told on the way.
pub(super) enum Told<'a> {
    /// What there is, and what was done.
    Line(&'a str),
    /// Something beside it that is good to know.
    Note(&'a str),
    /// Why it takes so long.
    Waiting(&'a str),
    /// Something beside it that may be wrong.
    Warning(&'a str),
    /// How many rows a datasource has, and what is waited for.
    Rows(&'a str, u64, &'a Promise<'a>),
}

/// What is to be done for a datasource.
pub(super) struct Work<'a> {
    datasource: &'a Datasource,
    desired: Supervisor,
    json: Value,
    /// What Druid has of that name, before anything is done.
    found: Found,
    step: Step,
    rules: retention::Found,
    rules_step: Option<Step>,
    /// Why nothing can be posted: the topic was made anew, and Druid waits behind its end.
    stopped: Option<Error>,
    /// Where the topic ended when the command began: up to there Druid shall have read.
    ends: BTreeMap<i32, Ends>,
    failed_before: HashSet<String>,
}

pub(super) async fn run(config: &Config, setup: Setup) -> Result<()> {
    if config.datasources.is_empty() {
        return Err(Error::new(Kind::Config, "the pipeline file has no [[datasource]]").hint("config/pipeline.toml shows one"));
    }
    let tell = |told: Told<'_>| match told {
        // On stdout, unless that is for a program.
        Told::Line(line) if setup.output == Output::Text => say!("{line}"),
        Told::Line(line) | Told::Note(line) | Told::Waiting(line) => note!("{line}"),
        Told::Warning(line) => warning!("{line}"),
        Told::Rows(name, rows, promise) => rows::show_progress(name, rows, promise),
    };
    let desk = Desk::new(config, setup.adopt, &tell)?;
    let works = desk.look().await?;
    let plan = plan_of(&works);
    if setup.dry_run {
        report(setup.output, &plan, false, &[]);
        return if plan.changes_something() {
            Err(Error::new(Kind::Differs, format!("not as the pipeline file says: {}; nothing was written", plan.summary())))
        } else {
            Ok(())
        };
    }
    desk.post(&works).await?;
    let rows = desk.wait(&works).await?;
    report(setup.output, &plan, true, &rows);
    Ok(())
}

/// What is to be done, or was.
pub(super) fn plan_of(works: &[Work<'_>]) -> Plan {
    Plan { steps: works.iter().flat_map(|work| [&work.step].into_iter().chain(&work.rules_step)).cloned().collect() }
}

fn report(output: Output, plan: &Plan, done: bool, rows: &[(&str, u64)]) {
    match output {
        Output::Text if done => say!("{}", plan.summary()),
        Output::Text => say!("{}{}", plan::Told { plan, done }, plan.summary()),
        Output::Json => {
            let mut report = plan.to_json();
            if done {
                report["rows"] = rows.iter().map(|(name, rows)| ((*name).to_owned(), json!(rows))).collect();
            }
            say!("{report:#}");
        }
    }
}

/// Does what is to be done in three parts, each of which may take its time: look, post, wait for rows.
pub(super) struct Desk<'a> {
    config: &'a Config,
    druid: Druid,
    registry: Registry,
    adopt: bool,
    tell: &'a dyn Fn(Told<'_>),
}

impl<'a> Desk<'a> {
    /// With `adopt`, supervisors that others made are taken over; `tell` hears what is done.
    pub(super) fn new(config: &'a Config, adopt: bool, tell: &'a dyn Fn(Told<'_>)) -> Result<Self> {
        let (druid, registry) = (Druid::new(&config.druid)?, Registry::new(&config.registry)?);
        Ok(Self { config, druid, registry, adopt, tell })
    }

    fn tell(&self, line: &str) {
        (self.tell)(Told::Line(line));
    }

    fn note(&self, line: &str) {
        (self.tell)(Told::Note(line));
    }

    fn waits(&self, line: &str) {
        (self.tell)(Told::Waiting(line));
    }

    fn warn(&self, line: &str) {
        (self.tell)(Told::Warning(line));
    }

    // ---- Looking

    /// What is to be done for each datasource. Writes nothing.
    pub(super) async fn look(&self) -> Result<Vec<Work<'a>>> {
        let mut works = Vec::new();
        for datasource in &self.config.datasources {
            works.push(self.look_at(datasource).await?);
        }
        Ok(works)
    }

    async fn look_at(&self, datasource: &'a Datasource) -> Result<Work<'a>> {
        let ends = self.topic_ends(&datasource.topic).await?;
        let desired = self.desired(datasource).await?;
        let (json, name) = (desired.to_json()?, &datasource.name);
        let found = Found::look(&self.druid, name).await?;
        let mut action = diff::action(&json, &found, self.adopt);
        let mut effect = diff::effect(&action);
        let rules = match self.druid.rules(name).await {
            // Whoever wants no rules need not be allowed to see them.
            Err(error) if error.kind == Kind::Refused && datasource.retention.is_none() => retention::Found::default(),
            found => found?,
        };
        let is_ours = self.adopt || action == Action::Create || found.owner() == Some(&self.config.name);
        let rules_step = retention::step(&self.config.name, datasource, &rules, is_ours);
        let stopped = match &action {
            Action::Unchanged => self.stopped(&desired, &datasource.topic).await?,
            Action::Change(_) if !found.read_another(&datasource.topic) => self.stopped(&desired, &datasource.topic).await?,
            _ => None,
        };
        if let Some(stopped) = &stopped {
            let changes = if let Action::Change(changes) = action { changes } else { Vec::new() };
            action = Action::Change(changes.into_iter().chain(stopped.changes()).collect());
            effect =
                Some("refused: the topic was made anew, and Druid waits behind its end; `pipeline down --data` first".into());
        }
        let failed_before = wait::failed_tasks(&self.druid, name).await?;
        let step = Step { kind: "supervisor", name: name.clone(), action, effect };
        let stopped = stopped.map(|stopped| stopped.error(&desired));
        Ok(Work { datasource, desired, json, found, step, rules, rules_step, stopped, ends, failed_before })
    }

    /// The supervisor that a datasource should have, by its topic's schema.
    async fn desired(&self, datasource: &Datasource) -> Result<Supervisor> {
        let schema = self.registry.newest(&datasource.topic).await?.schema;
        let columns = columns::columns(&subject(&datasource.topic), &schema, datasource)?;
        for left in &columns.left_out {
            self.note(&format!("{}: field `{}` is left out: {}", datasource.name, left.field, left.why));
        }
        spec::supervisor(self.config, datasource, &columns)
    }

    /// Whether Druid waits behind the topic's end.
    async fn stopped(&self, supervisor: &Supervisor, topic: &str) -> Result<Option<cause::Behind>> {
        // Druid is asked before Kafka, or records that come in between would look as if the topic had shrunk.
        let reached = self.druid.status(supervisor.id()).await?.reached();
        let ends = self.topic_ends(topic).await?.into_iter().map(|(partition, ends)| (partition, ends.high)).collect();
        Ok(cause::behind_the_end(&reached, &ends))
    }

    async fn topic_ends(&self, topic: &str) -> Result<BTreeMap<i32, Ends>> {
        let (kafka, topic) = (self.config.kafka.clone(), topic.to_owned());
        blocking(move || Cluster::new(&kafka, "read_committed")?.ends(&topic)).await
    }

    // ---- Acting

    /// Does what is to be done.
    pub(super) async fn post(&self, works: &[Work<'_>]) -> Result<()> {
        // Nothing is posted before all of it has been looked at.
        works.iter().try_for_each(may_be_done)?;
        for work in works.iter().filter(|work| work.step.action != Action::Unchanged) {
            self.show_sample(work).await?;
        }
        self.back_up(works)?;
        for work in works {
            self.post_supervisor(work).await?;
            self.set_rules(work).await?;
        }
        let told = plan::Told { plan: &plan_of(works), done: true }.to_string();
        told.lines().for_each(|line| self.tell(line));
        Ok(())
    }

    /// Waits until Druid has a row for each record that was there, and says how many there are.
    pub(super) async fn wait<'w>(&self, works: &'w [Work<'_>]) -> Result<Vec<(&'w str, u64)>> {
        let mut rows = Vec::new();
        for work in works {
            rows.push((work.datasource.name.as_str(), self.wait_for_rows(work).await?));
        }
        Ok(rows)
    }

    /// Has the records waited for, too, that have come since [`Desk::look`].
    pub(super) async fn look_at_ends(&self, works: &mut [Work<'_>]) -> Result<()> {
        for work in works {
            work.ends = self.topic_ends(&work.datasource.topic).await?;
        }
        Ok(())
    }

    async fn show_sample(&self, work: &Work<'_>) -> Result<()> {
        let name = &work.datasource.name;
        // Of an empty topic too: it shows that Druid reaches Kafka.
        let (rows, timeout_ms) = match records_at_most(&work.ends) {
            0 => (1, EMPTY_SAMPLE_MS),
            records => (records.min(SAMPLE_ROWS), SAMPLE_MS),
        };
        let sampled = self.druid.sample(&work.desired, rows, timeout_ms).await?;
        match sample::judge(&work.desired, &sampled).map_err(|error| error.while_doing(format!("datasource {name}")))? {
            sample::Told::Nothing(why) => self.warn(&format!("{name}: {why}")),
            sample::Told::Rows(rows, unreadable) => {
                for row in &rows {
                    self.tell(&format!("{name} sample: {row}"));
                }
                if unreadable > 0 {
                    let looked_at = rows.len() + unreadable;
                    self.warn(&format!("{name}: {unreadable} of the {looked_at} records looked at would be no row"));
                }
            }
        }
        Ok(())
    }

    /// Keeps what will be replaced.
    fn back_up(&self, works: &[Work<'_>]) -> Result<()> {
        let mut objects = Vec::new();
        for work in works {
            if let (Action::Change(_), Some(found)) = (&work.step.action, work.found.supervisor()) {
                objects.push(restore::supervisor(&work.datasource.name, found));
            }
            if matches!(&work.rules_step, Some(step) if matches!(step.action, Action::Change(_) | Action::Remove)) {
                objects.push(restore::rules(&work.datasource.name, &work.rules));
            }
        }
        if let Some(file) = Backup::keep(&self.config.name, "druid", objects)? {
            self.note(&format!("what is replaced is kept: `pipeline restore {}` puts it back", file.display()));
        }
        Ok(())
    }

    async fn post_supervisor(&self, work: &Work<'_>) -> Result<()> {
        let name = &work.datasource.name;
        if !matches!(work.step.action, Action::Create | Action::Change(_)) {
            return Ok(());
        }
        let replaced = druid::replace(&self.druid, &work.found, &work.json, |what| self.waits(&what));
        if work.found.supervisor().is_some() {
            self.patiently(name, replaced).await?;
        } else {
            replaced.await?;
        }
        let found = Found::look(&self.druid, name).await?;
        if let Action::Change(left) = diff::action(&work.json, &found, false) {
            for Change { setting, old, new } in left.iter().map(Change::told) {
                let (old, new) = (plan::shown(&old), plan::shown(&new));
                self.warn(&format!("{name}: Druid made {old} of {setting} = {new}; write it so, or each run sets it again"));
            }
        }
        Ok(())
    }

    async fn set_rules(&self, work: &Work<'_>) -> Result<()> {
        let Some(step) = work.rules_step.as_ref().filter(|step| step.action != Action::Unchanged) else { return Ok(()) };
        let rules = work.datasource.retention.map(retention::rules).unwrap_or_default();
        self.druid.set_rules(Some(&self.config.name), &step.name, &rules).await
    }

    /// Waits for a supervisor that is posted over one that runs, which Druid stops first.
    async fn patiently(&self, name: &str, posted: impl Future<Output = Result<()>>) -> Result<()> {
        let patience = async {
            tokio::time::sleep(SLOW).await;
            self.waits(&format!(
                "{name}: Druid is stopping the old supervisor; one that does not reach Kafka takes a minute or two for it"
            ));
            std::future::pending().await
        };
        tokio::select! {
            posted = posted => posted,
            never = patience => never,
        }
    }
}

/// An error if something stands in the way.
fn may_be_done(work: &Work<'_>) -> Result<()> {
    for step in [&work.step].into_iter().chain(&work.rules_step) {
        if let Action::NotOurs { maker, changes } = &step.action {
            return Err(diff::foreign(step.kind, &step.name, maker, changes));
        }
    }
    work.stopped.clone().map_or(Ok(()), Err)
}

fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

fn records_at_most(ends: &BTreeMap<i32, Ends>) -> u64 {
    ends.values().map(|ends| u64::try_from(ends.high - ends.low).unwrap_or(0)).sum()
}
