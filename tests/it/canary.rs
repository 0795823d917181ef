//! Secrets that were given stay where they were given: none is in what the program says, however much it is asked to say, in what it
//! writes, or on its command line. Needs no server.

use std::path::Path;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use toml::{Table, Value};

use crate::errors::strangers::{Answer, Stranger, nobody};
use crate::harness::{Ended, Line};

const LIMIT: Duration = Duration::from_secs(60);
/// What every secret has in it, and the same as basic authentication sends it of a user whose name has two letters.
const CANARY: [&str; 2] = ["cAnArY", "Y0FuQXJZ"];
const USER: &str = "me";

/// Every place that takes a secret: a table, and the path of a key in it.
const PLACES: [(&str, &str); 13] = [
    ("kafka", "properties.sasl.password"),
    ("kafka", "properties.ssl.key.password"),
    ("kafka", "properties.ssl.keystore.password"),
    ("registry", "password"),
    ("registry", "token"),
    ("druid", "password"),
    ("druid", "token"),
    ("superset", "password"),
    ("superset", "token"),
    ("flink", "password"),
    ("flink", "token"),
    ("flink", "kafka_properties.sasl.jaas.config"),
    ("flink", "registry_properties.basic-auth.user-info"),
];

/// How secrets are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Environment,
    Files,
    /// In the pipeline file itself.
    Here,
}

/// A line with a canary in each place; without tokens where `logins` is set, so that names and passwords are used.
fn line(kafka: &str, server: &str, given: Given, logins: bool) -> (Line, Vec<(String, String)>) {
    let mut line = Line::new("canary", kafka);
    let mut variables = Vec::new();
    let folder = line.folder.clone();
    line.edit(|file| {
        for table in ["registry", "druid", "superset", "flink"] {
            let table = file.entry(table).or_insert_with(|| Value::Table(Table::new())).as_table_mut().expect("a table");
            table.insert("url".into(), format!("http://{server}").into());
            table.insert("username".into(), USER.into());
            table.remove("password");
        }
        let places = PLACES.iter().filter(|(_, key)| !(logins && *key == "token")).enumerate();
        for (number, (table, path)) in places {
            let secret = format!("{}-{number}", CANARY[0]);
            if given == Given::Environment {
                let name = format!("PIPELINE_{table}_{}", path.replace('.', "_")).to_uppercase();
                variables.push((name, secret));
                continue;
            }
            let mut at = file[*table].as_table_mut().expect("a table");
            let mut key = *path;
            if let Some((inner, property)) = path.split_once('.') {
                at = at.entry(inner).or_insert_with(|| Value::Table(Table::new())).as_table_mut().expect("a table");
                key = property;
            }
            if given == Given::Files {
                let secret_file = format!("secret-{number}");
                std::fs::write(folder.join(&secret_file), secret).expect("written");
                at.insert(format!("{key}_file"), secret_file.into());
            } else {
                at.insert(key.into(), secret.into());
            }
        }
    });
    (line, variables)
}

/// Runs a command that says all it can.
fn run(line: &Line, variables: &[(String, String)], arguments: &[&str]) -> Ended {
    let mut all: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.push(("PIPELINE_LOG", "trace"));
    let running = line.start_with(&[arguments, &["-X", "debug=all"]].concat(), &all);
    clean(&format!("the command line of {arguments:?}"), &running.command_line());
    let ended = running.wait(LIMIT);
    clean(&format!("stdout of {arguments:?}"), &ended.stdout);
    clean(&format!("stderr of {arguments:?}"), &ended.stderr);
    ended
}

#[track_caller]
fn clean(what: &str, text: &str) {
    for canary in CANARY {
        let line = text.lines().find(|line| line.contains(canary));
        assert!(line.is_none(), "{what} has a secret: {line:?}");
    }
}

/// What was written into a folder since the line was made.
#[track_caller]
fn clean_files(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            clean_files(&path);
        } else if name != "pipeline.toml" && !name.starts_with("secret-") {
            let text = std::fs::read(&path).expect("a file");
            clean(&path.display().to_string(), &String::from_utf8_lossy(&text));
        }
    }
}

const COMMANDS: [&[&str]; 11] = [
    &["config", "show", "--output", "json"],
    &["produce", "--count", "10", "--max-speed"],
    &["aggregate", "--until-caught-up"],
    &["init", "--topic", "T", "--yes"],
    &["druid-ingest", "--dry-run"],
    &["superset-bootstrap"],
    &["doctor", "--output", "json"],
    &["status", "--output", "json"],
    &["verify"],
    &["down", "--yes"],
    &["restore"],
];

fn all_commands(line: &Line, variables: &[(String, String)], more: &[&str]) {
    // The file is whole: what fails below fails at a server.
    let shown = run(line, variables, &["config", "show"]).expect(0);
    assert!(shown.stdout.contains("kafka.properties.sasl.password = \"***\""), "{}", shown.stdout);
    // Most of the time is spent waiting.
    std::thread::scope(|scope| {
        for command in COMMANDS {
            scope.spawn(move || run(line, variables, &[command, more].concat()));
        }
    });
    clean_files(&line.folder);
}

#[test]
fn no_secret_is_told_where_nobody_answers() {
    // Most of the time is spent waiting.
    std::thread::scope(|scope| {
        for given in [Given::Environment, Given::Files, Given::Here] {
            scope.spawn(move || {
                let (line, variables) = line(&nobody(), &nobody(), given, given == Given::Environment);
                all_commands(
                    &line,
                    &variables,
                    &["-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=PLAIN", "-X", "sasl.username=me"],
                );
            });
        }
    });
}

/// A process that has ended has no command line: that what the other tests look at is one is seen where it surely runs.
#[test]
fn a_command_line_is_read_while_it_runs() {
    let server = Stranger::new(Answer::Silence);
    let (line, _) = line(&nobody(), &server.address, Given::Here, false);
    let mut running = line.start(&["produce"]);
    let command = running.command_line();
    assert!(running.is_alive() && command.contains("produce"), "{command}");
}

#[test]
fn no_secret_is_told_where_logins_are_refused() {
    let cluster = MockCluster::new(1).expect("a broker");
    for logins in [true, false] {
        let server = Stranger::new(Answer::Http("401 Unauthorized", r#"{"message": "no"}"#));
        let (line, variables) = line(&cluster.bootstrap_servers(), &server.address, Given::Files, logins);
        cluster.create_topic(&line.source, 1, 1).expect("a topic");
        all_commands(&line, &variables, &[]);
    }
}

#[test]
fn no_secret_is_told_of_what_works() {
    let cluster = MockCluster::new(1).expect("a broker");
    for logins in [true, false] {
        let server = Stranger::new(Answer::Http("200 OK", r#"{"id":1}"#));
        let (line, variables) = line(&cluster.bootstrap_servers(), &server.address, Given::Environment, logins);
        cluster.create_topic(&line.source, 1, 1).expect("a topic");
        run(&line, &variables, &["produce", "--count", "10", "--max-speed"]).expect(0);
        let shown = run(&line, &variables, &["config", "show"]).expect(0);
        assert!(shown.stdout.contains("kafka.properties.sasl.password = \"***\""), "{}", shown.stdout);
    }
}

#[test]
fn no_secret_is_told_where_the_file_is_wrong() {
    for (table, path) in PLACES {
        // A list is of no use in any of these places.
        let (mut line, variables) = line(&nobody(), &nobody(), Given::Here, false);
        line.edit(|file| {
            let at = file[table].as_table_mut().expect("a table");
            let (at, key) = match path.split_once('.') {
                Some((inner, property)) => (at[inner].as_table_mut().expect("a table"), property),
                None => (at, path),
            };
            at.insert(key.into(), vec![CANARY[0]].into());
        });
        run(&line, &variables, &["produce"]).expect(78);
    }
    // librdkafka as it is built here does not know this one.
    let name = "PIPELINE_KAFKA_PROPERTIES_SASL_OAUTHBEARER_CLIENT_SECRET".to_owned();
    run(&line(&nobody(), &nobody(), Given::Files, true).0, &[(name, CANARY[0].into())], &["produce"]).expect(78);
    let (mut line, variables) = line(&nobody(), &nobody(), Given::Here, false);
    line.edit(|file| {
        let properties = Table::from_iter([("sasl.jaas.config".to_owned(), Value::from(CANARY[0]))]);
        file["druid"].as_table_mut().expect("a table").insert("kafka_properties".into(), properties.into());
    });
    run(&line, &variables, &["druid-ingest"]).expect(78).says(&["\"sasl.jaas.config\" = { env = \"VARIABLE\" }"]);
}
