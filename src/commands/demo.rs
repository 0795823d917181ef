//! `pipeline demo`: embedded broker and registry, and then the same produce, aggregate and view as against a real cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;

use super::messages;
use super::produce::{self, Shared};
use super::view;
use crate::aggregate::{Job, Start, Status};
use crate::cli::{Demo, Produce};
use crate::config::{self, Config, Millis, Source};
use crate::embedded::{Broker, Registry};
use crate::error::{Error, Kind, Result};
use crate::view::{States, Verdict, Watcher};

/// How much history there is at the start.
const HISTORY: Millis = Millis(2 * 3_600_000);
/// History has no more events a second than this, so that all of it fits into the broker's memory.
const HISTORY_RATE: f64 = 5.0;
/// How long jobs may take to end. What is not committed then is gone with the broker anyway.
const STOP_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn run(config: &Config, args: &Demo) -> Result<()> {
    check(args)?;
    let listener = view::listen(&args.page).await?;
    let broker = Broker::start(&topics(config))?;
    let registry = Registry::start()?;
    let config = embedded(config, &broker, &registry);
    let watcher = Watcher::start(&config, None, true)?;
    view::announce(&listener, &args.page)?;
    say!("broker    {}\nregistry  {}", broker.address(), registry.url());
    say!("All of it is in this process and in memory. Events are made up, {} a second. Ctrl-C ends it.", args.rate);
    let mut line = Line::default();
    let ended = tokio::select! {
        error = crate::view::serve(listener, watcher.states.clone()) => Err(error),
        error = watcher.ended() => Err(error),
        error = line.run(&config, args.rate) => Err(error),
        never = view::progress(watcher.states.clone()) => match never {},
        () = length(args.length) => verdict(&watcher.states),
        () = super::stop_signal() => Ok(()),
    };
    line.stop().await;
    ended
}

fn check(args: &Demo) -> Result<()> {
    produce::check(&live(args.rate))?;
    if args.length.is_some_and(|length| length.0 <= 0) {
        return Err(Error::new(Kind::Usage, "--for: write a duration longer than 0, for example 30s"));
    }
    Ok(())
}

/// All topics that the pipeline file names: the embedded broker has those it was started with.
fn topics(config: &Config) -> Vec<(String, i32)> {
    let partitions = |topic: &str| config.source(Some(topic)).ok().and_then(|source| source.partitions).unwrap_or(1);
    let sources = config.sources.iter().map(|source| (source.topic.clone(), partitions(&source.topic)));
    let others = config
        .aggregates
        .iter()
        .flat_map(|aggregate| [(aggregate.sink.clone(), partitions(&aggregate.source)), (aggregate.dead_letter_topic(), 1)]);
    let topics: BTreeMap<String, i32> = others.chain(sources).collect();
    topics.into_iter().collect()
}

/// The same pipeline, but on the embedded servers: what is set up for others (passwords, TLS, copies) does not hold for these.
fn embedded(config: &Config, broker: &Broker, registry: &Registry) -> Config {
    let mut config = Config {
        kafka: config::Kafka { bootstrap_servers: broker.address().to_owned(), ..config::Kafka::default() },
        registry: config::Registry { url: registry.url().to_owned(), ..config::Registry::default() },
        ..config.clone()
    };
    config.sources.iter_mut().for_each(|source| source.replication_factor = None);
    config.aggregates.iter_mut().for_each(|aggregate| aggregate.replication_factor = None);
    config
}

async fn length(length: Option<Millis>) {
    match length {
        Some(length) => tokio::time::sleep(Duration::from_millis(length.0.unsigned_abs())).await,
        None => std::future::pending().await,
    }
}

/// What the proof says in the end.
fn verdict(states: &States) -> Result<()> {
    let state = Arc::clone(&states.borrow());
    messages::keep_progress();
    match state.verdict {
        Verdict::Equal if state.trouble.is_some() => Err(Error::new(Kind::Failed, view::line(&state))),
        Verdict::Equal => {
            say!("{}", view::line(&state));
            Ok(())
        }
        Verdict::Differs => Err(Error::new(Kind::Differs, view::line(&state))),
        Verdict::Waiting => Err(Error::new(Kind::Failed, view::line(&state)).hint("give it longer: --for 30s")),
    }
}

/// Produce and aggregate, each on a thread of its own.
#[derive(Default)]
struct Line {
    jobs: JoinSet<Result<()>>,
    producing: Vec<Arc<Shared>>,
    aggregating: Vec<Status>,
}

impl Line {
    async fn start(&mut self, config: &Config, rate: f64) -> Result<()> {
        let is_sink = |source: &&Source| config.aggregates.iter().any(|aggregate| aggregate.sink == source.topic);
        for source in config.sources.iter().filter(|source| !is_sink(source)) {
            // It registers the schema, which the aggregates need.
            let (history, _) = produce::prepare(config, source, &history(rate)).await?;
            let shared = Arc::<Shared>::default();
            self.producing.push(Arc::clone(&shared));
            self.jobs.spawn(produce(config.clone(), source.clone(), history, rate, shared));
        }
        for aggregate in &config.aggregates {
            let job = Job::prepare(config, aggregate, Start::Committed).await?;
            let status = Status::default();
            self.aggregating.push(Arc::clone(&status));
            self.jobs.spawn_blocking(move || job.run(&status).map(drop));
        }
        Ok(())
    }

    /// Returns when a job has ended, which none does by itself unless it failed.
    async fn run(&mut self, config: &Config, rate: f64) -> Error {
        if let Err(error) = self.start(config, rate).await {
            return error;
        }
        match self.jobs.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(()))) => Error::new(Kind::Failed, "a job ended by itself"),
            Some(Err(error)) => Error::new(Kind::Failed, format!("a job ended by itself: {error}")),
            None => std::future::pending().await,
        }
    }

    async fn stop(mut self) {
        self.producing.iter().for_each(|shared| shared.stop.store(true, Ordering::Relaxed));
        self.aggregating.iter().for_each(|status| status.stop());
        let ended = async { while self.jobs.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_LIMIT, ended).await.is_err() {
            tracing::debug!("jobs did not end in {} s", STOP_LIMIT.as_secs());
        }
    }
}

/// Two hours of events until now, at once.
fn history(rate: f64) -> Produce {
    let count = HISTORY.0 as f64 / 1e3 * rate.min(HISTORY_RATE);
    Produce { backfill: Some(HISTORY), count: Some((count as u64).max(1)), ..live(rate) }
}

/// Events as they happen.
fn live(rate: f64) -> Produce {
    Produce { source: None, rate, count: None, backfill: None, from: None, max_speed: false, seed: None, partitions: None }
}

async fn produce(config: Config, source: Source, history: produce::Job, rate: f64, shared: Arc<Shared>) -> Result<()> {
    write(history, Arc::clone(&shared)).await?;
    let (live, _) = produce::prepare(&config, &source, &live(rate)).await?;
    write(live, shared).await
}

async fn write(job: produce::Job, shared: Arc<Shared>) -> Result<()> {
    let done = tokio::task::spawn_blocking(move || job.run(&shared)).await;
    done.map_err(|error| Error::new(Kind::Failed, format!("the writing of events ended by itself: {error}")))?.map(drop)
}
