//! The proof from the raw events to what each chart of Superset shows.
//!
//! ```text
//! topics -> follow (reads) -> book (pure: streams with their proofs, a table a question) -> report
//!                              ^ Druid's and Superset's answers, again and again: rounds
//! ```
//!
//! * Kafka: each row of a sink against its raw records, by the [`crate::proof`].
//! * Druid: each datasource against its topic, by window and group: rows counted, and the measures added up.
//! * Superset: each chart's data, by its own stored query, against its topic; where they differ, Druid is asked the same question,
//!   which tells where it was lost.
//!
//! [`plan`] says what is compared, [`sql`] asks Druid, [`picture`] reads a chart, [`table`] compares, [`cell`] by [`cell`].

mod book;
mod cell;
mod freshness;
mod picture;
mod plan;
mod progress;
mod report;
mod rounds;
mod sql;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio::task::JoinHandle;

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
    stop: Arc<AtomicBool>,
    rounds: JoinHandle<()>,
}

impl Verifier {
    /// Begins to read the topics and to compare. Needs a tokio runtime.
    ///
    /// What fails on the way is told in the report ([`Report::trouble`]), and tried again.
    pub fn start(config: &Config, scope: Scope) -> Result<Self> {
        if config.datasources.is_empty() && config.aggregates.is_empty() {
            return Err(Error::new(
                Kind::Config,
                "the pipeline file has no [[aggregate]] and no [[datasource]]: there is nothing to compare",
            ));
        }
        let (sender, reports) = watch::channel(Arc::default());
        let stop = Arc::<AtomicBool>::default();
        let rounds = rounds::start(config, scope, sender, &stop)?;
        Ok(Self { reports, stop, rounds })
    }

    /// Returns when it has ended, which it does only if it failed.
    pub async fn ended(&self) -> Error {
        let mut reports = self.reports.clone();
        while reports.changed().await.is_ok() {}
        Error::new(Kind::Failed, "comparing ended by itself")
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.rounds.abort();
    }
}
