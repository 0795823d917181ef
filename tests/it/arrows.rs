//! The arrows of the code map in `src/lib.rs`, checked: a module may name only those to its right.

use std::path::Path;

/// What a look at all systems may use.
const OVER_ALL: &[&str] = &[
    "aggregate",
    "avro",
    "config",
    "druid",
    "engine",
    "error",
    "follow",
    "http",
    "kafka",
    "letters",
    "plan",
    "proof",
    "registry",
    "superset",
];

/// Each module of the crate, and the modules it may use (`config` and `error` are everybody's).
const ARROWS: [(&str, &[&str]); 25] = [
    ("engine", &[]),
    ("avro", &[]),
    ("error", &[]),
    ("faults", &[]),
    ("plan", &["config"]),
    ("backup", &["error"]),
    ("config", &["error"]),
    ("http", &["config", "error"]),
    ("registry", &["config", "error", "http"]),
    ("kafka", &["config", "error", "faults"]),
    ("aggregate", &["avro", "config", "engine", "error", "faults", "kafka", "registry"]),
    ("letters", &["avro", "config", "error", "kafka"]),
    ("druid", &["avro", "backup", "config", "error", "http", "kafka", "plan", "registry"]),
    ("superset", &["avro", "backup", "config", "error", "http", "plan"]),
    ("flink", &["aggregate", "avro", "config", "error", "http", "kafka", "registry"]),
    ("embedded", &["error", "kafka"]),
    ("metrics", &["aggregate", "config", "error", "verify"]),
    ("proof", &["aggregate", "avro", "config", "engine", "error", "letters"]),
    ("follow", &["aggregate", "config", "error", "kafka", "letters", "proof", "registry"]),
    ("view", &["aggregate", "avro", "config", "engine", "error", "follow", "kafka", "letters", "proof", "registry"]),
    ("verify", OVER_ALL),
    ("doctor", OVER_ALL),
    ("status", OVER_ALL),
    ("cli", &["aggregate", "config", "error"]),
    (
        "commands",
        &[
            "aggregate",
            "avro",
            "backup",
            "cli",
            "config",
            "doctor",
            "druid",
            "embedded",
            "engine",
            "error",
            "flink",
            "http",
            "kafka",
            "letters",
            "metrics",
            "plan",
            "proof",
            "registry",
            "status",
            "superset",
            "verify",
            "view",
        ],
    ),
];

fn sources(path: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The module that a file belongs to: `src/engine/windows.rs` is of `engine`, `src/cli.rs` of `cli`.
fn module(file: &str) -> &str {
    let inside = file.rsplit_once("src/").map_or(file, |(_, inside)| inside);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

/// The crate's modules that a text names. Tests of a module may use others to make their input.
fn named(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = lines.flat_map(|line| line.split("crate::").skip(1));
    names.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()).collect()
}

#[test]
fn modules_use_only_what_the_map_allows() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut wrong = Vec::new();
    for (file, text) in &files {
        let module = module(file);
        if matches!(module, "lib" | "main") {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{file}: module `{module}` is not on the map"));
            continue;
        };
        for used in named(text) {
            if used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{file}: `{module}` uses `{used}`"));
            }
        }
    }
    assert!(files.len() > 20, "no sources found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
