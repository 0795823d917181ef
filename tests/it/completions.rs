//! Completions and man pages, without a pipeline file and without a server.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Ended, Line, Running};

const LIMIT: Duration = Duration::from_secs(15);

/// In a folder without a pipeline file, and with one named that is not there.
#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> Ended {
    Running::start(folder, &[&["completions"], arguments].concat(), &[("PIPELINE_CONFIG", "nowhere.toml")]).wait(LIMIT)
}

/// Whether a program takes a file; `None`: there is no such program here.
fn takes(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let checked = Command::new(program).args(arguments).arg(file).output().ok()?;
    let said = format!("{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    assert!(checked.status.success() && !said.contains("error"), "{program}: {said}");
    Some(said)
}

#[test]
fn each_shell_gets_a_script_that_knows_the_commands() {
    let Line { folder, .. } = &Line::new("completions", "127.0.0.1:1");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(folder, &[shell]).expect(0).stdout;
        for word in ["druid-ingest", "until-caught-up", "log-format"] {
            assert!(script.contains(word), "{shell}: {word} is missing");
        }
        let file = folder.join(shell);
        std::fs::write(&file, script).expect("written");
        if ["bash", "zsh", "fish"].contains(&shell) {
            takes(shell, &["-n"], &file);
        }
    }
    let tried =
        "source ./bash; COMP_WORDS=(pipeline druid); COMP_CWORD=1; _pipeline pipeline druid pipeline; echo \"${COMPREPLY[*]}\"";
    let completed = Command::new("bash").args(["-c", tried]).current_dir(folder).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&completed.stdout), "druid-ingest\n");
}

#[test]
fn each_command_has_a_page_that_man_takes() {
    let Line { folder, .. } = &Line::new("man", "127.0.0.1:1");
    let pages = folder.join("share/man1");
    let ended = run(folder, &["--man", pages.to_str().expect("a path")]).expect(0);
    assert_eq!(ended.stdout, "");
    for name in ["pipeline", "pipeline-up", "pipeline-verify", "pipeline-dead-letters", "pipeline-config-show"] {
        let page = pages.join(format!("{name}.1"));
        let text = std::fs::read_to_string(&page).expect(name);
        assert!(text.contains(&format!(".TH {name} 1")) && text.contains(".SH OPTIONS"), "{text}");
        if let Some(said) = takes("groff", &["-man", "-z", "-w", "all"], &page) {
            assert_eq!(said, "", "{name}");
        }
    }
    let text = std::fs::read_to_string(pages.join("pipeline.1")).expect("a page");
    assert!(text.contains("  69  a server is unreachable\n"), "{text}");
}

#[test]
fn one_of_the_two_must_be_asked_for() {
    let Line { folder, .. } = &Line::new("neither", "127.0.0.1:1");
    run(folder, &[]).expect(64).says(&["--man"]);
    run(folder, &["bash", "--man", "x"]).expect(64);
    std::fs::write(folder.join("file"), "").expect("written");
    run(folder, &["--man", "file/x"]).expect(1).says(&["cannot write man pages into file/x"]);
}
