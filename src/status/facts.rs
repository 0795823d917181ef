//! What is known of each hop. Pure; as JSON it is what `--output json` writes.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::config::Instant;
use crate::engine::{Progress, window_start};
use crate::error::Error;

/// A pipeline at a glance, in the order in which records pass it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// The pipeline file's name.
    pub pipeline: String,
    /// When it was looked at, ms.
    #[serde(serialize_with = "time")]
    pub at: i64,
    /// The topics that events come in on.
    pub sources: Vec<Hop<Source>>,
    /// The aggregates.
    pub aggregates: Vec<Hop<Aggregate>>,
    /// Druid's datasources.
    pub datasources: Vec<Hop<Datasource>>,
    /// Superset's charts.
    pub charts: Vec<Hop<Chart>>,
    /// The dashboard's address.
    pub dashboard: Option<String>,
}

/// A place that records come to.
#[derive(Debug, Clone, Serialize)]
pub struct Hop<T> {
    /// The topic, the sink, the datasource, or the chart's title.
    pub name: String,
    /// What is known of it.
    #[serde(flatten)]
    pub told: Told<T>,
}

/// What is known of a hop.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Told<T> {
    /// It was asked, and this is how it is.
    Known(T),
    /// It is not there yet.
    Absent {
        /// Why, and what makes it.
        absent: String,
    },
    /// It could not be asked.
    Failed(#[serde(serialize_with = "failure")] Error),
    /// It is being asked for the first time.
    Asking {},
}

/// A source topic.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Source {
    /// How many partitions it has.
    pub partitions: usize,
    /// How much is in it.
    #[serde(flatten)]
    pub size: Size,
    /// Offsets written a second, between two looks.
    pub rate: Option<f64>,
    /// The latest event time among its last records, ms.
    #[serde(serialize_with = "some_time")]
    pub newest: Option<i64>,
    /// Why that is not known.
    #[serde(serialize_with = "some_failure", skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Error>,
}

/// How much is in a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// The oldest offset, added up over the partitions.
    pub low: i64,
    /// The next offset that readers of committed records will see, added up over the partitions.
    pub high: i64,
    /// Its committed records, counted; `None`: there are too many for that. Offsets are also taken by control records.
    pub records: Option<u64>,
}

/// An aggregate: its job, and the topic that it fills.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Aggregate {
    /// The consumer group that keeps its progress.
    pub group: String,
    /// What the job does, as far as can be seen from outside.
    pub job: Job,
    /// The instances that share the source; a lone one joins no group.
    pub members: Vec<String>,
    /// Offsets of the source that come after what was committed as read.
    pub lag: i64,
    /// How long the oldest of those has been waiting, ms.
    pub behind_ms: Option<i64>,
    /// The watermark of what was committed, ms.
    #[serde(serialize_with = "some_time")]
    pub watermark: Option<i64>,
    /// Windows that end at or before this time are closed, ms.
    #[serde(serialize_with = "some_time")]
    pub closed_through: Option<i64>,
    /// The latest event time that was read, ms.
    #[serde(serialize_with = "some_time")]
    pub max_event_time: Option<i64>,
    /// How many windows lie between those two, whether or not there are records in each; `None`: nothing was closed yet.
    pub open_windows: Option<i64>,
    /// The sink; `None`: it is not there.
    pub sink: Option<Size>,
    /// Its dead letters.
    pub dead_letters: DeadLetters,
    /// What is wrong with what was committed.
    pub note: Option<String>,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// All that is there was read: it has nothing to do, or has ended.
    #[default]
    CaughtUp,
    /// Records are waiting, the oldest for no longer than a job takes to commit.
    Reads,
    /// It commits, and is behind.
    CatchesUp,
    /// Records are waiting, and nothing is committed.
    StandsStill,
}

/// An aggregate's dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeadLetters {
    /// Their topic.
    pub topic: String,
    /// How many there are; `None`: too many to be counted.
    pub total: Option<u64>,
    /// How many of each cause.
    pub causes: BTreeMap<String, u64>,
}

/// A Druid datasource.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Datasource {
    /// Its supervisor's state in Druid's words; `None`: it has none.
    pub supervisor: Option<String>,
    /// Whether Druid itself says that something is wrong, or it was suspended.
    pub in_trouble: bool,
    /// The last error that Druid tells.
    pub last_error: Option<String>,
    /// Records that its tasks have not read, by the offsets that they tell every half minute; `None`: they tell none.
    pub lag: Option<u64>,
    /// Its tasks that read.
    pub tasks: usize,
    /// The rows that a query sees.
    pub rows: u64,
    /// Segments in use, those that its tasks still fill among them.
    pub segments: u64,
    /// The newest row's time, ms.
    #[serde(serialize_with = "some_time")]
    pub newest: Option<i64>,
}

/// A chart of Superset.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Chart {
    /// The rows that its query brings.
    pub rows: u64,
    /// The most that it may bring.
    pub row_limit: u32,
    /// Of a chart over time: the start of its newest bucket, ms.
    #[serde(serialize_with = "some_time")]
    pub newest: Option<i64>,
}

/// A job that is alive commits at least every 5 s: what waits longer than this waits for it.
const COMMITTED_IN: i64 = 15_000;

impl Status {
    /// What could not be asked, in the order of the pipeline.
    pub fn failures(&self) -> impl Iterator<Item = &Error> {
        let sources = self.sources.iter().filter_map(|hop| match &hop.told {
            Told::Known(source) => source.trouble.as_ref(),
            told => told.failure(),
        });
        let aggregates = self.aggregates.iter().filter_map(|hop| hop.told.failure());
        let datasources = self.datasources.iter().filter_map(|hop| hop.told.failure());
        let charts = self.charts.iter().filter_map(|hop| hop.told.failure());
        sources.chain(aggregates).chain(datasources).chain(charts)
    }

    /// Whether every hop has answered, or failed to.
    pub fn is_complete(&self) -> bool {
        fn all<T>(hops: &[Hop<T>]) -> bool {
            hops.iter().all(|hop| !matches!(hop.told, Told::Asking {}))
        }
        all(&self.sources) && all(&self.aggregates) && all(&self.datasources) && all(&self.charts)
    }
}

impl<T> Hop<T> {
    /// One that is about to be asked.
    pub fn asking(name: impl Into<String>) -> Self {
        Self { name: name.into(), told: Told::Asking {} }
    }
}

impl<T> Told<T> {
    /// It is not there yet: why, and what makes it.
    pub fn absent(why: impl Into<String>) -> Self {
        Self::Absent { absent: why.into() }
    }

    fn failure(&self) -> Option<&Error> {
        if let Self::Failed(error) = self { Some(error) } else { None }
    }
}

impl Size {
    /// The offsets that it takes.
    pub fn offsets(self) -> i64 {
        self.high - self.low
    }
}

impl Aggregate {
    /// Takes into account what was committed for each partition.
    pub fn progress(&mut self, progress: &[Progress], window_ms: i64, offset_ms: i64, lateness_ms: i64) {
        // Partitions that nothing was read of hold nothing back: they may stay empty.
        let read = || progress.iter().filter_map(|one| Some((one, one.max_event_time?)));
        self.max_event_time = read().map(|(_, time)| time).max();
        self.watermark = read().map(|(_, time)| time.saturating_sub(lateness_ms)).min();
        self.closed_through = read().map(|(one, _)| one.closed_through).min().filter(|time| *time > i64::MIN);
        self.open_windows = self.closed_through.zip(self.max_event_time).map(|(closed, latest)| {
            let end = window_start(latest, window_ms, offset_ms).saturating_add(window_ms);
            end.saturating_sub(closed).max(0) / window_ms.max(1)
        });
    }
}

impl Job {
    /// What it does: so many records wait, the oldest for so long, and since the last look something was committed or not.
    pub fn of(lag: i64, behind_ms: Option<i64>, moved: bool) -> Self {
        match behind_ms {
            _ if lag == 0 => Self::CaughtUp,
            Some(behind) if behind > COMMITTED_IN => {
                if moved {
                    Self::CatchesUp
                } else {
                    Self::StandsStill
                }
            }
            _ => Self::Reads,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn time<S: Serializer>(time: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Instant(*time))
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn some_time<S: Serializer>(time: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&Instant(*time)),
        None => serializer.serialize_none(),
    }
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
    hint: Option<&'a str>,
    exit_code: u8,
}

fn failure<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    Failure { error: &error.message, hint: error.hint.as_deref(), exit_code: error.exit_code() }.serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn some_failure<S: Serializer>(error: &Option<Error>, serializer: S) -> Result<S::Ok, S::Error> {
    error.as_ref().map_or_else(|| Err(serde::ser::Error::custom("nothing failed")), |error| failure(error, serializer))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Kind;

    fn committed(closed_through: i64, max_event_time: Option<i64>) -> Progress {
        Progress { position: 1, closed_through, max_event_time }
    }

    fn aggregate(progress: &[Progress]) -> Aggregate {
        let mut aggregate = Aggregate::default();
        aggregate.progress(progress, 60_000, 0, 5_000);
        aggregate
    }

    #[test]
    fn windows_are_open_from_what_is_closed_to_the_newest_event() {
        let open = |closed, newest| aggregate(&[committed(closed, Some(newest))]).open_windows;
        assert_eq!(open(60_000, 60_000), Some(1), "the window of the newest event");
        assert_eq!(open(60_000, 119_999), Some(1));
        assert_eq!(open(60_000, 120_000), Some(2));
        assert_eq!(open(120_000, 70_000), Some(0), "all were closed");
        assert_eq!(open(i64::MIN, 70_000), None);
    }

    #[test]
    fn the_watermark_is_that_of_the_slowest_partition_that_was_read() {
        let two = aggregate(&[committed(60_000, Some(130_000)), committed(0, Some(90_000)), committed(i64::MIN, None)]);
        assert_eq!((two.watermark, two.closed_through, two.max_event_time), (Some(85_000), Some(0), Some(130_000)));
        assert_eq!(two.open_windows, Some(3));
        assert_eq!(aggregate(&[committed(i64::MIN, None)]).watermark, None);
    }

    #[test]
    fn a_job_that_commits_nothing_of_what_waits_stands_still() {
        assert_eq!(Job::of(0, None, false), Job::CaughtUp);
        assert_eq!(Job::of(3, Some(4_000), false), Job::Reads);
        assert_eq!(Job::of(3, Some(20_000), true), Job::CatchesUp);
        assert_eq!(Job::of(3, Some(20_000), false), Job::StandsStill);
        assert_eq!(Job::of(3, None, false), Job::Reads, "how long they wait is not known");
    }

    #[test]
    fn what_could_not_be_asked_stands_in_its_place_and_in_order() {
        let unreachable = |what: &str| Error::new(Kind::Unreachable, what).hint("start it");
        let status = Status {
            sources: vec![Hop {
                name: "S".into(),
                told: Told::Known(Source { trouble: Some(unreachable("registry")), ..Source::default() }),
            }],
            aggregates: vec![Hop { name: "A".into(), told: Told::absent("no job yet") }],
            datasources: vec![Hop { name: "D".into(), told: Told::Failed(unreachable("druid")) }],
            charts: vec![Hop { name: "C".into(), told: Told::Known(Chart { rows: 3, row_limit: 5, newest: Some(0) }) }],
            ..Status::default()
        };
        assert_eq!(status.failures().map(|error| error.message.as_str()).collect::<Vec<_>>(), ["registry", "druid"]);
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["sources"][0]["trouble"]["exit_code"], 69);
        assert_eq!(json["aggregates"][0], json!({ "name": "A", "absent": "no job yet" }));
        assert_eq!(json["datasources"][0], json!({ "name": "D", "error": "druid", "hint": "start it", "exit_code": 69 }));
        assert_eq!(json["charts"][0], json!({ "name": "C", "rows": 3, "row_limit": 5, "newest": "1970-01-01T00:00:00.000Z" }));
        assert!(status.is_complete());
        assert!(!Status { sources: vec![Hop::asking("S")], ..Status::default() }.is_complete());
    }
}
