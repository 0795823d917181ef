//! Is everything there that a pipeline file needs, and does each server reach the others?
//!
//! Pure: [`report`] (what is found, and how it is told), `topics` and `supervisors` (what is seen of them -> what that means),
//! `limits` (when a chart loses rows), `clocks`. Asking: `kafka`, `registry`, `druid`, `superset` and `browser`, all at the same time, each over
//! its `desk`, which ends what takes too long.

mod browser;
mod clocks;
mod desk;
mod druid;
mod kafka;
mod limits;
mod registry;
pub mod report;
mod superset;
mod supervisors;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

pub use self::report::{Area, Finding, Report, Verdict};

use self::desk::Desk;
use crate::config::Config;

/// Nothing that is looked at may take longer.
pub const LIMIT: Duration = Duration::from_secs(15);
/// When a question is ended that has no answer yet.
const ENOUGH: Duration = Duration::from_secs(12);
/// How long one request over HTTP may take. A server that does not answer is asked once: there is no time for more.
const REQUEST: Duration = Duration::from_secs(8);
/// How long a question to Kafka may take.
const QUESTION: Duration = Duration::from_secs(5);

/// Looks at everything, all areas at once; `adopt`: what others made under our names will be taken over; `tell` hears of each finding
/// as it comes.
pub async fn examine(config: &Config, adopt: bool, mut tell: impl FnMut(&Finding) + Send) -> Report {
    let begun = Instant::now();
    let config = Arc::new(hurried(config));
    let (sender, mut findings) = mpsc::unbounded_channel();
    let desk = |area| Desk::new(Arc::clone(&config), adopt, area, begun + ENOUGH, sender.clone());
    let areas = [
        tokio::spawn(kafka::look(desk(Area::Kafka))),
        tokio::spawn(registry::look(desk(Area::Registry))),
        tokio::spawn(druid::look(desk(Area::Druid))),
        tokio::spawn(superset::look(desk(Area::Superset), desk(Area::Browser))),
    ];
    drop(sender);
    let mut report = Report::default();
    while let Ok(Some(finding)) = timeout_at(begun + LIMIT, findings.recv()).await {
        tell(&finding);
        report.findings.push(finding);
    }
    areas.iter().for_each(tokio::task::JoinHandle::abort);
    report.findings.sort_by_key(|finding| finding.area);
    report
}

/// The same servers, for somebody who has little time.
fn hurried(config: &Config) -> Config {
    let mut config = config.clone();
    for http in [&mut config.registry.http, &mut config.druid.http, &mut config.superset.http] {
        http.timeout = http.timeout.min(REQUEST);
    }
    config
}
