//! A pipeline of a test's own: the shipped file under other names, in a folder that goes away with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use toml::{Table, Value};

use super::{Decoder, Ended, Running, Servers, Topics};

/// The password of each user of the secured Kafka.
pub const SECURED_PASSWORD: &str = "secured-stack-password";

/// The line from a source topic to a dashboard. Dropping it deletes its topics, its subjects and its folder; set `TEST_KEEP` to
/// keep them.
pub struct Line {
    /// What all its names begin with.
    pub name: String,
    pub source: String,
    pub sink: String,
    pub dead_letters: String,
    pub folder: PathBuf,
    pub topics: Topics,
    table: Table,
    on_servers: bool,
}

impl Line {
    /// A line on the servers of `tests/stack`, no topic of which is there yet.
    pub fn on_servers(test: &str) -> Self {
        let servers = Servers::get();
        let mut line = Self::new(test, servers.kafka());
        line.use_servers(servers);
        line
    }

    /// A line on the Kafka of `tests/stack` that wants TLS and a login, and on its other servers. The pipeline file has all but the login.
    pub fn on_secured(test: &str) -> Self {
        let servers = Servers::get();
        let mut line = Self::on_servers(test);
        let login = [("sasl.mechanism", "PLAIN"), ("sasl.username", "admin"), ("sasl.password", SECURED_PASSWORD)];
        let tls = [("security.protocol", "SASL_SSL".to_owned()), ("ssl.ca.location", servers.certificate("ca.pem"))];
        let own = login.map(|(name, value)| (name, value.to_owned())).into_iter().chain(tls.clone()).collect();
        line.topics = Topics::with(servers.secured(), own);
        line.edit(|table| {
            let kafka = section_of(table, "kafka");
            kafka.insert("bootstrap_servers".into(), servers.secured().into());
            let properties = tls.map(|(name, value)| (name.to_owned(), Value::from(value)));
            kafka.insert("properties".into(), Table::from_iter(properties).into());
            section_of(table, "druid").insert("kafka_bootstrap_servers".into(), servers.secured().into());
        });
        line
    }

    /// Sets properties of its Kafka clients.
    pub fn set_kafka(&mut self, properties: &[(&str, &str)]) {
        self.edit(|table| {
            let table = section_of(section_of(table, "kafka"), "properties");
            table.extend(properties.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
        });
    }

    /// One of the worked examples in `config/`, on the servers of `tests/stack`.
    pub fn example(file: &str, test: &str) -> Self {
        let servers = Servers::get();
        let mut line = Self::from_file(file, own_name(test), servers.kafka());
        line.use_servers(servers);
        line
    }

    /// A line on other servers, which are for the test to write into its file.
    pub fn new(test: &str, kafka: &str) -> Self {
        Self::named(own_name(test), kafka)
    }

    /// The same with a name of the test's own, which another run may take up again.
    pub fn named(name: String, kafka: &str) -> Self {
        Self::from_file("pipeline.toml", name, kafka)
    }

    fn from_file(file: &str, name: String, kafka: &str) -> Self {
        let folder = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        for entry in std::fs::read_dir(&shipped).expect("config/") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|end| end == "avsc") {
                std::fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("the schema");
            }
        }
        let table: Table = std::fs::read_to_string(shipped.join(file)).expect("the pipeline file").parse().expect("TOML");
        let own = |section: &str, key: &str| format!("{name}-{}", table[section][0][key].as_str().expect("text"));
        let (source, sink) = (own("source", "topic"), own("aggregate", "sink"));
        let dead_letters = format!("{source}_DEAD_LETTERS");
        let mut line = Self { source, sink, dead_letters, topics: Topics::new(kafka), table, on_servers: false, name, folder };
        line.rename();
        line.edit(|table| drop(section_of(table, "kafka").insert("bootstrap_servers".into(), kafka.into())));
        line
    }

    fn use_servers(&mut self, servers: &Servers) {
        self.on_servers = true;
        self.edit(|table| {
            for (section, key, value) in servers.settings() {
                section_of(table, &section).insert(key, value.into());
            }
        });
    }

    fn rename(&mut self) {
        let prefix = format!("{}-", self.name);
        let own = |value: &mut Value| *value = format!("{prefix}{}", value.as_str().expect("text")).into();
        let sections = [
            ("source", &["topic"][..]),
            ("aggregate", &["source", "sink"]),
            ("datasource", &["name", "topic"]),
            ("chart", &["datasource"]),
        ];
        let rename = |entries: &mut Value, keys: &[&str]| {
            for entry in entries.as_array_mut().expect("tables") {
                for key in keys {
                    entry.get_mut(*key).into_iter().for_each(own);
                }
            }
        };
        sections.iter().for_each(|(section, keys)| rename(&mut self.table[*section], keys));
        let dashboard = self.table["dashboard"].as_table_mut().expect("a table");
        own(&mut dashboard["slug"]);
        own(&mut dashboard["title"]);
        if let Some(filters) = dashboard.get_mut("filters") {
            rename(filters, &["datasource"]);
        }
        self.table["name"] = self.name.clone().into();
    }

    /// Changes the pipeline file.
    pub fn edit(&mut self, change: impl FnOnce(&mut Table)) {
        change(&mut self.table);
        let text = toml::to_string(&self.table).expect("TOML");
        std::fs::write(self.file(), text).expect("the pipeline file is written");
    }

    /// What the pipeline file says.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Sets a key of the only aggregate.
    pub fn set_aggregate(&mut self, key: &str, value: impl Into<Value>) {
        self.edit(|table| drop(table["aggregate"][0].as_table_mut().expect("a table").insert(key.into(), value.into())));
    }

    /// The pipeline file.
    pub fn file(&self) -> PathBuf {
        self.folder.join("pipeline.toml")
    }

    /// Starts a command of the program with this line's file.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_with(arguments, &[])
    }

    /// The same with variables in its environment.
    pub fn start_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let file = self.file();
        let arguments: Vec<&str> = ["--config", file.to_str().expect("a path")].iter().chain(arguments).copied().collect();
        Running::start(&self.folder, &arguments, variables)
    }

    /// Runs a command of the program with this line's file to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str], limit: Duration) -> Ended {
        self.start(arguments).wait(limit)
    }

    /// The consumer group, and transactional id, of the aggregate.
    pub fn group(&self) -> String {
        format!("pipeline-{}", self.sink)
    }

    /// The registry's address, as the file has it.
    pub fn registry(&self) -> String {
        self.table["registry"]["url"].as_str().expect("an address").into()
    }

    /// The names of this key in all entries of a section.
    pub fn all(&self, section: &str, key: &str) -> Vec<&str> {
        self.table[section].as_array().expect("tables").iter().map(|entry| entry[key].as_str().expect("text")).collect()
    }

    /// Deletes what it has on the servers.
    pub fn clear(&self) {
        for source in self.all("source", "topic") {
            self.topics.delete(&[source, &format!("{source}_DEAD_LETTERS")]);
            self.decoder().delete_subjects(&[format!("{source}-value")]);
        }
        for sink in self.all("aggregate", "sink") {
            self.topics.delete(&[sink]);
            self.topics.delete_group(&format!("pipeline-{sink}"));
            self.decoder().delete_subjects(&["key", "value"].map(|part| format!("{sink}-{part}")));
        }
    }

    /// Decodes values with the registry's schemas.
    pub fn decoder(&self) -> Decoder {
        Decoder::new(&self.registry())
    }
}

fn own_name(test: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() % 100_000_000;
    format!("it-{test}-{now}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn section_of<'a>(table: &'a mut Table, name: &str) -> &'a mut Table {
    table.entry(name).or_insert_with(|| Value::Table(Table::new())).as_table_mut().expect("a table")
}

impl Drop for Line {
    fn drop(&mut self) {
        if std::env::var_os("TEST_KEEP").is_some() {
            eprintln!("kept: {}", self.folder.display());
            return;
        }
        // What cannot be cleaned up must not hide why a test failed.
        let _ = std::fs::remove_dir_all(&self.folder);
        if self.on_servers {
            self.clear();
        }
    }
}
