//! The live page: a pipeline file's dashboard, and the proof beside it.
//!
//! ```text
//! topics -> watcher (reads) -> picture (pure: streams with their proofs, drawings) -> state (JSON) -> server -> page
//! ```
//!
//! It reads the topics itself and shares nothing with the job but the layout of its columns: no consumer group, nothing written.

mod drawing;
mod page;
mod picture;
mod proof;
mod rows;
mod server;
mod state;
mod stream;
mod watcher;

pub use server::serve;
pub use state::{State, Verdict};
pub use watcher::{States, Watcher};
