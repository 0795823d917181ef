//! Superset: is it there, may this user do what the dashboard needs, does it reach Druid, is the dashboard as the file says?

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use reqwest::Url;
use tokio::task::JoinSet;

use super::desk::Desk;
use super::report::Verdict;
use super::{browser, clocks, limits};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::plan::{Action, Change, Plan, Step};
use crate::superset::address::Address;
use crate::superset::assets::{self, Asset};
use crate::superset::drawn::Cells;
use crate::superset::failure::Trouble;
use crate::superset::found::Found;
use crate::superset::ids;
use crate::superset::session::Session;
use crate::superset::survey;
use crate::superset::{self};

/// What puts the dashboard right.
const BOOTSTRAP: &str = "`pipeline superset-bootstrap` puts it right, and keeps a backup of what is there";

/// Looks at Superset, and at its pages as a browser gets them.
pub(super) async fn look(desk: Desk, browser: Desk) {
    let config = Arc::clone(&desk.config);
    if config.charts.is_empty() && config.dashboard.is_none() {
        desk.skipped("answers", "because the pipeline file has no [[chart]]");
        browser.skipped("page", "because the pipeline file has no [dashboard]");
        return;
    }
    let session = match desk.ask(Session::login(&config.superset)).await {
        Ok(session) => Arc::new(session),
        Err(error) => {
            let lost = error.kind == Kind::Unreachable;
            desk.failed("answers", error);
            desk.skipped("permissions, driver, its way to Druid and the dashboard", "because nobody can log in");
            if lost {
                browser.skipped("page", "because Superset does not answer");
            } else {
                browser::look(&browser).await;
            }
            return;
        }
    };
    desk.fine("answers", format!("{}: asked by {}", config.superset.url, session.who));
    let look = Look { desk: &desk, config: &config, session };
    tokio::join!(look.at_all(), browser::look(&browser));
}

struct Look<'a> {
    desk: &'a Desk,
    config: &'a Config,
    session: Arc<Session>,
}

impl Look<'_> {
    async fn at_all(&self) {
        if let Ok(Some(date)) = self.desk.ask(self.session.ask("health")).await.map(|reply| reply.date()) {
            self.desk.report("clock", clocks::compare("Superset", date, SystemTime::now()));
        }
        let desired = match assets::desired(self.config) {
            Ok(desired) => desired,
            Err(error) => return self.desk.failed("dashboard", error),
        };
        self.permissions(&desired).await;
        if !self.driver().await {
            self.desk.skipped("its way to Druid, and charts", "because the driver is missing");
            return;
        }
        match self.desk.ask(self.found(&desired)).await {
            Ok((found, plan)) => {
                let reached = self.way(&desired, &found).await;
                self.objects(&desired, &found, &plan);
                self.charts(&desired, &found, &plan, reached).await;
            }
            Err(error) => {
                self.way(&desired, &[]).await;
                self.desk.failed("dashboard", error);
            }
        }
    }

    async fn permissions(&self, desired: &[Asset]) {
        let mut kinds: Vec<ids::Kind> = desired.iter().map(|asset| asset.kind).collect();
        kinds.dedup();
        match self.desk.ask(self.session.may_write(&kinds)).await {
            Ok(()) => self.desk.fine("permissions", "databases, datasets, charts and dashboards can be written"),
            Err(error) => self.desk.failed("permissions", error),
        }
    }

    /// Whether it has the driver, as far as is known.
    async fn driver(&self) -> bool {
        match self.desk.ask(self.session.engines()).await {
            Ok(engines) if engines.iter().any(|engine| engine == "druid") => self.desk.fine("driver of Druid", "there"),
            Ok(_) => {
                let message = format!("Superset at {} has no driver for Druid (pydruid)", self.config.superset.url);
                let hint = "install it where Superset runs, into the same Python environment (pip install pydruid), and start Superset again";
                self.desk.failed("driver of Druid", Error::new(Kind::Failed, message).hint(hint));
                return false;
            }
            Err(error) if error.kind == Kind::Refused => {
                self.desk.note("driver of Druid", format!("could not be checked: {}", error.message));
            }
            Err(error) => self.desk.failed("driver of Druid", error),
        }
        true
    }

    async fn found(&self, desired: &[Asset]) -> Result<(Vec<Option<Found>>, Plan)> {
        let mut survey = survey::survey(&self.session, &self.config.name, desired).await?;
        survey::strangers(&self.session, desired, &mut survey).await?;
        let plan = survey.plan(desired, self.desk.adopt);
        Ok((survey.found, plan))
    }

    /// Superset's own way to Druid; whether it can be gone.
    async fn way(&self, desired: &[Asset], found: &[Option<Found>]) -> bool {
        let (what, to) = ("its way to Druid", self.config.druid_for_superset());
        let verdict = match self.desk.ask(self.try_way(desired, found)).await {
            Ok(verdict) => verdict,
            Err(error) if error.kind == Kind::Unreachable => {
                let message = format!("Superset gives no answer when it is to ask Druid at {to}: {}", error.message);
                let hint = "does Superset reach that address? [superset] druid_url says how, where that differs from how this program does";
                Verdict::Failed(Error::new(Kind::Unreachable, message).hint(hint))
            }
            Err(error) => Verdict::Failed(error),
        };
        let reached = !matches!(verdict, Verdict::Failed(_));
        self.desk.report(what, verdict);
        reached
    }

    async fn try_way(&self, desired: &[Asset], found: &[Option<Found>]) -> Result<Verdict> {
        let (config, address) = (self.config, Address::of(self.config)?);
        let url = Url::parse(config.druid_for_superset()).ok();
        let place = url.as_ref().and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)));
        let Some((host, port)) = place else { return Ok(Verdict::Note("could not be checked".into())) };
        if let Some(Err(said)) = self.session.reaches(&host, port).await? {
            let why = superset::druid::why_not_reached(config, superset::druid::ask(config).await);
            return Ok(Verdict::Failed(Error { message: format!("{} ({said})", why.message), ..why }));
        }
        let stored = desired.iter().zip(found).find(|(asset, _)| asset.kind == ids::Kind::Database);
        let (name, uri) = match stored {
            Some((asset, Some(found))) => {
                let said = self.session.said(ids::Kind::Database, found.id).await?.unwrap_or_default();
                let text = |key: &str| said[key].as_str().map(str::to_owned);
                (text("database_name").unwrap_or_else(|| asset.name.clone()), text("sqlalchemy_uri").unwrap_or_default())
            }
            // What is sent is kept in Superset's action log: no password goes there.
            _ if address.password.is_some() => {
                return Ok(Verdict::Fine(format!(
                    "it reaches {host}:{port}; whether Druid takes its user is tried when the connection is made"
                )));
            }
            _ => (format!("Druid ({})", config.name), address.masked().to_owned()),
        };
        Ok(match self.session.connects(&name, &uri).await? {
            Ok(()) => Verdict::Fine(format!("it asks Druid at {host}:{port}")),
            Err(said) => Verdict::Failed(self.not_asked(&name, &said).await),
        })
    }

    /// Why the stored connection does not work, though the port answers.
    async fn not_asked(&self, name: &str, said: &str) -> Error {
        match superset::druid::ask(self.config).await {
            Ok(()) => Error::new(
                Kind::Differs,
                format!("Superset cannot ask Druid over its connection `{name}`, although Druid answers this program: {said}"),
            )
            .hint("is another address or password stored in it? `pipeline superset-bootstrap` stores the pipeline file's"),
            answer => superset::druid::why_not_reached(self.config, answer),
        }
    }

    fn objects(&self, desired: &[Asset], found: &[Option<Found>], plan: &Plan) {
        if found.iter().all(Option::is_none) && !plan.steps.iter().any(is_in_the_way) {
            self.desk.note("dashboard", "not there yet: `pipeline superset-bootstrap` makes it");
            return;
        }
        for step in &plan.steps {
            if let Some(verdict) = judge(step) {
                self.desk.report(format!("{} {}", step.kind, step.name), verdict);
            }
        }
        let same = plan.count(|action| *action == Action::Unchanged);
        if same > 0 {
            self.desk.fine("dashboard", format!("{same} of {} objects as the pipeline file says", desired.len()));
        }
    }

    async fn charts(&self, desired: &[Asset], found: &[Option<Found>], plan: &Plan, reached: bool) {
        let charts: Vec<(&Asset, u64)> = desired
            .iter()
            .zip(found)
            .filter(|(asset, _)| asset.kind == ids::Kind::Chart)
            .filter_map(|(asset, found)| Some((asset, found.as_ref()?.id)))
            .collect();
        if charts.is_empty() {
            return;
        }
        if !reached {
            self.desk.skipped("charts", "because Superset cannot ask Druid");
            return;
        }
        // What is stored is asked, and is judged by what the file says.
        let is_changed = |step: &Step| step.kind != "dashboard" && !matches!(step.action, Action::Unchanged | Action::Remove);
        if plan.steps.iter().any(is_changed) {
            self.desk.skipped("charts", "because some of them are not as the pipeline file says");
            return;
        }
        let mut asked = JoinSet::new();
        for (place, (_, id)) in charts.iter().enumerate() {
            let (session, id) = (Arc::clone(&self.session), *id);
            asked.spawn(async move { (place, session.drawn(id).await.map(|drawn| drawn.cells())) });
        }
        let mut told: BTreeSet<usize> = (0..charts.len()).collect();
        while let Some(Some(Ok((place, cells)))) = self.desk.in_time(asked.join_next()).await {
            told.remove(&place);
            let title = &charts[place].0.name;
            self.desk.report(format!("chart {title}"), self.chart(title, cells));
        }
        for place in told {
            let message = "Superset gives no data of it in time";
            let error = Error::new(Kind::Unreachable, message).hint("is Druid slow to answer? open the chart in Superset");
            self.desk.failed(format!("chart {}", charts[place].0.name), error);
        }
    }

    fn chart(&self, title: &str, cells: Result<Cells, Trouble>) -> Verdict {
        match (cells, self.config.chart(title)) {
            (Ok(cells), Some(chart)) => limits::judge(chart, cells),
            (Ok(cells), None) => Verdict::Fine(format!("{} rows", cells.rows)),
            (Err(Trouble::NoTable(_)), _) => {
                Verdict::Note("no data yet: Druid has the table with its first row (`pipeline druid-ingest`)".into())
            }
            (Err(trouble), _) => Verdict::Failed(trouble.error()),
        }
    }
}

fn is_in_the_way(step: &Step) -> bool {
    matches!(step.action, Action::NotOurs { .. })
}

/// What is to be said of an object, unless it is as it should be.
fn judge(step: &Step) -> Option<Verdict> {
    let (kind, name) = (step.kind, &step.name);
    let failed = |kind, message: String, hint: &str| Some(Verdict::Failed(Error::new(kind, message).hint(hint)));
    match &step.action {
        Action::Unchanged => None,
        Action::Create => failed(
            Kind::Differs,
            format!("the {kind} `{name}` is not in Superset, though others of the pipeline file are"),
            BOOTSTRAP,
        ),
        Action::Change(changes) => {
            let list: Vec<String> = changes.iter().map(Change::to_string).collect();
            let message = format!(
                "the {kind} `{name}` is not as the pipeline file says (what Superset has -> what the file says): {}",
                list.join("; ")
            );
            failed(Kind::Differs, message, BOOTSTRAP)
        }
        Action::Remove => Some(Verdict::Note("no longer in the pipeline file: `pipeline superset-bootstrap` removes it".into())),
        Action::NotOurs { maker, .. } => {
            let what = format!("Superset has a {kind} of the name of `{name}` that this pipeline file did not make ({maker})");
            match &step.effect {
                Some(why_not) => failed(
                    Kind::Failed,
                    format!("{what}; {why_not}"),
                    "rename or delete that one in Superset, or give ours another name",
                ),
                None => failed(
                    Kind::Failed,
                    what,
                    "rename or delete that one in Superset, give ours another name, or take it over: `pipeline superset-bootstrap --adopt`",
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(action: Action) -> Option<Verdict> {
        judge(&Step { kind: "chart", name: "Sales".into(), action, effect: None })
    }

    #[test]
    fn what_was_edited_is_named_with_its_settings_and_the_remedy() {
        let change = Change { setting: "slice_name".into(), old: json!("Mine"), new: json!("Sales") };
        let Some(Verdict::Failed(error)) = judged(Action::Change(vec![change])) else { panic!("it differs") };
        assert!(error.kind == Kind::Differs && error.message.contains("chart `Sales` is not as"), "{error}");
        assert!(error.message.contains(r#"slice_name: "Mine" -> "Sales""#), "{error}");
        assert!(error.hint.unwrap().contains("pipeline superset-bootstrap"));
    }

    #[test]
    fn one_that_is_gone_differs_and_one_that_is_left_over_is_a_note() {
        assert!(matches!(judged(Action::Create), Some(Verdict::Failed(error)) if error.kind == Kind::Differs));
        assert!(matches!(judged(Action::Remove), Some(Verdict::Note(_))));
        assert!(judged(Action::Unchanged).is_none());
        let foreign = Action::NotOurs { maker: "number 7".into(), changes: Vec::new() };
        assert!(
            matches!(judged(foreign.clone()), Some(Verdict::Failed(error)) if error.hint.as_ref().unwrap().contains("--adopt"))
        );
        let step = Step { kind: "dataset", name: "Sales".into(), action: foreign, effect: Some("it cannot".into()) };
        let Some(Verdict::Failed(error)) = judge(&step) else { panic!("it is in the way") };
        assert!(error.message.ends_with("; it cannot") && !error.hint.unwrap().contains("--adopt"));
    }
}
