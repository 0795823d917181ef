//! Tumbling event-time windows, exactly once. Pure: no I/O, no clock, no randomness; this module imports nothing of the crate.
//!
//! # What is computed
//!
//! Window `[start, start + w)` with `start = floor((t - offset) / w) * w + offset`; SUM, COUNT, MIN, MAX, AVG per group.
//! A partition's watermark is its greatest event time less `lateness`; the engine's is the least over the partitions that hold
//! it. A window closes when watermark >= end - 1 (as Flink's event-time trigger fires) and is emitted once, whole. A record
//! whose window was closed when it was read is late.
//!
//! # Why a restart neither loses nor doubles
//!
//! The input log is the state store. Each transaction carries the rows of the windows it closes and, for every assigned
//! partition, an offset (that of its oldest record in an open window, else `position`) and a [`Progress`]. Call a record *old*
//! if its offset is below `position`. After a restart the engine reads from the committed offset on, and:
//!
//! 1. An old record with window end <= `closed_through` is in a row that was committed, in a late handling that was committed, or
//!    was rejected: skipped. (`closed_through` was raised by the same commit that carried the row.)
//! 2. Any other old record belongs to a window that was open at the commit: it is counted into its window again, and only there,
//!    since that window's memory was lost with the process. None is missed: the committed offset is not above the oldest of them.
//!    For this a record must decode as it did before, or not at all; where that can change (a schema id that becomes known), the
//!    caller keeps with the offset what it rejected.
//! 3. A record from `position` on was never part of a commit: it is handled as if for the first time.
//!
//! With [`Definition::late_deltas`] the late handling of a record is a row too, with only what came late. It is in the
//! transaction that lifts `position` over the record, and 1. holds: an old record never gives a delta, and no delta reopens a
//! window or moves `closed_through`. So the rows of a cell add up to all of its records.
//!
//! Nothing closes until every partition has reached its `position` again ([`Engine::replaying`]): else a window could be emitted
//! without its old records. A closing becomes fact with its commit; one that was not committed
//! is decided anew, perhaps otherwise, but every record still ends in exactly one row or one late handling.
//! `closed_through` is kept and asked per partition, because partitions may have been closed by different instances; closing
//! raises it for every assigned partition and never lowers it. The watermark may go back after a restart; closing may not.
//!
//! The price: a restart takes as long as reading the records of the open windows.

mod accumulator;
pub mod generator;
mod oracle;
mod partition;
#[cfg(test)]
mod tests;
mod window;
mod windows;

pub use accumulator::{Function, Number};
pub use oracle::{Cells, Observed, recompute};
pub use partition::{Commit, Progress};
pub use windows::{Definition, Engine, Event, Row, Verdict, window_start};
