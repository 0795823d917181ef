//! What Druid tells about supervisors, tasks and workers: as much of its answers as is read here.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Deserialize;

/// `/status`: what a process tells of itself.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct About {
    /// Its release; empty if it is not told.
    pub version: String,
    /// What is loaded beside Druid's core.
    pub modules: Vec<Module>,
    /// What its clock says.
    #[serde(skip)]
    pub date: Option<SystemTime>,
}

/// One of [`About::modules`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Module {
    /// The extension that it is of.
    pub artifact: Option<String>,
}

/// `/supervisor/ID/status`, of which only the payload is read.
#[derive(Debug, Clone, Deserialize)]
pub struct Envelope {
    /// The state.
    pub payload: Status,
}

/// The state of a supervisor.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// One of a few words, the same for every kind of supervisor: `PENDING`, `RUNNING`, `SUSPENDED`, `UNHEALTHY_TASKS` ...
    pub state: String,
    /// More words, some of them for Kafka only: `CONNECTING_TO_STREAM` ...
    pub detailed_state: String,
    /// Whether somebody stopped it.
    pub suspended: bool,
    /// Tasks that read.
    pub active_tasks: Vec<ActiveTask>,
    /// How many records it has not read yet, as it last heard from Kafka.
    pub aggregate_lag: Option<i64>,
    /// What went wrong lately. Often empty though every task fails.
    pub recent_errors: Vec<RecentError>,
}

/// A task that reads: partitions and offsets. What it has reached is told from half a minute after its start on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ActiveTask {
    starting_offsets: BTreeMap<i32, i64>,
    current_offsets: BTreeMap<i32, i64>,
}

/// One of [`Status::recent_errors`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecentError {
    /// Java's name of the error.
    pub exception_class: String,
    /// Its text.
    pub message: Option<String>,
}

impl About {
    /// Whether an extension is loaded there; each process loads its own.
    pub fn has(&self, extension: &str) -> bool {
        self.modules.iter().any(|module| module.artifact.as_deref() == Some(extension))
    }
}

impl Status {
    /// Whether it runs and a task reads, or it would if there were something to read.
    pub fn reads(&self) -> bool {
        self.state == "IDLE" || (self.state == "RUNNING" && !self.active_tasks.is_empty())
    }

    /// The offset that it has reached in each partition, as far as it tells.
    pub fn reached(&self) -> BTreeMap<i32, i64> {
        let offsets = |task: &ActiveTask| task.starting_offsets.clone().into_iter().chain(task.current_offsets.clone());
        let mut reached = BTreeMap::new();
        for (partition, offset) in self.active_tasks.iter().flat_map(offsets) {
            let greatest = reached.entry(partition).or_insert(offset);
            *greatest = offset.max(*greatest);
        }
        reached
    }

    /// Whether Druid itself says that something is wrong. That it does not proves nothing.
    pub fn in_trouble(&self) -> bool {
        self.suspended || self.state.starts_with("UNHEALTHY") || self.cannot_reach_kafka()
    }

    /// Whether it has no connection to Kafka; for a moment after the start that is normal.
    pub fn cannot_reach_kafka(&self) -> bool {
        ["CONNECTING_TO_STREAM", "UNABLE_TO_CONNECT_TO_STREAM", "LOST_CONTACT_WITH_STREAM"]
            .contains(&self.detailed_state.as_str())
    }
}

/// A task, of `/tasks`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its id.
    pub id: String,
    /// `index_kafka`, `compact`, `index_parallel` ...
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// `RUNNING`, `SUCCESS` or `FAILED`.
    pub status_code: Option<String>,
    /// Of one that failed: the error, and where in Druid's source it came from, shortened in the middle.
    pub error_msg: Option<String>,
}

impl Task {
    /// Whether it reads a Kafka topic for a supervisor.
    pub fn reads_kafka(&self) -> bool {
        self.kind.as_deref() == Some("index_kafka")
    }

    /// Whether it failed.
    pub fn failed(&self) -> bool {
        self.status_code.as_deref() == Some("FAILED")
    }

    /// The first line of its error: the rest is for Druid's developers.
    pub fn error(&self) -> &str {
        self.error_msg.as_deref().and_then(|message| message.lines().next()).unwrap_or("it says no reason")
    }
}

/// `/supervisor/ID/stats`: by task group and task, how many records became what.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Stats(BTreeMap<String, BTreeMap<String, TaskStats>>);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct TaskStats {
    totals: Totals,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Totals {
    build_segments: Counts,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Counts {
    unparseable: u64,
}

impl Stats {
    /// How many records the tasks that run now could not read.
    pub fn unparseable(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).map(|task| task.totals.build_segments.unparseable).sum()
    }
}

/// A process that runs tasks, of `/workers`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// Who it is.
    pub worker: WorkerInfo,
    /// How many of its slots are taken.
    #[serde(default)]
    pub curr_capacity_used: u64,
}

/// A worker's description.
#[derive(Debug, Clone, Deserialize)]
pub struct WorkerInfo {
    /// How many tasks it can run at a time.
    #[serde(default)]
    pub capacity: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_as_druid_33_gives_it() {
        let text = r#"{"id": "X", "payload": {"dataSource": "X", "partitions": 1, "activeTasks": [
            {"id": "t", "startingOffsets": {"0": 5, "1": 7}, "currentOffsets": {"0": 25}, "lag": {"0": 9}}], "minimumLag": {},
            "suspended": false, "healthy": true, "state": "RUNNING", "detailedState": "RUNNING", "recentErrors": []}}"#;
        let status = serde_json::from_str::<Envelope>(text).unwrap().payload;
        assert!(status.reads() && !status.in_trouble());
        assert_eq!(status.reached(), BTreeMap::from([(0, 25), (1, 7)]));
    }

    #[test]
    fn healthy_is_not_believed_of_a_supervisor_without_connection() {
        let status = Status { state: "RUNNING".into(), detailed_state: "CONNECTING_TO_STREAM".into(), ..Status::default() };
        assert!(status.in_trouble() && !status.reads());
    }

    #[test]
    fn unparseable_records_are_added_up() {
        let text = r#"{"0":{"a":{"movingAverages":{},"totals":{"buildSegments":{"processed":25,"unparseable":2}}}},
            "1":{"b":{"totals":{"buildSegments":{"unparseable":1}}}, "c":{}}}"#;
        assert_eq!(serde_json::from_str::<Stats>(text).unwrap().unparseable(), 3);
        assert_eq!(serde_json::from_str::<Stats>("{}").unwrap().unparseable(), 0);
    }

    #[test]
    fn of_a_task_s_error_the_first_line_is_told() {
        let task = Task {
            kind: None,
            id: "t".into(),
            status_code: Some("FAILED".into()),
            error_msg: Some("IOException: no schema 9\n\tat x".into()),
        };
        assert!(task.failed());
        assert_eq!(task.error(), "IOException: no schema 9");
    }
}
