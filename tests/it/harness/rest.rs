//! What the clients of the REST servers share.

use std::thread;
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::Value as Json;

use super::block_on;

/// How long a server may take for anything.
pub const LIMIT: Duration = Duration::from_secs(180);

/// A server's answer, as JSON; null if it is none.
pub fn answer(request: impl Fn(&Client) -> RequestBuilder) -> Json {
    let response = block_on(async { request(&Client::new()).timeout(LIMIT).send().await?.text().await });
    serde_json::from_str(&response.expect("an answer")).unwrap_or(Json::Null)
}

/// A JSON text.
pub fn text(value: &Json) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// In a thread of its own: if it panics after the test has, both are told of.
pub fn clean_up(work: impl FnOnce() + Send) {
    if std::env::var_os("TEST_KEEP").is_some() {
        return;
    }
    let done = thread::scope(|scope| scope.spawn(work).join());
    assert!(done.is_ok() || thread::panicking(), "cleaning up failed");
}
