//! Where the source's partitions end, asked again and again on a thread of its own: a question to a broker may take long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::kafka::Cluster;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(1);
/// An answer that is older than this, or than three rounds, tells nothing any more.
const GAP: Duration = Duration::from_secs(5);

/// Watches the ends until it is dropped.
pub(super) struct EndWatch {
    found: Arc<Found>,
}

struct Found {
    ends: Mutex<BTreeMap<i32, (i64, Instant)>>,
    answered_at: Mutex<Instant>,
    round: Mutex<Duration>,
    topic_id: Mutex<Option<String>>,
    partitions: AtomicI32,
    stop: AtomicBool,
}

impl EndWatch {
    pub fn start(cluster: Cluster, topic: &str, partitions: Vec<i32>) -> Self {
        let found = Arc::new(Found {
            ends: Mutex::default(),
            answered_at: Mutex::new(Instant::now()),
            round: Mutex::default(),
            topic_id: Mutex::default(),
            partitions: AtomicI32::new(0),
            stop: AtomicBool::new(false),
        });
        let (watch, topic) = (Self { found: Arc::clone(&found) }, topic.to_owned());
        std::thread::spawn(move || {
            while !found.stop.load(Ordering::Relaxed) {
                let begin = Instant::now();
                found.ask(&cluster, &topic, &partitions);
                *found.round.lock().unwrap_or_else(PoisonError::into_inner) = begin.elapsed();
                std::thread::park_timeout(PAUSE);
            }
        });
        watch
    }

    /// How many partitions the topic has; `None` as long as that is not known.
    pub fn partitions(&self) -> Option<i32> {
        Some(self.found.partitions.load(Ordering::Relaxed)).filter(|count| *count > 0)
    }

    /// The id that the broker has for the topic now; `None` as long as that is not known.
    pub fn topic_id(&self) -> Option<String> {
        self.found.topic_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An answer that is older than this tells nothing any more.
    pub fn gap(&self) -> Duration {
        GAP.max(*self.found.round.lock().unwrap_or_else(PoisonError::into_inner) * 3)
    }

    /// The last answer for each partition, and when it was asked for.
    pub fn latest(&self) -> BTreeMap<i32, (i64, Instant)> {
        self.found.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For how long no question was answered.
    pub fn silence(&self) -> Duration {
        self.found.answered_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl Found {
    fn ask(&self, cluster: &Cluster, topic: &str, partitions: &[i32]) {
        let answered = || *self.answered_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        for partition in partitions {
            let asked_at = Instant::now();
            if let Ok(found) = cluster.partition_ends(topic, *partition) {
                self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(*partition, (found.high, asked_at));
                answered();
            }
        }
        if let Ok(found) = cluster.topic_id(topic) {
            *self.topic_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        }
        if let Ok(Some(found)) = cluster.partitions(topic) {
            self.partitions.store(found, Ordering::Relaxed);
            answered();
        }
    }
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        self.found.stop.store(true, Ordering::Relaxed);
    }
}
