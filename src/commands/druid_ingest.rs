//! `pipeline druid-ingest`: a supervisor for each datasource, made from the registry's schema, and rules of retention; then its rows
//! are waited for.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use rdkafka::Message;
use serde_json::{Value, json};

use crate::backup::{self, Backup};
use crate::cli::{Output, Setup};
use crate::config::{self, Config, Datasource, Function};
use crate::druid::readable::Readable;
use crate::druid::sample::{self, Told};
use crate::druid::spec::{self, Supervisor};
use crate::druid::wait::{self, Promise, Proof};
use crate::druid::{self, Druid, cause, columns, diff, restore, retention};
use crate::error::{Error, Kind, Result};
use crate::kafka::{self, Cluster, Counted, Ends};
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

/// What is to be done for a datasource.
struct Work<'a> {
    datasource: &'a Datasource,
    desired: Supervisor,
    json: Value,
    /// Druid's supervisor of that name, before anything is done.
    found: Option<Value>,
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
    let (druid, registry) = (Druid::new(&config.druid)?, Registry::new(&config.registry)?);
    let desk = Desk { config, druid, registry, setup };
    let mut works = Vec::new();
    for datasource in &config.datasources {
        works.push(desk.look(datasource).await?);
    }
    let plan = plan_of(&works);
    if setup.dry_run {
        desk.report(&plan, false, &[]);
        return if plan.changes_something() {
            Err(Error::new(Kind::Differs, format!("not as the pipeline file says: {}; nothing was written", plan.summary())))
        } else {
            Ok(())
        };
    }
    desk.apply(&works, &plan).await
}

fn plan_of(works: &[Work<'_>]) -> Plan {
    Plan { steps: works.iter().flat_map(|work| [&work.step].into_iter().chain(&work.rules_step)).cloned().collect() }
}

struct Desk<'a> {
    config: &'a Config,
    druid: Druid,
    registry: Registry,
    setup: Setup,
}

impl<'a> Desk<'a> {
    /// A line for whoever looks on: on stdout, unless that is for a program.
    fn tell(&self, line: &str) {
        match self.setup.output {
            Output::Text => say!("{line}"),
            Output::Json => note!("{line}"),
        }
    }

    fn report(&self, plan: &Plan, done: bool, rows: &[(&str, u64)]) {
        match self.setup.output {
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

    // ---- Looking

    async fn look(&self, datasource: &'a Datasource) -> Result<Work<'a>> {
        let ends = self.topic_ends(&datasource.topic).await?;
        let desired = self.desired(datasource).await?;
        let (json, name) = (desired.to_json()?, &datasource.name);
        let found = self.druid.supervisor(name).await?;
        let mut action = diff::action(&json, found.as_ref(), self.setup.adopt);
        let mut effect = diff::effect(&action);
        let rules = match self.druid.rules(name).await {
            // Whoever wants no rules need not be allowed to see them.
            Err(error) if error.kind == Kind::Refused && datasource.retention.is_none() => retention::Found::default(),
            found => found?,
        };
        let is_ours = self.setup.adopt || found.as_ref().and_then(diff::owner) == Some(&self.config.name);
        let rules_step = retention::step(&self.config.name, datasource, &rules, is_ours);
        let stopped = match action {
            Action::Unchanged => self.stopped(&desired, &datasource.topic).await?,
            _ => None,
        };
        if let Some(stopped) = &stopped {
            action = Action::Change(stopped.changes());
            effect = Some("reset needed: the topic was made anew, and Druid waits behind its end".into());
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
            note!("{}: field `{}` is left out: {}", datasource.name, left.field, left.why);
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

    async fn apply(&self, works: &[Work<'_>], plan: &Plan) -> Result<()> {
        // Nothing is posted before all of it has been looked at.
        works.iter().try_for_each(may_be_done)?;
        for work in works.iter().filter(|work| work.step.action != Action::Unchanged) {
            self.show_sample(work).await?;
        }
        self.back_up(works)?;
        for work in works {
            self.post(work).await?;
            self.set_rules(work).await?;
        }
        let told = plan::Told { plan, done: true }.to_string();
        told.lines().for_each(|line| self.tell(line));
        let mut rows = Vec::new();
        for work in works {
            rows.push((work.datasource.name.as_str(), self.wait_for_rows(work).await?));
        }
        self.report(plan, true, &rows);
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
            Told::Nothing(why) => note!("{name}: {why}"),
            Told::Rows(rows, unreadable) => {
                for row in &rows {
                    self.tell(&format!("{name} sample: {row}"));
                }
                if unreadable > 0 {
                    note!("{name}: {unreadable} of the {} records looked at would be no row", rows.len() + unreadable);
                }
            }
        }
        Ok(())
    }

    /// Keeps what will be replaced.
    fn back_up(&self, works: &[Work<'_>]) -> Result<()> {
        let mut objects = Vec::new();
        for work in works {
            if let (Action::Change(_), Some(found)) = (&work.step.action, &work.found) {
                objects.push(restore::supervisor(&work.datasource.name, found));
            }
            if matches!(&work.rules_step, Some(step) if matches!(step.action, Action::Change(_) | Action::Remove)) {
                objects.push(restore::rules(&work.datasource.name, &work.rules.rules));
            }
        }
        if !objects.is_empty() {
            objects.iter_mut().for_each(backup::hide_secrets);
            let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            let file = Backup::new(&self.config.name, "druid", now, objects).write()?;
            note!("what is replaced is kept in {}; `pipeline restore` puts it back", file.display());
        }
        Ok(())
    }

    async fn post(&self, work: &Work<'_>) -> Result<()> {
        let name = &work.datasource.name;
        match &work.step.action {
            Action::Create => druid::post(&self.druid, &work.json).await?,
            Action::Change(changes) if diff::other_topic(changes) => {
                druid::remove::stop(&self.druid, name, true, &mut |what| note!("{what}")).await?;
                druid::post(&self.druid, &work.json).await?;
            }
            Action::Change(_) => patiently(name, druid::post(&self.druid, &work.json)).await?,
            _ => return Ok(()),
        }
        let found = self.druid.supervisor(name).await?;
        if let Action::Change(left) = diff::action(&work.json, found.as_ref(), false) {
            for Change { setting, old, new } in left {
                let (old, new) = (plan::shown(&old), plan::shown(&new));
                note!("{name}: Druid made {old} of {setting} = {new}; write it so, or each run sets it again");
            }
        }
        Ok(())
    }

    async fn set_rules(&self, work: &Work<'_>) -> Result<()> {
        let Some(step) = work.rules_step.as_ref().filter(|step| step.action != Action::Unchanged) else { return Ok(()) };
        let rules = work.datasource.retention.map(retention::rules).unwrap_or_default();
        self.druid.set_rules(&self.config.name, &step.name, &rules).await
    }

    // ---- Waiting

    async fn wait_for_rows(&self, work: &Work<'_>) -> Result<u64> {
        let (name, topic) = (&work.datasource.name, &work.datasource.topic);
        let proof = self.proof(work).await?;
        let counted = self.promised(work, &proof).await?;
        if counted.bad > 0 {
            note!("{name}: records of topic {topic} that cannot be read, and will be no rows: {}", counted.bad);
        }
        let promise = Promise {
            supervisor: &work.desired,
            rows: counted.good,
            records: counted.good + counted.bad,
            must_read: counted.good == 0 || matches!(work.step.action, Action::Change(_)),
            proof,
            failed_before: work.failed_before.clone(),
        };
        let ready = wait::wait(&self.druid, &promise, |rows| show_progress(name, rows, &promise)).await?;
        if ready.skipped > 0 {
            note!("{name}: records that Druid could not read and skipped (its log names them): {}", ready.skipped);
        }
        self.tell(&format!("ready {name}: {} rows", ready.rows));
        Ok(ready.rows)
    }

    /// How to know that a datasource's rows are there.
    async fn proof(&self, work: &Work<'_>) -> Result<Proof> {
        if !self.may_have_fewer_rows(work).await? {
            return Ok(Proof::Rows);
        }
        let counts = work.datasource.rollup.iter().flat_map(|rollup| &rollup.measures);
        let count = counts.into_iter().find(|measure| measure.function == Function::Count).map(|measure| measure.name.clone());
        // Rows of another topic would be counted as well.
        let moved = matches!(&work.step.action, Action::Change(changes) if diff::other_topic(changes));
        let count = count.filter(|_| !moved);
        let (kafka, topic) = (self.config.kafka.clone(), work.datasource.topic.clone());
        let reached = self.druid.status(&work.datasource.name).await?.reached();
        let mut ends = work.ends.clone();
        for (partition, ends) in &mut ends {
            // What is below was read long ago.
            ends.low = reached.get(partition).map_or(ends.low, |reached| (*reached).clamp(ends.low, ends.high));
        }
        let mut targets = BTreeMap::new();
        let targets = blocking(move || {
            kafka::scan(&kafka, &topic, &ends, |record| {
                targets.insert(record.partition(), record.offset() + 1);
                Ok(())
            })?;
            Ok(targets)
        });
        Ok(Proof::Offsets { targets: targets.await?, count })
    }

    /// Whether a datasource may have fewer rows than its topic has records: they are added up, or were once; they are dropped when
    /// they are old; or they are of another topic.
    async fn may_have_fewer_rows(&self, work: &Work<'_>) -> Result<bool> {
        if work.datasource.rollup.is_some() || work.datasource.retention.is_some() || !work.rules.rules.is_empty() {
            return Ok(true);
        }
        if work.found.is_none() || self.druid.rows(&work.datasource.name, None).await? >= records_at_most(&work.ends) {
            return Ok(matches!(&work.step.action, Action::Change(changes) if diff::other_topic(changes)));
        }
        let versions = self.druid.history(&work.datasource.name).await?;
        let topic = json!(work.datasource.topic);
        let differs = |spec: &Value| {
            spec.pointer("/spec/dataSchema/granularitySpec/rollup") == Some(&json!(true))
                || spec.pointer("/spec/ioConfig/topic").is_some_and(|before| *before != topic)
        };
        Ok(versions.iter().any(|version| differs(&version.spec)))
    }

    /// How many records Druid shall have made rows of. The topic is read for that only if it may be that some are missing.
    async fn promised(&self, work: &Work<'_>, proof: &Proof) -> Result<Counted> {
        let (name, most) = (&work.datasource.name, records_at_most(&work.ends));
        let seen = match proof {
            Proof::Rows => self.druid.rows(name, None).await?,
            Proof::Offsets { count: Some(count), .. } => self.druid.rows(name, Some(count)).await?,
            Proof::Offsets { targets, count: None } => {
                if targets.is_empty() {
                    return Ok(Counted { good: most, ..Counted::default() });
                }
                0
            }
        };
        if seen >= most {
            return Ok(Counted { good: most, ..Counted::default() });
        }
        let (kafka, topic, ends): (config::Kafka, String, _) =
            (self.config.kafka.clone(), work.datasource.topic.clone(), work.ends.clone());
        let (registry, runtime) = (self.registry.clone(), tokio::runtime::Handle::current());
        let mut readable = Readable::new(&work.datasource.time);
        let schema = move |id| Ok(runtime.block_on(registry.by_id(id))?.map(|found| found.schema));
        blocking(move || kafka::count(&kafka, &topic, &ends, |value| readable.is_row(value, &schema))).await
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

/// Waits for a supervisor that is posted over one that runs, which Druid stops first.
async fn patiently(name: &str, posted: impl Future<Output = Result<()>>) -> Result<()> {
    let patience = async {
        tokio::time::sleep(SLOW).await;
        note!("{name}: Druid is stopping the old supervisor; one that does not reach Kafka takes a minute or two for it");
        std::future::pending().await
    };
    tokio::select! {
        posted = posted => posted,
        never = patience => never,
    }
}

fn show_progress(name: &str, rows: u64, promise: &Promise<'_>) {
    match (&promise.proof, promise.rows) {
        (_, 0) => {}
        (Proof::Offsets { count: None, .. }, records) => note!("{name}: {rows} rows, of {records} records"),
        (Proof::Offsets { .. }, records) => note!("{name}: rows of {rows} of {records} records"),
        (Proof::Rows, promised) => note!("{name}: {rows} of {promised} rows"),
    }
}

fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

fn records_at_most(ends: &BTreeMap<i32, Ends>) -> u64 {
    ends.values().map(|ends| u64::try_from(ends.high - ends.low).unwrap_or(0)).sum()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::new(Kind::Failed, format!("a thread ended early: {error}")))?
}
