//! Faults on demand, for `tests/faults`. The program is shipped without the feature `faults`; then every function here is empty.
//!
//! With it, the environment variable `FAULTS` says what goes wrong, for example `kill after-flush 3; offsets-outside`:
//!
//! * `kill POINT N`, `stop POINT N`: at the N-th arrival at this point (of the process, from 1) it sends itself SIGKILL or SIGSTOP.
//! * a negative control: the program does a thing wrong, and the tests must find out.

/// The places that a fault can strike at, in the order of a session's life. All but the first are passed once a transaction.
pub const POINTS: [&str; 9] = [
    "restore",       // the committed offsets were read; then, once a batch, while records are read again
    "before-begin",  // of a transaction
    "after-begin",   // nothing was sent
    "after-produce", // its records are handed over, not all of them delivered
    "after-flush",   // they are delivered
    "after-offsets", // its offsets are delivered, the commit is not sent
    "after-commit",  // it is committed
    "between",       // with the control `offsets-outside`: rows are committed, offsets are not
    "revoke",        // partitions are being taken away
];

/// What can be done wrong on purpose: offsets committed in a later transaction than their rows; reading from the position on in
/// place of the committed offset, so that open windows are not rebuilt; rows written around the transaction.
pub const CONTROLS: [&str; 3] = ["offsets-outside", "state-not-rebuilt", "no-transaction"];

#[cfg(feature = "faults")]
pub use on::{control, point};

/// A place that a fault can strike at.
#[cfg(not(feature = "faults"))]
#[inline(always)]
#[allow(clippy::inline_always, reason = "so that not even a call is left")]
pub fn point(_name: &str) {}

/// Whether this is to be done wrong.
#[cfg(not(feature = "faults"))]
#[inline(always)]
#[allow(clippy::inline_always, reason = "so that not even a branch is left")]
pub fn control(_name: &str) -> bool {
    false
}

#[cfg(feature = "faults")]
mod on {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{CONTROLS, POINTS};

    struct Strike {
        signal: i32,
        point: String,
        arrival: u32,
        arrived: AtomicU32,
    }

    #[derive(Default)]
    struct Faults {
        strikes: Vec<Strike>,
        controls: Vec<String>,
    }

    /// A place that a fault can strike at.
    pub fn point(name: &str) {
        assert!(POINTS.contains(&name), "`{name}` is no point");
        for strike in faults().strikes.iter().filter(|strike| strike.point == name) {
            if strike.arrived.fetch_add(1, Ordering::Relaxed) + 1 == strike.arrival {
                // To this very thread, which goes no step further: sent to the process, it may arrive after the next request.
                // SAFETY: a system call that takes no pointer.
                unsafe { libc::raise(strike.signal) };
            }
        }
    }

    /// Whether this is to be done wrong.
    pub fn control(name: &str) -> bool {
        assert!(CONTROLS.contains(&name), "`{name}` is no control");
        faults().controls.iter().any(|control| control == name)
    }

    fn faults() -> &'static Faults {
        static FAULTS: OnceLock<Faults> = OnceLock::new();
        FAULTS.get_or_init(|| parse(&std::env::var("FAULTS").unwrap_or_default()))
    }

    /// A mistake in a test's own words ends the test.
    fn parse(text: &str) -> Faults {
        let mut faults = Faults::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split(' ').collect::<Vec<_>>()[..] {
                [control] if CONTROLS.contains(&control) => faults.controls.push(control.to_owned()),
                [signal @ ("kill" | "stop"), point, arrival] if POINTS.contains(&point) => faults.strikes.push(Strike {
                    signal: if signal == "kill" { libc::SIGKILL } else { libc::SIGSTOP },
                    point: point.to_owned(),
                    arrival: arrival.parse().unwrap_or_else(|_| panic!("FAULTS: `{arrival}` is no number")),
                    arrived: AtomicU32::new(0),
                }),
                _ => panic!("FAULTS: `{part}` is neither `kill POINT N`, nor `stop POINT N`, nor a control"),
            }
        }
        faults
    }
}
