//! Kafka and a schema registry inside this process, for `pipeline demo` and for tests: nothing to install, nothing left behind.
//!
//! Both listen on ports of 127.0.0.1 that the system picks, so any client on this machine can look, and both keep all in memory
//! and end when they are dropped. Produce and aggregate do not know them from real servers.
//!
//! [`broker`] is librdkafka's mock cluster. Against it the arithmetic of the pipeline holds as it does on a real Kafka, but not the
//! promises about crashes, since the mock
//!
//! * loses the offsets of a transaction: an aggregate that is started again finds rows in the sink but no offsets, and refuses with
//!   74 unless told where to begin (`--start earliest` writes every row again);
//! * shows aborted records to `read_committed` readers, and takes the commit of a producer that was fenced;
//! * knows only the topics that it was started with: there is no CreateTopics, DeleteRecords (so no `--reset`), DescribeConfigs or
//!   ListGroups;
//! * answers a fetch that found nothing when its wait is over, not when a record comes (`fetch.wait.max.ms`, 500 ms);
//! * keeps 5 MiB of each partition, about 58,000 records written one by one, and drops the oldest beyond that.
//!
//! [`registry`] speaks the part of Confluent's API that clients use and checks nothing but that a schema is Avro.

mod broker;
mod registry;
mod subjects;

pub use broker::Broker;
pub use registry::Registry;
