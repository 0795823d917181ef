//! A field of the topic, with what the sample says of it. Pure.

use super::sample::Seen;
use crate::avro::{FieldKind, Outlined};

/// 2000-01-01 and 2100-01-01 in seconds: a number between them may be a time.
const EPOCH: std::ops::Range<i64> = 946_684_800..4_102_444_800;

/// Words in the name of a field that holds a time.
const TIME_WORDS: [&str; 12] =
    ["ts", "time", "timestamp", "date", "datetime", "at", "when", "created", "updated", "occurred", "epoch", "instant"];
/// Last words in the name of a number that is no amount.
const ID_WORDS: [&str; 12] = ["id", "ids", "uuid", "guid", "key", "hash", "code", "number", "no", "seq", "sequence", "version"];

/// A field with what the sample says of it.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    /// What the schema says.
    pub outlined: &'a Outlined,
    /// What its values were.
    pub seen: &'a Seen,
    /// How many records were read.
    pub records: u64,
}

impl Field<'_> {
    /// Its path: `customer.country`.
    pub fn path(&self) -> &str {
        &self.outlined.path
    }

    /// The words of the last part of its path: `sale_ts` and `saleTs` are "sale" and "ts".
    fn words(&self) -> Vec<String> {
        let name = self.path().rsplit('.').next().unwrap_or_default();
        let mut spaced = String::new();
        let mut before = ' ';
        for c in name.chars() {
            if c == '_' || (c.is_uppercase() && before.is_lowercase()) {
                spaced.push(' ');
            }
            spaced.extend(c.to_lowercase().filter(|c| *c != '_'));
            before = c;
        }
        spaced.split_whitespace().map(str::to_owned).collect()
    }

    /// Whether its name says a time.
    pub fn is_called_time(&self) -> bool {
        self.words().iter().any(|word| TIME_WORDS.contains(&word.as_str()))
    }

    /// Whether its name says an id.
    pub fn is_called_id(&self) -> bool {
        self.words().last().is_some_and(|word| ID_WORDS.contains(&word.as_str()))
    }

    /// Whether no record had a value.
    pub fn is_always_null(&self) -> bool {
        self.records > 0 && self.seen.values == 0
    }

    /// The unit that makes its longs times of this century; one in twenty may be none, since records may be wrong.
    pub fn epoch_unit(&self) -> Option<&'static str> {
        let longs = &self.seen.longs;
        let are_times = |per_second: i64| {
            let times = longs.iter().filter(|value| EPOCH.contains(&value.div_euclid(per_second))).count();
            times > 0 && times * 20 >= longs.len() * 19
        };
        let units = [(1, "seconds"), (1_000, "milliseconds"), (1_000_000, "microseconds"), (1_000_000_000, "nanoseconds")];
        units.into_iter().find(|(per_second, _)| are_times(*per_second)).map(|(_, unit)| unit)
    }

    /// Whether a long is a time, though not the event time: by its values, or without any by its name.
    pub fn is_a_time(&self) -> bool {
        match self.epoch_unit() {
            Some("milliseconds") => true,
            Some(_) => self.is_called_time(),
            None => self.records == 0 && self.is_called_time(),
        }
    }

    /// Its values as times in milliseconds.
    pub fn times_ms(&self) -> Vec<i64> {
        let per_ms = if self.outlined.kind == Some(FieldKind::TimestampMicros) { 1_000 } else { 1 };
        self.seen.longs.iter().map(|value| value.div_euclid(per_ms)).collect()
    }

    /// How many records it is within.
    pub fn nested(&self) -> usize {
        self.path().matches('.').count()
    }
}
