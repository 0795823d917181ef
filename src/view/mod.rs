//! The live page: a pipeline file's dashboard, and the proof beside it.
//!
//! ```text
//! topics -> watcher (reads) -> picture (pure: streams with their proofs, drawings) -> state (JSON) -> server -> page
//! ```
//!
//! It reads the topics itself: no consumer group, nothing written. What it shares with the job is how records are decoded and how
//! columns are laid out; windows, sums and what is late it finds by other code.

mod drawing;
mod page;
mod picture;
mod server;
mod state;
mod watcher;

pub use server::serve;
pub use state::{State, Verdict};
pub use watcher::{States, Watcher};
