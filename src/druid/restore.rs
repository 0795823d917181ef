//! What a backup holds of Druid, and putting it back.

use serde_json::{Value, json};

use super::{Druid, post};
use crate::backup::{Backup, HIDDEN};
use crate::config::Config;
use crate::error::{Error, Kind, Result};

/// Copies of a spec's parts that Druid gives back beside it, for the sake of old clients.
const COPIES: [&str; 3] = ["dataSchema", "ioConfig", "tuningConfig"];

/// A supervisor as a backup holds it; secrets are still in it.
pub fn supervisor(id: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(settings) = spec.as_object_mut().filter(|settings| settings.contains_key("spec")) {
        settings.retain(|name, _| !COPIES.contains(&name.as_str()));
    }
    json!({"supervisor": id, "spec": spec})
}

/// Rules of retention as a backup holds them.
pub fn rules(datasource: &str, rules: &[Value]) -> Value {
    json!({"retention": datasource, "rules": rules})
}

/// Puts back the supervisors and rules of a backup. Nothing is posted if something in it cannot be.
pub async fn restore(config: &Config, backup: &Backup) -> Result<()> {
    let objects: Vec<Object<'_>> = backup.objects.iter().map(object).collect::<Result<_>>()?;
    let druid = Druid::new(&config.druid)?;
    for object in objects {
        match object {
            Object::Supervisor(spec) => post(&druid, spec).await?,
            Object::Rules(datasource, rules) => druid.set_rules(&config.name, datasource, rules).await?,
        }
    }
    Ok(())
}

enum Object<'a> {
    Supervisor(&'a Value),
    Rules(&'a str, &'a [Value]),
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
        return Ok(Object::Rules(datasource, rules));
    }
    Err(Error::new(Kind::Config, "the backup holds something that is neither a supervisor nor rules; nothing was changed")
        .hint("was it changed by hand, or made by a newer version?"))
}

/// The first setting whose value was hidden.
fn hidden(value: &Value, path: String) -> Option<String> {
    match value {
        Value::String(text) => (text == HIDDEN).then_some(path),
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
    use crate::backup::hide_secrets;

    #[test]
    fn a_supervisor_is_kept_without_druid_s_copies() {
        let found = json!({"type": "kafka", "spec": {"ioConfig": 1}, "ioConfig": 1, "dataSchema": 2, "tuningConfig": 3, "suspended": false});
        let kept = supervisor("S", &found);
        assert_eq!(kept, json!({"supervisor": "S", "spec": {"type": "kafka", "spec": {"ioConfig": 1}, "suspended": false}}));
    }

    #[tokio::test]
    async fn a_hidden_secret_is_refused_before_anything_is_posted() {
        let mut kept = vec![
            rules("S", &[json!({"type": "dropForever"})]),
            supervisor("S", &json!({"spec": {"ioConfig": {"consumerProperties": {"sasl.jaas.config": "canary"}}}})),
        ];
        kept.iter_mut().for_each(hide_secrets);
        let backup = Backup::new("p", "druid", "2026-01-01T00:00:00Z".into(), kept);
        let mut config = crate::config::load(None, &[]).unwrap();
        config.druid.url = "http://127.0.0.1:1".into();
        let error = restore(&config, &backup).await.unwrap_err();
        assert_eq!(error.kind, Kind::Config, "{error}");
        assert!(error.message.contains("supervisor S") && error.message.contains("ioConfig.consumerProperties.sasl.jaas.config"));
    }
}
