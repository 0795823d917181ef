//! `pipeline produce`: made-up events to the source topic.

mod events;
mod newest;
mod sending;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::oneshot;

use self::events::Events;
pub(super) use self::sending::{Job, Shared};
use self::sending::{Outcome, now_us};
use super::messages;
use crate::cli::Produce;
use crate::config::{self, Config, Source};
use crate::engine::generator::{Pace, Schedule};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Cluster, Tally, TopicSpec, Writer};
use crate::registry::Registry;

pub(super) async fn run(config: &Config, args: &Produce) -> Result<()> {
    check(args)?;
    let source = config.source(args.source.as_deref())?;
    let (job, about) = prepare(config, source, args).await?;
    note!("{about}");
    Watcher::new(config, source, job.writer.tally()).watch(job).await
}

/// Registers the schema and creates the topic; returns what is left to do, and a line about it.
pub(super) async fn prepare(config: &Config, source: &Source, args: &Produce) -> Result<(Job, String)> {
    let events = Events::of(source)?;
    let writer = Writer::new(&config.kafka, &source.topic)?;
    let registry = Registry::new(&config.registry)?;
    let schema_id = registry.register(&format!("{}-value", source.topic), &source.schema_text).await?;
    let cluster = Cluster::new(&config.kafka, "read_uncommitted")?;
    let wanted = args.partitions.or(source.partitions);
    let topic = TopicSpec {
        name: &source.topic,
        partitions: wanted.unwrap_or(1),
        replication: source.replication_factor,
        retention: source.retention,
        settings: &[("cleanup.policy", "delete")],
    };
    let (partitions, created) = cluster.ensure(&topic).await?;
    if let Some(wanted) = wanted.filter(|wanted| *wanted != partitions) {
        warning!("{} has {partitions} partition{}, not {wanted}: it stays as it is", source.topic, plural(partitions));
    }
    let seed = args.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let topic =
        format!("{} ({}{partitions} partition{})", source.topic, if created { "created, " } else { "" }, plural(partitions));
    let about = format!("writing to {topic}, schema id {schema_id}, seed {seed}");
    let schedule = schedule(args, now_us());
    if !created {
        warn_of_later(config, source, &cluster, &registry, schedule.time_us(0, now_us())).await;
    }
    let pace = pace(args, &schedule, now_us());
    Ok((Job { events, schema_id, seed, schedule, pace, count: args.count, writer }, about))
}

fn plural(count: i32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

pub(super) fn check(args: &Produce) -> Result<()> {
    let wrong = |what: String| Err(Error::new(Kind::Usage, what));
    if !(args.rate.is_finite() && args.rate > 0.0) {
        return wrong(format!("--rate {}: write a number of events a second above 0", args.rate));
    }
    if let Some(partitions) = args.partitions.filter(|count| *count < 1) {
        return wrong(format!("--partitions {partitions}: a topic has 1 at least"));
    }
    if args.backfill.is_some_and(|span| span.0 <= 0) {
        return wrong("--backfill: write a duration longer than 0, for example 30m".into());
    }
    Ok(())
}

/// When the events happen.
fn schedule(args: &Produce, now_us: i64) -> Schedule {
    match (args.from, args.backfill, args.count) {
        (Some(from), ..) => Schedule::Even { start_us: from.0.saturating_mul(1_000), per_second: args.rate },
        (None, Some(span), Some(count)) => {
            let per_second = count as f64 * 1_000.0 / span.0 as f64;
            Schedule::Even { start_us: now_us.saturating_sub(span.0.saturating_mul(1_000)), per_second }
        }
        (None, Some(span), None) => {
            Schedule::CatchUp { start_us: now_us.saturating_sub(span.0.saturating_mul(1_000)), per_second: args.rate }
        }
        (None, None, _) => Schedule::Now,
    }
}

/// When they are written; `None`: as fast as the broker takes them.
fn pace(args: &Produce, schedule: &Schedule, now_us: i64) -> Option<Pace> {
    match *schedule {
        _ if args.max_speed => None,
        Schedule::CatchUp { start_us, per_second } => Some(Pace::catch_up(start_us, per_second)),
        Schedule::Even { .. } if args.backfill.is_some() => None,
        Schedule::Even { .. } | Schedule::Now => Some(Pace::even(now_us, args.rate)),
    }
}

fn time(time_us: i64) -> config::Instant {
    config::Instant(time_us.div_euclid(1_000))
}

/// Looking is a service: where it fails (a user who may write need not be allowed to read), it is left.
async fn warn_of_later(config: &Config, source: &Source, cluster: &Cluster, registry: &Registry, first_us: i64) {
    match newest::newest_us(config, source, cluster, registry).await {
        Ok(Some(newest_us)) if newest_us > first_us => warning!(
            "{} already has events up to {}, and the first to be written happens at {}: an aggregate that has read \
             those will find these late",
            source.topic,
            time(newest_us),
            time(first_us)
        ),
        Ok(_) => {}
        Err(error) => tracing::debug!("cannot look at the last events of {}: {}", source.topic, error.message),
    }
}

/// Tells how the writing goes, and ends it when the user wants to.
struct Watcher {
    topic: String,
    /// How far event times may be ahead of the clock before an aggregate refuses them.
    max_future_us: i64,
    shared: Arc<Shared>,
    tally: Arc<Tally>,
}

impl Watcher {
    fn new(config: &Config, source: &Source, tally: Arc<Tally>) -> Self {
        let readers = config.aggregates.iter().filter(|aggregate| aggregate.source == source.topic);
        Self {
            topic: source.topic.clone(),
            max_future_us: readers.map(|reader| reader.max_future.0.saturating_mul(1_000)).min().unwrap_or(i64::MAX),
            shared: Arc::default(),
            tally,
        }
    }

    async fn watch(self, job: Job) -> Result<()> {
        let (done, mut result) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        // Not one of the runtime's threads: it never yields. Nobody listens any more only if the program ends.
        std::thread::Builder::new()
            .name("produce".into())
            .spawn(move || drop(done.send(job.run(&shared))))
            .map_err(|error| Error::new(Kind::Failed, format!("cannot start a thread: {error}")))?;
        let mut stop = std::pin::pin!(super::stop_signal());
        let every = messages::progress_interval();
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        let (mut before, mut stopping, mut warned) = ((Instant::now(), 0), false, false);
        let ended = loop {
            tokio::select! {
                ended = &mut result => break ended,
                () = &mut stop, if !stopping => {
                    stopping = true;
                    self.shared.stop.store(true, Ordering::Relaxed);
                }
                _ = ticks.tick() => {
                    warned = warned || self.warn_of_future();
                    before = self.tell(before);
                }
            }
        };
        messages::clear_progress();
        if !warned {
            self.warn_of_future();
        }
        self.conclude(ended.map_err(|_| Error::new(Kind::Failed, "the thread that writes events died"))?)
    }

    fn warn_of_future(&self) -> bool {
        let time_us = self.shared.time_us.load(Ordering::Relaxed);
        let too_far = time_us.saturating_sub(now_us()) > self.max_future_us;
        if too_far {
            warning!("event times are ahead of the clock ({}): an aggregate puts such events aside", time(time_us));
        }
        too_far
    }

    /// Tells progress since `before` (when, and how many were delivered then); returns the same for now.
    fn tell(&self, before: (Instant, u64)) -> (Instant, u64) {
        let (now, delivered, failed) = (Instant::now(), self.tally.delivered(), self.tally.failed());
        let rate = (delivered - before.1) as f64 / (now - before.0).as_secs_f64();
        let mut line = format!("{delivered} events delivered, {rate:.1}/s, {failed} failed");
        let time_us = self.shared.time_us.load(Ordering::Relaxed);
        if time_us != i64::MIN {
            line = format!("{line}, event time {}", time(time_us));
        }
        messages::progress(&line);
        (now, delivered)
    }

    fn conclude(&self, result: Result<Outcome>) -> Result<()> {
        let outcome = result.map_err(|error| {
            error.while_doing(format!("{} events delivered, {} failed", self.tally.delivered(), self.tally.failed()))
        })?;
        let mut line = format!("delivered {} events to {}, {} failed", outcome.delivered, self.topic, outcome.failed);
        if outcome.unconfirmed > 0 {
            line = format!("{line}, {} not confirmed in time", outcome.unconfirmed);
        }
        if let Some((first_us, last_us)) = outcome.span_us {
            line = format!("{line}, event times {} to {}", time(first_us), time(last_us));
        }
        say!("{line}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Instant, Millis};

    const NOW: i64 = 1_800_000_000_000_000;

    fn args() -> Produce {
        Produce {
            source: None,
            rate: 2.0,
            count: None,
            backfill: None,
            from: None,
            max_speed: false,
            seed: None,
            partitions: None,
        }
    }

    fn times(args: &Produce, numbers: [u64; 3]) -> [i64; 3] {
        let schedule = schedule(args, NOW);
        numbers.map(|number| (schedule.time_us(number, NOW) - NOW) / 1_000)
    }

    #[test]
    fn without_flags_events_happen_now() {
        assert_eq!(times(&args(), [0, 1, 100]), [0, 0, 0]);
        assert!(pace(&args(), &Schedule::Now, NOW).is_some());
        assert!(pace(&Produce { max_speed: true, ..args() }, &Schedule::Now, NOW).is_none());
    }

    #[test]
    fn a_backfill_reaches_the_clock_and_stays_with_it() {
        let args = Produce { backfill: Some(Millis(60_000)), ..args() };
        assert_eq!(times(&args, [0, 1, 119]), [-60_000, -59_500, -500]);
        let mut pace = pace(&args, &schedule(&args, NOW), NOW).unwrap();
        assert_eq!([119, 120, 121].map(|number| pace.wait_us(number, NOW)), [0, 0, 500_000]);
    }

    #[test]
    fn a_backfill_of_a_count_is_spread_evenly() {
        let args = Produce { backfill: Some(Millis(60_000)), count: Some(6), ..args() };
        assert_eq!(times(&args, [0, 1, 5]), [-60_000, -50_000, -10_000]);
        assert!(pace(&args, &schedule(&args, NOW), NOW).is_none());
    }

    #[test]
    fn from_a_time_on_only_the_rate_counts() {
        let args = Produce { from: Some(Instant(NOW / 1_000 - 5_000)), count: Some(6), ..args() };
        assert_eq!(times(&args, [0, 1, 20]), [-5_000, -4_500, 5_000]);
    }

    #[test]
    fn impossible_numbers_are_usage_errors() {
        for wrong in [
            Produce { rate: 0.0, ..args() },
            Produce { rate: f64::NAN, ..args() },
            Produce { partitions: Some(0), ..args() },
            Produce { backfill: Some(Millis(0)), ..args() },
        ] {
            assert_eq!(check(&wrong).unwrap_err().kind, Kind::Usage);
        }
    }
}
