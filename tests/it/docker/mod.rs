//! What can be said of `docker/` without Docker: of its files by reading them, and of the compose file by what Compose's own parser
//! makes of it.

mod compose;
mod files;
mod model;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The repository's top folder.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, by its path from the top.
#[track_caller]
fn text(path: impl AsRef<Path>) -> String {
    let file = top().join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The Dockerfiles, by their folder under `docker/`.
const DOCKERFILES: [&str; 3] = ["", "superset", "flink"];

fn dockerfile(folder: &str) -> PathBuf {
    Path::new("docker").join(folder).join("Dockerfile")
}

/// The variables of a file that a shell can read: `NAME=VALUE`, and lines of comment.
fn variables(path: &str) -> BTreeMap<String, String> {
    let text = text(path);
    let pairs = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    pairs.map(|line| line.split_once('=').unwrap_or_else(|| panic!("{path}: {line}"))).map(own).collect()
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// An image by name and version: a whole release, and never `latest`.
#[track_caller]
fn assert_pinned(image: &str) {
    let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no version"));
    let release = tag.trim_start_matches('v').split('-').next().unwrap_or_default();
    let numbers: Vec<&str> = release.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    assert!(numbers.len() >= 2 && numbers.iter().all(is_number), "{image} is not pinned to a release");
}

#[test]
fn a_version_is_more_than_a_word() {
    for image in ["apache/kafka:4.3.1", "kafbat/kafka-ui:v1.5.0", "debian:12.12-slim", "rust:1.95.0-slim-bookworm"] {
        assert_pinned(image);
    }
    for image in ["postgres", "postgres:latest", "postgres:16", "flink:java17"] {
        assert!(std::panic::catch_unwind(|| assert_pinned(image)).is_err(), "{image}");
    }
}
