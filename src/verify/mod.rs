//! The proof from the raw events to what each chart of Superset shows.

mod report;

use std::sync::Arc;

use tokio::sync::watch;

pub use self::report::{Comparison, Difference, Freshness, Hop, Report, Verdict};
use crate::config::Config;
use crate::error::{Error, Kind, Result};

/// What is compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope {
    /// Only what has this Kafka timestamp or a later one, ms.
    pub since_ms: Option<i64>,
    /// A cell that differs by exactly its late records counts as a difference.
    pub strict: bool,
}

/// Compares again and again until it is dropped.
pub struct Verifier {
    /// The report as it stands.
    pub reports: watch::Receiver<Arc<Report>>,
}

impl Verifier {
    /// Begins to read the topics and to compare. Needs a tokio runtime.
    ///
    /// What fails on the way is told in the report ([`Report::trouble`]), and tried again.
    pub fn start(_config: &Config, _scope: Scope) -> Result<Self> {
        Err(Error::new(Kind::Failed, "not there yet"))
    }

    /// Returns when it has ended, which it does only if it failed.
    pub async fn ended(&self) -> Error {
        let mut reports = self.reports.clone();
        while reports.changed().await.is_ok() {}
        Error::new(Kind::Failed, "comparing ended by itself")
    }
}
