//! A value that must not be seen, and what may be seen of a setting that could hold one. Pure.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "***";

/// What the names of secrets have in them: those of this program's keys, of librdkafka's and Kafka's properties, of HTTP's headers and
/// of Druid's settings. Case, dots, dashes and underscores do not count.
const SECRET: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "credential",
    "token",
    "jaas",
    "authorization",
    "cookie",
    "userinfo",
    "apikey",
    "keypem",
    "keystorekey",
    "privatekey",
    "oauthbearerconfig",
];
/// How the names end of settings that only say where a secret is, or what it is called.
const NOT_SECRET: [&str; 5] = ["file", "location", "url", "clientid", "source"];

/// Whether a setting's value is a secret, by the setting's name.
pub fn is_secret(setting: &str) -> bool {
    let name: String = setting.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    SECRET.iter().any(|word| name.contains(word)) && !NOT_SECRET.iter().any(|end| name.ends_with(end))
}

/// What may be seen of a setting's value: nothing of a secret, and of an address all but its password.
pub fn seen(setting: &str, value: &str) -> String {
    if is_secret(setting) && !value.is_empty() { HIDDEN.into() } else { without_passwords(value) }
}

/// Leaves of a setting's value what may be seen. What stands in an object is judged by its own name there: Druid takes a password as
/// `{"type": "default", "password": "..."}` too. The names of environment variables are no secrets: those of
/// `{"type": "environment", "variables": {"sasl.jaas.config": "KAFKA_JAAS"}}` stay.
pub fn hide_secrets(setting: &str, value: &mut Value) {
    match value {
        Value::String(text) => *text = seen(setting, text),
        Value::Number(_) if is_secret(setting) => *value = HIDDEN.into(),
        Value::Array(list) => list.iter_mut().for_each(|inner| hide_secrets(setting, inner)),
        Value::Object(map) => {
            let is_environment = map.get("type").is_some_and(|kind| kind == "environment");
            let names_variables = |name: &str| is_environment && matches!(name, "variable" | "variables");
            map.iter_mut().filter(|(name, _)| !names_variables(name)).for_each(|(name, inner)| hide_secrets(name, inner));
        }
        _ => {}
    }
}

/// A text whose addresses have no passwords: `http://me:***@host`. A name without a password may be a token, and is hidden too.
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut seen = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| matches!(c, '/' | '?' | '#' | '"') || c.is_whitespace()).unwrap_or(part.len());
        seen.push_str("://");
        match part[..end].rfind('@') {
            Some(at) => {
                let user = part[..at].split_once(':').map_or(String::new(), |(user, _)| format!("{user}:"));
                seen.extend([&user, HIDDEN, &part[at..]]);
            }
            None => seen.push_str(part),
        }
    }
    seen
}

/// A password or key. It prints as `***`; only [`Secret::expose`] gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl<'de> Deserialize<'de> for Secret {
    // Not derived: serde's message for a wrong type quotes the value.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            _ => Err(de::Error::custom("a secret is a string: put it in quotes")),
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A password; better given by the environment, or from a file." })
    }
}

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself: for the one place that sends it to its server.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_hidden_by_their_names() {
        for hidden in [
            "sasl.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "ssl.keystore.key",
            "sasl.JAAS.config",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
            "schema.registry.basic.auth.user.info",
            "ioConfig.inputFormat.avroBytesDecoder.headers.Authorization",
            "Proxy-Authorization",
            "X-API-Key",
            "secretKey",
        ] {
            assert!(is_secret(hidden), "{hidden}");
        }
        for shown in [
            "security.protocol",
            "ssl.key.location",
            "ssl.ca.pem",
            "ssl.certificate.pem",
            "sasl.username",
            "sasl.password_file",
            "sasl.oauthbearer.token.endpoint.url",
            "sasl.oauthbearer.client.credentials.client.id",
            "sasl.oauthbearer.assertion.private.key.file",
            "basic.auth.credentials.source",
            "ioConfig.taskCount",
        ] {
            assert!(!is_secret(shown), "{shown}");
        }
    }

    #[test]
    fn addresses_are_seen_without_passwords() {
        for (text, seen) in [
            ("http://registry:8081/a@b", "http://registry:8081/a@b"),
            ("http://me:pw@registry:8081/x", "http://me:***@registry:8081/x"),
            ("https://token@registry", "https://***@registry"),
            ("http://a:p@:,w@x:1,http://b:q@y", "http://a:***@x:1,http://b:***@y"),
            ("at http://a:p'w@x or \"http://b:q@y\"", "at http://a:***@x or \"http://b:***@y\""),
            ("http://me:***@registry", "http://me:***@registry"),
            ("me@home", "me@home"),
        ] {
            assert_eq!(super::seen("url", text), seen);
        }
    }

    #[test]
    fn secrets_are_hidden_wherever_they_are() {
        let mut spec = json!({
            "avroBytesDecoder": {
                "urls": ["http://me:canary@r:8081/x"],
                "headers": {"Authorization": "Basic canary", "Accept": "x"}
            },
            "consumerProperties": {
                "bootstrap.servers": "k:9092",
                "sasl.jaas.config": ["canary"],
                "sasl.password": 81,
                "ssl.key.password": {"type": "default", "password": "canary"},
                "ssl.truststore.password": "",
                "druid.dynamic.config.provider": {"type": "environment", "variables": {"sasl.jaas.config": "KAFKA_JAAS"}}
            },
            "list": [{"secretKey": "canary"}, {"type": "mapString", "config": {"sasl.jaas.config": "canary"}}, {"type": "environment", "password": "canary"}]
        });
        hide_secrets("", &mut spec);
        assert_eq!(
            spec,
            json!({
                "avroBytesDecoder": {
                    "urls": ["http://me:***@r:8081/x"],
                    "headers": {"Authorization": HIDDEN, "Accept": "x"}
                },
                "consumerProperties": {
                    "bootstrap.servers": "k:9092",
                    "sasl.jaas.config": [HIDDEN],
                    "sasl.password": HIDDEN,
                    "ssl.key.password": {"type": "default", "password": HIDDEN},
                    "ssl.truststore.password": "",
                    "druid.dynamic.config.provider": {"type": "environment", "variables": {"sasl.jaas.config": "KAFKA_JAAS"}}
                },
                "list": [{"secretKey": HIDDEN}, {"type": "mapString", "config": {"sasl.jaas.config": HIDDEN}}, {"type": "environment", "password": HIDDEN}]
            })
        );
    }

    #[test]
    fn a_secret_is_never_written_out() {
        assert_eq!(serde_json::to_string(&Secret::new("canary")).unwrap(), "\"***\"");
    }
}
