//! What the topics say: whether each cell of a sink is what its raw records come to, and what a chart must show. Pure.
//!
//! * [`Stream`]: one aggregate seen from outside, with the [`judge`] of its cells; [`rows`]: rows as they are and should be.
//! * [`Question`]: what a chart, or a comparison, asks of each record of a topic; [`Tally`]: its answer.
//!
//! What this shares with the job is how records are decoded and how columns are laid out; windows, sums and what is late it finds
//! by other code.

mod judge;
mod question;
mod rows;
mod stream;
mod tally;

pub use judge::{Judged, Key, What};
pub use question::{Answer, DAY_MS, MONDAY_MS, Question, WEEK_MS, bucket, floor};
pub use stream::{Measure, Record, Stream, Told, schema_id};
pub use tally::Tally;

/// So many differences are told one by one.
pub const SHOWN: usize = 20;
