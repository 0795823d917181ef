//! Metrics by time and group, bounded in number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::proof::Tally;

/// The value of each dimension.
pub type Group = Arc<[String]>;

/// The tallies of one time, or of all.
#[derive(Debug, Default)]
pub struct Bucket {
    /// Groups that are told apart.
    pub groups: BTreeMap<Group, Tally>,
    /// All others together.
    pub others: Option<Tally>,
}

impl Bucket {
    /// Takes in the records of another one.
    fn merge(&mut self, other: &Self) {
        for (group, tally) in &other.groups {
            self.groups.entry(Arc::clone(group)).or_default().merge(tally);
        }
        other.others.iter().for_each(|tally| self.others.get_or_insert_default().merge(tally));
    }
}

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The latest so many buckets are kept.
    pub buckets: usize,
    /// The first so many groups are told apart.
    pub groups: usize,
}

/// Tallies by bucket and group.
#[derive(Debug)]
pub struct Tallies {
    limits: Limits,
    /// Those of the buckets; each is shared with them.
    groups: BTreeSet<Group>,
    /// By their start, ms.
    buckets: BTreeMap<i64, Bucket>,
}

impl Tallies {
    /// Tallies of no record yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, groups: BTreeSet::new(), buckets: BTreeMap::new() }
    }

    /// Adds a record, whose value may be null, to a bucket.
    pub fn add(&mut self, bucket: i64, group: &[String], value: Option<f64>) {
        let is_full = self.buckets.len() >= self.limits.buckets;
        if is_full && self.buckets.first_key_value().is_some_and(|(first, _)| bucket < *first) {
            return;
        }
        let group = self.told(group);
        let Bucket { groups, others } = self.buckets.entry(bucket).or_default();
        let tally = match group {
            Some(group) => groups.entry(group).or_default(),
            None => others.get_or_insert_default(),
        };
        value.into_iter().for_each(|value| tally.add(value));
        if self.buckets.len() > self.limits.buckets {
            self.buckets.pop_first();
            self.forget_groups();
        }
    }

    /// The group, if it is one of those told apart.
    fn told(&mut self, group: &[String]) -> Option<Group> {
        if let Some(known) = self.groups.get(group) {
            return Some(Arc::clone(known));
        }
        (self.groups.len() < self.limits.groups).then(|| {
            let group = Group::from(group);
            self.groups.insert(Arc::clone(&group));
            group
        })
    }

    /// Forgets the buckets that begin before this time, ms.
    pub fn forget_before(&mut self, time_ms: i64) {
        let kept = self.buckets.split_off(&time_ms);
        if !std::mem::replace(&mut self.buckets, kept).is_empty() {
            self.forget_groups();
        }
    }

    /// Makes room for other groups when no bucket has them any more.
    fn forget_groups(&mut self) {
        self.groups.retain(|group| Arc::strong_count(group) > 1);
    }

    /// The groups that are told apart, in order.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// The buckets, by their start, ms.
    pub fn buckets(&self) -> &BTreeMap<i64, Bucket> {
        &self.buckets
    }

    /// All buckets that begin up to this time, ms, as one.
    pub fn together(&self, until_ms: i64) -> Bucket {
        self.buckets.range(..=until_ms).fold(Bucket::default(), |mut all, (_, bucket)| {
            all.merge(bucket);
            all
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Function;

    #[test]
    fn groups_that_are_gone_make_room_for_others() {
        let mut tallies = Tallies::new(Limits { buckets: 3, groups: 2 });
        for time in 0..10 {
            tallies.add(time, &[format!("G{time}")], Some(1.0));
        }
        // Of three buckets two have groups that are told apart, and one had none left for it.
        let names: Vec<String> = tallies.groups().map(|group| group.join(", ")).collect();
        assert_eq!((tallies.buckets().len(), names.len()), (3, 2), "{names:?}");
        tallies.add(9, &["G10".to_owned()], Some(5.0));
        assert_eq!(tallies.together(9).others.and_then(|tally| tally.result(Function::Sum)), Some(6.0));
        tallies.forget_before(10);
        assert_eq!((tallies.buckets().len(), tallies.groups().count()), (0, 0));
    }
}
