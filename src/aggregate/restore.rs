//! Where a session begins, and when it must not. Pure.
//!
//! Beside each committed offset stands a [`Stamp`]. Whatever does not fit it (another definition, a topic made anew, records that
//! are gone) would make wrong rows without anybody noticing, so it is refused, with the ways out named.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::Instant;
use crate::engine::{Commit, Progress};
use crate::error::{Error, Kind, Result};
use crate::faults;
use crate::kafka::Ends;

/// Kafka keeps 4,096 bytes of metadata with an offset (`offset.metadata.max.bytes`).
const METADATA_CAP: usize = 4096;

/// What is committed beside an offset, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    version: u32,
    definition: String,
    topic_id: String,
    /// How many partitions the topic had when its open windows began.
    partitions: i32,
    position: i64,
    closed_through: i64,
    max_event_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Schemaless::is_empty")]
    schemaless: Schemaless,
}

const VERSION: u32 = 1;

/// Schema ids by which no record could be read, and the last record that was rejected for it.
///
/// An id may become known later, or the newest schema may get a default for what was missing. What was rejected before must stay so
/// when it is read again, or it would be both a dead letter and part of a sum.
pub type Schemaless = BTreeMap<u32, i64>;

/// So many of them are kept with an offset, the latest: they must fit the metadata beside the rest.
pub const SCHEMALESS_CAP: usize = 64;
/// What one of them takes at most, as JSON.
const SCHEMALESS_BYTES: usize = 34;

/// Stands beside the offsets in place of a stamp while `--reset` empties the sink.
pub const UNFINISHED_RESET: &str = "reset";

/// Stands beside the offsets in place of a stamp when the topic is handed to Flink. Its first checkpoint clears it.
pub const WITH_FLINK: &str = "flink";

/// Stands there once Flink's job was stopped with a savepoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The savepoint, from which alone the job can go on.
    pub savepoint: String,
    /// What was aggregated, and how, if whoever stopped the job knew.
    pub definition: Option<String>,
    /// The topic that it read.
    pub topic_id: String,
}

impl Stopped {
    /// As metadata says it.
    pub fn of(metadata: &str) -> Option<Self> {
        serde_json::from_str(metadata).ok()
    }
}

/// Whether metadata beside an offset says that Flink has the topic, or had it last. Its checkpoints leave none, as every plain
/// consumer does.
pub fn is_with_flink(metadata: &str) -> bool {
    metadata.is_empty() || metadata == WITH_FLINK || Stopped::of(metadata).is_some()
}

/// What the metadata beside a committed offset says, for whoever looks on: how far reading has come, and the id of the topic that
/// was read. `None`: this program did not commit it, or a reset was not finished.
pub fn committed_progress(metadata: &str) -> Option<(Progress, String)> {
    let stamp: Stamp = serde_json::from_str(metadata).ok()?;
    let Stamp { version, topic_id, position, closed_through, max_event_time, .. } = stamp;
    (version == VERSION).then_some((Progress { position, closed_through, max_event_time }, topic_id))
}

/// What committed progress is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Window, groups, measures.
    pub definition: String,
    /// The id that Kafka gave the source topic (KIP-516): a topic made anew has another one.
    pub topic_id: String,
    /// How many partitions it has.
    pub partitions: i32,
}

/// Which partitions are ours.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// All of them.
    Whole,
    /// Those that the group gave to this instance; others have the rest.
    Share(&'a [i32]),
}

impl Part<'_> {
    fn has(self, partition: i32) -> bool {
        match self {
            Self::Whole => true,
            Self::Share(partitions) => partitions.contains(&partition),
        }
    }
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Where the last session committed; at the first start, at the earliest record.
    #[default]
    Committed,
    /// At the earliest record, whatever was committed.
    Earliest,
    /// The same, once the sink is emptied.
    Reset,
    /// At the topic's end: what is there now is left out.
    Latest,
    /// At the earliest record, leaving out the windows that end at or before this time.
    After(Instant),
    /// The same, this time being the end of the last window in the sink: after Flink, which writes windows in their order.
    AfterSink,
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("after=")) {
            ("committed", _) => Ok(Self::Committed),
            ("earliest", _) => Ok(Self::Earliest),
            ("latest", _) => Ok(Self::Latest),
            (_, Some("sink")) => Ok(Self::AfterSink),
            (_, Some(time)) => time.parse().map(Self::After),
            _ => Err("write committed, earliest, latest, after=TIME or after=sink".into()),
        }
    }
}

/// What was found of one partition.
#[derive(Debug, Clone)]
pub struct Found {
    /// The committed offset and its metadata, if there is one.
    pub committed: Option<(i64, String)>,
    /// The oldest and the next offset, of records not yet committed by their producer too.
    pub ends: Ends,
}

/// Where each partition begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Restored {
    /// Partition, offset to read from, progress.
    pub assigned: Vec<(i32, i64, Progress)>,
    /// What was rejected between that offset and the position because of its schema, by partition.
    pub schemaless: BTreeMap<i32, Schemaless>,
    /// Something of it is not committed yet: the session commits it at once.
    pub baseline: bool,
    /// How many partitions the topic had when the open windows began, if that was another number: a group may be open in two.
    pub grown_from: Option<i32>,
}

impl Identity {
    /// The metadata to commit beside a partition's offset. `partitions`: how many the topic had when its open windows began.
    pub fn stamp(&self, commit: &Commit, partitions: i32, schemaless: &Schemaless) -> Result<String> {
        let Progress { position, closed_through, max_event_time } = commit.progress;
        let (definition, topic_id) = (self.definition.clone(), self.topic_id.clone());
        let room = (SCHEMALESS_CAP - schemaless.len().min(SCHEMALESS_CAP)) * SCHEMALESS_BYTES;
        let schemaless = schemaless.clone();
        let stamp =
            Stamp { version: VERSION, definition, topic_id, partitions, position, closed_through, max_event_time, schemaless };
        let text = serde_json::to_string(&stamp).map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
        // Room for ids is kept free from the start: the first unknown one must not end a run.
        if text.len() + room > METADATA_CAP {
            return Err(Error::new(
                Kind::Config,
                format!("the aggregate's definition is too long to be kept with the offsets ({METADATA_CAP} bytes at most)"),
            )
            .hint("use fewer or shorter field names"));
        }
        Ok(text)
    }

    /// Decides where a session begins with its part of the partitions, of all of which `found` tells.
    pub fn restore(&self, found: &BTreeMap<i32, Found>, part: Part<'_>, start: Start, sink_has_rows: bool) -> Result<Restored> {
        match start {
            Start::Committed if found.values().any(|found| found.committed.is_some()) => self.resume(found, part),
            Start::Committed if sink_has_rows => Err(refuse(
                Kind::DataLoss,
                "no offsets are committed, but the sink holds rows: from the earliest record on they would be written again"
                    .into(),
            )),
            _ => {
                let ours = found.iter().filter(|(partition, _)| part.has(**partition));
                let assigned: Vec<_> = ours.map(|(partition, found)| begin(*partition, found, start)).collect();
                Ok(Restored { baseline: !assigned.is_empty(), assigned, schemaless: BTreeMap::new(), grown_from: None })
            }
        }
    }

    fn resume(&self, found: &BTreeMap<i32, Found>, part: Part<'_>) -> Result<Restored> {
        let mut restored = Restored { assigned: Vec::new(), schemaless: BTreeMap::new(), baseline: false, grown_from: None };
        let mut closed_through = i64::MIN;
        for (partition, found) in found {
            let Some((offset, metadata)) = &found.committed else { continue };
            let stamp = self.read(*partition, metadata)?;
            closed_through = closed_through.max(stamp.closed_through);
            if stamp.partitions != self.partitions {
                restored.grown_from = Some(stamp.partitions);
            }
            if part.has(*partition) {
                let progress = check(*partition, *offset, &stamp, found.ends)?;
                let offset = if faults::control("state-not-rebuilt") { progress.position } else { *offset };
                restored.assigned.push((*partition, offset, progress));
                restored.schemaless.insert(*partition, stamp.schemaless);
            }
        }
        if let (Part::Share(_), Some(before)) = (part, restored.grown_from) {
            return Err(self.changed(before));
        }
        for (partition, found) in found.iter().filter(|(partition, found)| found.committed.is_none() && part.has(**partition)) {
            let low = found.ends.low;
            // A partition added later: what is closed elsewhere is closed for it. One that nobody has come to yet: its records are
            // in no row.
            let closed_through = if restored.grown_from.is_some() { closed_through } else { i64::MIN };
            restored.assigned.push((*partition, low, Progress { closed_through, ..Progress::starting_at(low) }));
            restored.baseline = true;
        }
        restored.assigned.sort_unstable_by_key(|(partition, ..)| *partition);
        Ok(restored)
    }

    /// Keys have moved to other partitions, and instances that share them cannot tell.
    pub fn changed(&self, before: i32) -> Error {
        let what = format!(
            "the source topic had {before} partitions and has {} now: one group's records may lie in two of them",
            self.partitions
        );
        Error::new(Kind::Config, what).hint(
            "stop all instances and run one without --instance until it has closed the windows that are open now, then scale out",
        )
    }

    fn read(&self, partition: i32, metadata: &str) -> Result<Stamp> {
        if metadata == UNFINISHED_RESET {
            return Err(refuse(Kind::DataLoss, "a --reset was not finished: the sink may be emptied or not".into()));
        }
        if metadata == WITH_FLINK {
            return Err(with_flink(format!("the topic was handed to Flink: the offset of partition {partition} is from then")));
        }
        if let Some(Stopped { savepoint, .. }) = Stopped::of(metadata) {
            return Err(with_flink(format!("the topic was with Flink, whose job was stopped with savepoint {savepoint}")));
        }
        let stamp: Stamp =
            serde_json::from_str(metadata).ok().filter(|stamp: &Stamp| stamp.version == VERSION).ok_or_else(|| {
                let what = format!("the offset committed for partition {partition} was not committed by this program");
                // Flink's connector, and every plain consumer, leaves no metadata.
                if metadata.is_empty() { with_flink(what) } else { refuse(Kind::DataLoss, what) }
            })?;
        if stamp.definition != self.definition {
            let what = format!(
                "the committed state is of another aggregate: it was {}, the pipeline file says {}",
                stamp.definition, self.definition
            );
            return Err(refuse(Kind::Config, what));
        }
        if stamp.topic_id != self.topic_id {
            return Err(Self::made_anew());
        }
        Ok(stamp)
    }

    /// The offsets are of a log that is gone.
    pub fn made_anew() -> Error {
        refuse(Kind::DataLoss, "the source topic was deleted and made anew since the last commit".into())
    }
}

fn check(partition: i32, offset: i64, stamp: &Stamp, ends: Ends) -> Result<Progress> {
    if stamp.position > ends.high {
        let what = format!(
            "partition {partition} was read up to offset {}, but now ends at {}: records are gone",
            stamp.position, ends.high
        );
        return Err(refuse(Kind::DataLoss, what));
    }
    if offset < ends.low {
        let what = format!(
            "partition {partition} begins at offset {}, but records from {offset} on are needed: retention has deleted them",
            ends.low
        );
        return Err(refuse(Kind::DataLoss, what));
    }
    Ok(Progress { position: stamp.position, closed_through: stamp.closed_through, max_event_time: stamp.max_event_time })
}

/// Keeps an id, if need be in place of the one that is longest past.
pub fn remember(ids: &mut Schemaless, id: u32, offset: i64) {
    ids.insert(id, offset);
    if ids.len() > SCHEMALESS_CAP
        && let Some(oldest) = ids.iter().min_by_key(|(_, last)| **last).map(|(id, _)| *id)
    {
        ids.remove(&oldest);
    }
}

fn begin(partition: i32, found: &Found, start: Start) -> (i32, i64, Progress) {
    let Ends { low, high } = found.ends;
    match start {
        Start::Latest => (partition, high, Progress::starting_at(high)),
        // What is in the log now counts as read before, so that what lies in closed windows is passed over, not dead-lettered.
        Start::After(time) => (partition, low, Progress { closed_through: time.0, ..Progress::starting_at(high) }),
        // Before it came here the end of the sink was looked up.
        Start::Committed | Start::Earliest | Start::Reset | Start::AfterSink => (partition, low, Progress::starting_at(low)),
    }
}

/// What Flink read since is in its rows and its savepoint only.
fn with_flink(what: String) -> Error {
    Error::new(Kind::DataLoss, what).hint(
        "if Flink had the topic last, stop its job and go on behind the last window in the sink, --start after=sink, or in Flink, \
         --engine flink --savepoint PATH; else choose where to begin anew: --start earliest, --start latest, --start after=TIME, or --reset",
    )
}

fn refuse(kind: Kind, what: String) -> Error {
    Error::new(kind, what).hint(
        "choose where to begin anew: --start earliest (windows that are still in the source are written again), --start latest (what is there now is left out), \
         --start after=TIME (windows that end by then are left out), or --reset (empties the sink and does it all again)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { definition: "window 60000 ms".into(), topic_id: "abc".into(), partitions: 1 }
    }

    fn progress(position: i64) -> Progress {
        Progress { position, closed_through: 60_000, max_event_time: Some(65_000) }
    }

    fn committed(offset: i64, position: i64, ends: Ends) -> Found {
        let stamp =
            identity().stamp(&Commit { partition: 0, offset, progress: progress(position) }, 1, &Schemaless::new()).unwrap();
        Found { committed: Some((offset, stamp)), ends }
    }

    fn restore(found: Found) -> Result<Restored> {
        identity().restore(&BTreeMap::from([(0, found)]), Part::Whole, Start::Committed, true)
    }

    #[test]
    fn what_was_committed_comes_back() {
        let restored = restore(committed(5, 9, Ends { low: 0, high: 9 })).unwrap();
        assert_eq!((restored.assigned, restored.baseline), (vec![(0, 5, progress(9))], false));
        let (_, metadata) = committed(5, 9, Ends { low: 0, high: 9 }).committed.unwrap();
        assert_eq!(committed_progress(&metadata), Some((progress(9), "abc".into())));
        assert_eq!(committed_progress(UNFINISHED_RESET), None);
    }

    #[test]
    fn a_first_start_begins_at_the_earliest_record() {
        let found = BTreeMap::from([(0, Found { committed: None, ends: Ends { low: 3, high: 8 } })]);
        let restored = identity().restore(&found, Part::Whole, Start::Committed, false).unwrap();
        assert_eq!((restored.assigned, restored.baseline), (vec![(0, 3, Progress::starting_at(3))], true));
        assert_eq!(identity().restore(&found, Part::Whole, Start::Committed, true).unwrap_err().kind, Kind::DataLoss);
        assert!(identity().restore(&found, Part::Whole, Start::Earliest, true).is_ok());
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_way_out() {
        let good = Ends { low: 0, high: 9 };
        let other = |change: fn(&mut Stamp)| {
            let Some((offset, metadata)) = committed(5, 9, good).committed else { unreachable!() };
            let mut stamp: Stamp = serde_json::from_str(&metadata).unwrap();
            change(&mut stamp);
            Found { committed: Some((offset, serde_json::to_string(&stamp).unwrap())), ends: good }
        };
        let cases = [
            (Found { committed: Some((5, String::new())), ends: good }, Kind::DataLoss, "not committed by this program"),
            (Found { committed: Some((5, UNFINISHED_RESET.into())), ends: good }, Kind::DataLoss, "was not finished"),
            (Found { committed: Some((5, WITH_FLINK.into())), ends: good }, Kind::DataLoss, "handed to Flink"),
            (
                other(|stamp| stamp.definition = "window 1 ms".into()),
                Kind::Config,
                "it was window 1 ms, the pipeline file says window 60000 ms",
            ),
            (other(|stamp| stamp.topic_id = "xyz".into()), Kind::DataLoss, "made anew"),
            (committed(5, 9, Ends { low: 0, high: 8 }), Kind::DataLoss, "ends at 8"),
            (committed(5, 9, Ends { low: 6, high: 9 }), Kind::DataLoss, "retention"),
        ];
        for (found, kind, words) in cases {
            let error = restore(found).unwrap_err();
            assert_eq!(error.kind, kind);
            assert!(error.message.contains(words), "{error}");
            let hint = error.hint.unwrap();
            assert!(hint.contains("--start earliest"));
            assert_eq!(
                hint.contains("--start after=sink"),
                error.message.contains("not committed by this program") || error.message.contains("handed to Flink"),
                "{hint}"
            );
        }
    }

    #[test]
    fn a_partition_added_later_takes_over_what_is_closed() {
        let found = BTreeMap::from([
            (0, committed(5, 9, Ends { low: 0, high: 9 })),
            (1, Found { committed: None, ends: Ends { low: 0, high: 4 } }),
        ]);
        let grown = Identity { partitions: 2, ..identity() };
        let restored = grown.restore(&found, Part::Whole, Start::Committed, true).unwrap();
        assert_eq!(restored.assigned[1], (1, 0, Progress { closed_through: 60_000, ..Progress::starting_at(0) }));
        assert_eq!((restored.baseline, restored.grown_from), (true, Some(1)));
        let error = grown.restore(&found, Part::Share(&[1]), Start::Committed, true).unwrap_err();
        assert_eq!(error.kind, Kind::Config);
        assert!(error.message.contains("had 1 partitions and has 2 now"), "{error}");
    }

    #[test]
    fn a_share_is_judged_by_its_own_partitions() {
        // Partition 0 is somebody else's: what is gone there is not ours to refuse. Nobody has come to partition 1 yet.
        let found = BTreeMap::from([
            (0, committed(5, 9, Ends { low: 6, high: 8 })),
            (1, Found { committed: None, ends: Ends { low: 2, high: 4 } }),
        ]);
        let restored = identity().restore(&found, Part::Share(&[1]), Start::Committed, true).unwrap();
        assert_eq!((restored.assigned, restored.baseline), (vec![(1, 2, Progress::starting_at(2))], true));
        let none = identity().restore(&found, Part::Share(&[]), Start::Committed, true).unwrap();
        assert_eq!((none.assigned, none.baseline), (vec![], false));
    }

    #[test]
    fn schema_ids_of_rejected_records_are_kept_the_latest_of_many() {
        let mut schemaless = Schemaless::new();
        (0..1_000).for_each(|id| remember(&mut schemaless, id, i64::from(id) * 10));
        let stamp = identity().stamp(&Commit { partition: 0, offset: 5, progress: progress(9) }, 1, &schemaless).unwrap();
        let found = Found { committed: Some((5, stamp)), ends: Ends { low: 0, high: 9 } };
        let kept = &restore(found).unwrap().schemaless[&0];
        assert_eq!((kept.len(), kept.first_key_value()), (SCHEMALESS_CAP, Some((&(1_000 - SCHEMALESS_CAP as u32), &9_360))));
    }

    #[test]
    fn starting_after_a_time_passes_over_what_is_in_closed_windows() {
        let found = BTreeMap::from([(0, Found { committed: None, ends: Ends { low: 3, high: 8 } })]);
        let restored = identity().restore(&found, Part::Whole, "after=120000".parse().unwrap(), true).unwrap();
        assert_eq!(restored.assigned, [(0, 3, Progress { closed_through: 120_000, ..Progress::starting_at(8) })]);
        assert!("afterwards".parse::<Start>().is_err());
        assert_eq!("after=sink".parse(), Ok(Start::AfterSink));
    }
}
