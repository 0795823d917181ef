//! What a backup holds of Druid, and putting it back.

use serde_json::{Value, json};

use super::found::Found;
use super::{Druid, diff, replace, retention, spec};
use crate::backup::Backup;
use crate::config::{Config, HIDDEN, hide_secrets};
use crate::error::{Error, Kind, Result};
use crate::http::one_line;
use crate::plan::{Action, Plan, Step};

/// Copies of a spec's parts that Druid gives back beside it, for the sake of old clients.
const COPIES: [&str; 3] = ["dataSchema", "ioConfig", "tuningConfig"];

/// A supervisor as a backup holds it, without secrets.
pub fn supervisor(id: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(settings) = spec.as_object_mut().filter(|settings| settings.contains_key("spec")) {
        settings.retain(|name, _| !COPIES.contains(&name.as_str()));
    }
    hide_secrets("", &mut spec);
    json!({"supervisor": id, "spec": spec})
}

/// Rules of retention as a backup holds them.
pub fn rules(datasource: &str, found: &retention::Found) -> Value {
    json!({"retention": datasource, "rules": found.rules, "owner": found.owner})
}

/// What a backup puts back, and in place of what.
pub struct Restoration<'a> {
    /// The objects of the backup: those that are there are changed.
    pub plan: Plan,
    druid: Druid,
    works: Vec<Work<'a>>,
}

impl<'a> Restoration<'a> {
    /// Looks at what there is of a backup's objects. Refused is what cannot be put back, or would replace what others made since.
    pub async fn plan(config: &Config, backup: &'a Backup) -> Result<Self> {
        let objects: Vec<Object<'_>> = backup.objects.iter().map(object).collect::<Result<_>>()?;
        let druid = Druid::new(&config.druid)?;
        let mut works = Vec::new();
        for object in objects {
            works.push(look(config, &druid, object).await?);
        }
        let plan = Plan { steps: works.iter().map(Work::step).collect() };
        Ok(Self { plan, druid, works })
    }

    /// Puts the objects back, and keeps what is there first. `told` hears where that is, and what is waited for.
    pub async fn carry_out(&self, config: &Config, mut told: impl FnMut(String)) -> Result<()> {
        let replaced = self.works.iter().filter_map(Work::replaced).collect();
        if let Some(file) = Backup::keep(&config.name, "druid", replaced)? {
            told(format!("what is replaced is kept: `pipeline restore {}` puts it back", file.display()));
        }
        for work in &self.works {
            match work {
                Work::Supervisor(spec, found) => replace(&self.druid, found, spec, &mut told).await?,
                Work::Rules(datasource, rules, _) => {
                    // Rules that were not ours are not signed as ours.
                    let signed = rules.is_of(&config.name).then_some(config.name.as_str());
                    self.druid.set_rules(signed, datasource, &rules.rules).await?;
                }
            }
        }
        Ok(())
    }
}

/// What is put back, and what is there.
enum Work<'a> {
    Supervisor(&'a Value, Found),
    Rules(&'a str, retention::Found, retention::Found),
}

impl Work<'_> {
    fn step(&self) -> Step {
        let (kind, name, is_there) = match self {
            Self::Supervisor(spec, found) => ("supervisor", spec::id(spec), found.supervisor().is_some()),
            Self::Rules(datasource, _, found) => (retention::KIND, *datasource, !found.rules.is_empty()),
        };
        let action = if is_there { Action::Change(Vec::new()) } else { Action::Create };
        Step { kind, name: one_line(name), action, effect: None }
    }

    fn replaced(&self) -> Option<Value> {
        match self {
            Self::Supervisor(spec, found) => found.supervisor().map(|found| supervisor(spec::id(spec), found)),
            Self::Rules(datasource, _, found) => (!found.rules.is_empty()).then(|| rules(datasource, found)),
        }
    }
}

async fn look<'a>(config: &Config, druid: &Druid, object: Object<'a>) -> Result<Work<'a>> {
    match object {
        Object::Supervisor(spec) => {
            let id = spec::id(spec);
            let found = Found::look(druid, id).await?;
            let owner = found.supervisor().and_then(diff::owner);
            let is_free = found.supervisor().is_none() || owner == Some(&config.name) || owner == diff::owner(spec);
            if is_free { Ok(Work::Supervisor(spec, found)) } else { Err(taken("supervisor", id, owner)) }
        }
        Object::Rules(datasource, rules) => {
            let found = druid.rules(datasource).await?;
            let is_free = found.rules.is_empty() || found.is_of(&config.name) || found.owner == rules.owner;
            if is_free {
                Ok(Work::Rules(datasource, rules, found))
            } else {
                Err(taken("rules", datasource, found.owner.as_deref()))
            }
        }
    }
}

fn taken(kind: &str, name: &str, owner: Option<&str>) -> Error {
    let message = format!("Druid's {kind} of {name}: {} now; nothing was put back", diff::maker(owner));
    Error::new(Kind::Failed, message).hint("remove that first, or take it over with `pipeline druid-ingest --adopt`")
}

enum Object<'a> {
    Supervisor(&'a Value),
    Rules(&'a str, retention::Found),
}

fn object(kept: &Value) -> Result<Object<'_>> {
    if let (Some(id), Some(spec)) = (kept["supervisor"].as_str(), kept.get("spec")) {
        return match hidden(spec, String::new()) {
            Some(setting) => Err(Error::new(
                Kind::Config,
                format!("supervisor {id} cannot be put back: its {setting} was a secret, which a backup does not hold; nothing was changed"),
            )
            .hint("write the secret into a copy of the backup, and restore that; or post the supervisor by hand")),
            None => Ok(Object::Supervisor(spec)),
        };
    }
    if let (Some(datasource), Some(rules)) = (kept["retention"].as_str(), kept["rules"].as_array()) {
        let owner = kept["owner"].as_str().map(str::to_owned);
        return Ok(Object::Rules(datasource, retention::Found { rules: rules.clone(), owner }));
    }
    Err(Error::new(Kind::Config, "the backup holds something that is neither a supervisor nor rules; nothing was changed")
        .hint("was it changed by hand, or made by a newer version?"))
}

/// The first setting whose value was hidden.
fn hidden(value: &Value, path: String) -> Option<String> {
    match value {
        Value::String(text) => text.contains(HIDDEN).then_some(path),
        Value::Array(list) => list.iter().enumerate().find_map(|(at, inner)| hidden(inner, format!("{path}[{at}]"))),
        Value::Object(map) => map.iter().find_map(|(name, inner)| {
            let dot = if path.is_empty() { "" } else { "." };
            hidden(inner, format!("{path}{dot}{name}"))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_is_kept_without_druid_s_copies() {
        let found = json!({"type": "kafka", "spec": {"ioConfig": 1}, "ioConfig": 1, "dataSchema": 2, "tuningConfig": 3, "suspended": false});
        let kept = supervisor("S", &found);
        assert_eq!(kept, json!({"supervisor": "S", "spec": {"type": "kafka", "spec": {"ioConfig": 1}, "suspended": false}}));
    }

    #[tokio::test]
    async fn a_hidden_secret_is_refused_before_anything_is_posted() {
        let kept = vec![
            rules("S", &retention::Found { rules: vec![json!({"type": "dropForever"})], owner: None }),
            supervisor("S", &json!({"spec": {"ioConfig": {"consumerProperties": {"sasl.jaas.config": "canary"}}}})),
        ];
        let backup = Backup::new("p", "druid", "2026-01-01T00:00:00Z".into(), kept);
        let mut config = crate::config::load(None, &[]).unwrap();
        config.druid.url = "http://127.0.0.1:1".into();
        let error = Restoration::plan(&config, &backup).await.err().unwrap();
        assert_eq!(error.kind, Kind::Config, "{error}");
        assert!(error.message.contains("supervisor S") && error.message.contains("ioConfig.consumerProperties.sasl.jaas.config"));
    }
    #[test]
    fn a_hidden_password_of_an_address_is_found() {
        let mut spec = json!({"inputFormat": {"url": "http://me:canary@r:8081"}});
        assert_eq!(hidden(&spec, String::new()), None);
        hide_secrets("", &mut spec);
        assert_eq!(hidden(&spec, String::new()).as_deref(), Some("inputFormat.url"));
    }
}
