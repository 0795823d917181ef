//! The aggregate functions over one cell: one group in one window.

use std::fmt;

use num_bigint::BigInt;

/// A number from a record, or the result of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer; a decimal is the integer of its smallest units, at a scale that the caller keeps the same.
    Int(i128),
    /// An integer that 128 bits do not hold: `carry` * 2^128 + `low`.
    Wide {
        /// How often 2^128 is in it; not 0.
        carry: i32,
        /// The rest, from -2^127 on.
        low: i128,
    },
    /// A floating-point number.
    Float(f64),
}

impl Number {
    fn of(carry: i32, low: i128) -> Self {
        if carry == 0 { Self::Int(low) } else { Self::Wide { carry, low } }
    }

    /// The nearest float.
    fn to_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            // Rust reads a float's text to the nearest: two roundings in a row might miss it.
            Self::Wide { .. } => self.to_string().parse().unwrap_or(f64::NAN),
            Self::Float(value) => value,
        }
    }
}

/// Integers exactly, whatever their size.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Wide { carry, low } => ((BigInt::from(*carry) << 128_u32) + BigInt::from(*low)).fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

/// An aggregate function.
///
/// Of floats: a NaN is greater than every number, whatever its sign bit, and -0 is less than 0, so that least and greatest do
/// not depend on the order of reading; a sum or mean with a NaN, or with both infinities, is NaN.
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

/// An aggregate in the making. Which function it is of is not kept in it: there may be millions of them.
///
/// The values of one are all integers or all floats; if not, they are taken as floats.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Accumulator {
    /// There was no value yet.
    #[default]
    Empty,
    /// Integers, the sum or the extreme of which is `carry` * 2^128 + `low`. (The carry would wrap after 2^32 values that take
    /// all 128 bits.)
    Ints { carry: i32, count: u64, low: i128 },
    /// Floats, the extreme of which is `value`; the sum is `value` + `lost`, with Neumaier's compensation, so that the order of
    /// reading shows only far behind the point.
    Floats { scaled: bool, count: u64, value: f64, lost: f64 },
}

const _: () = assert!(size_of::<Accumulator>() == 32);

/// A sum of floats that passes their range on its way is kept this much smaller: a later value may bring it back.
const SHRINK: f64 = 1.0 / GROW;
/// 2^64: so many values of the greatest size can be added up then.
const GROW: f64 = 18_446_744_073_709_551_616.0;

impl Accumulator {
    pub fn add(&mut self, function: Function, number: Option<Number>) {
        match number {
            None => {}
            Some(Number::Int(low)) => self.add_int(function, 0, low),
            Some(Number::Wide { carry, low }) => self.add_int(function, carry, low),
            Some(Number::Float(value)) => self.add_float(function, value),
        }
    }

    fn add_int(&mut self, function: Function, more: i32, value: i128) {
        match self {
            Self::Empty => *self = Self::Ints { carry: more, count: 1, low: value },
            Self::Ints { carry, count, low } => {
                *count += 1;
                match function {
                    Function::Sum | Function::Avg => {
                        let (sum, wrapped) = low.overflowing_add(value);
                        let wraps = if value < 0 { -1 } else { 1 };
                        *carry += more + if wrapped { wraps } else { 0 };
                        *low = sum;
                    }
                    Function::Min => (*carry, *low) = (*carry, *low).min((more, value)),
                    Function::Max => (*carry, *low) = (*carry, *low).max((more, value)),
                    Function::Count => {}
                }
            }
            Self::Floats { .. } => self.add_float(function, Number::of(more, value).to_f64()),
        }
    }

    fn add_float(&mut self, function: Function, number: f64) {
        let number = plain(number);
        match self {
            Self::Empty => *self = Self::Floats { scaled: false, count: 1, value: number, lost: 0.0 },
            Self::Ints { carry, count, low } => {
                let value = Number::of(*carry, *low).to_f64();
                *self = Self::Floats { scaled: false, count: *count, value, lost: 0.0 };
                self.add_float(function, number);
            }
            Self::Floats { scaled, count, value, lost } => {
                *count += 1;
                match function {
                    Function::Sum | Function::Avg => compensate(scaled, value, lost, number),
                    Function::Min if number.total_cmp(value).is_lt() => *value = number,
                    Function::Max if number.total_cmp(value).is_gt() => *value = number,
                    Function::Min | Function::Max | Function::Count => {}
                }
            }
        }
    }

    pub fn result(&self, function: Function) -> Option<Number> {
        Some(match (function, *self) {
            (Function::Count, Self::Empty) => Number::Int(0),
            (_, Self::Empty) => return None,
            (Function::Count, Self::Ints { count, .. } | Self::Floats { count, .. }) => Number::Int(count.into()),
            (Function::Avg, Self::Ints { carry, count, low }) => Number::Float(Number::of(carry, low).to_f64() / count as f64),
            (_, Self::Ints { carry, low, .. }) => Number::of(carry, low),
            (Function::Min | Function::Max, Self::Floats { value, .. }) => Number::Float(value),
            (function, Self::Floats { scaled, count, value, lost }) => {
                // An infinite or NaN sum has a NaN compensation: the sum itself is the answer then.
                let sum = if lost.is_finite() { value + lost } else { value };
                let result = if function == Function::Avg { sum / count as f64 } else { sum };
                Number::Float(plain(if scaled { result * GROW } else { result }))
            }
        })
    }
}

/// There are many NaNs, and which one comes out of a sum depends on the order.
fn plain(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

fn compensate(scaled: &mut bool, value: &mut f64, lost: &mut f64, number: f64) {
    if !*scaled && value.is_finite() && number.is_finite() && (*value + number).is_infinite() {
        *scaled = true;
        *value *= SHRINK;
        *lost *= SHRINK;
    }
    let number = if *scaled { number * SHRINK } else { number };
    let next = *value + number;
    let error = if value.abs() >= number.abs() { (*value - next) + number } else { (number - next) + *value };
    *lost += error;
    *value = next;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(function: Function, values: &[Option<Number>]) -> Option<Number> {
        let mut accumulator = Accumulator::default();
        values.iter().for_each(|value| accumulator.add(function, *value));
        accumulator.result(function)
    }

    #[allow(clippy::unnecessary_wraps)]
    fn int(value: i64) -> Option<Number> {
        Some(Number::Int(value.into()))
    }

    fn of_floats(function: Function, values: &[f64]) -> f64 {
        let numbers: Vec<_> = values.iter().map(|value| Some(Number::Float(*value))).collect();
        match of(function, &numbers) {
            Some(Number::Float(value)) => value,
            other => panic!("{other:?}"),
        }
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
    fn sums_beyond_128_bits_are_told_exactly() {
        let greatest = Some(Number::Int(i128::MAX));
        let least = Some(Number::Int(i128::MIN));
        let text = |values: &[Option<Number>]| of(Function::Sum, values).unwrap().to_string();
        assert_eq!(text(&[greatest, int(1)]), "170141183460469231731687303715884105728");
        assert_eq!(text(&[greatest; 5]), "850705917302346158658436518579420528635");
        assert_eq!(text(&[least; 3]), "-510423550381407695195061911147652317184");
        assert_eq!(text(&[greatest, greatest, least, least]), "-2");
        assert_eq!(of(Function::Sum, &[greatest, int(1), int(-1)]), greatest);
        assert_eq!(of(Function::Avg, &[greatest; 3]), Some(Number::Float(2_f64.powi(127))));
        assert_eq!(of(Function::Avg, &[least; 4]), Some(Number::Float(-(2_f64.powi(127)))));
    }

    #[test]
    fn float_sums_do_not_depend_on_the_order() {
        let mut values = vec![1e16, 1.0, -1e16, 0.5, 3.25];
        assert_eq!(of_floats(Function::Sum, &values).to_bits(), 4.75_f64.to_bits());
        values.reverse();
        assert_eq!(of_floats(Function::Sum, &values).to_bits(), 4.75_f64.to_bits());
        // Passing the range of a float on the way is no end.
        for values in [[1.5e308, 1.5e308, -1.5e308], [1.5e308, -1.5e308, 1.5e308]] {
            assert_eq!(of_floats(Function::Sum, &values).to_bits(), 1.5e308_f64.to_bits());
        }
        assert_eq!(of_floats(Function::Avg, &[f64::MAX, f64::MAX]).to_bits(), f64::MAX.to_bits());
        assert!(of_floats(Function::Sum, &[f64::MAX, f64::MAX]).is_infinite());
    }

    #[test]
    fn what_is_no_number_is_the_greatest_in_whatever_order() {
        let infinite = f64::INFINITY;
        for nan in [f64::NAN, -f64::NAN] {
            for values in [[nan, 1.0, -infinite], [1.0, nan, -infinite], [-infinite, 1.0, nan]] {
                assert_eq!(of_floats(Function::Max, &values).to_bits(), f64::NAN.to_bits());
                assert_eq!(of_floats(Function::Min, &values).to_bits(), (-infinite).to_bits());
                assert_eq!(of_floats(Function::Sum, &values).to_bits(), f64::NAN.to_bits());
            }
        }
        assert_eq!(of_floats(Function::Sum, &[infinite, -infinite]).to_bits(), f64::NAN.to_bits());
        assert_eq!(of_floats(Function::Avg, &[1.0, infinite, 2.0]).to_bits(), infinite.to_bits());
        assert_eq!(of_floats(Function::Min, &[0.0, -0.0]).to_bits(), (-0.0_f64).to_bits());
    }
}
