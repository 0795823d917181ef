//! A schema registry inside this process: the part of Confluent's API that clients use, over HTTP on a port of 127.0.0.1.
//!
//! Avro only, without references. Nothing is deleted. Compatibility is not checked: `GET /config` says `NONE`, and there is no
//! `/compatibility`, so that nobody is told of a check that was not made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::subjects::{Refusal, Subjects, Version};
use crate::error::{Error, Kind, Result};

/// What is sent, and accepted beside plain JSON.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const ACCEPTED: [&str; 3] = [CONTENT_TYPE, "application/vnd.schemaregistry+json", "application/json"];
/// No schema is larger.
const BODY_CAP: usize = 256 * 1024;

/// A schema registry that runs until it is dropped. What it can do and what not is told in [`crate::embedded`].
pub struct Registry {
    url: String,
    /// Dropped with this, it ends the server.
    _stop: oneshot::Sender<()>,
}

impl Registry {
    /// Starts a registry without schemas on the tokio runtime that this is called on.
    pub fn start() -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Error::new(Kind::Failed, format!("embedded schema registry: {error}"));
        let runtime = Handle::try_current().map_err(|error| failed(&error))?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(|error| failed(&error))?;
        listener.set_nonblocking(true).map_err(|error| failed(&error))?;
        let url = format!("http://{}", listener.local_addr().map_err(|error| failed(&error))?);
        let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| failed(&error))?;
        let (stop, stopped) = oneshot::channel::<()>();
        runtime.spawn(async move {
            let told = async { drop(stopped.await) };
            if let Err(error) = axum::serve(listener, router()).with_graceful_shutdown(told).await {
                tracing::warn!("embedded schema registry: {error}");
            }
        });
        Ok(Self { url, _stop: stop })
    }

    /// Where clients find it: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

type Shared = State<Arc<Mutex<Subjects>>>;
type Answer = std::result::Result<Response, Refusal>;

fn router() -> Router {
    Router::new()
        .route("/", get(|| async { answer(&json!({})) }))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(find))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_text))
        .route("/schemas/types", get(|| async { answer(&json!(["AVRO"])) }))
        .route("/schemas/ids/{id}", get(schema))
        .route("/schemas/ids/{id}/schema", get(schema_text))
        .route("/schemas/ids/{id}/subjects", get(schema_subjects))
        .route("/schemas/ids/{id}/versions", get(schema_versions))
        .route("/config", get(|| async { no_compatibility() }))
        .route("/config/{subject}", get(subject_config))
        .fallback(|| async { Refusal::new(404, "HTTP 404 Not Found") })
        .method_not_allowed_fallback(|| async { Refusal::new(405, "HTTP 405 Method Not Allowed") })
        .layer(DefaultBodyLimit::max(BODY_CAP))
        .with_state(Arc::default())
}

async fn subjects(State(state): Shared) -> Response {
    answer(&json!(lock(&state).subjects()))
}

async fn versions(State(state): Shared, Path(subject): Path<String>) -> Answer {
    Ok(answer(&json!(lock(&state).versions(&subject)?)))
}

async fn version(State(state): Shared, Path((subject, version)): Path<(String, String)>) -> Answer {
    Ok(answer(&described(&subject, lock(&state).version(&subject, &version)?)))
}

async fn version_text(State(state): Shared, Path((subject, version)): Path<(String, String)>) -> Answer {
    Ok(sent(lock(&state).version(&subject, &version)?.text.to_owned()))
}

async fn register(
    State(state): Shared,
    Path(subject): Path<String>,
    headers: HeaderMap,
    body: std::result::Result<Bytes, BytesRejection>,
) -> Answer {
    let text = schema_in(&headers, body)?;
    Ok(answer(&json!({ "id": lock(&state).register(&subject, &text)? })))
}

async fn find(
    State(state): Shared,
    Path(subject): Path<String>,
    headers: HeaderMap,
    body: std::result::Result<Bytes, BytesRejection>,
) -> Answer {
    let text = schema_in(&headers, body)?;
    Ok(answer(&described(&subject, lock(&state).find(&subject, &text)?)))
}

async fn schema(State(state): Shared, Path(id): Path<String>) -> Answer {
    Ok(answer(&json!({ "schema": lock(&state).schema(number(&id)?)? })))
}

async fn schema_text(State(state): Shared, Path(id): Path<String>) -> Answer {
    Ok(sent(lock(&state).schema(number(&id)?)?.to_owned()))
}

async fn schema_subjects(State(state): Shared, Path(id): Path<String>) -> Answer {
    let state = lock(&state);
    Ok(answer(&state.uses(number(&id)?)?.into_iter().map(|(subject, _)| subject).collect()))
}

async fn schema_versions(State(state): Shared, Path(id): Path<String>) -> Answer {
    let state = lock(&state);
    let version = |(subject, version)| json!({ "subject": subject, "version": version });
    Ok(answer(&state.uses(number(&id)?)?.into_iter().map(version).collect()))
}

async fn subject_config(Path(subject): Path<String>, RawQuery(query): RawQuery) -> Answer {
    if query.is_some_and(|query| query.split('&').any(|part| part == "defaultToGlobal=true")) {
        return Ok(no_compatibility());
    }
    Err(Refusal::new(40_408, format!("Subject '{subject}' does not have subject-level compatibility configured")))
}

fn no_compatibility() -> Response {
    answer(&json!({ "compatibilityLevel": "NONE" }))
}

fn described(subject: &str, found: Version<'_>) -> Value {
    json!({ "subject": subject, "version": found.number, "id": found.id, "schema": found.text })
}

fn number(id: &str) -> std::result::Result<u32, Refusal> {
    id.parse().map_err(|_| Refusal::new(404, "HTTP 404 Not Found"))
}

/// A schema as a request brings it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Supplied {
    schema: String,
    schema_type: Option<String>,
    references: Option<Vec<Value>>,
}

/// The schema in a request; only the content types of the API are taken, which no web page sends without being asked first.
fn schema_in(headers: &HeaderMap, body: std::result::Result<Bytes, BytesRejection>) -> std::result::Result<String, Refusal> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !ACCEPTED.contains(&named.split(';').next().unwrap_or_default().trim()) {
        return Err(Refusal::new(415, "HTTP 415 Unsupported Media Type"));
    }
    let body = body.map_err(|rejected| Refusal::new(u32::from(rejected.status().as_u16()), rejected.body_text()))?;
    let supplied: Supplied = serde_json::from_slice(&body).map_err(|error| Refusal::new(422, error.to_string()))?;
    match supplied.schema_type.as_deref().unwrap_or("AVRO") {
        "AVRO" if supplied.references.unwrap_or_default().is_empty() => Ok(supplied.schema),
        "AVRO" => Err(Refusal::new(42_201, "Invalid schema: references are not supported")),
        other => Err(Refusal::new(42_201, format!("Invalid schema: {other} schemas are not supported, only AVRO"))),
    }
}

fn answer(body: &Value) -> Response {
    sent(body.to_string())
}

fn sent(text: String) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.code.to_string().get(..3).and_then(|digits| digits.parse().ok());
        let status = status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, answer(&json!({ "error_code": self.code, "message": self.message }))).into_response()
    }
}

fn lock(state: &Mutex<Subjects>) -> MutexGuard<'_, Subjects> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a schema; the status and the answer.
    async fn post(address: &str, content_type: &str, body: String) -> (u16, Value) {
        let request = reqwest::Client::new().post(address).header(header::CONTENT_TYPE, content_type).body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn get(address: &str) -> (u16, String) {
        let response = reqwest::get(address).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
        (response.status().as_u16(), response.text().await.unwrap())
    }

    #[tokio::test]
    async fn answers_are_confluents() {
        let registry = Registry::start().unwrap();
        let at = |path: &str| format!("{}{path}", registry.url());
        let body = |schema: &str| json!({ "schema": schema }).to_string();
        let (string, versions) = ("\"string\"", at("/subjects/A%2FB/versions"));
        assert_eq!(post(&versions, CONTENT_TYPE, body(string)).await, (200, json!({ "id": 1 })));
        assert_eq!(post(&versions, "application/json; charset=utf-8", body("\"long\"")).await, (200, json!({ "id": 2 })));
        let first = json!({ "subject": "A/B", "version": 1, "id": 1, "schema": string });
        assert_eq!(post(&at("/subjects/A%2FB"), CONTENT_TYPE, body(string)).await, (200, first.clone()));
        let compatibility = json!({ "compatibilityLevel": "NONE" }).to_string();
        for (path, expected) in [
            ("/", "{}"),
            ("/subjects", r#"["A/B"]"#),
            ("/subjects/A%2FB/versions", "[1,2]"),
            ("/subjects/A%2FB/versions/1", &first.to_string()),
            ("/subjects/A%2FB/versions/latest/schema", "\"long\""),
            ("/schemas/ids/1", &body(string)),
            ("/schemas/ids/1/schema", string),
            ("/schemas/ids/2/subjects", r#"["A/B"]"#),
            ("/schemas/ids/2/versions", r#"[{"subject":"A/B","version":2}]"#),
            ("/schemas/types", r#"["AVRO"]"#),
            ("/config", &compatibility),
            ("/config/A%2FB?defaultToGlobal=true", &compatibility),
        ] {
            assert_eq!(get(&at(path)).await, (200, expected.to_owned()), "{path}");
        }
    }

    #[tokio::test]
    async fn refusals_are_confluents() {
        let registry = Registry::start().unwrap();
        let at = |path: &str| format!("{}{path}", registry.url());
        let code = |text: &str| serde_json::from_str::<Value>(text).unwrap()["error_code"].as_u64().unwrap();
        for (path, expected) in [
            ("/subjects/A/versions", (404, 40_401)),
            ("/schemas/ids/7", (404, 40_403)),
            ("/schemas/ids/seven", (404, 404)),
            ("/config/A", (404, 40_408)),
            ("/compatibility/subjects/A/versions/latest", (404, 404)),
        ] {
            let (status, text) = get(&at(path)).await;
            assert_eq!((status, code(&text)), expected, "{path}: {text}");
        }
        let good = json!({ "schema": "\"string\"" });
        let with = |key: &str, value: Value| {
            let mut body = good.clone();
            body[key] = value;
            body.to_string()
        };
        for (content_type, body, expected) in [
            (CONTENT_TYPE, with("schema", json!("{}")), (422, 42_201)),
            (CONTENT_TYPE, with("schemaType", json!("JSON")), (422, 42_201)),
            (CONTENT_TYPE, with("references", json!([{ "name": "B" }])), (422, 42_201)),
            (CONTENT_TYPE, "no JSON".into(), (422, 422)),
            ("text/plain", good.to_string(), (415, 415)),
            (CONTENT_TYPE, with("schema", json!("x".repeat(BODY_CAP))), (413, 413)),
        ] {
            let (status, answer) = post(&at("/subjects/A/versions"), content_type, body).await;
            assert_eq!((u64::from(status), answer["error_code"].as_u64().unwrap()), expected, "{answer}");
        }
        assert_eq!(get(&at("/subjects")).await, (200, "[]".to_owned()));
        let deleted = reqwest::Client::new().delete(at("/subjects/A")).send().await.unwrap();
        assert_eq!(deleted.status(), 405);
    }

    #[tokio::test]
    async fn a_dropped_registry_ends_also_for_connections_that_are_open() {
        let registry = Registry::start().unwrap();
        let (client, address) = (reqwest::Client::new(), format!("{}/subjects", registry.url()));
        assert!(client.get(&address).send().await.unwrap().text().await.is_ok());
        drop(registry);
        let refused = async {
            while client.get(&address).send().await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), refused).await.unwrap();
    }

    #[test]
    fn without_a_runtime_there_is_an_error() {
        assert!(Registry::start().is_err());
    }
}
