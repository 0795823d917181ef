//! Kafka, the registry, Druid, Superset and Flink: where they are, and how they are asked.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::super::secret::{self, Secret};
use super::super::units::Millis;

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

/// How requests to a server are sent; from `--timeout`, `ca_file`, and what the server's table says of credentials.
#[derive(Debug, Clone)]
pub struct Http {
    /// How long one request may take, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Who may have signed the server's https certificate, beside those that the system trusts.
    pub authorities: Vec<reqwest::Certificate>,
    /// What the server is told of who asks; none: nothing.
    pub credentials: Option<Credentials>,
}

impl Default for Http {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), authorities: Vec::new(), credentials: None }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Basic authentication (RFC 7617): a user's name and password.
    Basic(String, Option<Secret>),
    /// A bearer token (RFC 6750).
    Bearer(Secret),
}

/// The property by which Druid takes further ones from elsewhere.
pub const PROVIDER: &str = "druid.dynamic.config.provider";

/// The value of a property of somebody else's client: the text itself, or where that process finds it, so that no secret has to be
/// handed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "expected a string, or { env = \"VARIABLE\" }")]
pub enum Handed {
    /// The text.
    Text(String),
    /// An environment variable of that process.
    Env(FromEnv),
}

/// `{ env = "VARIABLE" }`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromEnv {
    /// The variable's name.
    pub env: String,
}

/// `[registry]`: anything that speaks Confluent's schema registry API; the address may have a path.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// The address, `/subjects` left off.
    pub url: String,
    /// For basic authentication.
    pub username: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// A bearer token, in place of user name and password.
    pub token: Option<Secret>,
    /// A file whose first line is the token.
    pub token_file: Option<PathBuf>,
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
            token: None,
            token_file: None,
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
    /// That user's password.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// A bearer token, in place of user name and password.
    pub token: Option<Secret>,
    /// A file whose first line is the token.
    pub token_file: Option<PathBuf>,
    /// A file of certificates (PEM) that its https certificate may be signed by, beside those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How requests are sent.
    #[serde(skip)]
    pub http: Http,
    /// Kafka as Druid reaches it; default: as we do.
    pub kafka_bootstrap_servers: Option<String>,
    /// Further properties of Druid's Kafka consumer, which is Java's. A secret is named by a variable of Druid's processes.
    pub kafka_properties: BTreeMap<String, Handed>,
    /// The registry as Druid reaches it; default: as we do.
    pub registry_url: Option<String>,
    /// Properties of Druid's registry client, which is Confluent's. A secret is named by a variable of Druid's processes.
    pub registry_properties: BTreeMap<String, Handed>,
}

impl Default for Druid {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8888".into(),
            username: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            ca_file: None,
            http: Http::default(),
            kafka_bootstrap_servers: None,
            kafka_properties: BTreeMap::new(),
            registry_url: None,
            registry_properties: BTreeMap::new(),
        }
    }
}

/// `[superset]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Superset {
    /// Superset's address.
    pub url: String,
    /// Superset's address as people's browsers reach it; default: as we do.
    pub public_url: Option<String>,
    /// A user of Superset's own database.
    pub username: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// An access token of Superset's, in place of user name and password: where people log in by other ways than its own database.
    pub token: Option<Secret>,
    /// A file whose first line is the token.
    pub token_file: Option<PathBuf>,
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
            public_url: None,
            username: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            ca_file: None,
            http: Http::default(),
            druid_url: None,
        }
    }
}

/// `[flink]`: a Flink cluster, for `aggregate --engine flink`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Flink {
    /// The JobManager's REST address, which is that of Flink's own page.
    pub url: String,
    /// The SQL Gateway's address.
    pub gateway_url: String,
    /// For basic authentication, by a proxy before Flink.
    pub username: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// A bearer token, in place of user name and password.
    pub token: Option<Secret>,
    /// A file whose first line is the token.
    pub token_file: Option<PathBuf>,
    /// A file of certificates (PEM) that its https certificate may be signed by, beside those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How requests are sent.
    #[serde(skip)]
    pub http: Http,
    /// Kafka as Flink reaches it; default: as we do.
    pub kafka_bootstrap_servers: Option<String>,
    /// Further properties of Flink's Kafka clients, which are Java's; `NAME_file` reads the value of NAME from a file.
    #[serde(serialize_with = "properties")]
    pub kafka_properties: BTreeMap<String, Property>,
    /// The registry as Flink reaches it; default: as we do.
    pub registry_url: Option<String>,
    /// Further options of Flink's format avro-confluent, without its name in front; `NAME_file` reads the value of NAME from a file.
    #[serde(serialize_with = "properties")]
    pub registry_properties: BTreeMap<String, Property>,
    /// Where savepoints go, as Flink writes it (`file:///...`, `s3://...`); default: what Flink's own configuration says.
    pub savepoints: Option<String>,
    /// How often a job checkpoints: that often its rows can be seen.
    pub checkpoint_interval: Millis,
    /// How many tasks of a kind a job has; default: what Flink's own configuration says.
    pub parallelism: Option<u32>,
}

impl Default for Flink {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:18081".into(),
            gateway_url: "http://127.0.0.1:18084".into(),
            username: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            ca_file: None,
            http: Http::default(),
            kafka_bootstrap_servers: None,
            kafka_properties: BTreeMap::new(),
            registry_url: None,
            registry_properties: BTreeMap::new(),
            savepoints: None,
            checkpoint_interval: Millis(10_000),
            parallelism: None,
        }
    }
}
