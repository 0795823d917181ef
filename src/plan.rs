//! What a setup command would do, or did: setting by setting, for a person and as JSON. Pure.

use std::fmt;

use serde_json::{Value, json};

use crate::config::hide_secrets;

/// How much of a value the text shows. JSON has it whole.
const SHOWN: usize = 60;

/// What is done about one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// It is not there: it is created.
    Create,
    /// It is ours, and differs in these settings.
    Change(Vec<Change>),
    /// It is as it should be.
    Unchanged,
    /// It is ours, but the pipeline file no longer has it: it is removed.
    Remove,
    /// Somebody else made it.
    NotOurs {
        /// Who, as far as can be told: "made by hand", "of the pipeline file `name`".
        maker: String,
        /// What would have to change.
        changes: Vec<Change>,
    },
}

/// A setting that differs. Its values may be secrets, of which [`Change::told`] leaves none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path in the words of the server's documentation.
    pub setting: String,
    /// What it is; null: nothing.
    pub old: Value,
    /// What it should be; null: nothing.
    pub new: Value,
}

impl Change {
    /// The same without secrets: what a person may read.
    #[must_use]
    pub fn told(&self) -> Self {
        let mut told = self.clone();
        hide_secrets(&self.setting, &mut told.old);
        hide_secrets(&self.setting, &mut told.new);
        told
    }

    fn to_json(&self) -> Value {
        let Self { setting, old, new } = self.told();
        json!({ "setting": setting, "old": old, "new": new })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, old, new } = self.told();
        write!(f, "{setting}: {} -> {}", shown(&old), shown(&new))
    }
}

/// A value as a message shows it: shortened.
pub fn shown(value: &Value) -> String {
    let text = if value.is_null() { "none".into() } else { value.to_string() };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// One object and what is done about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it is: `supervisor`, `retention`, `database`, `dataset`, `chart`, `dashboard`.
    pub kind: &'static str,
    /// What a person calls it.
    pub name: String,
    /// What is done.
    pub action: Action,
    /// What that causes, if anything: "its tasks are restarted", "rows that are there stay as they are".
    pub effect: Option<String>,
}

/// All that one command does, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The objects, each after those it needs.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether applying it would write anything.
    pub fn changes_something(&self) -> bool {
        self.steps.iter().any(|step| step.action != Action::Unchanged)
    }

    /// How many steps have an action of this kind.
    pub fn count(&self, is: impl Fn(&Action) -> bool) -> usize {
        self.steps.iter().filter(|step| is(&step.action)).count()
    }

    /// For `--output json`: `{"steps": [{"kind", "name", "action", "changes": [{"setting", "old", "new"}], "maker", "effect"}], "created":
    /// N, "changed": N, "unchanged": N, "removed": N, "not_ours": N}`.
    pub fn to_json(&self) -> Value {
        let steps: Vec<Value> = self.steps.iter().map(Step::to_json).collect();
        let mut value = json!({ "steps": steps });
        for (word, count) in self.counts() {
            value[word.replace(' ', "_")] = json!(count);
        }
        value
    }

    fn counts(&self) -> [(&'static str, usize); 5] {
        [
            ("created", self.count(|action| *action == Action::Create)),
            ("changed", self.count(|action| matches!(action, Action::Change(_)))),
            ("unchanged", self.count(|action| *action == Action::Unchanged)),
            ("removed", self.count(|action| *action == Action::Remove)),
            ("not ours", self.count(|action| matches!(action, Action::NotOurs { .. }))),
        ]
    }

    /// The last line of a report: `created 1 changed 0 unchanged 6`, and what was removed or is not ours, if anything.
    pub fn summary(&self) -> String {
        let always = ["created", "changed", "unchanged"];
        let counts = self.counts();
        let told = counts.iter().filter(|(word, count)| *count > 0 || always.contains(word));
        told.map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(" ")
    }
}

impl Step {
    fn changes(&self) -> &[Change] {
        match &self.action {
            Action::Change(changes) | Action::NotOurs { changes, .. } => changes,
            Action::Create | Action::Unchanged | Action::Remove => &[],
        }
    }

    fn to_json(&self) -> Value {
        let maker = if let Action::NotOurs { maker, .. } = &self.action { Some(maker) } else { None };
        json!({
            "kind": self.kind,
            "name": self.name,
            "action": word(&self.action, "create", "change", "remove"),
            "changes": self.changes().iter().map(Change::to_json).collect::<Vec<_>>(),
            "maker": maker,
            "effect": self.effect,
        })
    }
}

fn word(action: &Action, create: &'static str, change: &'static str, remove: &'static str) -> &'static str {
    match action {
        Action::Create => create,
        Action::Change(_) => change,
        Action::Remove => remove,
        Action::Unchanged => "unchanged",
        Action::NotOurs { .. } => "not ours",
    }
}

/// A plan, to be displayed: a line for each object, and one for each setting that differs.
pub struct Told<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Whether it was carried out ("created") or is still to be ("create").
    pub done: bool,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.plan.steps {
            let word = if self.done {
                word(&step.action, "created", "changed", "removed")
            } else {
                word(&step.action, "create", "change", "remove")
            };
            writeln!(f, "{word:<10} {:<10} {}", step.kind, step.name)?;
            if let Action::NotOurs { maker, .. } = &step.action {
                writeln!(f, "{:21} {maker}", "")?;
            }
            step.changes().iter().try_for_each(|change| writeln!(f, "{:21} {change}", ""))?;
            if let Some(effect) = &step.effect {
                writeln!(f, "{:21} ({effect})", "")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let change = Change { setting: "ioConfig.taskCount".into(), old: json!(1), new: json!(2) };
        let step = |kind, name: &str, action| Step { kind, name: name.into(), action, effect: None };
        let mut steps = vec![
            step("supervisor", "SALES", Action::Change(vec![change.clone()])),
            step("chart", "old", Action::Remove),
            step("dashboard", "theirs", Action::NotOurs { maker: "made by hand".into(), changes: vec![change] }),
        ];
        steps[0].effect = Some("its tasks are restarted".into());
        Plan { steps }
    }

    #[test]
    fn a_plan_is_told_setting_by_setting() {
        let plan = plan();
        insta::assert_snapshot!(Told { plan: &plan, done: false }, @r#"
        change     supervisor SALES
                              ioConfig.taskCount: 1 -> 2
                              (its tasks are restarted)
        remove     chart      old
        not ours   dashboard  theirs
                              made by hand
                              ioConfig.taskCount: 1 -> 2
        "#);
        assert!(Told { plan: &plan, done: true }.to_string().starts_with("changed    supervisor SALES\n"));
        assert_eq!(plan.summary(), "created 0 changed 1 unchanged 0 removed 1 not ours 1");
        assert_eq!(Plan::default().summary(), "created 0 changed 0 unchanged 0");
    }

    #[test]
    fn as_json_it_has_every_value_whole() {
        let value = plan().to_json();
        assert_eq!(value["steps"][0]["changes"][0], json!({"setting": "ioConfig.taskCount", "old": 1, "new": 2}));
        assert_eq!((&value["steps"][2]["maker"], &value["not_ours"]), (&json!("made by hand"), &json!(1)));
    }

    #[test]
    fn no_secret_is_told() {
        let change = |setting: &str, old| Change { setting: setting.into(), old, new: Value::Null };
        let changes = vec![
            change("ioConfig.inputFormat.avroBytesDecoder.url", json!("http://me:canary@r:8081")),
            change("ioConfig.consumerProperties.sasl.jaas.config", json!("canary")),
            change("ioConfig.inputFormat.avroBytesDecoder", json!({"headers": {"Authorization": "canary"}})),
        ];
        let steps = vec![Step { kind: "supervisor", name: "S".into(), action: Action::Change(changes), effect: None }];
        let plan = Plan { steps };
        let told = format!("{}{}", Told { plan: &plan, done: false }, plan.to_json());
        assert!(!told.contains("canary") && told.contains("me:***@r:8081"), "{told}");
    }

    #[test]
    fn a_long_value_is_cut_in_the_text() {
        assert_eq!(shown(&json!("ä".repeat(100))).chars().count(), SHOWN + 3);
        assert_eq!(shown(&Value::Null), "none");
    }
}
