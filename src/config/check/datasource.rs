//! The rules for datasources.

use std::collections::HashSet;

use toml::Value;

use super::super::types::{Datasource, Function, Measure, Rollup, Segment, TIME_COLUMN, column_name};
use super::super::units::Millis;
use super::names::{self, shown, topic_name};
use super::{at_least_one, has_field, whole_seconds, wrong};
use crate::error::Result;

pub fn check(datasource: &Datasource) -> Result<()> {
    let place = format!("[[datasource]] `{}`", shown(&datasource.name));
    names::datasource(&place, &datasource.name)?;
    topic_name(&place, &datasource.topic)?;
    at_least_one(&place, "task_count", Some(datasource.task_count.into()))?;
    at_least_one(&place, "replicas", Some(datasource.replicas.into()))?;
    datasource.retention.map_or(Ok(()), |retention| whole_seconds(&place, "retention", retention))?;
    whole_seconds(&place, "task_duration", datasource.task_duration)?;
    if datasource.columns.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong(&place, "`columns` is empty").hint("leave it out for all columns, or name one at least"));
    }
    columns(&place, datasource)?;
    told_apart_or_added_up(&place, datasource)?;
    let is_plain = |value: &Value| value.is_str() || value.is_integer() || value.is_float() || value.is_bool();
    if let Some((key, _)) = datasource.tuning.iter().find(|(_, value)| !is_plain(value)) {
        return Err(wrong(&place, format!("tuning `{}` is not a string, a number or a boolean", shown(key))));
    }
    if datasource.tuning.contains_key("type") {
        return Err(wrong(&place, "tuning `type` says that this is Kafka, and stays so"));
    }
    datasource.rollup.iter().try_for_each(|one| rollup(&place, one, datasource.segment))
}

/// No two columns may have one name.
fn columns(place: &str, datasource: &Datasource) -> Result<()> {
    let fields = datasource.columns.iter().flatten().map(|field| (column_name(field), format!("field `{}`", shown(field))));
    let measures = datasource.rollup.iter().flat_map(|rollup| &rollup.measures);
    let measures = measures.map(|measure| (measure.name.clone(), format!("measure `{}`", shown(&measure.name))));
    let mut seen = HashSet::from([TIME_COLUMN.to_owned()]);
    for (column, of) in fields.chain(measures) {
        names::column(place, &column)?;
        if column == TIME_COLUMN {
            return Err(wrong(place, format!("{of}: Druid keeps the name `{TIME_COLUMN}` for the time")));
        }
        if !seen.insert(column.clone()) {
            return Err(wrong(place, format!("{of} would be a second column `{}`", shown(&column)))
                .hint("leave one of them out, or give the measure another name"));
        }
    }
    Ok(())
}

/// Rows are either told apart by a field or added up over it.
fn told_apart_or_added_up(place: &str, datasource: &Datasource) -> Result<()> {
    let columns: HashSet<&String> = datasource.columns.iter().flatten().collect();
    let mut measures = datasource.rollup.iter().flat_map(|rollup| &rollup.measures);
    match measures.find(|measure| measure.field.as_ref().is_some_and(|field| columns.contains(field))) {
        Some(Measure { name, field, .. }) => {
            let field = shown(field.as_deref().unwrap_or_default());
            Err(wrong(place, format!("field `{field}` is in `columns` and measured as `{}`", shown(name)))
                .hint("rows are told apart by their columns and added up over what is measured: take it out of one of the two"))
        }
        None => Ok(()),
    }
}

fn rollup(place: &str, rollup: &Rollup, segment: Segment) -> Result<()> {
    if rollup.granularity().is_none() {
        return Err(wrong(place, format!("Druid cannot roll up to {}", rollup.grain))
            .hint("`grain` can be 1s, 1m, 5m, 10m, 15m, 30m, 1h, 6h, 8h or 1d"));
    }
    if segment == Segment::Hour && rollup.grain > Millis(3_600_000) {
        return Err(wrong(place, format!("rollup grain {} is longer than a segment", rollup.grain)).hint("set segment = \"day\""));
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
        if measure.function == Function::Count && measure.field.is_some() {
            return Err(wrong(place, format!("measure `{}`: a count takes no `field`, it counts records", shown(&measure.name))));
        }
        has_field(place, measure)?;
    }
    Ok(())
}
