//! Handing a topic to Flink: where it begins is decided by [`restore`](super::restore), as for a start of our own, and what is
//! committed then refuses such a start until somebody says how to come back.
//!
//! # The rule of the seam
//!
//! *Here to Flink.* The transactional id is taken over, which fences an instance that runs. Flink reads each partition from the offset
//! that we committed, its oldest record in an open window, and leaves out records before `closed_through`: they are in a row, or were
//! handled as late. So each window is written whole by one of the two. A record that comes late counts as Flink judges it.
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
//! *Flink to Flink.* From a savepoint Flink knows how far it read, but not its watermark before it: T is asked of the sink again.

use std::collections::BTreeMap;

use super::control::Control;
use super::layout::Layout;
use super::restore::{Found, Identity, Part, Restored, Schemaless, Start, WITH_FLINK, committed_progress};
use super::rows::last_window_end;
use super::run::{after_sink, ensure_sink, refuse_compacted};
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
    /// Records of before this time, ms, are left out, since their windows are closed; `i64::MIN`: none are.
    pub from_ms: i64,
}

/// A topic that was taken from this engine, for another.
pub struct Handover {
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
        let start = match start {
            Start::AfterSink => after_sink(&config.kafka, &Registry::new(&config.registry)?, &aggregate.sink).await?,
            start => start,
        };
        let (kafka, aggregate, definition) = (config.kafka.clone(), aggregate.clone(), layout.identity());
        let (window_ms, offset_ms) = (aggregate.window.0, aggregate.offset.0);
        blocking(move || {
            let group = format!("pipeline-{}", aggregate.sink);
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
            let restored = identity.restore(&found.collect(), Part::Whole, start, sink_has_rows)?;
            Ok(Self { source, producer, identity, restored, window_ms, offset_ms, before })
        })
        .await
    }

    /// Where each partition begins.
    pub fn beginnings(&self) -> Vec<Beginning> {
        // What ends by a time need not be what begins before it: the time may be anybody's.
        let from = |closed: i64| if closed == i64::MIN { closed } else { window_start(closed, self.window_ms, self.offset_ms) };
        let beginning = |(partition, offset, progress): &(i32, i64, Progress)| Beginning {
            partition: *partition,
            offset: *offset,
            from_ms: from(progress.closed_through),
        };
        self.restored.assigned.iter().map(beginning).collect()
    }

    /// Commits that the topic is with Flink from here on.
    pub async fn hand_over(self) -> Result<Self> {
        let offsets = self.restored.assigned.iter().map(|(partition, offset, _)| (*partition, (*offset, WITH_FLINK.into())));
        let offsets = offsets.collect();
        self.commit(offsets).await
    }

    /// Commits what was committed before, or what a first start would commit: nobody has read anything meanwhile.
    pub async fn give_back(self) -> Result<()> {
        let mut offsets = BTreeMap::new();
        for (partition, offset, progress) in &self.restored.assigned {
            let before = self.before.get(partition).cloned().flatten();
            let schemaless = self.restored.schemaless.get(partition).cloned().unwrap_or_else(Schemaless::new);
            let commit = Commit { partition: *partition, offset: *offset, progress: *progress };
            let stamp = self.identity.stamp(&commit, self.identity.partitions, &schemaless)?;
            offsets.insert(*partition, before.unwrap_or((*offset, stamp)));
        }
        self.commit(offsets).await.map(drop)
    }

    async fn commit(self, offsets: BTreeMap<i32, Committed>) -> Result<Self> {
        blocking(move || {
            let metadata = |partition| Ok(offsets.get(&partition).map(|(_, metadata)| metadata.clone()));
            let list = self.source.list(offsets.iter().map(|(partition, (offset, _))| (*partition, *offset)), metadata)?;
            self.producer.commit([], &list, &self.source.group_metadata()?).map_err(broken)?;
            Ok(self)
        })
        .await
    }
}

/// The time (ms) up to which windows are closed when Flink goes on from a savepoint; `None`: none is.
///
/// # Errors
/// This program has read the topic since: the savepoint is of before, and its rows would be written again.
pub async fn after_savepoint(config: &Config, aggregate: &config::Aggregate) -> Result<Option<i64>> {
    let (_, partitions) = survey(config, aggregate).await?;
    let (kafka, topic, group) = (config.kafka.clone(), aggregate.source.clone(), format!("pipeline-{}", aggregate.sink));
    let committed = blocking(move || Source::new(&kafka, &topic, &group)?.committed(partitions)).await?;
    if committed.values().flatten().any(|(_, metadata)| committed_progress(metadata).is_some()) {
        let what = format!("this program has gone on with topic {} since that savepoint", aggregate.source);
        return Err(Error::new(Kind::DataLoss, what)
            .hint("windows would be written twice: leave --savepoint away, and Flink goes on where this program came to"));
    }
    last_window_end(&config.kafka, &Registry::new(&config.registry)?, &aggregate.sink).await
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
