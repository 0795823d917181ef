//! The rules by which Druid's coordinator keeps a datasource's rows, x those that are there -> what to do. Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use super::diff;
use crate::config::{Datasource, Millis};
use crate::plan::{Action, Change, Step};

/// Who changed rules, as we tell it to Druid.
pub const AUTHOR: &str = "pipeline";
/// The plan's word for a datasource's rules.
pub const KIND: &str = "retention";

/// A datasource's rules as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The rules; none: the cluster's default holds.
    pub rules: Vec<Value>,
    /// The pipeline file that set them last, as far as Druid tells.
    pub owner: Option<String>,
}

impl Found {
    /// Whether this pipeline file set them last.
    pub fn is_of(&self, pipeline: &str) -> bool {
        self.owner.as_deref() == Some(&signature(pipeline))
    }
}

/// How a pipeline file signs a change of rules: in ASCII, since it goes through a header.
pub fn signature(pipeline: &str) -> String {
    pipeline.escape_default().to_string()
}

/// An entry of the history of a datasource's rules, the newest first.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    audit_info: AuditInfo,
}

#[derive(Debug, Clone, Deserialize)]
struct AuditInfo {
    #[serde(default)]
    author: String,
    #[serde(default)]
    comment: String,
}

impl Entry {
    /// The pipeline file that made this change; `None`: no pipeline file did.
    pub fn owner(self) -> Option<String> {
        (self.audit_info.author == AUTHOR).then_some(self.audit_info.comment)
    }
}

/// The rules that keep rows for so long.
pub fn rules(retention: Millis) -> Vec<Value> {
    vec![json!({"type": "loadByPeriod", "period": period(retention), "includeFuture": true}), json!({"type": "dropForever"})]
}

/// A duration as Druid reads and keeps it, whole seconds: P7D, PT90M.
fn period(length: Millis) -> String {
    let seconds = length.0 / 1_000;
    match seconds {
        _ if seconds % 86_400 == 0 => format!("P{}D", seconds / 86_400),
        _ if seconds % 3_600 == 0 => format!("PT{}H", seconds / 3_600),
        _ if seconds % 60 == 0 => format!("PT{}M", seconds / 60),
        _ => format!("PT{seconds}S"),
    }
}

/// What to do about a datasource's rules; `None`: there are none and none are wanted, or they are not ours to remove.
///
/// `is_ours` says of the supervisor that the pipeline file made it, or will: its rules are then ours to set, whoever changed them.
pub fn step(pipeline: &str, datasource: &Datasource, found: &Found, is_ours: bool) -> Option<Step> {
    let set_by_us = found.is_of(pipeline);
    let wanted = datasource.retention.map(rules);
    let change = |new: &[Value]| vec![Change { setting: "rules".into(), old: json!(found.rules), new: json!(new) }];
    let (action, effect) = match &wanted {
        Some(wanted) if holds(wanted, &found.rules) => (Action::Unchanged, None),
        Some(wanted) => {
            let action = match found.rules.is_empty() {
                _ if !is_ours && !set_by_us => {
                    Action::NotOurs { maker: diff::maker(found.owner.as_deref()), changes: change(wanted) }
                }
                true => Action::Create,
                false => Action::Change(change(wanted)),
            };
            let period = datasource.retention.map(period).unwrap_or_default();
            (action, Some(format!("rows older than {period} are dropped from queries")))
        }
        None if set_by_us && !found.rules.is_empty() => {
            (Action::Remove, Some("the cluster's default holds; rows that were dropped do not come back by themselves".into()))
        }
        None => return None,
    };
    Some(Step { kind: KIND, name: datasource.name.clone(), action, effect })
}

/// Whether rules are as wanted: Druid adds its defaults.
fn holds(wanted: &[Value], found: &[Value]) -> bool {
    let one = |wanted: &Value, found: &Value| {
        wanted.as_object().is_some_and(|wanted| wanted.iter().all(|(name, value)| found.get(name) == Some(value)))
    };
    wanted.len() == found.len() && wanted.iter().zip(found).all(|(wanted, found)| one(wanted, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datasource(keys: &str) -> Datasource {
        toml::from_str(&format!("name = \"D\"\ntopic = \"T\"\ntime = \"t\"\n{keys}")).unwrap()
    }

    /// As Druid 33 gives them back.
    fn week() -> Vec<Value> {
        vec![
            json!({"period": "P7D", "includeFuture": true, "tieredReplicants": {"_default_tier": 2}, "useDefaultTierForNull": true, "type": "loadByPeriod"}),
            json!({"type": "dropForever"}),
        ]
    }

    fn action(keys: &str, rules: Vec<Value>, owner: Option<&str>, is_ours: bool) -> Option<Action> {
        let found = Found { rules, owner: owner.map(str::to_owned) };
        step("me", &datasource(keys), &found, is_ours).map(|step| step.action)
    }

    #[test]
    fn periods_are_written_as_a_person_would() {
        let told = |text: &str| period(text.parse().unwrap());
        assert_eq!(["7d", "12h", "90m", "61s"].map(told), ["P7D", "PT12H", "PT90M", "PT61S"]);
    }

    #[test]
    fn rules_are_made_changed_and_taken_away_where_they_are_ours() {
        const WEEK: &str = "retention = \"7d\"";
        assert_eq!(action(WEEK, vec![], None, true), Some(Action::Create));
        assert!(matches!(action(WEEK, vec![], None, false), Some(Action::NotOurs { .. })), "of somebody else's rows");
        assert_eq!(action(WEEK, week(), None, false), Some(Action::Unchanged));
        assert!(matches!(action("retention = \"8d\"", week(), None, true), Some(Action::Change(list)) if list.len() == 1));
        assert!(matches!(action("retention = \"8d\"", week(), Some("me"), false), Some(Action::Change(_))));
        assert!(matches!(action("retention = \"8d\"", week(), None, false), Some(Action::NotOurs { .. })));
        assert_eq!(action("", week(), Some("me"), true), Some(Action::Remove));
        assert_eq!(action("", week(), None, true), None, "set by hand, and none wanted");
        assert_eq!(action("", vec![], Some("me"), true), None);
    }

    #[test]
    fn who_set_rules_is_in_their_history() {
        let entry = |author: &str| {
            let text = format!(
                r#"{{"key": "D", "auditInfo": {{"author": "{author}", "comment": "me", "ip": "::1"}}, "payload": "[]"}}"#
            );
            serde_json::from_str::<Entry>(&text).unwrap().owner()
        };
        assert_eq!((entry("pipeline").as_deref(), entry("")), (Some("me"), None));
    }
}
