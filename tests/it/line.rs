//! The whole line on real servers: events, sums per minute, Druid, Superset, and what a person sees of them.
//!
//! What the charts show is taken from where the browser takes it, and compared with sums that the test makes of the source topic.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value as Json, json};

use crate::harness::{Ended, Line, Servers, block_on, closed, compare, sums, wait_for};

const LIMIT: Duration = Duration::from_secs(180);
const LATENESS_MS: i64 = 5_000;
const RAW: &str = "Superset aggregated sales";
const AGGREGATED: &str = "Flink Aggregated Sales";
const SHARES: &str = "stores_shares_sales";

#[test]
#[ignore = "needs tests/stack/up"]
fn line_charts_equal_each_other_and_the_sums_of_the_source() {
    let line = Line::on_servers("line");
    let druid = Druid::of(&line);
    let superset = Superset::of(&line);

    line.run(&["produce", "--backfill", "30m", "--count", "1800", "--seed", "101", "--partitions", "2"], LIMIT).expect(0);
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0);
    assert_eq!(last_line(&line.run(&["druid-ingest"], LIMIT).expect(0)), "created 2 changed 0 unchanged 0");
    let bootstrap = line.run(&["superset-bootstrap"], LIMIT).expect(0);
    assert_eq!(last_line(&bootstrap), "created 7 changed 0 unchanged 0");

    let (all, latest) = sums(&line);
    let whole = closed(&all, latest, LATENESS_MS);
    assert!(whole.len() >= 29 * 3, "three stores sold for half an hour, and {} sums are closed", whole.len());
    compare(&all, &superset.area(RAW)).expect_equal();
    compare(&whole, &superset.area(AGGREGATED)).expect_equal();
    let mut totals = BTreeMap::new();
    all.iter().for_each(|((store, _), sum)| *totals.entry(store.clone()).or_default() += sum);
    superset.expect_shares(&totals);

    let (versions, tasks) = (druid.versions(), druid.tasks());
    assert_eq!(last_line(&line.run(&["druid-ingest"], LIMIT).expect(0)), "created 0 changed 0 unchanged 2");
    assert_eq!(last_line(&line.run(&["superset-bootstrap"], LIMIT).expect(0)), "created 0 changed 0 unchanged 7");
    look(address(&bootstrap));
    assert_eq!(druid.versions(), versions, "a second run must not post a supervisor again");
    assert_eq!(druid.tasks(), tasks, "a second run must not restart a task");
    compare(&whole, &superset.area(AGGREGATED)).expect_equal();
}

fn last_line(ended: &Ended) -> &str {
    ended.stdout.lines().last().unwrap_or_default()
}

/// The dashboard's address as the program prints it.
fn address(bootstrap: &Ended) -> &str {
    let found = bootstrap.stdout.lines().find(|line| line.starts_with("http"));
    found.unwrap_or_else(|| panic!("no address in:\n{}", bootstrap.stdout))
}

/// Has the dashboard drawn in a browser, and keeps the picture.
fn look(dashboard: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let picture = root.join("target/look/line.png");
    // One of an earlier run must not be taken for this one's; there may be none.
    let _ = std::fs::remove_file(&picture);
    let looked = Command::new(root.join("tests/stack/look")).arg(dashboard).arg(&picture).arg("3").output().expect("look runs");
    let said = String::from_utf8_lossy(&looked.stdout);
    assert!(looked.status.success(), "{said}{}", String::from_utf8_lossy(&looked.stderr));
    for title in [RAW, AGGREGATED, SHARES] {
        assert!(said.contains(title), "`{title}` is missing in:\n{said}");
    }
    assert!(std::fs::read(&picture).expect("a picture").starts_with(b"\x89PNG"));
}

/// Druid's view of the line's two datasources; dropping it removes them.
struct Druid {
    url: String,
    username: String,
    password: String,
    datasources: [String; 2],
}

impl Druid {
    fn of(line: &Line) -> Self {
        Self {
            url: setting("druid", "url"),
            username: setting("druid", "username"),
            password: setting("druid", "password"),
            datasources: [line.source.clone(), line.sink.clone()],
        }
    }

    fn ask(&self, method: &Method, path: &str) -> Json {
        let url = format!("{}/druid/{path}", self.url);
        answer(|client| client.request(method.clone(), &url).basic_auth(&self.username, Some(&self.password)))
    }

    /// How often each supervisor was posted.
    fn versions(&self) -> Vec<usize> {
        let history = |name| self.ask(&Method::GET, &format!("indexer/v1/supervisor/{name}/history"));
        self.datasources.iter().map(|name| history(name).as_array().expect("versions").len()).collect()
    }

    /// The tasks that ever were.
    fn tasks(&self) -> BTreeSet<String> {
        self.datasources.iter().flat_map(|name| self.tasks_of(name, "")).collect()
    }

    fn tasks_of(&self, datasource: &str, more: &str) -> Vec<String> {
        let tasks = self.ask(&Method::GET, &format!("indexer/v1/tasks?datasource={datasource}{more}"));
        tasks.as_array().expect("tasks").iter().map(|task| text(&task["id"])).collect()
    }
}

impl Druid {
    fn remove(&self) {
        for name in &self.datasources {
            self.ask(&Method::POST, &format!("indexer/v1/supervisor/{name}/terminate"));
        }
        for name in &self.datasources {
            wait_for("its tasks to end", LIMIT, || {
                let states = ["running", "pending", "waiting"];
                let left = states.iter().any(|state| !self.tasks_of(name, &format!("&state={state}")).is_empty());
                // Druid needs seconds for it: no need to ask all the time.
                thread::sleep(Duration::from_millis(if left { 500 } else { 0 }));
                (!left).then_some(())
            });
            self.ask(&Method::DELETE, &format!("coordinator/v1/datasources/{name}"));
        }
    }
}

impl Drop for Druid {
    fn drop(&mut self) {
        clean_up(|| self.remove());
    }
}

/// The line's dashboard as Superset serves it; dropping it removes what was made for it.
struct Superset {
    url: String,
    slug: String,
    /// Authorization, CSRF token and session: a write needs all three.
    headers: [(&'static str, String); 3],
}

impl Superset {
    fn of(line: &Line) -> Self {
        let url = setting("superset", "url");
        let login = json!({
            "username": setting("superset", "username"),
            "password": setting("superset", "password"),
            "provider": "db",
        });
        let path = format!("{url}/api/v1/security/");
        let token = text(&answer(|client| client.post(format!("{path}login")).json(&login))["access_token"]);
        let (csrf, cookie) = block_on(async {
            let request = Client::new().get(format!("{path}csrf_token/")).bearer_auth(&token);
            let response = request.send().await.expect("an answer");
            let cookie = response.headers()["set-cookie"].to_str().expect("text").split(';').next().map(str::to_owned);
            (response.json::<Json>().await.expect("JSON"), cookie.expect("a session"))
        });
        let headers = [("Authorization", format!("Bearer {token}")), ("X-CSRFToken", text(&csrf["result"])), ("Cookie", cookie)];
        Self { url, slug: format!("{}-kafka-101-tutorial", line.name), headers }
    }

    fn ask(&self, method: &Method, path: &str, body: Option<&Json>) -> Json {
        let url = format!("{}/api/v1/{path}", self.url);
        answer(|client| {
            let mut request = client.request(method.clone(), &url).header("Accept", "application/json");
            for (name, value) in &self.headers {
                request = request.header(*name, value);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            request
        })
    }

    fn charts(&self) -> Vec<Json> {
        let charts = self.ask(&Method::GET, &format!("dashboard/{}/charts", self.slug), None);
        charts["result"].as_array().cloned().unwrap_or_default()
    }

    /// A chart's rows, asked for as its query says that is stored with it.
    fn rows(&self, title: &str) -> Vec<Json> {
        let charts = self.charts();
        let chart = charts.iter().find(|chart| chart["slice_name"] == title).unwrap_or_else(|| panic!("no chart `{title}`"));
        let stored = self.ask(&Method::GET, &format!("chart/{}", chart["id"]), None);
        let query = serde_json::from_str(stored["result"]["query_context"].as_str().expect("a query")).expect("JSON");
        let answer = self.ask(&Method::POST, "chart/data", Some(&query));
        answer["result"][0]["data"].as_array().unwrap_or_else(|| panic!("no data: {answer}")).clone()
    }

    /// An area chart as (store, start of the minute) and sum: a row is a minute, a column a store.
    fn area(&self, title: &str) -> Vec<((String, i64), i64)> {
        let mut cells = Vec::new();
        for row in self.rows(title) {
            let time = whole(&row["__time"]);
            let stores = row.as_object().expect("a row").iter().filter(|(name, sum)| *name != "__time" && !sum.is_null());
            cells.extend(stores.map(|(store, sum)| ((store.clone(), time), whole(sum))));
        }
        cells
    }

    /// Panics unless the pie shows these totals, and shares that fit them.
    fn expect_shares(&self, totals: &BTreeMap<String, i64>) {
        let (rows, all) = (self.rows(SHARES), totals.values().sum::<i64>());
        assert_eq!(rows.len(), totals.len(), "{rows:?}");
        for row in &rows {
            let (store, total) = (text(&row["store_id"]), whole(&row["SUM(sale_amount)"]));
            assert_eq!(Some(&total), totals.get(&store), "{row}");
            let share = row["SUM(sale_amount)__contribution"].as_f64().expect("a share");
            assert!((share - total as f64 / all as f64).abs() < 1e-9, "{row} of {all}");
        }
    }
}

impl Superset {
    fn remove(&self) {
        // Each is known by the one before it, and can be deleted only after that.
        let charts = self.charts();
        let Some(dashboard) = self.ask(&Method::GET, &format!("dashboard/{}", self.slug), None)["result"]["id"].as_u64() else {
            return;
        };
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

/// In a thread of its own: if it panics after the test has, both are told of.
fn clean_up(work: impl FnOnce() + Send) {
    if std::env::var_os("TEST_KEEP").is_some() {
        return;
    }
    let done = thread::scope(|scope| scope.spawn(work).join());
    assert!(done.is_ok() || thread::panicking(), "cleaning up failed");
}

/// A setting that `tests/stack/env` gives.
fn setting(table: &str, key: &str) -> String {
    let found = Servers::get().settings().find(|(in_table, name, _)| in_table == table && name == key);
    found.unwrap_or_else(|| panic!("tests/stack/env does not name {table} {key}")).2.to_owned()
}

/// A server's answer, as JSON; null if it is none.
fn answer(request: impl Fn(&Client) -> RequestBuilder) -> Json {
    let response = block_on(async { request(&Client::new()).timeout(LIMIT).send().await?.text().await });
    serde_json::from_str(&response.expect("an answer")).unwrap_or(Json::Null)
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// A whole number, which may be written as a float.
fn whole(value: &Json) -> i64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"));
    assert!(number.fract() == 0.0, "{number} is not whole");
    number as i64
}
