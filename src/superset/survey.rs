//! What there is in Superset of a pipeline file, and what that comes to.

use serde_json::{Value, json};
use uuid::Uuid;

use super::assets::{self, Asset, SCHEMA};
use super::client::Filter;
use super::diff;
use super::found::{self, Found, Listed};
use super::ids::{self, Kind};
use super::session::Session;
use crate::error::Result;
use crate::http::one_line;
use crate::plan::{Action, Change, Plan, Step};

/// Why somebody else's dataset cannot be taken over: an import does not move it.
const OF_ANOTHER_CONNECTION: &str = "it is of another database connection, so it cannot be taken over";

/// What there is.
#[derive(Debug, Default)]
pub struct Survey {
    /// Of each object that should be: what is there.
    pub found: Vec<Option<Found>>,
    /// Of each object that should be: who else has its name.
    pub strangers: Vec<Option<Stranger>>,
    /// What is ours but no longer in the file, each before those that it needs.
    pub orphans: Vec<Orphan>,
    /// The datasets of our connection, and the charts of our datasets and dashboards.
    datasets: Vec<Listed>,
    charts: Vec<Listed>,
}

/// Somebody else's object that has a name of ours.
#[derive(Debug)]
pub struct Stranger {
    uuid: Uuid,
    found: Found,
    /// Whether an import of ours takes it over.
    adoptable: bool,
}

/// An object that the pipeline file once had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// What it is.
    pub kind: Kind,
    /// Its number.
    pub id: u64,
    /// What a person calls it.
    pub name: String,
    /// Why it stays.
    pub used_by: Option<String>,
}

/// Looks at what there is.
pub async fn survey(session: &Session, pipeline: &str, desired: &[Asset]) -> Result<Survey> {
    let mut survey = Survey::default();
    for asset in desired {
        survey.found.push(session.find(asset).await?);
    }
    let database = survey.id_of(desired, Kind::Database).next();
    if let Some(database) = database {
        survey.datasets = session.list(Kind::Dataset, Filter::Of("database", database)).await?;
    }
    survey.charts = charts(session, pipeline, desired, &survey).await?;
    survey.orphans = orphans(session, pipeline, desired, &survey).await?;
    found::complete(desired, &mut survey.found, &survey.charts);
    Ok(survey)
}

/// Looks at who has the names of objects that are not there, or are called otherwise.
pub async fn strangers(session: &Session, desired: &[Asset], survey: &mut Survey) -> Result<()> {
    let mut database = survey.id_of(desired, Kind::Database).next();
    let mut strangers = Vec::new();
    for (asset, found) in desired.iter().zip(&survey.found) {
        let stranger = match name(asset) {
            Some((column, name)) if found.as_ref().is_none_or(|found| found.settings[column] != name) => {
                stranger(session, asset, Filter::Is(column, name), database).await?
            }
            _ => None,
        };
        if asset.kind == Kind::Database {
            database = database.or(stranger.as_ref().map(|one| one.found.id));
        }
        strangers.push(stranger);
    }
    survey.strangers = strangers;
    Ok(())
}

/// The setting by which Superset tells objects apart, beside the uuid. Many charts may have one title.
fn name(asset: &Asset) -> Option<(&'static str, &str)> {
    let column = match asset.kind {
        Kind::Database => "database_name",
        Kind::Dataset => "table_name",
        Kind::Dashboard => "slug",
        Kind::Chart => return None,
    };
    Some((column, asset.settings[column].as_str()?))
}

async fn stranger(session: &Session, asset: &Asset, name: Filter<'_>, database: Option<u64>) -> Result<Option<Stranger>> {
    // One of another connection is in the way too: a Superset that keeps its data in SQLite takes a table's name only once,
    // and says so by failing half way.
    let namesakes = session.list(asset.kind, name).await?;
    let in_the_way =
        |one: &&Listed| one.uuid != asset.uuid && (asset.kind != Kind::Dataset || one.schema.as_deref() == Some(SCHEMA));
    let Some(one) = namesakes.iter().find(in_the_way) else { return Ok(None) };
    let Some(found) = session.read(asset.kind, one.id).await? else { return Ok(None) };
    let elsewhere = asset.kind == Kind::Dataset && one.database.as_ref().map(|database| database.id) != database;
    Ok(Some(Stranger { uuid: one.uuid, found, adoptable: !elsewhere }))
}

/// The charts of our datasets, also of those that the file no longer has, and of our dashboards.
async fn charts(session: &Session, pipeline: &str, desired: &[Asset], survey: &Survey) -> Result<Vec<Listed>> {
    let former =
        survey.datasets.iter().filter(|one| is_ours(pipeline, Kind::Dataset, &one.table_name, one.uuid)).map(|one| one.id);
    let mut datasets: Vec<u64> = survey.id_of(desired, Kind::Dataset).chain(former).collect();
    datasets.sort_unstable();
    datasets.dedup();
    let mut charts = Vec::new();
    for dataset in datasets {
        charts.extend(session.list(Kind::Chart, Filter::Is("datasource_id", &dataset.to_string())).await?);
    }
    for dashboard in survey.id_of(desired, Kind::Dashboard) {
        charts.extend(session.list(Kind::Chart, Filter::OfSome("dashboards", dashboard)).await?);
    }
    charts.sort_unstable_by_key(|chart| chart.id);
    charts.dedup_by_key(|chart| chart.id);
    Ok(charts)
}

async fn orphans(session: &Session, pipeline: &str, desired: &[Asset], survey: &Survey) -> Result<Vec<Orphan>> {
    let wanted = |uuid: Uuid| desired.iter().any(|asset| asset.uuid == uuid);
    let ours = |kind, name: &str, uuid: Uuid| is_ours(pipeline, kind, name, uuid) && !wanted(uuid);
    let charts: Vec<&Listed> = survey.charts.iter().filter(|one| ours(Kind::Chart, &one.slice_name, one.uuid)).collect();
    let mut orphans = former_dashboards(session, pipeline, desired, survey, &charts).await?;
    orphans.extend(charts.iter().map(|one| Orphan {
        kind: Kind::Chart,
        id: one.id,
        name: one.slice_name.clone(),
        used_by: None,
    }));
    let datasets = survey.datasets.iter().filter(|one| ours(Kind::Dataset, &one.table_name, one.uuid));
    orphans.extend(datasets.map(|one| Orphan {
        kind: Kind::Dataset,
        id: one.id,
        name: assets::dataset_name(&one.table_name),
        used_by: survey.chart_of_others(pipeline, desired, one.id),
    }));
    Ok(orphans)
}

/// The dashboards that charts of ours are on, and that the file had under a slug that it no longer has.
async fn former_dashboards(
    session: &Session,
    pipeline: &str,
    desired: &[Asset],
    survey: &Survey,
    orphans: &[&Listed],
) -> Result<Vec<Orphan>> {
    let wanted = survey.charts.iter().filter(|one| desired.iter().any(|asset| asset.uuid == one.uuid));
    let mut ids: Vec<u64> = wanted.chain(orphans.iter().copied()).flat_map(|one| &one.dashboards).map(|one| one.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let known: Vec<u64> = survey.id_of(desired, Kind::Dashboard).collect();
    let mut former = Vec::new();
    for id in ids.into_iter().filter(|id| !known.contains(id)) {
        let Some(said) = session.said(Kind::Dashboard, id).await? else { continue };
        // Superset before 6.0 tells the uuid in the list only.
        let listed = session.list(Kind::Dashboard, Filter::Is("id", &id.to_string())).await?;
        let uuid = listed.first().map(|one| one.uuid).unwrap_or_default();
        if is_ours(pipeline, Kind::Dashboard, said["slug"].as_str().unwrap_or_default(), uuid) {
            let name = one_line(said["dashboard_title"].as_str().unwrap_or_default());
            former.push(Orphan { kind: Kind::Dashboard, id, name, used_by: None });
        }
    }
    Ok(former)
}

/// Whether an object was made by a pipeline file of this name: ids follow from names, and cannot be had by chance.
pub fn is_ours(pipeline: &str, kind: Kind, name: &str, uuid: Uuid) -> bool {
    uuid == ids::stable(pipeline, kind, name)
}

impl Survey {
    /// The numbers of the objects of a kind that should be there and are.
    fn id_of<'a>(&'a self, desired: &'a [Asset], kind: Kind) -> impl Iterator<Item = u64> + 'a {
        let pairs = desired.iter().zip(&self.found).filter(move |(asset, _)| asset.kind == kind);
        pairs.filter_map(|(_, found)| Some(found.as_ref()?.id))
    }

    /// A chart of a dataset that is not ours, as a message names it.
    pub fn chart_of_others(&self, pipeline: &str, desired: &[Asset], dataset: u64) -> Option<String> {
        let ours = |one: &Listed| {
            desired.iter().any(|asset| asset.uuid == one.uuid) || is_ours(pipeline, Kind::Chart, &one.slice_name, one.uuid)
        };
        let other = self.charts.iter().find(|one| one.datasource_id == Some(dataset) && !ours(one))?;
        Some(format!(
            "the chart `{}` (number {}), which this pipeline file did not make, is drawn from it",
            one_line(&other.slice_name),
            other.id
        ))
    }

    /// A dataset of our connection other than these, as a message names it.
    pub fn dataset_beside(&self, ids: &[u64]) -> Option<String> {
        let other = self.datasets.iter().find(|one| !ids.contains(&one.id))?;
        Some(format!("the dataset `{}` (number {}) needs it", one_line(&other.table_name), other.id))
    }

    /// What has to be done.
    pub fn plan(&self, desired: &[Asset], adopt: bool) -> Plan {
        let mut steps = Vec::new();
        for (index, asset) in desired.iter().enumerate() {
            let found = self.found.get(index).and_then(Option::as_ref);
            let stranger = self.strangers.get(index).and_then(Option::as_ref);
            steps.push(step(asset, found, stranger, adopt));
        }
        steps.extend(self.orphans.iter().map(Orphan::step));
        Plan { steps }
    }

    /// What an import finds of each object that should be: what is ours, or what it takes over.
    pub fn present(&self) -> Vec<Option<&Found>> {
        let stranger = |index: usize| Some(&self.strangers.get(index)?.as_ref()?.found);
        self.found.iter().enumerate().map(|(index, found)| found.as_ref().or_else(|| stranger(index))).collect()
    }

    /// The objects that a change could touch, by kind: what a backup holds.
    pub fn there(&self, desired: &[Asset]) -> Vec<(Kind, u64)> {
        let strangers = self.strangers.iter().map(|stranger| stranger.as_ref().map(|stranger| &stranger.found));
        let with_name = desired.iter().zip(strangers).filter_map(|(asset, found)| Some((asset.kind, found?.id)));
        let with_uuid = desired.iter().zip(&self.found).filter_map(|(asset, found)| Some((asset.kind, found.as_ref()?.id)));
        with_uuid.chain(with_name).chain(self.orphans.iter().map(|orphan| (orphan.kind, orphan.id))).collect()
    }
}

fn step(asset: &Asset, found: Option<&Found>, stranger: Option<&Stranger>, adopt: bool) -> Step {
    let mut effect = None;
    let action = match (found, stranger) {
        (None, None) => Action::Create,
        (Some(found), None) => match diff::changes(&asset.settings, &found.settings) {
            changes if changes.is_empty() => Action::Unchanged,
            changes => Action::Change(changes),
        },
        (found, Some(stranger)) => {
            let mut changes = vec![Change { setting: "uuid".into(), old: json!(stranger.uuid), new: json!(asset.uuid) }];
            changes.extend(diff::changes(&asset.settings, &stranger.found.settings));
            if adopt && stranger.adoptable && found.is_none() {
                effect = Some("it is taken over".into());
                Action::Change(changes)
            } else {
                let (id, uuid) = (stranger.found.id, stranger.uuid);
                effect = (!stranger.adoptable).then(|| OF_ANOTHER_CONNECTION.into());
                Action::NotOurs { maker: format!("number {id}, uuid {uuid}"), changes }
            }
        }
    };
    Step { kind: asset.kind.word(), name: asset.name.clone(), action, effect }
}

impl Orphan {
    fn step(&self) -> Step {
        let (action, effect) = match &self.used_by {
            None => (Action::Remove, None),
            Some(user) => (Action::Unchanged, Some(format!("no longer in the pipeline file, but it stays: {user}"))),
        };
        Step { kind: self.kind.word(), name: self.name.clone(), action, effect }
    }
}

/// The names under which the settings of what Superset has, differ from those that it should have.
pub fn did_not_stick(desired: &[Asset], found: &[Option<Found>]) -> Vec<String> {
    let pairs = desired.iter().zip(found);
    let told = pairs.flat_map(|(asset, found)| {
        let settings = found.as_ref().map_or(&Value::Null, |found| &found.settings);
        let changes = diff::changes(&asset.settings, settings);
        changes.into_iter().map(move |change| format!("{} `{}`: Superset did not take {change}", asset.kind, asset.name))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_of_others_does_not_steer_the_terminal() {
        let line =
            json!({"id": 7, "uuid": Uuid::nil(), "slice_name": "a\u{1b}[2J\nb", "table_name": "\u{9b}2J", "datasource_id": 4});
        let listed: Listed = serde_json::from_value(line).unwrap();
        let survey = Survey { charts: vec![listed.clone()], datasets: vec![listed], ..Survey::default() };
        let told = [survey.chart_of_others("p", &[], 4), survey.dataset_beside(&[])].map(Option::unwrap);
        assert!(told[0].starts_with("the chart `a[2J b` (number 7)"), "{told:?}");
        assert!(told.iter().all(|text| !text.contains(char::is_control)), "{told:?}");
    }
}
