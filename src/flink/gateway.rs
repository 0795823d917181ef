//! The SQL Gateway: statements in, a job's id out.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::json;

use super::cause;
use super::secrets::Secrets;
use super::sql::{Script, secrets};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::http::{Reply, Server, path};

/// How long a statement may take: the job's graph is made and handed to the JobManager.
const STATEMENT_LIMIT: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);

/// A client of the SQL Gateway that `[flink]` names. What it says has no secrets.
#[derive(Debug, Clone)]
pub struct Gateway {
    server: Server,
    secrets: Secrets,
    /// Kafka as Flink reaches it, for advice.
    kafka: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    session_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    operation_handle: String,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fetched {
    result_type: String,
    #[serde(rename = "jobID")]
    job: Option<String>,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

impl Gateway {
    /// Opens no connection yet.
    pub fn new(config: &Config) -> Result<Self> {
        let flink = &config.flink;
        let server = Server::new("Flink's SQL Gateway", "flink", &flink.gateway_url, &flink.http)?.under("gateway_url");
        Ok(Self { server, secrets: secrets(config), kafka: config.kafka_for_flink().to_owned() })
    }

    /// Runs a script in a session, and closes that; the id of the job that the last statement began.
    pub async fn submit(&self, session: &str, script: &Script) -> Result<String> {
        let submitted = self.run(session, script).await;
        // A session that stays is closed by the gateway after ten minutes.
        if let Err(error) = self.close(session).await {
            tracing::debug!("{error}");
        }
        submitted
    }

    async fn run(&self, session: &str, script: &Script) -> Result<String> {
        let mut last = String::new();
        for statement in script.statements() {
            last = self.execute(session, &statement).await?;
            let deadline = Instant::now() + STATEMENT_LIMIT;
            while self.is_running(session, &last).await? {
                if Instant::now() >= deadline {
                    let what = format!("Flink's SQL Gateway has not run a statement in {} s", STATEMENT_LIMIT.as_secs());
                    return Err(Error::new(Kind::Watchdog, what).hint("its own log says why"));
                }
                tokio::time::sleep(PAUSE).await;
            }
            // An error is told with the result.
            self.job(session, &last).await?;
        }
        let job = self.job(session, &last).await?;
        job.ok_or_else(|| Error::new(Kind::Failed, "Flink's SQL Gateway took the statements, and began no job"))
    }

    /// Opens a session.
    pub async fn open(&self) -> Result<String> {
        let request = self.server.request(Method::POST, "v2/sessions")?.json(&json!({ "sessionName": "pipeline" }));
        Ok(self.send(request).await?.json::<Opened>()?.session_handle)
    }

    /// Begins a statement; the operation that stands for it.
    pub async fn execute(&self, session: &str, statement: &str) -> Result<String> {
        let address = path(&["v2", "sessions", session, "statements"], &[]);
        let request = self.server.request(Method::POST, &address)?.json(&json!({ "statement": statement }));
        Ok(self.send(request).await?.json::<Begun>()?.operation_handle)
    }

    /// Whether a statement is still under way.
    pub async fn is_running(&self, session: &str, operation: &str) -> Result<bool> {
        let address = path(&["v2", "sessions", session, "operations", operation, "status"], &[]);
        let status = self.send(self.server.request(Method::GET, &address)?).await?.json::<Status>()?.status;
        Ok(matches!(status.as_str(), "INITIALIZED" | "PENDING" | "RUNNING"))
    }

    /// The id of the job that a statement which has ended began; `None`: it began none.
    pub async fn job(&self, session: &str, operation: &str) -> Result<Option<String>> {
        let address = path(&["v2", "sessions", session, "operations", operation, "result", "0"], &[("rowFormat", "JSON")]);
        let fetched = self.send(self.server.request(Method::GET, &address)?).await?.json::<Fetched>()?;
        if fetched.result_type == "NOT_READY" {
            return Err(Error::new(Kind::Failed, "Flink's SQL Gateway has ended a statement, and has no result of it"));
        }
        Ok(fetched.job)
    }

    /// Closes a session; what it began goes on.
    pub async fn close(&self, session: &str) -> Result<()> {
        let address = path(&["v2", "sessions", session], &[]);
        self.send(self.server.request(Method::DELETE, &address)?).await?.json::<Status>().map(drop)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Reply> {
        let sent = self.server.send(request).await.and_then(|reply| self.judge(reply));
        sent.map_err(|error| Error { message: self.secrets.hide(&error.message), ..error })
    }

    /// A statement that failed is an answer with status 500, and the trace of why.
    fn judge(&self, reply: Reply) -> Result<Reply> {
        match serde_json::from_slice::<Errors>(&reply.body) {
            Ok(Errors { errors }) if reply.status == 500 => {
                // What is hidden may go over several lines of it.
                let trace = self.secrets.hide(errors.last().map_or("", String::as_str));
                Err(cause::error("Flink's SQL Gateway did not take the job", &trace, &self.kafka))
            }
            _ => reply.success(),
        }
    }
}
