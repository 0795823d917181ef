//! The cells of one window.

use std::collections::HashMap;

use super::accumulator::Accumulator;
use super::windows::{Definition, Event, Row};

/// Groups and their accumulators. There may be millions, so a cell has no memory of its own but its group's bytes: some 120 bytes
/// each with a short group and one measure, and 32 for every further measure.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The number of each group's cell.
    numbers: HashMap<Box<[u8]>, usize>,
    /// By number: the partition of the cell's first event.
    partitions: Vec<i32>,
    /// By number: one for each of [`Definition::functions`].
    accumulators: Vec<Accumulator>,
}

impl Window {
    /// How many cells it has.
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Adds an event to its group's cell.
    ///
    /// # Errors
    /// Each group should be in one partition, but this one was seen in that other one.
    pub fn add(&mut self, definition: &Definition, event: &Event<'_>) -> Result<(), i32> {
        let functions = &definition.functions;
        let number = if let Some(number) = self.numbers.get(event.group) {
            *number
        } else {
            let number = self.len();
            self.numbers.insert(event.group.into(), number);
            self.partitions.push(event.partition);
            self.accumulators.resize(self.accumulators.len() + functions.len(), Accumulator::default());
            number
        };
        let first = self.partitions[number];
        if definition.keyed && first != event.partition {
            return Err(first);
        }
        let cell = &mut self.accumulators[number * functions.len()..];
        cell.iter_mut()
            .zip(functions)
            .zip(event.values)
            .for_each(|((accumulator, function), value)| accumulator.add(*function, *value));
        Ok(())
    }

    /// Appends the results, in the order of the groups; `start` is the window's, ms.
    pub fn emit(self, definition: &Definition, start: i64, rows: &mut Vec<Row>) {
        let (functions, first) = (&definition.functions, rows.len());
        rows.extend(self.numbers.into_iter().map(|(group, number)| {
            let cell = &self.accumulators[number * functions.len()..];
            let values = cell.iter().zip(functions).map(|(accumulator, function)| accumulator.result(*function));
            Row { start_ms: start, end_ms: start + definition.window_ms, group, values: values.collect() }
        }));
        rows[first..].sort_unstable_by(|a, b| a.group.cmp(&b.group));
    }
}
