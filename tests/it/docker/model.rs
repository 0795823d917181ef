//! `docker/compose.yaml` as Compose reads it: `tests/compose/resolve` runs Compose's parser.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;

use super::top;

/// What the parser says.
#[derive(Debug, Deserialize)]
pub struct Resolved {
    pub model: Model,
    /// The variables that the file takes, with their defaults.
    pub variables: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, PartialEq)]
pub struct Model {
    pub services: BTreeMap<String, Service>,
    pub volumes: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize, PartialEq)]
pub struct Service {
    pub image: String,
    pub build: Option<Build>,
    pub command: Option<Vec<String>>,
    #[serde(default)]
    pub environment: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub depends_on: BTreeMap<String, Need>,
    pub healthcheck: Option<Health>,
    pub mem_limit: Option<String>,
    #[serde(default)]
    pub ports: Vec<Port>,
    #[serde(default)]
    pub volumes: Vec<Mount>,
    #[serde(default)]
    pub cap_drop: Vec<String>,
    #[serde(default)]
    pub security_opt: Vec<String>,
    #[serde(default)]
    pub privileged: bool,
    pub restart: Option<String>,
    pub stop_grace_period: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
pub struct Build {
    pub context: String,
    pub dockerfile: String,
}

#[derive(Debug, Deserialize, PartialEq)]
pub struct Need {
    pub condition: String,
}

#[derive(Debug, Deserialize, PartialEq)]
pub struct Health {
    #[serde(default)]
    pub test: Vec<String>,
    #[serde(default)]
    pub disable: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
pub struct Port {
    pub host_ip: Option<String>,
    pub target: u16,
    pub published: String,
}

#[derive(Debug, Deserialize, PartialEq)]
pub struct Mount {
    #[serde(rename = "type")]
    pub kind: String,
    pub source: Option<String>,
    pub target: String,
}

/// The compose file with these profiles; `env` names a file of variables, and without it there are none.
#[track_caller]
pub fn resolve(env: Option<&str>, profiles: &[&str]) -> Resolved {
    let mut command = Command::new("tests/compose/resolve");
    command.current_dir(top()).args(env.map(|file| ["-env", file]).into_iter().flatten());
    let done = command.arg("docker/compose.yaml").args(profiles).output().expect("tests/compose/resolve runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("what tests/compose/main.go writes")
}

/// Everything that there is, and the variables.
#[track_caller]
pub fn all() -> Resolved {
    resolve(None, &["ui", "flink"])
}

impl Service {
    /// Whether it ends by itself when its work is done.
    pub fn is_one_shot(&self) -> bool {
        self.restart.as_deref() == Some("no")
    }

    /// Its health check as a text; empty: it has none.
    pub fn health(&self) -> String {
        self.healthcheck.as_ref().filter(|health| !health.disable).map(|health| health.test.join(" ")).unwrap_or_default()
    }

    /// Whether its health check asks a server at this port.
    pub fn is_asked_at(&self, port: u16) -> bool {
        let health = self.health();
        let mut numbers = health.split(|c: char| !c.is_ascii_digit());
        numbers.any(|number| number == port.to_string())
    }

    /// How much memory it may take, in MiB.
    pub fn limit(&self) -> Option<u64> {
        self.mem_limit.as_ref().map(|bytes| bytes.parse::<u64>().expect("bytes") >> 20)
    }

    /// A variable of its environment.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name)?.as_deref()
    }
}
