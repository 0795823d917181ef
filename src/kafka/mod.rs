//! Kafka: clients, topics, reading, transactions, and what their errors mean.

mod client;
mod consumer;
mod count;
mod describe;
mod errors;
mod last;
mod member;
mod probe;
mod scan;
mod tail;
mod topics;
mod transaction;
mod writer;

pub use client::{Context, Need, Resource, client_config};
pub use consumer::{Committed, Source};
pub use count::{Counted, count};
pub use errors::explain;
pub use last::{last_records, last_values, newest};
pub use member::{Member, Share};
pub use probe::{Right, may_transact};
pub use scan::scan;
pub use tail::{Look, Tail};
pub use topics::{Cluster, Copies, Ends, Setting, TopicSpec};
pub use transaction::{Broken, Outgoing, Transactional};
pub use writer::{Tally, Writer};
