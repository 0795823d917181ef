//! One session: from what was committed, until it is stopped, is done, or cannot go on.
//!
//! It runs on a thread of its own, because Kafka's transaction calls block.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use super::idle::IdleWatch;
use super::reader::Reader;
use super::restore::{Found, Identity, Start, UNFINISHED_RESET};
use super::run::{Control, EndWatch, Job, Outcome, Snapshot};
use super::work::Work;
use crate::engine::{Commit, Engine};
use crate::error::{Error, Kind};
use crate::kafka::{Broken, Cluster, Outgoing, Source, Transactional};

/// So many records are read before anything else is looked at.
const BATCH: usize = 10_000;
/// How long reading waits for a first record, and so the longest that a stop or a silent partition goes unnoticed.
const WAIT: Duration = Duration::from_millis(50);
/// If no further record comes within this, what is pending is committed.
const LULL: Duration = Duration::from_millis(5);
/// While records keep coming, rows are committed this often,
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// or when there are so many of them.
const COMMIT_ROWS: usize = 50_000;
/// With no rows to write, progress is committed this often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// With nothing new at all, progress is committed this often, since Kafka forgets offsets after a week (`offsets.retention.minutes`).
const KEEP_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// A run that must come to an end is ended if nothing moves for this long.
const STALL: Duration = Duration::from_secs(60);
/// How often silent partitions are looked for.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

type Result<T> = std::result::Result<T, Broken>;

pub(super) struct Session<'a> {
    control: &'a Control,
    identity: Identity,
    source: Source,
    producer: Transactional,
    work: Work<'a>,
    /// Where each partition was first read: its position until a record comes.
    starts: BTreeMap<i32, i64>,
    paused: BTreeSet<i32>,
    idle: IdleWatch,
    ends: Option<EndWatch>,
    /// With `--until-caught-up`: the offsets to read to.
    goal: Option<BTreeMap<i32, i64>>,
    /// The partitions that were read to there.
    at_goal: BTreeSet<i32>,
    /// When the positions last moved, and where they were.
    moved: (Instant, BTreeMap<i32, i64>),
    watched_at: Instant,
    committed_at: Instant,
    committed: Vec<Commit>,
}

impl<'a> Session<'a> {
    /// Takes over from every earlier instance, and goes back to what was committed.
    pub fn begin(job: &'a Job, control: &'a Control, start: Start) -> Result<Self> {
        // First of all: this aborts a predecessor's open transaction, whose offsets would not be readable.
        let producer = Transactional::new(&job.kafka, &job.group)?;
        let source = Source::new(&job.kafka, &job.aggregate.source, &job.group)?;
        let cluster = Cluster::new(&job.kafka, "read_uncommitted")?;
        let (identity, found, sink_has_rows) = look(job, &source, &cluster)?;
        let restored = identity.restore(&found, start, sink_has_rows)?;
        let starts: BTreeMap<i32, i64> = restored.assigned.iter().map(|(partition, offset, _)| (*partition, *offset)).collect();
        source.assign(starts.clone())?;
        let engine = Engine::new(job.layout.definition.clone(), restored.assigned);
        let now = Instant::now();
        let mut session = Self {
            control,
            identity,
            source,
            producer,
            work: Work { job, engine, reader: Reader::new(job.layout.clone()), letters: Vec::new(), count: control.snapshot() },
            paused: BTreeSet::new(),
            idle: IdleWatch::new(job.aggregate.idle_timeout.to_std()),
            ends: None,
            goal: None,
            at_goal: BTreeSet::new(),
            moved: (now, BTreeMap::new()),
            watched_at: now,
            committed_at: now,
            committed: Vec::new(),
            starts,
        };
        session.work.count.replay_total = session.work.engine.left_to_replay();
        if start == Start::Reset {
            session.empty_sink(&cluster)?;
        }
        if restored.baseline {
            session.commit()?;
        }
        session.committed = session.work.engine.commits();
        if job.until_caught_up {
            session.goal = Some(goal(job)?);
        } else {
            session.ends = Some(EndWatch::start(cluster, &job.aggregate.source, session.starts.keys().copied().collect()));
        }
        Ok(session)
    }

    /// Empties the sink; nobody else can write rows to it any more. Until the baseline is committed, a restart is refused: the old
    /// offsets would leave the rows out, and none at all would not tell how much of the sink is gone.
    fn empty_sink(&mut self, cluster: &Cluster) -> Result<()> {
        let offsets = self.source.list(self.starts.clone(), |_| Ok(Some(UNFINISHED_RESET.to_owned())))?;
        self.producer.commit([], &offsets, &self.source.group_metadata()?)?;
        let job = self.work.job;
        Ok(job.runtime.block_on(cluster.empty(&job.aggregate.sink))?)
    }

    /// Reads, aggregates and commits until there is a reason to end.
    pub fn run(mut self) -> Result<Outcome> {
        loop {
            let lull = self.read_batch()?;
            if self.work.engine.replaying() {
                self.pass_control_records();
            }
            if self.watched_at.elapsed() >= WATCH_INTERVAL {
                self.watched_at = Instant::now();
                self.check_progress()?;
                self.watch_partitions()?;
                self.control.publish(self.snapshot());
            }
            self.steer()?;
            if self.control.stop.load(Ordering::Relaxed) {
                return self.finish(Outcome::Stopped);
            }
            if self.reached_goal() {
                if self.work.job.close_all {
                    self.work.engine.close_all();
                }
                return self.finish(Outcome::CaughtUp);
            }
            if self.is_due(lull) {
                self.commit()?;
            }
        }
    }

    /// Reads up to a batch; returns whether there was a lull, so that what is pending should be committed at once.
    fn read_batch(&mut self) -> Result<bool> {
        for count in 0..BATCH {
            let next = match self.source.poll(if count == 0 { WAIT } else { Duration::ZERO }) {
                None if count > 0 => self.source.poll(LULL),
                other => other,
            };
            let Some(record) = next else { return Ok(true) };
            let record = record?;
            if !self.is_past_goal(&record) {
                self.work.take(&record)?;
            }
        }
        Ok(false)
    }

    /// What came after the session began is the next run's: it would close windows that other partitions still have records for.
    fn is_past_goal(&self, record: &BorrowedMessage<'_>) -> bool {
        self.goal.as_ref().and_then(|goal| goal.get(&record.partition())).is_some_and(|end| record.offset() >= *end)
    }

    /// Where the log ends with control records, no record comes that would move the position past them.
    fn pass_control_records(&mut self) {
        for (partition, position) in self.source.positions() {
            let end = self.goal.as_ref().and_then(|goal| goal.get(&partition)).copied().unwrap_or(i64::MAX);
            self.work.engine.read_up_to(partition, position.min(end));
        }
    }

    /// A run that must come to an end, or a replay, in which nothing moves any more: the broker is away, and librdkafka would wait
    /// for ever.
    fn check_progress(&mut self) -> Result<()> {
        let positions = self.source.positions();
        let must_move = self.goal.is_some() || self.work.engine.replaying();
        if positions != self.moved.1 || !must_move {
            self.moved = (Instant::now(), positions);
        }
        if self.moved.0.elapsed() < STALL { Ok(()) } else { Err(self.source.stalled(STALL).into()) }
    }

    fn position(&self, positions: &BTreeMap<i32, i64>, partition: i32) -> i64 {
        positions.get(&partition).or_else(|| self.starts.get(&partition)).copied().unwrap_or(0)
    }

    /// Looks for partitions that have fallen silent, and closes the windows of a stream that has stopped.
    fn watch_partitions(&mut self) -> Result<()> {
        let Some(ends) = &self.ends else { return Ok(()) };
        if ends.partitions() > self.starts.len() {
            let what = format!("topic {} has more partitions now", self.work.job.aggregate.source);
            return Err(Broken::StartOver(Error::new(Kind::Failed, what)));
        }
        let ends = ends.latest();
        let positions = self.source.positions();
        for (partition, (end, asked_at)) in ends {
            let at_end = self.position(&positions, partition) >= end;
            let last_event = self.work.engine.last_event(partition);
            if at_end && self.paused.contains(&partition) {
                self.idle.forget(partition);
            } else if let Some(idle) = self.idle.observe(partition, at_end, last_event, asked_at) {
                self.work.engine.set_idle(partition, idle);
            }
        }
        self.work.engine.close_by_wall_clock(chrono::Utc::now().timestamp_millis());
        Ok(())
    }

    /// Lets partitions wait that are far ahead of the others, or done replaying while others are not.
    fn steer(&mut self) -> crate::error::Result<()> {
        for partition in self.starts.keys() {
            let wait = self.work.engine.should_wait(*partition) || self.at_goal.contains(partition);
            if wait != self.paused.contains(partition) {
                self.source.set_paused(*partition, wait)?;
                if wait {
                    self.paused.insert(*partition)
                } else {
                    self.paused.remove(partition)
                };
            }
        }
        Ok(())
    }

    /// Whether every partition was read to where it ended when the session began. One that was no longer holds the watermark.
    fn reached_goal(&mut self) -> bool {
        let Some(goal) = &self.goal else { return false };
        let positions = self.source.positions();
        let mut all = true;
        for (partition, end) in goal {
            let reached = self.position(&positions, *partition) >= *end;
            if reached {
                self.at_goal.insert(*partition);
                self.work.engine.set_idle(*partition, true);
            }
            all &= reached;
        }
        all && !self.work.engine.replaying()
    }

    fn is_due(&self, lull: bool) -> bool {
        if self.work.engine.replaying() {
            return false;
        }
        let pending = self.work.engine.pending_rows() + self.work.letters.len();
        let since = self.committed_at.elapsed();
        if pending > 0 {
            return lull || since >= COMMIT_INTERVAL || pending >= COMMIT_ROWS;
        }
        since >= KEEP_INTERVAL || since >= PROGRESS_INTERVAL && self.work.engine.commits() != self.committed
    }

    fn finish(mut self, outcome: Outcome) -> Result<Outcome> {
        // What is being read again was committed before: there is nothing to add.
        if !self.work.engine.replaying() {
            self.commit()?;
        }
        self.control.publish(self.snapshot());
        Ok(outcome)
    }

    /// One transaction: the rows of the windows closed since the last, the dead letters, and every partition's progress.
    fn commit(&mut self) -> Result<()> {
        self.pass_control_records();
        let rows = self.work.engine.take_rows();
        let commits = self.work.engine.commits();
        let encoded = self.work.encode(&rows)?;
        let letters = std::mem::take(&mut self.work.letters);
        let stamps: BTreeMap<i32, String> = commits
            .iter()
            .map(|commit| Ok((commit.partition, self.identity.stamp(commit)?)))
            .collect::<crate::error::Result<_>>()?;
        let offsets = commits.iter().map(|commit| (commit.partition, commit.offset));
        let offsets = self.source.list(offsets, |partition| Ok(stamps.get(&partition).cloned()))?;
        let group = self.source.group_metadata()?;
        let job = self.work.job;
        let rows = encoded.rows.iter().map(|(key, value)| Outgoing {
            topic: &job.aggregate.sink,
            key: Some(&encoded.bytes[key.clone()]),
            value: Some(&encoded.bytes[value.clone()]),
            headers: None,
        });
        let letters = letters.iter().map(|letter| Outgoing {
            topic: &job.dead_letters,
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            headers: Some(letter.headers(&job.aggregate.source)),
        });
        self.producer.commit(rows.chain(letters), &offsets, &group)?;
        self.work.count.rows += encoded.rows.len() as u64;
        self.work.count.commits += 1;
        self.committed = commits;
        self.committed_at = Instant::now();
        self.control.publish(self.snapshot());
        Ok(())
    }

    fn snapshot(&self) -> Snapshot {
        let engine = &self.work.engine;
        Snapshot {
            watermark: engine.watermark(),
            open_windows: engine.open_windows(),
            replay_left: engine.left_to_replay(),
            ..self.work.count
        }
    }
}

/// What a session must know of the cluster before it begins.
fn look(job: &Job, source: &Source, cluster: &Cluster) -> crate::error::Result<(Identity, BTreeMap<i32, Found>, bool)> {
    let ends = cluster.ends(&job.aggregate.source)?;
    let mut committed = source.committed(i32::try_from(ends.len()).unwrap_or(i32::MAX))?;
    let topic_id = cluster.topic_id(&job.aggregate.source)?;
    let found = ends
        .into_iter()
        .map(|(partition, ends)| (partition, Found { committed: committed.remove(&partition).flatten(), ends }))
        .collect();
    let sink_has_rows = cluster.ends(&job.aggregate.sink)?.values().any(|ends| ends.high > 0);
    Ok((Identity { definition: job.layout.identity(), topic_id }, found, sink_has_rows))
}

/// Where each partition ends now, for readers of committed records.
fn goal(job: &Job) -> crate::error::Result<BTreeMap<i32, i64>> {
    let ends = Cluster::new(&job.kafka, "read_committed")?.ends(&job.aggregate.source)?;
    Ok(ends.into_iter().map(|(partition, ends)| (partition, ends.high)).collect())
}
