//! `pipeline aggregate`

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::aggregate::{Job, Outcome, Snapshot, Status};
use crate::cli::Aggregate;
use crate::config::{Config, Instant};
use crate::error::{Error, Kind, Result};

pub(super) async fn run(config: &Config, args: &Aggregate) -> Result<()> {
    let aggregate = config.aggregate(args.sink.as_deref())?;
    let mut job = Job::prepare(config, aggregate, args.start).await?;
    if args.until_caught_up {
        job = job.until_caught_up(args.close_all);
    }
    if args.reset {
        job = job.reset();
    }
    eprintln!("{} -> {}: windows of {}, {} late", aggregate.source, aggregate.sink, aggregate.window, aggregate.lateness);
    let status = Status::default();
    let watched = status.clone();
    let mut working = tokio::task::spawn_blocking(move || job.run(&watched));
    let mut shown =
        tokio::time::interval(if std::io::stderr().is_terminal() { Duration::from_secs(1) } else { Duration::from_secs(10) });
    shown.tick().await;
    let stop = super::stop_signal();
    tokio::pin!(stop);
    let outcome = loop {
        tokio::select! {
            done = &mut working => break done.map_err(|error| Error::new(Kind::Failed, format!("the aggregation ended by itself: {error}")))??,
            () = &mut stop, if !status.stop.load(Ordering::Relaxed) => status.stop.store(true, Ordering::Relaxed),
            _ = shown.tick() => show(&status.snapshot()),
        }
    };
    let last = status.snapshot();
    show(&last);
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    let how = if outcome == Outcome::CaughtUp { "caught up" } else { "stopped" };
    println!("{how}: {} records read, {} rows written, {} late, {} unusable", last.records, last.rows, last.late, last.poison);
    Ok(())
}

/// A line about where the job stands; on a terminal it replaces the one before.
fn show(snapshot: &Snapshot) {
    let watermark = snapshot.watermark.map_or("none yet".into(), |time| Instant(time).to_string());
    let mut line = format!(
        "records {}  rows {}  late {}  unusable {}  open windows {}  watermark {watermark}",
        snapshot.records, snapshot.rows, snapshot.late, snapshot.poison, snapshot.open_windows
    );
    if snapshot.replay_left > 0 {
        line = format!("replaying {} of {}  {line}", snapshot.replay_total - snapshot.replay_left, snapshot.replay_total);
    }
    if std::io::stderr().is_terminal() { eprint!("\r\x1b[K{line}") } else { eprintln!("{line}") }
}
