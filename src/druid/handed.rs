//! What Druid's own clients of Kafka and of the registry are handed, beside the address. Pure.
//!
//! Who may read a supervisor reads all that stands in it. So it never holds a secret, only the name of the variable of Druid's processes
//! that does: Druid's `environment` dynamic config provider puts the value in its place.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::{Config, Handed, PROVIDER};
use crate::error::{Error, Kind, Result};

/// What stands in a supervisor for these properties.
pub fn properties(handed: &BTreeMap<String, Handed>) -> Map<String, Value> {
    let (mut properties, mut variables) = (Map::new(), Map::new());
    for (name, value) in handed {
        match value {
            Handed::Text(text) => properties.insert(name.clone(), json!(text)),
            Handed::Env(from) => variables.insert(name.clone(), json!(from.env)),
        };
    }
    if !variables.is_empty() {
        properties.insert(PROVIDER.into(), json!({ "type": "environment", "variables": variables }));
    }
    properties
}

/// The variables of Druid's processes that are named there.
pub fn variables(properties: &Map<String, Value>) -> Vec<&str> {
    let named = properties.get(PROVIDER).and_then(|provider| provider["variables"].as_object());
    named.into_iter().flatten().filter_map(|(_, name)| name.as_str()).collect()
}

/// What this program needs credentials for, Druid needs them too, or another way.
pub fn check(config: &Config) -> Result<()> {
    let (kafka, druid) = (&config.kafka.properties, &config.druid);
    let protocol = kafka.get("security.protocol").map(|property| property.0.expose());
    let is_open = protocol.is_none_or(|protocol| protocol.eq_ignore_ascii_case("plaintext"));
    if config.registry.http.credentials.is_some() && druid.registry_url.is_none() && druid.registry_properties.is_empty() {
        return Err(unsaid("the schema registry", "registry_properties", REGISTRY, "registry_url"));
    }
    if !is_open && druid.kafka_bootstrap_servers.is_none() && druid.kafka_properties.is_empty() {
        return Err(unsaid("Kafka", "kafka_properties", KAFKA, "kafka_bootstrap_servers"));
    }
    Ok(())
}

const REGISTRY: &str =
    "\"basic.auth.credentials.source\" = \"USER_INFO\", \"basic.auth.user.info\" = { env = \"REGISTRY_USER_INFO\" }";
const KAFKA: &str =
    "\"security.protocol\" = \"SASL_SSL\", \"sasl.mechanism\" = \"...\", \"sasl.jaas.config\" = { env = \"KAFKA_JAAS\" }";

fn unsaid(what: &str, key: &str, example: &str, address: &str) -> Error {
    Error::new(Kind::Config, format!("{what} needs credentials, and the pipeline file does not say where Druid finds them")).hint(format!(
        "write [druid.{key}] with the properties of Druid's client, a secret as a variable of Druid's processes: {example}. Or, if there is \
         a way that needs none, [druid] {address}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FromEnv;

    #[test]
    fn a_secret_is_named_by_its_variable() {
        let env = |name: &str| Handed::Env(FromEnv { env: name.into() });
        let handed = BTreeMap::from([
            ("sasl.jaas.config".to_owned(), env("JAAS")),
            ("ssl.key.password".to_owned(), env("KEY")),
            ("sasl.mechanism".to_owned(), Handed::Text("PLAIN".into())),
        ]);
        let expected = json!({
            "sasl.mechanism": "PLAIN",
            PROVIDER: {"type": "environment", "variables": {"sasl.jaas.config": "JAAS", "ssl.key.password": "KEY"}},
        });
        assert_eq!(variables(&properties(&handed)), ["JAAS", "KEY"]);
        assert_eq!(Value::from(properties(&handed)), expected);
        assert!(properties(&BTreeMap::new()).is_empty());
    }
}
