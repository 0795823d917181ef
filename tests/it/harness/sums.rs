//! The right answer, and how far a sink is from it.

use std::collections::BTreeMap;
use std::fmt;

use apache_avro::types::Value;
use rdkafka::Message;

use super::avro::Fields;
use super::{Isolation, Line};

const MINUTE: i64 = 60_000;

/// Sums by (store, start of the minute in ms).
pub type Sums = BTreeMap<(String, i64), i64>;

/// The start of the minute that a time belongs to.
pub fn minute(time_ms: i64) -> i64 {
    time_ms.div_euclid(MINUTE) * MINUTE
}

/// The number in a field, whatever it is called in Avro.
pub fn number(fields: &Fields, name: &str) -> i64 {
    let plain = |value: &Value| match value {
        Value::Int(number) => Some(i64::from(*number)),
        Value::Long(number) | Value::TimestampMillis(number) => Some(*number),
        _ => None,
    };
    match fields.get(name) {
        Some(Value::Union(_, inner)) => plain(inner),
        Some(value) => plain(value),
        None => None,
    }
    .unwrap_or_else(|| panic!("no number `{name}` in {fields:?}"))
}

/// The text in a field.
pub fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    match fields.get(name) {
        Some(Value::String(text)) => text,
        other => panic!("`{name}` is {other:?}"),
    }
}

/// What the source topic adds up to, all records taken as good, and the greatest event time.
pub fn sums(line: &Line) -> (Sums, i64) {
    sums_without(line, |_, _| false)
}

/// The same without some records, by partition and offset.
pub fn sums_without(line: &Line, left_out: impl Fn(i32, i64) -> bool) -> (Sums, i64) {
    let (mut sums, mut latest, mut decoder) = (Sums::new(), i64::MIN, line.decoder());
    line.topics.scan(&line.source, Isolation::Uncommitted, |message| {
        if left_out(message.partition(), message.offset()) {
            return;
        }
        let fields = decoder.decode(message.payload().expect("a value"));
        let time = number(&fields, "sale_ts");
        latest = latest.max(time);
        *sums.entry((text(&fields, "store_id").to_owned(), minute(time))).or_default() += number(&fields, "sale_amount");
    });
    (sums, latest)
}

/// The rows of the sink as they lie there: store, start of the minute, sum.
pub fn rows(line: &Line, isolation: Isolation) -> Vec<((String, i64), i64)> {
    let (mut rows, mut decoder) = (Vec::new(), line.decoder());
    line.topics.scan(&line.sink, isolation, |message| {
        let fields = decoder.decode(message.payload().expect("a value"));
        let (store, start) = (text(&fields, "store_id"), number(&fields, "window_start"));
        assert_eq!(number(&fields, "window_end"), start + MINUTE);
        let key = decoder.decode(message.key().expect("a key"));
        assert_eq!(text(&key, "store_id"), store);
        rows.push(((store.to_owned(), start), number(&fields, "aggregated_sales")));
    });
    rows
}

/// How a sink differs from what it should hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub equal: usize,
    pub missing: usize,
    pub duplicate: usize,
    pub wrong: usize,
    pub unexpected: usize,
    /// The first few differences.
    pub examples: Vec<String>,
}

impl Comparison {
    /// Panics unless all is right.
    #[track_caller]
    pub fn expect_equal(&self) {
        assert!(self.missing + self.duplicate + self.wrong + self.unexpected == 0, "{self}\n{}", self.examples.join("\n"));
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { equal, missing, duplicate, wrong, unexpected, .. } = self;
        write!(f, "{equal} rows right, {missing} missing, {duplicate} duplicate, {wrong} wrong, {unexpected} unexpected")
    }
}

/// Compares a sink's rows with the sums expected.
pub fn compare(expected: &Sums, rows: &[((String, i64), i64)]) -> Comparison {
    let mut found: BTreeMap<&(String, i64), Vec<i64>> = BTreeMap::new();
    for (cell, sum) in rows {
        found.entry(cell).or_default().push(*sum);
    }
    let mut result = Comparison::default();
    let mut examples = Vec::new();
    for (cell, sum) in expected {
        let sums = found.remove(cell).unwrap_or_default();
        let kind = match sums[..] {
            [] => &mut result.missing,
            [only] if only == *sum => &mut result.equal,
            [_] => &mut result.wrong,
            _ => &mut result.duplicate,
        };
        *kind += 1;
        if sums != [*sum] {
            examples.push(format!("{cell:?}: {sum} expected, {sums:?} found"));
        }
    }
    result.unexpected = found.len();
    examples.extend(found.iter().map(|(cell, sums)| format!("{cell:?}: nothing expected, {sums:?} found")));
    examples.truncate(10);
    Comparison { examples, ..result }
}

/// The sums of the minutes that a watermark at `latest - lateness` closes.
pub fn closed(sums: &Sums, latest: i64, lateness: i64) -> Sums {
    let closed = |start: i64| start + MINUTE - 1 <= latest - lateness;
    sums.iter().filter(|((_, start), _)| closed(*start)).map(|(cell, sum)| (cell.clone(), *sum)).collect()
}
