//! What a run says. Pure.

use std::fmt;

use super::assets::Asset;
use super::diff::Verdict;
use super::failure::Trouble;
use super::ids::Kind;
use crate::error::Result;

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

/// What was done. Displayed, it is the report.
#[derive(Debug)]
pub struct Outcome {
    objects: Vec<(Kind, String, Verdict)>,
    charts: Vec<(String, Result<Rows>)>,
    /// The dashboard's address, if the file has one.
    pub page: Option<String>,
}

impl Outcome {
    /// From the desired objects, what became of each, and what each chart's query brought.
    pub fn new(
        desired: &[Asset],
        verdicts: Vec<Verdict>,
        charts: Vec<(String, Result<Rows, Trouble>)>,
        page: Option<String>,
    ) -> Self {
        let objects = desired.iter().zip(verdicts).map(|(asset, verdict)| (asset.kind, asset.name.clone(), verdict)).collect();
        let charts = charts.into_iter().map(|(title, rows)| (title, rows.map_err(Trouble::error))).collect();
        Self { objects, charts, page }
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

    fn count(&self, is: impl Fn(&Verdict) -> bool) -> usize {
        self.objects.iter().filter(|(_, _, verdict)| is(verdict)).count()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, name, verdict) in &self.objects {
            writeln!(f, "{:<10} {kind:<10} {name}", word(verdict))?;
            if let Verdict::Changed(changes) = verdict {
                changes.iter().try_for_each(|change| writeln!(f, "{:21} {change}", ""))?;
            }
        }
        for (title, rows) in &self.charts {
            if let Ok(Rows { rows, .. }) = rows {
                writeln!(f, "{rows} rows in {title}")?;
            }
        }
        if let Some(page) = &self.page {
            writeln!(f, "{page}")?;
        }
        let created = self.count(|verdict| *verdict == Verdict::Created);
        let unchanged = self.count(|verdict| *verdict == Verdict::Unchanged);
        writeln!(f, "created {created} changed {} unchanged {unchanged}", self.objects.len() - created - unchanged)
    }
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Created => "created",
        Verdict::Changed(_) => "changed",
        Verdict::Unchanged => "unchanged",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::{self, Error};
    use crate::superset::assets::desired;
    use crate::superset::diff::Change;
    use crate::superset::testing::sales;

    fn outcome(rows: Result<Rows, Trouble>) -> Outcome {
        let mut verdicts = vec![Verdict::Unchanged; 7];
        verdicts[3] = Verdict::Created;
        verdicts[6] = Verdict::Changed(vec![Change { setting: "slug".into(), old: json!("a"), new: json!("b") }]);
        Outcome::new(
            &desired(&sales()).unwrap(),
            verdicts,
            vec![("one".into(), rows)],
            Some("http://s/superset/dashboard/b/".into()),
        )
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
        5 rows in one
        http://s/superset/dashboard/b/
        created 1 changed 1 unchanged 5
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
        assert!(outcome.to_string().ends_with("created 1 changed 1 unchanged 5\n"));
    }
}
