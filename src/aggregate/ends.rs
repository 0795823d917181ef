//! Where the source's partitions end, asked again and again on a thread of its own: a question to a broker may take long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::kafka::Cluster;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(1);
/// An answer that is older than this, or than three rounds, tells nothing any more.
const GAP: Duration = Duration::from_secs(5);

/// What the broker has answered.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    /// The last answer for each partition, and when it was asked for.
    pub ends: BTreeMap<i32, (i64, Instant)>,
    /// How many partitions the topic has; `None` as long as that is not known.
    pub partitions: Option<i32>,
    /// The topic's id; `None` as long as that is not known.
    pub topic_id: Option<String>,
    /// When anything was last answered.
    pub answered_at: Instant,
    /// How long the last round took.
    round: Duration,
}

impl Answers {
    /// An answer that is older than this tells nothing any more.
    pub fn gap(&self) -> Duration {
        GAP.max(self.round * 3)
    }
}

/// Watches the ends until it is dropped.
pub(super) struct EndWatch {
    answers: Arc<Mutex<Answers>>,
    stop: Arc<AtomicBool>,
}

impl EndWatch {
    pub fn start(cluster: Cluster, topic: &str, partitions: Vec<i32>) -> Self {
        let none = Answers {
            ends: BTreeMap::new(),
            partitions: None,
            topic_id: None,
            answered_at: Instant::now(),
            round: Duration::ZERO,
        };
        let watch = Self { answers: Arc::new(Mutex::new(none)), stop: Arc::default() };
        let (answers, stop, topic) = (Arc::clone(&watch.answers), Arc::clone(&watch.stop), topic.to_owned());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let begin = Instant::now();
                ask(&cluster, &topic, &partitions, &answers);
                lock(&answers).round = begin.elapsed();
                std::thread::park_timeout(PAUSE);
            }
        });
        watch
    }

    /// What was answered so far.
    pub fn latest(&self) -> Answers {
        lock(&self.answers).clone()
    }
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock(answers: &Mutex<Answers>) -> MutexGuard<'_, Answers> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One round. The answers are not locked while a broker is asked.
fn ask(cluster: &Cluster, topic: &str, partitions: &[i32], answers: &Mutex<Answers>) {
    for partition in partitions {
        let asked_at = Instant::now();
        if let Ok(found) = cluster.partition_ends(topic, *partition) {
            let mut answers = lock(answers);
            answers.ends.insert(*partition, (found.high, asked_at));
            answers.answered_at = Instant::now();
        }
    }
    if let Ok(found) = cluster.topic_id(topic) {
        lock(answers).topic_id = Some(found);
    }
    if let Ok(Some(found)) = cluster.partitions(topic) {
        let mut answers = lock(answers);
        answers.partitions = Some(found);
        answers.answered_at = Instant::now();
    }
}
