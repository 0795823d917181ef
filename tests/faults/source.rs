//! What flows in: chunks of disordered sales, some really late, some unreadable, with an aborted transaction around each chunk.

use std::ops::Range;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::harness::Random;
use crate::harness::{Isolation, Line, wait_for};

/// Committed records in a chunk.
pub const CHUNK: i64 = 20_000;
/// What the key of a record says that must become a dead letter; the key is nothing to the program.
pub const POISON: &[u8] = b"poison";
/// Aborted records in a chunk.
const ABORTED: i64 = 2_000;
/// One in so many is poison,
const POISON_SHARE: i64 = 400;
/// one in so many is late,
const LATE_SHARE: i64 = 300;
/// by so much, ms.
const LATE: (i64, i64) = (120_000, 1_800_000);
/// The others are out of order by at most so much, ms: within the lateness.
const DISORDER: i64 = 4_500;
pub const LATENESS: i64 = 5_000;
/// Event time from one record to the next, ms.
const STEP: i64 = 50;
const BEGIN: i64 = 1_700_000_000_000;
const LIMIT: Duration = Duration::from_secs(30);

/// What one topic is like: drawn by the seed.
#[derive(Debug, Clone)]
pub struct Shape {
    pub seed: u64,
    pub group: u64,
    pub partitions: i32,
    pub stores: i64,
    pub window_ms: i64,
    /// Each store's records are in one partition.
    pub keyed: bool,
}

impl Shape {
    /// `keyed`: each store's records are in one partition, and no partition is without a store.
    pub fn draw(seed: u64, group: u64, keyed: bool) -> Self {
        let mut random = Random::new(&[seed, group]);
        let partitions = i32::try_from(random.between(2, 4)).expect("few");
        let window_ms = [10_000, 30_000, 60_000][usize::try_from(random.between(0, 2)).expect("few")];
        let stores = random.between(3, 6);
        let (partitions, stores) = if keyed { (4, 2 * stores) } else { (partitions, stores) };
        Self { seed, group, partitions, stores, window_ms, keyed }
    }

    fn sale(&self, random: &mut Random, id: u32, time: i64) -> (i32, Vec<u8>) {
        let store = random.between(1, self.stores);
        let free = i32::try_from(random.between(0, i64::from(self.partitions) - 1)).expect("few");
        let partition = if self.keyed { i32::try_from(store).expect("few") % self.partitions } else { free };
        let mut value = vec![0];
        value.extend(id.to_be_bytes());
        let name = format!("S{store}");
        zigzag(i64::try_from(name.len()).expect("short"), &mut value);
        value.extend(name.bytes());
        zigzag(random.between(-50, 1_000), &mut value);
        zigzag(time, &mut value);
        (partition, value)
    }
}

/// Avro's int and long.
fn zigzag(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest > 0x7f {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Makes a sale unreadable, in one way or another.
fn spoil(random: &mut Random, value: &[u8]) -> Option<Vec<u8>> {
    match random.between(0, 4) {
        0 => None,
        1 => Some([&[1], &value[1..]].concat()),
        2 => Some(value[..value.len() - 1].to_vec()),
        3 => Some([value, &[0]].concat()),
        _ => Some([&[0, 0x7f, 0, 0, 1], &value[5..]].concat()),
    }
}

/// Adds chunks, counted from 0.
pub fn append(line: &Line, shape: &Shape, id: u32, chunks: Range<i64>) {
    let properties = [("linger.ms", "5"), ("batch.num.messages", "100"), ("queue.buffering.max.messages", "200000")];
    let [keeper, aborter] =
        ["kept", "aborted"].map(|name| line.topics.transactional(&format!("{}-{name}", line.source), &properties));
    for chunk in chunks {
        append_one(line, shape, id, chunk, [&keeper, &aborter]);
    }
}

/// Two transactions: the aborted one begins first and ends last. It has good sales, which would be in some sum if they were seen.
fn append_one(line: &Line, shape: &Shape, id: u32, chunk: i64, [keeper, aborter]: [&BaseProducer; 2]) {
    let mut random = Random::new(&[shape.seed, shape.group, chunk.cast_unsigned()]);
    let begin = BEGIN + chunk * CHUNK * STEP;
    aborter.begin_transaction().expect("begun");
    keeper.begin_transaction().expect("begun");
    let abort = |random: &mut Random| {
        for _ in 0..ABORTED / 2 {
            let time = begin + random.between(0, CHUNK * STEP);
            let (partition, value) = shape.sale(random, id, time);
            send(aborter, &line.source, partition, None, Some(&value));
        }
        flush(aborter);
    };
    abort(&mut random);
    for number in 0..CHUNK {
        let on_time = begin + number * STEP - random.between(0, DISORDER);
        let is_late = (chunk > 0 || number > 2_000) && random.once_in(LATE_SHARE);
        let time = if is_late { on_time - random.between(LATE.0, LATE.1) } else { on_time };
        let (partition, value) = shape.sale(&mut random, id, time);
        if random.once_in(POISON_SHARE) {
            send(keeper, &line.source, partition, Some(POISON), spoil(&mut random, &value).as_deref());
        } else {
            send(keeper, &line.source, partition, None, Some(&value));
        }
    }
    flush(keeper);
    keeper.commit_transaction(LIMIT).expect("committed");
    abort(&mut random);
    abandon(aborter);
}

/// As `flush` of the client does, which looks only ten times a second.
fn flush(producer: &BaseProducer) {
    wait_for("delivery", LIMIT, || {
        producer.poll(Duration::from_millis(1));
        (producer.in_flight_count() == 0).then_some(())
    });
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, key: Option<&[u8]>, value: Option<&[u8]>) {
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
    (record.partition, record.key, record.payload) = (Some(partition), key, value);
    producer.send(record).map_err(|(error, _)| error).expect("sent");
}

/// Aborting does not serve the producer's events, and may want that done.
fn abandon(producer: &BaseProducer) {
    wait_for("an abort", LIMIT, || {
        producer.poll(Duration::ZERO);
        producer.abort_transaction(Duration::from_millis(200)).ok()
    });
}

/// How many chunks the topic has.
pub fn chunks(line: &Line) -> i64 {
    let mut records = 0;
    line.topics.scan(&line.source, Isolation::Committed, |_| records += 1);
    assert_eq!(records % CHUNK, 0, "{} is not this campaign's", line.source);
    records / CHUNK
}
