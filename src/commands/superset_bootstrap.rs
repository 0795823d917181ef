use std::io::Write;

use crate::cli::Setup;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::superset;

pub(super) async fn run(config: &Config, _setup: Setup) -> Result<()> {
    let outcome = superset::bootstrap(config).await?;
    for warning in outcome.warnings() {
        tracing::warn!("{warning}");
    }
    write!(std::io::stdout(), "{outcome}")
        .map_err(|error| Error::new(Kind::Failed, format!("cannot write the report: {error}")))?;
    outcome.result()
}
