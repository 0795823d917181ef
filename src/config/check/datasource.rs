//! The rules for datasources.

use std::collections::HashSet;

use toml::Value;

use super::super::types::{Datasource, Function, Rollup, column_name};
use super::super::units::Millis;
use super::names::{self, shown, topic_name};
use super::{at_least_one, has_field, longer_than_zero, whole_seconds, wrong};
use crate::error::Result;

/// The column that Druid keeps the time in.
const TIME: &str = "__time";

/// The times that rows can be rolled up to, as Druid names them (ms).
const GRAINS: [i64; 10] = [1_000, 60_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 21_600_000, 28_800_000, 86_400_000];

pub fn check(datasource: &Datasource) -> Result<()> {
    let place = format!("[[datasource]] `{}`", shown(&datasource.name));
    names::datasource(&place, &datasource.name)?;
    topic_name(&place, &datasource.topic)?;
    at_least_one(&place, "task_count", Some(datasource.task_count.into()))?;
    at_least_one(&place, "replicas", Some(datasource.replicas.into()))?;
    longer_than_zero(&place, "retention", datasource.retention)?;
    whole_seconds(&place, "task_duration", datasource.task_duration)?;
    if datasource.columns.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong(&place, "`columns` is empty").hint("leave it out for all columns, or name one at least"));
    }
    columns(&place, datasource)?;
    let is_plain = |value: &Value| value.is_str() || value.is_integer() || value.is_float() || value.is_bool();
    if let Some((key, _)) = datasource.tuning.iter().find(|(_, value)| !is_plain(value)) {
        return Err(wrong(&place, format!("tuning `{}` is not a string, a number or a boolean", shown(key))));
    }
    datasource.rollup.iter().try_for_each(|one| rollup(&place, one))
}

/// No two columns may have one name.
fn columns(place: &str, datasource: &Datasource) -> Result<()> {
    let fields = datasource.columns.iter().flatten().map(|field| (column_name(field), format!("field `{}`", shown(field))));
    let measures = datasource.rollup.iter().flat_map(|rollup| &rollup.measures);
    let measures = measures.map(|measure| (measure.name.clone(), format!("measure `{}`", shown(&measure.name))));
    let mut seen = HashSet::from([TIME.to_owned()]);
    for (column, of) in fields.chain(measures) {
        names::column(place, &column)?;
        if column == TIME {
            return Err(wrong(place, format!("{of}: Druid keeps the name `{TIME}` for the time")));
        }
        if !seen.insert(column.clone()) {
            return Err(wrong(place, format!("{of} would be a second column `{}`", shown(&column)))
                .hint("leave one of them out, or give the measure another name"));
        }
    }
    Ok(())
}

fn rollup(place: &str, rollup: &Rollup) -> Result<()> {
    if !GRAINS.contains(&rollup.grain.0) {
        let known = GRAINS.map(|grain| Millis(grain).to_string());
        return Err(wrong(place, format!("Druid cannot roll up to {}", rollup.grain))
            .hint(format!("`grain` can be {}", known.join(", "))));
    }
    if rollup.measures.is_empty() {
        return Err(wrong(place, "a rollup needs one [[datasource.rollup.measure]] at least")
            .hint("a count tells how many records a row is made of"));
    }
    for measure in &rollup.measures {
        if measure.function == Function::Avg {
            return Err(wrong(place, format!("measure `{}` is AVG, and Druid cannot add up means", shown(&measure.name)))
                .hint("keep a sum and a count, and divide them in the chart"));
        }
        has_field(place, measure)?;
    }
    Ok(())
}
