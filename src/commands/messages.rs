//! What is said on stderr while a command runs: notes, warnings, progress, and the error that ends it. Data goes to stdout.
//!
//! `--quiet` leaves warnings and errors, `--log-format json` makes a JSON object of each line. Both hold for the whole process.

use std::fmt::{Arguments, Display};
use std::io::{IsTerminal, Stderr, Write};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::screen::beside;
use crate::cli::{Global, Output};
use crate::error::{Error, Kind, Result};

/// `println!`, but a reader that has gone away is no failure of what goes on here.
macro_rules! say {
    ($($line:tt)*) => { $crate::commands::screen::say(&format_args!($($line)*)) };
}

/// A line on stderr about how it goes; with `--quiet` there is none.
macro_rules! note {
    ($($line:tt)*) => { $crate::commands::messages::note(&format_args!($($line)*)) };
}

/// A line on stderr about what may be wrong; with `--quiet` too.
macro_rules! warning {
    ($($line:tt)*) => { $crate::commands::messages::warning(&format_args!($($line)*)) };
}

/// How often progress is told: where a line replaces the one before, and where each is kept.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Whatever PIPELINE_LOG says, what this module has to say passes.
const OWN: &str = "pipeline::commands::messages=info";

/// How messages are told.
#[derive(Debug, Clone, Copy, Default)]
struct Manner {
    quiet: bool,
    json: bool,
    /// On a terminal a line can replace the one before.
    terminal: bool,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

/// Whether a line of progress stands on the terminal, which the next message replaces.
static LINE_STANDS: AtomicBool = AtomicBool::new(false);

fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

/// Whether only warnings and errors are told.
pub fn is_quiet() -> bool {
    manner().quiet
}

/// Whether progress may be drawn: on a terminal that shows messages as text.
pub fn is_live() -> bool {
    let Manner { quiet, json, terminal } = manner();
    terminal && !quiet && !json
}

/// Sets how messages are told, once. `PIPELINE_LOG=debug` (or any filter of tracing's) shows more of them.
pub(super) fn start(global: &Global) -> Result<()> {
    let terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb");
    let manner = Manner { quiet: global.quiet, json: global.log_format == Output::Json, terminal };
    // Only tests could start a second time in one process.
    let _ = MANNER.set(manner);
    let wanted = std::env::var("PIPELINE_LOG").unwrap_or_else(|_| "warn".into());
    let filter = EnvFilter::try_new(&wanted);
    let broken = filter.as_ref().err().map(ToString::to_string);
    let mut filter = filter.unwrap_or_else(|_| EnvFilter::new("warn"));
    if let Ok(own) = OWN.parse() {
        filter = filter.add_directive(own);
    }
    let most = if manner.quiet { LevelFilter::WARN } else { LevelFilter::TRACE };
    let log = tracing_subscriber::fmt::layer().with_writer(|| Line(std::io::stderr()));
    let subscriber = tracing_subscriber::registry().with(most).with(filter);
    if manner.json {
        subscriber.with(log.json().flatten_event(true)).init();
    } else {
        subscriber.with(log).init();
    }
    match broken {
        Some(why) => Err(Error::new(Kind::Config, format!("PIPELINE_LOG={wanted}: {why}")).hint("try PIPELINE_LOG=debug")),
        None => Ok(()),
    }
}

/// Tells how a command failed, whatever else is told, and gives its exit code.
pub fn failure(error: &Error) -> ExitCode {
    if manner().json {
        tracing::error!(hint = error.hint.as_deref(), exit_code = error.exit_code(), "{}", error.message);
    } else {
        write(&format_args!("error: {error}\n"));
    }
    ExitCode::from(error.exit_code())
}

pub(super) fn note(line: &Arguments<'_>) {
    match manner() {
        Manner { quiet: true, .. } => {}
        Manner { json: true, .. } => tracing::info!("{line}"),
        _ => write(&format_args!("{line}\n")),
    }
}

pub(super) fn warning(line: &Arguments<'_>) {
    if manner().json { tracing::warn!("{line}") } else { write(&format_args!("warning: {line}\n")) }
}

/// What is about to be done. Whoever is asked whether it shall be, is told with `--quiet` too.
pub(super) fn intent(list: &impl Display, is_asked: bool) {
    if is_asked { write(&format_args!("{list}")) } else { note(&format_args!("{}", list.to_string().trim_end())) }
}

/// A line about where something stands: on a terminal it replaces the one before.
pub(super) fn progress(line: &str) {
    if is_live() {
        write(&format_args!("{line}"));
        LINE_STANDS.store(true, Ordering::Relaxed);
    } else {
        note(&format_args!("{line}"));
    }
}

/// How often to tell it.
pub(super) fn progress_interval() -> Duration {
    if is_live() { INTERVALS.0 } else { INTERVALS.1 }
}

/// Takes the last line of progress away, if it stands on a terminal.
pub(super) fn clear_progress() {
    if LINE_STANDS.swap(false, Ordering::Relaxed) {
        write(&format_args!("\r\x1b[K"));
    }
}

/// Leaves the last line of progress where it stands.
pub(super) fn keep_progress() {
    if LINE_STANDS.swap(false, Ordering::Relaxed) {
        write(&format_args!("\n"));
    }
}

/// Writes to stderr. If nobody reads it, there is nobody to tell.
fn write(text: &Arguments<'_>) {
    let _ = Line(std::io::stderr()).write_all(text.to_string().as_bytes());
}

/// Stderr; what is written to it replaces a line of progress.
struct Line(Stderr);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        beside(|| {
            if LINE_STANDS.swap(false, Ordering::Relaxed) {
                self.0.write_all(b"\r\x1b[K")?;
            }
            self.0.write(bytes)
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
