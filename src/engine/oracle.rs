//! The same aggregation, computed the plain way from a list of records: the judge of the engine, and of what a sink holds.
//!
//! It shares no code with the engine but the types of its input and output: it keeps all values of a cell, adds integers up
//! without a bound, and floats without loss.

use std::collections::BTreeMap;

use num_bigint::BigInt;

use super::accumulator::{Function, Number};
use super::windows::Definition;

/// A record as the oracle takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Event time, ms.
    pub time_ms: i64,
    /// What it is grouped by.
    pub group: Box<[u8]>,
    /// One value for each of [`Definition::functions`].
    pub values: Vec<Option<Number>>,
}

/// Results by (window start in ms, group).
pub type Cells = BTreeMap<(i64, Box<[u8]>), Vec<Option<Number>>>;

/// The values of each cell, column by column.
type Columns = BTreeMap<(i64, Box<[u8]>), Vec<Vec<Number>>>;

/// Computes every cell from all records. Late ones are the caller's to leave out; with late = "delta" they are not left out, and
/// the rows of a cell are to be added up.
pub fn recompute(definition: &Definition, records: impl IntoIterator<Item = Observed>) -> Cells {
    let mut columns: Columns = BTreeMap::new();
    for record in records {
        let mut start = definition.offset_ms;
        let distance = record.time_ms - definition.offset_ms;
        start += distance - distance.rem_euclid(definition.window_ms);
        let cell = columns.entry((start, record.group)).or_insert_with(|| vec![Vec::new(); definition.functions.len()]);
        for (column, value) in cell.iter_mut().zip(record.values) {
            column.extend(value);
        }
    }
    let results = |columns: Vec<Vec<Number>>| {
        definition.functions.iter().zip(columns).map(|(function, column)| result(*function, &column)).collect()
    };
    columns.into_iter().map(|(cell, columns)| (cell, results(columns))).collect()
}

fn result(function: Function, column: &[Number]) -> Option<Number> {
    if function == Function::Count {
        return Some(Number::Int(column.len() as i128));
    }
    if column.is_empty() {
        return None;
    }
    let ints: Option<Vec<BigInt>> = column.iter().map(whole).collect();
    Some(match (ints, function) {
        (Some(ints), Function::Min) => number(&ints.into_iter().min()?),
        (Some(ints), Function::Max) => number(&ints.into_iter().max()?),
        (Some(ints), Function::Sum) => number(&ints.iter().sum()),
        (Some(ints), _) => Number::Float(nearest(&ints.iter().sum()) / column.len() as f64),
        (None, function) => Number::Float(of_floats(function, column)),
    })
}

fn whole(number: &Number) -> Option<BigInt> {
    match number {
        Number::Int(value) => Some(BigInt::from(*value)),
        Number::Wide { carry, low } => Some(BigInt::from(*carry) * BigInt::from(2).pow(128) + low),
        Number::Float(_) => None,
    }
}

fn number(value: &BigInt) -> Number {
    i128::try_from(value).map_or_else(|_| wide(value), Number::Int)
}

fn wide(value: &BigInt) -> Number {
    let half = BigInt::from(2).pow(127);
    // A shift rounds down, for negative numbers too.
    let carry: BigInt = (value + &half) >> 128_u32;
    let low = value - (&carry << 128_u32);
    Number::Wide { carry: i32::try_from(&carry).unwrap_or(i32::MAX), low: i128::try_from(&low).unwrap_or(i128::MAX) }
}

fn nearest(value: &BigInt) -> f64 {
    value.to_string().parse().unwrap_or(f64::NAN)
}

fn of_floats(function: Function, column: &[Number]) -> f64 {
    let floats: Vec<f64> = column
        .iter()
        .map(|number| match number {
            Number::Float(value) => *value,
            whole_number => whole(whole_number).map_or(f64::NAN, |value| nearest(&value)),
        })
        .collect();
    let numbers = || floats.iter().copied().filter(|value| !value.is_nan());
    match function {
        Function::Min if numbers().next().is_some() => numbers().fold(f64::INFINITY, |a, b| if is_below(b, a) { b } else { a }),
        Function::Max if numbers().count() == floats.len() => {
            numbers().fold(f64::NEG_INFINITY, |a, b| if is_below(a, b) { b } else { a })
        }
        Function::Min | Function::Max => f64::NAN,
        Function::Avg => exact_sum(&floats, floats.len() as f64),
        Function::Sum | Function::Count => exact_sum(&floats, 1.0),
    }
}

/// Of two numbers, with -0 below 0.
fn is_below(a: f64, b: f64) -> bool {
    if a == 0.0 && b == 0.0 { a.is_sign_negative() && b.is_sign_positive() } else { a < b }
}

/// The sum over `divisor`. It is kept in parts that do not overlap, so nothing is lost until the end (J. R. Shewchuk, Adaptive
/// Precision Floating-Point Arithmetic, 1997); all is halved 64 times first, so that no sum on the way is beyond a float's range.
fn exact_sum(floats: &[f64], divisor: f64) -> f64 {
    if floats.iter().any(|value| !value.is_finite()) {
        return floats.iter().fold(0.0, |sum, value| if value.is_finite() { sum } else { sum + value });
    }
    let large = floats.iter().any(|value| value.abs() > f64::MAX / 2_f64.powi(64));
    let scale = if large { 2_f64.powi(64) } else { 1.0 };
    let mut parts: Vec<f64> = Vec::new();
    for value in floats {
        let mut rest = value / scale;
        let mut next = Vec::new();
        for part in parts {
            let (large, small) = if rest.abs() < part.abs() { (part, rest) } else { (rest, part) };
            let sum = large + small;
            let error = small - (sum - large);
            if error != 0.0 {
                next.push(error);
            }
            rest = sum;
        }
        next.push(rest);
        parts = next;
    }
    // A sum is never -0.
    (parts.iter().sum::<f64>() + 0.0) / divisor * scale
}
