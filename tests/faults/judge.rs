//! The judge: what the sink and the dead letters hold, against what the source says they must. It uses no code of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use serde::{Deserialize, Serialize};

use crate::harness::{Isolation, Line, Sums, compare, high, number, text};
use crate::source::{LATENESS, POISON, Shape};

/// A record's place: partition and offset.
type Place = (i32, i64);

/// What was found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Judgement {
    pub records: usize,
    /// Rows that are right.
    pub right: usize,
    pub missing: usize,
    pub extra: usize,
    pub duplicate: usize,
    pub wrong: usize,
    /// Poison with one dead letter, without, and dead letters that are too many or of no such record.
    pub poison: usize,
    pub poison_missing: usize,
    pub letters_extra: usize,
    /// Late records with a dead letter, and those whose window cannot have been closed when they were read.
    pub late: usize,
    pub late_unfounded: usize,
    /// Topics and partitions with a transaction left open.
    pub open: usize,
    /// Rows of aborted transactions in the sink's log, and aborted records in the source's.
    pub aborted_rows: usize,
    pub aborted_source: usize,
    pub examples: Vec<String>,
}

impl Judgement {
    pub fn differences(&self) -> usize {
        let Self { missing, extra, duplicate, wrong, poison_missing, letters_extra, late_unfounded, open, .. } = self;
        missing + extra + duplicate + wrong + poison_missing + letters_extra + late_unfounded + open
    }

    /// Both together.
    pub fn plus(mut self, other: &Self) -> Self {
        for (number, more) in [
            (&mut self.records, other.records),
            (&mut self.right, other.right),
            (&mut self.missing, other.missing),
            (&mut self.extra, other.extra),
            (&mut self.duplicate, other.duplicate),
            (&mut self.wrong, other.wrong),
            (&mut self.poison, other.poison),
            (&mut self.poison_missing, other.poison_missing),
            (&mut self.letters_extra, other.letters_extra),
            (&mut self.late, other.late),
            (&mut self.late_unfounded, other.late_unfounded),
            (&mut self.open, other.open),
            (&mut self.aborted_rows, other.aborted_rows),
            (&mut self.aborted_source, other.aborted_source),
        ] {
            *number += more;
        }
        self.examples.extend(other.examples.iter().cloned());
        self
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records, {} rows right, missing {}, extra {}, duplicate {}, wrong {}; {} late (unfounded {}), {} poison (without dead letter {}), \
             dead letters too many {}; transactions left open {}; aborted: {} rows in the sink's log, {} records in the source's",
            self.records,
            self.right,
            self.missing,
            self.extra,
            self.duplicate,
            self.wrong,
            self.late,
            self.late_unfounded,
            self.poison,
            self.poison_missing,
            self.letters_extra,
            self.open,
            self.aborted_rows,
            self.aborted_source
        )
    }
}

/// One sale as the source holds it.
struct Sale {
    cell: (String, i64),
    amount: i64,
    /// Whether its window was over, by its own partition's watermark, when it came.
    may_be_late: bool,
}

#[derive(Default)]
struct Source {
    sales: BTreeMap<Place, Sale>,
    poison: BTreeSet<Place>,
}

fn read_source(line: &Line, shape: &Shape) -> Source {
    let (mut source, mut decoder, mut latest) = (Source::default(), line.decoder(), BTreeMap::<i32, i64>::new());
    line.topics.scan(&line.source, Isolation::Committed, |message| {
        let place = (message.partition(), message.offset());
        if message.key() == Some(POISON) {
            source.poison.insert(place);
            return;
        }
        let fields = decoder.decode(message.payload().expect("a value"));
        let time = number(&fields, "sale_ts");
        let start = time.div_euclid(shape.window_ms) * shape.window_ms;
        let latest = latest.entry(place.0).or_insert(i64::MIN + LATENESS);
        let may_be_late = start + shape.window_ms - 1 <= *latest - LATENESS;
        *latest = time.max(*latest);
        let cell = (text(&fields, "store_id").to_owned(), start);
        source.sales.insert(place, Sale { cell, amount: number(&fields, "sale_amount"), may_be_late });
    });
    source
}

fn read_rows(line: &Line, shape: &Shape) -> Vec<((String, i64), i64)> {
    let (mut rows, mut decoder) = (Vec::new(), line.decoder());
    line.topics.scan(&line.sink, Isolation::Committed, |message| {
        let fields = decoder.decode(message.payload().expect("a value"));
        let start = number(&fields, "window_start");
        assert_eq!(number(&fields, "window_end"), start + shape.window_ms);
        rows.push(((text(&fields, "store_id").to_owned(), start), number(&fields, "aggregated_sales")));
    });
    rows
}

/// Sorts the dead letters into late ones and poison.
fn judge_letters(line: &Line, source: &Source, found: &mut Judgement) -> BTreeSet<Place> {
    let (mut late, mut poison) = (BTreeSet::new(), BTreeSet::new());
    for letter in line.topics.read(&line.dead_letters, Isolation::Committed) {
        let header = |name: &str| letter.headers.get(name).map_or("", String::as_str);
        let place: Place = (header("partition").parse().expect("a partition"), header("offset").parse().expect("an offset"));
        let is_late = header("cause") == "late";
        let known = if is_late { source.sales.contains_key(&place) } else { source.poison.contains(&place) };
        let first = if is_late { late.insert(place) } else { poison.insert(place) };
        if !known || !first || header("topic") != line.source {
            found.letters_extra += 1;
            found.examples.push(format!("a dead letter too many, at {place:?}: {:?}", letter.headers));
        }
    }
    let unfounded = late.iter().filter(|place| source.sales.get(place).is_some_and(|sale| !sale.may_be_late));
    found.late_unfounded = unfounded.inspect(|place| found.examples.push(format!("not late, at {place:?}"))).count();
    (found.late, found.poison) = (late.len(), poison.len());
    let missing = source.poison.difference(&poison);
    found.poison_missing = missing.inspect(|place| found.examples.push(format!("no dead letter for {place:?}"))).count();
    late
}

/// Judges a line whose last run has closed every window; `delta`: late records are rows of their own.
pub fn judge(line: &Line, shape: &Shape, delta: bool) -> Judgement {
    let source = read_source(line, shape);
    let mut found = Judgement { records: source.sales.len() + source.poison.len(), ..Judgement::default() };
    let late = judge_letters(line, &source, &mut found);
    let mut expected = Sums::new();
    for (_, sale) in source.sales.iter().filter(|(place, _)| !late.contains(place)) {
        *expected.entry(sale.cell.clone()).or_default() += sale.amount;
    }
    let mut rows = read_rows(line, shape);
    let committed = rows.len();
    if delta {
        let mut cells = Sums::new();
        rows.into_iter().for_each(|(cell, sum)| *cells.entry(cell).or_default() += sum);
        rows = cells.into_iter().collect();
    }
    let comparison = compare(&expected, &rows);
    found.right = comparison.equal;
    (found.missing, found.extra) = (comparison.missing, comparison.unexpected);
    (found.duplicate, found.wrong) = (comparison.duplicate, comparison.wrong);
    found.examples.extend(comparison.examples);
    found.examples.truncate(10);
    found.aborted_rows = count(line, &line.sink) - committed;
    found.aborted_source = count(line, &line.source) - found.records;
    found.open = open_transactions(line).len();
    found
}

/// All records of a topic, aborted ones too.
fn count(line: &Line, topic: &str) -> usize {
    let mut records = 0;
    line.topics.scan(topic, Isolation::Uncommitted, |_| records += 1);
    records
}

/// Looks for open transactions of a line's.
pub struct Watch<'a> {
    line: &'a Line,
    stable: BaseConsumer,
    all: BaseConsumer,
    places: Vec<(&'a str, i32)>,
}

impl<'a> Watch<'a> {
    pub fn new(line: &'a Line) -> Self {
        let [stable, all] = [Isolation::Committed, Isolation::Uncommitted].map(|isolation| line.topics.consumer(isolation, "it"));
        let topics = [line.sink.as_str(), &line.dead_letters, "__consumer_offsets"];
        let places =
            topics.into_iter().flat_map(|topic| (0..line.topics.partitions(topic)).map(move |partition| (topic, partition)));
        Self { line, stable, all, places: places.collect() }
    }

    /// Where a transaction is open: partitions of the sink, the dead letters and the committed offsets.
    pub fn open(&self) -> Vec<String> {
        let open = |(topic, partition): &(&str, i32)| {
            // The later question is the one that makes it look closed.
            let end = high(&self.all, topic, *partition);
            let stable = high(&self.stable, topic, *partition);
            (stable < end).then(|| format!("{topic}[{partition}]: {stable} < {end}"))
        };
        self.places.iter().filter_map(open).collect()
    }

    /// Whether one is open that has rows; a quick look.
    pub fn sees_one(&self) -> bool {
        let mut partitions = self.places.iter().filter(|(topic, _)| *topic == self.line.sink);
        partitions.any(|(topic, partition)| {
            let end = high(&self.all, topic, *partition);
            high(&self.stable, topic, *partition) < end
        })
    }
}

/// Where a transaction of the line's is open.
pub fn open_transactions(line: &Line) -> Vec<String> {
    Watch::new(line).open()
}
