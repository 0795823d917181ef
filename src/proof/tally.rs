//! A metric, added up record by record.

use crate::config::Function;

/// A metric over some records.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    count: u64,
    sum: f64,
    /// The sum of the absolute values.
    absolute: f64,
    min: Option<f64>,
    max: Option<f64>,
}

impl Tally {
    /// Takes in a record with this value.
    pub fn add(&mut self, value: f64) {
        self.merge(&Self { count: 1, sum: value, absolute: value.abs(), min: Some(value), max: Some(value) });
    }

    /// Takes in the records of another one.
    pub fn merge(&mut self, other: &Self) {
        let either = |a: Option<f64>, b: Option<f64>, choose: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(choose(a, b)),
            _ => a.or(b),
        };
        self.count += other.count;
        self.sum += other.sum;
        self.absolute += other.absolute;
        self.min = either(self.min, other.min, f64::min);
        self.max = either(self.max, other.max, f64::max);
    }

    /// How large the numbers were that were added up for a function's result: what rounding can make of them, goes by that.
    pub fn magnitude(&self, function: Function) -> f64 {
        match function {
            Function::Sum => self.absolute,
            Function::Avg if self.count > 0 => self.absolute / self.count as f64,
            _ => 0.0,
        }
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
}
