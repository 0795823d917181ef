//! `pipeline config`

use serde_json::{Value, json};

use super::overrides;
use crate::cli::{ConfigArgs, ConfigWhat, Global, Output};
use crate::config;
use crate::error::Result;

pub(super) fn run(global: &Global, args: &ConfigArgs) -> Result<()> {
    match args.what {
        ConfigWhat::Schema => say!("{:#}", config::schema()),
        ConfigWhat::Show { output } => {
            let settings = config::settings(global.config.as_deref(), &overrides(global)?)?;
            match output {
                Output::Json => say!("{:#}", json!({ "settings": settings })),
                Output::Text => settings.iter().for_each(|one| say!("{} = {}  # {}", one.path, text(&one.value), one.origin)),
            }
        }
    }
    Ok(())
}

fn text(value: &Value) -> String {
    if value.is_null() { "none".into() } else { value.to_string() }
}
