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
use crate::kafka::Ends;

/// Kafka keeps 4,096 bytes of metadata with an offset (`offset.metadata.max.bytes`).
const METADATA_CAP: usize = 4096;

/// What is committed beside an offset, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    version: u32,
    definition: String,
    topic_id: String,
    position: i64,
    closed_through: i64,
    max_event_time: Option<i64>,
}

const VERSION: u32 = 1;

/// Stands beside the offsets in place of a stamp while `--reset` empties the sink.
pub const UNFINISHED_RESET: &str = "reset";

/// What committed progress is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Window, groups, measures.
    pub definition: String,
    /// The id that Kafka gave the source topic (KIP-516): a topic made anew has another one.
    pub topic_id: String,
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
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("after=")) {
            ("committed", _) => Ok(Self::Committed),
            ("earliest", _) => Ok(Self::Earliest),
            ("latest", _) => Ok(Self::Latest),
            (_, Some(time)) => time.parse().map(Self::After),
            _ => Err("write committed, earliest, latest or after=TIME".into()),
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
    /// Nothing of it is committed yet: the session commits it at once.
    pub baseline: bool,
}

impl Identity {
    /// The metadata to commit beside a partition's offset.
    pub fn stamp(&self, commit: &Commit) -> Result<String> {
        let Progress { position, closed_through, max_event_time } = commit.progress;
        let (definition, topic_id) = (self.definition.clone(), self.topic_id.clone());
        let stamp = Stamp { version: VERSION, definition, topic_id, position, closed_through, max_event_time };
        let text = serde_json::to_string(&stamp).map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
        if text.len() > METADATA_CAP {
            return Err(Error::new(
                Kind::Config,
                format!("the aggregate's definition is too long to be kept with the offsets ({METADATA_CAP} bytes at most)"),
            )
            .hint("use fewer or shorter field names"));
        }
        Ok(text)
    }

    /// Decides where a session begins.
    pub fn restore(&self, found: &BTreeMap<i32, Found>, start: Start, sink_has_rows: bool) -> Result<Restored> {
        match start {
            Start::Committed if found.values().any(|found| found.committed.is_some()) => self.resume(found),
            Start::Committed if sink_has_rows => Err(refuse(
                Kind::DataLoss,
                "no offsets are committed, but the sink holds rows: from the earliest record on they would be written again"
                    .into(),
            )),
            _ => Ok(Restored {
                assigned: found.iter().map(|(partition, found)| begin(*partition, found, start)).collect(),
                baseline: true,
            }),
        }
    }

    fn resume(&self, found: &BTreeMap<i32, Found>) -> Result<Restored> {
        let mut assigned = Vec::new();
        let mut added = Vec::new();
        for (partition, found) in found {
            match &found.committed {
                Some((offset, metadata)) => {
                    let progress = self.check(*partition, *offset, metadata, found.ends)?;
                    assigned.push((*partition, *offset, progress));
                }
                None => added.push((*partition, found.ends.low)),
            }
        }
        let closed_through = assigned.iter().map(|(_, _, progress)| progress.closed_through).max().unwrap_or(i64::MIN);
        let baseline = !added.is_empty();
        assigned.extend(
            added.into_iter().map(|(partition, low)| (partition, low, Progress { closed_through, ..Progress::starting_at(low) })),
        );
        assigned.sort_unstable_by_key(|(partition, ..)| *partition);
        Ok(Restored { assigned, baseline })
    }

    fn check(&self, partition: i32, offset: i64, metadata: &str, ends: Ends) -> Result<Progress> {
        if metadata == UNFINISHED_RESET {
            return Err(refuse(Kind::DataLoss, "a --reset was not finished: the sink may be emptied or not".into()));
        }
        let stamp: Stamp =
            serde_json::from_str(metadata).ok().filter(|stamp: &Stamp| stamp.version == VERSION).ok_or_else(|| {
                refuse(
                    Kind::DataLoss,
                    format!("the offset committed for partition {partition} was not committed by this program"),
                )
            })?;
        if stamp.definition != self.definition {
            let what = format!(
                "the committed state is of another aggregate: it was {}, the pipeline file says {}",
                stamp.definition, self.definition
            );
            return Err(refuse(Kind::Config, what));
        }
        if stamp.topic_id != self.topic_id {
            return Err(refuse(Kind::DataLoss, "the source topic was deleted and made anew since the last commit".into()));
        }
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
}

fn begin(partition: i32, found: &Found, start: Start) -> (i32, i64, Progress) {
    let Ends { low, high } = found.ends;
    match start {
        Start::Latest => (partition, high, Progress::starting_at(high)),
        // What is in the log now counts as read before, so that what lies in closed windows is passed over, not dead-lettered.
        Start::After(time) => (partition, low, Progress { closed_through: time.0, ..Progress::starting_at(high) }),
        Start::Committed | Start::Earliest | Start::Reset => (partition, low, Progress::starting_at(low)),
    }
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
        Identity { definition: "window 60000 ms".into(), topic_id: "abc".into() }
    }

    fn progress(position: i64) -> Progress {
        Progress { position, closed_through: 60_000, max_event_time: Some(65_000) }
    }

    fn committed(offset: i64, position: i64, ends: Ends) -> Found {
        let stamp = identity().stamp(&Commit { partition: 0, offset, progress: progress(position) }).unwrap();
        Found { committed: Some((offset, stamp)), ends }
    }

    fn restore(found: Found) -> Result<Restored> {
        identity().restore(&BTreeMap::from([(0, found)]), Start::Committed, true)
    }

    #[test]
    fn what_was_committed_comes_back() {
        let restored = restore(committed(5, 9, Ends { low: 0, high: 9 })).unwrap();
        assert_eq!(restored, Restored { assigned: vec![(0, 5, progress(9))], baseline: false });
    }

    #[test]
    fn a_first_start_begins_at_the_earliest_record() {
        let found = BTreeMap::from([(0, Found { committed: None, ends: Ends { low: 3, high: 8 } })]);
        let restored = identity().restore(&found, Start::Committed, false).unwrap();
        assert_eq!(restored, Restored { assigned: vec![(0, 3, Progress::starting_at(3))], baseline: true });
        assert_eq!(identity().restore(&found, Start::Committed, true).unwrap_err().kind, Kind::DataLoss);
        assert!(identity().restore(&found, Start::Earliest, true).is_ok());
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
            assert!(error.hint.unwrap().contains("--start earliest"));
        }
    }

    #[test]
    fn a_partition_added_later_takes_over_what_is_closed() {
        let found = BTreeMap::from([
            (0, committed(5, 9, Ends { low: 0, high: 9 })),
            (1, Found { committed: None, ends: Ends { low: 0, high: 4 } }),
        ]);
        let restored = identity().restore(&found, Start::Committed, true).unwrap();
        assert_eq!(restored.assigned[1], (1, 0, Progress { closed_through: 60_000, ..Progress::starting_at(0) }));
        assert!(restored.baseline);
    }

    #[test]
    fn starting_after_a_time_passes_over_what_is_in_closed_windows() {
        let found = BTreeMap::from([(0, Found { committed: None, ends: Ends { low: 3, high: 8 } })]);
        let restored = identity().restore(&found, "after=120000".parse().unwrap(), true).unwrap();
        assert_eq!(restored.assigned, [(0, 3, Progress { closed_through: 120_000, ..Progress::starting_at(8) })]);
        assert!("afterwards".parse::<Start>().is_err());
    }
}
