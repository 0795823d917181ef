//! Produce and aggregate in this process, each on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::produce::{self, Shared};
use crate::aggregate::{Job, Start, Status};
use crate::cli::Produce;
use crate::config::{Aggregate, Config, Millis, Source};
use crate::error::{Error, Kind, Result};
use crate::kafka::Tally;

/// Events that happened before the first live one, written at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct History {
    /// From so long ago until now.
    pub span: Millis,
    /// So many, spread evenly.
    pub count: u64,
}

/// A source that is written to.
pub(super) struct Producing {
    pub topic: String,
    pub history: Option<History>,
    /// What became of the history's events, or without history, of the live ones.
    pub tally: Arc<Tally>,
    shared: Arc<Shared>,
}

/// An aggregate that runs.
pub(super) struct Aggregating {
    pub source: String,
    pub status: Status,
}

/// The jobs that run.
pub(super) struct Line {
    pub producing: Vec<Producing>,
    pub aggregating: Vec<Aggregating>,
    jobs: JoinSet<()>,
    failed: UnboundedSender<Error>,
}

/// Hears of the first job that ended, which none does by itself unless it failed.
pub(super) struct Failures(UnboundedReceiver<Error>);

impl Failures {
    /// Returns when a job has failed.
    pub async fn first(&mut self) -> Error {
        match self.0.recv().await {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }
}

/// A line without jobs yet.
pub(super) fn line() -> (Line, Failures) {
    let (failed, failures) = unbounded_channel();
    (Line { producing: Vec::new(), aggregating: Vec::new(), jobs: JoinSet::new(), failed }, Failures(failures))
}

impl Line {
    /// Registers a source's schema, creates its topic, and begins to write events: history if there shall be some, then live ones.
    pub async fn produce(&mut self, config: &Config, source: &Source, history: Option<History>, rate: f64) -> Result<()> {
        let args = history.map_or_else(|| live(rate), |history| of_history(history, rate));
        let (first, _) = produce::prepare(config, source, &args).await?;
        let (shared, tally) = (Arc::<Shared>::default(), first.tally());
        self.producing.push(Producing { topic: source.topic.clone(), history, tally, shared: Arc::clone(&shared) });
        let (config, source, failed) = (config.clone(), source.clone(), self.failed.clone());
        self.jobs.spawn(async move {
            let writing = async {
                write(first, Arc::clone(&shared)).await?;
                if history.is_some() && !shared.stopped() {
                    let (live, _) = produce::prepare(&config, &source, &live(rate)).await?;
                    write(live, Arc::clone(&shared)).await?;
                }
                Ok(())
            };
            tell(&failed, writing.await, shared.stopped());
        });
        Ok(())
    }

    /// Registers a sink's schemas, creates its topics, and begins to aggregate where the last run came to.
    pub async fn aggregate(&mut self, config: &Config, aggregate: &Aggregate, status: Status) -> Result<()> {
        let job = Job::prepare(config, aggregate, Start::Committed).await?;
        self.aggregating.push(Aggregating { source: aggregate.source.clone(), status: Arc::clone(&status) });
        let failed = self.failed.clone();
        self.jobs.spawn(async move {
            let watched = Arc::clone(&status);
            let working = tokio::task::spawn_blocking(move || job.run(&watched).map(drop));
            let ended = tokio::select! {
                done = working => done.unwrap_or_else(|error| {
                    Err(Error::new(Kind::Failed, format!("the aggregation ended by itself: {error}")))
                }),
                error = status.stuck() => Err(error),
            };
            tell(&failed, ended, status.is_stopping());
        });
        Ok(())
    }

    /// Asks all jobs to end, and waits for it: each writes or commits what it has. An error if one failed, or took too long.
    pub async fn stop(mut self, mut failures: Failures, limit: Duration) -> Result<()> {
        self.producing.iter().for_each(|one| one.shared.stop.store(true, Ordering::Relaxed));
        self.aggregating.iter().for_each(|one| one.status.stop());
        let ended = async { while self.jobs.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, ended).await.is_err() {
            let doing = self.aggregating.first().map_or("writing", |one| one.status.doing());
            let what = format!("told to stop, but still {doing} after {} s", limit.as_secs());
            return Err(Error::new(Kind::Watchdog, what).hint("nothing is lost: the next start goes on from the last commit"));
        }
        failures.0.try_recv().map_or(Ok(()), Err)
    }
}

/// Tells how a job ended that nobody asked to.
fn tell(failed: &UnboundedSender<Error>, ended: Result<()>, is_asked: bool) {
    let error = match ended {
        Err(error) => error,
        Ok(()) if is_asked => return,
        Ok(()) => Error::new(Kind::Failed, "a job ended by itself"),
    };
    // Nobody listens any more only if the program ends.
    let _ = failed.send(error);
}

/// Events as they happen.
pub(super) fn live(rate: f64) -> Produce {
    Produce { source: None, rate, count: None, backfill: None, from: None, max_speed: false, seed: None, partitions: None }
}

fn of_history(history: History, rate: f64) -> Produce {
    Produce { backfill: Some(history.span), count: Some(history.count), ..live(rate) }
}

async fn write(job: produce::Job, shared: Arc<Shared>) -> Result<()> {
    let done = tokio::task::spawn_blocking(move || job.run(&shared)).await;
    done.map_err(|error| Error::new(Kind::Failed, format!("the writing of events ended by itself: {error}")))?.map(drop)
}
