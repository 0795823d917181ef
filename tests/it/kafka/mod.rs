//! Against a real Kafka and a real registry.

mod kills;
