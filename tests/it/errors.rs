//! What goes wrong before anything has begun: each with its exit code, within 15 s, in one paragraph that says what was tried,
//! where, and what to do. Needs no server.

mod faulty;
mod rest;
pub mod strangers;
mod tls;

use std::time::Duration;

use rdkafka::mocking::MockCluster;

use self::strangers::{Answer, Stranger};
use crate::harness::{Ended, Line, Running};

const LIMIT: Duration = Duration::from_secs(15);

/// A line whose servers are at these addresses.
fn line(kafka: &str, registry: &str) -> Line {
    let mut line = Line::new("errors", kafka);
    line.edit(|table| table["registry"]["url"] = format!("http://{registry}").into());
    line
}

/// The program ends with this code and one paragraph that has these words.
#[track_caller]
fn fails(ended: Ended, code: i32, words: &[&str]) {
    let ended = ended.expect(code).says(words);
    let Some((_, error)) = ended.stderr.rsplit_once("error: ") else { panic!("no error: {}", ended.stderr) };
    let lines: Vec<&str> = error.trim_end().lines().collect();
    assert!(lines.len() <= 2, "more than a paragraph: {}", ended.stderr);
    assert!(lines.len() == 1 || lines[1].trim_start().starts_with("hint: "), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[track_caller]
fn with_hint(line: &Line, arguments: &[&str], code: i32, words: &[&str]) {
    fails(line.run(arguments, LIMIT), code, &[words, &["hint: "]].concat());
}

/// A registry that takes any schema, for commands that ask it first.
fn registry() -> Stranger {
    Stranger::new(Answer::Http("200 OK", r#"{"id":1}"#))
}

mod broker {
    use super::*;

    #[track_caller]
    fn both(kafka: &str, code: i32, words: &[&str]) {
        let registry = registry();
        let line = line(kafka, &registry.address);
        std::thread::scope(|scope| {
            scope.spawn(|| with_hint(&line, &["produce", "--count", "1"], code, words));
            scope.spawn(|| with_hint(&line, &["aggregate", "--until-caught-up"], code, words));
        });
    }

    #[test]
    fn that_is_not_there() {
        let address = strangers::nobody();
        both(&address, 69, &[&address, "refused", "bootstrap_servers"]);
    }

    #[test]
    fn whose_name_is_unknown() {
        both("no-such-host.invalid:9092", 69, &["no-such-host.invalid:9092", "bootstrap_servers"]);
    }

    #[test]
    fn that_is_something_else() {
        let web = Stranger::new(Answer::Http("400 Bad Request", ""));
        both(&web.address, 69, &[&web.address, "bootstrap_servers"]);
    }

    #[test]
    fn that_hangs_up() {
        let stranger = Stranger::new(Answer::HangUp);
        both(&stranger.address, 69, &[&stranger.address, "bootstrap_servers"]);
    }

    #[test]
    fn that_never_answers() {
        let stranger = Stranger::new(Answer::Silence);
        both(&stranger.address, 69, &[&stranger.address, "bootstrap_servers"]);
    }

    #[test]
    fn with_a_property_that_librdkafka_does_not_know() {
        let line = line(&strangers::nobody(), &registry().address);
        fails(line.run(&["aggregate", "-X", "fetch.wait=1"], LIMIT), 78, &["fetch.wait"]);
    }

    #[test]
    fn without_the_topic() {
        let cluster = MockCluster::new(1).expect("a broker");
        // The broker of the tests creates every topic that is asked for, but librdkafka asks without creating.
        let line = line(&cluster.bootstrap_servers(), &registry().address);
        with_hint(&line, &["aggregate"], 69, &["there is no topic", &line.source]);
    }
}

mod schema_registry {
    use super::*;

    const PRODUCE: [&str; 3] = ["produce", "--count", "1"];

    #[track_caller]
    fn answers(answer: Answer, code: i32, words: &[&str]) {
        let stranger = Stranger::new(answer);
        let cluster = MockCluster::new(1).expect("a broker");
        let line = line(&cluster.bootstrap_servers(), &stranger.address);
        cluster.create_topic(&line.source, 1, 1).expect("a topic");
        with_hint(&line, &PRODUCE, code, &[&[&*stranger.address, "registry"], words].concat());
    }

    #[test]
    fn that_is_not_there() {
        let address = strangers::nobody();
        let line = line("127.0.0.1:1", &address);
        with_hint(&line, &PRODUCE, 69, &[&address, "refused", "PIPELINE_REGISTRY_URL"]);
    }

    #[test]
    fn that_is_something_else() {
        answers(Answer::Http("200 OK", "<html>welcome</html>"), 69, &[]);
        answers(Answer::Http("404 Not Found", "<html>no such page</html>"), 69, &["404", "path"]);
    }

    #[test]
    fn that_speaks_no_http() {
        answers(Answer::Bytes(b"\x00\x00\x00\x04\x00\x00\x00\x00"), 69, &[]);
        answers(Answer::HangUp, 69, &[]);
    }

    #[test]
    fn that_never_answers() {
        answers(Answer::Silence, 69, &["PIPELINE_REGISTRY_URL"]);
    }

    #[test]
    fn that_wants_credentials() {
        answers(Answer::Http("401 Unauthorized", r#"{"error_code":40101,"message":"no"}"#), 77, &["401", "username"]);
        answers(Answer::Http("401 Unauthorized", ""), 77, &["401", "username"]);
        answers(Answer::Http("403 Forbidden", ""), 77, &["403", "permission"]);
    }

    #[test]
    fn that_redirects_is_not_followed() {
        answers(Answer::Http("302 Found\r\nLocation: http://127.0.0.1:1/login", ""), 69, &["302"]);
    }

    #[test]
    fn that_takes_the_schema_lets_events_through() {
        let (stranger, cluster) = (registry(), MockCluster::new(1).expect("a broker"));
        let line = line(&cluster.bootstrap_servers(), &stranger.address);
        cluster.create_topic(&line.source, 1, 1).expect("a topic");
        let ended = line.run(&["produce", "--count", "100", "--max-speed"], LIMIT).expect(0);
        assert!(ended.stdout.starts_with("delivered 100 events"), "{}", ended.stdout);
    }
}

mod pipeline_file {
    use super::*;

    fn unreachable() -> Line {
        line("127.0.0.1:1", "127.0.0.1:1")
    }

    #[track_caller]
    fn with_text(change: impl Fn(String) -> String, words: &[&str]) -> Line {
        let line = unreachable();
        let text = std::fs::read_to_string(line.file()).expect("the file");
        std::fs::write(line.file(), change(text)).expect("written");
        for verb in ["produce", "aggregate"] {
            fails(line.run(&[verb], LIMIT), 78, &[&["pipeline.toml"], words].concat());
        }
        line
    }

    #[test]
    fn that_is_no_toml() {
        with_text(|text| format!("{text}\n[[broken"), &["line "]);
    }

    #[test]
    fn with_an_unknown_key() {
        with_text(|text| text.replace("idle_timeout", "idle_timout"), &["`idle_timout`", "did you mean `idle_timeout`?"]);
        with_text(|text| text.replace("bootstrap_servers", "bootstrap_server"), &["did you mean `bootstrap_servers`?", "line "]);
    }

    #[test]
    fn with_a_wrong_value() {
        let mut line = unreachable();
        line.set_aggregate("window", "a while");
        fails(line.run(&["aggregate"], LIMIT), 78, &["a while", "duration"]);
        line.set_aggregate("window", "1m");
        line.set_aggregate("group_by", vec!["store"]);
        fails(line.run(&["aggregate"], LIMIT), 78, &["no field `store`", "did you mean `store_id`?"]);
    }

    #[test]
    fn that_is_not_there() {
        let line = unreachable();
        let ended = Running::start(&line.folder, &["aggregate", "--config", "nowhere.toml"], &[]).wait(LIMIT);
        fails(ended, 78, &["nowhere.toml", "--config FILE"]);
    }

    #[test]
    fn whose_schema_is_not_there() {
        let line = unreachable();
        std::fs::remove_file(line.folder.join("sales.avsc")).expect("removed");
        with_hint(&line, &["produce"], 78, &["sales.avsc", &line.source]);
    }

    #[test]
    fn whose_schema_is_no_schema() {
        let line = unreachable();
        for (text, word) in [("{", "not an Avro schema"), ("\"string\"", "not a record"), (r#"{"type":"recrod"}"#, "schema")] {
            std::fs::write(line.folder.join("sales.avsc"), text).expect("written");
            fails(line.run(&["produce"], LIMIT), 78, &["sales.avsc", word]);
        }
    }

    #[test]
    fn without_the_aggregate_that_is_asked_for() {
        let line = unreachable();
        with_hint(&line, &["aggregate", "--sink", "OTHER"], 78, &["OTHER", &line.sink]);
    }
}

mod command_line {
    use super::*;

    fn anywhere() -> Line {
        line("127.0.0.1:1", "127.0.0.1:1")
    }

    #[test]
    fn that_cannot_be_understood() {
        let line = anywhere();
        for arguments in [
            &["agregate"][..],
            &["aggregate", "--untill-caught-up"],
            &["aggregate", "--close-all"],
            &["aggregate", "--reset", "--start", "latest"],
            &["aggregate", "--start", "yesterday"],
            &["produce", "--rate", "0"],
            &["produce", "--rate", "fast"],
            &["produce", "--partitions", "0"],
            &["produce", "--set", "kafka.bootstrap_servers"],
            &["produce", "-X", "acks"],
        ] {
            let ended = line.run(arguments, LIMIT).expect(64);
            assert!(ended.stderr.starts_with("error: "), "{arguments:?}: {}", ended.stderr);
        }
    }

    #[test]
    fn that_is_empty_shows_what_there_is() {
        let ended = Running::start(&anywhere().folder, &[], &[]).wait(LIMIT).expect(64);
        assert!(ended.stderr.contains("aggregate") && ended.stderr.contains("Usage"), "{}", ended.stderr);
    }

    #[test]
    fn that_asks_for_help_has_exit_code_0() {
        let ended = anywhere().run(&["aggregate", "--help"], LIMIT).expect(0);
        assert!(ended.stdout.contains("--until-caught-up") && ended.stderr.is_empty(), "{ended:?}");
    }

    #[test]
    fn with_a_password_is_refused_and_not_repeated() {
        for setting in ["druid.password=s3cret", "registry.password=s3cret", "kafka.properties.sasl.password=s3cret"] {
            let ended = anywhere().run(&["produce", "--set", setting], LIMIT).expect(64);
            assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
            fails(ended, 64, &["command line", "hint: "]);
        }
    }

    #[test]
    fn with_the_password_of_a_broker_is_refused_and_not_repeated() {
        let ended = anywhere().run(&["produce", "-X", "sasl.password=s3cret"], LIMIT).expect(64);
        assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    }

    #[test]
    fn with_an_unknown_environment_variable() {
        let line = anywhere();
        for (name, hint) in [("PIPELINE_DRUID_PASWORD", "`password`"), ("PIPELINE_KAFKKA_URL", "`kafka`")] {
            let file = line.file();
            let arguments = ["aggregate", "--config", file.to_str().expect("a path")];
            let ended = Running::start(&line.folder, &arguments, &[(name, "s3cret")]).wait(LIMIT);
            assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
            fails(ended, 78, &[name, hint]);
        }
    }
}
