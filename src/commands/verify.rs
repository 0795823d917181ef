//! `pipeline verify`

use crate::cli::Verify;
use crate::config::Config;
use crate::error::{Error, Kind, Result};

#[expect(clippy::unused_async, reason = "to come")]
pub(super) async fn run(_config: &Config, _args: &Verify) -> Result<()> {
    Err(Error::new(Kind::Failed, "not there yet"))
}
