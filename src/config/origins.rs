//! Where each setting's value comes from, found by looking at the layers again. Pure.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::{Serialize, Serializer};
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::{Config, Override};
use crate::error::{Error, Kind, Result};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave it: the program's own.
    Default,
    /// The pipeline file, in this line.
    File {
        /// Its path, or what the built-in one is called.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// A flag or an environment variable, as messages name it.
    Given(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}, line {line}"),
            Self::Given(how) => f.write_str(how),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A setting in effect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Its path: `druid.url`, `source[0].topic`.
    pub path: String,
    /// Its value; a secret is `***`; null: not set.
    pub value: Value,
    /// Where the value comes from.
    pub origin: Origin,
}

/// Every setting of a config that was read from this text and these overrides.
pub(super) fn settings(config: &Config, file: &Path, text: &str, overrides: &[Override]) -> Result<Vec<Setting>> {
    let failed = |error: &dyn fmt::Display| Error::new(Kind::Failed, format!("cannot list the settings: {error}"));
    let whole = serde_json::to_value(config).map_err(|error| failed(&error))?;
    let table = DeTable::parse(text).map_err(|error| failed(&error))?;
    let mut lines = Lines { text, found: HashMap::new() };
    lines.table("", table.get_ref());
    let mut settings = Vec::new();
    for (name, value) in sections(&whole) {
        flatten(name, value, &mut settings);
    }
    for setting in &mut settings {
        setting.origin = origin(setting, file, &lines.found, overrides);
    }
    Ok(settings)
}

/// The tables, in the order in which a pipeline file has them.
fn sections(whole: &Value) -> Vec<(&str, &Value)> {
    const ORDER: [&str; 11] =
        ["name", "kafka", "registry", "druid", "superset", "flink", "source", "aggregate", "datasource", "chart", "dashboard"];
    let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    let mut sections: Vec<_> = whole.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect();
    sections.sort_by_key(|(name, _)| place(name));
    sections
}

/// A list of plain values, or something empty, is one setting; everything else is as many as it has parts.
fn flatten(path: &str, value: &Value, settings: &mut Vec<Setting>) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            object.iter().for_each(|(key, value)| flatten(&joined(path, key), value, settings));
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.iter().enumerate().for_each(|(at, item)| flatten(&format!("{path}[{at}]"), item, settings));
        }
        _ => settings.push(Setting { path: path.to_owned(), value: value.clone(), origin: Origin::Default }),
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn origin(setting: &Setting, file: &Path, lines: &HashMap<String, usize>, overrides: &[Override]) -> Origin {
    if setting.value.is_null() {
        return Origin::Default;
    }
    // A secret may have been read from a file that `..._file` names.
    let names = [setting.path.clone(), format!("{}_file", setting.path)];
    let given = overrides.iter().rev().find(|one| names.contains(&one.path));
    let line = names.iter().find_map(|name| lines.get(name));
    match (given, line) {
        (Some(one), _) => Origin::Given(one.origin.clone()),
        (None, Some(line)) => Origin::File { file: file.display().to_string(), line: *line },
        (None, None) => Origin::Default,
    }
}

/// The line of each key and each item of a file.
struct Lines<'a> {
    text: &'a str,
    found: HashMap<String, usize>,
}

impl Lines<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = joined(path, key.get_ref());
            self.value(&path, key.span().start, value.get_ref());
        }
    }

    fn value(&mut self, path: &str, begin: usize, value: &DeValue<'_>) {
        self.found.insert(path.to_owned(), 1 + self.text[..begin.min(self.text.len())].matches('\n').count());
        match value {
            DeValue::Table(table) => self.table(path, table),
            DeValue::Array(items) => items.iter().enumerate().for_each(|(at, item)| {
                self.value(&format!("{path}[{at}]"), item.span().start, item.get_ref());
            }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers;
    use super::*;

    const FILE: &str = "name = \"x\"\n[druid]\nurl = \"http://a\"\npassword = \"canary\"\n[kafka.properties]\n\"sasl.password\" = \"canary\"\n\
        \"debug\" = \"broker\"\n\"sasl.oauthbearer.token.endpoint.url\" = \"https://me:canary@idp/t\"\n[[datasource]]\nname = \"D\"\ntopic = \"T\"\ntime = \"t\"\n";

    fn told(overrides: &[Override]) -> Vec<String> {
        let config = layers::merge(Path::new("p.toml"), FILE, overrides).unwrap();
        let settings = settings(&config, Path::new("p.toml"), FILE, overrides).unwrap();
        settings.iter().map(|one| format!("{} = {} ({})", one.path, one.value, one.origin)).collect()
    }

    #[test]
    fn each_value_has_its_origin_and_no_secret_is_told() {
        let env = Override::from_env("PIPELINE_REGISTRY_URL", "http://env").unwrap();
        let flag = Override::from_flag("kafka.bootstrap_servers=flag:1").unwrap();
        let password = Override::from_env("PIPELINE_SUPERSET_PASSWORD", "canary").unwrap();
        let told = told(&[env, flag, password]);
        for line in [
            "name = \"x\" (p.toml, line 1)",
            "kafka.bootstrap_servers = \"flag:1\" (--set kafka.bootstrap_servers)",
            "kafka.properties.debug = \"broker\" (p.toml, line 7)",
            "kafka.properties.sasl.password = \"***\" (p.toml, line 6)",
            "kafka.properties.sasl.oauthbearer.token.endpoint.url = \"https://me:***@idp/t\" (p.toml, line 8)",
            "registry.url = \"http://env\" (environment variable PIPELINE_REGISTRY_URL)",
            "registry.username = null (default)",
            "druid.password = \"***\" (p.toml, line 4)",
            "superset.password = \"***\" (environment variable PIPELINE_SUPERSET_PASSWORD)",
            "datasource[0].name = \"D\" (p.toml, line 10)",
            "datasource[0].task_count = 1 (default)",
            "datasource[0].task_duration = \"10m\" (default)",
        ] {
            assert!(told.iter().any(|one| one == line), "{line} is missing in\n{}", told.join("\n"));
        }
        assert!(!told.join("").contains("canary"));
    }
}
