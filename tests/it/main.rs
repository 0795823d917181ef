//! Integration tests: the program as a user runs it.
//!
//! * [`errors`], [`canary`], [`config`], [`completions`], [`messages`], [`embedded`] and [`demo`] need no server and run with every `cargo test`;
//!   one of [`demo`] looks at the page with Chromium, and is ignored otherwise:
//!   `tests/stack/install --browser && cargo test --release --test it -- --ignored demo`
//!   Some of [`embedded`] and [`messages`] are at a terminal, which util-linux's `script` makes.
//! * [`kafka`] runs against two of the servers of `tests/stack`, and is ignored otherwise:
//!   `tests/stack/up kafka registry && cargo test --release --test it -- --ignored kafka`
//!   Those in its module `alone` want the machine to themselves.
//! * [`line`], [`setup`] and [`proof`] need all of them: `tests/stack/up && cargo test --release --test it -- --ignored line setup proof`
//! * [`docker`] reads the files of `docker/`; what it says of the compose file needs Go, or PyPI's, and is ignored otherwise:
//!   `cargo test --release --test it -- --ignored docker::`
//! * [`secured`] needs a Kafka with TLS, logins and ACLs beside all of those: `tests/stack/up kafka registry druid superset secured &&
//!   cargo test --release --test it -- --ignored secured::`
//! * [`flink`] needs Flink beside those two: `tests/stack/up kafka registry flink && cargo test --release --test it -- --ignored flink::`

mod arrows;
mod canary;
mod completions;
mod config;
mod demo;
mod docker;
mod embedded;
mod errors;
mod flink;
#[allow(dead_code, unused_imports, reason = "it is shared with tests/faults, which uses the rest")]
mod harness;
mod kafka;
mod line;
mod messages;
mod proof;
mod secured;
mod setup;
