//! What a run says. Pure.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::failure::Trouble;
use crate::error::Result;
use crate::plan::{Plan, Told};

/// The part of a row limit above which it is time to raise it.
const NEARLY: f64 = 0.8;

/// What a chart's query brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// The rows.
    pub rows: u64,
    /// The most that it may bring.
    pub limit: u32,
}

impl Rows {
    fn is_near_limit(self) -> bool {
        self.rows as f64 >= f64::from(self.limit) * NEARLY
    }
}

/// What was done, or in a dry run would be. Displayed, it is the report.
#[derive(Debug)]
pub struct Outcome {
    /// What was done to each object.
    pub plan: Plan,
    charts: Vec<(String, Result<Rows>)>,
    /// The dashboard's address, if the file has one.
    pub page: Option<String>,
    /// Where what was replaced is kept.
    pub backup: Option<PathBuf>,
}

impl Outcome {
    /// From what was done to the objects, and what each chart's query brought.
    pub fn new(plan: Plan, charts: Vec<(String, Result<Rows, Trouble>)>, page: Option<String>) -> Self {
        let charts = charts.into_iter().map(|(title, rows)| (title, rows.map_err(Trouble::error))).collect();
        Self { plan, charts, page, backup: None }
    }

    /// For `--output json`: the plan's own form, and `"page"`, `"backup"` and `"charts": [{"title", "rows", "row_limit"}]`, or
    /// `"error"` where a chart has no data.
    pub fn to_json(&self) -> Value {
        let chart = |(title, rows): &(String, Result<Rows>)| match rows {
            Ok(Rows { rows, limit }) => json!({ "title": title, "rows": rows, "row_limit": limit }),
            Err(error) => json!({ "title": title, "error": error.message }),
        };
        let mut value = self.plan.to_json();
        value["charts"] = self.charts.iter().map(chart).collect();
        value["page"] = json!(self.page);
        value["backup"] = json!(self.backup);
        value
    }

    /// The charts whose rows come near their limit, beyond which Superset leaves out the smallest.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let answered = self.charts.iter().filter_map(|(title, rows)| Some((title, *rows.as_ref().ok()?)));
        answered.filter(|(_, rows)| rows.is_near_limit()).map(|(title, Rows { rows, limit })| {
            format!("chart `{title}` has {rows} rows of {limit} at most; beyond, Superset leaves out the smallest: raise its row_limit")
        })
    }

    /// Whether every chart has its data: else why not.
    pub fn result(&self) -> Result<()> {
        let mut failed = self.charts.iter().filter_map(|(title, rows)| Some((title, rows.as_ref().err()?)));
        match failed.next() {
            Some((title, error)) => {
                let others = match failed.count() {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                };
                Err(error.clone().while_doing(format!("chart `{title}`{others} has no data")))
            }
            None => Ok(()),
        }
    }

    /// The report of a dry run.
    pub fn intended(&self) -> String {
        format!("{}{}\n", Told { plan: &self.plan, done: false }, self.plan.summary())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Told { plan: &self.plan, done: true })?;
        for (title, rows) in &self.charts {
            if let Ok(Rows { rows, .. }) = rows {
                writeln!(f, "{rows} rows in {title}")?;
            }
        }
        if let Some(page) = &self.page {
            writeln!(f, "{page}")?;
        }
        writeln!(f, "{}", self.plan.summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{self, Error};
    use crate::plan::{Action, Change, Step};
    use crate::superset::assets::desired;
    use crate::superset::testing::sales;

    fn outcome(rows: Result<Rows, Trouble>) -> Outcome {
        let step = |kind, name, action| Step { kind, name, action, effect: None };
        let assets = desired(&sales()).unwrap();
        let mut steps: Vec<Step> = assets.into_iter().map(|one| step(one.kind.word(), one.name, Action::Unchanged)).collect();
        steps[3].action = Action::Create;
        steps[6].action = Action::Change(vec![Change { setting: "slug".into(), old: json!("a"), new: json!("b") }]);
        steps.push(step("chart", "old".into(), Action::Remove));
        Outcome::new(Plan { steps }, vec![("one".into(), rows)], Some("http://s/superset/dashboard/b/".into()))
    }

    #[test]
    fn the_report() {
        insta::assert_snapshot!(outcome(Ok(Rows { rows: 5, limit: 50_000 })), @r#"
        unchanged  database   Druid (kafka-101)
        unchanged  dataset    druid.SALES
        unchanged  dataset    druid.SALES_AGGREGATE
        created    chart      Superset aggregated sales
        unchanged  chart      Flink Aggregated Sales
        unchanged  chart      stores_shares_sales
        changed    dashboard  Kafka 101 Tutorial
                              slug: "a" -> "b"
        removed    chart      old
        5 rows in one
        http://s/superset/dashboard/b/
        created 1 changed 1 unchanged 5 removed 1
        "#);
    }

    #[test]
    fn a_limit_that_is_nearly_reached_is_told() {
        assert_eq!(outcome(Ok(Rows { rows: 39_999, limit: 50_000 })).warnings().count(), 0);
        assert_eq!(outcome(Ok(Rows { rows: 40_000, limit: 50_000 })).warnings().count(), 1);
    }

    #[test]
    fn a_chart_without_data_fails_the_run() {
        let outcome = outcome(Err(Trouble::NoTable(Error::new(error::Kind::Failed, "no table"))));
        assert_eq!(outcome.result().unwrap_err().message, "chart `one` has no data: no table");
        assert!(outcome.to_string().ends_with("created 1 changed 1 unchanged 5 removed 1\n"));
    }

    #[test]
    fn as_json_it_has_the_plan_the_page_and_the_rows() {
        let value = outcome(Ok(Rows { rows: 5, limit: 50_000 })).to_json();
        assert_eq!(value["charts"], json!([{"title": "one", "rows": 5, "row_limit": 50_000}]));
        assert_eq!((&value["page"], &value["removed"]), (&json!("http://s/superset/dashboard/b/"), &json!(1)));
        let failed = outcome(Err(Trouble::NoTable(Error::new(error::Kind::Failed, "no table")))).to_json();
        assert_eq!(failed["charts"][0]["error"], "no table");
    }
}
