//! Druid's REST API, through its router: one method a request. What the answers mean is decided elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::failure::{self, words};
use super::retention::{AUTHOR, Entry, Found, signature};
use super::sample::Sampled;
use super::spec::Supervisor;
use super::status::{About, Envelope, Stats, Status, Task, Worker};
use crate::config::{self, TIME_COLUMN};
use crate::error::Result;
use crate::http::{ROWS_CAP, Reply, Server, path};

/// How long posting a supervisor may take: one that runs is stopped first, and one that does not reach Kafka is slow to stop.
const POST_TIMEOUT: Duration = Duration::from_secs(180);

/// A client of one Druid.
#[derive(Debug, Clone)]
pub struct Druid {
    server: Server,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleRequest {
    #[serde(rename = "type")]
    kind: &'static str,
    spec: Supervisor,
    sampler_config: SamplerConfig,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SamplerConfig {
    num_rows: u64,
    timeout_ms: u64,
}

/// A supervisor as the list of all gives it.
#[derive(Debug, Clone, Deserialize)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its spec.
    pub spec: Value,
}

/// A version of a supervisor's spec; of a termination a tombstone.
#[derive(Deserialize)]
struct Version {
    spec: Value,
}

fn specs(versions: Vec<Version>) -> Vec<Value> {
    versions.into_iter().map(|version| version.spec).collect()
}

/// A supervisor that Druid has taken.
#[derive(Deserialize)]
struct Posted {
    #[serde(rename = "id")]
    _id: String,
}

/// A supervisor that was told something: its id, or its spec.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ordered {
    Id {
        #[serde(rename = "id")]
        _id: String,
    },
    Spec {
        #[serde(rename = "suspended")]
        _suspended: bool,
    },
}

/// What the coordinator tells of a datasource.
#[derive(Deserialize)]
struct Segments {
    segments: InUse,
}

#[derive(Deserialize)]
struct InUse {
    #[serde(default)]
    count: u64,
}

#[derive(Deserialize)]
struct Dropped {
    #[serde(rename = "numChangedSegments")]
    _segments: u64,
}

#[derive(Deserialize)]
struct Exists {
    tables: u64,
}

#[derive(Deserialize)]
struct Processes {
    server_type: String,
    processes: u64,
}

#[derive(Deserialize)]
struct Timeseries<T> {
    result: T,
}

#[derive(Deserialize)]
struct Rows {
    rows: Option<f64>,
}

/// What a query sees of a datasource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Extent {
    /// Its rows.
    pub rows: u64,
    /// The time of the newest, ms.
    pub newest: Option<i64>,
}

/// All time, as Druid writes it.
const ETERNITY: &str = "-146136543-09-08T08:23:32.096Z/146140482-04-24T15:36:27.903Z";
/// What runs.
const PROCESSES: &str = "SELECT server_type, COUNT(*) AS processes FROM sys.servers GROUP BY 1";
/// Whether SQL knows a table.
const TABLE: &str =
    "SELECT COUNT(*) AS \"tables\" FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'druid' AND TABLE_NAME = ?";

impl Druid {
    /// A client of the Druid that `[druid]` names. Opens no connection yet.
    pub fn new(druid: &config::Druid) -> Result<Self> {
        Ok(Self { server: Server::new("Druid", "druid", &druid.url, &druid.http)? })
    }

    /// What its router tells of itself; nothing if this user may not know.
    pub async fn about(&self) -> Result<About> {
        let reply = self.get(&["status"], &[]).await?;
        let date = reply.date();
        match reply.status {
            403 => Ok(About { date, ..About::default() }),
            _ => Ok(About { date, ..self.success(reply)?.json()? }),
        }
    }

    /// The address of the `coordinator` that leads, or of the overlord: the `indexer`.
    pub async fn leader(&self, service: &str) -> Result<String> {
        let reply = self.success(self.get(&["druid", service, "v1", "leader"], &[]).await?)?;
        let address = reply.excerpt();
        if address.starts_with("http") { Ok(address) } else { Err(reply.strange(&format!("no address: {address}"))) }
    }

    /// How many processes there are of each kind (`broker`, `historical`, `indexer`, `middle_manager` ...), as the broker knows.
    pub async fn processes(&self) -> Result<BTreeMap<String, u64>> {
        let query = json!({ "query": PROCESSES, "resultFormat": "object", "context": {"useCache": false} });
        let found: Vec<Processes> = self.query("druid/v2/sql", &query).await?;
        Ok(found.into_iter().map(|found| (found.server_type, found.processes)).collect())
    }

    /// The supervisor of this id as Druid gives it back; `None` if there is none.
    pub async fn supervisor(&self, id: &str) -> Result<Option<Value>> {
        let reply = self.get(&["druid", "indexer", "v1", "supervisor", id], &[]).await?;
        // Something else at this address says 404 as well.
        match reply.status {
            404 if words(&reply).starts_with("Cannot find any supervisor") => Ok(None),
            _ => self.success(reply)?.json().map(Some),
        }
    }

    /// All supervisors.
    pub async fn supervisors(&self) -> Result<Vec<Listed>> {
        let reply = self.get(&["druid", "indexer", "v1", "supervisor"], &[("full", "true")]).await?;
        self.success(reply)?.json()
    }

    /// The versions of a supervisor's spec, also of one that was terminated, the newest first; its end is one of them.
    pub async fn history(&self, id: &str) -> Result<Vec<Value>> {
        let reply = self.get(&["druid", "indexer", "v1", "supervisor", id, "history"], &[]).await?;
        match reply.status {
            404 if words(&reply).starts_with("No history for") => Ok(Vec::new()),
            _ => self.success(reply)?.json().map(specs),
        }
    }

    /// The same of all supervisors there ever were, by id.
    pub async fn histories(&self) -> Result<BTreeMap<String, Vec<Value>>> {
        let request = self.server.request(Method::GET, &path(&["druid", "indexer", "v1", "supervisor", "history"], &[]))?;
        let reply = self.success(self.server.send_for(request, ROWS_CAP).await?)?;
        Ok(reply.json::<BTreeMap<String, Vec<Version>>>()?.into_iter().map(|(id, versions)| (id, specs(versions))).collect())
    }

    /// Creates a supervisor, or gives the one of the same id another spec. Where Druid knows how (33 and later), an equal one
    /// is left alone. Sent once: whether it arrived although no answer came is for the caller to find out.
    pub async fn post_supervisor(&self, supervisor: &Value) -> Result<()> {
        let path = path(&["druid", "indexer", "v1", "supervisor"], &[("skipRestartIfUnmodified", "true")]);
        let request = self.server.request(Method::POST, &path)?.json(supervisor).timeout(POST_TIMEOUT.max(self.server.timeout()));
        self.success(self.server.send(request).await?)?.json::<Posted>().map(drop)
    }

    /// `suspend`, `terminate` or `reset`s a supervisor; says whether it is there. To do so again changes nothing.
    pub async fn order(&self, id: &str, order: &str) -> Result<bool> {
        let path = path(&["druid", "indexer", "v1", "supervisor", id, order], &[]);
        let reply =
            self.server.send(self.server.request(Method::POST, &path)?.timeout(POST_TIMEOUT.max(self.server.timeout()))).await?;
        match reply.status {
            404 if words(&reply).starts_with("Cannot find any supervisor") => Ok(false),
            400 if words(&reply).contains("is already suspended") => Ok(true),
            _ => self.success(reply)?.json::<Ordered>().map(|_| true),
        }
    }

    /// What the first records of the topic would become. Druid waits for `timeout_ms` if there are fewer than `rows`.
    pub async fn sample(&self, supervisor: &Supervisor, rows: u64, timeout_ms: u64) -> Result<Sampled> {
        let body = SampleRequest {
            kind: "kafka",
            spec: supervisor.for_sampling(),
            sampler_config: SamplerConfig { num_rows: rows, timeout_ms },
        };
        let path = path(&["druid", "indexer", "v1", "sampler"], &[]);
        let patience = self.server.timeout() + Duration::from_millis(timeout_ms);
        let reply = self.server.send(self.server.request(Method::POST, &path)?.json(&body).timeout(patience)).await?;
        match reply.status {
            400 => Ok(Sampled::Refused(words(&reply))),
            403..=405 | 500..=501 => Ok(Sampled::Unavailable(reply.status)),
            _ => self.success(reply)?.json().map(Sampled::Sample),
        }
    }

    /// The state of a supervisor.
    pub async fn status(&self, id: &str) -> Result<Status> {
        let reply = self.get(&["druid", "indexer", "v1", "supervisor", id, "status"], &[]).await?;
        self.success(reply)?.json::<Envelope>().map(|envelope| envelope.payload)
    }

    /// What the tasks of a supervisor made of the records.
    pub async fn stats(&self, id: &str) -> Result<Stats> {
        let reply = self.get(&["druid", "indexer", "v1", "supervisor", id, "stats"], &[]).await?;
        self.success(reply)?.json()
    }

    /// The tasks of a datasource in a state (`complete`, `pending`, `waiting`, `running`), the newest first.
    pub async fn tasks(&self, datasource: &str, state: &str) -> Result<Vec<Task>> {
        let query = [("state", state), ("datasource", datasource), ("max", "20")];
        let reply = self.get(&["druid", "indexer", "v1", "tasks"], &query).await?;
        self.success(reply)?.json()
    }

    /// The processes that run tasks; none if this user may not know.
    pub async fn workers(&self) -> Result<Vec<Worker>> {
        let reply = self.get(&["druid", "indexer", "v1", "workers"], &[]).await?;
        if reply.is_success() { reply.json() } else { Ok(Vec::new()) }
    }

    /// How many rows of a datasource a query sees, or the sum of a column of it; none of a datasource that SQL does not know yet.
    ///
    /// A table's name can be no parameter of SQL: SQL is asked whether it knows the table, the rows are counted by a query in JSON.
    pub async fn rows(&self, datasource: &str, sum: Option<&str>) -> Result<u64> {
        let rows = match sum {
            Some(column) => json!({"type": "longSum", "name": "rows", "fieldName": column}),
            None => json!({"type": "count", "name": "rows"}),
        };
        let found: Option<Rows> = self.over_all_time(datasource, json!([rows])).await?;
        Ok(found.and_then(|found| found.rows).map_or(0, |rows| rows as u64))
    }

    /// How many rows of a datasource a query sees, and of what time the newest is.
    pub async fn extent(&self, datasource: &str) -> Result<Extent> {
        let newest = json!({"type": "longMax", "name": "newest", "fieldName": TIME_COLUMN});
        let found: Option<Extent> = self.over_all_time(datasource, json!([{"type": "count", "name": "rows"}, newest])).await?;
        Ok(found.filter(|found| found.rows > 0).unwrap_or_default())
    }

    /// Aggregations over all rows of a datasource; `None` of one that SQL does not know yet.
    async fn over_all_time<T: DeserializeOwned>(&self, datasource: &str, aggregations: Value) -> Result<Option<T>> {
        let known = json!({
            "query": TABLE,
            "parameters": [{"type": "VARCHAR", "value": datasource}],
            "resultFormat": "object",
            "context": {"useCache": false},
        });
        let tables: Vec<Exists> = self.query("druid/v2/sql", &known).await?;
        if tables.first().is_none_or(|count| count.tables == 0) {
            return Ok(None);
        }
        let count = json!({
            "queryType": "timeseries",
            "dataSource": {"type": "table", "name": datasource},
            "intervals": [ETERNITY],
            "granularity": "all",
            "aggregations": aggregations,
            "context": {"useCache": false},
        });
        let found: Vec<Timeseries<T>> = self.query("druid/v2", &count).await?;
        Ok(found.into_iter().next().map(|row| row.result))
    }

    /// The rows of a query in SQL, its columns in their order; `parameters` as Druid's API wants them: `{"type", "value"}`. Of a table
    /// that SQL does not know yet there are none.
    pub async fn sql(&self, query: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>> {
        let context = json!({ "useCache": false });
        let body = json!({ "query": query, "parameters": parameters, "resultFormat": "array", "context": context });
        let request = self.server.request(Method::POST, "druid/v2/sql")?.json(&body);
        let reply = self.server.send_for(request, ROWS_CAP).await?;
        if reply.status == 400 {
            let said = words(&reply);
            if said.starts_with("Object '") && said.contains("not found") {
                return Ok(Vec::new());
            }
        }
        self.success(reply)?.json()
    }

    async fn query<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        let reply = self.server.send(self.server.request(Method::POST, path)?.json(body)).await?;
        self.success(reply)?.json()
    }

    /// Whether the coordinator knows segments of a datasource that are in use.
    pub async fn has_segments(&self, datasource: &str) -> Result<bool> {
        Ok(self.segments(datasource).await?.is_some())
    }

    /// How many segments of a datasource are in use; `None` if the coordinator knows none.
    pub async fn segments(&self, datasource: &str) -> Result<Option<u64>> {
        let reply = self.get(&["druid", "coordinator", "v1", "datasources", datasource], &[]).await?;
        match reply.status {
            204 => Ok(None),
            _ => self.success(reply)?.json::<Segments>().map(|found| Some(found.segments.count)),
        }
    }

    /// Marks all segments of a datasource as unused: queries no longer see its rows.
    pub async fn drop_datasource(&self, datasource: &str) -> Result<()> {
        let path = path(&["druid", "coordinator", "v1", "datasources", datasource], &[]);
        self.success(self.server.send(self.server.request(Method::DELETE, &path)?).await?)?.json::<Dropped>().map(drop)
    }

    /// A datasource's own rules, and who set them last.
    pub async fn rules(&self, datasource: &str) -> Result<Found> {
        let reply = self.get(&["druid", "coordinator", "v1", "rules", datasource], &[]).await?;
        let rules: Vec<Value> = self.success(reply)?.json()?;
        if rules.is_empty() {
            return Ok(Found::default());
        }
        let reply = self.get(&["druid", "coordinator", "v1", "rules", datasource, "history"], &[("count", "1")]).await?;
        let entries: Vec<Entry> = match reply.status {
            // This user may not see it: then nothing is known.
            403 => Vec::new(),
            _ => self.success(reply)?.json()?,
        };
        Ok(Found { rules, owner: entries.into_iter().next().and_then(Entry::owner) })
    }

    /// Sets a datasource's rules, in the name of a pipeline file or of nobody; without rules the cluster's default holds.
    pub async fn set_rules(&self, pipeline: Option<&str>, datasource: &str, rules: &[Value]) -> Result<()> {
        let path = path(&["druid", "coordinator", "v1", "rules", datasource], &[]);
        let signed = pipeline.map(|pipeline| [("X-Druid-Author", AUTHOR.to_owned()), ("X-Druid-Comment", signature(pipeline))]);
        let request = self.server.request(Method::POST, &path)?.json(&rules);
        let request = signed.into_iter().flatten().fold(request, |request, (name, value)| request.header(name, value));
        self.success(self.server.send(request).await?)?.empty()
    }

    async fn get(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Reply> {
        self.server.send(self.server.request(Method::GET, &path(segments, query))?).await
    }

    fn success(&self, reply: Reply) -> Result<Reply> {
        if reply.is_success() { Ok(reply) } else { Err(failure::refusal(&reply, &self.server.asker())) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::config::{Credentials, Http, Secret};
    use crate::error::{Error, Kind};

    /// A server that answers once, whatever it is asked.
    fn answering(status: &str, body: &str) -> Druid {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let credentials = Some(Credentials::Basic("me".into(), Some(Secret::new("canary"))));
        let http = Http { credentials, ..Http::default() };
        Druid::new(&config::Druid { url, http, ..config::Druid::default() }).unwrap()
    }

    async fn refused(status: &str, body: &str) -> Error {
        let error = answering(status, body).supervisor("X").await.unwrap_err();
        assert!(!error.to_string().contains("canary") && error.message.contains("/supervisor/X"), "{error}");
        error
    }

    #[tokio::test]
    async fn each_refusal_has_its_kind() {
        assert_eq!(refused("401 Unauthorized", "<html>401</html>").await.kind, Kind::Refused);
        assert_eq!(refused("403 Forbidden", r#"{"Access-Check-Result": "Unauthorized"}"#).await.kind, Kind::Refused);
        assert_eq!(refused("200 OK", "<html>a login page</html>").await.kind, Kind::Unreachable);
        assert_eq!(refused("302 Found", "").await.kind, Kind::Unreachable);
        assert_eq!(refused("404 Not Found", "<html>nginx</html>").await.kind, Kind::Unreachable);
        assert_eq!(refused("500 Internal Server Error", "<html>oops</html>").await.kind, Kind::Failed);
        let said = refused("400 Bad Request", r#"{"error": "Unable to parse"}"#).await;
        assert!(said.kind == Kind::Failed && said.message.ends_with("(400): Unable to parse"), "{said}");
    }

    #[tokio::test]
    async fn what_does_not_exist_yet_is_no_error() {
        let unknown = answering("404 Not Found", "Cannot find any supervisor with id: [X]").supervisor("X").await;
        assert_eq!(unknown.unwrap(), None);
        assert_eq!(answering("200 OK", r#"[{"tables":0}]"#).rows("X", None).await.unwrap(), 0);
        assert!(!answering("404 Not Found", "Cannot find any supervisor with id: [X]").order("X", "terminate").await.unwrap());
        let again = answering("400 Bad Request", r#"{"error": "[X] is already suspended"}"#).order("X", "suspend").await;
        assert!(again.unwrap());
    }

    #[tokio::test]
    async fn a_druid_without_sampler_is_told_from_one_that_refuses() {
        let config = config::load(None, &[]).unwrap();
        let columns = super::super::columns::columns("S", &config.sources[0].schema_text, &config.datasources[0]).unwrap();
        let supervisor = super::super::spec::supervisor(&config, &config.datasources[0], &columns).unwrap();
        let absent = answering("404 Not Found", "").sample(&supervisor, 1, 1).await;
        assert!(matches!(absent, Ok(Sampled::Unavailable(404))), "{absent:?}");
        let refusal = answering("400 Bad Request", r#"{"error": "no"}"#).sample(&supervisor, 1, 1).await;
        assert!(matches!(&refusal, Ok(Sampled::Refused(said)) if said == "no"), "{refusal:?}");
    }
}
