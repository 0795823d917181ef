//! Is everything there that a pipeline file needs, and does each server reach the others?

use std::time::Duration;

use crate::config::Config;
use crate::error::Error;

/// Nothing that is looked at may take longer.
pub const LIMIT: Duration = Duration::from_secs(15);

/// What is looked at, in the order of the pipeline: the first failure in this order decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// Kafka.
    Kafka,
    /// The schema registry.
    Registry,
    /// Druid, and its own paths to Kafka and the registry.
    Druid,
    /// Superset, and its own path to Druid.
    Superset,
    /// The dashboard's page, as a browser gets it.
    Browser,
}

/// How a check came out.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// As it should be; what was seen.
    Fine(String),
    /// Worth knowing, no hindrance: not made yet, or a limit that comes nearer.
    Note(String),
    /// Wrong: cause and remedy.
    Failed(Error),
    /// Not looked at, and why: what it needs has failed.
    Skipped(String),
}

/// A check and how it came out.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Of what.
    pub area: Area,
    /// What was looked at, in a few words, for example `topic SALES`.
    pub what: String,
    /// How it came out.
    pub verdict: Verdict,
}

/// All findings, in the order of the pipeline.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// They.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The first failure in the order of the pipeline.
    pub fn first_failure(&self) -> Option<&Error> {
        self.findings.iter().find_map(|finding| match &finding.verdict {
            Verdict::Failed(error) => Some(error),
            _ => None,
        })
    }
}

/// Looks at everything, all areas at once; `tell` hears of each finding as it comes.
pub async fn examine(_config: &Config, _tell: impl FnMut(&Finding) + Send) -> Report {
    Report::default()
}
