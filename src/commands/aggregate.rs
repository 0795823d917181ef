//! `pipeline aggregate`

mod flink;

use std::convert::Infallible;
use std::time::Duration;

use super::messages;
use crate::aggregate::{Control, Job, Outcome, Snapshot, Start, Status};
use crate::cli::{Aggregate, Engine};
use crate::config::{Config, Instant};
use crate::error::{Error, Kind, Result};
use crate::metrics;

/// Whoever asks a process to end waits ten seconds, as a rule, before it kills.
const STOP_LIMIT: Duration = Duration::from_secs(9);

pub(super) async fn run(config: &Config, args: &Aggregate) -> Result<()> {
    match args.engine {
        Engine::Builtin => run_here(config, args).await,
        Engine::Flink => flink::run(config, args).await,
    }
}

async fn run_here(config: &Config, args: &Aggregate) -> Result<()> {
    flink::refuse_flags(args)?;
    let aggregate = config.aggregate(args.sink.as_deref())?;
    args.instance.iter().try_for_each(|instance| Job::may_share(aggregate, instance))?;
    if args.reset || args.start != Start::Committed {
        flink::refuse_beside(config, aggregate).await?;
    }
    let mut job = Job::prepare(config, aggregate, args.start).await?;
    if args.until_caught_up {
        job = job.until_caught_up(args.close_all);
    }
    if args.reset {
        job = job.reset();
    }
    if let Some(instance) = &args.instance {
        job = job.share(instance);
    }
    note!("{} -> {}: windows of {}, {} late", aggregate.source, aggregate.sink, aggregate.window, aggregate.lateness);
    let status = Status::default();
    let served = metrics::serve(args.metrics_listen, &aggregate.sink, status.clone(), |line| note!("{line}")).await?;
    let watched = status.clone();
    let working = tokio::task::spawn_blocking(move || job.run(&watched));
    let outcome = tokio::select! {
        done = working => {
            done.map_err(|error| Error::new(Kind::Failed, format!("the aggregation ended by itself: {error}")))??
        }
        error = status.stuck() => return Err(error),
        error = stop(&status) => return Err(error),
        error = served => return Err(error),
        never = progress(&status) => match never {},
    };
    let last = status.snapshot();
    show(&last);
    messages::keep_progress();
    let how = if outcome == Outcome::CaughtUp { "caught up" } else { "stopped" };
    let Snapshot { records, rows, late, poison, .. } = last;
    say!("{how}: {records} records read, {rows} rows written, {late} late, {poison} unusable");
    Ok(())
}

/// Tells the job to stop when the process is asked to; an error if it then takes too long.
async fn stop(status: &Control) -> Error {
    super::stop_signal().await;
    status.stop();
    tokio::time::sleep(STOP_LIMIT).await;
    let what = format!("told to stop, but still {} after {} s", status.doing(), STOP_LIMIT.as_secs());
    Error::new(Kind::Watchdog, what).hint("nothing is lost: the next start goes on from the last commit")
}

/// Shows where the job stands, again and again.
async fn progress(status: &Control) -> Infallible {
    loop {
        tokio::time::sleep(messages::progress_interval()).await;
        show(&status.snapshot());
    }
}

/// A line about where the job stands.
fn show(snapshot: &Snapshot) {
    let watermark = snapshot.watermark.map_or("none yet".into(), |time| Instant(time).to_string());
    let mut line = format!(
        "records {}  rows {}  late {}  unusable {}  open windows {}  watermark {watermark}",
        snapshot.records, snapshot.rows, snapshot.late, snapshot.poison, snapshot.open_windows
    );
    if snapshot.replay_left > 0 {
        line = format!("replaying {} of {}  {line}", snapshot.replay_total - snapshot.replay_left, snapshot.replay_total);
    }
    messages::progress(&line);
}
