//! `pipeline doctor`: looks at everything, and says what is wrong.

use std::time::Duration;

use indicatif::ProgressBar;

use super::screen::bars;
use crate::cli::{Doctor, Output};
use crate::config::Config;
use crate::doctor;
use crate::error::Result;

pub(super) async fn run(config: &Config, args: &Doctor) -> Result<()> {
    let progress = bars().add(ProgressBar::new_spinner());
    progress.set_message("looking at Kafka, registry, Druid, Superset and the dashboard's page");
    progress.enable_steady_tick(Duration::from_millis(100));
    let report =
        doctor::examine(config, false, |finding| progress.set_message(format!("{} {}", finding.area, finding.what))).await;
    progress.finish_and_clear();
    match args.output {
        Output::Text => say!("{report}"),
        Output::Json => say!("{:#}", report.to_json()),
    }
    report.first_failure().map_or(Ok(()), |error| Err(error.clone()))
}
