//! What the sampler found -> rows to show, or why there would be none. Pure.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::cause;
use super::spec::Supervisor;
use crate::config::{Instant, TIME_COLUMN};
use crate::error::{Error, Kind, Result};
use crate::http::one_line;

/// What the sampler made of a few records.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Sample {
    /// The records.
    #[serde(default)]
    pub data: Vec<SampledRecord>,
}

/// One record of a [`Sample`].
#[derive(Debug, Clone, Deserialize)]
pub struct SampledRecord {
    /// The row that it would be.
    pub parsed: Option<Map<String, Value>>,
    /// Why it would be none.
    pub error: Option<String>,
}

/// How asking for a sample came out.
#[derive(Debug, Clone)]
pub enum Sampled {
    /// Records, whatever became of them.
    Sample(Sample),
    /// Druid's refusal: something is wrong with the supervisor, or with what it reads.
    Refused(String),
    /// This Druid has no sampler, or not for this user: its HTTP status.
    Unavailable(u16),
}

/// What is worth telling of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The rows as they would look, and how many records would be none.
    Rows(Vec<String>, usize),
    /// Nothing is known, and why.
    Nothing(String),
}

/// Judges a sample: an error if it shows that the supervisor would bring no row.
pub fn judge(supervisor: &Supervisor, sampled: &Sampled) -> Result<Told> {
    match sampled {
        Sampled::Unavailable(status) => Ok(Told::Nothing(format!("Druid gives no sample of the rows (HTTP {status})"))),
        Sampled::Refused(said) if cause::is_bad_record(said) => {
            Ok(Told::Nothing(format!("Druid gives no sample of the rows, since one of the first records cannot be read: {said}")))
        }
        Sampled::Refused(said) => Err(cause::reading(supervisor, said)),
        Sampled::Sample(sample) => rows(supervisor, sample),
    }
}

fn rows(supervisor: &Supervisor, sample: &Sample) -> Result<Told> {
    let shown: Vec<String> = sample.data.iter().filter_map(|record| record.parsed.as_ref()).map(row).collect();
    let errors: Vec<&str> = sample.data.iter().filter_map(|record| record.error.as_deref()).collect();
    match errors.first() {
        Some(error) if shown.is_empty() => {
            let message = format!("Druid would make no row of the {} records that it looked at: {error}", errors.len());
            Err(Error::new(Kind::Data, message).hint(format!(
                "is `time` right in [[datasource]] `{}`? it must be a field that every record has",
                supervisor.id()
            )))
        }
        _ => Ok(Told::Rows(shown, errors.len())),
    }
}

/// The time, then the columns.
fn row(columns: &Map<String, Value>) -> String {
    let mut text = match columns.get(TIME_COLUMN).and_then(Value::as_i64) {
        Some(ms) => Instant(ms).to_string(),
        None => "no time".into(),
    };
    for (name, value) in columns.iter().filter(|(name, _)| *name != TIME_COLUMN) {
        // Writing to a string cannot fail.
        let _ = match value {
            Value::String(plain) => write!(text, " {name}={}", one_line(plain)),
            other => write!(text, " {name}={other}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::druid::{columns, spec};

    fn judged(sampled: &Sampled) -> Result<Told> {
        let config = config::load(None, &[]).unwrap();
        let columns = columns::columns("SALES-value", &config.sources[0].schema_text, &config.datasources[0]).unwrap();
        judge(&spec::supervisor(&config, &config.datasources[0], &columns).unwrap(), sampled)
    }

    fn sample(text: &str) -> Sampled {
        Sampled::Sample(serde_json::from_str(text).unwrap())
    }

    const GOOD: &str = r#"{"input": {}, "parsed": {"__time": 1795358055552, "store_id": "GHI", "sale_amount": 642}}"#;
    const BAD: &str = r#"{"input": {}, "unparseable": true, "error": "Timestamp[null] is unparseable!"}"#;

    #[test]
    fn rows_are_shown_as_they_will_look() {
        let told = judged(&sample(&format!(r#"{{"numRowsRead": 2, "data": [{GOOD}, {BAD}]}}"#))).unwrap();
        assert_eq!(told, Told::Rows(vec!["2026-11-22T14:34:15.552Z sale_amount=642 store_id=GHI".into()], 1));
    }

    #[test]
    fn a_sample_without_a_single_row_is_an_error_although_druid_answers_200() {
        let error = judged(&sample(&format!(r#"{{"numRowsRead": 1, "numRowsIndexed": 0, "data": [{BAD}]}}"#))).unwrap_err();
        assert_eq!(error.kind, Kind::Data);
        assert!(error.message.contains("Timestamp[null]") && error.to_string().contains("`time`"), "{error}");
    }

    #[test]
    fn an_empty_sample_is_none() {
        assert_eq!(judged(&sample(r#"{"numRowsRead": 0, "data": []}"#)).unwrap(), Told::Rows(vec![], 0));
    }

    #[test]
    fn a_missing_sampler_and_a_bad_record_are_tolerated_and_a_refusal_is_not() {
        assert!(matches!(judged(&Sampled::Unavailable(404)), Ok(Told::Nothing(_))));
        let bad = "Failed to sample data: Fail to decode Avro message for schema: com.acosom.StoreSale!";
        assert!(matches!(judged(&Sampled::Refused(bad.into())), Ok(Told::Nothing(_))));
        assert_eq!(
            judged(&Sampled::Refused("java.net.ConnectException: Connection refused".into())).unwrap_err().kind,
            Kind::Unreachable
        );
    }
}
