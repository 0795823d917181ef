//! The JobManager's REST API: jobs, how far they are, why they fail, and their savepoints.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::config::Config;
use crate::error::Result;
use crate::http::{Reply, Server, path};

/// A client of the JobManager that `[flink]` names.
#[derive(Debug, Clone)]
pub struct Cluster {
    server: Server,
}

/// A job in the list of all.
#[derive(Debug, Clone, Deserialize)]
pub struct Listed {
    /// Its id.
    #[serde(rename = "jid")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// `RUNNING`, `FINISHED` and so on.
    pub state: String,
    /// Its tasks.
    pub tasks: Tasks,
}

/// How many tasks of a job there are.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Tasks {
    /// All of them.
    pub total: u32,
    /// Those that run.
    pub running: u32,
}

/// What a job's metrics say, since it last began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records read.
    pub records: u64,
    /// Rows handed to Kafka, in a transaction that a checkpoint commits.
    pub rows: u64,
    /// Records that came too late.
    pub late: u64,
}

/// What became of a savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Savepoint {
    /// It is being written.
    UnderWay,
    /// It is here.
    At(String),
    /// There is none; the trace of why.
    Failed(String),
}

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Listed>,
}

#[derive(Deserialize)]
struct Checkpoints {
    counts: Counts,
}

#[derive(Deserialize)]
struct Counts {
    completed: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exceptions {
    exception_history: History,
}

#[derive(Deserialize)]
struct History {
    entries: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    stacktrace: String,
}

#[derive(Deserialize)]
struct Detail {
    vertices: Vec<Vertex>,
}

#[derive(Deserialize)]
struct Vertex {
    id: String,
}

#[derive(Deserialize)]
struct Metric {
    id: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    sum: Option<f64>,
}

#[derive(Deserialize)]
struct Triggered {
    #[serde(rename = "request-id")]
    request: String,
}

#[derive(Deserialize)]
struct Asked {
    status: AskedStatus,
    operation: Option<Operation>,
}

#[derive(Deserialize)]
struct AskedStatus {
    id: String,
}

#[derive(Deserialize)]
struct Operation {
    location: Option<String>,
    #[serde(rename = "failure-cause")]
    failure: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "stack-trace")]
    trace: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
struct Setting {
    key: String,
    value: String,
}

impl Cluster {
    /// Opens no connection yet.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self { server: Server::new("Flink", "flink", &config.flink.url, &config.flink.http)? })
    }

    /// The address of a job on Flink's own page.
    pub fn page(&self, job: &str) -> String {
        format!("{}#/job/running/{job}/overview", self.server.address())
    }

    /// All jobs, those that ended not long ago too.
    pub async fn jobs(&self) -> Result<Vec<Listed>> {
        Ok(self.get(&["jobs", "overview"], &[]).await?.json::<Jobs>()?.jobs)
    }

    /// How many checkpoints a job has completed since it was submitted.
    pub async fn checkpoints(&self, job: &str) -> Result<u64> {
        Ok(self.get(&["jobs", job, "checkpoints"], &[]).await?.json::<Checkpoints>()?.counts.completed)
    }

    /// How often a job was started again after a failure.
    pub async fn restarts(&self, job: &str) -> Result<u64> {
        let metrics: Vec<Metric> = self.get(&["jobs", job, "metrics"], &[("get", "numRestarts")]).await?.json()?;
        Ok(metrics.first().and_then(|metric| metric.value.as_deref()?.parse().ok()).unwrap_or(0))
    }

    /// The trace of a job's latest failure.
    pub async fn failure(&self, job: &str) -> Result<Option<String>> {
        let reply = self.get(&["jobs", job, "exceptions"], &[("maxExceptions", "1")]).await?;
        let entries = reply.json::<Exceptions>()?.exception_history.entries;
        Ok(entries.into_iter().next().map(|exception| exception.stacktrace))
    }

    /// The parts of a job, each with the metrics that [`Cluster::progress`] adds up.
    pub async fn meters(&self, job: &str) -> Result<BTreeMap<String, Vec<String>>> {
        let mut meters = BTreeMap::new();
        for Vertex { id } in self.get(&["jobs", job], &[]).await?.json::<Detail>()?.vertices {
            let reply = self.get(&["jobs", job, "vertices", &id, "subtasks", "metrics"], &[]).await?;
            let names = reply.json::<Vec<Metric>>()?.into_iter().map(|metric| metric.id).filter(|name| meter(name).is_some());
            let names: Vec<String> = names.collect();
            if !names.is_empty() {
                meters.insert(id, names);
            }
        }
        Ok(meters)
    }

    /// What these metrics say.
    pub async fn progress(&self, job: &str, meters: &BTreeMap<String, Vec<String>>) -> Result<Progress> {
        let mut progress = Progress::default();
        for (vertex, names) in meters {
            let query = [("get", names.join(",")), ("agg", "sum".into())];
            let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let reply = self.get(&["jobs", job, "vertices", vertex, "subtasks", "metrics"], &query).await?;
            for metric in reply.json::<Vec<Metric>>()? {
                if let (Some(add), Some(sum)) = (meter(&metric.id), metric.sum) {
                    add(&mut progress, sum as u64);
                }
            }
        }
        Ok(progress)
    }

    /// Begins to stop a job with a savepoint in a folder, or where Flink is set to put them; what is open stays open.
    pub async fn stop(&self, job: &str, folder: Option<&str>) -> Result<String> {
        let address = path(&["jobs", job, "stop"], &[]);
        let body = json!({ "targetDirectory": folder, "drain": false });
        let reply = self.server.send(self.server.request(Method::POST, &address)?.json(&body)).await?;
        Ok(reply.success()?.json::<Triggered>()?.request)
    }

    /// How it is with a stop.
    pub async fn savepoint(&self, job: &str, request: &str) -> Result<Savepoint> {
        let asked = self.get(&["jobs", job, "savepoints", request], &[]).await?.json::<Asked>()?;
        Ok(match asked.operation {
            Some(Operation { failure: Some(Failure { trace }), .. }) => Savepoint::Failed(trace),
            Some(Operation { location: Some(path), .. }) => Savepoint::At(path),
            _ if asked.status.id == "COMPLETED" => Savepoint::Failed(String::new()),
            _ => Savepoint::UnderWay,
        })
    }

    /// Ends a job at once, without a savepoint.
    pub async fn cancel(&self, job: &str) -> Result<()> {
        let address = path(&["jobs", job], &[("mode", "cancel")]);
        self.server.send(self.server.request(Method::PATCH, &address)?).await?.success()?.json::<Nothing>().map(drop)
    }

    /// Whether Flink is set to put savepoints somewhere.
    pub async fn has_savepoint_folder(&self) -> Result<bool> {
        let settings: Vec<Setting> = self.get(&["jobmanager", "config"], &[]).await?.json()?;
        let keys = ["execution.checkpointing.savepoint-dir", "state.savepoints.dir"];
        Ok(settings.iter().any(|setting| keys.contains(&setting.key.as_str()) && !setting.value.is_empty()))
    }

    async fn get(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Reply> {
        self.server.send(self.server.request(Method::GET, &path(segments, query))?).await?.success()
    }
}

type Add = fn(&mut Progress, u64);

/// What a metric of an operator counts: `Source__source[1].numRecordsOut`.
fn meter(name: &str) -> Option<Add> {
    if name.starts_with("Source__source[") && name.ends_with("].numRecordsOut") {
        Some(|progress, sum| progress.records += sum)
    } else if name.starts_with("sink[") && name.ends_with("Writer.numRecordsSend") {
        Some(|progress, sum| progress.rows += sum)
    } else if name.ends_with("].numLateRecordsDropped") {
        Some(|progress, sum| progress.late += sum)
    } else {
        None
    }
}
