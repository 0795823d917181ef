//! Which fault strikes in which case: drawn by the seed, each kind in its share.

use std::fmt;
use std::time::Duration;

use crate::harness::Random;
use crate::proxy::{ADD_OFFSETS, END_TXN, PRODUCE};

/// So many cases share a topic.
pub const GROUP: usize = 9;

/// The points in a session that is alone, and how often a deck has a kill there.
pub const POINTS: [(&str, usize); 7] = [
    ("restore", 3),
    ("before-begin", 2),
    ("after-begin", 2),
    ("after-produce", 2),
    ("after-flush", 6),
    ("after-offsets", 6),
    ("after-commit", 2),
];

/// What goes wrong in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL at the n-th arrival at a point.
    Point(&'static str, u32),
    /// SIGKILL at any moment.
    Random(Duration),
    /// SIGKILL when, after so long, a transaction is seen open.
    Aimed(Duration),
    /// The broker commits; the answer does not come; SIGKILL.
    CommitUnanswered(u32),
    /// The broker commits; the connection is reset before the answer.
    AnswerLost(u32),
    /// The commit does not reach the broker, and the connection is reset.
    CommitLost(u32),
    /// Every message takes so long.
    Delay(Duration),
    /// After the n-th commit no message arrives for so long.
    Hold(u32, Duration),
    /// So many times, every connection is reset.
    Reset(u32),
    /// SIGSTOP inside a transaction, at a point, until the broker has given it up.
    Stopped(&'static str, u32),
    /// SIGSTOP inside a transaction, at a point, until a second instance has taken over.
    Zombie(&'static str, u32),
    /// SIGSTOP while the n-th request of this API is under way, until a second instance has taken over and the request's time is over.
    ZombieAsking(i16, u32),
    /// The broker is killed inside a transaction, and started again.
    Broker(u32),
    /// Two to four instances join one after the other; one is killed at a point, another takes its place.
    Rebalance(&'static str, u32),
    /// One of two instances is stopped inside a transaction, at a point, until the other has its partitions.
    SessionLost(&'static str, u32),
}

impl Fault {
    /// The kind, as the report has it.
    pub fn kind(&self) -> String {
        match self {
            Self::Point(point, _) => format!("kill at {point}"),
            Self::Random(_) => "kill at random".into(),
            Self::Aimed(_) => "kill, transaction seen".into(),
            Self::CommitUnanswered(_) => "kill, commit not answered".into(),
            Self::AnswerLost(_) => "reset, commit not answered".into(),
            Self::CommitLost(_) => "reset, commit not arrived".into(),
            Self::Delay(_) => "proxy: delays".into(),
            Self::Hold(..) => "proxy: black hole".into(),
            Self::Reset(_) => "proxy: resets".into(),
            Self::Stopped(..) => "stopped past the timeout".into(),
            Self::Zombie(..) => "zombie".into(),
            Self::ZombieAsking(..) => "zombie, request under way".into(),
            Self::Broker(_) => "broker killed".into(),
            Self::Rebalance(point, _) if *point == "revoke" => "shared: kill at revoke".into(),
            Self::Rebalance(..) => "shared: kill at a point".into(),
            Self::SessionLost(..) => "shared: session lost".into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Random(time) | Self::Aimed(time) | Self::Delay(time) => write!(f, "{kind} ({} ms)", time.as_millis()),
            Self::Hold(number, time) => write!(f, "{kind} ({} ms, after {number} commits)", time.as_millis()),
            Self::ZombieAsking(api, number) => write!(f, "{kind} (API {api}, {number})"),
            Self::Point(_, number)
            | Self::CommitUnanswered(number)
            | Self::AnswerLost(number)
            | Self::CommitLost(number)
            | Self::Broker(number)
            | Self::Reset(number) => write!(f, "{kind} ({number})"),
            Self::Stopped(point, number)
            | Self::Zombie(point, number)
            | Self::Rebalance(point, number)
            | Self::SessionLost(point, number) => write!(f, "{kind} ({point} {number})"),
        }
    }
}

/// The faults of an instance that is alone, each kind so many times, in an order of the seed's.
fn alone(random: &mut Random) -> Vec<Fault> {
    let mut deck = Vec::new();
    let mut add = |times: usize, random: &mut Random, draw: &dyn Fn(&mut Random) -> Fault| {
        deck.extend((0..times).map(|_| draw(random)));
    };
    for (point, times) in POINTS {
        // A restart reads little again: it passes there a few times only.
        let last = if point == "restore" { 3 } else { 30 };
        add(times, random, &|random| Fault::Point(point, arrival(random, last)));
    }
    add(2, random, &|random| Fault::Random(millis(random, 50, 3_000)));
    add(9, random, &|random| Fault::Aimed(millis(random, 300, 2_500)));
    add(3, random, &|random| Fault::CommitUnanswered(arrival(random, 30)));
    add(2, random, &|random| Fault::AnswerLost(arrival(random, 30)));
    add(2, random, &|random| Fault::CommitLost(arrival(random, 30)));
    add(2, random, &|random| Fault::Delay(millis(random, 5, 150)));
    add(1, random, &|random| Fault::Hold(arrival(random, 30), millis(random, 1_000, 4_000)));
    add(1, random, &|random| Fault::Hold(arrival(random, 30), millis(random, 12_000, 14_000)));
    add(2, random, &|random| Fault::Reset(arrival(random, 4)));
    add(1, random, &|random| Fault::Stopped(inside(random), arrival(random, 30)));
    add(2, random, &|random| Fault::Zombie(inside(random), arrival(random, 30)));
    for api in [PRODUCE, ADD_OFFSETS, END_TXN] {
        add(1, random, &|random| Fault::ZombieAsking(api, arrival(random, 30)));
    }
    add(1, random, &|random| Fault::Broker(arrival(random, 30)));
    random.shuffle(&mut deck);
    deck
}

/// The faults of instances that share a topic.
fn shared(random: &mut Random) -> Vec<Fault> {
    let mut deck: Vec<Fault> = (0..3).map(|_| Fault::Rebalance("revoke", 1)).collect();
    let points = ["restore", "after-flush", "after-flush", "after-offsets"];
    deck.extend(points.map(|point| Fault::Rebalance(point, arrival(random, if point == "restore" { 3 } else { 15 }))));
    deck.extend((0..2).map(|_| Fault::SessionLost(inside(random), arrival(random, 15))));
    random.shuffle(&mut deck);
    deck
}

fn arrival(random: &mut Random, last: i64) -> u32 {
    u32::try_from(random.between(1, last)).expect("few")
}

fn inside(random: &mut Random) -> &'static str {
    if random.once_in(2) { "after-flush" } else { "after-offsets" }
}

fn millis(random: &mut Random, low: i64, high: i64) -> Duration {
    Duration::from_millis(random.between(low, high).cast_unsigned())
}

/// The faults of one deck; its last group of cases is of instances that share a topic.
fn deck(random: &mut Random) -> Vec<Fault> {
    let mut deck = alone(random);
    assert_eq!(deck.len() % GROUP, 0, "a group has cases of one kind only");
    deck.extend(shared(random));
    deck
}

/// How many cases a deck has: all kinds are in it.
pub fn size() -> usize {
    deck(&mut Random::new(&[0])).len()
}

/// The fault of a case, counted from 1.
pub fn fault(seed: u64, case: usize) -> Fault {
    let size = size();
    let number = u64::try_from((case - 1) / size).expect("few");
    deck(&mut Random::new(&[seed, number, 0xdec]))[(case - 1) % size]
}

/// Whether instances that share a topic are what a fault strikes.
pub fn is_shared(fault: Fault) -> bool {
    matches!(fault, Fault::Rebalance(..) | Fault::SessionLost(..))
}
