//! Asking Superset about the charts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::facts::{Chart, Told};
use super::{AGAIN, SERVER, in_time};
use crate::config::Config;
use crate::error::{self, Result};
use crate::superset::assets::{self, Asset};
use crate::superset::failure::Trouble;
use crate::superset::ids::Kind;
use crate::superset::session::Session;

/// Asks about the charts, once or again and again; `tell` hears of each by its place in the file.
pub(super) async fn run(config: Arc<Config>, again: bool, tell: impl Fn(usize, Told<Chart>)) {
    let charts: Vec<Asset> = assets::bare(&config).into_iter().filter(|asset| asset.kind == Kind::Chart).collect();
    let pause = config.dashboard.as_ref().map_or(AGAIN, |dashboard| dashboard.refresh.to_std()).max(AGAIN);
    let mut session = None;
    loop {
        session = look(&config, &charts, session, &tell).await;
        if !again {
            return;
        }
        sleep(if session.is_some() { pause } else { LOGIN }).await;
    }
}

/// The pause before the next login: who tries too often is locked out.
const LOGIN: Duration = Duration::from_secs(10);

/// Asks all charts at a time; the login, if it is of use again.
async fn look(
    config: &Config,
    charts: &[Asset],
    session: Option<Arc<Session>>,
    tell: &impl Fn(usize, Told<Chart>),
) -> Option<Arc<Session>> {
    let begun = Instant::now();
    let session = match session {
        Some(session) => session,
        None => match in_time(SERVER, "Superset", Session::login(&config.superset)).await {
            Ok(session) => Arc::new(session),
            Err(error) => {
                (0..charts.len()).for_each(|place| tell(place, Told::Failed(error.clone())));
                return None;
            }
        },
    };
    let left = SERVER.saturating_sub(begun.elapsed());
    let mut asked = JoinSet::new();
    for (place, chart) in charts.iter().enumerate() {
        let (session, chart, limit) = (Arc::clone(&session), chart.clone(), row_limit(config, chart));
        asked
            .spawn(async move { (place, in_time(left, &format!("chart `{}`", chart.name), ask(&session, &chart, limit)).await) });
    }
    let mut heard = true;
    while let Some(done) = asked.join_next().await {
        let Ok((place, told)) = done else { continue };
        // With another login it may be otherwise.
        heard &= !told.as_ref().is_err_and(|error| matches!(error.kind, error::Kind::Refused | error::Kind::Unreachable));
        tell(place, told.unwrap_or_else(Told::Failed));
    }
    heard.then_some(session)
}

fn row_limit(config: &Config, chart: &Asset) -> u32 {
    config.chart(&chart.name).map_or(0, |chart| chart.row_limit)
}

async fn ask(session: &Session, chart: &Asset, row_limit: u32) -> Result<Told<Chart>> {
    let Some(found) = session.by_uuid(Kind::Chart, chart.uuid).await? else {
        return Ok(Told::absent("not there: `pipeline superset-bootstrap` makes it"));
    };
    match session.drawn(found.id).await {
        Ok(drawn) => Ok(Told::Known(Chart { rows: drawn.rows, row_limit, newest: drawn.newest() })),
        Err(Trouble::NoTable(_)) => Ok(Told::absent("no data yet: Druid has the table with its first row")),
        Err(trouble) => Err(trouble.error()),
    }
}
