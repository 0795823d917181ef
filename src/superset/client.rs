//! The one place that talks to Superset.

use reqwest::header::REFERER;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::address::Address;
use super::assets::{Asset, SCHEMA};
use super::bundle;
use super::failure::{self, Trouble};
use super::found::{self, Answer, Found};
use super::ids::Kind;
use crate::config::Superset;
use crate::error::{self, Error, Result};
use crate::http::{Reply, Server};

/// A login at Superset. Its token lasts 15 minutes, far longer than a run.
#[derive(Debug)]
pub struct Session {
    server: Server,
    user: String,
    token: Token,
}

/// A secret that the server gave.
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Deserialize)]
struct LoggedIn {
    access_token: String,
}

#[derive(Deserialize)]
struct Csrf {
    result: String,
}

#[derive(Deserialize)]
struct Info {
    permissions: Vec<String>,
}

#[derive(Deserialize)]
struct Listed {
    result: Vec<Value>,
}

impl Session {
    /// Logs in.
    pub async fn login(config: &Superset) -> Result<Self> {
        let (user, password) = credentials(config)?;
        let server = Server::new("Superset", &config.url)?;
        // Without `provider` Superset answers 500.
        let body = json!({ "username": user, "password": password, "provider": "db", "refresh": true });
        let reply = server.send(server.request(Method::POST, "api/v1/security/login")?.json(&body)).await?;
        if !reply.is_success() {
            return Err(failure::login(&reply, user));
        }
        let token = Token(reply.json::<LoggedIn>()?.access_token);
        Ok(Self { server, user: user.into(), token })
    }

    /// The address of a page.
    pub fn page(&self, path: &str) -> String {
        self.server.address().join(path).map_or_else(|_| path.into(), String::from)
    }

    /// What is there of the desired objects, in their order.
    pub async fn find_all(&self, assets: &[Asset]) -> Result<Vec<Option<Found>>> {
        let mut found = Vec::with_capacity(assets.len());
        for asset in assets {
            found.push(self.find(asset).await?);
        }
        found::link(assets, &mut found);
        Ok(found)
    }

    async fn find(&self, asset: &Asset) -> Result<Option<Found>> {
        let path = match asset.kind {
            // The only collection that cannot be asked by uuid.
            Kind::Database => match self.list(Kind::Database, "uuid", &asset.uuid.to_string()).await?.first() {
                Some(one) => format!("api/v1/database/{}/connection", one["id"]),
                None => return Ok(None),
            },
            kind => format!("api/v1/{kind}/{}", asset.uuid),
        };
        let reply = self.send(self.get(&path)?).await?;
        if reply.status == 404 && reply.json::<Value>().is_ok() {
            return Ok(None);
        }
        Ok(found::read(asset.kind, &self.check(reply)?.json::<Answer>()?.result))
    }

    /// Who has the name that an object of ours should have, as a message says it.
    pub async fn stranger(&self, asset: &Asset) -> Result<Option<String>> {
        let (column, name) = match asset.kind {
            Kind::Database => ("database_name", &asset.settings["database_name"]),
            Kind::Dataset => ("table_name", &asset.settings["table_name"]),
            Kind::Dashboard => ("slug", &asset.settings["slug"]),
            Kind::Chart => return Ok(None), // many may have one title
        };
        let name = name.as_str().unwrap_or_default();
        let namesakes = self.list(asset.kind, column, name).await?;
        let ours = asset.uuid.to_string();
        // One of another connection is in the way too: a Superset that keeps its data in SQLite takes a table's name only once,
        // and says so by failing half way.
        let in_the_way = |one: &&Value| one["uuid"] != json!(ours) && (asset.kind != Kind::Dataset || one["schema"] == SCHEMA);
        Ok(namesakes
            .iter()
            .find(in_the_way)
            .map(|one| format!("number {}, uuid {}", one["id"], one["uuid"].as_str().unwrap_or("unknown"))))
    }

    /// Refuses a user that may not write: only so is nothing changed when something cannot be.
    pub async fn may_write(&self, assets: &[Asset]) -> Result<()> {
        for kind in [Kind::Database, Kind::Dataset, Kind::Chart, Kind::Dashboard] {
            if assets.iter().all(|asset| asset.kind != kind) {
                continue;
            }
            let query = json!({ "keys": ["permissions"] }).to_string();
            let reply = self.send(self.get(&with_query(&format!("api/v1/{kind}/_info"), &[("q", &query)]))?).await?;
            if !self.check(reply)?.json::<Info>()?.permissions.iter().any(|one| one == "can_write") {
                return Err(failure::may_not_write(kind, &self.user));
            }
        }
        Ok(())
    }

    async fn list(&self, kind: Kind, column: &str, value: &str) -> Result<Vec<Value>> {
        let mut columns = vec!["id", "uuid"];
        if kind == Kind::Dataset {
            columns.push("schema");
        }
        let filter = json!({ "col": column, "opr": "eq", "value": value });
        let query = json!({ "filters": [filter], "columns": columns }).to_string();
        let reply = self.send(self.get(&with_query(&format!("api/v1/{kind}/"), &[("q", &query)]))?).await?;
        Ok(self.check(reply)?.json::<Listed>()?.result)
    }

    /// Makes Superset's objects be as desired. A failed import may leave some of them, so what can be looked at is looked at before.
    ///
    /// The password goes in a field of its own: Superset's action log keeps the bodies of requests that have it in an address.
    pub async fn import(&self, assets: &[Asset], address: &Address) -> Result<()> {
        let zip = Part::bytes(bundle::zip(assets)?).file_name("pipeline.zip");
        let mut form = Form::new().part("bundle", zip);
        if let Some(password) = &address.password {
            let databases = assets.iter().filter(|asset| asset.kind == Kind::Database);
            let passwords: serde_json::Map<String, Value> =
                databases.map(|asset| (bundle::path(asset), json!(password.expose()))).collect();
            form = form.text("passwords", Value::from(passwords).to_string());
        }
        let request = self.writing(Method::POST, "api/v1/assets/import/").await?.multipart(form);
        let reply = self.send(request).await.map_err(|error| {
            // Superset has answered before, so it is Druid that it waits for.
            error.hint(format!(
                "Superset asks Druid during an import: does it reach {}? it may finish this import later; run this again",
                address.masked()
            ))
        })?;
        if reply.is_success() {
            return Ok(());
        }
        if matches!(reply.status, 401 | 403) {
            return Err(failure::refused(&reply, &self.user));
        }
        Err(failure::import(&reply, address))
    }

    /// How many rows a chart's query brings now.
    pub async fn rows(&self, chart: u64) -> Result<u64, Trouble> {
        let request = self.get(&format!("api/v1/chart/{chart}/data/?force=true")).map_err(Trouble::Other)?;
        let reply = self.send(request).await.map_err(Trouble::NoAnswer)?;
        failure::rows(&reply, &self.user)
    }

    fn get(&self, path: &str) -> Result<RequestBuilder> {
        Ok(self.server.request(Method::GET, path)?.bearer_auth(&self.token.0))
    }

    /// A request that writes: it needs a CSRF token, whose cookie the connection keeps, and over https a referrer.
    async fn writing(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let csrf = self.check(self.send(self.get("api/v1/security/csrf_token/")?).await?)?.json::<Csrf>()?.result;
        let request = self.server.request(method, path)?.bearer_auth(&self.token.0);
        Ok(request.header("X-CSRFToken", csrf).header(REFERER, self.server.address().as_str()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Reply> {
        self.server.send(request).await
    }

    fn check(&self, reply: Reply) -> Result<Reply> {
        if matches!(reply.status, 401 | 403) { Err(failure::refused(&reply, &self.user)) } else { reply.success() }
    }
}

fn credentials(config: &Superset) -> Result<(&str, &str)> {
    let missing = |key: &str| {
        Error::new(error::Kind::Config, format!("[superset] has no `{key}`")).hint(format!(
            "set it in the pipeline file, or as PIPELINE_SUPERSET_{}{}",
            key.to_uppercase(),
            if key == "password" { "; a file can be named with password_file" } else { "" }
        ))
    };
    let user = config.username.as_deref().filter(|user| !user.is_empty()).ok_or_else(|| missing("username"))?;
    let password = config.password.as_ref().ok_or_else(|| missing("password"))?;
    Ok((user, password.expose()))
}

fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    // Only its query is of interest.
    let url = Url::parse_with_params("http://query/", parameters);
    format!("{path}?{}", url.as_ref().ok().and_then(Url::query).unwrap_or_default())
}
