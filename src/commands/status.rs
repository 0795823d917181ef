//! `pipeline status`

use crate::cli::Status;
use crate::config::Config;
use crate::error::{Error, Kind, Result};

#[expect(clippy::unused_async, reason = "to come")]
pub(super) async fn run(_config: &Config, _args: &Status) -> Result<()> {
    Err(Error::new(Kind::Failed, "not there yet"))
}
