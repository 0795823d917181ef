//! The aggregate functions over one cell: one group in one window.

/// A number from a record, or the result of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer. 128 bits hold the sum of 2^64 longs, so sums never wrap.
    Int(i128),
    /// A floating-point number.
    Float(f64),
}

impl Number {
    fn to_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    fn less_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a < b,
            // Total order: a NaN is greater than every number, in whatever order they come.
            (a, b) => a.to_f64().total_cmp(&b.to_f64()).is_lt(),
        }
    }
}

/// An aggregate function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// The sum of the values; null if there is none.
    Sum,
    /// How many values are not null.
    Count,
    /// The least value; null if there is none.
    Min,
    /// The greatest value; null if there is none.
    Max,
    /// The mean of the values, as a float; null if there is none.
    Avg,
}

/// An aggregate in the making.
#[derive(Debug, Clone)]
pub(super) enum Accumulator {
    Sum(Total),
    Count(u64),
    Min(Option<Number>),
    Max(Option<Number>),
    Avg(Total),
}

/// A sum and how many values are in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Total {
    count: u64,
    int: i128,
    /// Floats are summed apart, with Neumaier's compensation, so that the order of reading shows only far behind the point.
    float: Option<(f64, f64)>,
}

impl Total {
    fn add(&mut self, value: Number) {
        self.count += 1;
        match value {
            // Cannot saturate: that takes 2^64 longs.
            Number::Int(value) => self.int = self.int.saturating_add(value),
            Number::Float(value) => {
                let (sum, lost) = self.float.unwrap_or((0.0, 0.0));
                let next = sum + value;
                let error = if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
                self.float = Some((next, lost + error));
            }
        }
    }

    fn sum(&self) -> Option<Number> {
        match self.float {
            _ if self.count == 0 => None,
            None => Some(Number::Int(self.int)),
            // An infinite or NaN sum has a NaN compensation: the sum itself is the answer then.
            Some((sum, lost)) if lost.is_finite() => Some(Number::Float(sum + lost + self.int as f64)),
            Some((sum, _)) => Some(Number::Float(sum)),
        }
    }

    fn mean(&self) -> Option<Number> {
        self.sum().map(|sum| Number::Float(sum.to_f64() / self.count as f64))
    }
}

impl Accumulator {
    pub fn new(function: Function) -> Self {
        match function {
            Function::Sum => Self::Sum(Total::default()),
            Function::Count => Self::Count(0),
            Function::Min => Self::Min(None),
            Function::Max => Self::Max(None),
            Function::Avg => Self::Avg(Total::default()),
        }
    }

    pub fn add(&mut self, value: Option<Number>) {
        let Some(value) = value else { return };
        match self {
            Self::Sum(total) | Self::Avg(total) => total.add(value),
            Self::Count(count) => *count += 1,
            Self::Min(least) => {
                if least.is_none_or(|least| value.less_than(least)) {
                    *least = Some(value);
                }
            }
            Self::Max(greatest) => {
                if greatest.is_none_or(|greatest| greatest.less_than(value)) {
                    *greatest = Some(value);
                }
            }
        }
    }

    pub fn result(&self) -> Option<Number> {
        match self {
            Self::Sum(total) => total.sum(),
            Self::Count(count) => Some(Number::Int(i128::from(*count))),
            Self::Min(value) | Self::Max(value) => *value,
            Self::Avg(total) => total.mean(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(function: Function, values: &[Option<Number>]) -> Option<Number> {
        let mut accumulator = Accumulator::new(function);
        values.iter().for_each(|value| accumulator.add(*value));
        accumulator.result()
    }

    #[allow(clippy::unnecessary_wraps)]
    fn int(value: i64) -> Option<Number> {
        Some(Number::Int(value.into()))
    }

    #[test]
    fn each_function_over_integers_and_nulls() {
        let values = [int(7), None, int(-2), int(4)];
        assert_eq!(of(Function::Sum, &values), int(9));
        assert_eq!(of(Function::Count, &values), int(3));
        assert_eq!(of(Function::Min, &values), int(-2));
        assert_eq!(of(Function::Max, &values), int(7));
        assert_eq!(of(Function::Avg, &values), Some(Number::Float(3.0)));
    }

    #[test]
    fn of_nothing_is_null_but_for_the_count() {
        for function in [Function::Sum, Function::Min, Function::Max, Function::Avg] {
            assert_eq!(of(function, &[None]), None);
        }
        assert_eq!(of(Function::Count, &[None]), int(0));
    }

    #[test]
    fn sums_of_longs_do_not_wrap() {
        assert_eq!(of(Function::Sum, &[int(i64::MAX), int(i64::MAX)]), Some(Number::Int(2 * i128::from(i64::MAX))));
    }

    #[test]
    fn float_sums_do_not_depend_on_the_order() {
        let values: Vec<f64> = vec![1e16, 1.0, -1e16, 0.5, 3.25];
        let mut reversed = values.clone();
        reversed.reverse();
        for order in [values, reversed] {
            let numbers: Vec<_> = order.into_iter().map(|value| Some(Number::Float(value))).collect();
            assert_eq!(of(Function::Sum, &numbers), Some(Number::Float(4.75)));
        }
    }
}
