//! What the configuration commands tell, without a pipeline file and without a server.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Ended, Running};

const LIMIT: Duration = Duration::from_secs(15);

/// An empty folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("it-config-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        Running::start(&self.0, arguments, variables).wait(LIMIT).expect(0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_schema_needs_no_file() {
    let schema: Value = serde_json::from_str(&Folder::new("schema").run(&["config", "schema"], &[]).stdout).expect("JSON");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["Kafka"]["additionalProperties"], false);
    assert_eq!(schema["properties"]["source"]["items"]["$ref"], "#/$defs/Source");
}

#[test]
fn the_settings_tell_their_origin_and_no_secret() {
    let arguments = ["config", "show", "-X", "debug=broker", "--set", "kafka.bootstrap_servers=a:1"];
    let variables = [("PIPELINE_DRUID_PASSWORD", "canary"), ("PIPELINE_KAFKA_PROPERTIES_SASL_PASSWORD", "canary")];
    let folder = Folder::new("show");
    let text = folder.run(&arguments, &variables).stdout;
    for line in [
        "kafka.bootstrap_servers = \"a:1\"  # --set kafka.bootstrap_servers",
        "kafka.properties.debug = \"broker\"  # -X debug",
        "kafka.properties.sasl.password = \"***\"  # environment variable PIPELINE_KAFKA_PROPERTIES_SASL_PASSWORD",
        "druid.password = \"***\"  # environment variable PIPELINE_DRUID_PASSWORD",
        "aggregate[0].offset = \"0s\"  # default",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    assert!(text.contains("source[0].topic = \"SALES\"  # built-in pipeline file, line "), "{text}");
    let json: Value =
        serde_json::from_str(&folder.run(&[&arguments[..], &["--output", "json"]].concat(), &variables).stdout).unwrap();
    assert!(json["settings"].as_array().unwrap().iter().any(|one| one["path"] == "druid.password" && one["value"] == "***"));
    assert!(!format!("{text}{json}").contains("canary"));
}
