//! Counting a topic's records over several looks: what was counted is not read again. Pure.

use std::collections::BTreeMap;

use crate::kafka::Ends;

/// A topic of which more offsets are to be read at once is not counted: it would take seconds.
const MOST: i64 = 200_000;

/// Which offsets of a topic were counted.
#[derive(Debug, Default)]
pub(super) struct Counted(BTreeMap<i32, Ends>);

/// What there is to count.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    /// These offsets, beside what was counted before.
    More(BTreeMap<i32, Ends>),
    /// These, and what was counted before is no longer so.
    Anew(BTreeMap<i32, Ends>),
    /// More than is counted.
    TooMany,
}

impl Counted {
    /// What there is to count, of a topic that has these ends now. They count as counted from here on.
    pub fn look(&mut self, ends: &BTreeMap<i32, Ends>) -> Fresh {
        let is_so = |(partition, before): (&i32, &Ends)| {
            ends.get(partition).is_some_and(|now| now.low == before.low && now.high >= before.high)
        };
        let has_grown = !self.0.is_empty() && self.0.iter().all(is_so);
        let before = std::mem::take(&mut self.0);
        let from =
            |partition, now: &Ends| if has_grown { before.get(partition).map_or(now.low, |one| one.high) } else { now.low };
        let fresh: BTreeMap<i32, Ends> =
            ends.iter().map(|(partition, now)| (*partition, Ends { low: from(partition, now), high: now.high })).collect();
        if fresh.values().map(|ends| ends.high - ends.low).sum::<i64>() > MOST {
            return Fresh::TooMany;
        }
        self.0.clone_from(ends);
        if has_grown { Fresh::More(fresh) } else { Fresh::Anew(fresh) }
    }

    /// What was to be counted was not: the next look begins anew.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(low: i64, high: i64) -> BTreeMap<i32, Ends> {
        BTreeMap::from([(0, Ends { low, high })])
    }

    #[test]
    fn only_what_is_new_is_counted() {
        let mut counted = Counted::default();
        assert_eq!(counted.look(&ends(2, 9)), Fresh::Anew(ends(2, 9)));
        assert_eq!(counted.look(&ends(2, 9)), Fresh::More(ends(9, 9)));
        assert_eq!(counted.look(&ends(2, 12)), Fresh::More(ends(9, 12)));
        let two = BTreeMap::from([(0, Ends { low: 2, high: 12 }), (1, Ends { low: 0, high: 4 })]);
        let more = BTreeMap::from([(0, Ends { low: 12, high: 12 }), (1, Ends { low: 0, high: 4 })]);
        assert_eq!(counted.look(&two), Fresh::More(more), "a partition that was added");
    }

    #[test]
    fn what_was_deleted_or_made_anew_is_counted_again() {
        let mut counted = Counted::default();
        counted.look(&ends(0, 9));
        assert_eq!(counted.look(&ends(3, 9)), Fresh::Anew(ends(3, 9)));
        assert_eq!(counted.look(&ends(3, 5)), Fresh::Anew(ends(3, 5)));
        counted.forget();
        assert_eq!(counted.look(&ends(3, 6)), Fresh::Anew(ends(3, 6)));
    }

    #[test]
    fn too_many_are_not_counted_but_a_topic_may_grow_to_any_size() {
        let mut counted = Counted::default();
        assert_eq!(counted.look(&ends(0, MOST + 1)), Fresh::TooMany);
        assert_eq!(counted.look(&ends(1, MOST + 1)), Fresh::Anew(ends(1, MOST + 1)));
        assert_eq!(counted.look(&ends(1, MOST + 9)), Fresh::More(ends(MOST + 1, MOST + 9)));
    }
}
