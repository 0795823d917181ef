//! `pipeline up`

use crate::cli::Up;
use crate::config::Config;
use crate::error::{Error, Kind, Result};

#[expect(clippy::unused_async, reason = "to come")]
pub(super) async fn run(_config: &Config, _args: &Up) -> Result<()> {
    Err(Error::new(Kind::Failed, "not there yet"))
}
