//! Posting supervisors, so that a lost answer neither loses nor repeats one.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::Druid;
use super::diff;
use super::spec;
use crate::error::{Kind, Result};
use crate::plan::Action;

/// How often one is posted at most: the first time, and once more if that did not arrive.
const ATTEMPTS: u32 = 2;
/// The pause before Druid is asked whether it arrived.
const PAUSE: Duration = Duration::from_millis(500);

/// Posts a supervisor, new or over another. If no answer comes, Druid is asked what it has: it is posted again only if it did not
/// arrive.
pub async fn post(druid: &Druid, supervisor: &Value) -> Result<()> {
    let id = spec::id(supervisor);
    let mut made = 1;
    loop {
        let error = match druid.post_supervisor(supervisor).await {
            Err(error) if error.kind == Kind::Unreachable => error,
            answered => return answered,
        };
        sleep(PAUSE).await;
        let Ok(found) = druid.supervisor(id).await else { return Err(error) };
        if found.is_some_and(|found| stands(supervisor, &found)) {
            return Ok(());
        }
        if made == ATTEMPTS {
            return Err(error);
        }
        made += 1;
    }
}

/// Whether Druid has this spec, mark and all.
fn stands(supervisor: &Value, found: &Value) -> bool {
    diff::owner(supervisor) == diff::owner(found) && diff::action(supervisor, Some(found), false) == Action::Unchanged
}
