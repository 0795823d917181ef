//! What the tests stand on. Nothing here uses the code under test but its program: topics are read with a plain consumer, values
//! decoded by apache-avro against the registry's schemas, and sums computed in a few lines of their own.

mod avro;
mod browser;
mod druid;
mod gate;
mod line;
mod process;
mod random;
mod request;
pub mod rest;
mod servers;
mod sums;
mod superset;
mod tls;
mod topics;

pub use avro::{Decoder, Fields, encode};
pub use browser::Browser;
pub use druid::Druid;
pub use gate::{Cut, Gate};
pub use line::{Line, SECURED_PASSWORD};
pub use process::{Ended, Running};
pub use random::Random;
pub use servers::{Servers, block_on};
pub use sums::{Comparison, Sums, closed, compare, minute, number, rows, sums, sums_without, text};
pub use superset::Superset;
pub use tls::{Authorization, TlsProxy};
pub use topics::{Isolation, Record, Topics, committed, high, low};

use std::time::{Duration, Instant};

/// Asks again and again until there is an answer; panics with `what` when the time is up.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
