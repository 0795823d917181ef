//! The line at the foot while everything runs.

use std::convert::Infallible;
use std::time::Duration;

use super::steps;
use super::work::{self, Reports};
use crate::aggregate::{Snapshot, Status};
use crate::config::Instant;
use crate::verify::{Report, Verdict};

/// How often it is told, on a terminal and elsewhere.
const TOLD: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Tells how it stands, again and again.
pub(super) async fn tell(statuses: &[Status], reports: &Reports) -> Infallible {
    let foot = steps::foot();
    let (mut differed, mut told) = (false, 0);
    loop {
        let report = reports.borrow().clone();
        let differs = report.verdict == Verdict::Differs;
        if differs && !differed {
            let error = work::differs(&report);
            note!("{}", error.message);
        }
        differed = differs;
        let line = line(&snapshots(statuses), &report);
        if foot.is_hidden() {
            if told % TOLD.1.as_secs() == 0 {
                note!("{line}");
            }
        } else {
            foot.set_message(line);
        }
        told += 1;
        tokio::time::sleep(TOLD.0).await;
    }
}

/// Where each job stands.
pub(super) fn snapshots(statuses: &[Status]) -> Vec<Snapshot> {
    statuses.iter().map(|status| status.snapshot()).collect()
}

fn line(snapshots: &[Snapshot], report: &Report) -> String {
    let sum = |of: fn(&Snapshot) -> u64| snapshots.iter().map(of).sum::<u64>();
    let open: usize = snapshots.iter().map(|one| one.open_windows).sum();
    // Of several, the one that is furthest behind.
    let watermark = snapshots.iter().map(|one| one.watermark).min().flatten();
    let watermark = watermark.map_or("none yet".into(), |time| Instant(time).to_string());
    let mut line = format!(
        "records {}  rows {}  open windows {open}  watermark {watermark}  {}",
        sum(|one| one.records),
        sum(|one| one.rows),
        proof(report)
    );
    if let Some(slowest) = report.freshness.iter().max_by_key(|one| one.p50_ms) {
        line = format!("{line}  {}: {:.1} s", slowest.path, slowest.p50_ms as f64 / 1e3);
    }
    if let Some(trouble) = &report.trouble {
        line = format!("{line}  trouble: {trouble}");
    }
    line
}

/// What verify says, in a few words.
pub(super) fn proof(report: &Report) -> String {
    let (equal, differing) = report.cells();
    match report.verdict {
        Verdict::Waiting => "nothing verified yet".into(),
        Verdict::Equal => format!("verified: {equal} cells equal"),
        Verdict::Differs => format!("DIFFERS: {differing} of {} cells", equal + differing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{Comparison, Freshness, Hop};

    #[test]
    fn the_line_tells_the_job_the_proof_and_how_fresh_it_is() {
        let snapshot = Snapshot { records: 1_834, rows: 93, open_windows: 3, watermark: Some(0), ..Snapshot::default() };
        let mut report = Report { verdict: Verdict::Equal, ..Report::default() };
        report.comparisons.push(Comparison {
            hop: Hop::Kafka,
            name: "S".into(),
            equal: 90,
            differing: 0,
            waiting: 3,
            left_out: 0,
            explained: 0,
            note: None,
            differences: Vec::new(),
        });
        let fresh = Freshness { path: "event to chart".into(), count: 3, p50_ms: 1_240, p99_ms: 2_000, max_ms: 2_000 };
        report.freshness.push(Freshness { path: "event to Druid".into(), p50_ms: 900, ..fresh.clone() });
        report.freshness.push(fresh);
        let told = line(std::slice::from_ref(&snapshot), &report);
        assert_eq!(
            told,
            "records 1834  rows 93  open windows 3  watermark 1970-01-01T00:00:00.000Z  verified: 90 cells equal  event to chart: 1.2 s"
        );
        report.comparisons[0].differing = 2;
        report.verdict = Verdict::Differs;
        report.trouble = Some("Druid is away".into());
        assert!(line(&[], &report).contains("DIFFERS: 2 of 92 cells") && line(&[], &report).ends_with("trouble: Druid is away"));
    }
}
