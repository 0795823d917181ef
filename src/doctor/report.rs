//! What is found, and how it is told. Pure.

use std::fmt;

use serde_json::{Value, json};

use crate::error::{Error, Kind};

/// What is looked at, in the order of the pipeline: the first failure in this order decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// Kafka.
    Kafka,
    /// The schema registry.
    Registry,
    /// Druid, and its own paths to Kafka and the registry.
    Druid,
    /// Superset, and its own path to Druid.
    Superset,
    /// The dashboard's page, as a browser gets it.
    Browser,
}

impl Area {
    /// Its name in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Registry => "registry",
            Self::Druid => "druid",
            Self::Superset => "superset",
            Self::Browser => "browser",
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kafka => "Kafka",
            Self::Registry => "registry",
            Self::Druid => "Druid",
            Self::Superset => "Superset",
            Self::Browser => "browser",
        })
    }
}

/// How a check came out.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// As it should be; what was seen.
    Fine(String),
    /// Worth knowing, no hindrance: not made yet, or a limit that comes nearer.
    Note(String),
    /// Wrong: cause and remedy.
    Failed(Error),
    /// Not looked at, and why: what it needs has failed.
    Skipped(String),
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Fine(_) => "ok",
            Self::Note(_) => "note",
            Self::Failed(_) => "FAILED",
            Self::Skipped(_) => "skipped",
        }
    }

    fn detail(&self) -> &str {
        match self {
            Self::Fine(text) | Self::Note(text) | Self::Skipped(text) => text,
            Self::Failed(error) => &error.message,
        }
    }
}

/// A check and how it came out.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Of what.
    pub area: Area,
    /// What was looked at, in a few words, for example `topic SALES`.
    pub what: String,
    /// How it came out.
    pub verdict: Verdict,
}

impl Finding {
    fn to_json(&self) -> Value {
        let error = if let Verdict::Failed(error) = &self.verdict { Some(error) } else { None };
        json!({
            "area": self.area.word(),
            "what": self.what,
            "verdict": self.verdict.word().to_lowercase(),
            "detail": self.verdict.detail(),
            "hint": error.and_then(|error| error.hint.as_ref()),
            "exit_code": error.map(Error::exit_code),
        })
    }
}

/// A line: `FAILED   Druid     supervisor SALES: it is suspended`, and below it what to do.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { area, what, verdict } = self;
        write!(f, "{:<8} {area:<9} {what}: {}", verdict.word(), verdict.detail())?;
        match verdict {
            Verdict::Failed(Error { hint: Some(hint), .. }) => write!(f, "\n{:19}hint: {hint}", ""),
            _ => Ok(()),
        }
    }
}

/// All findings, in the order of the pipeline. Displayed, it is the report.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// They.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The first failure in the order of the pipeline.
    pub fn first_failure(&self) -> Option<&Error> {
        self.failures().next()
    }

    /// The same, but for what the setup commands put right: a kind of failure that is [`Kind::Differs`]. Whoever is about to run
    /// them need not stop for it.
    pub fn first_hindrance(&self) -> Option<&Error> {
        self.failures().find(|error| error.kind != Kind::Differs)
    }

    fn failures(&self) -> impl Iterator<Item = &Error> {
        self.findings.iter().filter_map(|finding| match &finding.verdict {
            Verdict::Failed(error) => Some(error),
            _ => None,
        })
    }

    /// `12 ok, 2 notes, 1 failed, 0 skipped`.
    pub fn summary(&self) -> String {
        let count = |word| self.findings.iter().filter(|finding| finding.verdict.word() == word).count();
        let [ok, notes, failed, skipped] = ["ok", "note", "FAILED", "skipped"].map(count);
        format!("{ok} ok, {notes} note{}, {failed} failed, {skipped} skipped", if notes == 1 { "" } else { "s" })
    }

    /// For `--output json`: `{"ok": bool, "findings": [{"area", "what", "verdict", "detail", "hint", "exit_code"}]}`; a verdict is
    /// `ok`, `note`, `failed` or `skipped`.
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(Finding::to_json).collect();
        json!({ "ok": self.first_failure().is_none(), "findings": findings })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        write!(f, "{}", self.summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let finding = |area, what: &str, verdict| Finding { area, what: what.into(), verdict };
        Report {
            findings: vec![
                finding(Area::Kafka, "topic SALES", Verdict::Fine("1 partition".into())),
                finding(Area::Registry, "subject SALES-value", Verdict::Note("not there yet".into())),
                finding(Area::Druid, "answers", Verdict::Failed(Error::new(Kind::Refused, "wrong password").hint("set it"))),
                finding(Area::Superset, "charts", Verdict::Failed(Error::new(Kind::Differs, "edited"))),
                finding(Area::Browser, "page", Verdict::Skipped("because Superset does not answer".into())),
            ],
        }
    }

    #[test]
    fn a_line_a_check_the_remedy_and_a_sum() {
        insta::assert_snapshot!(report(), @r"
        ok       Kafka     topic SALES: 1 partition
        note     registry  subject SALES-value: not there yet
        FAILED   Druid     answers: wrong password
                           hint: set it
        FAILED   Superset  charts: edited
        skipped  browser   page: because Superset does not answer
        1 ok, 1 note, 2 failed, 1 skipped
        ");
    }

    #[test]
    fn as_json_and_the_first_failure_decides() {
        let report = report();
        assert_eq!(report.first_failure().map(Error::exit_code), Some(77));
        let told = report.to_json();
        assert_eq!(told["ok"], false);
        let failed = json!({ "area": "druid", "what": "answers", "verdict": "failed", "detail": "wrong password", "hint": "set it",
            "exit_code": 77 });
        assert_eq!(told["findings"][2], failed);
        assert_eq!((&told["findings"][1]["verdict"], &told["findings"][1]["exit_code"]), (&json!("note"), &Value::Null));
        assert_eq!(Report::default().to_json()["ok"], true);
    }

    #[test]
    fn what_setting_up_puts_right_is_no_hindrance_to_it() {
        let mut report = report();
        assert_eq!(report.first_hindrance().map(Error::exit_code), Some(77));
        report.findings.retain(|finding| finding.area != Area::Druid);
        assert!(report.first_hindrance().is_none() && report.first_failure().is_some());
    }
}
