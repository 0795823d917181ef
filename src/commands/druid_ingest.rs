//! `pipeline druid-ingest`: a supervisor for each datasource, made from the registry's schema; then its rows are waited for.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::cli::Setup;
use crate::config::{self, Config, Datasource};
use crate::druid::diff::{self, Difference, Verdict};
use crate::druid::readable::Readable;
use crate::druid::sample::{self, Told};
use crate::druid::spec::{self, Supervisor};
use crate::druid::wait::{self, Promise};
use crate::druid::{Druid, cause, columns};
use crate::error::{Error, Kind, Result};
use crate::kafka::{self, Cluster, Counted, Ends};
use crate::registry::Registry;

/// How many rows are shown before a supervisor is posted.
const SAMPLE_ROWS: u64 = 3;
/// How long Druid looks for them.
const SAMPLE_MS: u64 = 3_000;
/// How long it looks if there are none.
const EMPTY_SAMPLE_MS: u64 = 500;

/// An answer that takes longer is explained.
const SLOW: Duration = Duration::from_secs(5);

/// What is to be done for a datasource.
struct Plan<'a> {
    datasource: &'a Datasource,
    supervisor: Supervisor,
    verdict: Verdict,
    /// Where the topic ended when the command began: up to there Druid shall have read.
    ends: BTreeMap<i32, Ends>,
    failed_before: HashSet<String>,
}

pub(super) async fn run(config: &Config, _setup: Setup) -> Result<()> {
    if config.datasources.is_empty() {
        return Err(Error::new(Kind::Config, "the pipeline file has no [[datasource]]").hint("config/pipeline.toml shows one"));
    }
    let (druid, registry) = (Druid::new(&config.druid)?, Registry::new(&config.registry)?);
    let mut plans = Vec::new();
    for datasource in &config.datasources {
        plans.push(plan(config, &druid, &registry, datasource).await?);
    }
    // Nothing is posted before all of it has been looked at.
    for plan in plans.iter().filter(|plan| plan.verdict != Verdict::Unchanged) {
        show_sample(&druid, plan).await?;
    }
    for plan in &plans {
        post(&druid, plan).await?;
    }
    for plan in &plans {
        wait_for_rows(config, &druid, &registry, plan).await?;
    }
    say!("{}", summary(&plans));
    Ok(())
}

async fn plan<'a>(config: &Config, druid: &Druid, registry: &Registry, datasource: &'a Datasource) -> Result<Plan<'a>> {
    let ends = topic_ends(config, &datasource.topic).await?;
    let supervisor = desired(config, registry, datasource).await?;
    let verdict = compare(druid, &supervisor).await?;
    if verdict == Verdict::Unchanged {
        same_topic_as_ever(config, druid, &supervisor, &datasource.topic).await?;
    }
    let failed_before = wait::failed_tasks(druid, supervisor.id()).await?;
    Ok(Plan { datasource, supervisor, verdict, ends, failed_before })
}

/// The supervisor that a datasource should have, by its topic's schema.
async fn desired(config: &Config, registry: &Registry, datasource: &Datasource) -> Result<Supervisor> {
    let schema = registry.newest(&datasource.topic).await?.schema;
    let columns = columns::columns(&subject(&datasource.topic), &schema, &datasource.time)?;
    for left in &columns.left_out {
        note!("{}: field `{}` is left out: {}", datasource.name, left.field, left.why);
    }
    spec::supervisor(config, datasource, &columns)
}

/// An error if Druid waits behind the topic's end.
async fn same_topic_as_ever(config: &Config, druid: &Druid, supervisor: &Supervisor, topic: &str) -> Result<()> {
    // Druid is asked before Kafka, or records that come in between would look as if the topic had shrunk.
    let reached = druid.status(supervisor.id()).await?.reached();
    let ends = topic_ends(config, topic).await?.into_iter().map(|(partition, ends)| (partition, ends.high)).collect();
    cause::behind_the_end(supervisor, &reached, &ends).map_or(Ok(()), Err)
}

async fn compare(druid: &Druid, supervisor: &Supervisor) -> Result<Verdict> {
    let id = supervisor.id();
    let desired = serde_json::to_value(supervisor)
        .map_err(|error| Error::new(Kind::Failed, format!("the supervisor of {id} cannot be written: {error}")))?;
    let verdict = diff::verdict(&desired, druid.supervisor(id).await?.as_ref());
    match &verdict {
        Verdict::Foreign { owner, differences } => Err(diff::foreign(id, owner.as_deref(), differences)),
        _ => Ok(verdict),
    }
}

async fn topic_ends(config: &Config, topic: &str) -> Result<BTreeMap<i32, Ends>> {
    let (kafka, topic) = (config.kafka.clone(), topic.to_owned());
    blocking(move || Cluster::new(&kafka, "read_committed")?.ends(&topic)).await
}

fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

async fn show_sample(druid: &Druid, plan: &Plan<'_>) -> Result<()> {
    let name = &plan.datasource.name;
    // Of an empty topic too: it shows that Druid reaches Kafka.
    let (rows, timeout_ms) = match records_at_most(&plan.ends) {
        0 => (1, EMPTY_SAMPLE_MS),
        records => (records.min(SAMPLE_ROWS), SAMPLE_MS),
    };
    let sampled = druid.sample(&plan.supervisor, rows, timeout_ms).await?;
    match sample::judge(&plan.supervisor, &sampled).map_err(|error| error.while_doing(format!("datasource {name}")))? {
        Told::Nothing(why) => note!("{name}: {why}"),
        Told::Rows(rows, unreadable) => {
            for row in &rows {
                say!("{name} sample: {row}");
            }
            if unreadable > 0 {
                note!("{name}: {unreadable} of the {} records looked at would be no row", rows.len() + unreadable);
            }
        }
    }
    Ok(())
}

async fn post(druid: &Druid, plan: &Plan<'_>) -> Result<()> {
    let name = &plan.datasource.name;
    match &plan.verdict {
        Verdict::Unchanged | Verdict::Foreign { .. } => say!("unchanged {name}"),
        Verdict::Create => {
            druid.post_supervisor(&plan.supervisor).await?;
            say!("created {name}: topic {}, time {}", plan.datasource.topic, plan.datasource.time);
        }
        Verdict::Change(differences) => {
            replace(druid, &plan.supervisor).await?;
            for difference in differences {
                say!("changed {name}: {difference}");
            }
            if differences.iter().any(Difference::shapes_rows) {
                note!("{name}: the change holds for new rows; those that are there stay as they are");
            }
        }
    }
    Ok(())
}

/// Posts over a supervisor that runs, which Druid stops first.
async fn replace(druid: &Druid, supervisor: &Supervisor) -> Result<()> {
    let posted = druid.post_supervisor(supervisor);
    let patience = async {
        tokio::time::sleep(SLOW).await;
        note!(
            "{}: Druid is stopping the old supervisor; one that does not reach Kafka takes a minute or two for it",
            supervisor.id()
        );
        std::future::pending().await
    };
    tokio::select! {
        posted = posted => posted,
        never = patience => never,
    }
}

async fn wait_for_rows(config: &Config, druid: &Druid, registry: &Registry, plan: &Plan<'_>) -> Result<()> {
    let name = &plan.datasource.name;
    let counted = promised(config, druid, registry, plan).await?;
    if counted.bad > 0 {
        note!("{name}: records of topic {} that cannot be read, and will be no rows: {}", plan.datasource.topic, counted.bad);
    }
    let promise = Promise {
        supervisor: &plan.supervisor,
        rows: counted.good,
        records: counted.good + counted.bad,
        must_read: counted.good == 0 || matches!(plan.verdict, Verdict::Change(_)),
        failed_before: plan.failed_before.clone(),
    };
    let ready = wait::wait(druid, &promise, |rows| show_progress(name, rows, counted.good)).await?;
    if ready.skipped > 0 {
        note!("{name}: records that Druid could not read and skipped (its log names them): {}", ready.skipped);
    }
    say!("ready {name}: {} rows", ready.rows);
    Ok(())
}

fn show_progress(name: &str, rows: u64, promised: u64) {
    if promised > 0 {
        note!("{name}: {rows} of {promised} rows");
    }
}

/// How many records Druid shall have made rows of. The topic is read for that only if it may be that some are missing.
async fn promised(config: &Config, druid: &Druid, registry: &Registry, plan: &Plan<'_>) -> Result<Counted> {
    let most = records_at_most(&plan.ends);
    if druid.rows(&plan.datasource.name).await? >= most {
        return Ok(Counted { good: most, ..Counted::default() });
    }
    let (kafka, topic, ends): (config::Kafka, String, _) =
        (config.kafka.clone(), plan.datasource.topic.clone(), plan.ends.clone());
    let (registry, runtime) = (registry.clone(), tokio::runtime::Handle::current());
    let mut readable = Readable::new(&plan.datasource.time);
    let schema = move |id| Ok(runtime.block_on(registry.by_id(id))?.map(|found| found.schema));
    blocking(move || kafka::count(&kafka, &topic, &ends, |value| readable.is_row(value, &schema))).await
}

fn records_at_most(ends: &BTreeMap<i32, Ends>) -> u64 {
    ends.values().map(|ends| u64::try_from(ends.high - ends.low).unwrap_or(0)).sum()
}

fn summary(plans: &[Plan<'_>]) -> String {
    let count = |test: fn(&Verdict) -> bool| plans.iter().filter(|plan| test(&plan.verdict)).count();
    let created = count(|verdict| matches!(verdict, Verdict::Create));
    let changed = count(|verdict| matches!(verdict, Verdict::Change(_)));
    format!("created {created} changed {changed} unchanged {}", plans.len() - created - changed)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::new(Kind::Failed, format!("a thread ended early: {error}")))?
}
