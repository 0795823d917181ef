//! Where the servers are.

use std::collections::BTreeMap;
use std::future::Future;
use std::process::Command;
use std::sync::OnceLock;

/// The servers of `tests/stack`, or those that the environment names.
pub struct Servers {
    variables: BTreeMap<String, String>,
}

impl Servers {
    /// Asks `tests/stack/env`, once.
    pub fn get() -> &'static Self {
        static SERVERS: OnceLock<Servers> = OnceLock::new();
        SERVERS.get_or_init(|| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stack/env");
            let output = Command::new(script).output().expect("tests/stack/env runs");
            let text = String::from_utf8(output.stdout).expect("tests/stack/env writes text");
            let variables = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
            let chosen = |(name, value): (&str, &str)| (name.to_owned(), std::env::var(name).unwrap_or_else(|_| value.into()));
            Self { variables: variables.map(chosen).collect() }
        })
    }

    fn variable(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("tests/stack/env does not name {name}"))
    }

    /// The broker, `host:port`.
    pub fn kafka(&self) -> &str {
        self.variable("PIPELINE_KAFKA_BOOTSTRAP_SERVERS")
    }

    /// The registry's address.
    pub fn registry(&self) -> &str {
        self.variable("PIPELINE_REGISTRY_URL")
    }

    /// Flink's REST address.
    pub fn flink(&self) -> &str {
        self.variable("PIPELINE_FLINK_URL")
    }

    /// The Kafka that wants TLS and a login, `host:port`.
    pub fn secured(&self) -> &str {
        self.variable("SECURED_SASL")
    }

    /// The same Kafka, where a client shows a certificate.
    pub fn secured_tls(&self) -> &str {
        self.variable("SECURED_TLS")
    }

    /// A file of the stack's CA: `ca.pem`, `client.pem`.
    pub fn certificate(&self, file: &str) -> String {
        format!("{}/{file}", self.variable("STACK_CERTIFICATES"))
    }

    /// A setting of a server, as the pipeline file calls it.
    pub fn setting(&self, table: &str, key: &str) -> String {
        let found = self.settings().find(|(in_table, name, _)| in_table == table && name == key);
        found.unwrap_or_else(|| panic!("tests/stack/env does not name {table} {key}")).2.to_owned()
    }

    /// All of them as (table, key, value) of a pipeline file.
    pub fn settings(&self) -> impl Iterator<Item = (String, String, &str)> {
        self.variables.iter().filter_map(|(name, value)| {
            let (table, key) = name.strip_prefix("PIPELINE_")?.split_once('_')?;
            Some((table.to_lowercase(), key.to_lowercase(), value.as_str()))
        })
    }
}

/// Runs something asynchronous to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}
