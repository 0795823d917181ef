//! Kafka: clients, topics, and what their errors mean.

mod client;
mod errors;
mod topics;

pub use client::{Context, client_config};
pub use errors::explain;
pub use topics::{Cluster, Ends, TopicSpec};
