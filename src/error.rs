//! What went wrong, in the user's terms, and the exit code that says it to a script.
//!
//! The lower layers have error types of their own; at the boundary where a person will read it, each becomes an [`Error`]:
//! one paragraph that names what was tried and where, and a hint that says what to do.

use std::fmt;

/// The kinds of failure. Their numbers are a contract: scripts and service managers act on them.
///
/// Numbers from 64 up are those of BSD's `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Something failed that has no kind of its own.
    Failed = 1,
    /// A comparison found differences.
    Differs = 2,
    /// The command line cannot be understood.
    Usage = 64,
    /// Data or a schema does not fit what the pipeline file says.
    Data = 65,
    /// A server does not answer, or what answers is not that server.
    Unreachable = 69,
    /// Work stopped making progress and was ended by the watchdog.
    Watchdog = 70,
    /// Going on would lose or repeat data.
    DataLoss = 74,
    /// Another instance has taken over: do not restart this one.
    Fenced = 75,
    /// A server refused: credentials or permissions.
    Refused = 77,
    /// The pipeline file, the environment or a flag is wrong.
    Config = 78,
}

/// The exit codes as `--help` shows them.
pub const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  failed; or asked before something is done, you said no
   2  differs
  64  usage: the command line cannot be understood
  65  data or schema does not fit
  69  a server is unreachable
  70  ended by the watchdog: no progress
  74  going on would lose or repeat data
  75  fenced: another instance has taken over
  77  refused: credentials or permissions
  78  configuration is wrong";

/// A failure as the user meets it.
#[derive(Debug, Clone)]
pub struct Error {
    /// What kind of failure it is; decides the exit code.
    pub kind: Kind,
    /// What was tried, where, and what happened.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A result whose error a person will read.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind, with what was tried, where, and what happened.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// The same error with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error with words in front that say what was being done.
    #[must_use]
    pub fn while_doing(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The process exit code of this error.
    pub fn exit_code(&self) -> u8 {
        self.kind as u8
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_in_the_help_text() {
        use Kind::*;
        for kind in [Failed, Differs, Usage, Data, Unreachable, Watchdog, DataLoss, Fenced, Refused, Config] {
            let code = format!("{:>4}  ", kind as u8);
            assert!(EXIT_CODES.lines().any(|line| line.starts_with(&code)), "{kind:?} is not listed");
        }
    }
}
