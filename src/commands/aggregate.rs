use crate::cli::Aggregate;
use crate::config::Config;
use crate::error::{Error, Kind, Result};

pub(super) async fn run(_config: &Config, _args: &Aggregate) -> Result<()> {
    Err(Error::new(Kind::Failed, "not there yet"))
}
