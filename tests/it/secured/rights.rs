//! Each right that a user lacks is named, with the ACL that gives it. Each user of the secured Kafka but `line` lacks one.

use super::{LIMIT, log_in, produce};
use crate::harness::{Ended, Line};

const LATER: &str = "2023-11-14T23:13:20Z";

/// A line whose topics are there, with this user.
fn line(user: &str) -> Line {
    let mut line = Line::on_secured(user);
    log_in(&mut line, "line", "SCRAM-SHA-512");
    produce(&line);
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0);
    // Something to do for whoever may.
    line.run(&["produce", "--from", LATER, "--count", "600", "--max-speed"], LIMIT).expect(0);
    log_in(&mut line, user, "SCRAM-SHA-512");
    line
}

#[track_caller]
fn refused(ended: Ended, user: &str, right: &str, acl: &str) {
    let who = format!("user `{user}` needs {right}");
    let remedy = format!("kafka-acls --add --allow-principal User:{user} --operation {acl}");
    ended.expect(77).says(&[&who, &remedy]);
}

fn aggregate(line: &Line) -> Ended {
    line.run(&["aggregate", "--until-caught-up"], LIMIT)
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn reading_a_topic() {
    let line = line("no-read");
    let topic = &line.source;
    refused(aggregate(&line), "no-read", &format!("READ of topic {topic}"), &format!("Read --topic {topic}"));
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn writing_a_topic() {
    let line = line("no-write");
    let topic = &line.source;
    let produced = line.run(&["produce", "--count", "1"], LIMIT);
    refused(produced, "no-write", &format!("WRITE of topic {topic}"), &format!("Write --topic {topic}"));
    let sink = &line.sink;
    refused(aggregate(&line), "no-write", &format!("WRITE of topic {sink}"), &format!("Write --topic {sink}"));
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn creating_a_topic() {
    let mut line = Line::on_secured("no-create");
    log_in(&mut line, "no-create", "SCRAM-SHA-512");
    let (topic, produced) = (&line.source, line.run(&["produce", "--count", "1"], LIMIT));
    refused(produced, "no-create", &format!("CREATE of topic {topic}"), &format!("Create --topic {topic}"));
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn a_consumer_group() {
    let line = line("no-group");
    let group = line.group();
    refused(aggregate(&line), "no-group", &format!("READ of consumer group {group}"), &format!("Read --group {group}"));
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn a_transactional_id() {
    let line = line("no-transactions");
    let id = line.group();
    let acl = format!("Write --transactional-id {id}");
    refused(aggregate(&line), "no-transactions", &format!("WRITE of transactional id {id}"), &acl);
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn all_of_them() {
    let line = line("nobody");
    let topic = &line.source;
    refused(aggregate(&line), "nobody", &format!("DESCRIBE of topic {topic}"), &format!("Describe --topic {topic}"));
    line.run(&["doctor"], LIMIT).expect(77).says(&["user `nobody` needs DESCRIBE of topic"]);
}
