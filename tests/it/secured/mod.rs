//! A Kafka with TLS, logins and ACLs; a registry with a password, Druid and Superset over https.

mod line;
mod logins;
mod rights;

use std::time::Duration;

use crate::harness::{Line, SECURED_PASSWORD};

/// No single run takes longer, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);
const BEGIN: &str = "2023-11-14T22:13:20Z";

/// Has the line log in as this user.
fn log_in(line: &mut Line, user: &str, mechanism: &str) {
    let file = line.folder.join("password");
    std::fs::write(&file, SECURED_PASSWORD).expect("written");
    line.set_kafka(&[("sasl.mechanisms", mechanism), ("sasl.username", user), ("sasl.password_file", "password")]);
}

/// Writes ten events a second for five minutes of event time.
#[track_caller]
fn produce(line: &Line) {
    line.run(&["produce", "--from", BEGIN, "--count", "3000", "--rate", "10", "--max-speed", "--seed", "1"], LIMIT).expect(0);
}
