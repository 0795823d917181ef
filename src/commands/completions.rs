//! `pipeline completions`

use crate::cli::Completions;
use crate::error::{Error, Kind, Result};

pub(super) fn run(_args: &Completions) -> Result<()> {
    Err(Error::new(Kind::Failed, "not there yet"))
}
