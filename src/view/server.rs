//! The page over HTTP: its files, `GET /state`, and `GET /events` (server-sent events).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};

use super::page;
use super::state::State;
use super::watcher::States;
use crate::error::{Error, Kind};

/// A sign of life for proxies and browsers while nothing changes.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Nobody else reads along or guesses types.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, page::POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Serves the page for as long as the future is polled; it ends only with an error.
pub async fn serve(listener: TcpListener, states: States) -> Error {
    let failed = axum::serve(listener, router(states)).await;
    Error::new(Kind::Failed, format!("serving the page ended: {failed:?}"))
}

fn router(states: States) -> Router {
    Router::new()
        .route("/", get(|| async { file("") }))
        .route("/state", get(state))
        .route("/events", get(events))
        .route("/{file}", get(|Path(path): Path<String>| async move { file(&path) }))
        .with_state(states)
}

fn file(path: &str) -> Response {
    match page::file(path) {
        Some(file) => {
            (HEADERS, [(header::CONTENT_TYPE, file.kind), (header::CACHE_CONTROL, file.cache)], file.text).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

async fn state(Shared(mut states): Shared<States>) -> Response {
    // The first is there a moment after the start; the sender ends only with the program.
    let state = match states.wait_for(Option::is_some).await {
        Ok(state) => state.clone(),
        Err(_) => None,
    };
    match state.as_deref().map(serde_json::to_string) {
        Some(Ok(json)) => {
            (HEADERS, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], json).into_response()
        }
        Some(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn events(Shared(states): Shared<States>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let told = |state: Option<Arc<State>>| {
        let json = serde_json::to_string(state?.as_ref()).ok()?;
        Some(Ok(Event::default().event("state").data(json)))
    };
    Sse::new(WatchStream::new(states).filter_map(told)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}
