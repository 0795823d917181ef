//! Asking Druid about a datasource.

use std::sync::Arc;

use super::facts::{Datasource, Told};
use super::{TOPIC, blocking, kafka};
use crate::config::Config;
use crate::druid::Druid;
use crate::druid::status::Status;
use crate::error::Result;
use crate::http::excerpt;

/// What Druid says of a datasource: its supervisor, and its rows.
pub(super) async fn ask(config: &Arc<Config>, name: &str) -> Result<Told<Datasource>> {
    let druid = Druid::new(&config.druid)?;
    let has_supervisor = druid.supervisor(name).await?.is_some();
    let (extent, segments) = (druid.extent(name).await?, druid.segments(name).await?);
    if !has_supervisor && extent.rows == 0 {
        return Ok(Told::absent("not there: `pipeline druid-ingest` makes it"));
    }
    let mut facts =
        Datasource { rows: extent.rows, newest: extent.newest, segments: segments.unwrap_or(0), ..Datasource::default() };
    if has_supervisor {
        let status = druid.status(name).await?;
        facts.in_trouble = status.in_trouble();
        facts.last_error =
            status.recent_errors.last().map(|last| excerpt(last.message.as_deref().unwrap_or(&last.exception_class)));
        facts.lag = lag(config, name, &status).await;
        facts.tasks = status.active_tasks.len();
        facts.supervisor = Some(status.detailed_state);
    }
    Ok(Told::Known(facts))
}

/// The records that its tasks have not read; where Kafka cannot be asked, what Druid itself says.
async fn lag(config: &Arc<Config>, name: &str, status: &Status) -> Option<u64> {
    let druids = status.aggregate_lag.and_then(|lag| u64::try_from(lag).ok());
    let (reached, topic) = (status.reached(), config.datasource(name)?.topic.clone());
    if reached.is_empty() {
        return druids;
    }
    let config = Arc::clone(config);
    let counted = blocking(TOPIC, "Kafka", || Ok(config), move |config| kafka::after(config, &topic, &reached)).await;
    counted.ok().and_then(|(_, lag)| lag).or(druids)
}
