//! Druid as any client of its REST API sees it.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::rest::{LIMIT, answer, clean_up, text};
use super::{Servers, wait_for};

/// Some datasources; dropping it removes them.
pub struct Druid {
    url: String,
    username: String,
    password: String,
    datasources: Vec<String>,
}

impl Druid {
    pub fn of(datasources: &[&str]) -> Self {
        let setting = |key| Servers::get().setting("druid", key);
        Self {
            url: setting("url"),
            username: setting("username"),
            password: setting("password"),
            datasources: datasources.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// The answer to a request under `/druid/`; null if it is no JSON.
    pub fn ask(&self, method: &Method, path: &str, body: Option<&Json>) -> Json {
        let url = format!("{}/druid/{path}", self.url);
        answer(|client| {
            let request = client.request(method.clone(), &url).basic_auth(&self.username, Some(&self.password));
            if let Some(body) = body { request.json(body) } else { request }
        })
    }

    /// The spec of a supervisor; null if there is none.
    pub fn supervisor(&self, name: &str) -> Json {
        self.ask(&Method::GET, &format!("indexer/v1/supervisor/{name}"), None)
    }

    /// The retention rules of a datasource.
    pub fn rules(&self, name: &str) -> Json {
        self.ask(&Method::GET, &format!("coordinator/v1/rules/{name}"), None)
    }

    /// How often each supervisor was posted.
    pub fn versions(&self) -> Vec<usize> {
        let history = |name| self.ask(&Method::GET, &format!("indexer/v1/supervisor/{name}/history"), None);
        self.datasources.iter().map(|name| history(name).as_array().map_or(0, Vec::len)).collect()
    }

    /// The tasks that ever were.
    pub fn tasks(&self) -> BTreeSet<String> {
        self.datasources.iter().flat_map(|name| self.tasks_of(name, "")).collect()
    }

    fn tasks_of(&self, datasource: &str, more: &str) -> Vec<String> {
        let tasks = self.ask(&Method::GET, &format!("indexer/v1/tasks?datasource={datasource}{more}"), None);
        tasks.as_array().expect("tasks").iter().map(|task| text(&task["id"])).collect()
    }

    /// How many rows of a datasource a query sees.
    pub fn count(&self, name: &str) -> usize {
        let query = json!({ "query": format!("SELECT COUNT(*) FROM \"{name}\""), "resultFormat": "array" });
        self.ask(&Method::POST, "v2/sql", Some(&query))[0][0].as_u64().map_or(0, |count| count as usize)
    }

    /// `suspend`s, `resume`s or `terminate`s a supervisor.
    pub fn order(&self, name: &str, order: &str) {
        self.ask(&Method::POST, &format!("indexer/v1/supervisor/{name}/{order}"), None);
    }

    /// Suspends a supervisor, and waits until its tasks have handed over what they read.
    pub fn suspend(&self, name: &str) {
        self.order(name, "suspend");
        self.wait_for_tasks(name);
    }

    /// Waits until no task of a datasource runs.
    pub fn wait_for_tasks(&self, name: &str) {
        let of = |state| self.tasks_of(name, &format!("&state={state}"));
        wait_for("its tasks to end", LIMIT, || {
            let left = ["running", "pending", "waiting"].into_iter().flat_map(of).count();
            // Druid needs seconds for it: no need to ask all the time.
            thread::sleep(Duration::from_millis(if left > 0 { 300 } else { 0 }));
            (left == 0).then_some(())
        });
    }

    /// Has a supervisor read partition 0 of its topic from this offset on. What its tasks have not handed over yet is lost.
    pub fn reset(&self, name: &str, topic: &str, offset: i64) {
        let partitions = json!({ "type": "end", "stream": topic, "partitionOffsetMap": { "0": offset } });
        let body = json!({ "type": "kafka", "partitions": partitions });
        let answer = self.ask(&Method::POST, &format!("indexer/v1/supervisor/{name}/resetOffsets"), Some(&body));
        assert_eq!(answer["id"], name, "{answer}");
    }

    /// Ends the supervisors, and waits until their tasks have ended.
    pub fn terminate(&self) {
        // Only one that is there sees to it that its tasks end.
        self.datasources.iter().for_each(|name| self.order(name, "suspend"));
        for name in &self.datasources {
            self.wait_for_tasks(name);
            self.order(name, "terminate");
        }
    }

    fn remove(&self) {
        self.terminate();
        for name in &self.datasources {
            self.ask(&Method::DELETE, &format!("coordinator/v1/datasources/{name}"), None);
            self.ask(&Method::DELETE, &format!("coordinator/v1/rules/{name}"), None);
        }
    }
}

impl Drop for Druid {
    fn drop(&mut self) {
        clean_up(|| self.remove());
    }
}
