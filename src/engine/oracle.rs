//! The same aggregation, computed the plain way from a list of records: the judge of the engine, and of what a sink holds.
//!
//! It shares no code with the engine but the types of its input and output.

use std::collections::BTreeMap;

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

/// Computes every cell from all records. Late ones are the caller's to leave out.
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
    let ints: Option<Vec<i128>> =
        column.iter().map(|number| if let Number::Int(value) = number { Some(*value) } else { None }).collect();
    match (ints, function) {
        (Some(ints), Function::Sum) => Some(Number::Int(ints.iter().sum())),
        (Some(ints), Function::Min) => ints.into_iter().min().map(Number::Int),
        (Some(ints), Function::Max) => ints.into_iter().max().map(Number::Int),
        (_, function) => Some(Number::Float(of_floats(function, column))),
    }
}

fn of_floats(function: Function, column: &[Number]) -> f64 {
    let mut floats: Vec<f64> = column
        .iter()
        .map(|number| match number {
            Number::Int(value) => *value as f64,
            Number::Float(value) => *value,
        })
        .collect();
    floats.sort_by(f64::total_cmp);
    match function {
        Function::Min => floats[0],
        Function::Max => floats[floats.len() - 1],
        Function::Avg => floats.iter().sum::<f64>() / floats.len() as f64,
        Function::Sum | Function::Count => floats.iter().sum(),
    }
}
