//! Taking away what a pipeline file made in Druid: supervisors, and if asked for, rows and rules.
//!
//! A supervisor is suspended before it is terminated: suspended, it sees to it that all its tasks hand over what they read, and
//! finds those that it did not know of; one that is terminated at once may leave tasks behind that read on without it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::found::{self, Found};
use super::status::Task;
use super::{Druid, diff, post, restore, retention};
use crate::backup::Backup;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::plan::{Action, Plan, Step};

/// How often Druid is asked.
const PAUSE: Duration = Duration::from_secs(1);
/// Tasks write their segments and hand them over before they end; Druid itself gives them half an hour for it.
const TASKS_END: Duration = Duration::from_secs(300);
/// How long rows may be seen after they were dropped: the servers hear of it within a minute.
const ROWS_GO: Duration = Duration::from_secs(180);
/// How often it is told what is waited for.
const TOLD: Duration = Duration::from_secs(10);

/// What else is taken away than the supervisors.
#[derive(Debug, Clone, Copy, Default)]
pub struct Remove {
    /// The rows, and the rules of retention.
    pub data: bool,
    /// How far the topics were read: they go, too.
    pub topics: bool,
}

/// What there is to remove.
pub struct Removals {
    /// Supervisors, rules and datasources.
    pub plan: Plan,
    druid: Druid,
    what: Remove,
    /// What a backup will hold of it.
    kept: Vec<Value>,
}

impl Removals {
    /// The supervisors that carry the pipeline file's mark, also those that the file no longer has. With `data` its datasources, if
    /// their last supervisor was ours, and their rules.
    pub async fn plan(config: &Config, what: Remove) -> Result<Self> {
        let name = config.name.as_str();
        let druid = Druid::new(&config.druid)?;
        let mut removals = Self { plan: Plan::default(), druid, what, kept: Vec::new() };
        let mut datasources: BTreeSet<String> = config.datasources.iter().map(|datasource| datasource.name.clone()).collect();
        if what.data {
            datasources.extend(once_filled_by(name, &removals.druid.histories().await?));
        }
        for supervisor in removals.druid.supervisors().await? {
            let owner = diff::owner(&supervisor.spec);
            if owner == Some(name) {
                let effect = if what.data { "its tasks end" } else { "its tasks end; the rows stay" };
                removals.step("supervisor", &supervisor.id, Action::Remove, Some(effect));
                removals.kept.push(restore::supervisor(&supervisor.id, &supervisor.spec));
                datasources.insert(supervisor.id);
            } else if datasources.remove(&supervisor.id) {
                let theirs = Action::NotOurs { maker: diff::maker(owner), changes: Vec::new() };
                removals.step("supervisor", &supervisor.id, theirs, Some("left alone, and its rows with it"));
            }
        }
        for datasource in datasources.iter().filter(|_| what.data) {
            removals.plan_data(name, datasource).await?;
        }
        Ok(removals)
    }

    async fn plan_data(&mut self, name: &str, datasource: &str) -> Result<()> {
        let rules = self.druid.rules(datasource).await?;
        if !rules.rules.is_empty() && rules.is_of(name) {
            self.step(retention::KIND, datasource, Action::Remove, None);
            self.kept.push(restore::rules(datasource, &rules));
        }
        let is_fed = self.has("supervisor", datasource);
        if is_fed || self.druid.has_segments(datasource).await? || self.druid.rows(datasource, None).await? > 0 {
            let is_ours = found::last_spec(&self.druid, datasource).await?.as_ref().and_then(diff::owner) == Some(name);
            let theirs = || Action::NotOurs { maker: "not filled by this pipeline file".into(), changes: Vec::new() };
            let (action, effect) = if is_ours { (Action::Remove, "its rows are dropped") } else { (theirs(), "left alone") };
            self.step("datasource", datasource, action, Some(effect));
        }
        Ok(())
    }

    fn step(&mut self, kind: &'static str, name: &str, action: Action, effect: Option<&str>) {
        self.plan.steps.push(Step { kind, name: name.into(), action, effect: effect.map(str::to_owned) });
    }

    /// The names of what goes of a kind.
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        let goes = move |step: &&Step| step.kind == kind && step.action == Action::Remove;
        self.plan.steps.iter().filter(goes).map(|step| step.name.as_str())
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        self.of(kind).any(|one| one == name)
    }

    /// Removes what was planned. `told` hears where it is kept, and what is waited for.
    pub async fn carry_out(&self, config: &Config, mut told: impl FnMut(String)) -> Result<()> {
        let (druid, told) = (&self.druid, &mut told);
        if let Some(file) = Backup::keep(&config.name, "druid", self.kept.clone())? {
            told(format!("supervisors and rules are kept: `pipeline restore {}` puts them back", file.display()));
        }
        // With its rows or its topic it has to forget how far it read, or one made anew would go on behind the end.
        let forget = self.what.data || self.what.topics;
        for supervisor in self.of("supervisor") {
            stop(druid, supervisor, forget, told).await?;
        }
        for datasource in self.of(retention::KIND) {
            druid.set_rules(Some(&config.name), datasource, &[]).await?;
        }
        for datasource in self.of("datasource") {
            if !self.has("supervisor", datasource) {
                forget_offsets(druid, datasource, told).await?;
            }
            drop_rows(druid, datasource, told).await?;
        }
        Ok(())
    }
}

/// The datasources whose last supervisor was ours, though it may be gone.
fn once_filled_by(name: &str, histories: &BTreeMap<String, Vec<Value>>) -> Vec<String> {
    let was_ours = |specs: &Vec<Value>| found::last_of(specs).and_then(diff::owner) == Some(name);
    histories.iter().filter(|(_, specs)| was_ours(specs)).map(|(id, _)| id.clone()).collect()
}

/// Ends what was found under an id, and has Druid forget how far it read: one of the same name will read its topic from the start.
pub async fn forget(druid: &Druid, found: &Found, id: &str, told: &mut impl FnMut(String)) -> Result<()> {
    match found {
        Found::Supervisor(_) => stop(druid, id, true, told).await,
        Found::Left { .. } => forget_offsets(druid, id, told).await,
    }
}

/// Ends a supervisor and waits until its tasks have ended; with `forget` one of the same name will read its topic from the start.
async fn stop(druid: &Druid, id: &str, forget: bool, told: &mut impl FnMut(String)) -> Result<()> {
    if !druid.order(id, "suspend").await? {
        return Ok(());
    }
    // Only then: they would write down how far they came.
    tasks_end(druid, id, told).await?;
    if forget {
        druid.order(id, "reset").await?;
    }
    terminate(druid, id).await
}

/// Has Druid forget how far a supervisor read that is gone: only one that is there can be told to.
async fn forget_offsets(druid: &Druid, id: &str, told: &mut impl FnMut(String)) -> Result<()> {
    let Some(mut spec) = found::last_spec(druid, id).await? else { return Ok(()) };
    spec["suspended"] = true.into();
    post(druid, &spec).await?;
    stop(druid, id, true, told).await
}

/// If no answer comes, Druid is asked whether it is gone.
async fn terminate(druid: &Druid, id: &str) -> Result<()> {
    match druid.order(id, "terminate").await {
        Err(error) if error.kind == Kind::Unreachable => match druid.supervisor(id).await {
            Ok(None) => Ok(()),
            _ => Err(error),
        },
        answered => answered.map(drop),
    }
}

/// Waits until no task reads the topic any more. Other tasks of the datasource, such as compaction, are nobody's business here.
async fn tasks_end(druid: &Druid, id: &str, told: &mut impl FnMut(String)) -> Result<()> {
    let mut wait = Wait::new(TASKS_END);
    loop {
        let mut left = Vec::new();
        for state in ["running", "pending", "waiting"] {
            let tasks = druid.tasks(id, state).await?;
            left.extend(tasks.into_iter().filter(Task::reads_kafka).map(|task| task.id));
        }
        if left.is_empty() {
            return Ok(());
        }
        let what = format!("{id}: its tasks write their segments and end; left: {}", left.len());
        wait.on(&what, told).await.map_err(|error| {
            let hint = "run the command again: it goes on from here; Druid's own log says why a task does not end";
            Error::new(error.kind, format!("{}: {}", error.message, left.join(", "))).hint(hint)
        })?;
    }
}

async fn drop_rows(druid: &Druid, datasource: &str, told: &mut impl FnMut(String)) -> Result<()> {
    let mut wait = Wait::new(ROWS_GO);
    loop {
        // What a task hands over late is dropped with the next turn.
        druid.drop_datasource(datasource).await?;
        let rows = druid.rows(datasource, None).await?;
        if rows == 0 && !druid.has_segments(datasource).await? {
            return Ok(());
        }
        wait.on(&format!("{datasource}: {rows} rows are still seen"), told).await?;
    }
}

/// A wait that ends, and tells now and then what it is for.
struct Wait {
    begun: Instant,
    limit: Duration,
    told: Option<Instant>,
}

impl Wait {
    fn new(limit: Duration) -> Self {
        Self { begun: Instant::now(), limit, told: None }
    }

    async fn on(&mut self, what: &str, told: &mut impl FnMut(String)) -> Result<()> {
        if self.begun.elapsed() >= self.limit {
            let seconds = self.limit.as_secs();
            return Err(Error::new(Kind::Watchdog, format!("Druid, {what}: waited for {seconds} s in vain")));
        }
        if self.told.is_none_or(|told| told.elapsed() >= TOLD) {
            self.told = Some(Instant::now());
            told(what.to_owned());
        }
        sleep(PAUSE).await;
        Ok(())
    }
}
