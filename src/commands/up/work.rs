//! The steps, one after the other, and beside each other where that saves time.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::super::druid_ingest::{self, Desk, Told};
use super::super::line::{Aggregating, History, Line, Producing};
use super::super::{blocking, produce};
use super::steps::{Step, Steps};
use crate::aggregate::{Snapshot, Status};
use crate::cli::Up;
use crate::config::{Config, Millis, Source};
use crate::doctor::{self, Verdict};
use crate::error::{Error, Kind, Result};
use crate::kafka::Cluster;
use crate::superset::{self, Manner};
use crate::verify::{self, Report, Scope, Verifier};

/// No more events are made up as history: that many take seconds.
const MOST_HISTORY: f64 = 100_000.0;
/// How often it is looked how far something is.
const LOOK: Duration = Duration::from_millis(100);
/// So long after the last record was read its rows are committed.
const SETTLED: Duration = Duration::from_millis(1_200);
/// How long something may take that follows from what is there.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many differences are told.
const DIFFERENCES: usize = 5;

/// What verify says, again and again.
pub(super) type Reports = watch::Receiver<Arc<Report>>;

/// The names of the steps.
const SERVERS: &str = "servers";
const TOPICS: &str = "topics";
const HISTORY: &str = "history";
const AGGREGATE: &str = "aggregate";
const DRUID: &str = "Druid";
const SUPERSET: &str = "Superset";
const VERIFY: &str = "verify";

/// What is brought up, and how far it is.
pub(super) struct Work<'a> {
    pub config: &'a Config,
    pub args: &'a Up,
    /// One for each aggregate.
    pub statuses: Vec<Status>,
    pub steps: Steps,
    /// The dashboard's address.
    pub page: OnceCell<String>,
    /// Once comparing has begun.
    pub reports: OnceCell<Reports>,
}

impl<'a> Work<'a> {
    pub fn new(config: &'a Config, args: &'a Up) -> Self {
        let wanted = [
            (SERVERS, true),
            (TOPICS, true),
            (HISTORY, wants_history(args)),
            (AGGREGATE, !config.aggregates.is_empty()),
            (DRUID, !config.datasources.is_empty()),
            (SUPERSET, has_dashboard(config)),
            (VERIFY, true),
        ];
        let names: Vec<&str> = wanted.iter().filter(|(_, is_wanted)| *is_wanted).map(|(name, _)| *name).collect();
        Self {
            config,
            args,
            statuses: config.aggregates.iter().map(|_| Status::default()).collect(),
            steps: Steps::new(&names),
            page: OnceCell::new(),
            reports: OnceCell::new(),
        }
    }

    /// Does all of it. The verifier goes on comparing until it is dropped.
    pub async fn run(&self, line: &mut Line) -> Result<Verifier> {
        self.step(SERVERS, async |step| self.servers(step).await).await?;
        self.step(TOPICS, async |step| self.topics(step, line).await).await?;
        let (read, is_read) = oneshot::channel();
        let line = &*line;
        let events = async {
            if wants_history(self.args) {
                self.step(HISTORY, async |step| Ok(((), history(step, &line.producing).await))).await?;
            }
            if !line.aggregating.is_empty() {
                self.step(AGGREGATE, async |step| self.aggregate(step, line).await).await?;
            }
            // Nobody waits for it where nothing is ingested.
            let _ = read.send(());
            Ok(())
        };
        let druid = async {
            if self.config.datasources.is_empty() {
                return Ok(());
            }
            self.step(DRUID, async |step| self.druid(step, is_read).await).await
        };
        tokio::try_join!(events, druid)?;
        if has_dashboard(self.config) {
            self.step(SUPERSET, async |step| self.superset(step).await).await?;
        }
        self.step(VERIFY, async |step| self.verify(step).await).await
    }

    /// One step, from its begin to the line that says what it came to.
    async fn step<T>(&self, name: &'static str, work: impl AsyncFnOnce(&Step<'_>) -> Result<(T, String)>) -> Result<T> {
        let step = self.steps.begin(name);
        match work(&step).await {
            Ok((result, detail)) => {
                step.done(&detail);
                Ok(result)
            }
            Err(error) => {
                step.failed();
                Err(error)
            }
        }
    }

    async fn servers(&self, step: &Step<'_>) -> Result<((), String)> {
        let bar = step.bar();
        let mut config = self.config.clone();
        if self.args.no_produce {
            // Others write: what they need for it is theirs.
            config.sources.iter_mut().for_each(|source| source.generate.clear());
        }
        let report = doctor::examine(&config, self.args.adopt, |finding| bar.set_message(finding.what.clone())).await;
        let failed = report.findings.iter().filter_map(|finding| match &finding.verdict {
            Verdict::Failed(error) => Some((&finding.what, error)),
            _ => None,
        });
        if let Some(error) = report.first_hindrance() {
            failed.for_each(|(what, error)| note!("{:18}{what}: {}", "", error.message));
            return Err(error.clone());
        }
        let notes = report.findings.iter().filter(|finding| matches!(finding.verdict, Verdict::Note(_))).count();
        let notes = if notes > 0 { format!(", worth knowing: {notes} (`pipeline doctor`)") } else { String::new() };
        let wrong = match failed.count() {
            0 => "nothing is wrong".to_owned(),
            some => format!("to be put right: {some}"),
        };
        Ok(((), format!("looked at {} things, {wrong}{notes}", report.findings.len())))
    }

    // ---- Topics, schemas, events

    async fn topics(&self, step: &Step<'_>, line: &mut Line) -> Result<((), String)> {
        let before = self.look_at_topics().await?;
        for source in &self.config.sources {
            if !self.is_made_up(source) && !self.is_sink(source) && !before.contains_key(&source.topic) {
                let what = format!("there is no topic {}, and no events are made up for it", source.topic);
                let hint = "write to it first; or leave --no-produce out, with a [source.generate] in the pipeline file";
                return Err(Error::new(Kind::Unreachable, what).hint(hint));
            }
        }
        for source in self.config.sources.iter().filter(|source| self.is_made_up(source)) {
            step.message(format!("{}: schema, topic, events", source.topic));
            let has_events = before.get(&source.topic).is_some_and(|has_events| *has_events);
            let history = if has_events { None } else { self.history() };
            line.produce(self.config, source, history, self.args.rate).await?;
        }
        for (aggregate, status) in self.config.aggregates.iter().zip(&self.statuses) {
            step.message(format!("{}: schemas, topics", aggregate.sink));
            line.aggregate(self.config, aggregate, Arc::clone(status)).await?;
        }
        let (there, created): (Vec<String>, Vec<String>) =
            self.topic_names().into_iter().partition(|topic| before.contains_key(topic));
        let told = |what: &str, topics: &[String]| (!topics.is_empty()).then(|| format!("{what} {}", topics.join(", ")));
        Ok(((), [told("created", &created), told("found", &there)].into_iter().flatten().collect::<Vec<_>>().join("; ")))
    }

    /// The topics that are there, and whether each has had records.
    async fn look_at_topics(&self) -> Result<BTreeMap<String, bool>> {
        let (kafka, names) = (self.config.kafka.clone(), self.topic_names());
        blocking(move || {
            let (cluster, mut found) = (Cluster::new(&kafka, "read_uncommitted")?, BTreeMap::new());
            for name in names {
                if cluster.partitions(&name)?.is_some() {
                    let has_records = cluster.ends(&name)?.values().any(|ends| ends.high > 0);
                    found.insert(name, has_records);
                }
            }
            Ok(found)
        })
        .await
    }

    fn topic_names(&self) -> BTreeSet<String> {
        let sources = self.config.sources.iter().map(|source| source.topic.clone());
        let aggregates = self.config.aggregates.iter();
        sources.chain(aggregates.flat_map(|aggregate| [aggregate.sink.clone(), aggregate.dead_letter_topic()])).collect()
    }

    /// Whether events are made up for a source: nobody wants them in a topic of which the file says nothing to that end.
    fn is_made_up(&self, source: &Source) -> bool {
        !self.args.no_produce && !source.generate.is_empty() && !self.is_sink(source)
    }

    fn is_sink(&self, source: &Source) -> bool {
        self.config.aggregates.iter().any(|aggregate| aggregate.sink == source.topic)
    }

    fn history(&self) -> Option<History> {
        let Up { backfill: span, rate, .. } = *self.args;
        let count = (span.0 as f64 / 1e3 * rate).clamp(1.0, MOST_HISTORY);
        (span > Millis(0)).then_some(History { span, count: count as u64 })
    }

    /// Waits until what was there is read, and has come to rows.
    async fn aggregate(&self, step: &Step<'_>, line: &Line) -> Result<((), String)> {
        let (sinks, before) = (self.config.aggregates.iter(), self.look_at_topics().await?);
        let mut waits: Vec<CatchUp> = sinks
            .zip(&line.aggregating)
            .map(|(aggregate, one)| CatchUp {
                limit: aggregate.window.to_std() + aggregate.lateness.to_std() + aggregate.idle_timeout.to_std() + PATIENCE,
                has_rows: before.get(&aggregate.sink).is_some_and(|has_rows| *has_rows),
                goal: goal_of_history(one, &line.producing),
                is_exact: goal_of_history(one, &line.producing).is_some(),
                read_at: None,
            })
            .collect();
        loop {
            let snapshots: Vec<Snapshot> = line.aggregating.iter().map(|one| one.status.snapshot()).collect();
            let stages: Vec<Stage> = waits.iter_mut().zip(&snapshots).map(|(wait, snapshot)| wait.look(snapshot)).collect();
            let sum = |of: fn(&Snapshot) -> u64| snapshots.iter().map(of).sum::<u64>();
            if stages.iter().all(|stage| *stage == Stage::Done) {
                let (records, rows) = (sum(|one| one.records), sum(|one| one.rows));
                return Ok(((), format!("{records} records read, {rows} rows written")));
            }
            let goals: u64 = waits.iter().filter_map(|wait| wait.goal).sum();
            match stages.into_iter().find(|stage| *stage != Stage::Done) {
                Some(Stage::Reading) => step.progress(sum(|one| one.records), goals, "records"),
                Some(Stage::Committing) => step.message("all is read; rows are committed".into()),
                Some(Stage::Closing) => step.message("all is read; no window is closed yet".into()),
                _ => step.message("takes up where the last run came to".into()),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    // ---- Druid, Superset, verify

    async fn druid(&self, step: &Step<'_>, is_read: oneshot::Receiver<()>) -> Result<((), String)> {
        let rows = RefCell::new(BTreeMap::new());
        let tell = |told: Told<'_>| match told {
            Told::Line(_) => {}
            Told::Note(line) => note!("{line}"),
            Told::Warning(line) => warning!("{line}"),
            Told::Waiting(line) => step.message(line.into()),
            Told::Rows(name, seen, promise) => {
                let mut rows = rows.borrow_mut();
                rows.insert(name.to_owned(), (seen.min(promise.rows), promise.rows));
                let (seen, all) = rows.values().fold((0, 0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
                step.progress(seen, all, format_args!("rows, now of {name}"));
            }
        };
        let desk = Desk::new(self.config, self.args.adopt, &tell)?;
        step.message("looks at what it has".into());
        let mut works = desk.look().await?;
        step.message("looks at the topics, and is given its supervisors".into());
        desk.post(&works).await?;
        step.is_long("starts its tasks, which read the topics: 10 s as a rule");
        // An error has ended the other side, and then this one.
        if is_read.await.is_err() {
            return std::future::pending().await;
        }
        desk.look_at_ends(&mut works).await?;
        let rows = desk.wait(&works).await?;
        let rows: Vec<String> = rows.iter().map(|(name, rows)| format!("{rows} rows in {name}")).collect();
        Ok(((), format!("{}; supervisors: {}", rows.join(", "), druid_ingest::plan_of(&works).summary())))
    }

    async fn superset(&self, step: &Step<'_>) -> Result<((), String)> {
        step.is_long("takes the dashboard, and runs each chart's query");
        let outcome = superset::bootstrap(self.config, Manner { dry_run: false, adopt: self.args.adopt }).await?;
        outcome.warnings().for_each(|warning| tracing::warn!("{warning}"));
        outcome.result()?;
        // It is set once, here.
        let _ = outcome.page.clone().map(|page| self.page.set(page));
        Ok(((), format!("every chart has data; objects: {}", outcome.plan.summary())))
    }

    async fn verify(&self, step: &Step<'_>) -> Result<(Verifier, String)> {
        let verifier = Verifier::start(self.config, Scope::default())?;
        step.is_long("reads the topics, and compares");
        let mut reports = verifier.reports.clone();
        // It is set once, here.
        let _ = self.reports.set(reports.clone());
        let mut patience = Patience::new(self.first_window());
        loop {
            let report = Arc::clone(&reports.borrow_and_update());
            match report.verdict {
                verify::Verdict::Equal => return Ok((verifier, cells(&report))),
                verify::Verdict::Differs => return Err(differs(&report)),
                verify::Verdict::Waiting => show(step, &report),
            }
            patience.hear(&report)?;
            tokio::select! {
                changed = reports.changed() => if changed.is_err() { return Err(verifier.ended().await) },
                () = tokio::time::sleep(PATIENCE) => {}
            }
        }
    }

    /// How long the first window takes to be closed.
    fn first_window(&self) -> Duration {
        let longest =
            self.config.aggregates.iter().map(|one| one.window.to_std() + one.lateness.to_std() + one.idle_timeout.to_std());
        longest.max().unwrap_or_default()
    }
}

fn wants_history(args: &Up) -> bool {
    !args.no_produce && args.backfill > Millis(0)
}

/// Whether the file has something for Superset.
fn has_dashboard(config: &Config) -> bool {
    config.dashboard.is_some() || !config.charts.is_empty()
}

/// Whoever makes events up may be asked for these.
pub(super) fn check(config: &Config, args: &Up) -> Result<()> {
    if config.aggregates.is_empty() && config.datasources.is_empty() {
        let message = "the pipeline file has no [[aggregate]] and no [[datasource]]: there is nothing to bring up";
        return Err(Error::new(Kind::Config, message).hint("`pipeline init` proposes them for a topic"));
    }
    produce::check(&super::super::line::live(args.rate))
}

/// Waits until the history is written.
async fn history(step: &Step<'_>, producing: &[Producing]) -> String {
    let of_history = || producing.iter().filter_map(|one| Some((one, one.history?)));
    let all: u64 = of_history().map(|(_, history)| history.count).sum();
    if all == 0 {
        return if producing.is_empty() { "none: no events are made up" } else { "none: there are events already" }.into();
    }
    loop {
        let (delivered, failed) =
            of_history().fold((0, 0), |sums, (one, _)| (sums.0 + one.tally.delivered(), sums.1 + one.tally.failed()));
        if delivered + failed >= all {
            let topics: Vec<String> = of_history().map(|(one, history)| format!("{} of {}", history.span, one.topic)).collect();
            let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
            return format!("{delivered} events{failed}: the last {}", topics.join(", "));
        }
        step.progress(delivered, all, "events");
        tokio::time::sleep(LOOK).await;
    }
}

/// How many records an aggregate has read when it has read its source's history; `None`: there is none.
fn goal_of_history(aggregating: &Aggregating, producing: &[Producing]) -> Option<u64> {
    let source = producing.iter().find(|one| one.topic == aggregating.source)?;
    source.history.map(|_| source.tally.delivered())
}

/// How far an aggregate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It joins, and looks where the last run came to.
    Joining,
    /// It reads what was there.
    Reading,
    /// It has read that, and its rows are not committed yet.
    Committing,
    /// It has read that, and no window is closed yet.
    Closing,
    Done,
}

/// Waiting for an aggregate to have read what was there, and to have come to a row.
struct CatchUp {
    /// How many records it has read then.
    goal: Option<u64>,
    /// Whether those were all written by this process, and are known better than where the topic ends.
    is_exact: bool,
    /// Whether earlier runs came to rows.
    has_rows: bool,
    /// How long a window that has records may take to be closed.
    limit: Duration,
    /// Since when all is read, and how many transactions were committed then.
    read_at: Option<(Instant, u64)>,
}

impl CatchUp {
    fn look(&mut self, now: &Snapshot) -> Stage {
        let Some(lag) = now.input_lag.filter(|_| now.has_begun) else { return Stage::Joining };
        let goal = *self.goal.get_or_insert_with(|| now.records + lag.unsigned_abs());
        let is_read = now.records >= goal || (lag == 0 && !self.is_exact);
        if !is_read && self.read_at.is_none() {
            return Stage::Reading;
        }
        let (since, commits) = *self.read_at.get_or_insert_with(|| (Instant::now(), now.commits));
        let is_committed = now.commits > commits || since.elapsed() > SETTLED;
        let waits_for_a_row = now.records > 0 && !self.has_rows && now.rows == 0;
        if waits_for_a_row && since.elapsed() < self.limit {
            return Stage::Closing;
        }
        if is_committed { Stage::Done } else { Stage::Committing }
    }
}

/// Waits no longer than it takes for a window to close, counted from the last progress.
struct Patience {
    limit: Duration,
    since: Instant,
    seen: (i64, u64),
}

impl Patience {
    fn new(first_window: Duration) -> Self {
        Self { limit: first_window + PATIENCE, since: Instant::now(), seen: (0, 0) }
    }

    /// An error if nothing has changed for too long.
    fn hear(&mut self, report: &Report) -> Result<()> {
        let seen = (report.reading.map_or(i64::MAX, |(done, _)| done), report.cells().0);
        if seen != self.seen {
            (self.seen, self.since) = (seen, Instant::now());
        }
        if self.since.elapsed() < self.limit {
            return Ok(());
        }
        let why = report.trouble.clone().unwrap_or_else(|| "is something written to the source topic?".into());
        let what = format!("nothing could be verified for {} s", self.since.elapsed().as_secs());
        Err(Error::new(Kind::Failed, what).hint(why))
    }
}

fn show(step: &Step<'_>, report: &Report) {
    let waiting: u64 = report.comparisons.iter().map(|one| one.waiting).sum();
    let (equal, differing) = report.cells();
    match (report.reading, &report.trouble) {
        (_, Some(trouble)) => step.message(trouble.clone()),
        (Some((done, all)), _) => step.progress(done.unsigned_abs(), all.unsigned_abs(), "records read again"),
        (None, _) => step.progress(equal, equal + differing + waiting, "cells are equal"),
    }
}

/// What was compared, hop by hop.
fn cells(report: &Report) -> String {
    let mut hops = BTreeMap::new();
    for one in &report.comparisons {
        *hops.entry(one.hop).or_insert(0) += one.equal;
    }
    let hops: Vec<String> = hops.into_iter().map(|(hop, equal)| format!("{equal} in {hop:?}")).collect();
    format!("equal cells: {}", hops.join(", "))
}

/// The first differences, and an error that counts them.
pub(super) fn differs(report: &Report) -> Error {
    let all = report.comparisons.iter().flat_map(|one| &one.differences);
    for one in all.take(DIFFERENCES) {
        let time = one.time.map(|time| format!("{} ", crate::config::Instant(time))).unwrap_or_default();
        let or_nothing = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
        let (expected, found) = (or_nothing(&one.expected), or_nothing(&one.found));
        note!("differs  {}: {time}{} {} is {found}, and not {expected} ({})", one.name, one.group, one.metric, one.why);
    }
    let (equal, differing) = report.cells();
    let what = format!("{differing} of {} cells differ from what the topics say", equal + differing);
    Error::new(Kind::Differs, what).hint("`pipeline verify` tells each of them")
}
