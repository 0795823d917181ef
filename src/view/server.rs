//! The page over HTTP: its files, `GET /state`, and `GET /events` (server-sent events).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State as Shared};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::get;
use axum::{Router, middleware};
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
    let mut router = router(states);
    if listener.local_addr().is_ok_and(|address| address.ip().is_loopback()) {
        router = router.layer(middleware::from_fn(refuse_other_hosts));
    }
    let failed = axum::serve(listener, router).await;
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

/// Of a page that is meant for this machine: who asks for it under another name is a page elsewhere whose name was made to lead here
/// (DNS rebinding).
async fn refuse_other_hosts(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_this_machine(host) { next.run(request).await } else { (StatusCode::FORBIDDEN, "ask for 127.0.0.1\n").into_response() }
}

fn is_this_machine(host: &str) -> bool {
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(name, _)| name);
    name == "localhost" || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

fn file(path: &str) -> Response {
    match page::file(path) {
        Some(file) => {
            (HEADERS, [(header::CONTENT_TYPE, file.kind), (header::CACHE_CONTROL, file.cache)], file.text).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

async fn state(Shared(states): Shared<States>) -> Response {
    let state = Arc::clone(&states.borrow());
    match serde_json::to_string(&*state) {
        Ok(json) => {
            (HEADERS, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], json).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn events(Shared(states): Shared<States>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let told = |state: Arc<State>| {
        let json = serde_json::to_string(&*state).ok()?;
        Some(Ok(Event::default().event("state").data(json)))
    };
    Sse::new(WatchStream::new(states).filter_map(told)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_few_names() {
        for host in ["localhost", "localhost:8790", "127.0.0.1:8790", "[::1]:8790", "192.168.1.5:80"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:8790", "127.0.0.1.evil.example", "localhost.evil.example:1"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
