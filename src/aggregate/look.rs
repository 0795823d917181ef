//! What a session must know of the cluster before it begins.

use std::collections::BTreeMap;

use super::control::Control;
use super::restore::{Found, Identity, Restored};
use super::run::Job;
use super::turn::{Interrupted, Turn};
use crate::engine::window_start;
use crate::error::Result;
use crate::kafka::{Cluster, Ends, Source};

/// Source, state and sink as they are found.
pub(super) fn look(
    job: &Job,
    control: &Control,
    source: &Source,
    cluster: &Cluster,
    turn: &Turn<'_>,
) -> std::result::Result<(Identity, BTreeMap<i32, Found>, bool), Interrupted> {
    let partitions = cluster.existing(&job.aggregate.source)?;
    // Before the offsets: rows of another instance that begins just now come with offsets.
    let sink_has_rows = ends(control, cluster, &job.aggregate.sink)?.values().any(|ends| ends.high > 0);
    // Before the ends: nobody has come further than where the log ends later.
    let mut committed = source.committed_while(partitions, || {
        control.beat("waiting for another instance's transaction to end");
        if control.is_stopping() {
            return Err(Interrupted::Stopped);
        }
        // The group need not wait for us meanwhile.
        turn.check()
    })?;
    let topic_id = cluster.topic_id(&job.aggregate.source)?;
    let found = ends(control, cluster, &job.aggregate.source)?
        .into_iter()
        .filter(|(partition, _)| *partition < partitions)
        .map(|(partition, ends)| (partition, Found { committed: committed.remove(&partition).flatten(), ends }))
        .collect();
    Ok((Identity { definition: job.layout.identity(), topic_id, partitions }, found, sink_has_rows))
}

/// The ends of every partition, of which there may be many.
fn ends(control: &Control, cluster: &Cluster, topic: &str) -> Result<BTreeMap<i32, Ends>> {
    let ends = |partition| {
        control.beat("asking where the partitions end");
        Ok((partition, cluster.partition_ends(topic, partition)?))
    };
    (0..cluster.existing(topic)?).map(ends).collect()
}

/// If the topic grew while windows were open: how many partitions it had, and when the last of those windows ends.
pub(super) fn grown(job: &Job, restored: &Restored) -> Option<(i32, i64)> {
    let definition = &job.layout.definition;
    let latest = restored.assigned.iter().filter_map(|(_, _, progress)| progress.max_event_time).max()?;
    let end = window_start(latest, definition.window_ms, definition.offset_ms) + definition.window_ms;
    restored.grown_from.map(|before| (before, end))
}

/// Where each of these partitions ends now, for readers of committed records.
pub(super) fn goal(job: &Job, control: &Control, starts: &BTreeMap<i32, i64>) -> Result<BTreeMap<i32, i64>> {
    let cluster = Cluster::new(&job.kafka, "read_committed")?;
    let mut ends = ends(control, &cluster, &job.aggregate.source)?;
    Ok(starts.keys().filter_map(|partition| Some((*partition, ends.remove(partition)?.high))).collect())
}
