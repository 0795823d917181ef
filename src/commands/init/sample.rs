//! What the sampled records of a topic hold, field by field. Pure.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::avro::Scalar;

/// How many different values of a field are kept to be shown.
const EXAMPLES: usize = 5;

/// The records that were looked at.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// How many could be read.
    pub records: u64,
    /// How many could not.
    pub unread: u64,
    /// What each field held, in the order of the values added.
    pub fields: Vec<Seen>,
}

/// What one field held.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// How many values were null.
    pub nulls: u64,
    /// How many were not.
    pub values: u64,
    /// The first different values.
    pub examples: Vec<String>,
    /// The values of a long, all of them.
    pub longs: Vec<i64>,
    /// The different values, as hashes.
    hashes: HashSet<u64>,
}

impl Sample {
    /// A sample of records with so many fields, none looked at yet.
    pub fn of(fields: usize) -> Self {
        Self { records: 0, unread: 0, fields: vec![Seen::default(); fields] }
    }

    /// Takes a record's values, one a field.
    pub fn add(&mut self, values: &[Scalar<'_>]) {
        self.records += 1;
        self.fields.iter_mut().zip(values).for_each(|(seen, value)| seen.add(value));
    }
}

impl Seen {
    fn add(&mut self, value: &Scalar<'_>) {
        if *value == Scalar::Null {
            self.nulls += 1;
            return;
        }
        self.values += 1;
        if let Scalar::Long(long) = value {
            self.longs.push(*long);
        }
        let text = value.to_string();
        if self.hashes.insert(BuildHasherDefault::<DefaultHasher>::default().hash_one(&text)) && self.examples.len() < EXAMPLES {
            self.examples.push(text);
        }
    }

    /// How many different values there were.
    pub fn distinct(&self) -> u64 {
        self.hashes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_and_told_apart() {
        let mut sample = Sample::of(2);
        for (store, time) in [("A", 1), ("B", 2), ("A", 3)] {
            sample.add(&[Scalar::Str(store), Scalar::Long(time)]);
        }
        sample.add(&[Scalar::Null, Scalar::Long(3)]);
        let [stores, times] = &sample.fields[..] else { panic!("two fields") };
        assert_eq!((sample.records, stores.values, stores.nulls, stores.distinct()), (4, 3, 1, 2));
        assert_eq!((&stores.examples[..], &times.longs[..]), (&["A".to_owned(), "B".to_owned()][..], &[1, 2, 3, 3][..]));
    }
}
