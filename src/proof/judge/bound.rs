//! How much of the proof is kept.

use super::{Cell, Judgement, Key, Proof};
use crate::proof::rows::add_up;

/// So many cells are kept; of older windows equal cells are only counted.
pub(super) const CELLS: usize = 200_000;
/// So many records are kept, about 100 MB of them; of older equal cells only the row is.
pub(super) const RECORDS: usize = 1_000_000;
/// So many cells may have rows before their records are read.
pub(super) const AHEAD: usize = CELLS / 4;

impl Proof {
    /// Whether so many records are kept that rows must be read before more of them are.
    pub fn needs_rows(&self) -> bool {
        self.records >= RECORDS
    }

    /// Whether so many rows are ahead of their records that those must be read first.
    pub fn needs_records(&self) -> bool {
        self.rows_ahead >= AHEAD
    }

    /// Bounds the memory, at the cost of the oldest windows.
    pub(super) fn bound(&mut self) {
        if self.records > RECORDS / 4 * 3 {
            for cell in self.cells.values_mut() {
                if self.records <= RECORDS / 2 {
                    break;
                }
                if cell.judgement == Judgement::Equal && !cell.rows.is_empty() {
                    self.records -= cell.records.len();
                    cell.base = add_up(&cell.rows);
                    cell.records = Vec::new();
                }
            }
        }
        // Nobody aggregates: what is due can no longer be known.
        while self.records > RECORDS / 4 * 5 {
            self.forget_first();
        }
        if self.cells.len() > CELLS {
            self.forget_what_rests();
            while self.cells.len() > CELLS / 4 * 5 && self.cells.keys().next().map(|key| key.0) < self.last_row {
                self.forget_first();
            }
        }
        while self.left_out.len() > CELLS {
            self.left_out.pop_first();
            self.forgotten.left_out += 1;
        }
    }

    /// Forgets the oldest cells of which nothing more is to be said.
    fn forget_what_rests(&mut self) {
        let rests = |cell: &Cell| matches!(cell.judgement, Judgement::Equal | Judgement::Nothing | Judgement::LeftOut);
        let old = self.cells.iter().take_while(|(key, _)| Some(key.0) < self.last_row);
        let spare = self.cells.len() - CELLS / 4 * 3;
        let keys: Vec<Key> = old.filter(|(_, cell)| rests(cell)).map(|(key, _)| key.clone()).take(spare).collect();
        for key in keys {
            self.kept_from = self.kept_from.max(key.0 + 1);
            self.forget(&key);
        }
    }

    /// Forgets the first window with all its cells.
    fn forget_first(&mut self) {
        let Some(first) = self.cells.first_key_value().map(|(key, _)| key.0) else { return };
        self.kept_from = self.kept_from.max(first + 1);
        self.given_up_until = self.given_up_until.max(first + 1);
        let keys: Vec<Key> =
            self.cells.range((first, Box::default())..(first + 1, Box::default())).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.forget(key));
    }

    fn forget(&mut self, key: &Key) {
        let Some(cell) = self.cells.remove(key) else { return };
        self.changed.remove(key);
        self.records -= cell.records.len();
        self.rows_ahead -= usize::from(cell.is_ahead());
        match cell.judgement {
            Judgement::Nothing => {}
            Judgement::Equal => {
                self.forgotten.equal += 1;
                self.forgotten.explained += u64::from(cell.is_explained(self.letters_from));
            }
            Judgement::Differs(_) => self.forgotten.differing += 1,
            _ => self.forgotten.left_out += 1,
        }
    }
}
