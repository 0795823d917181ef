//! `pipeline doctor`

use crate::cli::Doctor;
use crate::config::Config;
use crate::error::{Error, Kind, Result};

#[expect(clippy::unused_async, reason = "to come")]
pub(super) async fn run(_config: &Config, _args: &Doctor) -> Result<()> {
    Err(Error::new(Kind::Failed, "not there yet"))
}
