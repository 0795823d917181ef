use crate::config::Config;
use crate::error::{Error, Kind, Result};

pub(super) async fn run(_config: &Config) -> Result<()> {
    Err(Error::new(Kind::Failed, "not there yet"))
}
