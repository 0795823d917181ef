//! What a session must know of the cluster before it begins.

use std::collections::BTreeMap;

use super::restore::{Found, Identity, Restored};
use super::run::Job;
use crate::engine::window_start;
use crate::error::Result;
use crate::kafka::{Cluster, Source};

/// Source, state and sink as they are found.
pub(super) fn look(job: &Job, source: &Source, cluster: &Cluster) -> Result<(Identity, BTreeMap<i32, Found>, bool)> {
    let partitions = cluster.existing(&job.aggregate.source)?;
    // Before the ends: nobody has come further than where the log ends later.
    let mut committed = source.committed(partitions)?;
    let topic_id = cluster.topic_id(&job.aggregate.source)?;
    let found = cluster
        .ends(&job.aggregate.source)?
        .into_iter()
        .filter(|(partition, _)| *partition < partitions)
        .map(|(partition, ends)| (partition, Found { committed: committed.remove(&partition).flatten(), ends }))
        .collect();
    let sink_has_rows = cluster.ends(&job.aggregate.sink)?.values().any(|ends| ends.high > 0);
    Ok((Identity { definition: job.layout.identity(), topic_id, partitions }, found, sink_has_rows))
}

/// If the topic grew while windows were open: how many partitions it had, and when the last of those windows ends.
pub(super) fn grown(job: &Job, restored: &Restored) -> Option<(i32, i64)> {
    let definition = &job.layout.definition;
    let latest = restored.assigned.iter().filter_map(|(_, _, progress)| progress.max_event_time).max()?;
    let end = window_start(latest, definition.window_ms, definition.offset_ms) + definition.window_ms;
    restored.grown_from.map(|before| (before, end))
}

/// Where each of these partitions ends now, for readers of committed records.
pub(super) fn goal(job: &Job, starts: &BTreeMap<i32, i64>) -> Result<BTreeMap<i32, i64>> {
    let cluster = Cluster::new(&job.kafka, "read_committed")?;
    starts.keys().map(|partition| Ok((*partition, cluster.partition_ends(&job.aggregate.source, *partition)?.high))).collect()
}
