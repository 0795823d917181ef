//! The ways to log in, and what is said when one fails.

use super::{LIMIT, log_in, produce};
use crate::harness::{Isolation, Line, Servers, closed, compare, rows, sums};

const LATENESS: i64 = 5_000;

/// Events come in, and each minute's sums are right.
#[track_caller]
fn works(line: &Line) {
    produce(line);
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0);
    let (sums, latest) = sums(line);
    let expected = closed(&sums, latest, LATENESS);
    assert!(!expected.is_empty());
    compare(&expected, &rows(line, Isolation::Committed)).expect_equal();
}

#[track_caller]
fn with_password(mechanism: &str) {
    let mut line = Line::on_secured(&mechanism.to_lowercase());
    log_in(&mut line, "line", mechanism);
    works(&line);
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn plain() {
    with_password("PLAIN");
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn scram_sha_256() {
    with_password("SCRAM-SHA-256");
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn scram_sha_512() {
    with_password("SCRAM-SHA-512");
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn oauthbearer() {
    let mut line = Line::on_secured("oauthbearer");
    line.set_kafka(&[
        ("sasl.mechanisms", "OAUTHBEARER"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ("sasl.oauthbearer.config", "principal=line"),
    ]);
    works(&line);
}

/// Has the line look for Kafka at this address.
fn at(line: &mut Line, kafka: &str) {
    line.edit(|table| {
        table["kafka"]["bootstrap_servers"] = kafka.into();
    });
}

/// At the port where a client shows a certificate.
fn with_certificate(test: &str, properties: &[(&str, &str)]) -> Line {
    let mut line = Line::on_secured(test);
    line.set_kafka(&[&[("security.protocol", "SSL")], properties].concat());
    at(&mut line, Servers::get().secured_tls());
    line
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn a_certificate_of_one_s_own() {
    let (certificate, key) = (Servers::get().certificate("client.pem"), Servers::get().certificate("client.key.pem"));
    let own = [("ssl.certificate.location", &*certificate), ("ssl.key.location", &*key), ("ssl.key.password", "for-tests-only")];
    works(&with_certificate("mutual", &own));
}

#[track_caller]
fn fails(line: &Line, code: i32, words: &[&str]) {
    for command in [&["produce", "--count", "1"][..], &["aggregate", "--until-caught-up"]] {
        line.run(command, LIMIT).expect(code).says(words).says(&["hint: "]);
    }
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn a_wrong_password() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let mut line = Line::on_secured("password");
        log_in(&mut line, "line", mechanism);
        std::fs::write(line.folder.join("password"), "wrong").expect("written");
        fails(&line, 77, &["uthentication failed", "sasl.password", "PIPELINE_KAFKA_PROPERTIES_SASL_PASSWORD"]);
    }
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn a_mechanism_that_the_broker_does_not_know() {
    let mut line = Line::on_secured("mechanism");
    log_in(&mut line, "line", "SCRAM-SHA-1");
    fails(&line, 77, &["SCRAM-SHA-1", "supported mechanisms", "sasl.mechanisms"]);
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn a_ca_that_is_not_trusted() {
    let mut line = Line::on_secured("ca");
    log_in(&mut line, "line", "PLAIN");
    line.edit(|table| drop(table["kafka"]["properties"].as_table_mut().expect("a table").remove("ssl.ca.location")));
    fails(&line, 69, &["could not be verified", "ssl.ca.location"]);
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn no_certificate_where_one_is_wanted() {
    fails(&with_certificate("certificate", &[]), 77, &["certificate", "ssl.certificate.location", "ssl.key.location"]);
}

#[test]
#[ignore = "needs tests/stack/up secured registry"]
fn no_tls_where_it_is_wanted() {
    let mut line = Line::on_secured("plaintext");
    line.set_kafka(&[("security.protocol", "PLAINTEXT")]);
    fails(&line, 69, &[Servers::get().secured(), "security.protocol (SSL, SASL_SSL)"]);
}

#[test]
#[ignore = "needs tests/stack/up kafka secured registry"]
fn tls_where_none_is_spoken() {
    let mut line = Line::on_secured("tls");
    log_in(&mut line, "line", "PLAIN");
    at(&mut line, Servers::get().kafka());
    fails(&line, 69, &["PLAINTEXT", "SASL_PLAINTEXT"]);
}
