//! A value that must not be seen.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What stands in the place of a secret.
pub(super) const HIDDEN: &str = "***";

/// Parts of librdkafka's property names whose values nobody else should see. A path to a secret is none.
const SECRET_WORDS: [&str; 7] = ["password", "secret", "jaas", "key", "token", "pem", "oauthbearer.config"];

/// Whether a librdkafka property's value is to be hidden, by its name.
pub fn is_secret(property: &str) -> bool {
    let property = property.to_lowercase();
    let path = property.ends_with(".location") || property.ends_with("_file");
    !path && SECRET_WORDS.iter().any(|word| property.contains(word))
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
    use super::*;

    #[test]
    fn properties_are_hidden_by_their_names() {
        for hidden in
            ["sasl.password", "ssl.key.pem", "sasl.oauthbearer.client.secret", "sasl.JAAS.config", "ssl.keystore.password"]
        {
            assert!(is_secret(hidden), "{hidden}");
        }
        for shown in ["security.protocol", "ssl.key.location", "ssl.ca.location", "sasl.username", "socket.timeout.ms"] {
            assert!(!is_secret(shown), "{shown}");
        }
    }

    #[test]
    fn a_secret_is_never_written_out() {
        assert_eq!(serde_json::to_string(&Secret::new("canary")).unwrap(), "\"***\"");
    }
}
