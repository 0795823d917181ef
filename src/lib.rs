//! `pipeline`: Avro events on Kafka to a live, proven dashboard.
//!
//! The map of the code, from the outside in. An arrow goes from who calls to who is called, and never back:
//!
//! ```text
//! main -> commands -> { metrics, view, verify, doctor, status } -> { follow -> proof -> aggregate, letters, druid, superset, flink, embedded }
//!      -> { kafka, registry } -> { avro, http } -> engine
//! ```
//!
//! * [`cli`]: what can be typed; [`config`]: what the pipeline file says; [`error`]: what can go wrong and its exit code.
//! * [`faults`]: what a build for tests makes go wrong on purpose; empty otherwise.
//! * [`commands`]: one file a verb, wiring only.
//! * [`engine`]: windows, watermark, aggregation, generator. Pure: no I/O, no clock, no randomness of its own.
//! * [`avro`]: framing, decoding by a plan, encoding. Pure.
//! * [`aggregate`]: the job that puts the engine between two topics; [`metrics`]: what it tells over HTTP; [`letters`]: what it
//!   could not use, looked at and sent again. [`kafka`]: clients, topics, transactions. [`registry`]: the schema registry.
//! * [`embedded`]: a broker and a registry inside this process, for a demonstration and for tests.
//! * [`druid`], [`superset`]: what should be there (pure) and the client that brings it about, over [`http`].
//!   [`plan`]: what is to be done about each object, told setting by setting (pure); [`backup`]: what is replaced, kept in a file.
//! * [`flink`]: the same aggregate as a job of a Flink cluster.
//! * [`proof`]: what the topics say of the sink's rows and of the charts (pure); [`follow`]: reading them for that. [`view`]: the dashboard and its proof as a live page;
//!   [`verify`]: the same proof through Druid and Superset. [`doctor`]: is everything there that is needed; [`status`]: how far is it.

pub mod aggregate;
pub mod avro;
pub mod backup;
pub mod cli;
pub mod commands;
pub mod config;
pub mod doctor;
pub mod druid;
pub mod embedded;
pub mod engine;
pub mod error;
pub mod faults;
pub mod flink;
pub mod follow;
pub mod http;
pub mod kafka;
pub mod letters;
pub mod metrics;
pub mod plan;
pub mod proof;
pub mod registry;
pub mod status;
pub mod superset;
pub mod verify;
pub mod view;
