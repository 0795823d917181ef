//! kill -9 while the aggregate catches up, ten times, most of them inside an open transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;

use crate::harness::{Isolation, Line, Running, committed, compare, high, rows, sums, wait_for};
use crate::kafka::setting;

const KILLS: usize = 10;
/// The committed position moves on by this share of the topic between two kills.
const PROGRESS: f64 = 0.05;
/// Every so many kills one comes at any moment, not when a transaction is seen open.
const BLIND: usize = 5;
/// In topics of so many records every other run reads at full speed.
const FULL_SPEED: i64 = 10_000_000;
/// No single step of the campaign takes longer.
const LIMIT: Duration = Duration::from_secs(900);

/// The offset that a sink's committed records end at, and that all its records end at, by partition.
type Ends = BTreeMap<i32, (i64, i64)>;

struct Kill {
    /// The share of the topic that was committed.
    share: f64,
    alive: Duration,
    aimed: bool,
    slowly: bool,
    /// Where the sink ended when the process was dead.
    ends: Ends,
    /// Offsets in the sink that the kill left behind, aborted by the next start.
    aborted: usize,
}

/// Looks at the campaign from outside.
struct Observer<'a> {
    line: &'a Line,
    partitions: i32,
    records: i64,
    committed: BaseConsumer,
    stable: BaseConsumer,
    all: BaseConsumer,
}

impl<'a> Observer<'a> {
    fn new(line: &'a Line, partitions: i32, records: i64) -> Self {
        Self {
            line,
            partitions,
            records,
            committed: line.topics.consumer(Isolation::Uncommitted, &line.group()),
            stable: line.topics.consumer(Isolation::Committed, "it"),
            all: line.topics.consumer(Isolation::Uncommitted, "it"),
        }
    }

    /// The share of the source whose reading is committed.
    fn share(&self) -> f64 {
        let found = committed(&self.committed, &self.line.source, self.partitions);
        let position: i64 = found.values().map(|(_, stamp)| stamp["position"].as_i64().expect("a position")).sum();
        position as f64 / self.records as f64
    }

    /// Whether a transaction with rows is open. The later question is the one that makes it look closed.
    fn transaction_is_open(&self) -> bool {
        (0..self.partitions).any(|partition| {
            let all = high(&self.all, &self.line.sink, partition);
            high(&self.stable, &self.line.sink, partition) < all
        })
    }

    fn ends(&self) -> Ends {
        let of = |partition| (high(&self.stable, &self.line.sink, partition), high(&self.all, &self.line.sink, partition));
        (0..self.partitions).map(|partition| (partition, of(partition))).collect()
    }
}

fn produce(line: &Line, records: i64, partitions: i32) -> Duration {
    let (count, parts) = (records.to_string(), partitions.to_string());
    // Small batches, so that a slow reader (below) can be given little at a time.
    let batch = format!("batch.num.messages={}", (records / 1_000).clamp(100, 100_000));
    let arguments =
        ["produce", "--count", &count, "--partitions", &parts, "--backfill", "30d", "--max-speed", "--seed", "7", "-X", &batch];
    line.run(&arguments, LIMIT).expect(0).took
}

/// Starts the aggregate; `slowly`: with fetches of a 500th of the topic and a pause after each, which makes many small
/// transactions.
fn aggregate(line: &Line, records: i64, slowly: bool, more: &[&str]) -> Running {
    let bytes = format!("fetch.message.max.bytes={}", records / 500 * 25);
    let properties = ["-X", &bytes, "-X", "queued.min.messages=1", "-X", "fetch.queue.backoff.ms=20"];
    let properties: &[&str] = if slowly { &properties } else { &[] };
    line.start(&[&["aggregate", "--until-caught-up"][..], properties, more].concat())
}

/// Runs the aggregate until it has committed enough, and kills it: when it is inside a transaction, if `aimed`.
fn kill(observer: &Observer<'_>, before: f64, aimed: bool, slowly: bool) -> Kill {
    let started = Instant::now();
    let mut process = aggregate(observer.line, observer.records, slowly, &[]);
    let look = |process: &mut Running| {
        assert!(process.is_alive(), "it ended before it could be killed: {}", process.stderr());
        assert!(started.elapsed() < LIMIT, "nothing to hit: {}", process.stderr());
    };
    while observer.share() < before + PROGRESS {
        look(&mut process);
    }
    // A tight loop: a transaction may be open for a few milliseconds only.
    while aimed && !observer.transaction_is_open() {
        look(&mut process);
    }
    process.kill_nine();
    Kill { share: observer.share(), alive: started.elapsed(), aimed, slowly, ends: observer.ends(), aborted: 0 }
}

/// The offsets of all records of the sink that readers of committed records do not see.
fn aborted(line: &Line) -> BTreeSet<(i32, i64)> {
    let offsets = |isolation| {
        let mut offsets = BTreeSet::new();
        line.topics.scan(&line.sink, isolation, |message| offsets.extend([(message.partition(), message.offset())]));
        offsets
    };
    let committed = offsets(Isolation::Committed);
    &offsets(Isolation::Uncommitted) - &committed
}

fn show(kills: &[Kill]) {
    println!("kill  committed    alive  reading  aimed  aborted rows  sink: stable < all");
    for (number, kill) in (1..).zip(kills) {
        let Kill { share, alive, aimed, slowly, ends, aborted } = kill;
        let open: Vec<String> = ends.values().map(|(stable, all)| format!("{stable} < {all}")).collect();
        let (share, reading) = (share * 100.0, if *slowly { "slow" } else { "full" });
        println!("{number:>4}  {share:>7.1} %  {alive:>7.1?}  {reading:>7}  {aimed:>5}  {aborted:>12}  {}", open.join(", "));
    }
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn kill_nine_while_catching_up() {
    campaign(1);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn kill_nine_while_catching_up_on_four_partitions() {
    campaign(4);
}

fn campaign(partitions: i32) {
    // A transaction is open for a few milliseconds only: nobody else may be in the way.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let records = setting("TEST_KILL_RECORDS", 1_000_000);
    let line = Line::on_servers("kills");
    let produced = produce(&line, records, partitions);
    println!("{records} records produced to {partitions} partition(s) in {produced:.1?}");
    // The first start: makes the sink, and is killed as every other.
    let mut first = aggregate(&line, records, true, &[]);
    wait_for("the sink and a first commit", LIMIT, || {
        assert!(first.is_alive(), "{}", first.stderr());
        (line.topics.partitions(&line.sink) == partitions && !line.topics.committed(&line.group(), &line.source).is_empty())
            .then_some(())
    });
    first.kill_nine();

    let observer = Observer::new(&line, partitions, records);
    let mut kills: Vec<Kill> = Vec::new();
    for number in 1..=KILLS {
        let before = kills.last().map_or_else(|| observer.share(), |kill| kill.share);
        // At full speed a run would be through a short topic before the second kill.
        let slowly = records < FULL_SPEED || number % 2 == 0;
        kills.push(kill(&observer, before, number % BLIND != 0, slowly));
    }
    let last = observer.share();
    let finished = aggregate(&line, records, false, &["--close-all"]).wait(LIMIT).expect(0);
    print!("the last run, from {:.1} %: {}", last * 100.0, finished.stdout);

    let aborted = aborted(&line);
    for kill in &mut kills {
        let left = |(partition, offset): &&(i32, i64)| (kill.ends[partition].0..kill.ends[partition].1).contains(offset);
        kill.aborted = aborted.iter().filter(left).count();
    }
    show(&kills);
    let inside = kills.iter().filter(|kill| kill.aborted > 0).count();

    let (expected, _) = sums(&line);
    let comparison = compare(&expected, &rows(&line, Isolation::Committed));
    let letters = line.topics.read(&line.dead_letters, Isolation::Committed).len();
    println!(
        "{records} records, {KILLS} kills, {inside} proven inside a transaction, {} aborted rows; {comparison}; {letters} dead letters",
        aborted.len()
    );
    comparison.expect_equal();
    assert_eq!(letters, 0);
    assert!(2 * inside >= KILLS, "only {inside} of {KILLS} kills hit a transaction");
}
