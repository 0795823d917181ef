//! Superset: the dashboard of a pipeline file, made and kept as the file says.
//!
//! * Pure: [`assets`] says what should be there ([`columns`], [`chart`], [`layout`], [`address`] and [`ids`] are its parts),
//!   [`found`] reads what is, [`diff`] compares, [`bundle`] packs an import, [`failure`] interprets refusals.
//! * [`client`] sends. [`bootstrap`] is the order of things.
//!
//! What is made here belongs to the pipeline file: ids follow from its `name`, so a second run finds the same objects, and when
//! one differs from the file in a setting that the file decides, all are imported anew. Objects of the same name that are not
//! ours are never touched.

pub mod address;
pub mod assets;
pub mod bundle;
pub mod chart;
pub mod client;
pub mod columns;
pub mod diff;
mod druid;
pub mod failure;
pub mod found;
pub mod ids;
pub mod layout;
mod outcome;

use serde_json::{Value, json};

use self::address::Address;
use self::assets::Asset;
use self::client::Session;
use self::diff::{Change, Verdict};
use self::failure::Trouble;
use self::found::Found;
use self::ids::Kind;
pub use self::outcome::{Outcome, Rows};
use crate::config::Config;
use crate::error::{self, Error, Result};

/// A chart's title, and what its query brought.
type Answered = (String, Result<Rows, Trouble>);

/// Makes the dashboard be as the pipeline file says, and asks each chart for its data.
pub async fn bootstrap(config: &Config) -> Result<Outcome> {
    let desired = assets::desired(config)?;
    let address = Address::of(config)?;
    let session = Session::login(&config.superset).await?;
    let mut found = session.find_all(&desired).await?;
    let mut verdicts = verdicts(&desired, &found);
    let up_to_date = verdicts.iter().all(|verdict| *verdict == Verdict::Unchanged);
    if !up_to_date {
        found = write(&session, &desired, &address).await?;
    }
    let mut charts = query(config, &session, &desired, &found).await;
    if lost_druid(&charts) {
        let answer = druid::ask(config).await;
        // A stored password cannot be read back: where ours works, it may be another.
        if up_to_date && answer.is_ok() && refused_by_druid(&charts) {
            found = write(&session, &desired, &address).await?;
            charts = query(config, &session, &desired, &found).await;
            if !lost_druid(&charts) {
                verdicts[0] = Verdict::Changed(vec![password_change()]);
            }
        }
        charts = explain(&druid::why_not_reached(config, answer), charts);
    }
    let page = config.dashboard.as_ref().map(|one| session.page(&format!("superset/dashboard/{}/", one.slug)));
    Ok(Outcome::new(&desired, verdicts, charts, page))
}

fn verdicts(desired: &[Asset], found: &[Option<Found>]) -> Vec<Verdict> {
    let pairs = desired.iter().zip(found);
    pairs.map(|(asset, found)| diff::verdict(&asset.settings, settings(found.as_ref()))).collect()
}

/// Imports, and reads back what came of it.
async fn write(session: &Session, desired: &[Asset], address: &Address) -> Result<Vec<Option<Found>>> {
    session.may_write(desired).await?;
    refuse_strangers(session, desired).await?;
    session.import(desired, address).await?;
    let found = session.find_all(desired).await?;
    warn_of_what_did_not_stick(desired, &found);
    Ok(found)
}

fn password_change() -> Change {
    Change { setting: "password".into(), old: json!("***"), new: json!("***") }
}

fn settings(found: Option<&Found>) -> Option<&Value> {
    found.map(|found| &found.settings)
}

/// An import takes over whatever has the name of one of its objects; so it is looked for first.
async fn refuse_strangers(session: &Session, desired: &[Asset]) -> Result<()> {
    for asset in desired {
        if let Some(stranger) = session.stranger(asset).await? {
            let (setting, way_out) = match asset.kind {
                Kind::Database => ("name", "give the pipeline file another `name`"),
                Kind::Dataset => ("name", "give the [[datasource]] another `name`"),
                Kind::Chart | Kind::Dashboard => ("slug", "give the [dashboard] another `slug`"),
            };
            let taken = asset.settings["slug"].as_str().unwrap_or(&asset.name);
            return Err(Error::new(
                error::Kind::Failed,
                format!(
                    "Superset has a {} with the {setting} `{taken}` that this pipeline file did not make ({stranger})",
                    asset.kind
                ),
            )
            .hint(format!("{way_out}, or rename or delete that one in Superset; nothing was changed")));
        }
    }
    Ok(())
}

fn warn_of_what_did_not_stick(desired: &[Asset], found: &[Option<Found>]) {
    for (asset, found) in desired.iter().zip(found) {
        for change in diff::changes(&asset.settings, settings(found.as_ref()).unwrap_or(&Value::Null)) {
            tracing::warn!("{} `{}`: Superset did not take {change}", asset.kind, asset.name);
        }
    }
}

/// Asks each chart for its data, until it is plain that Druid cannot be asked.
async fn query(config: &Config, session: &Session, desired: &[Asset], found: &[Option<Found>]) -> Vec<Answered> {
    let mut charts = Vec::new();
    for (asset, found) in desired.iter().zip(found).filter(|(asset, _)| asset.kind == Kind::Chart) {
        let rows = match found {
            Some(found) => session.rows(found.id).await,
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
    charts.iter().any(|(_, rows)| matches!(rows, Err(Trouble::NoDruid(_) | Trouble::NoAnswer(_))))
}

/// Whether Superset was told no, or nothing; not whether it still waits.
fn refused_by_druid(charts: &[Answered]) -> bool {
    charts.iter().any(|(_, rows)| matches!(rows, Err(Trouble::NoDruid(_))))
}

/// Superset does not say why it cannot ask Druid; Druid's answer to us does.
fn explain(why: &Error, charts: Vec<Answered>) -> Vec<Answered> {
    let explained = |trouble| match trouble {
        Trouble::NoDruid(_) | Trouble::NoAnswer(_) => Trouble::NoDruid(why.clone()),
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
