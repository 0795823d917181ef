//! Waiting until the rows are there, or telling why they are not.
//!
//! `healthy` proves nothing: a supervisor says so while every task of it fails. What counts is rows that a query sees; and when
//! none come, the tasks that failed meanwhile.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Druid;
use super::cause::{self, Seen};
use super::spec::Supervisor;
use super::status::Task;
use crate::error::{Error, Result};

/// How often Druid is asked.
const PAUSE: Duration = Duration::from_secs(1);
/// Without a new row for so long, waiting ends. Druid itself takes up to 12 s from a new supervisor to its first row.
const PATIENCE: Duration = Duration::from_secs(60);
/// Without a new row for so long, records that could not be read are looked for.
const QUIET: Duration = Duration::from_secs(5);
/// Druid tries again after a task failed. So many in a row, and the next would fail as well.
const FAILURES: usize = 2;
/// So long a supervisor may say that it has no connection to Kafka: it does so at its start.
const CONNECTING: Duration = Duration::from_secs(11);

/// What is waited for.
#[derive(Debug)]
pub struct Promise<'a> {
    /// The supervisor.
    pub supervisor: &'a Supervisor,
    /// How many records will be rows.
    pub rows: u64,
    /// How many records there are, those that nobody can read included.
    pub records: u64,
    /// Whether a task must read before the wait is over, whatever rows there are: after a change, or when there is nothing to read.
    pub must_read: bool,
    /// The tasks that had failed before.
    pub failed_before: HashSet<String>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Rows that a query sees.
    pub rows: u64,
    /// Records that Druid skipped because it could not read them.
    pub skipped: u64,
}

/// The ids of a datasource's tasks that failed up to now.
pub async fn failed_tasks(druid: &Druid, datasource: &str) -> Result<HashSet<String>> {
    let tasks = druid.tasks(datasource, "complete").await?;
    Ok(tasks.into_iter().filter(Task::failed).map(|task| task.id).collect())
}

/// Waits until a query sees what was promised. `progress` hears of every new number of rows.
pub async fn wait(druid: &Druid, promise: &Promise<'_>, mut progress: impl FnMut(u64)) -> Result<Ready> {
    let id = promise.supervisor.id();
    let mut pace = Pace::new(promise.failed_before.clone());
    loop {
        let rows = druid.rows(id).await?;
        if pace.advanced(rows) {
            pace.known_failures.extend(failed_tasks(druid, id).await?);
            progress(rows);
        }
        if let Some(ready) = ready(druid, promise, &pace).await? {
            return Ok(ready);
        }
        if let Some(error) = trouble(druid, promise, &pace).await? {
            return Err(error.while_doing(place(promise, &pace)));
        }
        sleep(PAUSE).await;
    }
}

/// Rows so far, and since when there are so many.
struct Pace {
    rows: Option<u64>,
    since: Instant,
    known_failures: HashSet<String>,
}

impl Pace {
    fn new(known_failures: HashSet<String>) -> Self {
        Self { rows: None, since: Instant::now(), known_failures }
    }

    fn advanced(&mut self, rows: u64) -> bool {
        let more = self.rows.is_none_or(|before| rows > before);
        if more {
            self.rows = Some(rows);
            self.since = Instant::now();
        }
        more
    }

    fn rows(&self) -> u64 {
        self.rows.unwrap_or(0)
    }
}

async fn ready(druid: &Druid, promise: &Promise<'_>, pace: &Pace) -> Result<Option<Ready>> {
    let id = promise.supervisor.id();
    let rows = pace.rows();
    if rows >= promise.rows {
        let status = druid.status(id).await?;
        let settled = if promise.must_read { status.reads() } else { true };
        return Ok((settled && !status.in_trouble()).then_some(Ready { rows, skipped: 0 }));
    }
    if pace.since.elapsed() < QUIET {
        return Ok(None);
    }
    let skipped = druid.stats(id).await?.unparseable();
    Ok((skipped > 0 && rows + skipped >= promise.records).then_some(Ready { rows, skipped }))
}

/// The error to end with, if waiting on is in vain.
async fn trouble(druid: &Druid, promise: &Promise<'_>, pace: &Pace) -> Result<Option<Error>> {
    let id = promise.supervisor.id();
    let quiet = pace.since.elapsed();
    let status = druid.status(id).await?;
    let new = |task: &Task| task.failed() && !pace.known_failures.contains(&task.id);
    let mut failed: Vec<Task> = druid.tasks(id, "complete").await?.into_iter().filter(new).collect();
    let vain =
        failed.len() >= FAILURES || status.suspended || quiet >= PATIENCE || (quiet >= CONNECTING && status.cannot_reach_kafka());
    if !vain {
        return Ok(None);
    }
    let mut queued = 0;
    for state in ["pending", "waiting"] {
        queued += druid.tasks(id, state).await?.len();
    }
    let failed = (!failed.is_empty()).then(|| failed.swap_remove(0));
    Ok(Some(cause::stalled(promise.supervisor, &Seen { status, failed, queued, workers: druid.workers().await? })))
}

fn place(promise: &Promise<'_>, pace: &Pace) -> String {
    let (id, rows, promised) = (promise.supervisor.id(), pace.rows(), promise.rows);
    let quiet = pace.since.elapsed().as_secs();
    if promised == 0 {
        format!("datasource {id} does not get ready, and that for {quiet} s")
    } else {
        format!("datasource {id} has {rows} of {promised} rows, and no new one for {quiet} s")
    }
}
