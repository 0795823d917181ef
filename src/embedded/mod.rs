//! Kafka and a schema registry inside this process, for `pipeline demo` and for tests: nothing to install, nothing left behind.
//!
//! Both listen on ports of 127.0.0.1 that the system picks, so any client on this machine can look, and both keep all in memory
//! and end when they are dropped. Produce and aggregate do not know them from real servers.
//!
//! [`broker`] is librdkafka's mock cluster. On it the sums are those of a real Kafka, but its promises about crashes are not kept, since
//! the mock
//!
//! * loses the offsets of a transaction: whoever begins anew (an aggregate started again, a session after an error, an instance that
//!   takes over a share) finds rows in the sink but no offsets, and ends with 74, unless told where to begin (`--start earliest`
//!   writes every row again);
//! * shows aborted records to `read_committed` readers, and takes the commit of a producer that was fenced;
//! * has only the topics that it was started with: there is no CreateTopics, DeleteRecords (so no `--reset`), DescribeConfigs or
//!   DescribeGroups;
//! * answers a fetch that finds nothing when its wait is over (`fetch.wait.max.ms`, 500 ms), not when a record comes;
//! * divides a group anew only after the session timeout, but for the first member;
//! * keeps 5 MiB of each partition, about 58,000 records written one by one, and drops the oldest beyond that.
//!
//! Another thing is so on a real Kafka, too: a partition without a record holds the others back for the `idle_timeout`.
//!
//! [`registry`] speaks the part of Confluent's API that clients use and checks nothing but that a schema is Avro.

mod broker;
mod registry;
mod subjects;

pub use broker::Broker;
pub use registry::Registry;
