//! `pipeline restore`: puts back what a setup command replaced.

use super::messages;
use crate::backup::{self, Backup};
use crate::cli::Restore;
use crate::config::Config;
use crate::druid;
use crate::error::{Error, Kind, Result};
use crate::plan::Told;
use crate::superset;

pub(super) async fn run(config: &Config, args: &Restore) -> Result<()> {
    let Some(file) = &args.file else { return list(config) };
    let backup = Backup::read(file)?;
    if backup.pipeline != config.name {
        let message = format!(
            "{} is a backup of the pipeline file named `{}`, and this one is `{}`",
            file.display(),
            backup.pipeline,
            config.name
        );
        return Err(Error::new(Kind::Config, message).hint("name that pipeline file with --config"));
    }
    let (count, system, made) = (backup.objects.len(), &backup.system, &backup.made);
    let what = format!("put back what {system} had before {made} (objects: {count})");
    match backup.system.as_str() {
        "druid" => {
            let restoration = druid::Restoration::plan(config, &backup).await?;
            messages::intent(&Told { plan: &restoration.plan, done: false }, !args.yes);
            super::confirm(&what, args.yes)?;
            restoration.carry_out(config, |told| note!("{told}")).await?;
        }
        "superset" => {
            let restoration = superset::Restoration::plan(config, &backup).await?;
            messages::intent(&Told { plan: &restoration.plan, done: false }, !args.yes);
            super::confirm(&what, args.yes)?;
            restoration.carry_out(config).await?;
        }
        other => {
            return Err(Error::new(Kind::Config, format!("{}: there is no system `{other}`", file.display()))
                .hint("was it made by a newer version?"));
        }
    }
    say!("{what}");
    Ok(())
}

fn list(config: &Config) -> Result<()> {
    let files = backup::list(&config.name)?;
    if files.is_empty() {
        say!("no backups of the pipeline file named `{}`", config.name);
    }
    for file in files {
        match Backup::read(&file) {
            Ok(backup) => say!("{}  {:<8} objects: {}  {}", backup.made, backup.system, backup.objects.len(), file.display()),
            Err(error) => warning!("{error}"),
        }
    }
    Ok(())
}
