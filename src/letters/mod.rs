//! Dead letters: counted, shown, and sent again.
//!
//! `aggregate` writes them, in the transaction that also says that their records were read. Here they are read by readers of
//! committed records, up to where the topic ended at the start, and without joining a consumer group.

mod letter;
mod list;
mod replay;
mod show;

pub use letter::{Envelope, Letter};
pub use list::{Cause, Summary};
pub use replay::{Replay, Sent, Waiting, left_behind};
pub use show::{Newest, show};

/// No topic has so many causes: what comes beyond was not written by this program.
const CAUSES_MAX: usize = 100;

/// What a letter without a cause is listed under.
const NO_CAUSE: &str = "(none)";
