//! Counting the records of a topic.
//!
//! Offsets do not tell how many there are: transactions leave markers that take offsets, and what was aborted still has its own.
//! So the topic is read, as a reader of committed records sees it.

use std::collections::BTreeMap;

use rdkafka::Message;

use super::{Ends, scan};
use crate::config;
use crate::error::Result;

/// How many records a topic has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Records with a value that passed the test.
    pub good: u64,
    /// Records with a value that did not.
    pub bad: u64,
    /// Records without a value.
    pub empty: u64,
}

/// Counts the committed records of a topic up to `ends`, as [`super::Cluster::ends`] of a `read_committed` cluster told them.
///
/// `good` tells of a value whether it counts as good. Blocks; joins no consumer group and commits nothing.
pub fn count(
    kafka: &config::Kafka,
    topic: &str,
    ends: &BTreeMap<i32, Ends>,
    mut good: impl FnMut(&[u8]) -> Result<bool>,
) -> Result<Counted> {
    let mut counted = Counted::default();
    scan(kafka, topic, ends, |record| counted.add(record.payload(), &mut good))?;
    Ok(counted)
}

impl Counted {
    fn add(&mut self, value: Option<&[u8]>, good: impl FnOnce(&[u8]) -> Result<bool>) -> Result<()> {
        match value.map(good).transpose()? {
            None => self.empty += 1,
            Some(true) => self.good += 1,
            Some(false) => self.bad += 1,
        }
        Ok(())
    }
}
