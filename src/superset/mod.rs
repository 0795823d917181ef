//! Superset: the dashboard of a pipeline file, made and kept as the file says.
//!
//! * Pure: [`assets`] says what should be there ([`columns`], [`chart`], [`filters`], [`layout`], [`address`] and [`ids`] are its
//!   parts), [`found`] reads what is, [`diff`] compares, [`bundle`] packs an import, [`beside`] what users set into it, [`kept`] a
//!   backup, [`failure`] interprets refusals.
//! * [`session`] sends, [`client`] knows the requests, [`survey`] finds out what there is and what has to be done.
//! * [`bootstrap`], [`Removals`] and [`Restoration`] are the order of things.
//!
//! What is made here belongs to the pipeline file: ids follow from its `name` and from what each thing is called, so a second
//! run finds the same objects, and when one differs from the file in a setting that the file decides, all are imported anew. What
//! the file no longer has is known by the same rule and removed. Objects of the same name that are not ours are not touched,
//! unless they are to be adopted: Superset's import takes over what has the name of what it brings, number and links included,
//! so the import of a backup gives it back in the same way.

pub mod address;
pub mod assets;
pub mod beside;
pub mod bundle;
pub mod chart;
pub mod client;
pub mod columns;
pub mod diff;
pub mod drawn;
pub mod druid;
pub mod failure;
pub mod filters;
pub mod found;
pub mod ids;
pub mod kept;
pub mod layout;
mod outcome;
mod remove;
mod restore;
pub mod session;
pub mod survey;

use std::path::PathBuf;

use serde_json::json;

use self::address::Address;
use self::assets::Asset;
use self::failure::Trouble;
use self::found::Found;
use self::ids::Kind;
pub use self::outcome::{Outcome, Rows};
pub use self::remove::Removals;
pub use self::restore::Restoration;
use self::session::Session;
use self::survey::Survey;
use crate::backup::Backup;
use crate::config::{Config, HIDDEN};
use crate::error::{self, Error, Result};
use crate::plan::{Action, Change, Plan};

/// How often an import is sent: once more when Superset gave no answer, or failed, as it does when two import at once.
const IMPORTS: usize = 2;

/// A chart's title, and what its query brought.
type Answered = (String, Result<Rows, Trouble>);

/// What a run of [`bootstrap`] may do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Nothing is written.
    pub dry_run: bool,
    /// What others made under our names is taken over.
    pub adopt: bool,
}

/// Makes the dashboard be as the pipeline file says, and asks each chart for its data.
pub async fn bootstrap(config: &Config, manner: Manner) -> Result<Outcome> {
    let desired = assets::desired(config)?;
    let address = Address::of(config)?;
    let session = Session::login(&config.superset).await?;
    let mut survey = survey::survey(&session, &config.name, &desired).await?;
    survey::strangers(&session, &desired, &mut survey).await?;
    let mut plan = survey.plan(&desired, manner.adopt);
    let page = config.page();
    if manner.dry_run {
        return Ok(Outcome::new(plan, Vec::new(), page));
    }
    let up_to_date = !plan.changes_something();
    let mut backup = None;
    if !up_to_date {
        (survey, backup) = apply(config, &session, &desired, &address, survey, &plan).await?;
    }
    let mut charts = query(config, &session, &desired, &survey.found).await;
    if lost_druid(&charts) {
        let answer = druid::ask(config).await;
        // A stored password cannot be read back: where ours works, it may be another.
        if up_to_date && address.password.is_some() && answer.is_ok() && has_wrong_password(&charts) {
            plan.steps[0].action = Action::Change(vec![password_change()]);
            (survey, backup) = apply(config, &session, &desired, &address, survey, &plan).await?;
            charts = query(config, &session, &desired, &survey.found).await;
        }
        charts = explain(&druid::why_not_reached(config, answer), charts);
    }
    let mut outcome = Outcome::new(plan, charts, page);
    outcome.backup = backup;
    Ok(outcome)
}

/// Carries a plan out: looks whether it may, keeps what is there, imports, removes; and looks at what came of it.
async fn apply(
    config: &Config,
    session: &Session,
    desired: &[Asset],
    address: &Address,
    survey: Survey,
    plan: &Plan,
) -> Result<(Survey, Option<PathBuf>)> {
    may_write(session, desired).await?;
    refuse_strangers(desired, plan)?;
    let backup = keep(config, session, &survey.there(desired)).await?;
    let orphans = survey.orphans.clone();
    let is_import = |action: &Action| matches!(action, Action::Create | Action::Change(_));
    let mut survey = if plan.count(is_import) > 0 { import(config, session, desired, address, survey).await? } else { survey };
    for orphan in orphans.iter().filter(|orphan| orphan.used_by.is_none()) {
        session.delete(orphan.kind, orphan.id).await?;
    }
    survey.orphans.clear();
    Ok((survey, backup))
}

async fn may_write(session: &Session, desired: &[Asset]) -> Result<()> {
    let mut kinds: Vec<Kind> = desired.iter().map(|asset| asset.kind).collect();
    kinds.dedup();
    session.may_write(&kinds).await
}

/// Imports, and reads back what came of it. An import whose answer did not come may have been done, by us or by another run.
async fn import(config: &Config, session: &Session, desired: &[Asset], address: &Address, before: Survey) -> Result<Survey> {
    let mut survey = before;
    for attempt in 1..=IMPORTS {
        let reply = session.import(desired, &survey.present(), address).await;
        let read = survey::survey(session, &config.name, desired).await;
        if let (Err(why), Err(_)) = (&reply, &read) {
            return Err(why.clone());
        }
        // What is taken over keeps what its users set, however often that is tried.
        let strangers = survey.strangers;
        survey = read?;
        survey.strangers = strangers;
        let missing = survey::did_not_stick(desired, &survey.found);
        let may_help = reply.as_ref().map_or(true, |reply| reply.status >= 500);
        let done = reply.and_then(|reply| session.imported(&reply, address));
        match done {
            Ok(()) => missing.iter().for_each(|what| tracing::warn!("{what}")),
            Err(_) if missing.is_empty() => {}
            Err(_) if may_help && attempt < IMPORTS => continue,
            Err(error) => return Err(error),
        }
        break;
    }
    Ok(survey)
}

/// Keeps what is there in a file, and says in which, since what comes after may fail. `None`: there is nothing.
async fn keep(config: &Config, session: &Session, there: &[(Kind, u64)]) -> Result<Option<PathBuf>> {
    let mut files = kept::Files::new();
    for kind in [Kind::Database, Kind::Dataset, Kind::Chart, Kind::Dashboard] {
        let ids: Vec<u64> = there.iter().filter(|(of, _)| *of == kind).map(|(_, id)| *id).collect();
        if !ids.is_empty() {
            let exported = kept::files(session.export(kind, &ids).await?)?;
            // An export of one kind has in it what that needs, under names that differ.
            files.extend(exported.into_iter().filter(|(_, text)| !files.values().any(|known| known == text)).collect::<Vec<_>>());
        }
    }
    let file = Backup::keep(&config.name, "superset", kept::objects(files))?;
    if let Some(file) = &file {
        tracing::warn!("what is there now is kept: `pipeline restore {}` puts it back", file.display());
    }
    Ok(file)
}

fn password_change() -> Change {
    Change { setting: "password".into(), old: json!(HIDDEN), new: json!(HIDDEN) }
}

/// An import takes over whatever has the name of one of its objects, so that must have been asked for.
fn refuse_strangers(desired: &[Asset], plan: &Plan) -> Result<()> {
    for (asset, step) in desired.iter().zip(&plan.steps) {
        let Action::NotOurs { maker, .. } = &step.action else { continue };
        let (setting, way_out) = match asset.kind {
            Kind::Database => ("name", "give the pipeline file another `name`"),
            Kind::Dataset => ("name", "give the [[datasource]] another `name`"),
            Kind::Chart | Kind::Dashboard => ("slug", "give the [dashboard] another `slug`"),
        };
        let taken = asset.settings["slug"].as_str().unwrap_or(&asset.name);
        let what =
            format!("Superset has a {} with the {setting} `{taken}` that this pipeline file did not make ({maker})", asset.kind);
        let error = match &step.effect {
            Some(why_not) => Error::new(error::Kind::Failed, format!("{what}; {why_not}"))
                .hint(format!("{way_out}, or rename or delete that one in Superset; nothing was changed")),
            None => Error::new(error::Kind::Failed, what).hint(format!(
                "{way_out}, rename or delete that one in Superset, or take it over with --adopt; nothing was changed"
            )),
        };
        return Err(error);
    }
    Ok(())
}

/// Asks each chart for its data, until it is plain that Druid cannot be asked.
async fn query(config: &Config, session: &Session, desired: &[Asset], found: &[Option<Found>]) -> Vec<Answered> {
    let mut charts = Vec::new();
    for (asset, found) in desired.iter().zip(found).filter(|(asset, _)| asset.kind == Kind::Chart) {
        let rows = match found {
            Some(found) => session.drawn(found.id).await.map(|drawn| drawn.rows),
            None => Err(Trouble::Other(Error::new(error::Kind::Failed, "it is not there after the import"))),
        };
        let limit = config.chart(&asset.name).map_or(0, |chart| chart.row_limit);
        charts.push((asset.name.clone(), rows.map(|rows| Rows { rows, limit })));
        if lost_druid(&charts) {
            break;
        }
    }
    charts
}

fn lost_druid(charts: &[Answered]) -> bool {
    charts.iter().any(|(_, rows)| matches!(rows, Err(Trouble::NoDruid(_) | Trouble::WrongPassword(_) | Trouble::NoAnswer(_))))
}

fn has_wrong_password(charts: &[Answered]) -> bool {
    charts.iter().any(|(_, rows)| matches!(rows, Err(Trouble::WrongPassword(_))))
}

/// Superset does not say why it cannot ask Druid; Druid's answer to us does.
fn explain(why: &Error, charts: Vec<Answered>) -> Vec<Answered> {
    let explained = |trouble| match trouble {
        Trouble::NoDruid(_) | Trouble::WrongPassword(_) | Trouble::NoAnswer(_) => Trouble::NoDruid(why.clone()),
        other => other,
    };
    charts.into_iter().map(|(title, rows)| (title, rows.map_err(explained))).collect()
}

#[cfg(test)]
pub(crate) mod testing {
    //! What the tests of this module share.

    use std::path::Path;

    use crate::config::{self, Config};

    /// The SALES case.
    pub fn sales() -> Config {
        config::load(Some(Path::new(config::DEFAULT_FILE)), &[]).unwrap()
    }
}
