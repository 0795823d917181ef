//! The aggregate job: the engine between two topics.
//!
//! ```text
//! source topic -> reader (bytes -> event) -> engine -> layout (row -> bytes) -> sink topic, dead letters, offsets: one transaction
//! ```
//!
//! [`session`] is the loop that drives them on a thread of its own; [`restore`] decides where it begins. A session that cannot
//! go on ends, and a new one begins from what was committed: there is one way to recover, and every start takes it. [`handover`] is
//! that start for Flink, which then does the work in our place; [`rows`] is how we come back.

mod control;
mod dead_letter;
mod ends;
mod handover;
mod idle;
mod layout;
mod look;
mod patience;
mod reader;
mod restore;
mod rows;
mod run;
mod session;
mod turn;
mod work;

pub use control::{Control, Snapshot, Status};
pub use handover::{Beginning, Handover, after_savepoint, leave_savepoint, was_with_flink};
pub use layout::{Input, Layout};
pub use reader::{Decoded, Reader, Unreadable, Writer};
pub use restore::{Start, committed_progress, is_with_flink};
pub use run::{Job, Outcome, compacted};
