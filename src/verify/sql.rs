//! A question as SQL for Druid, and its answer. Pure.

use serde_json::{Value, json};

use super::table::{Asked, Buckets, Key, Shown};
use crate::config::TIME_COLUMN;
use crate::proof::{MONDAY_MS, WEEK_MS};

/// The query of a question about a datasource, for [`crate::druid::Druid::sql`], and its parameters; only rows of the time from
/// `first_ms` until `until_ms`, exclusively, are of interest.
pub fn query(
    datasource: &str,
    dimensions: &[String],
    asked: &Asked,
    (first_ms, until_ms): (i64, Option<i64>),
) -> (String, Vec<Value>) {
    let time = name(TIME_COLUMN);
    let bucket = match asked.buckets {
        Buckets::One => "0".to_owned(),
        Buckets::Windows(length, offset) => floor(&time, length, offset),
        Buckets::Grain(length) => floor(&time, length, if length == WEEK_MS { MONDAY_MS } else { 0 }),
    };
    let mut columns = vec![bucket];
    columns.extend(dimensions.iter().map(|dimension| name(dimension)));
    let groups: Vec<String> = (1..=columns.len()).map(|place| place.to_string()).collect();
    columns.extend(asked.metrics.iter().map(|metric| {
        let column = metric.field.as_ref().map_or_else(|| "*".to_owned(), |field| name(field));
        format!("{}({column})", metric.function.sql())
    }));
    let first = (first_ms > i64::MIN).then_some((">=", first_ms));
    let bounds: Vec<(&str, i64)> = first.into_iter().chain(until_ms.map(|until_ms| ("<", until_ms))).collect();
    let conditions: Vec<String> = bounds.iter().map(|(is, _)| format!("{time} {is} MILLIS_TO_TIMESTAMP(?)")).collect();
    let since = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let parameters = bounds.iter().map(|(_, time_ms)| json!({ "type": "BIGINT", "value": time_ms })).collect();
    (format!("SELECT {} FROM {}{since} GROUP BY {}", columns.join(", "), name(datasource), groups.join(", ")), parameters)
}

/// Quoted as SQL wants a name.
fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The start of a bucket, ms.
fn floor(time: &str, length_ms: i64, offset_ms: i64) -> String {
    let (seconds, rest) = (length_ms / 1_000, length_ms % 1_000);
    let period = if rest == 0 { format!("PT{seconds}S") } else { format!("PT{seconds}.{rest:03}S") };
    let origin = chrono::DateTime::from_timestamp_millis(offset_ms).unwrap_or_default();
    let origin = origin.format("%Y-%m-%d %H:%M:%S%.3f");
    format!("TIMESTAMP_TO_MILLIS(TIME_FLOOR({time}, '{period}', TIMESTAMP '{origin}'))")
}

/// The rows of an answer, by cell.
pub fn shown(rows: &[Vec<Value>], dimensions: usize, is_joined: bool) -> Shown {
    let cell = |row: &Vec<Value>| {
        let (time, rest) = row.split_first()?;
        let (group, values) = rest.split_at_checked(dimensions)?;
        let group: Vec<String> = group.iter().map(text).collect();
        let key: Key = (time.as_i64()?, if is_joined { vec![group.join(", ")] } else { group });
        Some((key, values.iter().map(number).collect()))
    };
    rows.iter().filter_map(cell).collect()
}

/// A dimension's value, as the topic's records give it.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // 5.0 is 5.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or(f64::NAN).to_string(),
        other => other.to_string(),
    }
}

/// A metric's value; Druid writes what JSON has no number for as text.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Function, Metric};

    fn asked(buckets: Buckets) -> Asked {
        let metrics = vec![
            Metric { function: Function::Count, field: None },
            Metric { function: Function::Sum, field: Some("a\"b".into()) },
        ];
        Asked { topic: "T".into(), metrics, buckets, range_ms: None, retention_ms: None, lateness_ms: 0, is_joined: false }
    }

    #[test]
    fn names_are_quoted() {
        let (sql, parameters) = query("x\"; DROP", &["store_id".into()], &asked(Buckets::Windows(60_000, 5_000)), (7, Some(9)));
        insta::assert_snapshot!(sql, @r#"SELECT TIMESTAMP_TO_MILLIS(TIME_FLOOR("__time", 'PT60S', TIMESTAMP '1970-01-01 00:00:05.000')), "store_id", COUNT(*), SUM("a""b") FROM "x""; DROP" WHERE "__time" >= MILLIS_TO_TIMESTAMP(?) AND "__time" < MILLIS_TO_TIMESTAMP(?) GROUP BY 1, 2"#);
        assert_eq!(parameters, [json!({ "type": "BIGINT", "value": 7 }), json!({ "type": "BIGINT", "value": 9 })]);
    }

    #[test]
    fn weeks_begin_on_a_monday_and_one_bucket_is_for_all_times() {
        let (sql, _) = query("D", &[], &asked(Buckets::Grain(WEEK_MS)), (i64::MIN, None));
        assert!(sql.contains("'PT604800S', TIMESTAMP '1970-01-05 00:00:00.000'") && !sql.contains("WHERE"), "{sql}");
        let (sql, _) = query("D", &[], &asked(Buckets::One), (i64::MIN, None));
        assert!(sql.starts_with("SELECT 0, COUNT(*)") && sql.ends_with("GROUP BY 1"), "{sql}");
        let (sql, _) = query("D", &[], &asked(Buckets::Windows(1_500, 0)), (i64::MIN, None));
        assert!(sql.contains("'PT1.500S'"), "{sql}");
    }

    #[test]
    fn rows_become_cells() {
        let rows = [vec![json!(60_000), json!("ABC"), json!(null), json!(3), json!("NaN")]];
        let shown = shown(&rows, 2, false);
        let (key, values) = shown.first_key_value().unwrap();
        assert_eq!(*key, (60_000, vec!["ABC".to_owned(), "null".to_owned()]));
        assert!(values[0] == Some(3.0) && values[1].is_some_and(f64::is_nan));
        assert_eq!(super::shown(&rows, 2, true).first_key_value().unwrap().0.1, ["ABC, null"]);
    }
}
