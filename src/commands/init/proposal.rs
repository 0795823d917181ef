//! From a schema and a sample of its records to what a pipeline file should say, each choice with its reason. Pure.

use std::collections::HashSet;

use super::sample::{Sample, Seen};
use crate::avro::{FieldKind, Outlined};
use crate::config::{Function, Millis, column_name};
use crate::error::{Error, Kind, Result};

/// A field is good to group by if it has this many different values.
const GOOD_GROUPS: std::ops::RangeInclusive<u64> = 2..=50;
/// Where no field is, one with this many is taken.
const MOST_GROUPS: u64 = 1_000;
/// A second field is taken too if both together make no more groups than this.
const TOGETHER: u64 = 100;
/// No more sums are proposed.
const MOST_SUMS: usize = 3;
/// Whole numbers that are all different among this many are taken for ids or counters.
const ALL_DIFFERENT: u64 = 50;
/// The most digits of a decimal that can be summed.
const MAX_PRECISION: u32 = 38;
/// Fewer event times tell no rate.
const LEAST_TIMES: usize = 10;
/// 2000-01-01 and 2100-01-01 in seconds: a number between them may be a time.
const EPOCH: std::ops::Range<i64> = 946_684_800..4_102_444_800;

/// Words in the name of a field that holds a time.
const TIME_WORDS: [&str; 12] =
    ["ts", "time", "timestamp", "date", "datetime", "at", "when", "created", "updated", "occurred", "epoch", "instant"];
/// Last words in the name of a number that is no amount.
const ID_WORDS: [&str; 12] = ["id", "ids", "uuid", "guid", "key", "hash", "code", "number", "no", "seq", "sequence", "version"];

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

/// A field with what the sample says of it.
#[derive(Clone, Copy)]
struct Field<'a> {
    outlined: &'a Outlined,
    seen: &'a Seen,
    /// How many records were read.
    records: u64,
}

/// Proposes what a pipeline file should say of a topic. `time` is the user's own choice of the event time.
///
/// # Errors
/// No field is fit to be the event time, or the one that was chosen is not: the candidates are named.
pub fn propose(topic: &str, outline: &[Outlined], sample: &Sample, time: Option<&str>) -> Result<Proposal> {
    let fields: Vec<Field<'_>> =
        outline.iter().zip(&sample.fields).map(|(outlined, seen)| Field { outlined, seen, records: sample.records }).collect();
    let (time, times) = match time {
        Some(path) => given_time(topic, &fields, path)?,
        None => find_time(topic, &fields)?,
    };
    let (groups, other_groups) = groups(&fields);
    let mut names: HashSet<String> = groups.iter().map(|group| column_name(&group.path)).collect();
    names.extend(["window_start".to_owned(), "window_end".to_owned()]);
    let (measures, other_measures) = measures(&fields, &time.path, &mut names);
    let (window, window_why) = window(rate(times));
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

impl Field<'_> {
    fn path(&self) -> &str {
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

    fn is_called_time(&self) -> bool {
        self.words().iter().any(|word| TIME_WORDS.contains(&word.as_str()))
    }

    fn is_called_id(&self) -> bool {
        self.words().last().is_some_and(|word| ID_WORDS.contains(&word.as_str()))
    }

    fn is_always_null(&self) -> bool {
        self.records > 0 && self.seen.values == 0
    }

    /// The unit that makes its longs times of this century.
    fn epoch_unit(&self) -> Option<&'static str> {
        let all = |per_second: i64| self.seen.longs.iter().all(|value| EPOCH.contains(&value.div_euclid(per_second)));
        let units = [(1, "seconds"), (1_000, "milliseconds"), (1_000_000, "microseconds"), (1_000_000_000, "nanoseconds")];
        let has = !self.seen.longs.is_empty();
        units.into_iter().find(|(per_second, _)| has && all(*per_second)).map(|(_, unit)| unit)
    }

    /// Whether a long is a time, though not the event time: by its values, or without any by its name.
    fn is_a_time(&self) -> bool {
        match self.epoch_unit() {
            Some("milliseconds") => true,
            Some(_) => self.is_called_time(),
            None => self.records == 0 && self.is_called_time(),
        }
    }

    /// Its values as times in milliseconds.
    fn times_ms(&self) -> Vec<i64> {
        let per_ms = if self.outlined.kind == Some(FieldKind::TimestampMicros) { 1_000 } else { 1 };
        self.seen.longs.iter().map(|value| value.div_euclid(per_ms)).collect()
    }

    fn nested(&self) -> usize {
        self.path().matches('.').count()
    }

    /// Whether it can be the event time, and how good it is (the least is the best) or why it is not; `None`: it is no time at all.
    fn as_time(&self) -> Option<Result<(u8, String), String>> {
        let kind = self.outlined.kind?;
        match kind {
            FieldKind::TimestampMillis | FieldKind::TimestampMicros if self.is_always_null() => {
                Some(Err("null in every record".into()))
            }
            FieldKind::TimestampMillis | FieldKind::TimestampMicros => Some(Ok((0, format!("its type is {kind}")))),
            FieldKind::TimestampNanos
            | FieldKind::LocalTimestampMillis
            | FieldKind::LocalTimestampMicros
            | FieldKind::LocalTimestampNanos
            | FieldKind::Date => Some(Err(format!("{kind}, of which no windows are made"))),
            FieldKind::Long => self.long_as_time(),
            _ => None,
        }
    }

    fn long_as_time(&self) -> Option<Result<(u8, String), String>> {
        match (self.is_called_time(), self.epoch_unit()) {
            (true, Some("milliseconds")) => {
                Some(Ok((1, "its name says a time, and its values are epoch milliseconds of this century".into())))
            }
            (true, None) if self.records == 0 => {
                Some(Ok((1, "a long whose name says a time; there were no records to look at: it must hold milliseconds".into())))
            }
            (false, Some("milliseconds")) => {
                Some(Err("its values look like epoch milliseconds, but its name does not say so".into()))
            }
            (true, Some(unit)) | (false, Some(unit @ ("microseconds" | "nanoseconds"))) => {
                Some(Err(format!("its values look like epoch {unit}, but a plain long is read as milliseconds")))
            }
            (true, None) => Some(Err("its values are no epoch milliseconds of this century".into())),
            (false, _) => None,
        }
    }
}

fn given_time(topic: &str, fields: &[Field<'_>], path: &str) -> Result<(Chosen, Vec<i64>)> {
    let unfit = |what: String| Error::new(Kind::Data, format!("topic {topic}: --time {path}: {what}"));
    let Some(field) = fields.iter().find(|field| field.path() == path) else {
        let names: Vec<&str> = fields.iter().map(Field::path).collect();
        return Err(unfit("the schema has no such field".into()).hint(format!("it has: {}", names.join(", "))));
    };
    match (field.outlined.kind, field.epoch_unit()) {
        (Some(FieldKind::Long), Some(unit)) if unit != "milliseconds" => {
            Err(unfit(format!("its values look like epoch {unit}, but a plain long is read as milliseconds"))
                .hint("write the event time as timestamp-millis or timestamp-micros, or as a long of epoch milliseconds"))
        }
        (Some(FieldKind::Long | FieldKind::TimestampMillis | FieldKind::TimestampMicros), _) => {
            Ok((Chosen { path: path.to_owned(), why: "as --time says".into() }, field.times_ms()))
        }
        _ => Err(unfit(format!("it is of type {}", field.outlined.type_name))
            .hint("an event time is a timestamp-millis, a timestamp-micros or a long of epoch milliseconds")),
    }
}

fn find_time(topic: &str, fields: &[Field<'_>]) -> Result<(Chosen, Vec<i64>)> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (place, field) in fields.iter().enumerate() {
        match field.as_time() {
            Some(Ok((rank, why))) => good.push((rank, field.seen.nulls > 0, field.outlined.nullable, field.nested(), place, why)),
            Some(Err(why)) => bad.push(format!("`{}` ({why})", field.path())),
            None => {}
        }
    }
    good.sort();
    let Some((.., place, why)) = good.first() else {
        let longs = fields.iter().filter(|field| field.outlined.kind == Some(FieldKind::Long));
        bad.extend(longs.filter(|field| field.as_time().is_none()).map(|field| format!("`{}` (a long)", field.path())));
        let what =
            if bad.is_empty() { "no field is a timestamp or a long".into() } else { format!("looked at {}", bad.join(", ")) };
        return Err(Error::new(Kind::Data, format!("topic {topic}: no field is surely the event time; {what}"))
            .hint("name it with --time FIELD: a timestamp-millis, a timestamp-micros or a long of epoch milliseconds"));
    };
    let others: Vec<String> = good[1..].iter().map(|(.., place, _)| format!("`{}`", fields[*place].path())).chain(bad).collect();
    Ok((Chosen { path: fields[*place].path().to_owned(), why: with_others(why, &others) }, fields[*place].times_ms()))
}

/// A reason, and what there would be instead.
fn with_others(why: &str, others: &[String]) -> String {
    if others.is_empty() { why.to_owned() } else { format!("{why}; not chosen: {}", others.join(", ")) }
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
    let (mut chosen, mut together, mut columns) = (Vec::<Chosen>::new(), 1, HashSet::new());
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
                name: unused(format!("sum_{}", column_name(field.path())), names),
                function: Function::Sum,
                field: Some(field.path().to_owned()),
                why,
                drawable: !matches!(kind, FieldKind::Decimal { .. }),
            }),
            Some(Err(why)) => others.push(format!("`{}`: {why}", field.path())),
            None => {}
        }
    }
    let name = unused("events".into(), names);
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
        let druid = if matches!(kind, FieldKind::Decimal { .. }) { "; Druid has no column for decimals" } else { "" };
        Ok(format!("of type {kind}; min, max and avg can be had too{druid}"))
    })
}

fn unused(name: String, names: &mut HashSet<String>) -> String {
    let mut candidate = name.clone();
    let mut number = 2;
    while !names.insert(candidate.clone()) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}

/// Events a second of event time: of the middle half, so that a few strange times do not count.
fn rate(mut times_ms: Vec<i64>) -> Option<f64> {
    if times_ms.len() < LEAST_TIMES {
        return None;
    }
    times_ms.sort_unstable();
    let (first, last) = (times_ms.len() / 4, times_ms.len() * 3 / 4);
    let span_ms = times_ms[last].saturating_sub(times_ms[first]).max(1);
    Some((last - first) as f64 * 1_000.0 / span_ms as f64)
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
