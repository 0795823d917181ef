//! What is asked of Superset, and told to it, over a [`Session`].

use reqwest::multipart::{Form, Part};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::address::Address;
use super::assets::Asset;
use super::bundle;
use super::drawn::Drawn;
use super::failure::{self, Trouble};
use super::found::{self, Answer, Found, Listed};
use super::ids::Kind;
use super::session::Session;
use crate::config::Secret;
use crate::error::{self, Error, Result};
use crate::http::Reply;

/// Lines in a page of a list: the most that Superset gives unless told otherwise.
const PAGE: usize = 100;
/// The most pages of a list that are read.
const PAGES: usize = 100;
/// How often a list is read, until two in a row are alike.
const READINGS: usize = 6;

/// A list's filter.
#[derive(Debug, Clone, Copy)]
pub enum Filter<'a> {
    /// The column has this value.
    Is(&'a str, &'a str),
    /// The object is of the one with this number.
    Of(&'a str, u64),
    /// The object is of several, among them the one with this number.
    OfSome(&'a str, u64),
}

impl Filter<'_> {
    /// In JSON, which Superset takes beside rison and which needs no escapes of its own.
    fn json(self) -> Value {
        let (column, operator, value) = match self {
            Self::Is(column, value) => (column, "eq", json!(value)),
            Self::Of(column, id) => (column, "rel_o_m", json!(id)),
            Self::OfSome(column, id) => (column, "rel_m_m", json!(id)),
        };
        json!({ "col": column, "opr": operator, "value": value })
    }
}

#[derive(Deserialize)]
struct Info {
    permissions: Vec<String>,
}

/// What was written: an import, a removal.
#[derive(Deserialize)]
struct Done {
    #[serde(rename = "message")]
    _message: String,
}

#[derive(Deserialize)]
struct Engines {
    databases: Vec<Engine>,
}

#[derive(Deserialize)]
struct Engine {
    engine: String,
}

#[derive(Deserialize)]
struct Page {
    count: usize,
    result: Vec<Listed>,
}

impl Session {
    /// What is there of an object that should be.
    pub async fn find(&self, asset: &Asset) -> Result<Option<Found>> {
        // The only collection that every version gives by uuid: charts since 6.0, datasets since 6.1.
        if asset.kind == Kind::Dashboard {
            return self.read(asset.kind, asset.uuid).await;
        }
        match self.by_uuid(asset.kind, asset.uuid).await? {
            Some(one) => self.read(asset.kind, one.id).await,
            None => Ok(None),
        }
    }

    /// The object with this number (or uuid), if there is one.
    pub async fn read(&self, kind: Kind, key: impl std::fmt::Display) -> Result<Option<Found>> {
        let Some(mut said) = self.said(kind, key).await? else { return Ok(None) };
        match kind {
            Kind::Dataset if said["database"]["uuid"].is_null() => {
                let database = self.said(Kind::Database, &said["database"]["id"]).await?;
                said["database"]["uuid"] = database.map_or(Value::Null, |one| one["uuid"].clone());
            }
            Kind::Chart if said["datasource_uuid"].is_null() => said["datasource_uuid"] = self.dataset_of(&said["id"]).await?,
            _ => {}
        }
        Ok(found::read(kind, &said))
    }

    /// The uuid of a chart's dataset. Superset before 6.0 tells it by number only, and in the list only.
    async fn dataset_of(&self, chart: &Value) -> Result<Value> {
        let chart = self.list(Kind::Chart, Filter::Is("id", &chart.to_string())).await?;
        let Some(dataset) = chart.first().and_then(|one| one.datasource_id) else { return Ok(Value::Null) };
        let dataset = self.list(Kind::Dataset, Filter::Is("id", &dataset.to_string())).await?;
        Ok(dataset.first().map_or(Value::Null, |one| json!(one.uuid)))
    }

    /// All that Superset says of the object with this number (or uuid).
    pub async fn said(&self, kind: Kind, key: impl std::fmt::Display) -> Result<Option<Value>> {
        let path = match kind {
            Kind::Database => format!("api/v1/database/{key}/connection"),
            kind => format!("api/v1/{kind}/{key}"),
        };
        let reply = self.ask(&path).await?;
        if reply.status == 404 && reply.json::<Value>().is_ok() {
            return Ok(None);
        }
        Ok(Some(self.check(reply)?.json::<Answer>()?.result))
    }

    /// The member of a collection with this uuid. Before 6.0 Superset does not filter by it, but tells it.
    pub async fn by_uuid(&self, kind: Kind, uuid: Uuid) -> Result<Option<Listed>> {
        let text = uuid.to_string();
        let mut filters = vec![Filter::Is("uuid", &text)];
        let reply = self.page_of(kind, &filters, 0).await?;
        if reply.status == 400 && reply.excerpt().contains("not allowed to filter") {
            filters.clear();
        } else if let Some(one) = self.check(reply)?.json::<Page>()?.result.into_iter().find(|one| one.uuid == uuid) {
            return Ok(Some(one));
        }
        Ok(self.listed(kind, &filters).await?.into_iter().find(|one| one.uuid == uuid))
    }

    /// The objects of a kind that a filter lets through.
    pub async fn list(&self, kind: Kind, filter: Filter<'_>) -> Result<Vec<Listed>> {
        self.listed(kind, &[filter]).await
    }

    /// The objects that filters let through, by their numbers.
    ///
    /// Superset keeps a request's filters where another that comes at the same time clears them, or adds its own (Flask-AppBuilder's
    /// `_handle_filters_args`): a list may be what somebody else asked for. One that comes twice in a row is right.
    async fn listed(&self, kind: Kind, filters: &[Filter<'_>]) -> Result<Vec<Listed>> {
        let mut before = None;
        for _ in 0..READINGS {
            let mut list = self.pages(kind, filters).await?;
            list.sort_unstable_by_key(|one| one.id);
            if before.as_ref() == Some(&list) {
                return Ok(list);
            }
            before = Some(list);
        }
        let message = format!("Superset lists other {kind}s each time that it is asked; nothing was changed");
        Err(Error::new(error::Kind::Failed, message).hint("does somebody change them right now? run this again"))
    }

    async fn page_of(&self, kind: Kind, filters: &[Filter<'_>], number: usize) -> Result<Reply> {
        let columns: &[&str] = match kind {
            Kind::Database | Kind::Dashboard => &["id", "uuid"],
            Kind::Dataset => &["id", "uuid", "table_name", "schema", "database.id"],
            Kind::Chart => &["id", "uuid", "slice_name", "datasource_id", "dashboards.id"],
        };
        let filters: Vec<Value> = filters.iter().map(|filter| filter.json()).collect();
        let query = json!({ "filters": filters, "columns": columns, "page": number, "page_size": PAGE });
        self.ask(&with_query(&format!("api/v1/{kind}/"), &query.to_string())).await
    }

    async fn pages(&self, kind: Kind, filters: &[Filter<'_>]) -> Result<Vec<Listed>> {
        let mut all = Vec::new();
        for number in 0..PAGES {
            let page: Page = self.check(self.page_of(kind, filters, number).await?)?.json()?;
            // A server may be set to give fewer in a page than are asked for.
            let is_last = page.result.is_empty() || all.len() + page.result.len() >= page.count;
            all.extend(page.result);
            if is_last {
                return Ok(all);
            }
        }
        Err(Error::new(
            error::Kind::Failed,
            format!("Superset lists more than {} {kind}s here; nothing was changed", PAGE * PAGES),
        ))
    }

    /// Refuses a user that may not write: only so is nothing changed when something cannot be.
    pub async fn may_write(&self, kinds: &[Kind]) -> Result<()> {
        for kind in kinds {
            let query = json!({ "keys": ["permissions"] }).to_string();
            let reply = self.get(&with_query(&format!("api/v1/{kind}/_info"), &query)).await?;
            if !reply.json::<Info>()?.permissions.iter().any(|one| one == "can_write") {
                return Err(failure::may_not_write(*kind, &self.who));
            }
        }
        Ok(())
    }

    /// Makes Superset's objects be as desired. A failed import may leave some of them, so what can be looked at is looked at before.
    pub async fn import(&self, assets: &[Asset], found: &[Option<&Found>], address: &Address) -> Result<Reply> {
        let databases = assets.iter().filter(|asset| asset.kind == Kind::Database).map(bundle::path);
        let passwords = address.password.iter().flat_map(|password| databases.clone().map(|path| (path, password.clone())));
        self.import_zip(bundle::zip(assets, found)?, &passwords.collect::<Vec<_>>(), address).await
    }

    /// What the answer to an import means.
    pub fn imported(&self, reply: &Reply, address: &Address) -> Result<()> {
        match reply.status {
            // A page that is no answer of Superset's must not be taken for one.
            200..=299 => reply.json::<Done>().map(drop),
            _ => Err(failure::import(reply, address, &self.who)),
        }
    }

    /// Sends an import, which may be sent again: it comes to the same.
    ///
    /// The passwords go in a field of their own, each for the file of a database: Superset's action log keeps the bodies of
    /// requests that have it in an address.
    pub async fn import_zip(&self, zip: Vec<u8>, passwords: &[(String, Secret)], address: &Address) -> Result<Reply> {
        let passwords: Map<String, Value> =
            passwords.iter().map(|(path, password)| (path.clone(), json!(password.expose()))).collect();
        let sent = self.write(Method::POST, "api/v1/assets/import/", |request| {
            let mut form = Form::new().part("bundle", Part::bytes(zip.clone()).file_name("pipeline.zip"));
            if !passwords.is_empty() {
                form = form.text("passwords", Value::from(passwords.clone()).to_string());
            }
            Ok(request.multipart(form))
        });
        sent.await.map_err(|error| {
            if error.kind != error::Kind::Unreachable {
                return error;
            }
            // Superset has answered before, so it may be Druid that it waits for.
            let hint = error.hint.clone().map_or_else(String::new, |hint| hint + "; ");
            error.hint(format!(
                "{hint}Superset asks Druid during an import: does it reach {}? it may finish this import later; run this again",
                address.masked()
            ))
        })
    }

    /// The files that Superset keeps objects of a kind in, as a zip.
    pub async fn export(&self, kind: Kind, ids: &[u64]) -> Result<Vec<u8>> {
        // A JSON list of one would be taken for a word of rison.
        let ids = ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let reply = self.get(&with_query(&format!("api/v1/{kind}/export/"), &format!("!({ids})"))).await;
        let strange = |reply: &Reply| reply.strange(&format!("not the zip that was expected: {}", reply.excerpt()));
        let zip = reply.and_then(|reply| if reply.body.starts_with(b"PK") { Ok(reply.body) } else { Err(strange(&reply)) });
        zip.map_err(|error| error.while_doing("cannot back up, so nothing was changed"))
    }

    /// Deletes an object; that it is gone already is as well.
    pub async fn delete(&self, kind: Kind, id: u64) -> Result<()> {
        let reply = self.write(Method::DELETE, &format!("api/v1/{kind}/{id}"), Ok).await?;
        if reply.status == 404 && reply.json::<Value>().is_ok() {
            return Ok(());
        }
        self.check(reply)?.json::<Done>().map(drop)
    }

    /// The databases that it has a driver for, for example `druid`.
    pub async fn engines(&self) -> Result<Vec<String>> {
        let known: Engines = self.get("api/v1/database/available/").await?.json()?;
        Ok(known.databases.into_iter().map(|one| one.engine).collect())
    }

    /// Whether it reaches a port from where it runs; `None` if it cannot be asked.
    ///
    /// Superset looks before it connects to a database whose address is typed part by part. Without a user it goes no further, so
    /// nothing secret is sent, and it does not matter which database is named.
    pub async fn reaches(&self, host: &str, port: u16) -> Result<Option<Result<(), String>>> {
        let body = json!({ "engine": "postgresql", "configuration_method": "dynamic_form",
            "parameters": { "host": host, "port": port } });
        let reply = self.write(Method::POST, "api/v1/database/validate_parameters/", |request| Ok(request.json(&body))).await?;
        match failure::told(&reply) {
            _ if matches!(reply.status, 404 | 405) => Ok(None),
            Some(told) if reply.status == 422 => {
                let trouble = told.into_iter().find(failure::Told::is_of_the_way);
                Ok(Some(trouble.map_or(Ok(()), |one| Err(one.message))))
            }
            _ => self.check(reply)?.json::<Done>().map(|_| Some(Ok(()))),
        }
    }

    /// Has it connect to a database: why it could not, if it could not.
    ///
    /// Superset keeps the address in its action log: it must not have a password, but may be masked as that of the stored
    /// connection of this name, whose password is taken then.
    pub async fn connects(&self, name: &str, uri: &str) -> Result<Result<(), String>> {
        let body = json!({ "database_name": name, "sqlalchemy_uri": uri });
        let reply = self.write(Method::POST, "api/v1/database/test_connection/", |request| Ok(request.json(&body))).await?;
        match failure::told(&reply) {
            Some(told) if matches!(reply.status, 400 | 422) => {
                Ok(Err(told.into_iter().map(|one| one.message).collect::<Vec<_>>().join("; ")))
            }
            _ => self.check(reply)?.json::<Done>().map(|_| Ok(())),
        }
    }

    /// What a chart is drawn from, asked of Druid anew.
    pub async fn drawn(&self, chart: u64) -> Result<Drawn, Trouble> {
        let reply = self.ask_for_rows(&format!("api/v1/chart/{chart}/data/?force=true")).await.map_err(Trouble::NoAnswer)?;
        Drawn::of(&reply, &self.who)
    }
}

fn with_query(path: &str, query: &str) -> String {
    // Only its query is of interest.
    let url = Url::parse_with_params("http://query/", [("q", query)]);
    format!("{path}?{}", url.as_ref().ok().and_then(Url::query).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::config;

    /// A Superset that gives these answers, one a connection.
    async fn answering(answers: Vec<String>) -> Session {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for body in [json!({ "access_token": "t" }).to_string()].into_iter().chain(answers) {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 8192]).unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all([head, body].concat().as_bytes()).unwrap();
            }
        });
        let password = Some(Secret::new("p"));
        Session::login(&config::Superset { url, username: Some("me".into()), password, ..config::Superset::default() })
            .await
            .unwrap()
    }

    fn list(numbers: &[u64]) -> String {
        let lines: Vec<Value> = numbers.iter().map(|id| json!({ "id": id, "uuid": Uuid::from_u128((*id).into()) })).collect();
        json!({ "count": lines.len(), "result": lines }).to_string()
    }

    #[tokio::test]
    async fn a_list_counts_when_it_came_twice() {
        let ids = |listed: Vec<Listed>| listed.iter().map(|one| one.id).collect::<Vec<_>>();
        let mixed_up = answering([&[][..], &[3, 1], &[7], &[1, 3], &[3, 1]].map(list).into()).await;
        assert_eq!(ids(mixed_up.list(Kind::Chart, Filter::Is("datasource_id", "5")).await.unwrap()), [1, 3]);
        let restless = answering((1..=READINGS as u64).map(|id| list(&[id])).collect()).await;
        assert!(restless.list(Kind::Chart, Filter::Is("datasource_id", "5")).await.unwrap_err().hint.is_some());
    }

    #[tokio::test]
    async fn one_that_a_list_lacks_is_asked_for_again() {
        let found = |one: Option<Listed>| one.map(|one| one.id);
        let uuid = Uuid::from_u128(3);
        let mixed_up = answering([&[7][..], &[3], &[3]].map(list).into()).await;
        assert_eq!(found(mixed_up.by_uuid(Kind::Chart, uuid).await.unwrap()), Some(3));
        let at_once = answering(vec![list(&[3])]).await;
        assert_eq!(found(at_once.by_uuid(Kind::Chart, uuid).await.unwrap()), Some(3));
        let absent = answering([&[][..], &[], &[]].map(list).into()).await;
        assert_eq!(found(absent.by_uuid(Kind::Chart, uuid).await.unwrap()), None);
    }
}
