//! Talking to REST servers: one place that sends, with time limits, a cap on bodies, no redirects (a redirect would carry the
//! credentials along, or hide a login page behind a 200), and retries decided by [`retry`].

mod retry;

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;

use crate::error::{Error, Kind, Result};
use retry::{Outcome, Retry};

/// How long one request may take, from connecting to the last byte of the answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// The largest answer that is read.
const BODY_CAP: usize = 64 * 1024 * 1024;

/// A server with a REST API: its name in messages, its address, a connection pool.
#[derive(Debug, Clone)]
pub struct Server {
    name: &'static str,
    base: Url,
    client: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    /// What was asked, for messages: `Druid, POST http://...`.
    pub request: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Server {
    /// A server at an address, which may have a path (`http://host/apis/ccompat/v7`).
    pub fn new(name: &'static str, address: &str) -> Result<Self> {
        let mut base = Url::parse(address)
            .map_err(|error| Error::new(Kind::Config, format!("{name}: `{address}` is not an address: {error}")))?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = client_builder(address)
            .build()
            .map_err(|error| Error::new(Kind::Failed, format!("cannot set up an HTTP client: {error}")))?;
        Ok(Self { name, base, client })
    }

    /// The address, with a slash at its end.
    pub fn address(&self) -> &Url {
        &self.base
    }

    /// A request to `path`, which is relative to the server's address and may have a query.
    pub fn request(&self, method: Method, path: &str) -> Result<reqwest::RequestBuilder> {
        let url = self.base.join(path.trim_start_matches('/')).map_err(|error| {
            Error::new(Kind::Failed, format!("{}: `{path}` cannot be put behind {}: {error}", self.name, self.base))
        })?;
        Ok(self.client.request(method, url).header(ACCEPT, "application/json"))
    }

    /// Sends a request and reads the whole answer, whatever its status. Idempotent ones are repeated when that may help.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Reply> {
        let request = request
            .build()
            .map_err(|error| Error::new(Kind::Failed, format!("{}: a request cannot be built: {error}", self.name)))?;
        let what = format!("{}, {} {}", self.name, request.method(), without_query(request.url()));
        let mut retry = Retry::new(request.method());
        let begun = Instant::now();
        loop {
            // A body that streams, as a form with files does, cannot be sent twice.
            let Some(copy) = request.try_clone() else { return self.once(request, &what).await };
            let outcome = self.once(copy, &what).await;
            let pause = match &outcome {
                Ok(reply) => retry.after(Outcome::Status(reply.status, retry_after(&reply.headers)), begun.elapsed()),
                Err(_) => retry.after(Outcome::NoAnswer, begun.elapsed()),
            };
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return outcome,
            }
        }
    }

    async fn once(&self, request: reqwest::Request, what: &str) -> Result<Reply> {
        let mut response = self.client.execute(request).await.map_err(|error| self.no_answer(what, &error))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.no_answer(what, &error))? {
            if body.len() + chunk.len() > BODY_CAP {
                return Err(Error::new(Kind::Failed, format!("{what}: the answer is longer than {} MiB", BODY_CAP >> 20)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { request: what.into(), status, headers, body })
    }

    fn no_answer(&self, what: &str, error: &reqwest::Error) -> Error {
        let cause = if error.is_timeout() { "no answer in time".into() } else { root_cause(error) };
        Error::new(Kind::Unreachable, format!("{what}: {cause}"))
            .hint(format!("is {} running at {}? its address is in the pipeline file", self.name, self.base))
    }
}

impl Reply {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text, cut to what fits in a message.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(400) {
            Some((end, _)) => format!("{}...", &line[..end]),
            None => line,
        }
    }

    /// The body as JSON of a certain shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::new(
                Kind::Unreachable,
                format!("{}: the answer is not the JSON that was expected ({error}): {}", self.request, self.excerpt()),
            )
            .hint("does something else answer at this address?")
        })
    }

    /// The reply if its status is 2xx; else an [`Error`] of the fitting kind that quotes what the server said.
    pub fn success(self) -> Result<Self> {
        if self.is_success() { Ok(self) } else { Err(self.error()) }
    }

    /// What a reply that is no success means.
    pub fn error(&self) -> Error {
        let said = self.excerpt();
        let message = format!("{}: answered {}{}{said}", self.request, self.status, if said.is_empty() { "" } else { ": " });
        match self.status {
            401 => Error::new(Kind::Refused, message).hint("the user name or password is wrong"),
            403 => Error::new(Kind::Refused, message).hint("this user lacks a permission"),
            300..=399 => {
                let target = self.headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("another address");
                Error::new(Kind::Unreachable, format!("{}: redirects to {target}", self.request))
                    .hint("write the final address into the pipeline file")
            }
            404 | 405 => {
                Error::new(Kind::Unreachable, message).hint("does something else answer at this address, or is its path wrong?")
            }
            502..=504 => Error::new(Kind::Unreachable, message),
            _ => Error::new(Kind::Failed, message),
        }
    }
}

/// The settings that every HTTP client of this program has. A server on this machine is not asked for through a proxy, which
/// could not reach it.
pub fn client_builder(address: &str) -> reqwest::ClientBuilder {
    let is_here = Url::parse(address).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    let client = reqwest::Client::builder();
    let client = if is_here { client.no_proxy() } else { client };
    client
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .cookie_store(true)
        .user_agent(concat!("pipeline/", env!("CARGO_PKG_VERSION")))
}

/// The innermost cause: reqwest's own words end before the reason.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}
