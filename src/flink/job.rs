//! One job: submitted or found, looked at, and brought to its end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::cause;
use super::cluster::{Cluster, Listed, Progress, Savepoint};
use super::gateway::Gateway;
use super::secrets::Secrets;
use super::sql::{Script, secrets};
use crate::config::Config;
use crate::error::{Error, Kind, Result};

/// How long stopping may take: a savepoint of all open windows, and what is written is committed.
const STOP_LIMIT: Duration = Duration::from_secs(120);
/// How long a job that is told to end at once may take to.
const CANCEL_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// A job that never had a checkpoint is given up after so many failures,
const FAILURES_BEFORE: u64 = 2;
/// and one that had, after so many without another checkpoint in between.
const FAILURES_BETWEEN: u64 = 5;

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It comes up, runs, or is started again.
    Alive,
    /// It has come to its end: a bounded one, or one that was stopped.
    Finished,
    /// Somebody cancelled it.
    Canceled,
    /// It has failed for good.
    Failed,
}

impl State {
    fn of(state: &str) -> Self {
        match state {
            "FINISHED" => Self::Finished,
            "CANCELED" | "SUSPENDED" => Self::Canceled,
            "FAILED" => Self::Failed,
            _ => Self::Alive,
        }
    }
}

/// A look at a job.
#[derive(Debug, Clone)]
pub struct Look {
    /// Where it is in its life.
    pub state: State,
    /// The same in Flink's word.
    pub word: String,
    /// How many of its tasks run, and how many there are.
    pub tasks: (u32, u32),
    /// Checkpoints completed since it was submitted.
    pub checkpoints: u64,
    /// How often it was started again.
    pub restarts: u64,
    /// What it has read and written since it last began.
    pub progress: Progress,
}

/// A job of the cluster.
pub struct Job {
    cluster: Cluster,
    secrets: Secrets,
    kafka: String,
    /// Its id.
    pub id: String,
    meters: BTreeMap<String, Vec<String>>,
    /// The checkpoints when they last grew, and the restarts at that time.
    grown: (u64, u64),
    last: Option<Look>,
}

impl Job {
    fn new(config: &Config, cluster: &Cluster, id: String) -> Self {
        let (secrets, kafka) = (secrets(config), config.kafka_for_flink().to_owned());
        Self { cluster: cluster.clone(), secrets, kafka, id, meters: BTreeMap::new(), grown: (0, 0), last: None }
    }

    /// The job of this name that has not ended, if there is one.
    pub async fn find(config: &Config, cluster: &Cluster, name: &str) -> Result<Option<Self>> {
        let jobs = cluster.jobs().await?;
        let alive = jobs.into_iter().find(|job| job.name == name && State::of(&job.state) == State::Alive);
        Ok(alive.map(|job| Self::new(config, cluster, job.id)))
    }

    /// Submits a script in a session of the gateway.
    pub async fn submit(config: &Config, cluster: &Cluster, gateway: &Gateway, session: &str, script: &Script) -> Result<Self> {
        Ok(Self::new(config, cluster, gateway.submit(session, script).await?))
    }

    /// Its address on Flink's own page.
    pub fn page(&self) -> String {
        self.cluster.page(&self.id)
    }

    /// Whether it has ever run, as far as it was seen: one that has had no checkpoint has written nothing.
    pub fn has_run(&self) -> bool {
        self.grown.0 > 0
    }

    /// Whether it had not ended when it was last looked at.
    pub fn is_alive(&self) -> bool {
        self.last.as_ref().is_none_or(|look| look.state == State::Alive)
    }

    /// Whether it has had a checkpoint by now.
    pub async fn has_checkpoint(&self) -> Result<bool> {
        Ok(self.cluster.checkpoints(&self.id).await? > 0)
    }

    /// Whether all of it runs at this moment: only then can it be stopped with a savepoint.
    pub async fn is_up(&self) -> Result<bool> {
        let jobs = self.cluster.jobs().await?;
        Ok(jobs.iter().any(|job| job.id == self.id && job.tasks.total > 0 && job.tasks.running == job.tasks.total))
    }

    /// How it is; the last answer where it is asked in the moment at which it ends.
    ///
    /// # Errors
    /// It has failed, or fails again and again: the innermost cause.
    pub async fn look(&mut self) -> Result<Look> {
        let Some(Listed { state: word, tasks, .. }) = self.cluster.jobs().await?.into_iter().find(|job| job.id == self.id) else {
            return Err(Error::new(Kind::Failed, format!("Flink no longer knows job {}", self.id)).hint(
                "was the JobManager started anew? its last savepoint or checkpoint can be gone on from: --savepoint PATH",
            ));
        };
        let state = State::of(&word);
        let checkpoints = self.cluster.checkpoints(&self.id).await?;
        let restarts = self.cluster.restarts(&self.id).await?;
        // A job that has ended has no metrics.
        let progress = if state == State::Alive { self.progress().await? } else { None };
        let progress = progress.or(self.last.as_ref().map(|look| look.progress)).unwrap_or_default();
        let look = Look { state, word, tasks: (tasks.running, tasks.total), checkpoints, restarts, progress };
        if look.checkpoints > self.grown.0 {
            self.grown = (look.checkpoints, look.restarts);
        }
        let failures = look.restarts.saturating_sub(self.grown.1);
        let limit = if look.checkpoints == 0 { FAILURES_BEFORE } else { FAILURES_BETWEEN };
        let gives_up = look.state == State::Failed || look.state == State::Alive && failures >= limit;
        self.last = Some(look.clone());
        if gives_up { Err(self.failure(&look).await?) } else { Ok(look) }
    }

    async fn progress(&mut self) -> Result<Option<Progress>> {
        // Operators come up one after the other, and their metrics with them.
        if self.last.as_ref().is_none_or(|look| look.progress.records == 0) {
            self.meters = self.cluster.meters(&self.id).await?;
        }
        Ok(Some(self.cluster.progress(&self.id, &self.meters).await?).filter(|progress| *progress != Progress::default()))
    }

    async fn failure(&self, look: &Look) -> Result<Error> {
        let trace = self.secrets.hide(&self.cluster.failure(&self.id).await?.unwrap_or_default());
        let how = if look.state == State::Failed {
            "has failed".to_owned()
        } else {
            format!("fails again and again ({} times)", look.restarts)
        };
        Ok(cause::error(&format!("Flink's job {} {how}", self.id), &trace, &self.kafka))
    }

    /// Why it has not run yet, as far as it is known.
    pub async fn reason(&self) -> Result<Error> {
        let Some(look) = &self.last else {
            return Ok(Error::new(Kind::Failed, format!("nothing is known of Flink's job {}", self.id)));
        };
        if look.restarts > 0 {
            return self.failure(look).await;
        }
        let (running, total) = look.tasks;
        let what = format!("Flink's job {} is {}, {running} of {total} tasks run, and it has no checkpoint", self.id, look.word);
        let hint =
            if running < total { "has Flink enough free task slots?" } else { "its own page tells how its checkpoints go" };
        Ok(Error::new(Kind::Watchdog, what).hint(hint))
    }

    /// Stops it with a savepoint: what is open stays open in it. The savepoint's path; the rows of closed windows are committed once
    /// the job [has ended](Job::ended).
    pub async fn stop(&self, folder: Option<&str>) -> Result<String> {
        let failed = |trace: &str| {
            let what = format!("Flink's job {} was not stopped", self.id);
            cause::error(&what, &self.secrets.hide(trace), &self.kafka).hint("it goes on; Flink's own page tells how")
        };
        let request = self.cluster.stop(&self.id, folder).await?;
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            match self.cluster.savepoint(&self.id, &request).await? {
                Savepoint::At(path) => return Ok(path),
                Savepoint::Failed(trace) => return Err(failed(&trace)),
                Savepoint::UnderWay if Instant::now() >= deadline => {
                    let what =
                        format!("Flink's job {} has no savepoint {} s after it was told to stop", self.id, STOP_LIMIT.as_secs());
                    return Err(Error::new(Kind::Watchdog, what).hint(format!("it may yet stop by itself: {}", self.page())));
                }
                Savepoint::UnderWay => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Ends it at once, without a savepoint.
    pub async fn cancel(&self) -> Result<()> {
        self.cluster.cancel(&self.id).await?;
        self.wait_for_end(Instant::now() + CANCEL_LIMIT).await
    }

    /// Waits until it has ended.
    pub async fn ended(&self) -> Result<()> {
        self.wait_for_end(Instant::now() + STOP_LIMIT).await
    }

    async fn wait_for_end(&self, deadline: Instant) -> Result<()> {
        loop {
            let jobs = self.cluster.jobs().await?;
            if !jobs.iter().any(|job| job.id == self.id && State::of(&job.state) == State::Alive) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::new(Kind::Watchdog, format!("Flink's job {} does not end", self.id)).hint(self.page()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
