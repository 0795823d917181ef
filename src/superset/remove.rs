//! Taking away what was made.

use super::assets::{self, Asset};
use super::ids::Kind;
use super::session::{self, Session};
use super::survey::{self, Survey};
use crate::config::Config;
use crate::error::Result;
use crate::plan::{Action, Plan, Step};

/// What there is to remove.
pub struct Removals {
    /// Each object, before those that it needs.
    pub plan: Plan,
    session: Session,
    desired: Vec<Asset>,
    objects: Vec<Removal>,
}

/// An object that goes, or that stays for a reason.
struct Removal {
    kind: Kind,
    id: u64,
    name: String,
    stays: Option<String>,
}

impl Removals {
    /// What the pipeline file made, also what it no longer has. Datasets that others draw charts from stay, and so does their
    /// database. `None`: Superset cannot be asked, for the file has neither a user nor a password for it.
    pub async fn plan(config: &Config) -> Result<Option<Self>> {
        if !session::has_credentials(&config.superset) {
            return Ok(None);
        }
        let desired = assets::bare(config);
        let session = Session::login(&config.superset).await?;
        let survey = survey::survey(&session, &config.name, &desired).await?;
        let objects = removals(&config.name, &desired, &survey);
        let plan = Plan { steps: objects.iter().map(Removal::step).collect() };
        Ok(Some(Self { plan, session, desired, objects }))
    }

    /// Removes what was planned, and nothing else; it is kept first.
    pub async fn carry_out(&self, config: &Config) -> Result<()> {
        if !self.plan.changes_something() {
            return Ok(());
        }
        super::may_write(&self.session, &self.desired).await?;
        let there: Vec<(Kind, u64)> = self.objects.iter().map(|one| (one.kind, one.id)).collect();
        super::keep(config, &self.session, &there).await?;
        for one in self.objects.iter().filter(|one| one.stays.is_none()) {
            self.session.delete(one.kind, one.id).await?;
        }
        Ok(())
    }
}

fn removals(pipeline: &str, desired: &[Asset], survey: &Survey) -> Vec<Removal> {
    let mut removals: Vec<Removal> = Vec::new();
    for kind in [Kind::Dashboard, Kind::Chart, Kind::Dataset, Kind::Database] {
        for (asset, found) in desired.iter().zip(&survey.found).filter(|(asset, _)| asset.kind == kind) {
            let Some(found) = found else { continue };
            let stays = match kind {
                Kind::Dataset => survey.chart_of_others(pipeline, desired, found.id),
                Kind::Database => survey.dataset_beside(&gone(&removals)),
                Kind::Chart | Kind::Dashboard => None,
            };
            removals.push(Removal { kind, id: found.id, name: asset.name.clone(), stays });
        }
        let orphans = survey.orphans.iter().filter(|orphan| orphan.kind == kind);
        removals.extend(orphans.map(|one| Removal { kind, id: one.id, name: one.name.clone(), stays: one.used_by.clone() }));
    }
    removals
}

/// The datasets that go.
fn gone(removals: &[Removal]) -> Vec<u64> {
    removals.iter().filter(|one| one.kind == Kind::Dataset && one.stays.is_none()).map(|one| one.id).collect()
}

impl Removal {
    fn step(&self) -> Step {
        let (action, effect) = match &self.stays {
            None => (Action::Remove, None),
            Some(why) => (Action::Unchanged, Some(format!("it stays: {why}"))),
        };
        Step { kind: self.kind.word(), name: self.name.clone(), action, effect }
    }
}
