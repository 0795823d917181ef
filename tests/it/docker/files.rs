//! The files of `docker/` that need no more than being read.

use std::path::Path;
use std::process::Command;

use clap::Parser;
use pipeline::cli::{self, Cli};
use pipeline::config::{self, Override};
use pipeline::error::Kind;

use super::{DOCKERFILES, assert_pinned, dockerfile, text, top, variables};

/// The instructions of a Dockerfile, each in one line.
fn instructions(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    code.join("\n").replace("\\\n", " ").lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What follows an instruction's name, each time that it is there.
fn all<'a>(instructions: &'a [String], name: &'a str) -> impl Iterator<Item = &'a str> {
    instructions.iter().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::trim)
}

#[test]
fn each_image_is_built_on_one_release() {
    for folder in DOCKERFILES {
        let instructions = instructions(&text(dockerfile(folder)));
        for from in all(&instructions, "FROM") {
            assert_pinned(from.split(' ').next().unwrap_or_default());
        }
    }
}

#[test]
fn what_is_copied_is_there_and_not_ignored() {
    let ignore = text(".dockerignore");
    for folder in DOCKERFILES {
        let instructions = instructions(&text(dockerfile(folder)));
        let context = if folder.is_empty() { top().to_path_buf() } else { top().join("docker").join(folder) };
        for copy in all(&instructions, "COPY").filter(|copy| !copy.contains("--from=")) {
            let words: Vec<&str> = copy.split_whitespace().filter(|word| !word.starts_with("--")).collect();
            for source in &words[..words.len() - 1] {
                assert!(context.join(source).exists(), "{folder}: {source}");
                let is_let_in = ignore.lines().any(|line| line == format!("!{source}"));
                assert!(is_let_in || !folder.is_empty(), ".dockerignore leaves {source} out");
            }
        }
    }
}

#[test]
fn the_program_is_built_with_what_its_readme_says() {
    let instructions = instructions(&text(dockerfile("")));
    let rust = all(&instructions, "FROM").next().and_then(|from| from.strip_prefix("rust:")).expect("Rust's image");
    let numbers = |version: &str| version.split(['.', '-']).map_while(|part| part.parse().ok()).collect::<Vec<u32>>();
    assert!(numbers(rust) >= numbers(env!("CARGO_PKG_RUST_VERSION")), "{rust}");
    let readme = text("README.md");
    let named = readme.split("`apt-get install ").nth(1).and_then(|rest| rest.split('`').next()).expect("packages");
    let installs = all(&instructions, "RUN").next().expect("packages");
    let installed = installs.split("--no-install-recommends ").nth(1).and_then(|rest| rest.split("&&").next());
    assert_eq!(installed.map(str::trim), Some(named));
    let build = all(&instructions, "RUN").find(|run| run.contains("cargo build")).expect("a build");
    assert!(build.contains("--release --locked") && !build.contains("features"), "{build}");
}

#[test]
fn the_image_is_of_this_version_and_runs_as_nobody_special() {
    let instructions = instructions(&text(dockerfile("")));
    let labels = all(&instructions, "LABEL").next().expect("labels");
    let version = concat!("org.opencontainers.image.version=\"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(labels.contains(version), "{labels}");
    let user = all(&instructions, "USER").last().and_then(|user| user.split(':').next()).expect("a user");
    assert!(user.parse::<u32>().is_ok_and(|id| id >= 1000), "{user}");
    assert_eq!(all(&instructions, "ENTRYPOINT").collect::<Vec<_>>(), ["[\"pipeline\"]"]);
    assert_eq!(all(&instructions, "STOPSIGNAL").collect::<Vec<_>>(), ["SIGTERM"]);
    for shell in ["bash", "zsh", "fish"] {
        assert!(instructions.iter().any(|line| line.contains(&format!("completions {shell} >"))), "{shell}");
    }
}

#[test]
fn superset_and_flink_are_those_that_were_tried() {
    let superset = text(dockerfile("superset"));
    assert!(
        text("tests/stack/servers/superset.sh").contains("superset-6.1.0-")
            && superset.contains("\nFROM apache/superset:6.1.0\n")
    );
    let lock = text("tests/stack/servers/superset/requirements.lock");
    let driver = lock.lines().find(|line| line.starts_with("pydruid==")).expect("Druid's driver");
    assert!(superset.contains(&format!(" {driver} ")), "{driver}");
    let (stack, flink) = (text("tests/stack/servers/flink.sh"), text(dockerfile("flink")));
    let version = stack.lines().find_map(|line| line.strip_prefix("FLINK_VERSION=")).expect("Flink's version");
    assert!(flink.contains(&format!("\nFROM flink:{version}-java17\n")), "{version}");
    let sums = text("docker/flink/jars.sha256");
    for line in sums.lines() {
        let (sum, jar) = line.split_once("  ").expect("a sum and a name");
        assert!(sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()), "{sum}");
        // flink-sql-connector-kafka-5.0.0-2.2.jar
        let at = jar.find("-2").into_iter().chain(jar.find("-5")).min().expect("a version");
        let (name, version) = (&jar[..at], jar[at + 1..].trim_end_matches(".jar"));
        assert!(stack.contains(&format!("org.apache.flink:{name}:{version}:jar")), "{jar}");
        assert!(flink.contains(&format!("{name}:{version}")), "{jar}");
    }
    assert_eq!(sums.lines().count(), 2);
}

#[test]
fn shell_scripts_can_be_read() {
    for (shell, script) in [("sh", "docker/superset/init.sh"), ("bash", "tests/compose/resolve")] {
        let read = Command::new(shell).arg("-n").arg(top().join(script)).output().expect(shell);
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    }
}

#[test]
fn a_pipeline_on_this_machine_is_pointed_at_the_published_ports() {
    let file = top().join("config/pipeline.toml");
    let variables = variables("docker/host.env");
    let overrides: Vec<Override> = variables.iter().filter_map(|(name, value)| Override::from_env(name, value)).collect();
    assert_eq!(overrides.len(), variables.len());
    let config = config::load(Some(&file), &overrides).expect("a whole configuration");
    let default = config::load(Some(&file), &[]).expect("a whole configuration");
    let addresses = |config: &config::Config| {
        let flink = &config.flink;
        [
            &config.kafka.bootstrap_servers,
            &config.registry.url,
            &config.druid.url,
            &config.superset.url,
            &flink.url,
            &flink.gateway_url,
        ]
        .map(String::clone)
    };
    assert_eq!(addresses(&config), addresses(&default));
    let compose = text("docker/compose.yaml");
    for inside in [
        config.kafka_for_druid(),
        config.registry_for_druid(),
        config.druid_for_superset(),
        config.kafka_for_flink(),
        config.registry_for_flink(),
    ] {
        assert!(compose.contains(&format!(": {inside}\n")), "{inside} is not what compose.yaml tells pipeline");
    }
}

// ---- The unit for systemd

/// The values of a key of the unit.
fn unit(key: &str) -> Vec<String> {
    let text = text("docker/pipeline.service");
    let of_key = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    of_key.map(str::to_owned).collect()
}

const KINDS: [Kind; 10] = [
    Kind::Failed,
    Kind::Differs,
    Kind::Usage,
    Kind::Data,
    Kind::Unreachable,
    Kind::Watchdog,
    Kind::DataLoss,
    Kind::Fenced,
    Kind::Refused,
    Kind::Config,
];

/// Whether the same command may succeed if it is run again, with nothing changed.
fn may_mend(kind: Kind) -> bool {
    match kind {
        // Differs is not among what aggregate ends with.
        Kind::Failed | Kind::Differs | Kind::Unreachable | Kind::Watchdog => true,
        Kind::Usage | Kind::Data | Kind::DataLoss | Kind::Fenced | Kind::Refused | Kind::Config => false,
    }
}

#[test]
fn a_restart_is_left_out_where_it_cannot_help() {
    let codes: Vec<String> = KINDS.into_iter().filter(|kind| !may_mend(*kind)).map(|kind| (kind as u8).to_string()).collect();
    assert_eq!(unit("RestartPreventExitStatus"), [codes.join(" ")]);
    assert_eq!(unit("Restart"), ["on-failure"]);
}

#[test]
fn the_unit_starts_a_command_that_there_is_and_gives_it_time_to_end() {
    let command = unit("ExecStart").remove(0);
    let cli = Cli::try_parse_from(command.split(' ')).expect("a command line");
    assert!(matches!(cli.command, cli::Command::Aggregate(_)));
    assert_eq!(cli.global.config.as_deref(), Some(Path::new("/etc/pipeline/pipeline.toml")));
    let seconds = unit("TimeoutStopSec")[0].trim_end_matches('s').parse::<u32>().expect("seconds");
    assert!(seconds > 9);
    assert_eq!(unit("KillSignal"), ["SIGTERM"]);
    assert!(text("docker/pipeline.service").contains("User=yes"), "it runs as a user of its own");
}
