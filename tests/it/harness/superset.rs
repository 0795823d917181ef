//! Superset as its own pages see it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value as Json, json};

use super::rest::{LIMIT, answer, clean_up, text};
use super::{Servers, block_on, wait_for};

/// A dashboard and what was made for it; dropping it removes that.
pub struct Superset {
    url: String,
    /// Its address is /superset/dashboard/SLUG/.
    pub slug: String,
    session: Mutex<Session>,
}

/// A login. Superset forgets it after a quarter of an hour.
struct Session {
    since: Instant,
    /// Authorization, CSRF token and session: a write needs all three.
    headers: [(&'static str, String); 3],
}

/// A session that is older is made anew.
const AGE: Duration = Duration::from_secs(600);

impl Session {
    fn new(url: &str) -> Self {
        let setting = |key| Servers::get().setting("superset", key);
        let login = json!({ "username": setting("username"), "password": setting("password"), "provider": "db" });
        let path = format!("{url}/api/v1/security/");
        let token = text(&answer(|client| client.post(format!("{path}login")).json(&login))["access_token"]);
        let (csrf, cookie) = block_on(async {
            let request = Client::new().get(format!("{path}csrf_token/")).bearer_auth(&token);
            let response = request.send().await.expect("an answer");
            let cookie = response.headers()["set-cookie"].to_str().expect("text").split(';').next().map(str::to_owned);
            (response.json::<Json>().await.expect("JSON"), cookie.expect("a session"))
        });
        let headers = [("Authorization", format!("Bearer {token}")), ("X-CSRFToken", text(&csrf["result"])), ("Cookie", cookie)];
        Self { since: Instant::now(), headers }
    }
}

impl Superset {
    /// Logs in.
    pub fn of(slug: &str) -> Self {
        let url = Servers::get().setting("superset", "url");
        Self { session: Mutex::new(Session::new(&url)), url, slug: slug.into() }
    }

    /// The access token of its login.
    pub fn token(&self) -> String {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.headers[0].1.trim_start_matches("Bearer ").to_owned()
    }

    /// The answer to a request under `/api/v1/`; null if it is no JSON.
    pub fn ask(&self, method: &Method, path: &str, body: Option<&Json>) -> Json {
        let url = format!("{}/api/v1/{path}", self.url);
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.since.elapsed() > AGE {
            *session = Session::new(&self.url);
        }
        answer(|client| {
            let mut request = client.request(method.clone(), &url).header("Accept", "application/json");
            for (name, value) in &session.headers {
                request = request.header(*name, value);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            request
        })
    }

    /// The objects of a kind that filters let through. Superset mixes up the filters of lists that are asked for at the same time:
    /// one that comes twice in a row is right.
    pub fn list(&self, kind: &str, filters: &Json) -> Vec<Json> {
        let query = json!({ "filters": filters, "columns": ["id", "uuid"], "page_size": 100 });
        let query = reqwest::Url::parse_with_params("http://q/", [("q", query.to_string())]).expect("an address");
        let path = format!("{kind}/?{}", query.query().unwrap_or_default());
        let mut before = Json::Null;
        wait_for("the same list twice", LIMIT, || {
            let found = self.ask(&Method::GET, &path, None)["result"].take();
            let is_same = found.is_array() && found == before;
            before = found;
            is_same.then(|| before.as_array().cloned())?
        })
    }

    /// The dashboard; null if there is none.
    pub fn dashboard(&self) -> Json {
        self.ask(&Method::GET, &format!("dashboard/{}", self.slug), None)["result"].clone()
    }

    /// The dashboard's charts.
    pub fn charts(&self) -> Vec<Json> {
        let charts = self.ask(&Method::GET, &format!("dashboard/{}/charts", self.slug), None);
        charts["result"].as_array().cloned().unwrap_or_default()
    }

    /// A chart of the dashboard, as it is stored.
    pub fn chart(&self, title: &str) -> Json {
        let charts = self.charts();
        let chart = charts.iter().find(|chart| chart["slice_name"] == title).unwrap_or_else(|| panic!("no chart `{title}`"));
        self.ask(&Method::GET, &format!("chart/{}", chart["id"]), None)["result"].clone()
    }

    /// A chart's rows, asked for as its query says that is stored with it.
    pub fn rows(&self, title: &str) -> Vec<Json> {
        let query = serde_json::from_str(self.chart(title)["query_context"].as_str().expect("a query")).expect("JSON");
        let answer = self.ask(&Method::POST, "chart/data", Some(&query));
        answer["result"][0]["data"].as_array().unwrap_or_else(|| panic!("no data: {answer}")).clone()
    }

    /// Has the dashboard drawn in a browser, and keeps the picture as `target/look/NAME.png`.
    pub fn look(&self, name: &str, titles: &[&str]) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let picture = root.join(format!("target/look/{name}.png"));
        // One of an earlier run must not be taken for this one's; there may be none.
        let _ = std::fs::remove_file(&picture);
        let page = format!("{}/superset/dashboard/{}/", self.url, self.slug);
        let mut look = Command::new(root.join("tests/stack/look"));
        let looked = look.arg(page).arg(&picture).arg(titles.len().to_string()).output().expect("look runs");
        let said = String::from_utf8_lossy(&looked.stdout);
        assert!(looked.status.success(), "{said}{}", String::from_utf8_lossy(&looked.stderr));
        for title in titles {
            assert!(said.contains(title), "`{title}` is missing in:\n{said}");
        }
        assert!(std::fs::read(&picture).expect("a picture").starts_with(b"\x89PNG"));
    }

    fn remove(&self) {
        // Each is known by the one before it, and can be deleted only after that.
        let charts = self.charts();
        let Some(dashboard) = self.dashboard()["id"].as_u64() else { return };
        let sets: BTreeSet<String> = charts.iter().map(|chart| text(&chart["form_data"]["datasource"])).collect();
        let sets: Vec<String> = sets.iter().filter_map(|id| Some(id.split_once("__")?.0.to_owned())).collect();
        let database =
            |set: &String| self.ask(&Method::GET, &format!("dataset/{set}"), None)["result"]["database"]["id"].as_u64();
        let databases: BTreeSet<u64> = sets.iter().filter_map(database).collect();
        let delete = |kind: &str, id: &str| drop(self.ask(&Method::DELETE, &format!("{kind}/{id}"), None));
        delete("dashboard", &dashboard.to_string());
        charts.iter().for_each(|chart| delete("chart", &chart["id"].to_string()));
        sets.iter().for_each(|id| delete("dataset", id));
        databases.iter().for_each(|id| delete("database", &id.to_string()));
    }
}

impl Drop for Superset {
    fn drop(&mut self) {
        clean_up(|| self.remove());
    }
}
