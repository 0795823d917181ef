//! `pipeline verify`: compares every cell, once or again and again.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::messages::{clear_progress, progress, progress_interval};
use crate::cli::{Output, Since, Verify};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::metrics::proof;
use crate::verify::{Comparison, Difference, Report, Scope, Verdict, Verifier};

/// An error that lasts so long ends a comparison; before, it may pass.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often `--watch` says how it stands, to a person and to a log.
const TOLD: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

pub(super) async fn run(config: &Config, args: &Verify) -> Result<()> {
    let scope = Scope { since_ms: args.since.map(Since::ms), strict: args.strict };
    let verifier = Verifier::start(config, scope)?;
    if args.watch { watch(&verifier, args).await } else { once(&verifier, args.output).await }
}

async fn once(verifier: &Verifier, output: Output) -> Result<()> {
    let mut shown = Instant::now();
    let show = |report: &Report| {
        if shown.elapsed() >= progress_interval() {
            shown = Instant::now();
            progress(&line(report));
        }
    };
    let report = tokio::select! {
        settled = settled(verifier, show) => settled,
        () = super::stop_signal() => Err(Error::new(Kind::Failed, "stopped before everything was compared")),
    };
    clear_progress();
    let report = report?;
    match output {
        Output::Json => say!("{}", json(&report)),
        Output::Text => say!("{}", text(&report, false)),
    }
    verdict(&report)
}

/// Waits until all is compared, or it cannot be.
pub(super) async fn settled(verifier: &Verifier, mut tell: impl FnMut(&Report)) -> Result<Arc<Report>> {
    let mut reports = verifier.reports.clone();
    let mut failing_since: Option<Instant> = None;
    while reports.changed().await.is_ok() {
        let report = Arc::clone(&reports.borrow_and_update());
        match &report.error {
            Some(error) if !may_pass(error) => return Err(error.clone()),
            Some(error) if failing_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE => return Err(error.clone()),
            Some(_) => {}
            None => failing_since = None,
        }
        if report.verdict != Verdict::Waiting || report.is_empty {
            return Ok(report);
        }
        tell(&report);
    }
    Err(verifier.ended().await)
}

/// Whether it is worth waiting.
fn may_pass(error: &Error) -> bool {
    !matches!(error.kind, Kind::Refused | Kind::Config)
}

async fn watch(verifier: &Verifier, args: &Verify) -> Result<()> {
    let terminal = std::io::stdout().is_terminal() && args.output == Output::Text;
    let (mut told, mut settled) = (BTreeSet::new(), None);
    let mut ticks = tokio::time::interval(if terminal { TOLD.0 } else { TOLD.1 });
    let mut stop = std::pin::pin!(super::stop_signal());
    let mut served = std::pin::pin!(proof::serve(args.metrics_listen, verifier.reports.clone(), |line| note!("{line}")).await?);
    loop {
        tokio::select! {
            () = &mut stop => break,
            error = verifier.ended() => return Err(error),
            error = &mut served => return Err(error),
            _ = ticks.tick() => {
                let report = Arc::clone(&verifier.reports.borrow());
                if report.reading.is_some() || !report.comparisons.is_empty() || report.trouble.is_some() {
                    tell(&report, args.output, &mut told);
                }
                if let Some(error) = report.error.as_ref().filter(|error| settled.is_none() && !may_pass(error)) {
                    return Err(error.clone());
                }
                if report.verdict != Verdict::Waiting {
                    settled = Some(report);
                }
            }
        }
    }
    let report = settled.unwrap_or_else(|| Arc::clone(&verifier.reports.borrow()));
    if args.output == Output::Text {
        say!("{}", text(&report, true));
    }
    verdict(&report)
}

/// A line about how it stands, and each difference once.
fn tell(report: &Report, output: Output, told: &mut BTreeSet<String>) {
    if output == Output::Json {
        return say!("{}", json(report));
    }
    for difference in report.comparisons.iter().flat_map(|one| &one.differences) {
        let line = difference.to_string();
        if told.insert(line.clone()) {
            say!("DIFFERS  {line}");
        }
    }
    say!("{} {}", crate::config::Instant(chrono::Utc::now().timestamp_millis()), line(report));
}

/// How it stands, in a line.
pub(super) fn line(report: &Report) -> String {
    let (equal, differing) = report.cells();
    let waiting: u64 = report.comparisons.iter().map(|one| one.waiting).sum();
    let mut line = match report.reading {
        Some((done, all)) => format!("reading {done} of {all}"),
        None => format!("{equal} cells equal, {differing} differ, {waiting} under way"),
    };
    if let Some(trouble) = &report.trouble {
        line = format!("{line}  trouble: {trouble}");
    }
    line
}

fn json(report: &Report) -> String {
    serde_json::to_string(report).unwrap_or_default()
}

/// The whole report.
pub(super) fn text(report: &Report, is_watch: bool) -> String {
    let width = report.comparisons.iter().map(|one| one.name.chars().count()).max().unwrap_or(0);
    let mut lines: Vec<String> = report.comparisons.iter().map(|one| comparison(one, width)).collect();
    let differences = report.comparisons.iter().flat_map(|one| &one.differences);
    lines.extend(differences.map(|difference: &Difference| format!("DIFFERS  {difference}")));
    let watched = report.freshness.iter().filter(|_| is_watch);
    for fresh in watched {
        lines.push(format!(
            "fresh  {}: p50 {} ms, p99 {} ms, max {} ms of {}",
            fresh.path, fresh.p50_ms, fresh.p99_ms, fresh.max_ms, fresh.count
        ));
    }
    let (equal, differing) = report.cells();
    let left_out: u64 = report.comparisons.iter().map(|one| one.left_out).sum();
    let mut summary = format!("{equal} cells equal, {differing} differ");
    if left_out > 0 {
        summary = format!("{summary}, {left_out} left out");
    }
    let summary = match report.verdict {
        Verdict::Equal => format!("verified: {summary}"),
        _ => summary,
    };
    lines.push(summary);
    lines.join("\n")
}

fn comparison(one: &Comparison, width: usize) -> String {
    let mut line = format!("{:<8}  {:<width$}  {:>7} equal", one.hop, one.name, one.equal);
    for (count, what) in [
        (one.differing, "DIFFER"),
        (one.waiting, "open"),
        (one.left_out, "left out"),
        (one.explained, "explained by late records"),
    ] {
        if count > 0 {
            line = format!("{line}, {count} {what}");
        }
    }
    one.note.iter().for_each(|note| line = format!("{line}  ({note})"));
    line
}

/// The result as exit code.
pub(super) fn verdict(report: &Report) -> Result<()> {
    let (equal, differing) = report.cells();
    match report.verdict {
        Verdict::Equal => Ok(()),
        Verdict::Differs => {
            let cells = equal + differing;
            Err(Error::new(Kind::Differs, format!("{differing} of {cells} cells differ from what the events come to")))
        }
        Verdict::Waiting => match &report.error {
            Some(error) => Err(error.clone()),
            None => Err(Error::new(Kind::Failed, "there is no cell to compare yet")
                .hint("`pipeline status` tells how far each hop is; without events there is nothing to prove")),
        },
    }
}
