//! How many dead letters there are, by cause. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use super::{CAUSES_MAX, Envelope};
use crate::config::Instant;

/// So many partitions are told of a cause.
const PARTITIONS_TOLD: usize = 8;
/// So many characters of an example.
const EXAMPLE_MAX: usize = 300;
/// Where causes are counted that are too many.
const OTHERS: &str = "(others)";

/// The letters of a topic by cause.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// How many there are in all.
    pub total: u64,
    /// By cause.
    pub causes: BTreeMap<String, Cause>,
}

/// The letters of one cause.
#[derive(Debug, Clone, Default)]
pub struct Cause {
    /// How many.
    pub count: u64,
    /// The partitions of the source that they were read from.
    pub partitions: BTreeSet<i32>,
    /// When the first and the last were written, ms since 1970 by Kafka's timestamps.
    pub times_ms: Option<(i64, i64)>,
    /// What one of them says in detail.
    pub example: String,
}

impl Summary {
    /// Takes a letter into account.
    pub fn add(&mut self, envelope: &Envelope, time_ms: Option<i64>) {
        self.total += 1;
        let is_new = !self.causes.contains_key(&envelope.cause);
        let name = if is_new && self.causes.len() >= CAUSES_MAX { OTHERS } else { &envelope.cause };
        let cause = self.causes.entry(name.to_owned()).or_default();
        if cause.count == 0 {
            cause.example = one_line(&envelope.detail, EXAMPLE_MAX);
        }
        cause.count += 1;
        cause.partitions.extend(envelope.origin.map(|(partition, _)| partition));
        if let Some(time) = time_ms {
            let (first, last) = cause.times_ms.unwrap_or((time, time));
            cause.times_ms = Some((first.min(time), last.max(time)));
        }
    }

    /// The same as JSON.
    pub fn json(&self, topic: &str) -> Value {
        let time = |time: Option<i64>| time.map(|time| Instant(time).to_string());
        let causes = self.causes.iter().map(|(name, cause)| {
            json!({
                "cause": name,
                "count": cause.count,
                "partitions": cause.partitions,
                "first": time(cause.times_ms.map(|(first, _)| first)),
                "last": time(cause.times_ms.map(|(_, last)| last)),
                "example": cause.example,
            })
        });
        json!({ "topic": topic, "total": self.total, "causes": causes.collect::<Value>() })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.causes.keys().map(|name| name.chars().count()).max().unwrap_or(0).clamp(5, 40);
        writeln!(f, "{:width$}  {:>9}  {:24}  {:24}  partitions", "cause", "count", "first", "last")?;
        for (name, cause) in &self.causes {
            let time = |time: Option<i64>| time.map_or_else(|| "-".to_owned(), |time| Instant(time).to_string());
            let (first, last) = (time(cause.times_ms.map(|(first, _)| first)), time(cause.times_ms.map(|(_, last)| last)));
            let (name, partitions) = (one_line(name, 40), partitions(&cause.partitions));
            writeln!(f, "{name:width$}  {:>9}  {first:24}  {last:24}  {partitions}", cause.count)?;
            writeln!(f, "    {}", cause.example)?;
        }
        write!(f, "{:width$}  {:>9}", "total", self.total)
    }
}

fn partitions(all: &BTreeSet<i32>) -> String {
    let mut told: Vec<String> = all.iter().take(PARTITIONS_TOLD).map(i32::to_string).collect();
    if all.len() > PARTITIONS_TOLD {
        told.push(format!("and {} more", all.len() - PARTITIONS_TOLD));
    }
    if told.is_empty() { "-".into() } else { told.join(" ") }
}

/// Text that others may have written: on one line, without control characters, and not too long.
pub(super) fn one_line(text: &str, max: usize) -> String {
    let mut line: String = text.chars().take(max).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(max).is_some() {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(cause: &str, partition: Option<i32>) -> Envelope {
        let origin = partition.map(|partition| (partition, 1));
        Envelope { cause: cause.into(), detail: format!("why {cause}\x1b[31m"), topic: Some("T".into()), sink: None, origin }
    }

    #[test]
    fn letters_are_counted_by_cause() {
        let mut summary = Summary::default();
        summary.add(&envelope("late", Some(1)), Some(1_000));
        summary.add(&envelope("late", Some(0)), Some(0));
        summary.add(&envelope("overflow", None), None);
        insta::assert_snapshot!(summary, @"
        cause         count  first                     last                      partitions
        late              2  1970-01-01T00:00:00.000Z  1970-01-01T00:00:01.000Z  0 1
            why late\u{fffd}[31m
        overflow          1  -                         -                         -
            why overflow\u{fffd}[31m
        total             3
        ");
        let json = summary.json("D");
        assert_eq!((&json["total"], &json["causes"][0]["partitions"]), (&json!(3), &json!([0, 1])));
        assert_eq!((&json["causes"][0]["last"], &json["causes"][1]["last"]), (&json!("1970-01-01T00:00:01.000Z"), &Value::Null));
    }

    #[test]
    fn causes_without_end_are_counted_together() {
        let mut summary = Summary::default();
        (0..1_000).for_each(|number| summary.add(&envelope(&format!("c{number}"), None), None));
        assert_eq!((summary.causes.len(), summary.causes[OTHERS].count, summary.total), (CAUSES_MAX + 1, 900, 1_000));
    }
}
