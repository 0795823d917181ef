//! `pipeline demo`: embedded broker and registry, and then the same produce, aggregate and view as against a real cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::line::{self, Failures, History, Line};
use super::{messages, produce, view};
use crate::aggregate::Status;
use crate::cli::Demo;
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
    let (mut line, mut failures) = line::line();
    let ended = tokio::select! {
        error = crate::view::serve(listener, watcher.states.clone()) => Err(error),
        error = watcher.ended() => Err(error),
        error = work(&mut line, &mut failures, &config, args.rate) => Err(error),
        never = view::progress(watcher.states.clone()) => match never {},
        () = length(args.length) => verdict(&watcher.states),
        () = super::stop_signal() => Ok(()),
    };
    if let Err(error) = line.stop(failures, STOP_LIMIT).await {
        tracing::debug!("{}", error.message);
    }
    ended
}

fn check(args: &Demo) -> Result<()> {
    produce::check(&line::live(args.rate))?;
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

/// Starts all sources and aggregates; returns when one has failed.
async fn work(line: &mut Line, failures: &mut Failures, config: &Config, rate: f64) -> Error {
    match start(line, config, rate).await {
        Ok(()) => failures.first().await,
        Err(error) => error,
    }
}

async fn start(line: &mut Line, config: &Config, rate: f64) -> Result<()> {
    let is_sink = |source: &&Source| config.aggregates.iter().any(|aggregate| aggregate.sink == source.topic);
    for source in config.sources.iter().filter(|source| !is_sink(source)) {
        // It registers the schema, which the aggregates need.
        line.produce(config, source, Some(history(rate)), rate).await?;
    }
    for aggregate in &config.aggregates {
        line.aggregate(config, aggregate, Status::default()).await?;
    }
    Ok(())
}

/// Two hours of events until now.
fn history(rate: f64) -> History {
    let count = HISTORY.0 as f64 / 1e3 * rate.min(HISTORY_RATE);
    History { span: HISTORY, count: (count as u64).max(1) }
}
