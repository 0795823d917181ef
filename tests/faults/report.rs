//! The report: appended to case by case, so that a long campaign can be taken up again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cases::Outcome;
use crate::deck::{self, Fault};
use crate::judge::Judgement;

/// A line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    Case(Outcome),
    /// The judgement of the topic of the cases up to this one.
    Judged {
        case: usize,
        found: Judgement,
    },
    /// What was found with a negative control.
    Control {
        name: String,
        found: Judgement,
    },
}

impl Entry {
    fn case(&self) -> usize {
        match self {
            Self::Case(outcome) => outcome.case,
            Self::Judged { case, .. } => *case,
            Self::Control { .. } => usize::MAX,
        }
    }
}

pub struct Report {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl Report {
    /// A seed's report; of an earlier one the cases before `from` are kept.
    pub fn open(folder: &Path, seed: u64, from: usize) -> Self {
        let path = folder.join(format!("seed-{seed}.jsonl"));
        let text = if from > 1 { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        let earlier = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
        let entries: Vec<Entry> = earlier.filter(|entry| entry.case() < from).collect();
        fs::write(&path, "").expect("the report is written");
        let mut report = Self { path, entries: Vec::new() };
        entries.into_iter().for_each(|entry| report.add(entry));
        report
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn add(&mut self, entry: Entry) {
        let line = serde_json::to_string(&entry).expect("JSON");
        let mut file = OpenOptions::new().append(true).open(&self.path).expect("the report");
        writeln!(file, "{line}").expect("the report is written");
        self.entries.push(entry);
    }

    fn cases(&self) -> impl Iterator<Item = &Outcome> {
        self.entries.iter().filter_map(|entry| if let Entry::Case(outcome) = entry { Some(outcome) } else { None })
    }

    fn judged(&self) -> Judgement {
        let found =
            self.entries.iter().filter_map(|entry| if let Entry::Judged { found, .. } = entry { Some(found) } else { None });
        found.fold(Judgement::default(), Judgement::plus)
    }

    /// The table, and what is wrong with the campaign; nothing: it passed.
    pub fn sum_up(&self) -> (String, Vec<String>) {
        let mut kinds: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
        self.cases().for_each(|outcome| kinds.entry(&outcome.kind).or_default().push(outcome));
        let mut text =
            format!("{:<28} {:>5} {:>7} {:>5} {:>11}  exit codes\n", "fault", "cases", "reached", "kills", "inside a tx");
        for (kind, outcomes) in &kinds {
            write_kind(&mut text, kind, outcomes);
        }
        write_kind(&mut text, "all", &self.cases().collect::<Vec<_>>());
        let judged = self.judged();
        let _ = writeln!(text, "judge: {judged}");
        for entry in &self.entries {
            if let Entry::Control { name, found } = entry {
                let verdict = if found.differences() > 0 { "found out, as it must be" } else { "NOT FOUND OUT" };
                let _ = writeln!(text, "control {name}: {verdict}: {found}");
            }
        }
        (text, self.faults(&judged))
    }

    /// The cases of these topics that were not run, or whose topic was not judged after them.
    pub fn missing<'a>(&self, topics: impl Iterator<Item = &'a [(usize, Fault)]>) -> Option<String> {
        let was_run = |case: usize| self.cases().any(|outcome| outcome.case == case);
        let was_judged =
            |last: usize| self.entries.iter().any(|entry| matches!(entry, Entry::Judged { case, .. } if *case == last));
        let mut missing = Vec::new();
        for cases in topics {
            let is_judged = cases.last().is_some_and(|(last, _)| was_judged(*last));
            missing.extend(cases.iter().map(|(case, _)| *case).filter(|case| !is_judged || !was_run(*case)));
        }
        missing.sort_unstable();
        let first = missing.first()?;
        Some(format!(
            "{} cases were not run and judged, case {first} the first: take it up again with --from {first}",
            missing.len()
        ))
    }

    fn faults(&self, judged: &Judgement) -> Vec<String> {
        let mut wrong = Vec::new();
        for outcome in self.cases() {
            wrong.extend(outcome.problems.iter().map(|problem| format!("case {}, {}: {problem}", outcome.case, outcome.fault)));
        }
        if judged.differences() > 0 {
            wrong.push(format!("{} differences:\n  {}", judged.differences(), judged.examples.join("\n  ")));
        }
        for entry in &self.entries {
            if let Entry::Control { name, found } = entry
                && found.differences() == 0
            {
                wrong.push(format!("the control {name} was not found out: the judge cannot be trusted"));
            }
        }
        let sum = |count: fn(&Outcome) -> usize| self.cases().map(count).sum::<usize>();
        let (kills, inside) = (sum(|outcome| outcome.kills), sum(|outcome| outcome.kills_inside));
        if 2 * inside < kills {
            wrong.push(format!("only {inside} of {kills} kills left an open transaction: the campaign does not count"));
        }
        if judged.aborted_rows == 0 || judged.aborted_source == 0 {
            wrong.push("no aborted records were seen in the sink's or the source's log: the campaign does not count".into());
        }
        if self.cases().count() >= deck::size() {
            wrong.extend(self.seldom());
        }
        wrong
    }

    /// The points at which the program was killed less than twice.
    fn seldom(&self) -> Vec<String> {
        let struck = |kind: &str| self.cases().filter(|outcome| outcome.kind == kind && outcome.reached).count();
        let alone = deck::POINTS.iter().map(|(point, _)| Fault::Point(point, 1).kind());
        let shared = Fault::Rebalance("revoke", 1).kind();
        let times = alone.chain([shared]).map(|kind| (struck(&kind), kind));
        times.filter(|(times, _)| *times < 2).map(|(times, kind)| format!("{kind}: {times} times only")).collect()
    }
}

fn write_kind(text: &mut String, kind: &str, outcomes: &[&Outcome]) {
    let sum = |count: fn(&Outcome) -> usize| outcomes.iter().map(|outcome| count(outcome)).sum::<usize>();
    let mut codes: BTreeMap<i32, usize> = BTreeMap::new();
    outcomes.iter().flat_map(|outcome| &outcome.codes).for_each(|code| *codes.entry(*code).or_default() += 1);
    let codes: Vec<String> = codes.iter().map(|(code, times)| format!("{code} x {times}")).collect();
    let _ = writeln!(
        text,
        "{kind:<28} {:>5} {:>7} {:>5} {:>11}  {}",
        outcomes.len(),
        outcomes.iter().filter(|outcome| outcome.reached).count(),
        sum(|outcome| outcome.kills),
        sum(|outcome| outcome.kills_inside + outcome.stops_inside),
        codes.join(", ")
    );
}
