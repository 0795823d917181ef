//! Metrics by time and group, bounded in number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::Function;

/// The value of each dimension.
pub type Group = Arc<[String]>;

/// A metric over some records.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    count: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
}

impl Tally {
    fn add(&mut self, value: f64) {
        self.merge(&Self { count: 1, sum: value, min: Some(value), max: Some(value) });
    }

    /// Takes in the records of another one.
    pub fn merge(&mut self, other: &Self) {
        let either = |a: Option<f64>, b: Option<f64>, choose: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(choose(a, b)),
            _ => a.or(b),
        };
        self.count += other.count;
        self.sum += other.sum;
        self.min = either(self.min, other.min, f64::min);
        self.max = either(self.max, other.max, f64::max);
    }

    /// What a function gives of the records; `None`: it needs one that is not null.
    pub fn result(&self, function: Function) -> Option<f64> {
        match function {
            Function::Count => Some(self.count as f64),
            Function::Sum => (self.count > 0).then_some(self.sum),
            Function::Avg => (self.count > 0).then(|| self.sum / self.count as f64),
            Function::Min => self.min,
            Function::Max => self.max,
        }
    }
}

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

    #[test]
    fn metrics_are_those_of_sql() {
        let all = [Function::Sum, Function::Count, Function::Min, Function::Max, Function::Avg];
        let mut tally = Tally::default();
        assert_eq!(all.map(|one| tally.result(one)), [None, Some(0.0), None, None, None]);
        [3.0, 1.0].into_iter().for_each(|value| tally.add(value));
        let mut other = Tally::default();
        other.add(2.0);
        tally.merge(&other);
        tally.merge(&Tally::default());
        assert_eq!(all.map(|one| tally.result(one)), [Some(6.0), Some(3.0), Some(1.0), Some(3.0), Some(2.0)]);
    }

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
