//! A job of Flink's SQL client, which never outlives its test.

use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value as Json, json};

use crate::harness::{Line, Servers, block_on, wait_for};

/// What is asked of Flink is answered, and done, within this.
const LIMIT: Duration = Duration::from_secs(60);

/// What differs from job to job.
pub struct Settings<'a> {
    pub key: &'a str,
    /// The consumer group; its offsets are committed with every checkpoint.
    pub group: &'a str,
    /// Flink's `scan.startup.mode`.
    pub startup: &'a str,
    /// The records that are summed.
    pub condition: &'a str,
}

/// A running job from a line's source to a line's sink.
pub struct Job {
    url: String,
    id: String,
    savepoints: String,
}

impl Job {
    /// Submits it.
    pub fn start(from: &Line, to: &Line, settings: &Settings<'_>) -> Self {
        let (servers, file) = (Servers::get(), to.folder.join("job.sql"));
        let values = [
            ("{name}", &*to.name),
            ("{source}", &from.source),
            ("{sink}", &to.sink),
            ("{kafka}", servers.kafka()),
            ("{registry}", servers.registry()),
            ("{key}", settings.key),
            ("{group}", settings.group),
            ("{startup}", settings.startup),
            ("{condition}", settings.condition),
        ];
        let fill = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
        let text = values.iter().fold(include_str!("job.sql").to_owned(), fill);
        std::fs::write(&file, text).expect("a file");
        let said = run_client(file.to_str().expect("a path"));
        let id = said.lines().find_map(|line| line.strip_prefix("Job ID: ")).unwrap_or_else(|| panic!("no job:\n{said}"));
        let savepoints = format!("file://{}/savepoints", to.folder.display());
        Self { url: format!("{}/jobs/{}", servers.flink(), id.trim()), id: id.trim().into(), savepoints }
    }

    /// Stops it with a savepoint, as Flink's manual has it: what is open stays open, what was written is flushed.
    pub fn stop(self) {
        assert_eq!(self.state(), "RUNNING", "{}", self.exceptions());
        let body = json!({ "targetDirectory": self.savepoints, "drain": false });
        let answer = ask(&Method::POST, &format!("{}/stop", self.url), Some(&body));
        let trigger = answer["request-id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        let done = wait_for("the savepoint", LIMIT, || {
            let answer = ask(&Method::GET, &format!("{}/savepoints/{trigger}", self.url), None);
            (answer["status"]["id"] == "COMPLETED").then_some(answer)
        });
        assert!(done["operation"]["location"].is_string(), "{done}");
        wait_for("the job's end", LIMIT, || (self.state() == "FINISHED").then_some(()));
    }

    /// Panics, with Flink's reason, unless it runs.
    pub fn expect_running(&self) {
        let state = self.state();
        assert!(matches!(&*state, "CREATED" | "INITIALIZING" | "RUNNING"), "{state}: {}", self.exceptions());
    }

    fn state(&self) -> String {
        ask(&Method::GET, &self.url, None)["state"].as_str().unwrap_or("unknown").to_owned()
    }

    fn exceptions(&self) -> String {
        ask(&Method::GET, &format!("{}/exceptions", self.url), None)["root-exception"].to_string()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !matches!(&*self.state(), "FINISHED" | "CANCELED" | "FAILED") {
            eprintln!("cancelling Flink's job {}", self.id);
            ask(&Method::PATCH, &format!("{}?mode=cancel", self.url), None);
        }
    }
}

/// What Flink's SQL client says to a file. `timeout` ends it, should it hang.
fn run_client(file: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stack/flink-sql");
    let output = Command::new("timeout").args(["120", script, "-f", file]).stdin(Stdio::null()).output().expect("it runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// An answer of Flink's REST API; null if there is none, or no JSON.
fn ask(method: &Method, url: &str, body: Option<&Json>) -> Json {
    block_on(async {
        let client = Client::builder().no_proxy().timeout(LIMIT).build().expect("a client");
        let request = client.request(method.clone(), url);
        let request = if let Some(body) = body { request.json(body) } else { request };
        request.send().await.ok()?.json().await.ok()
    })
    .unwrap_or(Json::Null)
}
