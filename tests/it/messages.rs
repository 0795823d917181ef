//! What is said where: data on stdout, messages on stderr, in the form that was asked for. Needs no server.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::embedded::Embedded;
use crate::harness::{Ended, Line, Running};

const LIMIT: Duration = Duration::from_secs(15);

const ESCAPE: char = '\x1b';

/// Nobody is at its addresses.
fn nowhere() -> Line {
    let mut line = Line::new("messages", "127.0.0.1:1");
    line.edit(|table| {
        for server in ["registry", "druid", "superset"] {
            table[server]["url"] = "http://127.0.0.1:1".into();
        }
    });
    line
}

/// The messages of a run, each of which must be an object with a level and a message.
#[track_caller]
fn messages(ended: &Ended) -> Vec<Value> {
    let messages: Vec<Value> =
        ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    assert!(messages.iter().all(|one| one["level"].is_string() && one["message"].is_string()), "{messages:?}");
    messages
}

#[test]
fn quiet_leaves_the_result() {
    let Embedded { line, .. } = &Embedded::start("quiet", 1);
    let produce = ["produce", "--count", "10", "--max-speed"];
    assert!(line.run(&produce, LIMIT).expect(0).stderr.starts_with("writing to "));
    let quiet = line.run(&[&produce[..], &["--quiet"]].concat(), LIMIT).expect(0);
    assert_eq!(quiet.stderr, "");
    assert!(quiet.stdout.starts_with("delivered 10 events"), "{}", quiet.stdout);
    let dated = ["-q", "produce", "--from", "2020-01-01T00:00:00Z", "--count", "1", "--partitions", "2", "--max-speed"];
    let warned = line.run(&dated, LIMIT).expect(0).stderr;
    assert!(!warned.is_empty() && warned.lines().all(|line| line.starts_with("warning: ")), "{warned}");
}

#[test]
fn quiet_leaves_the_error_and_its_hint() {
    for variables in [&[][..], &[("PIPELINE_LOG", "debug")], &[("PIPELINE_LOG", "off")]] {
        let ended = nowhere().start_with(&["produce", "--quiet"], variables).wait(LIMIT).expect(69);
        assert!(ended.stderr.contains("error: ") && ended.stderr.contains("hint: "), "{}", ended.stderr);
        assert!(!ended.stderr.contains("DEBUG") && !ended.stderr.contains("writing"), "{}", ended.stderr);
    }
}

#[test]
fn each_line_of_a_json_log_is_an_object() {
    let Embedded { line, .. } = &Embedded::start("json", 1);
    let arguments = ["produce", "--count", "10", "--max-speed", "--partitions", "2", "--log-format", "json"];
    let noted = line.run(&arguments, LIMIT).expect(0);
    assert!(noted.stdout.starts_with("delivered 10 events"), "{}", noted.stdout);
    let of = |level: &str| messages(&noted).into_iter().filter(|one| one["level"] == level).collect::<Vec<_>>();
    assert!(of("INFO").iter().any(|one| one["message"].as_str().unwrap().starts_with("writing to ")), "{}", noted.stderr);
    assert!(of("WARN").iter().any(|one| one["message"].as_str().unwrap().contains("it stays as it is")), "{}", noted.stderr);
}

#[test]
fn the_last_line_of_a_json_log_is_the_error() {
    for log in ["warn", "off", "debug", "=nonsense="] {
        let variables = [("PIPELINE_LOG_FORMAT", "json"), ("PIPELINE_LOG", log)];
        let ended = nowhere().start_with(&["aggregate"], &variables).wait(LIMIT);
        let (code, messages) = (ended.code, messages(&ended));
        let error = messages.last().expect("a message");
        assert_eq!((&error["level"], error["exit_code"].as_i64()), (&"ERROR".into(), code.map(i64::from)), "{error}");
        assert_eq!(code, Some(if log.contains('=') { 78 } else { 69 }));
        assert!(error["hint"].is_string() && error["timestamp"].is_string(), "{error}");
    }
}

#[test]
fn nothing_steers_a_terminal_that_is_not_there() {
    let Embedded { line, .. } = &Embedded::start("piped", 1);
    let variables = [("PIPELINE_LOG", "debug")];
    let produced = line.start_with(&["produce", "--count", "10"], &variables).wait(LIMIT).expect(0);
    let caught_up = line.start_with(&["aggregate", "--until-caught-up"], &variables).wait(LIMIT).expect(0);
    let failed = line.start_with(&["agregate"], &variables).wait(LIMIT).expect(64);
    for ended in [produced, caught_up, failed] {
        assert!(!ended.stderr.is_empty());
        assert!(!format!("{}{}", ended.stdout, ended.stderr).contains([ESCAPE, '\r']), "{ended:?}");
    }
}

/// What stands on a terminal, which util-linux's `script` makes, after a command.
fn at_a_terminal(arguments: &str, folder: &PathBuf, variables: &[(&str, &str)]) -> String {
    typed(&format!("'{}' {arguments}", env!("CARGO_BIN_EXE_pipeline")), folder, variables)
}

fn typed(typed: &str, folder: &PathBuf, variables: &[(&str, &str)]) -> String {
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", typed, "/dev/null"]).current_dir(folder).stdin(Stdio::null());
    script.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env("TERM", "xterm").envs(variables.iter().copied());
    String::from_utf8_lossy(&script.output().expect("script is there").stdout).into_owned()
}

#[test]
fn no_color_is_heard() {
    let Line { folder, .. } = &nowhere();
    for command in ["agregate", "--help"] {
        assert!(at_a_terminal(command, folder, &[]).contains(ESCAPE), "{command} has colours");
        assert!(!at_a_terminal(command, folder, &[("NO_COLOR", "1")]).contains(ESCAPE), "{command}");
    }
}

#[test]
fn progress_is_one_line_of_a_terminal() {
    let Embedded { line, .. } = &Embedded::start("terminal", 1);
    let file = line.file();
    let produce = format!("--config '{}' produce --count 3 --rate 1", file.display());
    let shown = at_a_terminal(&produce, &line.folder, &[]);
    assert!(shown.contains("\r\x1b[K") && shown.contains(" events delivered, "), "{shown:?}");
    for manner in ["--quiet", "--log-format json"] {
        let shown = at_a_terminal(&format!("{produce} {manner}"), &line.folder, &[]);
        assert!(shown.contains("delivered 3 events") && !shown.contains(ESCAPE), "{shown:?}");
    }
}

#[test]
fn the_manners_are_in_the_help() {
    let help = Running::start(&nowhere().folder, &["--help"], &[]).wait(LIMIT).expect(0).stdout;
    for word in ["--quiet", "--log-format", "PIPELINE_LOG_FORMAT", "exit_code"] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
}

#[test]
fn a_status_of_nothing_is_shown_all_the_same() {
    let ended = nowhere().run(&["status"], LIMIT).expect(69).says(&["error: Kafka at 127.0.0.1:1"]);
    assert!(ended.took < Duration::from_secs(12), "{:?}", ended.took);
    for section in ["SOURCE ", "AGGREGATE ", "DRUID ", "SUPERSET "] {
        let (_, text) = ended.stdout.split_once(section).unwrap_or_else(|| panic!("no {section} in:\n{}", ended.stdout));
        let first = text.split("\n\n").next().unwrap_or_default();
        assert!(first.contains("unreachable"), "{section}: {first}");
    }
}

#[test]
fn a_screen_is_left_as_it_was_found() {
    let line = nowhere();
    // Ctrl-C after a while, whatever is drawn by then.
    let watch = format!(
        "timeout --foreground --signal=INT 3 '{}' --config '{}' status --watch",
        env!("CARGO_BIN_EXE_pipeline"),
        line.file().display()
    );
    let shown = typed(&watch, &line.folder, &[]);
    let (before, drawn) = shown.split_once("\x1b[?1049h").unwrap_or_else(|| panic!("no screen of its own: {shown:?}"));
    assert!(before.is_empty() && drawn.contains("SUPERSET") && drawn.contains("\x1b[H"), "{shown:?}");
    assert!(drawn.ends_with("\x1b[?7h\x1b[?25h\x1b[?1049l"), "{shown:?}");
}
