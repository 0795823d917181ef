//! What is already in the topic: events older than that come late.

use std::collections::HashMap;
use std::time::Duration;

use crate::avro::{FieldKind, Plan, Scalar, wire};
use crate::config::{Config, Source};
use crate::error::Result;
use crate::kafka::{Cluster, last_values};
use crate::registry::Registry;

/// How many records are looked at in each partition: the last may not be the newest, nor an event.
const EACH: i64 = 20;

/// How long reading them, and then asking for their schemas, may take.
const LIMIT: Duration = Duration::from_secs(2);

/// The latest event time (microseconds) among the topic's last records; `None` if there is none that can be read.
pub(super) async fn newest_us(config: &Config, source: &Source, cluster: &Cluster, registry: &Registry) -> Result<Option<i64>> {
    let ends = cluster.ends(&source.topic)?;
    if ends.values().all(|ends| ends.low == ends.high) {
        return Ok(None);
    }
    let values = last_values(&config.kafka, &source.topic, &ends, EACH, LIMIT)?;
    Ok(tokio::time::timeout(LIMIT, newest_of(&values, source, registry)).await.ok().flatten())
}

async fn newest_of(values: &[Vec<u8>], source: &Source, registry: &Registry) -> Option<i64> {
    let mut plans = HashMap::new();
    let mut newest = None;
    for (id, datum) in values.iter().filter_map(|value| wire::split(value).ok()) {
        if let std::collections::hash_map::Entry::Vacant(place) = plans.entry(id) {
            let schema = registry.by_id(id).await.ok().flatten();
            place.insert(schema.and_then(|schema| Plan::compile(&schema.schema, &[&source.time]).ok()));
        }
        let time = plans.get(&id).and_then(Option::as_ref).and_then(|plan| time_us(plan, datum));
        newest = newest.max(time);
    }
    newest
}

fn time_us(plan: &Plan, datum: &[u8]) -> Option<i64> {
    let mut slot = [Scalar::Null];
    plan.decode(datum, &mut slot).ok()?;
    let Scalar::Long(time) = slot[0] else { return None };
    match plan.kind(0) {
        FieldKind::TimestampMicros | FieldKind::LocalTimestampMicros => Some(time),
        FieldKind::TimestampNanos | FieldKind::LocalTimestampNanos => Some(time.div_euclid(1_000)),
        _ => time.checked_mul(1_000),
    }
}
