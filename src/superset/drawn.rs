//! What a chart is drawn from, by Superset's answer to its query. Pure.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::failure::{self, Trouble};
use crate::config::TIME_COLUMN;
use crate::http::Reply;

/// What a chart's query brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawn {
    /// The rows that the database sent, before they were pivoted.
    pub rows: u64,
    /// What the chart is drawn from: of one over time a row a bucket, with a column a series.
    pub data: Vec<Map<String, Value>>,
}

/// The size of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cells {
    /// The rows that the database sent: one for each group and, over time, each bucket.
    pub rows: u64,
    /// What they were pivoted to: of a chart over time, its buckets.
    pub pivoted: u64,
}

#[derive(Deserialize)]
struct Answer {
    result: Vec<Query>,
}

#[derive(Deserialize)]
struct Query {
    rowcount: u64,
    sql_rowcount: Option<u64>,
    data: Option<Vec<Map<String, Value>>>,
}

impl Drawn {
    /// Reads an answer; `user` asked for it.
    pub fn of(reply: &Reply, who: &str) -> Result<Self, Trouble> {
        if !reply.is_success() {
            return Err(failure::of_chart(reply, who));
        }
        let queries = reply.json::<Answer>().map_err(Trouble::Other)?.result;
        Ok(Self {
            rows: queries.iter().map(|query| query.sql_rowcount.unwrap_or(query.rowcount)).sum(),
            data: queries.into_iter().flat_map(|query| query.data.unwrap_or_default()).collect(),
        })
    }

    /// How much it is.
    pub fn cells(&self) -> Cells {
        Cells { rows: self.rows, pivoted: self.data.len() as u64 }
    }

    /// Of a chart over time: the start of the newest bucket, ms.
    pub fn newest(&self) -> Option<i64> {
        self.data.iter().filter_map(|row| row.get(TIME_COLUMN)?.as_f64()).map(|time| time as i64).max()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn newest(data: Value) -> Option<i64> {
        Drawn { rows: 0, data: serde_json::from_value(data).unwrap() }.newest()
    }

    #[test]
    fn rows_are_those_that_the_database_sent() {
        let rows = |body: &str| {
            let headers = reqwest::header::HeaderMap::new();
            let reply = Reply { request: "Superset, GET http://s/".into(), status: 200, headers, body: body.into() };
            Drawn::of(&reply, "admin").unwrap().rows
        };
        assert_eq!(rows(r#"{"result": [{"rowcount": 190, "sql_rowcount": 570, "status": "success"}]}"#), 570);
        assert_eq!(rows(r#"{"result": [{"rowcount": 190}]}"#), 190);
    }

    #[test]
    fn the_newest_bucket_is_that_of_the_latest_time_wherever_it_stands() {
        let data = json!([{ "__time": 1_795_416_720_000.0 }, { "__time": 1_795_416_780_000.0 }, { "__time": null }]);
        assert_eq!(newest(data), Some(1_795_416_780_000));
        assert_eq!(newest(json!([{ "store_id": "ABC" }])), None);
        assert_eq!(newest(json!([])), None);
    }
}
