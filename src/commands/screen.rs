//! Bars at the foot of the terminal, and how other lines are written beside them.

use std::fmt::Arguments;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use indicatif::{MultiProgress, ProgressDrawTarget};

use super::messages::is_live;

/// The bars of this process, if it has any.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// The bars; hidden where nothing may be drawn.
pub(super) fn bars() -> &'static MultiProgress {
    BARS.get_or_init(|| {
        let target = if is_live() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        MultiProgress::with_draw_target(target)
    })
}

/// A line on stdout. If nobody reads it, there is nobody to tell.
pub(super) fn say(line: &Arguments<'_>) {
    // What is told must not be made while the bars wait.
    let line = line.to_string();
    beside(|| {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    });
}

/// Writes something while no bar stands in the way; it must not ask for the bars.
pub(super) fn beside<T>(write: impl FnOnce() -> T) -> T {
    match BARS.get() {
        // Of a terminal that has gone away nothing can be asked.
        Some(bars) if std::io::stderr().is_terminal() => bars.suspend(write),
        _ => write(),
    }
}
