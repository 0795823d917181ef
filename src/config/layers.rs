//! Where each value comes from: flags win over the environment, which wins over the file, which wins over the defaults.
//!
//! Flags and environment reach the connection tables only. They are laid over the file's tables as text before serde
//! reads them, so a key is known, or unknown, by one rule wherever it was written.

use std::path::Path;

use super::secret::{Secret, is_secret};
use super::types::Config;
use crate::error::{Error, Kind, Result};

/// The tables that flags and environment can reach.
const SECTIONS: [&str; 5] = ["kafka", "registry", "druid", "superset", "flink"];

/// The keys of these tables that are tables themselves, of properties with dotted names.
const PROPERTIES: [&str; 3] = ["properties", "kafka_properties", "registry_properties"];

/// The keys of a token.
const TOKEN: [&str; 2] = ["token", "token_file"];

/// Environment variables that begin like ours but are read elsewhere.
const NOT_KEYS: [&str; 3] = ["PIPELINE_CONFIG", "PIPELINE_LOG", "PIPELINE_LOG_FORMAT"];

/// One value given from outside the file.
#[derive(Debug, Clone)]
pub struct Override {
    /// How the user gave it, for error messages.
    pub origin: String,
    /// `table.key`
    pub path: String,
    /// Its text, which may be a password.
    pub value: Secret,
}

impl Override {
    /// From `--set table.key=value`.
    pub fn from_flag(text: &str) -> Result<Self> {
        let (path, value) = text.split_once('=').ok_or_else(|| {
            Error::new(Kind::Usage, format!("--set {text}: a value is missing")).hint("write --set table.key=value")
        })?;
        refuse_secret("--set", path, path)?;
        Ok(Self { origin: format!("--set {path}"), path: path.into(), value: Secret::new(value) })
    }

    /// From `-X key=value`, a librdkafka property.
    pub fn from_property(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Error::new(Kind::Usage, format!("-X {text}: a value is missing"))
                .hint("write -X property=value, for example -X debug=broker")
        })?;
        refuse_secret("-X", key, &format!("kafka.properties.{key}"))?;
        Ok(Self { origin: format!("-X {key}"), path: format!("kafka.properties.{key}"), value: Secret::new(value) })
    }

    /// From an environment variable; `None` if it is not one of ours.
    pub fn from_env(name: &str, value: &str) -> Option<Self> {
        let rest = name.strip_prefix("PIPELINE_")?;
        if NOT_KEYS.contains(&name) {
            return None;
        }
        let lower = rest.to_lowercase();
        let path = match lower.split_once('_') {
            Some((table, key)) => {
                let property = |name: &'static str| Some((name, key.strip_prefix(name)?.strip_prefix('_')?));
                match PROPERTIES.into_iter().find_map(property) {
                    Some((name, property)) => format!("{table}.{name}.{}", property.replace('_', ".")),
                    None => format!("{table}.{key}"),
                }
            }
            None => lower,
        };
        Some(Self { origin: format!("environment variable {name}"), path, value: Secret::new(value) })
    }

    /// Whether it is of the command line, which wins over the environment.
    fn is_flag(&self) -> bool {
        self.origin.starts_with('-')
    }
}

/// A command line is there for every user of the machine to read.
fn refuse_secret(flag: &str, key: &str, path: &str) -> Result<()> {
    if !is_secret(key) {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, format!("{flag} {key}=...: every user of this machine can read a command line")).hint(
        match env_name(path) {
            Some(variable) => format!("set {variable} instead, or {flag} {key}_file=PATH"),
            None => format!("name a file that holds it: {flag} {key}_file=PATH"),
        },
    ))
}

/// The environment variable that sets a key of a connection table (`druid.password`); `None`: no shell can set one of that name.
pub fn env_name(path: &str) -> Option<String> {
    (!path.contains('-')).then(|| format!("PIPELINE_{}", path.replace('.', "_").to_uppercase()))
}

/// Reads the file's text and lays the overrides over it, in order: the last one wins.
pub fn merge(file: &Path, text: &str, overrides: &[Override]) -> Result<Config> {
    let config: Config = toml::from_str(text).map_err(|error| in_file(file, text, &error))?;
    if overrides.is_empty() {
        return Ok(config);
    }
    lay_all(config, toml::from_str(text).map_err(|error| in_file(file, text, &error))?, overrides)
}

/// The same of the connection tables alone: the rest of the file is left out, whatever it holds.
pub fn merge_connections(file: &Path, text: &str, overrides: &[Override]) -> Result<Config> {
    let whole: toml::Table = toml::from_str(text).map_err(|error| in_file(file, text, &error))?;
    let mut table: toml::Table = whole.into_iter().filter(|(name, _)| SECTIONS.contains(&&**name)).collect();
    table.insert("name".into(), "connections".into());
    let place = file.display().to_string();
    let config = table.clone().try_into().map_err(|error: toml::de::Error| explain(&place, error.message()))?;
    lay_all(config, table, overrides)
}

/// Lays the overrides over a file's table; `config` is what the table says without them.
fn lay_all(config: Config, mut table: toml::Table, overrides: &[Override]) -> Result<Config> {
    let mut merged = Ok(config);
    for one in overrides {
        lay_over(&mut table, one, overrides)?;
        // Read anew after each, so that a wrong key is blamed on the one that brought it.
        merged = table.clone().try_into().map_err(|error: toml::de::Error| explain(&one.origin, error.message()));
        if merged.is_err() {
            break;
        }
    }
    merged
}

fn lay_over(table: &mut toml::Table, one: &Override, all: &[Override]) -> Result<()> {
    let unknown = |name: &str| {
        Error::new(Kind::Config, format!("{}: there is no table `{name}` to set from outside the pipeline file", one.origin))
            .hint(suggest(name, &SECTIONS).unwrap_or_else(|| format!("the tables are {}", SECTIONS.join(", "))))
    };
    let (section, key) = one.path.split_once('.').ok_or_else(|| unknown(&one.path))?;
    if !SECTIONS.contains(&section) {
        return Err(unknown(section));
    }
    let mut at = subtable(table, section, one)?;
    let mut key = key;
    let mut is_librdkafkas = false;
    if let Some((name, property)) = key.split_once('.').filter(|(name, _)| PROPERTIES.contains(name)) {
        at = subtable(at, name, one)?;
        is_librdkafkas = section == "kafka";
        key = property;
    } else if ousts_token(section, key, one, all) {
        TOKEN.iter().for_each(|key| drop(at.remove(*key)));
    }
    // `password` replaces `password_file`, and the other way round: else the file's would be beside what is given.
    at.remove(&key.strip_suffix("_file").map_or_else(|| format!("{key}_file"), str::to_owned));
    let value = one.value.expose();
    let is_file = key.ends_with("_file") || is_librdkafkas && is_path(key, value);
    at.insert(key.into(), toml::Value::String(if is_file { absolute(value) } else { value.into() }));
    Ok(())
}

/// Whether what is given is a password in whose place a token would be used that counts for less, as the file's does.
///
/// The other way round nothing is in the way: a token is used whatever else there is, and Superset asks Druid by a password.
fn ousts_token(section: &str, key: &str, one: &Override, all: &[Override]) -> bool {
    let is_token = |other: &&Override| other.path.split_once('.').is_some_and(|(of, key)| of == section && TOKEN.contains(&key));
    let beside = |other: &&Override| other.is_flag() == one.is_flag() && !other.value.expose().is_empty();
    ["password", "password_file"].contains(&key)
        && !one.value.expose().is_empty()
        && !all.iter().filter(is_token).any(|other| beside(&other))
}

fn subtable<'a>(table: &'a mut toml::Table, name: &str, one: &Override) -> Result<&'a mut toml::Table> {
    table
        .entry(name)
        .or_insert_with(|| toml::Value::Table(toml::Table::new()))
        .as_table_mut()
        .ok_or_else(|| Error::new(Kind::Config, format!("{}: `{name}` in the pipeline file is not a table", one.origin)))
}

/// Whether librdkafka takes this value for a path; "probe" tells it to look for the system's authorities.
pub fn is_path(property: &str, value: &str) -> bool {
    property.starts_with("ssl.") && property.ends_with(".location") && value != "probe"
}

/// Paths given from outside the file are relative to where the user stands, not to the file.
fn absolute(value: &str) -> String {
    std::path::absolute(value).map_or_else(|_| value.into(), |path| path.display().to_string())
}

fn in_file(file: &Path, text: &str, error: &toml::de::Error) -> Error {
    let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    match line {
        Some(line) => explain(&format!("{}, line {line}", file.display()), error.message()),
        None => explain(&file.display().to_string(), error.message()),
    }
}

/// Serde says "unknown field `x`, expected one of `a`, `b`": we add the nearest known name.
fn explain(place: &str, message: &str) -> Error {
    let error = Error::new(Kind::Config, format!("{place}: {message}"));
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown ");
    match (unknown, names.next()) {
        (true, Some(name)) => {
            let known: Vec<&str> = names.collect();
            match suggest(name, &known) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        }
        _ => error,
    }
}

/// "did you mean `x`?", if one of the known names is near.
pub fn suggest(name: &str, known: &[&str]) -> Option<String> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "name = \"x\"\n[kafka]\nbootstrap_servers = \"file:1\"\n";

    fn merge_with(overrides: &[Override]) -> Result<Config> {
        merge(Path::new("p.toml"), FILE, overrides)
    }

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let env = Override::from_env("PIPELINE_KAFKA_BOOTSTRAP_SERVERS", "env:1").unwrap();
        let flag = Override::from_flag("kafka.bootstrap_servers=flag:1").unwrap();
        assert_eq!(merge_with(&[]).unwrap().kafka.bootstrap_servers, "file:1");
        assert_eq!(merge_with(std::slice::from_ref(&env)).unwrap().kafka.bootstrap_servers, "env:1");
        let config = merge_with(&[env, flag]).unwrap();
        assert_eq!(config.kafka.bootstrap_servers, "flag:1");
        assert_eq!(config.druid.url, "http://127.0.0.1:8888");
    }

    #[test]
    fn connections_are_read_from_a_file_that_is_wrong_elsewhere() {
        let text = format!("{FILE}[[source]]\ntopics = 1\n");
        assert!(merge(Path::new("p.toml"), &text, &[]).is_err());
        let env = Override::from_env("PIPELINE_REGISTRY_URL", "http://env").unwrap();
        let config = merge_connections(Path::new("p.toml"), &text, &[env]).unwrap();
        assert_eq!((config.kafka.bootstrap_servers.as_str(), config.registry.url.as_str()), ("file:1", "http://env"));
        assert!(merge_connections(Path::new("p.toml"), "[kafka]\nserver = 1\n", &[]).is_err());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_the_nearest_known_one() {
        let error = merge(Path::new("p.toml"), "name = \"x\"\n[kafka]\nbootstrap_server = \"a\"\n", &[]).unwrap_err();
        assert_eq!(error.kind, Kind::Config);
        assert!(error.message.contains("p.toml, line 3") && error.message.contains("`bootstrap_server`"), "{error}");
        assert_eq!(error.hint.as_deref(), Some("did you mean `bootstrap_servers`?"));
    }

    #[test]
    fn an_unknown_environment_variable_is_named() {
        let wrong_key = Override::from_env("PIPELINE_DRUID_PASWORD", "x").unwrap();
        let error = merge_with(&[wrong_key]).unwrap_err();
        assert!(error.message.contains("PIPELINE_DRUID_PASWORD"), "{error}");
        assert_eq!(error.hint.as_deref(), Some("did you mean `password`?"));
        let wrong_table = Override::from_env("PIPELINE_KAFKKA_URL", "x").unwrap();
        assert_eq!(merge_with(&[wrong_table]).unwrap_err().hint.as_deref(), Some("did you mean `kafka`?"));
    }

    #[test]
    fn librdkafka_properties_come_from_the_environment_too() {
        let one = Override::from_env("PIPELINE_KAFKA_PROPERTIES_SASL_PASSWORD", "s3cret").unwrap();
        let config = merge_with(&[one]).unwrap();
        assert_eq!(config.kafka.properties["sasl.password"].0.expose(), "s3cret");
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn a_password_on_the_command_line_is_refused() {
        let error = Override::from_flag("druid.password=x").unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.hint.unwrap().contains("PIPELINE_DRUID_PASSWORD"));
        let error = Override::from_property("sasl.password=x").unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.hint.unwrap().contains("PIPELINE_KAFKA_PROPERTIES_SASL_PASSWORD"));
        assert!(Override::from_property("sasl.password_file=x").is_ok());
        let error = Override::from_flag("flink.registry_properties.basic-auth.user-info=x").unwrap_err();
        assert!(
            !error.hint.as_ref().unwrap().contains("PIPELINE_") && error.hint.unwrap().contains("basic-auth.user-info_file=PATH")
        );
        assert!(Override::from_flag("kafka.properties.sasl.oauthbearer.client.secret=x").is_err());
        assert!(Override::from_property("ssl.key.pem=x").is_err());
        assert!(Override::from_property("sasl.oauthbearer.assertion.private.key.passphrase=x").is_err());
        assert!(Override::from_property("sasl.oauthbearer.token.endpoint.url=https://x").is_ok());
        assert!(Override::from_property("sasl.oauthbearer.assertion.private.key.file=x").is_ok());
    }

    #[test]
    fn what_is_given_from_outside_replaces_either_form_in_the_file() {
        let file = "name = \"x\"\n[druid]\npassword = \"file\"\n[kafka.properties]\n\"sasl.password_file\" = \"no/such\"\n";
        let given = |name, value| Override::from_env(name, value).unwrap();
        let overrides =
            [given("PIPELINE_KAFKA_PROPERTIES_SASL_PASSWORD", "env"), given("PIPELINE_DRUID_PASSWORD_FILE", "/dev/null")];
        let config = merge(Path::new("p.toml"), file, &overrides).unwrap();
        let properties: Vec<&str> = config.kafka.properties.keys().map(String::as_str).collect();
        assert_eq!((properties, config.druid.password), (vec!["sasl.password"], None));
        let flag = Override::from_property("sasl.password_file=flag").unwrap();
        let config = merge(Path::new("p.toml"), file, &[overrides[0].clone(), flag]).unwrap();
        assert_eq!(config.kafka.properties.keys().collect::<Vec<_>>(), ["sasl.password_file"]);
    }

    #[test]
    fn a_password_from_outside_wins_over_a_token_that_counts_for_less() {
        let has_token = |file: &str, overrides: &[Override]| {
            let text = format!("name = \"x\"\n[druid]\n{file}\n");
            let druid = merge(Path::new("p.toml"), &text, overrides).unwrap().druid;
            druid.token.is_some() || druid.token_file.is_some()
        };
        let given = |name, value| Override::from_env(name, value).unwrap();
        let password = || given("PIPELINE_DRUID_PASSWORD", "env");
        let password_file = || Override::from_flag("druid.password_file=flag").unwrap();
        let token = || given("PIPELINE_DRUID_TOKEN", "env");
        for file in ["token = \"file\"", "token_file = \"file\""] {
            assert!(!has_token(file, &[password()]));
            assert!(!has_token(file, &[password_file()]));
            assert!(has_token(file, &[given("PIPELINE_DRUID_PASSWORD", "")]), "none is given");
            assert!(has_token(file, &[given("PIPELINE_REGISTRY_PASSWORD", "env")]), "another server's");
        }
        for both in [[password(), token()], [token(), password()]] {
            assert!(has_token("", &both), "given in the same way");
        }
        assert!(!has_token("", &[token(), password_file()]), "a flag wins over the environment");
        assert!(has_token("password = \"file\"", &[token()]));
    }

    #[test]
    fn only_librdkafkas_paths_are_relative_to_where_the_user_stands() {
        let overrides = ["kafka.properties", "flink.kafka_properties", "druid.kafka_properties"]
            .map(|table| Override::from_flag(&format!("{table}.ssl.truststore.location=a/b")).unwrap());
        let config = merge_with(&overrides).unwrap();
        let here = std::path::absolute("a/b").unwrap();
        assert_eq!(config.kafka.properties["ssl.truststore.location"].0.expose(), here.to_str().unwrap());
        assert_eq!(config.flink.kafka_properties["ssl.truststore.location"].0.expose(), "a/b");
        assert_eq!(config.druid.kafka_properties["ssl.truststore.location"], crate::config::Handed::Text("a/b".into()));
    }
}
