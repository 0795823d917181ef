//! Waiting until the rows are there, or telling why they are not.
//!
//! `healthy` proves nothing: a supervisor says so while every task of it fails. What counts is rows that a query sees; and when
//! none come, the tasks that failed meanwhile.
//!
//! Where rows are added up as they come, or dropped when they are old, there are fewer of them than records. Then it is the sum
//! of a column that counts records, if there is one, or else how far the tasks have read: a row can be queried before its task
//! tells of its offset.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Druid;
use super::cause::{self, Seen};
use super::spec::Supervisor;
use super::status::{Status, Task};
use crate::error::{Error, Result};

/// How often Druid is asked.
const PAUSE: Duration = Duration::from_secs(1);
/// Without a new row for so long, waiting ends. Druid itself takes up to 12 s from a new supervisor to its first row.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for offsets, which Druid tells every half minute.
const OFFSETS_PATIENCE: Duration = Duration::from_secs(120);
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
    /// How it is known that the rows are there.
    pub proof: Proof,
    /// Whether a task must read before the wait is over, whatever rows there are: after a change, or when there is nothing to read.
    pub must_read: bool,
    /// The tasks that had failed before.
    pub failed_before: HashSet<String>,
}

/// How it is known that the rows are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// As many are seen as there are records.
    Rows,
    /// The tasks have read up to these offsets.
    Offsets {
        /// By partition: the offset behind the last record; only of partitions with something to read.
        targets: BTreeMap<i32, i64>,
        /// The column whose sum is the number of records, if there is one: it is the faster proof.
        count: Option<String>,
    },
}

impl Proof {
    fn column(&self) -> Option<&str> {
        match self {
            Self::Rows => None,
            Self::Offsets { count, .. } => count.as_deref(),
        }
    }

    /// Whether what is counted are records: if not, there may be fewer.
    fn is_exact(&self) -> bool {
        !matches!(self, Self::Offsets { count: None, .. })
    }

    /// Whether the tasks have read enough, where that is the proof.
    fn is_read(&self, status: &Status) -> bool {
        let Self::Offsets { targets, .. } = self else { return false };
        let reached = status.reached();
        targets.iter().all(|(partition, target)| reached.get(partition).is_some_and(|offset| offset >= target))
    }

    fn patience(&self) -> Duration {
        if matches!(self, Self::Rows) { PATIENCE } else { OFFSETS_PATIENCE }
    }
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
        let rows = druid.rows(id, promise.proof.column()).await?;
        let status = druid.status(id).await?;
        if pace.advanced(rows, status.reached().values().sum()) {
            pace.known_failures.extend(failed_tasks(druid, id).await?);
            progress(rows);
        }
        if let Some(ready) = ready(druid, promise, &pace, &status).await? {
            return Ok(ready);
        }
        if let Some(error) = trouble(druid, promise, &pace, status).await? {
            return Err(error.while_doing(place(promise, &pace)));
        }
        sleep(PAUSE).await;
    }
}

/// How far it is, and since when it is no further.
struct Pace {
    rows: Option<u64>,
    /// The sum of the offsets that the tasks have reached.
    offsets: i64,
    since: Instant,
    known_failures: HashSet<String>,
}

impl Pace {
    fn new(known_failures: HashSet<String>) -> Self {
        Self { rows: None, offsets: 0, since: Instant::now(), known_failures }
    }

    fn advanced(&mut self, rows: u64, offsets: i64) -> bool {
        let more = self.rows.is_none_or(|before| rows > before) || offsets > self.offsets;
        if more {
            self.rows = Some(rows);
            self.offsets = offsets;
            self.since = Instant::now();
        }
        more
    }

    fn rows(&self) -> u64 {
        self.rows.unwrap_or(0)
    }
}

async fn ready(druid: &Druid, promise: &Promise<'_>, pace: &Pace, status: &Status) -> Result<Option<Ready>> {
    let (id, rows, proof) = (promise.supervisor.id(), pace.rows(), &promise.proof);
    let counted = proof.is_exact() && rows >= promise.rows;
    let settled = !promise.must_read || status.reads();
    if counted {
        let rows = if *proof == Proof::Rows { rows } else { druid.rows(id, None).await? };
        return Ok((settled && !status.in_trouble()).then_some(Ready { rows, skipped: 0 }));
    }
    if proof.is_read(status) && settled && !status.in_trouble() {
        let skipped = druid.stats(id).await?.unparseable();
        return Ok(Some(Ready { rows: druid.rows(id, None).await?, skipped }));
    }
    if *proof != Proof::Rows || pace.since.elapsed() < QUIET {
        return Ok(None);
    }
    let skipped = druid.stats(id).await?.unparseable();
    Ok((skipped > 0 && rows + skipped >= promise.records).then_some(Ready { rows, skipped }))
}

/// The error to end with, if waiting on is in vain.
async fn trouble(druid: &Druid, promise: &Promise<'_>, pace: &Pace, status: Status) -> Result<Option<Error>> {
    let id = promise.supervisor.id();
    let quiet = pace.since.elapsed();
    let new = |task: &Task| task.failed() && !pace.known_failures.contains(&task.id);
    let mut failed: Vec<Task> = druid.tasks(id, "complete").await?.into_iter().filter(new).collect();
    let vain = failed.len() >= FAILURES
        || status.suspended
        || quiet >= promise.proof.patience()
        || (quiet >= CONNECTING && status.cannot_reach_kafka());
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
    } else if promise.proof.is_exact() {
        format!("datasource {id} has {rows} of {promised} rows, and no new one for {quiet} s")
    } else {
        format!("datasource {id} has {rows} rows, and no new one for {quiet} s, but has not read all {promised} records")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::druid::status::Envelope;

    #[test]
    fn tasks_have_read_enough_when_they_are_behind_the_last_record_of_each_partition() {
        let status = |offsets: &str| {
            let text = format!(
                r#"{{"payload": {{"activeTasks": [{{"startingOffsets": {{"0": 0, "1": 0}}, "currentOffsets": {offsets}}}]}}}}"#
            );
            serde_json::from_str::<Envelope>(&text).unwrap().payload
        };
        let proof = Proof::Offsets { targets: BTreeMap::from([(0, 10), (1, 7)]), count: None };
        assert!(!proof.is_read(&status("{}")));
        assert!(!proof.is_read(&status(r#"{"0": 10, "1": 6}"#)));
        assert!(proof.is_read(&status(r#"{"0": 10, "1": 8}"#)));
        assert!(!proof.is_read(&Status::default()), "no task, no proof");
        let nothing = Proof::Offsets { targets: BTreeMap::new(), count: None };
        assert!(nothing.is_read(&Status::default()));
        assert!(!Proof::Rows.is_read(&status(r#"{"0": 99, "1": 99}"#)));
    }
}
