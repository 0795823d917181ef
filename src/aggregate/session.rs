//! One session: from what was committed, until it is stopped, is done, or cannot go on.
//!
//! It runs on a thread of its own, because Kafka's transaction calls block.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::message::BorrowedMessage;

use super::control::{Control, Snapshot};
use super::ends::EndWatch;
use super::idle::IdleWatch;
use super::look::{goal, grown, look};
use super::patience::{Learnt, Patience};
use super::restore::{Identity, Schemaless, Start, UNFINISHED_RESET};
use super::run::{Job, Outcome};
use super::turn::{Interrupted, Turn};
use super::work::Work;
use crate::engine::{Commit, Definition, Engine};
use crate::error::{Error, Kind};
use crate::faults;
use crate::kafka::{Cluster, Member, Outgoing, Source};

/// So many records are read before anything else is looked at.
const BATCH: usize = 10_000;
/// How long reading waits for a first record, and so the longest that a stop or a silent partition goes unnoticed.
const WAIT: Duration = Duration::from_millis(50);
/// If no further record comes within this, what is pending is committed;
const LULL: Duration = Duration::from_millis(5);
/// or as soon as all that has come is read, if the last commit is so long ago.
const COMMIT_SPACING: Duration = Duration::from_millis(100);
/// While records keep coming, rows are committed this often,
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// or when there are so many of them.
const COMMIT_ROWS: usize = 50_000;
/// With no rows to write, progress is committed this often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// With nothing new at all, progress is committed this often, since Kafka forgets offsets after a week (`offsets.retention.minutes`).
const KEEP_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// A run that must come to an end is ended if nothing moves for this long, and any run if the broker is silent for so long.
const STALL: Duration = Duration::from_secs(60);
/// If nothing was read for so long (the process was suspended, a commit was slow), a partition that was silent may not be so any more.
const SUSPENDED: Duration = Duration::from_secs(3);
/// After an event of a silent partition, none counts as silent by an answer of before this time has passed: what was written to
/// several partitions at once comes to their leaders one after the other.
const RESUMING: Duration = Duration::from_secs(2);
/// How often silent partitions are looked for.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

type Result<T> = std::result::Result<T, Interrupted>;

/// What a batch came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// There may be more.
    Full,
    /// There was a pause: what is pending should be committed at once.
    Lull,
    /// It was told to stop while it waited for the registry.
    Stopped,
}

pub(super) struct Session<'a> {
    job: &'a Job,
    control: &'a Control,
    identity: Identity,
    source: Source,
    turn: Turn<'a>,
    group: ConsumerGroupMetadata,
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
    /// A record that was read but could not be taken yet.
    held: Option<(i32, i64)>,
    /// When a silent partition last brought an event.
    resumed_at: Option<Instant>,
    /// How many partitions the topic had before it grew, and the end of the windows that were open then.
    grown: Option<(i32, i64)>,
    /// When the positions last moved, and where they were.
    moved: (Instant, BTreeMap<i32, i64>),
    read_at: Instant,
    watched_at: Instant,
    committed_at: Instant,
    committed: Vec<Commit>,
}

impl<'a> Session<'a> {
    /// Takes over from every earlier instance, and goes back to what was committed.
    pub fn begin(job: &'a Job, control: &'a Control, start: Start, member: Option<&'a Member>) -> Result<Self> {
        control.publish(Snapshot { has_begun: false, ..control.snapshot() });
        let cluster = Cluster::new(&job.kafka, "read_uncommitted")?;
        let turn = Turn::take(job, control, member, &cluster)?;
        control.beat("reading what is committed");
        let source = Source::new(&job.kafka, &job.aggregate.source, &job.group)?;
        let group = turn.group_metadata(&source)?;
        let (identity, found, sink_has_rows) = look(job, control, &source, &cluster, &turn)?;
        faults::point("restore");
        turn.claim(&source, &found)?;
        let start = job.resolve(start, found.values().any(|found| found.committed.is_some()), control)?;
        let restored = identity.restore(&found, turn.part(), start, sink_has_rows)?;
        let starts: BTreeMap<i32, i64> = restored.assigned.iter().map(|(partition, offset, _)| (*partition, *offset)).collect();
        source.assign(starts.clone())?;
        let grown = grown(job, &restored);
        let engine = Engine::new(Definition { keyed: turn.is_shared(), ..job.layout.definition.clone() }, restored.assigned);
        let now = Instant::now();
        let mut session = Self {
            job,
            control,
            identity,
            source,
            turn,
            group,
            work: Work::new(job, engine, control.snapshot(), restored.schemaless),
            paused: BTreeSet::new(),
            idle: IdleWatch::new(job.aggregate.idle_timeout.to_std()),
            ends: None,
            goal: None,
            at_goal: BTreeSet::new(),
            held: None,
            resumed_at: None,
            grown,
            moved: (now, BTreeMap::new()),
            read_at: now,
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
        session.set_out(cluster)?;
        Ok(session)
    }

    /// From here on progress is what is new, and the end is known or watched.
    fn set_out(&mut self, cluster: Cluster) -> Result<()> {
        self.committed = self.work.engine.commits();
        if self.job.until_caught_up {
            self.goal = Some(goal(self.job, self.control, &self.starts)?);
        } else {
            let partitions = self.starts.keys().copied().collect();
            self.ends = Some(EndWatch::start(cluster, &self.job.aggregate.source, partitions));
        }
        self.control.publish(self.snapshot());
        Ok(())
    }

    /// Empties the sink; nobody else can write rows to it any more. Until the baseline is committed, a restart is refused: the old
    /// offsets would leave the rows out, and none at all would not tell how much of the sink is gone.
    fn empty_sink(&mut self, cluster: &Cluster) -> Result<()> {
        let offsets = self.source.list(self.starts.clone(), |_| Ok(Some(UNFINISHED_RESET.to_owned())))?;
        self.turn.producer.commit([], &offsets, &self.group)?;
        Ok(self.job.runtime.block_on(cluster.empty(&self.job.aggregate.sink))?)
    }

    /// Reads, aggregates and commits until there is a reason to end.
    pub fn run(mut self) -> Result<Outcome> {
        loop {
            self.control.beat("reading");
            let batch = self.read_batch()?;
            self.notice_suspension();
            if self.work.engine.replaying() {
                faults::point("restore");
                self.pass_control_records();
            }
            self.turn.check()?;
            if self.watched_at.elapsed() >= WATCH_INTERVAL {
                self.watch()?;
            }
            self.steer()?;
            if batch == Batch::Stopped || self.control.is_stopping() {
                return self.finish(Outcome::Stopped);
            }
            if self.reached_goal() {
                if self.job.close_all {
                    self.work.engine.close_all();
                }
                return self.finish(Outcome::CaughtUp);
            }
            if self.is_due(batch == Batch::Lull) {
                self.commit()?;
            }
        }
    }

    /// What is to be done now and then.
    fn watch(&mut self) -> Result<()> {
        self.watched_at = Instant::now();
        self.check_progress()?;
        self.watch_partitions()?;
        self.work.tidy();
        self.control.publish(self.snapshot());
        Ok(())
    }

    fn read_batch(&mut self) -> Result<Batch> {
        let end = Instant::now() + WAIT;
        let mut asked = false;
        let wary = self.goal.is_none() && self.work.engine.has_idle();
        for count in 0..BATCH {
            let next = match self.source.poll(if count == 0 { WAIT } else { Duration::ZERO }) {
                None if count == 0 || self.may_commit_at_once() => return Ok(Batch::Lull),
                None if Instant::now() >= end => return Ok(Batch::Full),
                None => self.source.poll(LULL),
                some => some,
            };
            let Some(record) = next else { return Ok(Batch::Lull) };
            let record = record?;
            if self.is_past_goal(&record) {
                continue;
            }
            if wary && self.read_at.elapsed() > SUSPENDED {
                wake(&mut self.idle, &mut self.work.engine);
            }
            while let Some(id) = self.work.take(&record)? {
                let fetching: Vec<i32> =
                    self.starts.keys().filter(|partition| !self.paused.contains(partition)).copied().collect();
                let patience = Patience { source: &self.source, turn: &self.turn, control: self.control, fetching };
                match patience.learn(&mut self.work, id)? {
                    Learnt::AtOnce => {}
                    Learnt::Waited => wake(&mut self.idle, &mut self.work.engine),
                    Learnt::Stopped => {
                        self.held = Some((record.partition(), record.offset()));
                        return Ok(Batch::Stopped);
                    }
                }
                asked = true;
            }
            self.work.count.records += 1;
            // Whoever asks for many ids, or keeps large letters, comes back to look after the rest.
            if self.work.is_full() || asked && Instant::now() >= end {
                return Ok(Batch::Full);
            }
        }
        Ok(Batch::Full)
    }

    fn notice_suspension(&mut self) {
        // A run that must come to an end knows where its partitions end.
        if self.read_at.elapsed() > SUSPENDED && self.goal.is_none() {
            wake(&mut self.idle, &mut self.work.engine);
        }
        self.read_at = Instant::now();
    }

    /// Whether rows wait, and need wait no longer for others: a stream that never pauses must not hold them.
    fn may_commit_at_once(&self) -> bool {
        self.pending() > 0 && self.committed_at.elapsed() >= COMMIT_SPACING
    }

    /// How much is to be written.
    fn pending(&self) -> usize {
        self.work.engine.pending_rows() + self.work.letters()
    }

    /// What came after the session began is the next run's: it would close windows that other partitions still have records for.
    fn is_past_goal(&self, record: &BorrowedMessage<'_>) -> bool {
        self.goal.as_ref().and_then(|goal| goal.get(&record.partition())).is_some_and(|end| record.offset() >= *end)
    }

    /// Where the log ends with control records, no record comes that would move the position past them.
    fn pass_control_records(&mut self) {
        for (partition, position) in self.source.positions() {
            let end = self.goal.as_ref().and_then(|goal| goal.get(&partition)).copied().unwrap_or(i64::MAX);
            let held = self.held.filter(|held| held.0 == partition).map_or(i64::MAX, |(_, offset)| offset);
            self.work.engine.read_up_to(partition, position.min(end).min(held));
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
        let Some(found) = self.ends.as_ref().map(EndWatch::latest) else { return Ok(()) };
        if let Some(partitions) = found.partitions.filter(|partitions| *partitions != self.identity.partitions) {
            return Err(self.grew(partitions));
        }
        if found.answered_at.elapsed() >= STALL {
            return Err(self.source.stalled(STALL).into());
        }
        if found.topic_id.as_ref().is_some_and(|id| *id != self.identity.topic_id) {
            return Err(Interrupted::GiveUp(Identity::made_anew()));
        }
        if self.work.engine.take_resumed() {
            self.resumed_at = Some(Instant::now());
        }
        let (gap, positions) = (found.gap(), self.source.positions());
        for (partition, (end, asked_at)) in found.ends {
            let at_end = self.position(&positions, partition) >= end;
            let last_event = self.work.engine.last_event(partition);
            if self.paused.contains(&partition) || asked_at.elapsed() > gap {
                self.idle.forget(partition);
                self.work.engine.set_idle(partition, false);
            } else if let Some(idle) = self.idle.observe(partition, at_end, last_event, asked_at, gap) {
                let resuming = self.resumed_at.is_some_and(|resumed_at| asked_at < resumed_at + RESUMING);
                self.work.engine.set_idle(partition, idle && !resuming);
            }
        }
        self.work.engine.close_by_wall_clock(chrono::Utc::now().timestamp_millis());
        Ok(())
    }

    fn grew(&self, partitions: i32) -> Interrupted {
        if self.turn.is_shared() {
            return Interrupted::GiveUp(Identity { partitions, ..self.identity.clone() }.changed(self.identity.partitions));
        }
        let what = format!("topic {} has {partitions} partitions now", self.job.aggregate.source);
        Interrupted::StartOver(Error::new(Kind::Failed, what))
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
        let pending = self.pending();
        let since = self.committed_at.elapsed();
        if pending > 0 {
            return lull || self.work.is_full() || since >= COMMIT_INTERVAL || pending >= COMMIT_ROWS;
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
        self.control.beat("committing a transaction");
        self.pass_control_records();
        let rows = self.work.engine.take_rows();
        let commits = self.work.engine.commits();
        let encoded = self.work.encode(&rows)?;
        let letters = self.work.take_letters();
        let stamps = self.stamps(&commits)?;
        let offsets = commits.iter().map(|commit| (commit.partition, commit.offset));
        let offsets = self.source.list(offsets, |partition| Ok(stamps.get(&partition).cloned()))?;
        let job = self.job;
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
            headers: Some(letter.headers(&job.aggregate.source, &job.aggregate.sink)),
        });
        let begin = Instant::now();
        self.turn.producer.commit(rows.chain(letters), &offsets, &self.group)?;
        self.control.transactions.observe(begin.elapsed().as_secs_f64());
        self.work.committed(encoded.rows.len());
        self.committed = commits;
        self.committed_at = Instant::now();
        self.control.publish(self.snapshot());
        Ok(())
    }

    /// What stands beside each partition's offset.
    fn stamps(&mut self, commits: &[Commit]) -> crate::error::Result<BTreeMap<i32, String>> {
        let partitions = match self.grown {
            Some((before, end)) if commits.iter().any(|commit| commit.progress.closed_through < end) => before,
            _ => self.identity.partitions,
        };
        let (none, schemaless) = (Schemaless::new(), self.work.schemaless(commits));
        let stamp = |commit: &Commit| {
            let schemaless = schemaless.get(&commit.partition).unwrap_or(&none);
            Ok((commit.partition, self.identity.stamp(commit, partitions, schemaless)?))
        };
        commits.iter().map(stamp).collect()
    }

    fn snapshot(&self) -> Snapshot {
        let engine = &self.work.engine;
        Snapshot {
            watermark: engine.watermark(),
            open_windows: engine.open_windows(),
            partitions: self.starts.len(),
            input_lag: self.input_lag(),
            has_begun: true,
            replay_left: engine.left_to_replay(),
            ..self.work.count.clone()
        }
    }

    fn input_lag(&self) -> Option<i64> {
        let ends = match (&self.goal, &self.ends) {
            (Some(goal), _) => goal.clone(),
            (None, Some(ends)) => ends.latest().ends.into_iter().map(|(partition, (end, _))| (partition, end)).collect(),
            (None, None) => return None,
        };
        let positions = self.source.positions();
        let lag = |partition| Some((ends.get(partition)? - self.position(&positions, *partition)).max(0));
        self.starts.keys().map(lag).sum()
    }
}

/// After a time in which nothing was read, nobody is known to be silent.
fn wake(idle: &mut IdleWatch, engine: &mut Engine) {
    idle.forget_all();
    engine.wake_all();
}
