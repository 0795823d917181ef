//! How far it is: every hop of a pipeline at a glance.
//!
//! [`facts`] is what is known (pure), [`text`] shows it to a person (pure), [`count`] says what is new in a topic (pure). `kafka`,
//! `druid` and `superset` ask, all hops at once; what cannot be asked is told in its place, and the rest goes on.

mod count;
mod druid;
pub mod facts;
mod kafka;
mod superset;
pub mod text;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::facts::{Hop, Status, Told};
use self::kafka::{AggregateDesk, Desk, SourceDesk};
use crate::config::Config;
use crate::error::{Error, Kind, Result};

/// Nothing takes longer: a first look at Kafka, a pause to see what moves, and then all the rest.
pub const LIMIT: Duration = Duration::from_secs(10);
/// How long a first look at a topic may take.
const GLANCE: Duration = Duration::from_secs(4);
/// How long it is waited to see what moves.
const MOVING: Duration = Duration::from_secs(1);
/// How long looking at a topic may take.
const TOPIC: Duration = Duration::from_secs(5);
/// How long Druid and Superset may take for a hop.
const SERVER: Duration = Duration::from_secs(9);
/// One request to a server that hangs must leave time to say so.
const REQUEST: Duration = Duration::from_secs(8);
/// How often Kafka and Druid are asked while it goes on; Superset as often as a dashboard that is open asks it.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks at every hop, again and again, until it is dropped.
pub struct Watch {
    board: Board,
    /// Who asks.
    hops: JoinSet<()>,
}

/// Where the hops hand in what they know.
#[derive(Clone, Default)]
struct Board {
    status: Arc<Mutex<Status>>,
    changed: Arc<Notify>,
}

impl Board {
    fn set<T>(&self, place: usize, hops: fn(&mut Status) -> &mut Vec<Hop<T>>, told: Told<T>) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hop) = hops(&mut status).get_mut(place) {
            hop.told = told;
        }
        drop(status);
        self.changed.notify_one();
    }

    fn latest(&self) -> Status {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status.at = chrono::Utc::now().timestamp_millis();
        status
    }
}

/// Looks at every hop once. Takes [`LIMIT`] at most.
pub async fn look(config: &Config) -> Status {
    let mut watch = start(config, false);
    while watch.hops.join_next().await.is_some() {}
    watch.latest()
}

impl Watch {
    /// Begins to look.
    pub fn start(config: &Config) -> Self {
        start(config, true)
    }

    /// What is known now.
    pub fn latest(&self) -> Status {
        self.board.latest()
    }

    /// Returns when every hop has answered once, or failed to.
    pub async fn complete(&self) {
        while !self.latest().is_complete() {
            self.board.changed.notified().await;
        }
    }
}

fn start(config: &Config, again: bool) -> Watch {
    let mut config = config.clone();
    for http in [&mut config.registry.http, &mut config.druid.http, &mut config.superset.http] {
        http.timeout = http.timeout.min(REQUEST);
    }
    let (config, board, mut hops) = (Arc::new(config), Board::default(), JoinSet::new());
    if let Ok(mut status) = board.status.lock() {
        *status = asking(&config);
    }
    for (place, source) in config.sources.iter().enumerate() {
        let (config, board, name) = (Arc::clone(&config), board.clone(), source.topic.clone());
        hops.spawn(topic::<SourceDesk>(config, name, again, move |told| board.set(place, |all| &mut all.sources, told)));
    }
    for (place, aggregate) in config.aggregates.iter().enumerate() {
        let (config, board, name) = (Arc::clone(&config), board.clone(), aggregate.sink.clone());
        hops.spawn(topic::<AggregateDesk>(config, name, again, move |told| board.set(place, |all| &mut all.aggregates, told)));
    }
    for (place, datasource) in config.datasources.iter().enumerate() {
        let (config, board, name) = (Arc::clone(&config), board.clone(), datasource.name.clone());
        hops.spawn(async move {
            loop {
                let told = in_time(SERVER, "Druid", druid::ask(&config, &name)).await;
                board.set(place, |all| &mut all.datasources, told.unwrap_or_else(Told::Failed));
                if !again {
                    return;
                }
                sleep(AGAIN).await;
            }
        });
    }
    if !config.charts.is_empty() {
        let board = board.clone();
        hops.spawn(superset::run(config, again, move |place, told| board.set(place, |all| &mut all.charts, told)));
    }
    Watch { board, hops }
}

fn asking(config: &Config) -> Status {
    Status {
        pipeline: config.name.clone(),
        at: 0,
        sources: config.sources.iter().map(|one| Hop::asking(&one.topic)).collect(),
        aggregates: config.aggregates.iter().map(|one| Hop::asking(&one.sink)).collect(),
        datasources: config.datasources.iter().map(|one| Hop::asking(&one.name)).collect(),
        charts: config.charts.iter().map(|one| Hop::asking(&one.title)).collect(),
        dashboard: config.page(),
    }
}

/// Asks about a topic.
async fn topic<D: Desk>(config: Arc<Config>, name: String, again: bool, tell: impl Fn(Told<D::Facts>)) {
    let what = format!("Kafka at {}, looking at {name}", config.kafka.bootstrap_servers);
    loop {
        // Whoever does not answer in time is left to itself, and asked no more.
        let mut desk = match blocking(GLANCE, &what, || D::new(&config, &name), |desk: &mut D| desk.glance()).await {
            Ok((desk, ())) => Some(desk),
            Err(error) => {
                tell(Told::Failed(error));
                None
            }
        };
        while let Some(own) = desk.take() {
            sleep(if again { AGAIN } else { MOVING }).await;
            match blocking(TOPIC, &what, || Ok(own), D::ask).await {
                Ok((own, told)) => {
                    tell(told);
                    desk = again.then_some(own);
                }
                Err(error) => tell(Told::Failed(error)),
            }
        }
        if !again {
            return;
        }
        sleep(AGAIN).await;
    }
}

/// What somebody does on a thread of its own, and who did it.
async fn blocking<D: Send + 'static, T: Send + 'static>(
    limit: Duration,
    what: &str,
    new: impl FnOnce() -> Result<D>,
    act: impl FnOnce(&mut D) -> Result<T> + Send + 'static,
) -> Result<(D, T)> {
    let mut desk = new()?;
    let acting = tokio::task::spawn_blocking(move || act(&mut desk).map(|done| (desk, done)));
    let acting = async { acting.await.map_err(|error| Error::new(Kind::Failed, format!("a thread ended early: {error}")))? };
    in_time(limit, what, acting).await
}

async fn in_time<T>(limit: Duration, what: &str, asked: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, asked).await.unwrap_or_else(|_| {
        let what = format!("{what}: no answer in {} s", limit.as_secs());
        Err(Error::new(Kind::Unreachable, what).hint("`pipeline doctor` looks for the cause"))
    })
}
