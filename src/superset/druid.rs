//! Druid, asked directly when Superset cannot ask it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::config::{Config, Credentials, Http};
use crate::error::{Error, Kind, Result};
use crate::http::Server;

/// Why Superset does not reach Druid, as far as Druid's answer to us tells.
pub fn why_not_reached(config: &Config, answer: Result<()>) -> Error {
    let theirs = config.druid_for_superset();
    match answer {
        Ok(()) => Error::new(
            Kind::Unreachable,
            format!("Superset cannot ask Druid at {theirs}, although Druid answers this program at {}", config.druid.url),
        )
        .hint("if Superset runs elsewhere (in a container, say), set [superset] druid_url to the router's address as seen from there"),
        Err(error) if error.kind == Kind::Refused => {
            Error::new(Kind::Refused, format!("Superset cannot ask Druid: {}", error.message))
                .hint("check [druid] username and password, or PIPELINE_DRUID_PASSWORD; then run this again")
        }
        Err(error) => {
            Error::new(error.kind, format!("Superset cannot ask Druid at {theirs}, nor can this program: {}", error.message))
                .hint("is Druid running? its address is in the pipeline file, [druid] url")
        }
    }
}

/// Asks Druid something that needs no table, as Superset does: by user name and password, also where this program has a token.
pub async fn ask(config: &Config) -> Result<()> {
    let druid = &config.druid;
    let credentials = druid.username.clone().map(|user| Credentials::Basic(user, druid.password.clone()));
    let http = Http { credentials, ..druid.http.clone() };
    let druid = Server::new("Druid", "druid", &druid.url, &http)?;
    let request = druid.request(Method::POST, "druid/v2/sql")?.json(&json!({ "query": "SELECT 1" }));
    druid.send(request).await?.success()?.json::<Vec<Value>>().map(drop)
}
