//! From a schema and a sample of its records to what a pipeline file should say, each choice with its reason. Pure.

use std::collections::HashSet;

use super::field::Field;
use super::sample::{Sample, Seen};
use super::time;
use crate::avro::{FieldKind, Outlined};
use crate::config::{Function, Millis, WINDOW_FIELDS, column_name};
use crate::error::Result;

/// A field is good to group by if it has this many different values.
const GOOD_GROUPS: std::ops::RangeInclusive<u64> = 2..=50;
/// Where no field is, one with this many is taken.
const MOST_GROUPS: u64 = 1_000;
/// Of fewer values nobody can tell whether they come again.
const FEW: u64 = 20;
/// A second field is taken too if both together make no more groups than this.
const TOGETHER: u64 = 100;
/// No more sums are proposed.
const MOST_SUMS: usize = 3;
/// Whole numbers that are all different among this many are taken for ids or counters.
const ALL_DIFFERENT: u64 = 50;
/// The most digits of a decimal that can be summed.
const MAX_PRECISION: u32 = 38;

/// A field, and why it is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its path.
    pub path: String,
    /// Why this one.
    pub why: String,
}

/// A measure, and why it is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// Its name in the sink.
    pub name: String,
    /// Sum or count.
    pub function: Function,
    /// The path of the field; a count has none.
    pub field: Option<String>,
    /// Why this one.
    pub why: String,
    /// Whether Druid has a column for it.
    pub drawable: bool,
}

/// What a pipeline file should say of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The topic.
    pub topic: String,
    /// How many of its records were read, and how many could not be.
    pub sampled: (u64, u64),
    /// The event time.
    pub time: Chosen,
    /// The group-by fields, the best first; none: no field is fit.
    pub groups: Vec<Chosen>,
    /// The fields that were not taken to group by, each with the reason.
    pub other_groups: Vec<String>,
    /// Sums, and a count as the last.
    pub measures: Vec<Measure>,
    /// The numbers that are not summed, each with the reason.
    pub other_measures: Vec<String>,
    /// The window's length.
    pub window: Millis,
    /// Why that.
    pub window_why: String,
}

/// Proposes what a pipeline file should say of a topic. `time` is the user's own choice of the event time.
///
/// # Errors
/// No field is fit to be the event time, or the one that was chosen is not: the candidates are named.
pub fn propose(topic: &str, outline: &[Outlined], sample: &Sample, time: Option<&str>) -> Result<Proposal> {
    let fields: Vec<Field<'_>> =
        outline.iter().zip(&sample.fields).map(|(outlined, seen)| Field { outlined, seen, records: sample.records }).collect();
    let (time, times) = match time {
        Some(path) => time::given(topic, &fields, path)?,
        None => time::find(topic, &fields)?,
    };
    let (groups, other_groups) = groups(&fields);
    let mut names: HashSet<String> = groups.iter().map(|group| column_name(&group.path)).collect();
    names.extend(WINDOW_FIELDS.map(str::to_owned));
    let (measures, other_measures) = measures(&fields, &time.path, &mut names);
    let (window, window_why) = window(time::rate(times));
    Ok(Proposal {
        topic: topic.to_owned(),
        sampled: (sample.records, sample.unread),
        time,
        groups,
        other_groups,
        measures,
        other_measures,
        window,
        window_why,
    })
}

/// The fields to group by, the best first, and the others with the reason.
fn groups(fields: &[Field<'_>]) -> (Vec<Chosen>, Vec<String>) {
    let (mut good, mut others) = (Vec::new(), Vec::new());
    for (place, field) in fields.iter().enumerate() {
        match group(field) {
            Some(Ok((count, why))) => {
                let rank = (!GOOD_GROUPS.contains(&count), field.outlined.kind == Some(FieldKind::Bool), field.outlined.nullable);
                good.push((rank, field.nested(), place, count, why));
            }
            Some(Err(why)) => others.push(format!("`{}`: {why}", field.path())),
            None => {}
        }
    }
    good.sort();
    let (mut chosen, mut together) = (Vec::<Chosen>::new(), 1);
    let mut columns = HashSet::from(WINDOW_FIELDS.map(str::to_owned));
    for (.., place, count, why) in good {
        let path = fields[place].path();
        let fits = chosen.is_empty() || (chosen.len() < 2 && together * count <= TOGETHER);
        if fits && columns.insert(column_name(path)) {
            together *= count;
            chosen.push(Chosen { path: path.to_owned(), why });
        } else {
            others.push(format!("`{path}`: {why}"));
        }
    }
    (chosen, others)
}

/// How many groups a field makes and which, or why it is not fit; `None`: its type is nothing to group by.
fn group(field: &Field<'_>) -> Option<Result<(u64, String), String>> {
    let kind = field.outlined.kind?;
    if !matches!(kind, FieldKind::Str | FieldKind::Enum | FieldKind::Bool) {
        return None;
    }
    let Seen { nulls, values, examples, .. } = field.seen;
    let count = field.seen.distinct();
    Some(if field.records == 0 {
        unseen_group(field, kind)
    } else if *nulls > 0 {
        Err(format!("null in {nulls} of {} records, and a group cannot be null", field.records))
    } else if count < 2 {
        Err("always the same".into())
    } else if *values < FEW && count * 2 > *values && !field.is_called_id() {
        Ok((count, format!("{count} values in {values} records, which are too few to be sure")))
    } else if count == *values {
        Err("another value in each record".into())
    } else if count > MOST_GROUPS || count * 2 > *values {
        Err(format!("{count} values in {values} records are too many"))
    } else {
        let shown: Vec<&str> = examples.iter().map(String::as_str).collect();
        let more = if count > examples.len() as u64 { ", ..." } else { "" };
        Ok((count, format!("{count} values in {values} records: {}{more}", shown.join(", "))))
    })
}

/// Without records only the schema speaks.
fn unseen_group(field: &Field<'_>, kind: FieldKind) -> Result<(u64, String), String> {
    let symbols = field.outlined.symbols.len() as u64;
    match kind {
        FieldKind::Bool => Ok((2, "a boolean; there were no records to look at".into())),
        FieldKind::Enum => Ok((symbols, format!("an enum of {symbols} symbols; there were no records to look at"))),
        _ if field.is_called_id() => Err("its name says an id, and there were no records to look at".into()),
        _ => Ok((*GOOD_GROUPS.end(), "a string; there were no records to look at".into())),
    }
}

/// Sums of the numbers that are amounts, and a count; and the other numbers with the reason.
fn measures(fields: &[Field<'_>], time: &str, names: &mut HashSet<String>) -> (Vec<Measure>, Vec<String>) {
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    for field in fields.iter().filter(|field| field.path() != time) {
        let Some(kind) = field.outlined.kind else { continue };
        match amount(field, kind) {
            Some(Ok(_)) if chosen.len() >= MOST_SUMS => others.push(format!("`{}`: enough for a start", field.path())),
            Some(Ok(why)) => chosen.push(Measure {
                name: unused(&format!("sum_{}", column_name(field.path())), names),
                function: Function::Sum,
                field: Some(field.path().to_owned()),
                why,
                drawable: !matches!(kind, FieldKind::Decimal { .. }),
            }),
            Some(Err(why)) => others.push(format!("`{}`: {why}", field.path())),
            None => {}
        }
    }
    let name = unused("events", names);
    let why = "how many records each row is made of".into();
    chosen.push(Measure { name, function: Function::Count, field: None, why, drawable: true });
    (chosen, others)
}

/// Why a field is an amount, or why it is not; `None`: it is no number.
fn amount(field: &Field<'_>, kind: FieldKind) -> Option<Result<String, String>> {
    let whole = matches!(kind, FieldKind::Int | FieldKind::Long);
    let fits = match kind {
        FieldKind::Decimal { precision, .. } => precision <= MAX_PRECISION,
        _ => whole || matches!(kind, FieldKind::Float | FieldKind::Double),
    };
    Some(if !fits {
        return None;
    } else if field.is_called_id() {
        Err("its name says an id".into())
    } else if kind == FieldKind::Long && field.is_a_time() {
        Err("a time".into())
    } else if field.is_always_null() {
        Err("null in every record".into())
    } else if whole && field.seen.values >= ALL_DIFFERENT && field.seen.distinct() == field.seen.values {
        Err("another value in each record, as an id or a counter has".into())
    } else {
        let note = match kind {
            FieldKind::Int => "; the sum is an int too, and one that does not fit becomes a dead letter",
            FieldKind::Decimal { .. } => "; Druid has no column for decimals",
            _ => "",
        };
        Ok(format!("of type {kind}; min, max and avg can be had too{note}"))
    })
}

fn unused(name: &str, names: &mut HashSet<String>) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2;
    while !names.insert(candidate.clone()) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}

/// The window in which a handful of events or more are to be expected, and why it is that.
fn window(rate: Option<f64>) -> (Millis, String) {
    const CHOICES: [(f64, i64); 3] = [(5.0, 10_000), (0.1, 60_000), (0.02, 300_000)];
    const HOUR: i64 = 3_600_000;
    let Some(rate) = rate else {
        return (Millis(60_000), "too few records to tell how often events happen; 10s, 5m or 1h may be better".into());
    };
    let length = CHOICES.iter().find(|(least, _)| rate >= *least).map_or(HOUR, |(_, length)| *length);
    let often = match rate {
        1.0.. => format!("{rate:.0} a second"),
        0.016.. => format!("{:.0} a minute", rate * 60.0),
        _ => format!("{:.1} an hour", rate * 3_600.0),
    };
    (Millis(length), format!("events happen about {often}; of 10s, 1m, 5m and 1h the shortest that has several"))
}
