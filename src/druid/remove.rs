//! Taking away what a pipeline file made in Druid: supervisors, and if asked for, rows and rules.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Druid, diff, post, retention};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::plan::{Action, Plan, Step};

/// How often Druid is asked.
const PAUSE: Duration = Duration::from_secs(1);
/// Tasks write their segments and hand them over before they end; Druid itself gives them half an hour for it.
const TASKS_END: Duration = Duration::from_secs(300);
/// Tasks that are there for longer are shut down: a supervisor that ended soon after it began may leave some that it did not know
/// of, and that read on without it.
const LEFT_BEHIND: Duration = Duration::from_secs(120);
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

/// What there is to remove: the supervisors that carry the pipeline file's mark, also those that the file no longer has. With
/// `data` its datasources, if their last supervisor was ours, and their rules.
pub async fn plan(config: &Config, druid: &Druid, what: Remove) -> Result<Plan> {
    let name = config.name.as_str();
    let listed = druid.supervisors().await?;
    let mut plan = Plan::default();
    let mut datasources: BTreeSet<String> = config.datasources.iter().map(|datasource| datasource.name.clone()).collect();
    for supervisor in &listed {
        let owner = diff::owner(&supervisor.spec);
        if owner == Some(name) {
            let effect = if what.data { "its tasks end" } else { "its tasks end; the rows stay" };
            plan.steps.push(step("supervisor", &supervisor.id, Action::Remove, Some(effect)));
            datasources.insert(supervisor.id.clone());
        } else if datasources.contains(&supervisor.id) {
            let theirs = Action::NotOurs { maker: diff::maker(owner), changes: Vec::new() };
            plan.steps.push(step("supervisor", &supervisor.id, theirs, Some("left alone, and its rows with it")));
            datasources.remove(&supervisor.id);
        }
    }
    for datasource in datasources.iter().filter(|_| what.data) {
        let fed = plan.steps.iter().any(|step| step.name == *datasource);
        plan.steps.extend(data_steps(name, druid, datasource, fed).await?);
    }
    Ok(plan)
}

/// `fed`: a supervisor of ours fills it.
async fn data_steps(name: &str, druid: &Druid, datasource: &str, fed: bool) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let rules = druid.rules(datasource).await?;
    if !rules.rules.is_empty() && rules.is_of(name) {
        steps.push(step(retention::KIND, datasource, Action::Remove, None));
    }
    if fed || druid.has_segments(datasource).await? || druid.rows(datasource, None).await? > 0 {
        let is_ours = last_spec(druid, datasource).await?.as_ref().and_then(diff::owner) == Some(name);
        let theirs = || Action::NotOurs { maker: "not filled by this pipeline file".into(), changes: Vec::new() };
        let (action, effect) = if is_ours { (Action::Remove, "its rows are dropped") } else { (theirs(), "left alone") };
        steps.push(step("datasource", datasource, action, Some(effect)));
    }
    Ok(steps)
}

/// The spec of a supervisor, or the last one of a supervisor that is gone: its end is a version, too, of the type `noop`.
async fn last_spec(druid: &Druid, id: &str) -> Result<Option<Value>> {
    let versions = druid.history(id).await?;
    Ok(versions.into_iter().map(|version| version.spec).find(|spec| spec["type"] == "kafka"))
}

fn step(kind: &'static str, name: &str, action: Action, effect: Option<&str>) -> Step {
    Step { kind, name: name.into(), action, effect: effect.map(str::to_owned) }
}

/// Carries a [`plan`] out. `told` hears what is waited for.
pub async fn remove(config: &Config, druid: &Druid, what: Remove, plan: &Plan, mut told: impl FnMut(String)) -> Result<()> {
    let ours = |kind| plan.steps.iter().filter(move |step| step.kind == kind && step.action == Action::Remove);
    // With its rows or its topic it has to forget how far it read, or one made anew would go on behind the end.
    let forget = what.data || what.topics;
    for step in ours("supervisor") {
        stop(druid, &step.name, forget, &mut told).await?;
    }
    for step in ours(retention::KIND) {
        druid.set_rules(&config.name, &step.name, &[]).await?;
    }
    for step in ours("datasource") {
        if !ours("supervisor").any(|stopped| stopped.name == step.name) {
            forget_offsets(druid, &step.name, &mut told).await?;
        }
        drop_rows(druid, &step.name, &mut told).await?;
    }
    Ok(())
}

/// Ends a supervisor and waits until its tasks have ended; with `forget` one of the same name will read its topic from the start.
pub async fn stop(druid: &Druid, id: &str, forget: bool, told: &mut impl FnMut(String)) -> Result<()> {
    // Only one that is there can be told to forget, and only without tasks: they would write down how far they came.
    if forget && druid.order(id, "suspend").await? {
        tasks_end(druid, id, told).await?;
        druid.order(id, "reset").await?;
    }
    terminate(druid, id).await?;
    tasks_end(druid, id, told).await
}

/// Has Druid forget how far a supervisor read that is gone: only one that is there can be told to.
async fn forget_offsets(druid: &Druid, id: &str, told: &mut impl FnMut(String)) -> Result<()> {
    let Some(mut spec) = last_spec(druid, id).await? else { return Ok(()) };
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

async fn tasks_end(druid: &Druid, id: &str, told: &mut impl FnMut(String)) -> Result<()> {
    let mut wait = Wait::new(TASKS_END);
    loop {
        let mut tasks = Vec::new();
        for state in ["running", "pending", "waiting"] {
            tasks.extend(druid.tasks(id, state).await?);
        }
        if tasks.is_empty() {
            return Ok(());
        }
        if wait.begun.elapsed() >= LEFT_BEHIND {
            for task in &tasks {
                druid.shut_down(&task.id).await?;
            }
        }
        let left = tasks.len();
        let what = format!("{id}: its tasks write their segments and end; left: {left}");
        wait.on(&what, told).await.map_err(|error| {
            error.hint("run the command again: it goes on from here; Druid's own log says why a task does not end")
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
