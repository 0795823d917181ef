//! Kafka, the registry, Druid and Superset: where they are, and how they are asked.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::super::secret::{self, Secret};

/// `[kafka]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// `host:port`, comma-separated.
    pub bootstrap_servers: String,
    /// librdkafka properties, passed on as they are; `NAME_file` reads the value of NAME from a file.
    #[serde(serialize_with = "properties")]
    pub properties: BTreeMap<String, Property>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self { bootstrap_servers: "127.0.0.1:9092".into(), properties: BTreeMap::new() }
    }
}

/// Of each property what may be seen.
fn properties<S: Serializer>(properties: &BTreeMap<String, Property>, serializer: S) -> Result<S::Ok, S::Error> {
    let seen = |(name, value): (&String, &Property)| (name.clone(), secret::seen(name, value.0.expose()));
    serializer.collect_map(properties.iter().map(seen))
}

/// The value of a librdkafka property: text, however TOML wrote it, and never printed, since it may be a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Property(pub Secret);

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Float(number) => number.to_string(),
            _ => return Err(de::Error::custom("a librdkafka property is a string, a number or a boolean")),
        };
        Ok(Self(Secret::new(text)))
    }
}

impl JsonSchema for Property {
    fn schema_name() -> Cow<'static, str> {
        "Property".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"], "description": "The value of a librdkafka property." })
    }
}

/// How requests to a server are sent; from `--timeout` and `ca_file`.
#[derive(Debug, Clone)]
pub struct Http {
    /// How long one request may take, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Who may have signed the server's https certificate, beside those that the system trusts.
    pub authorities: Vec<reqwest::Certificate>,
}

impl Default for Http {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), authorities: Vec::new() }
    }
}

/// `[registry]`: anything that speaks Confluent's schema registry API; the address may have a path.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// The address, `/subjects` left off.
    pub url: String,
    /// For basic authentication.
    pub username: Option<String>,
    /// For basic authentication.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// A file of certificates (PEM) that its https certificate may be signed by, beside those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How requests are sent.
    #[serde(skip)]
    pub http: Http,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8081".into(),
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            http: Http::default(),
        }
    }
}

/// `[druid]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Druid {
    /// The router's address.
    pub url: String,
    /// For basic authentication.
    pub username: Option<String>,
    /// For basic authentication.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// A file of certificates (PEM) that its https certificate may be signed by, beside those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How requests are sent.
    #[serde(skip)]
    pub http: Http,
    /// Kafka as Druid reaches it; default: as we do.
    pub kafka_bootstrap_servers: Option<String>,
    /// The registry as Druid reaches it; default: as we do.
    pub registry_url: Option<String>,
}

impl Default for Druid {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8888".into(),
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            http: Http::default(),
            kafka_bootstrap_servers: None,
            registry_url: None,
        }
    }
}

/// `[superset]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Superset {
    /// Superset's address.
    pub url: String,
    /// A user of Superset's own database.
    pub username: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// A file of certificates (PEM) that its https certificate may be signed by, beside those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How requests are sent.
    #[serde(skip)]
    pub http: Http,
    /// Druid's router as Superset reaches it; default: as we do.
    pub druid_url: Option<String>,
}

impl Default for Superset {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8088".into(),
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            http: Http::default(),
            druid_url: None,
        }
    }
}
