//! What the user wrote -> a whole, checked [`Config`]. Nothing opens a socket before it is.

mod check;
mod layers;
mod origins;
mod schema;
mod secret;
mod types;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use layers::{Override, env_name};
pub use origins::{Origin, Setting};
pub use schema::schema;
pub use secret::{HIDDEN, Secret, hide_secrets, seen};
pub use types::*;
pub use units::{Instant, Millis};

use crate::error::{Error, Kind, Result};

/// Where the pipeline file is looked for when the command line names none.
pub const DEFAULT_FILE: &str = "config/pipeline.toml";

/// The SALES case, for a program that was installed without its `config` folder.
const BUILT_IN: &str = include_str!("../../config/pipeline.toml");
const BUILT_IN_SCHEMA: &str = include_str!("../../config/sales.avsc");

/// Reads, layers and checks the pipeline file.
///
/// `file` is what `--config` named. Without it, `config/pipeline.toml` is read if there is one; else the SALES case that the
/// program carries.
pub fn load(file: Option<&Path>, overrides: &[Override]) -> Result<Config> {
    let found = Found::look(file)?;
    let config = layers::merge(&found.file, &found.text, overrides)?;
    found.complete(config)
}

/// The connection tables of the pipeline file alone, layered as [`load`] does; whatever else the file has is not looked at.
///
/// Every other table of the result is empty.
pub fn connections(file: Option<&Path>, overrides: &[Override]) -> Result<Config> {
    let found = Found::look(file)?;
    let config = layers::merge_connections(&found.file, &found.text, overrides)?;
    found.complete(config)
}

/// Checks the text of a pipeline file that is not written yet, with the text of its only source's schema.
pub fn check_text(file: &Path, text: &str, schema: &str) -> Result<Config> {
    let mut config = layers::merge(file, text, &[])?;
    config.sources.iter_mut().for_each(|source| schema.clone_into(&mut source.schema_text));
    check::check(&config)?;
    Ok(config)
}

/// Every setting in effect and where its value comes from, in the order of the file's tables; secrets are `***`.
pub fn settings(file: Option<&Path>, overrides: &[Override]) -> Result<Vec<Setting>> {
    let config = load(file, overrides)?;
    let found = Found::look(file)?;
    origins::settings(&config, &found.file, &found.text, overrides)
}

/// A pipeline file as it was found.
struct Found {
    /// Its path, or what the built-in one is called.
    file: PathBuf,
    text: String,
    /// What paths in it are relative to; the built-in one has none.
    folder: Option<PathBuf>,
}

impl Found {
    fn look(file: Option<&Path>) -> Result<Self> {
        let file = file.map(Path::to_path_buf).or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|default| default.exists()));
        let Some(file) = file else {
            return Ok(Self { file: "built-in pipeline file".into(), text: BUILT_IN.into(), folder: None });
        };
        let text = read(&file, "the pipeline file")?;
        Ok(Self { text, folder: Some(file.parent().unwrap_or(Path::new("")).to_path_buf()), file })
    }

    /// Reads the files that the pipeline file names, and checks the whole.
    fn complete(&self, mut config: Config) -> Result<Config> {
        let folder = self.folder.as_deref().unwrap_or(Path::new(""));
        resolve_secrets(&mut config, folder)?;
        resolve_authorities(&mut config, folder)?;
        for source in &mut config.sources {
            source.schema_text = match &self.folder {
                Some(folder) => read(&folder.join(&source.schema), &format!("the schema of source `{}`", source.topic))?,
                None => BUILT_IN_SCHEMA.into(),
            };
        }
        check::check(&config)?;
        Ok(config)
    }
}

fn read(file: &Path, what: &str) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| {
        Error::new(Kind::Config, format!("cannot read {what}, {}: {error}", file.display()))
            .hint("name a file with --config FILE; paths inside it are relative to its own folder")
    })
}

fn resolve_secrets(config: &mut Config, folder: &Path) -> Result<()> {
    let Config { registry, druid, superset, flink, .. } = config;
    let secrets = [
        ("registry", "password", &mut registry.password, &registry.password_file),
        ("registry", "token", &mut registry.token, &registry.token_file),
        ("druid", "password", &mut druid.password, &druid.password_file),
        ("druid", "token", &mut druid.token, &druid.token_file),
        ("superset", "password", &mut superset.password, &superset.password_file),
        ("superset", "token", &mut superset.token, &superset.token_file),
        ("flink", "password", &mut flink.password, &flink.password_file),
        ("flink", "token", &mut flink.token, &flink.token_file),
    ];
    for (table, key, secret, file) in secrets {
        match (&secret, file) {
            (Some(_), Some(_)) => {
                return Err(Error::new(Kind::Config, format!("[{table}] has both `{key}` and `{key}_file`")).hint("keep one"));
            }
            (None, Some(file)) => *secret = Some(read_secret(&folder.join(file), &format!("[{table}] {key}_file"))?),
            _ => {}
        }
        // A variable that a script always sets may be empty: then there is no token.
        if key == "token" && secret.as_ref().is_some_and(|token| token.expose().is_empty()) {
            *secret = None;
        }
    }
    registry.http.credentials = credentials(registry.username.as_ref(), registry.password.as_ref(), registry.token.as_ref());
    druid.http.credentials = credentials(druid.username.as_ref(), druid.password.as_ref(), druid.token.as_ref());
    // Superset's are not those of every request: a login makes them, and its pages are asked for as by anybody.
    flink.http.credentials = credentials(flink.username.as_ref(), flink.password.as_ref(), flink.token.as_ref());
    let properties = [
        ("kafka.properties", &mut config.kafka.properties),
        ("flink.kafka_properties", &mut flink.kafka_properties),
        ("flink.registry_properties", &mut flink.registry_properties),
    ];
    properties.into_iter().try_for_each(|(table, properties)| resolve_properties(table, properties, folder))?;
    for (name, Property(value)) in &mut config.kafka.properties {
        if layers::is_path(name, value.expose()) {
            let path = folder.join(value.expose());
            *value = Secret::new(std::path::absolute(&path).unwrap_or(path).display().to_string());
        }
    }
    Ok(())
}

/// A token, where there is one, stands for user and password.
fn credentials(username: Option<&String>, password: Option<&Secret>, token: Option<&Secret>) -> Option<Credentials> {
    let basic = || username.map(|username| Credentials::Basic(username.clone(), password.cloned()));
    token.map(|token| Credentials::Bearer(token.clone())).or_else(basic)
}

fn resolve_properties(table: &str, properties: &mut BTreeMap<String, Property>, folder: &Path) -> Result<()> {
    for (name, value) in std::mem::take(properties) {
        let (name, value) = match name.strip_suffix("_file") {
            Some(property) => {
                let file = folder.join(value.0.expose());
                (property.to_owned(), Property(read_secret(&file, &format!("[{table}] {name}"))?))
            }
            None => (name, value),
        };
        // In order, `x` comes before `x_file`.
        if properties.contains_key(&name) {
            return Err(Error::new(Kind::Config, format!("[{table}] has both `{name}` and `{name}_file`")).hint("keep one"));
        }
        properties.insert(name, value);
    }
    Ok(())
}

/// Reads the certificates; from there on each `ca_file` is an absolute path.
fn resolve_authorities(config: &mut Config, folder: &Path) -> Result<()> {
    let files = [
        ("registry", &mut config.registry.http, &mut config.registry.ca_file),
        ("druid", &mut config.druid.http, &mut config.druid.ca_file),
        ("superset", &mut config.superset.http, &mut config.superset.ca_file),
        ("flink", &mut config.flink.http, &mut config.flink.ca_file),
    ];
    for (table, http, file) in files {
        let Some(file) = file else { continue };
        let found = folder.join(&*file);
        *file = std::path::absolute(&found).unwrap_or(found);
        let text = read(file, &format!("[{table}] ca_file"))?;
        http.authorities = match reqwest::Certificate::from_pem_bundle(text.as_bytes()) {
            Ok(certificates) if !certificates.is_empty() => certificates,
            _ => {
                return Err(Error::new(Kind::Config, format!("[{table}] ca_file {}: holds no certificate", file.display()))
                    .hint("it must be in PEM form: -----BEGIN CERTIFICATE-----"));
            }
        };
    }
    Ok(())
}

fn read_secret(file: &Path, what: &str) -> Result<Secret> {
    Ok(Secret::new(read(file, what)?.lines().next().unwrap_or_default()))
}

impl Config {
    /// How long one request to the registry, Druid, Superset or Flink may take.
    pub fn set_timeout(&mut self, timeout: Millis) {
        for http in [&mut self.registry.http, &mut self.druid.http, &mut self.superset.http, &mut self.flink.http] {
            http.timeout = timeout.to_std();
        }
    }

    /// The source of this topic; without a topic, the only one there is.
    pub fn source(&self, topic: Option<&str>) -> Result<&Source> {
        pick(&self.sources, topic, "source", "--source", |source| &source.topic)
    }

    /// The aggregate that fills this sink; without a sink, the only one there is.
    pub fn aggregate(&self, sink: Option<&str>) -> Result<&Aggregate> {
        pick(&self.aggregates, sink, "aggregate", "--sink", |aggregate| &aggregate.sink)
    }

    /// The datasource of this name.
    pub fn datasource(&self, name: &str) -> Option<&Datasource> {
        self.datasources.iter().find(|datasource| datasource.name == name)
    }

    /// The chart of this title.
    pub fn chart(&self, title: &str) -> Option<&Chart> {
        self.charts.iter().find(|chart| chart.title == title)
    }

    /// Kafka as Druid reaches it.
    pub fn kafka_for_druid(&self) -> &str {
        self.druid.kafka_bootstrap_servers.as_deref().unwrap_or(&self.kafka.bootstrap_servers)
    }

    /// The registry as Druid reaches it.
    pub fn registry_for_druid(&self) -> &str {
        self.druid.registry_url.as_deref().unwrap_or(&self.registry.url)
    }

    /// Kafka as Flink reaches it.
    pub fn kafka_for_flink(&self) -> &str {
        self.flink.kafka_bootstrap_servers.as_deref().unwrap_or(&self.kafka.bootstrap_servers)
    }

    /// The registry as Flink reaches it.
    pub fn registry_for_flink(&self) -> &str {
        self.flink.registry_url.as_deref().unwrap_or(&self.registry.url)
    }

    /// The dashboard's address, as people's browsers reach it.
    pub fn page(&self) -> Option<String> {
        let superset = self.superset.public_url.as_deref().unwrap_or(&self.superset.url).trim_end_matches('/');
        self.dashboard.as_ref().map(|dashboard| format!("{superset}/superset/dashboard/{}/", dashboard.slug))
    }

    /// Druid's router as Superset reaches it.
    pub fn druid_for_superset(&self) -> &str {
        self.superset.druid_url.as_deref().unwrap_or(&self.druid.url)
    }
}

fn pick<'a, T>(all: &'a [T], name: Option<&str>, table: &str, flag: &str, name_of: impl Fn(&T) -> &String) -> Result<&'a T> {
    let known: Vec<&str> = all.iter().map(|one| name_of(one).as_str()).collect();
    match (name, all) {
        (Some(name), _) => all.iter().find(|one| name_of(one) == name).ok_or_else(|| {
            Error::new(Kind::Config, format!("the pipeline file has no {table} `{name}`"))
                .hint(layers::suggest(name, &known).unwrap_or_else(|| format!("it has: {}", known.join(", "))))
        }),
        (None, [only]) => Ok(only),
        (None, []) => Err(Error::new(Kind::Config, format!("the pipeline file has no [[{table}]]"))),
        (None, _) => Err(Error::new(Kind::Usage, format!("the pipeline file has {} {table}s", all.len()))
            .hint(format!("choose one with {flag}: {}", known.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_whole() {
        let config = load(Some(Path::new(DEFAULT_FILE)), &[]).unwrap();
        assert_eq!(config.source(None).unwrap().topic, "SALES");
        assert_eq!(config.aggregate(None).unwrap().window, Millis(60_000));
        assert!(config.sources[0].schema_text.contains("com.acosom"));
    }

    #[test]
    fn the_other_examples_are_whole() {
        for (file, topic) in [("config/clicks.toml", "CLICKS"), ("config/sensors.toml", "SENSORS")] {
            let config = load(Some(Path::new(file)), &[]).unwrap();
            assert_eq!(config.source(None).unwrap().topic, topic);
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Some(Path::new("no/such.toml")), &[]).unwrap_err();
        assert_eq!(error.kind, Kind::Config);
        assert!(error.message.contains("no/such.toml"), "{error}");
    }

    #[test]
    fn secrets_are_read_from_files_and_never_printed() {
        let folder = std::env::temp_dir().join(format!("pipeline-secrets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("pw"), "canary\n").unwrap();
        std::fs::write(
            folder.join("p.toml"),
            "name = \"x\"\n[druid]\npassword_file = \"pw\"\n[kafka.properties]\n\"sasl.password_file\" = \"pw\"\n",
        )
        .unwrap();
        let config = load(Some(&folder.join("p.toml")), &[]).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(config.druid.password.as_ref().unwrap().expose(), "canary");
        assert_eq!(config.kafka.properties["sasl.password"].0.expose(), "canary");
        assert!(!format!("{config:?}").contains("canary"));
    }

    #[test]
    fn a_token_stands_for_user_and_password() {
        let given = |name, value| Override::from_env(name, value).unwrap();
        let [user, password] = ["PIPELINE_DRUID_USERNAME", "PIPELINE_DRUID_PASSWORD"].map(|name| given(name, "canary"));
        let of = |overrides: &[Override]| connections(None, overrides).unwrap().druid.http.credentials;
        assert!(matches!(of(&[user.clone(), password.clone()]), Some(Credentials::Basic(user, Some(_))) if user == "canary"));
        let token = given("PIPELINE_DRUID_TOKEN", "canary");
        let credentials = of(&[user, password, token]);
        assert!(matches!(&credentials, Some(Credentials::Bearer(token)) if token.expose() == "canary"));
        assert!(!format!("{credentials:?}").contains("canary"));
    }

    #[test]
    fn an_empty_token_is_none() {
        let given = |name, value| Override::from_env(name, value).unwrap();
        let overrides = [
            given("PIPELINE_DRUID_USERNAME", "me"),
            given("PIPELINE_DRUID_TOKEN", ""),
            given("PIPELINE_REGISTRY_TOKEN_FILE", "/dev/null"),
            given("PIPELINE_SUPERSET_TOKEN", ""),
        ];
        let config = connections(None, &overrides).unwrap();
        assert!(matches!(config.druid.http.credentials, Some(Credentials::Basic(..))));
        assert!(config.registry.http.credentials.is_none());
        assert!(config.superset.token.is_none());
    }

    #[test]
    fn superset_s_token_is_not_sent_with_every_request() {
        let token = Override::from_env("PIPELINE_SUPERSET_TOKEN", "canary").unwrap();
        let superset = connections(None, &[token]).unwrap().superset;
        assert!(superset.token.is_some() && superset.http.credentials.is_none());
    }

    #[test]
    fn what_others_are_handed_comes_from_outside_too() {
        let given = |name, value| Override::from_env(name, value).unwrap();
        let overrides = [
            given("PIPELINE_FLINK_KAFKA_PROPERTIES_SASL_JAAS_CONFIG", "canary"),
            given("PIPELINE_DRUID_KAFKA_PROPERTIES_SECURITY_PROTOCOL", "SSL"),
        ];
        let config = connections(None, &overrides).unwrap();
        assert_eq!(config.flink.kafka_properties["sasl.jaas.config"].0.expose(), "canary");
        assert_eq!(config.druid.kafka_properties["security.protocol"], Handed::Text("SSL".into()));
        assert!(!format!("{config:?}").contains("canary"));
    }

    /// A certificate in PEM form.
    fn certificate() -> Vec<u8> {
        use openssl::{asn1::Asn1Time, ec, hash::MessageDigest, nid::Nid, pkey::PKey, x509::X509};
        let group = ec::EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(ec::EcKey::generate(&group).unwrap()).unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        builder.build().to_pem().unwrap()
    }

    #[test]
    fn a_ca_file_is_known_by_its_whole_path() {
        let folder = std::env::temp_dir().join(format!("pipeline-ca-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ca.pem"), certificate()).unwrap();
        std::fs::write(folder.join("p.toml"), "name = \"x\"\n[druid]\nca_file = \"ca.pem\"\n").unwrap();
        let config = connections(Some(&folder.join("p.toml")), &[]).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((config.druid.ca_file, config.druid.http.authorities.len()), (Some(folder.join("ca.pem")), 1));
    }

    #[test]
    fn librdkafkas_paths_are_relative_to_the_file() {
        let folder = std::env::temp_dir().join(format!("pipeline-paths-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let text = "name = \"x\"\n[kafka.properties]\n\"ssl.ca.location\" = \"ca.pem\"\n\"ssl.key.location\" = \"/k\"\n";
        std::fs::write(folder.join("p.toml"), text).unwrap();
        let here = Override::from_property("ssl.certificate.location=c").unwrap();
        let config = connections(Some(&folder.join("p.toml")), &[here]).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let of = |name: &str| PathBuf::from(config.kafka.properties[name].0.expose());
        assert_eq!(of("ssl.ca.location"), folder.join("ca.pem"));
        assert_eq!(of("ssl.key.location"), Path::new("/k"));
        assert_eq!(of("ssl.certificate.location"), std::env::current_dir().unwrap().join("c"));
        assert!(!layers::is_path("ssl.ca.location", "probe"));
    }

    #[test]
    fn a_property_is_given_in_one_form_only() {
        let file = std::env::temp_dir().join(format!("pipeline-both-forms-{}", std::process::id()));
        std::fs::write(
            &file,
            "name = \"x\"\n[kafka.properties]\n\"sasl.password\" = \"a\"\n\"sasl.password_file\" = \"/dev/null\"\n",
        )
        .unwrap();
        let error = load(Some(&file), &[]).unwrap_err();
        std::fs::remove_file(&file).unwrap();
        assert!(error.message.contains("both `sasl.password` and `sasl.password_file`"), "{error}");
    }

    #[test]
    fn a_wrongly_typed_secret_is_not_quoted() {
        let error = layers::merge(Path::new("p.toml"), "name = \"x\"\n[druid]\npassword = 987654\n", &[]).unwrap_err();
        assert!(!error.to_string().contains("987654"), "{error}");
    }
}
