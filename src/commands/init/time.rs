//! Which field is the event time. Pure.

use super::field::Field;
use super::proposal::Chosen;
use crate::avro::FieldKind;
use crate::error::{Error, Kind, Result};

/// Fewer event times tell no rate.
const LEAST_TIMES: usize = 10;

/// The event time that the user chose.
pub fn given(topic: &str, fields: &[Field<'_>], path: &str) -> Result<(Chosen, Vec<i64>)> {
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

/// The field that is best fit to be the event time, and its values in milliseconds.
pub fn find(topic: &str, fields: &[Field<'_>]) -> Result<(Chosen, Vec<i64>)> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (place, field) in fields.iter().enumerate() {
        match judge(field) {
            Some(Ok((rank, why))) => good.push((rank, field.seen.nulls > 0, field.outlined.nullable, field.nested(), place, why)),
            Some(Err(why)) => bad.push(format!("`{}` ({why})", field.path())),
            None => {}
        }
    }
    good.sort();
    let Some((.., place, why)) = good.first() else {
        let longs = fields.iter().filter(|field| field.outlined.kind == Some(FieldKind::Long));
        bad.extend(longs.filter(|field| judge(field).is_none()).map(|field| format!("`{}` (a long)", field.path())));
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

/// Whether it can be the event time, and how good it is (the least is the best) or why it is not; `None`: it is no time at all.
fn judge(field: &Field<'_>) -> Option<Result<(u8, String), String>> {
    let kind = field.outlined.kind?;
    match kind {
        FieldKind::TimestampMillis | FieldKind::TimestampMicros if field.is_always_null() => {
            Some(Err("null in every record".into()))
        }
        FieldKind::TimestampMillis | FieldKind::TimestampMicros => Some(Ok((0, format!("its type is {kind}")))),
        FieldKind::TimestampNanos
        | FieldKind::LocalTimestampMillis
        | FieldKind::LocalTimestampMicros
        | FieldKind::LocalTimestampNanos
        | FieldKind::Date => Some(Err(format!("{kind}, of which no windows are made"))),
        FieldKind::Long => judge_long(field),
        _ => None,
    }
}

fn judge_long(field: &Field<'_>) -> Option<Result<(u8, String), String>> {
    match (field.is_called_time(), field.epoch_unit()) {
        (true, Some("milliseconds")) => {
            Some(Ok((1, "its name says a time, and its values are epoch milliseconds of this century".into())))
        }
        (true, None) if field.records == 0 => {
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

/// Events a second of event time: of the middle half, so that a few strange times do not count.
pub fn rate(mut times_ms: Vec<i64>) -> Option<f64> {
    if times_ms.len() < LEAST_TIMES {
        return None;
    }
    times_ms.sort_unstable();
    let (first, last) = (times_ms.len() / 4, times_ms.len() * 3 / 4);
    let span_ms = times_ms[last].saturating_sub(times_ms[first]).max(1);
    Some((last - first) as f64 * 1_000.0 / span_ms as f64)
}
