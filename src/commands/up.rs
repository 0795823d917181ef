//! `pipeline up`: all of it in one command, as a list of steps that fills in; then everything goes on until Ctrl-C.

mod live;
mod steps;
mod work;

use std::time::Duration;

use self::work::Work;
use super::line;
use crate::cli::Up;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::metrics;
use crate::verify::Verdict;

/// Whoever asks a process to end waits ten seconds, as a rule, before it kills.
const STOP_LIMIT: Duration = Duration::from_secs(9);

/// How it came to an end, if nothing failed.
enum End {
    /// It was asked to end.
    Asked,
    /// All is verified, and nothing more was wanted.
    Once,
}

pub(super) async fn run(config: &Config, args: &Up) -> Result<()> {
    work::check(config, args)?;
    let work = Work::new(config, args);
    let served = serve(&work).await.inspect_err(|_| work.steps.clear())?;
    let (mut line, mut failures) = line::line();
    let ended = tokio::select! {
        // What is served says so before the steps are drawn.
        biased;
        error = served => Err(error),
        error = failures.first() => Err(error),
        () = super::stop_signal() => Ok(End::Asked),
        ended = up(&work, &mut line) => ended,
    };
    work.steps.clear();
    if ended.is_err() {
        tell_what_was_done(&work);
    }
    note!("winding down: what is aggregated is committed");
    let stopped = line.stop(failures, STOP_LIMIT).await;
    conclude(&work, ended?)?;
    stopped
}

/// One address serves one aggregate.
async fn serve(work: &Work<'_>) -> Result<impl Future<Output = Error> + use<>> {
    let address = work.args.metrics_listen;
    let tell = |line: &str| note!("{line}");
    match (work.config.aggregates.as_slice(), work.statuses.as_slice()) {
        ([aggregate], [status]) => metrics::serve(address, &aggregate.sink, status.clone(), tell).await,
        (several, _) if address.is_some() => Err(Error::new(
            Kind::Config,
            format!("--metrics-listen: the pipeline file has {} aggregates, not one", several.len()),
        )
        .hint("run `pipeline aggregate --sink TOPIC --metrics-listen ...` for each, and `pipeline up` without it")),
        _ => metrics::serve(None, "", crate::aggregate::Status::default(), tell).await,
    }
}

/// Returns when all is verified and nothing more is wanted; else it goes on.
async fn up(work: &Work<'_>, line: &mut line::Line) -> Result<End> {
    let verifier = work.run(line).await?;
    let report = verifier.reports.borrow().clone();
    note!("{} in {:.1} s", live::proof(&report), work.steps.elapsed().as_secs_f64());
    if let Some(page) = work.page.get() {
        say!("{page}");
    }
    if work.args.once {
        return Ok(End::Once);
    }
    note!("Ctrl-C ends it; what was set up stays");
    tokio::select! {
        never = live::tell(&work.statuses, &verifier.reports) => match never {},
        error = verifier.ended() => Err(error),
    }
}

fn tell_what_was_done(work: &Work<'_>) {
    let (done, left) = work.steps.left();
    if !left.is_empty() {
        let done = if done.is_empty() { "nothing".into() } else { done };
        note!("done: {done}; not begun: {left}");
    }
    note!("What was done stays. Run `pipeline up` again: it goes on from there. `pipeline down` removes it.");
}

/// The last line, and what the proof says in the end.
fn conclude(work: &Work<'_>, end: End) -> Result<()> {
    let jobs = live::snapshots(&work.statuses);
    let (records, rows) = jobs.iter().fold((0, 0), |sums, one| (sums.0 + one.records, sums.1 + one.rows));
    let report = work.reports.get().map(|reports| reports.borrow().clone()).unwrap_or_default();
    say!("{records} records read, {rows} rows written, {}", live::proof(&report));
    match (end, report.verdict) {
        (_, Verdict::Differs) => Err(work::differs(&report)),
        (End::Asked, Verdict::Waiting) if work.args.once => {
            Err(Error::new(Kind::Failed, "asked to end before anything was verified").hint("run it again: it goes on from there"))
        }
        _ => Ok(()),
    }
}
