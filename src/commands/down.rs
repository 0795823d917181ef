//! `pipeline down`.

use crate::cli::Down;
use crate::config::Config;
use crate::error::{Error, Kind, Result};

#[allow(clippy::unused_async, reason = "to be filled in")]
pub(super) async fn run(_config: &Config, _args: &Down) -> Result<()> {
    Err(Error::new(Kind::Failed, "not there yet"))
}
