//! Where an area's findings are handed in, and where its questions end in time.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout_at};

use super::report::{Area, Finding, Verdict};
use crate::config::Config;
use crate::error::{Error, Kind, Result};

/// What to do where nothing better is known.
const MORE: &str = "the server's own log may say more; PIPELINE_LOG=debug shows what this program asked";

/// An area's desk.
#[derive(Clone)]
pub(super) struct Desk {
    /// What should be there.
    pub config: Arc<Config>,
    /// What others made under our names will be taken over.
    pub adopt: bool,
    area: Area,
    until: Instant,
    findings: UnboundedSender<Finding>,
}

impl Desk {
    pub fn new(config: Arc<Config>, adopt: bool, area: Area, until: Instant, findings: UnboundedSender<Finding>) -> Self {
        Self { config, adopt, area, until, findings }
    }

    /// Hands a finding in.
    pub fn report(&self, what: impl Into<String>, verdict: Verdict) {
        let verdict = match verdict {
            Verdict::Failed(error) if error.hint.is_none() => Verdict::Failed(error.hint(MORE)),
            verdict => verdict,
        };
        // Whoever listens may have had enough.
        let _ = self.findings.send(Finding { area: self.area, what: what.into(), verdict });
    }

    /// Hands in what was seen.
    pub fn fine(&self, what: impl Into<String>, seen: impl Into<String>) {
        self.report(what, Verdict::Fine(seen.into()));
    }

    /// Hands in what is worth knowing.
    pub fn note(&self, what: impl Into<String>, note: impl Into<String>) {
        self.report(what, Verdict::Note(note.into()));
    }

    /// Hands in what is wrong.
    pub fn failed(&self, what: impl Into<String>, error: Error) {
        self.report(what, Verdict::Failed(error));
    }

    /// Hands in what was not looked at.
    pub fn skipped(&self, what: impl Into<String>, why: impl Into<String>) {
        self.report(what, Verdict::Skipped(why.into()));
    }

    /// Waits for an answer, but not for longer than there is time.
    pub async fn ask<T>(&self, asked: impl Future<Output = Result<T>>) -> Result<T> {
        self.in_time(asked).await.unwrap_or_else(|| {
            let message = format!("{} does not answer in time", self.area);
            Err(Error::new(Kind::Unreachable, message)
                .hint("is it overloaded, or waiting for another server? its own log may say"))
        })
    }

    /// The same for what is no result; `None`: there was no time.
    pub async fn in_time<T>(&self, asked: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.until, asked).await.ok()
    }
}
