//! Handing a topic to Flink: where it begins is decided by [`restore`](super::restore), as for a start of our own, and what is
//! committed then refuses such a start until somebody says how to come back.
//!
//! # The rule of the seam
//!
//! *Here to Flink.* The transactional id is taken over, which fences an instance that runs. Flink reads each partition from the offset
//! that we committed, its oldest record in an open window, and leaves out records before `closed_through`: they are in a row, or were
//! handled as late. So each window is written whole by one of the two. A record that comes late counts as Flink judges it. Where
//! instances that shared the topic have closed different windows, the topic is not handed over: no one time would say what is closed.
//!
//! *Before the job is submitted,* [`WITH_FLINK`] is committed beside the offsets, since a plain start of ours would write Flink's
//! windows again. Flink's checkpoints commit offsets without metadata, which is refused too. If the job never runs, what was
//! committed before is [given back](Handover::give_back).
//!
//! *Flink to here.* A job that is stopped with a savepoint, not drained, has committed its rows; it writes windows in their order, so T,
//! the greatest `window_end` in the sink, says what is closed: all windows that end by T, no other. `--start after=sink` finds T, reads
//! the source from its beginning and leaves out what belongs to windows up to T. What came late for those is gone with Flink, which
//! drops it; what is in the log by then and belongs to later windows counts, also where Flink would have dropped it.
//!
//! Nothing would fence a job that still runs: whoever comes back looks for it first, and T is looked up when nobody of ours writes.
//!
//! *Flink to Flink.* From a savepoint Flink knows how far it read, but not its watermark before it: T is asked of the sink again. An
//! earlier savepoint would write windows again, so the last one is [committed](leave_savepoint) beside the offsets, and no other is
//! taken; once a job has gone on from it, its checkpoints clear that, and whoever names a path is believed.

use std::collections::{BTreeMap, BTreeSet};

use tokio::runtime::Handle;

use super::control::Control;
use super::layout::Layout;
use super::restore::{
    Found, Identity, Part, Restored, Schemaless, Start, Stopped, WITH_FLINK, committed_progress, is_with_flink,
};
use super::rows::Sink;
use super::run::{ensure_sink, refuse_compacted};
use super::turn::{Interrupted, refuse_members};
use crate::config::{self, Config};
use crate::engine::{Commit, Progress, window_start};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Broken, Cluster, Committed, Source, Transactional};
use crate::registry::Registry;

/// Where another engine begins in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// The partition.
    pub partition: i32,
    /// The first offset to read.
    pub offset: i64,
}

/// A topic that was taken from this engine, for another.
pub struct Handover {
    kafka: config::Kafka,
    group: String,
    source: Source,
    producer: Transactional,
    identity: Identity,
    restored: Restored,
    window_ms: i64,
    offset_ms: i64,
    /// What was committed before.
    before: BTreeMap<i32, Option<Committed>>,
}

impl Handover {
    /// Looks where a start of ours would begin, takes the topic over, and creates the sink if need be. Nothing is committed yet.
    ///
    /// # Errors
    /// Those of such a start: without progress a sink with rows is refused, for example.
    pub async fn take(config: &Config, aggregate: &config::Aggregate, layout: &Layout, start: Start) -> Result<Self> {
        let (cluster, _) = survey(config, aggregate).await?;
        let (registry, runtime) = (Registry::new(&config.registry)?, Handle::current());
        let (kafka, aggregate, definition) = (config.kafka.clone(), aggregate.clone(), layout.identity());
        let (window_ms, offset_ms) = (aggregate.window.0, aggregate.offset.0);
        blocking(move || {
            let group = group(&aggregate);
            let producer = Transactional::new(&kafka, &group).map_err(broken)?;
            refuse_members(&group, &Control::default(), &cluster).map_err(interrupted)?;
            let sink_has_rows = cluster.ends(&aggregate.sink)?.values().any(|ends| ends.high > 0);
            let source = Source::new(&kafka, &aggregate.source, &group)?;
            let partitions = cluster.existing(&aggregate.source)?;
            let before = source.committed(partitions)?;
            let topic_id = cluster.topic_id(&aggregate.source)?;
            let ends = cluster.ends(&aggregate.source)?;
            let committed = |partition: &i32| before.get(partition).cloned().flatten();
            let found = ends.into_iter().map(|(partition, ends)| (partition, Found { committed: committed(&partition), ends }));
            let identity = Identity { definition, topic_id, partitions };
            let start = if start == Start::AfterSink {
                let sink = Sink { kafka: &kafka, registry: &registry, topic: &aggregate.sink, runtime: &runtime, beat: &|| () };
                sink.start_behind(before.values().any(Option::is_some))?
            } else {
                start
            };
            let restored = identity.restore(&found.collect(), Part::Whole, start, sink_has_rows)?;
            closed_alike(&aggregate.source, &restored)?;
            Ok(Self { kafka, group, source, producer, identity, restored, window_ms, offset_ms, before })
        })
        .await
    }

    /// Where each partition begins.
    pub fn beginnings(&self) -> Vec<Beginning> {
        let beginning = |(partition, offset, _): &(i32, i64, Progress)| Beginning { partition: *partition, offset: *offset };
        self.restored.assigned.iter().map(beginning).collect()
    }

    /// Records of before this time, ms, are left out, since their windows are closed; `None`: none are.
    pub fn from_ms(&self) -> Option<i64> {
        let closed = self.restored.assigned.iter().map(|(.., progress)| progress.closed_through).max();
        // What ends by a time need not be what begins before it: the time may be anybody's.
        let begin = |closed| window_start(closed, self.window_ms, self.offset_ms);
        closed.filter(|closed| *closed > i64::MIN).map(begin)
    }

    /// Commits that the topic is with Flink from here on.
    pub async fn hand_over(self) -> Result<Self> {
        let offsets = self.restored.assigned.iter().map(|(partition, offset, _)| (*partition, (*offset, WITH_FLINK.into())));
        let offsets = offsets.collect();
        self.commit(offsets).await
    }

    /// Commits what was committed before, or what a first start would commit, unless somebody went on meanwhile.
    pub async fn give_back(self) -> Result<()> {
        let mut offsets = BTreeMap::new();
        for (partition, offset, progress) in &self.restored.assigned {
            let before = self.before.get(partition).cloned().flatten();
            let schemaless = self.restored.schemaless.get(partition).cloned().unwrap_or_else(Schemaless::new);
            let commit = Commit { partition: *partition, offset: *offset, progress: *progress };
            let stamp = self.identity.stamp(&commit, self.identity.partitions, &schemaless)?;
            offsets.insert(*partition, before.unwrap_or((*offset, stamp)));
        }
        blocking(move || {
            let committed = self.source.committed(self.identity.partitions)?;
            if committed.values().flatten().any(|(_, metadata)| !is_with_flink(metadata)) {
                return Ok(());
            }
            // A start that was refused has fenced the producer that handed over.
            let producer = Transactional::new(&self.kafka, &self.group).map_err(broken)?;
            commit(&self.source, &producer, &offsets)
        })
        .await
    }

    async fn commit(self, offsets: BTreeMap<i32, Committed>) -> Result<Self> {
        blocking(move || {
            commit(&self.source, &self.producer, &offsets)?;
            Ok(self)
        })
        .await
    }
}

fn commit(source: &Source, producer: &Transactional, offsets: &BTreeMap<i32, Committed>) -> Result<()> {
    let metadata = |partition| Ok(offsets.get(&partition).map(|(_, metadata)| metadata.clone()));
    let list = source.list(offsets.iter().map(|(partition, (offset, _))| (*partition, *offset)), metadata)?;
    producer.commit([], &list, &source.group_metadata()?).map_err(broken)
}

/// An error where partitions are closed through different times.
fn closed_alike(topic: &str, restored: &Restored) -> Result<()> {
    let closed: BTreeSet<i64> = restored.assigned.iter().map(|(.., progress)| progress.closed_through).collect();
    if closed.len() <= 1 {
        return Ok(());
    }
    let what = format!("the partitions of topic {topic} are closed through different times: instances shared it");
    Err(Error::new(Kind::Config, what).hint("let one `pipeline aggregate` run alone until it has closed a window, and try again"))
}

/// Whether Flink has the source of an aggregate, or had it last.
///
/// # Errors
/// Kafka does not tell.
pub async fn was_with_flink(config: &Config, aggregate: &config::Aggregate) -> Result<bool> {
    let partitions = Cluster::new(&config.kafka, "read_uncommitted")?.existing(&aggregate.source)?;
    let (kafka, topic, group) = (config.kafka.clone(), aggregate.source.clone(), group(aggregate));
    let committed = blocking(move || Source::new(&kafka, &topic, &group)?.committed(partitions)).await?;
    Ok(committed.values().flatten().any(|(_, metadata)| is_with_flink(metadata)))
}

/// Commits with which savepoint the job was stopped; `definition`: what it aggregated, if that is known.
///
/// # Errors
/// Kafka does not take it; then no savepoint is refused later.
pub async fn leave_savepoint(
    config: &Config,
    aggregate: &config::Aggregate,
    savepoint: &str,
    definition: Option<String>,
) -> Result<()> {
    let cluster = Cluster::new(&config.kafka, "read_uncommitted")?;
    let partitions = cluster.existing(&aggregate.source)?;
    let (kafka, topic, group) = (config.kafka.clone(), aggregate.source.clone(), group(aggregate));
    let savepoint = savepoint.to_owned();
    blocking(move || {
        let stopped = Stopped { savepoint, definition, topic_id: cluster.topic_id(&topic)? };
        let mark = serde_json::to_string(&stopped)
            .map_err(|error| Error::new(Kind::Failed, format!("a savepoint's mark cannot be written: {error}")))?;
        let source = Source::new(&kafka, &topic, &group)?;
        let committed = source.committed(partitions)?;
        let offsets = committed.into_iter().filter_map(|(partition, found)| Some((partition, (found?.0, mark.clone()))));
        commit(&source, &Transactional::new(&kafka, &group).map_err(broken)?, &offsets.collect())
    })
    .await
}

/// The time (ms) up to which windows are closed when Flink goes on from a savepoint; `None`: none is. `definition`: what is aggregated now.
///
/// # Errors
/// The job was not stopped with this savepoint, or somebody has gone on since, so that rows would be written again; it aggregated
/// otherwise; or records that it has not read are gone.
pub async fn after_savepoint(
    config: &Config,
    aggregate: &config::Aggregate,
    savepoint: &str,
    definition: String,
) -> Result<Option<i64>> {
    let (cluster, partitions) = survey(config, aggregate).await?;
    let (kafka, registry, runtime) = (config.kafka.clone(), Registry::new(&config.registry)?, Handle::current());
    let (topic, sink, group, savepoint) =
        (aggregate.source.clone(), aggregate.sink.clone(), group(aggregate), savepoint.to_owned());
    blocking(move || {
        let committed = Source::new(&kafka, &topic, &group)?.committed(partitions)?;
        let identity = Identity { definition, topic_id: cluster.topic_id(&topic)?, partitions };
        let ends = cluster.ends(&topic)?;
        for (partition, (offset, metadata)) in
            committed.iter().filter_map(|(partition, found)| Some((partition, found.as_ref()?)))
        {
            fits_savepoint(&topic, &savepoint, metadata, &identity)?;
            if ends.get(partition).is_some_and(|ends| *offset < ends.low) {
                let what = format!("records of partition {partition} of topic {topic} are gone that Flink has not read");
                return Err(Error::new(Kind::DataLoss, what).hint("begin behind the last window in the sink: --start after=sink"));
            }
        }
        Sink { kafka: &kafka, registry: &registry, topic: &sink, runtime: &runtime, beat: &|| () }.last_window_end()
    })
    .await
}

/// An error unless a job can go on from this savepoint, by what is committed for a partition.
fn fits_savepoint(topic: &str, savepoint: &str, metadata: &str, identity: &Identity) -> Result<()> {
    let lost = |what: String, hint: String| Err(Error::new(Kind::DataLoss, what).hint(hint));
    if committed_progress(metadata).is_some() {
        return lost(
            format!("this program has gone on with topic {topic} since that savepoint"),
            "windows would be written twice: leave --savepoint away, and Flink goes on where this program came to".into(),
        );
    }
    let Some(stopped) = Stopped::of(metadata) else { return Ok(()) };
    if stopped.savepoint != savepoint {
        return lost(
            format!("the job that had topic {topic} last was stopped with another savepoint, {}", stopped.savepoint),
            "windows would be written twice: go on from that one, or with --start after=sink".into(),
        );
    }
    if stopped.topic_id != identity.topic_id {
        return lost(
            format!("topic {topic} was deleted and made anew since that savepoint"),
            "begin anew: --start earliest, --start after=TIME or --start after=sink".into(),
        );
    }
    match stopped.definition {
        Some(before) if before != identity.definition => Err(Error::new(
            Kind::Config,
            format!("that savepoint is of another aggregate: {before}; the pipeline file says {}", identity.definition),
        )
        .hint("undo the change, or begin anew with --start after=sink: windows of before are then not made anew")),
        _ => Ok(()),
    }
}

fn group(aggregate: &config::Aggregate) -> String {
    format!("pipeline-{}", aggregate.sink)
}

/// Source and sink are there, the sink created if need be; how many partitions the source has.
async fn survey(config: &Config, aggregate: &config::Aggregate) -> Result<(Cluster, i32)> {
    // All that was written counts, as for a start of our own.
    let cluster = Cluster::new(&config.kafka, "read_uncommitted")?;
    let partitions = cluster.existing(&aggregate.source)?;
    refuse_compacted(&cluster, &aggregate.source, "sums over it would be wrong, since older records of a key vanish").await?;
    ensure_sink(&cluster, aggregate, partitions).await?;
    Ok((cluster, partitions))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::new(Kind::Failed, format!("a thread ended early: {error}")))?
}

fn broken(broken: Broken) -> Error {
    match broken {
        Broken::StartOver(error) | Broken::GiveUp(error) => error,
    }
}

fn interrupted(interrupted: Interrupted) -> Error {
    match interrupted {
        Interrupted::StartOver(error) | Interrupted::GiveUp(error) => error,
        Interrupted::Reassigned | Interrupted::Stopped => Error::new(Kind::Failed, "told to stop before it began"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_savepoint_is_gone_on_from() {
        let identity = Identity { definition: "d".into(), topic_id: "t".into(), partitions: 1 };
        let stopped = |savepoint: &str, definition: Option<&str>, topic_id: &str| {
            let stopped =
                Stopped { savepoint: savepoint.into(), definition: definition.map(Into::into), topic_id: topic_id.into() };
            serde_json::to_string(&stopped).unwrap()
        };
        let fits = |metadata: &str| fits_savepoint("T", "s2", metadata, &identity).map_err(|error| (error.kind, error.message));
        // A running job's checkpoint, a handover whose job had none, and the last stop.
        for metadata in ["", WITH_FLINK, &stopped("s2", None, "t"), &stopped("s2", Some("d"), "t")] {
            assert_eq!(fits(metadata), Ok(()), "{metadata}");
            assert!(is_with_flink(metadata));
        }
        for (metadata, kind, words) in [
            (stopped("s3", None, "t"), Kind::DataLoss, "another savepoint, s3"),
            (stopped("s2", None, "other"), Kind::DataLoss, "made anew"),
            (stopped("s2", Some("other"), "t"), Kind::Config, "another aggregate"),
        ] {
            let (found, message) = fits(&metadata).unwrap_err();
            assert!(found == kind && message.contains(words), "{message}");
        }
    }
}
