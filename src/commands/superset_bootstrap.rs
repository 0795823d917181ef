use crate::cli::{Output, Setup};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::superset::{self, Manner, Outcome};

pub(super) async fn run(config: &Config, setup: Setup) -> Result<()> {
    let outcome = superset::bootstrap(config, Manner { dry_run: setup.dry_run, adopt: setup.adopt }).await?;
    for warning in outcome.warnings() {
        tracing::warn!("{warning}");
    }
    match setup.output {
        Output::Json => say!("{}", outcome.to_json()),
        Output::Text if setup.dry_run => say!("{}", outcome.intended().trim_end()),
        Output::Text => say!("{}", outcome.to_string().trim_end()),
    }
    if setup.dry_run { nothing_to_do(&outcome) } else { outcome.result() }
}

fn nothing_to_do(outcome: &Outcome) -> Result<()> {
    if outcome.plan.changes_something() {
        return Err(Error::new(Kind::Differs, "Superset is not as the pipeline file says; nothing was written"));
    }
    Ok(())
}
