//! What a comparison says.

use std::fmt;

use serde::Serialize;

use crate::config::Instant;
use crate::error::Error;

/// Where something is compared with what the topics say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hop {
    /// The sink's rows with the raw records.
    Kafka,
    /// A datasource's rows with its topic's records.
    Druid,
    /// A chart's data with what its topic comes to.
    Superset,
}

impl Hop {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Druid => "druid",
            Self::Superset => "superset",
        }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kafka => "Kafka",
            Self::Druid => "Druid",
            Self::Superset => "Superset",
        })
    }
}

/// All that is compared at one place.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The hop.
    pub hop: Hop,
    /// The sink, the datasource or the chart's title.
    pub name: String,
    /// Cells that are equal.
    pub equal: u64,
    /// Cells that differ.
    pub differing: u64,
    /// Cells that are still to come, or under way.
    pub waiting: u64,
    /// Cells of which records were deleted, or that are older than what is read.
    pub left_out: u64,
    /// Of the equal ones: those from which late records are left out, which are dead letters.
    pub explained: u64,
    /// Why nothing, or not all, can be compared here.
    pub note: Option<String>,
    /// The first differences.
    pub differences: Vec<Difference>,
}

/// A cell that is not as the topics say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Where it was lost.
    pub hop: Hop,
    /// The sink, the datasource or the chart's title.
    pub name: String,
    /// The start of its window or bucket, ms; none of what has no time axis.
    pub time: Option<i64>,
    /// The group.
    pub group: String,
    /// What is compared, for example `SUM(sale_amount)`.
    pub metric: String,
    /// What the topics say.
    pub expected: Option<String>,
    /// What was found.
    pub found: Option<String>,
    /// What that means, in a few words.
    pub why: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.hop, self.name)?;
        if let Some(time) = self.time {
            write!(f, "  {}", Instant(time))?;
        }
        if !self.group.is_empty() {
            write!(f, "  {}", self.group)?;
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
        write!(f, "  {}: {} expected, {} found: {}", self.metric, text(&self.expected), text(&self.found), self.why)
    }
}

/// How long it takes from one place to the next, of the events seen while watching.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Freshness {
    /// From where to where.
    pub path: String,
    /// How many were measured.
    pub count: u64,
    /// Half of them were faster, ms.
    pub p50_ms: i64,
    /// One in a hundred was slower, ms.
    pub p99_ms: i64,
    /// The slowest, ms.
    pub max_ms: i64,
}

/// The proof in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It cannot be said yet.
    #[default]
    Waiting,
    /// All that can be compared is equal.
    Equal,
    /// Something differs.
    Differs,
}

/// The proof as it stands.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// As long as records are read that were there at the start: offsets read, and all.
    pub reading: Option<(i64, i64)>,
    /// Hop by hop.
    pub comparisons: Vec<Comparison>,
    /// In one word. What is still under way is waited for (20 s without progress), so neither of the others is said too early.
    pub verdict: Verdict,
    /// All was asked, and there is no cell to compare.
    pub is_empty: bool,
    /// Why it may be out of date, or cannot be said.
    pub trouble: Option<String>,
    /// The same as an error.
    #[serde(skip)]
    pub error: Option<Error>,
    /// How fresh each hop is.
    pub freshness: Vec<Freshness>,
}

impl Report {
    /// Nothing could be read so far.
    pub fn failed(error: Option<&Error>) -> Self {
        Self { trouble: error.map(|error| error.message.clone()), error: error.cloned(), ..Self::default() }
    }

    /// How many cells were compared: equal, and different.
    pub fn cells(&self) -> (u64, u64) {
        self.comparisons.iter().fold((0, 0), |sums, one| (sums.0 + one.equal, sums.1 + one.differing))
    }
}
