//! Reads the topics on a thread of its own, and hands out the state again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::watch;

use super::picture::Picture;
use super::state::{Reading, State};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::follow::{self, Follow, Followed, Read};

/// How often the state is told, while the history is read and after.
const TOLD: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// The state as it was last told.
pub type States = watch::Receiver<Arc<State>>;

/// Watches the topics of a pipeline file until it is dropped.
pub struct Watcher {
    /// What it tells.
    pub states: States,
    stop: Arc<AtomicBool>,
}

impl Watcher {
    /// Begins to read the topics; `since_ms`: only what has this Kafka timestamp or a later one. Needs a tokio runtime.
    ///
    /// What fails on the way is told in the state ([`State::trouble`]), and tried again: who looks on must not end because a server
    /// restarts.
    pub fn start(config: &Config, since_ms: Option<i64>, demo: bool) -> Result<Self> {
        if config.aggregates.is_empty() && config.charts.is_empty() {
            return Err(Error::new(
                Kind::Config,
                "the pipeline file has no [[aggregate]] and no [[chart]]: there is nothing to show",
            ));
        }
        let reading = Some(Reading { done: 0, all: 0 });
        let nothing = Picture::new(config, demo, Vec::new()).state(Utc::now().timestamp_millis(), None, reading, None);
        let (sender, states) = watch::channel(Arc::new(nothing));
        let stop = Arc::<AtomicBool>::default();
        let work = Work { follow: Follow::new(config, since_ms, Arc::clone(&stop))?, demo, sender };
        std::thread::Builder::new()
            .name("view".into())
            .spawn(move || work.run())
            .map_err(|error| Error::new(Kind::Failed, format!("cannot start a thread: {error}")))?;
        Ok(Self { states, stop })
    }

    /// Returns when the thread has ended, which it does only if it failed.
    pub async fn ended(&self) -> Error {
        let mut states = self.states.clone();
        while states.changed().await.is_ok() {}
        Error::new(Kind::Failed, "reading the topics ended by itself")
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Work {
    follow: Follow,
    demo: bool,
    sender: watch::Sender<Arc<State>>,
}

impl Work {
    fn run(&self) {
        while !self.follow.is_stopping() {
            let Some(known) = self.prepare() else { return };
            self.watch(known);
        }
    }

    /// Reads on until a topic or a schema is no longer what it was, or the end.
    fn watch(&self, mut known: Followed<Picture>) {
        let (mut trouble, mut told_at, mut level_ms) = (None, None::<Instant>, None);
        while !self.follow.is_stopping() {
            trouble = match self.follow.read(&mut known, |error| self.tell(error.message.clone())) {
                Ok(Read::Anew) => return,
                Ok(Read::Some) => None,
                Ok(Read::Nothing) => trouble,
                // Records were deleted before they were read.
                Err(error) if error.kind == Kind::DataLoss => return,
                Err(error) => Some(error.message),
            };
            let every = if level_ms.is_some() { TOLD.1 } else { TOLD.0 };
            if told_at.is_some_and(|at| at.elapsed() < every) {
                continue;
            }
            told_at = Some(Instant::now());
            level_ms = level_ms.max(known.level().map(|at| at.timestamp_millis()));
            let (done, all) = known.progress();
            let reading = level_ms.is_none().then_some(Reading { done, all });
            self.sender.send_replace(Arc::new(known.by.state(Utc::now().timestamp_millis(), level_ms, reading, trouble.clone())));
        }
    }

    /// What was told last, but with this trouble.
    fn tell(&self, trouble: String) {
        let last = Arc::clone(&self.sender.borrow());
        self.sender.send_replace(Arc::new(State {
            trouble: Some(trouble),
            now: Utc::now().timestamp_millis(),
            ..State::clone(&last)
        }));
    }

    /// Waits for the schemas of the sources.
    fn prepare(&self) -> Option<Followed<Picture>> {
        let begin = |streams| {
            let picture = Picture::new(&self.follow.config, self.demo, streams);
            let topics = picture.topics();
            (picture, topics)
        };
        while !self.follow.is_stopping() {
            match self.follow.begin(begin) {
                Ok(followed) => return Some(followed),
                Err(error) => {
                    self.tell(error.message);
                    std::thread::sleep(follow::PAUSE);
                }
            }
        }
        None
    }
}
