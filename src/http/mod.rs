//! Talking to REST servers: one place that sends, with time limits, a cap on bodies, no redirects (a redirect would carry the
//! credentials along, or hide a login page behind a 200), and retries decided by [`retry`]. Why there is no answer is told by
//! [`cause`], who asks by [`asker`].

mod asker;
mod cause;
mod retry;

use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{ACCEPT, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;

use crate::config::{Credentials, Http, Secret};
use crate::error::{Error, Kind, Result};
pub use asker::Asker;
use cause::Cause;
use retry::{Outcome, Retry};

/// How long connecting may take, at most.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// The largest answer that is read.
pub const BODY_CAP: usize = 8 << 20;
/// The largest answer that is read where many rows may come.
pub const ROWS_CAP: usize = 64 << 20;

/// What may be wrong if an answer is not like one of the server that was asked.
const STRANGER: &str = "does something else answer at this address?";

/// What may be wrong if a server refuses what is always asked in one way.
pub const OTHER_RELEASE: &str =
    "is it of a release that pipeline was not tried with? README.md names those that it was, under `The servers without Docker`";

/// A server with a REST API: its name in messages, its table in the pipeline file, its address, a connection pool.
#[derive(Debug, Clone)]
pub struct Server {
    name: &'static str,
    table: &'static str,
    /// The key of its address there.
    key: &'static str,
    base: Url,
    timeout: Duration,
    credentials: Option<Credentials>,
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

/// A request without an answer.
struct Failure {
    error: Error,
    /// Whether it may be over when the request is sent again.
    may_pass: bool,
}

impl Server {
    /// A server at an address, which may have a path (`http://host/apis/ccompat/v7`); `table` is its table in the pipeline file.
    pub fn new(name: &'static str, table: &'static str, address: &str, http: &Http) -> Result<Self> {
        let mut base = Url::parse(address)
            .map_err(|error| Error::new(Kind::Config, format!("{name}: `{address}` is not an address: {error}")))?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = client(&base, http)
            .map_err(|error| Error::new(Kind::Failed, format!("{name}: cannot set up an HTTP client: {error}")))?;
        Ok(Self { name, table, key: "url", base, timeout: http.timeout, credentials: http.credentials.clone(), client })
    }

    /// The same, but the pipeline file has its address under this key.
    #[must_use]
    pub fn under(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    /// The address, with a slash at its end.
    pub fn address(&self) -> &Url {
        &self.base
    }

    /// Who asks it, in words.
    pub fn asker(&self) -> Asker {
        Asker::of(self.credentials.as_ref(), self.table)
    }

    /// How long one request may take, unless it says otherwise.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A request to `path`, which is relative to the server's address and may have a query. It says who asks.
    pub fn request(&self, method: Method, path: &str) -> Result<reqwest::RequestBuilder> {
        let url = self.base.join(path.trim_start_matches('/')).map_err(|error| {
            Error::new(Kind::Failed, format!("{}: `{path}` cannot be put behind {}: {error}", self.name, self.base))
        })?;
        let request = self.client.request(method, url).header(ACCEPT, "application/json");
        Ok(match &self.credentials {
            Some(Credentials::Basic(user, password)) => request.basic_auth(user, password.as_ref().map(Secret::expose)),
            Some(Credentials::Bearer(token)) => request.bearer_auth(token.expose()),
            None => request,
        })
    }

    /// Sends a request and reads the whole answer, whatever its status. Idempotent ones are repeated when that may help.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Reply> {
        self.send_for(request, BODY_CAP).await
    }

    /// The same for an answer of so many bytes at most.
    pub async fn send_for(&self, request: reqwest::RequestBuilder, cap: usize) -> Result<Reply> {
        let request = request
            .build()
            .map_err(|error| Error::new(Kind::Failed, format!("{}: a request cannot be built: {error}", self.name)))?;
        self.execute(request, cap).await
    }

    /// The same for a request that is built.
    pub async fn execute(&self, request: reqwest::Request, cap: usize) -> Result<Reply> {
        let what = format!("{}, {} {}", self.name, request.method(), without_query(request.url()));
        let mut retry = Retry::new(request.method());
        let begun = Instant::now();
        loop {
            // A body that streams, as a form with files does, cannot be sent twice.
            let Some(copy) = request.try_clone() else {
                return self.once(request, &what, cap).await.map_err(|failure| failure.error);
            };
            let outcome = self.once(copy, &what, cap).await;
            let pause = match &outcome {
                Ok(reply) => retry.after(Outcome::Status(reply.status, retry_after(&reply.headers)), begun.elapsed()),
                Err(failure) if failure.may_pass => retry.after(Outcome::NoAnswer, begun.elapsed()),
                Err(_) => None,
            };
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return outcome.map_err(|failure| failure.error),
            }
        }
    }

    async fn once(&self, request: reqwest::Request, what: &str, cap: usize) -> Result<Reply, Failure> {
        let mut response = self.client.execute(request).await.map_err(|error| self.no_answer(what, &error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let too_long = || {
            let message = format!("{what}: the answer is longer than {} MiB, and was not read to its end", cap >> 20);
            Failure { error: Error::new(Kind::Failed, message).hint(STRANGER), may_pass: false }
        };
        if response.content_length().is_some_and(|length| length > cap as u64) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.no_answer(what, &error))? {
            if body.len() + chunk.len() > cap {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { request: what.into(), status, headers, body })
    }

    fn no_answer(&self, what: &str, error: &reqwest::Error) -> Failure {
        let cause = Cause::of(error);
        let (table, key) = (self.table, self.key);
        let [variable, key_variable] = [table, key].map(str::to_uppercase);
        let hint = match cause {
            Cause::Untrusted(_) => format!(
                "if a CA of your own signed it, name the file with that CA's certificate: [{table}] ca_file, or PIPELINE_{variable}_CA_FILE"
            ),
            Cause::OtherName => format!("write one of the names that the certificate is for into [{table}] {key}"),
            Cause::NoTls => format!("does it speak http? write http:// into [{table}] {key}"),
            Cause::Timeout | Cause::Other(_) => format!(
                "is {} running at {}? its address is [{table}] {key} in the pipeline file, or PIPELINE_{variable}_{key_variable}",
                self.name, self.base
            ),
        };
        let may_pass = matches!(cause, Cause::Timeout | Cause::Other(_));
        Failure { error: Error::new(Kind::Unreachable, format!("{what}: {cause}")).hint(hint), may_pass }
    }
}

impl Reply {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text, cut to what fits in a message; of a page, its title.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        title(&text).map_or_else(|| excerpt(&text), |title| format!("the page `{}`", excerpt(title)))
    }

    /// Where a redirect leads.
    pub fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION)?.to_str().ok()
    }

    /// When the server sent it, by its own clock.
    pub fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.headers.get(DATE)?.to_str().ok()?).ok()
    }

    /// The body as JSON of a certain shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let said = if self.body.is_empty() { "it is empty".into() } else { format!("({error}): {}", self.excerpt()) };
            self.strange(&format!("not the JSON that was expected, {said}"))
        })
    }

    /// Nothing, as the body of an answer that has none to give.
    pub fn empty(&self) -> Result<()> {
        if self.body.is_empty() { Ok(()) } else { Err(self.strange(&format!("not empty, as was expected: {}", self.excerpt()))) }
    }

    /// The error that the answer is like none of the server's.
    pub fn strange(&self, what: &str) -> Error {
        Error::new(Kind::Unreachable, format!("{}: the answer is {what}", self.request)).hint(STRANGER)
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
            300..=399 => {
                let target = excerpt(self.location().unwrap_or("another address"));
                let message = format!("{}: answered {}: redirects to {target}", self.request, self.status);
                Error::new(Kind::Unreachable, message).hint("write the final address into the pipeline file")
            }
            401 => Error::new(Kind::Refused, message)
                .hint("the user name, password or token that it was given is wrong, or it was given none"),
            403 => Error::new(Kind::Refused, message).hint("this user lacks a permission"),
            404 | 405 => {
                Error::new(Kind::Unreachable, message).hint("does something else answer at this address, or is its path wrong?")
            }
            429 | 502..=504 => Error::new(Kind::Unreachable, message).hint(self.when_again()),
            500.. => Error::new(Kind::Failed, message).hint("its own log says why"),
            _ => Error::new(Kind::Failed, message).hint(OTHER_RELEASE),
        }
    }

    fn when_again(&self) -> String {
        match retry_after(&self.headers) {
            Some(pause) if pause > Duration::ZERO => {
                format!("run this again in {}: that is what it asks for", humantime::format_duration(pause))
            }
            _ => "it is overloaded, or not up yet, or a proxy before it does not reach it: run this again later".into(),
        }
    }
}

/// Text from elsewhere as one line, which does not steer a terminal.
pub fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).collect()
}

/// The same, cut to what fits in a message.
pub fn excerpt(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(400) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// The title of an HTML page.
fn title(text: &str) -> Option<&str> {
    let lower = text.trim_start().to_ascii_lowercase();
    let text = lower.starts_with('<').then(|| text.trim_start())?;
    let start = lower.find("<title>")? + "<title>".len();
    let length = lower[start..].find("</title>")?;
    Some(text[start..start + length].trim()).filter(|title| !title.is_empty())
}

/// A client that trusts what the pipeline file says. A server on this machine is not asked for through a proxy, which could not
/// reach it.
fn client(address: &Url, http: &Http) -> reqwest::Result<reqwest::Client> {
    let host = address.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let client = reqwest::Client::builder();
    let client = if is_here { client.no_proxy() } else { client };
    client
        .connect_timeout(CONNECT_TIMEOUT.min(http.timeout))
        .timeout(http.timeout)
        .redirect(reqwest::redirect::Policy::none())
        .cookie_store(true)
        .tls_certs_merge(http.authorities.clone())
        .user_agent(concat!("pipeline/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// One part of a path, escaped.
pub fn escaped(segment: &str) -> String {
    path(&[segment], &[]).trim_start_matches('/').into()
}

/// A path and its query, every part of them escaped.
pub fn path(segments: &[&str], query: &[(&str, &str)]) -> String {
    // Only what stands behind its host is of interest.
    let Ok(mut url) = Url::parse("http://path/") else { return String::new() };
    if let Ok(mut path) = url.path_segments_mut() {
        path.extend(segments);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    // Servlets cut off what follows a ';'; the URL standard does not escape it.
    let path = url.path().replace(';', "%3B");
    match url.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

/// The pause that a server asks for, in either form: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let until = |date: SystemTime| date.duration_since(SystemTime::now()).unwrap_or_default();
    text.parse().map(Duration::from_secs).ok().or_else(|| httpdate::parse_http_date(text).map(until).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_path_is_escaped() {
        assert_eq!(path(&["supervisor", "a b/c?d;e"], &[("x", "y&z")]), "/supervisor/a%20b%2Fc%3Fd%3Be?x=y%26z");
        assert_eq!(escaped("a/b"), "a%2Fb");
    }
}
