//! What Superset's refusals mean. Pure.

use serde::Deserialize;
use serde_json::Value;

use super::address::Address;
use super::ids;
use crate::error::{Error, Kind, Result};
use crate::http::Reply;

/// What a user lacks that may not do this.
const ROLE: &str =
    "its role must be allowed to read and write databases, datasets, charts and dashboards and to import assets: Admin is";

/// Why a chart has no data.
#[derive(Debug)]
pub enum Trouble {
    /// Superset could not ask Druid.
    NoDruid(Error),
    /// Superset itself gave no answer; as a rule it waits for Druid.
    NoAnswer(Error),
    /// Druid has no such table.
    NoTable(Error),
    /// Anything else.
    Other(Error),
}

impl Trouble {
    /// The error as a person will read it.
    pub fn error(self) -> Error {
        match self {
            Self::NoDruid(error) | Self::NoAnswer(error) | Self::NoTable(error) | Self::Other(error) => error,
        }
    }
}

#[derive(Deserialize)]
struct ChartData {
    result: Vec<QueryResult>,
}

#[derive(Deserialize)]
struct QueryResult {
    /// What the chart is drawn from.
    rowcount: u64,
    /// What the database sent, before it was pivoted.
    sql_rowcount: Option<u64>,
}

/// The rows that a chart's query brought.
pub fn rows(reply: &Reply, user: &str) -> Result<u64, Trouble> {
    if matches!(reply.status, 401 | 403) {
        return Err(Trouble::Other(refused(reply, user)));
    }
    if reply.is_success() {
        let data = reply.json::<ChartData>().map_err(Trouble::Other)?;
        return Ok(data.result.iter().map(|query| query.sql_rowcount.unwrap_or(query.rowcount)).sum());
    }
    Err(trouble(reply))
}

/// Whether an answer that is no success may be of something before Superset.
fn is_elsewhere(status: u16) -> bool {
    matches!(status, 300..=399 | 404 | 405 | 429 | 502..=504)
}

fn trouble(reply: &Reply) -> Trouble {
    if is_elsewhere(reply.status) {
        return Trouble::Other(reply.error());
    }
    let said = said(reply);
    // Druid's own refusals are pages of HTML that Superset quotes whole: the sign is not in the first line.
    let all = String::from_utf8_lossy(&reply.body);
    let error = |kind, what: &str| Error::new(kind, format!("{}: {what} ({}): {said}", reply.request, reply.status));
    if is_connection(&all) {
        return Trouble::NoDruid(error(Kind::Unreachable, "Superset cannot ask Druid"));
    }
    if all.contains("Object '") && all.contains("not found") {
        let hint = "run `pipeline druid-ingest` first; a table appears with its first row";
        return Trouble::NoTable(error(Kind::Failed, "Druid does not have the table yet").hint(hint));
    }
    if all.contains("not found in any table") {
        let hint = "does the datasource of the pipeline file have the fields that its charts show?";
        return Trouble::Other(error(Kind::Data, "Druid's table lacks a column").hint(hint));
    }
    Trouble::Other(error(Kind::Failed, "Superset cannot compute it").hint("Superset's own log says more"))
}

/// Whether it was the way to Druid that failed, not the query.
fn is_connection(said: &str) -> bool {
    ["(builtins.NoneType) None", "Max retries exceeded", "Connection refused", "Read timed out", "Error 401", "Unauthorized"]
        .iter()
        .any(|sign| said.contains(sign))
}

/// A login that did not succeed.
pub fn login(reply: &Reply, user: &str) -> Error {
    let from_superset = reply.json::<Value>().is_ok_and(|body| body.get("message").is_some() || body.get("errors").is_some());
    match reply.status {
        401 if from_superset => {
            Error::new(Kind::Refused, format!("{}: Superset does not take the name and password of user `{user}`", reply.request))
                .hint("check [superset] username and password, or PIPELINE_SUPERSET_PASSWORD")
        }
        400..=499 if !from_superset => {
            Error::new(Kind::Unreachable, format!("{}: what answers there is not Superset ({})", reply.request, reply.status))
                .hint("[superset] url is the address of Superset's start page")
        }
        500 => reply.error().hint("Superset runs but cannot log anyone in; its own log says why"),
        _ => reply.error(),
    }
}

/// A request that the user may not make.
pub fn refused(reply: &Reply, user: &str) -> Error {
    Error::new(Kind::Refused, format!("{}: Superset refuses this to user `{user}` ({})", reply.request, said(reply))).hint(ROLE)
}

/// A user that may not write objects of a kind; Superset's import answers such a user "for an unknown reason".
pub fn may_not_write(kind: ids::Kind, user: &str) -> Error {
    Error::new(Kind::Refused, format!("user `{user}` of Superset may not write a {kind}; nothing was changed")).hint(ROLE)
}

/// An import that did not succeed.
pub fn import(reply: &Reply, address: &Address) -> Error {
    if is_elsewhere(reply.status) {
        return reply.error();
    }
    let said = address.scrub(&said(reply));
    let what = format!("{}: Superset did not import the dashboard ({}): {said}", reply.request, reply.status);
    Error::new(Kind::Failed, what).hint(
        "Superset's own log says why; if another import ran at the same time, run this again, which repairs what is half done",
    )
}

/// What Superset says, out of the several forms in which it does.
fn said(reply: &Reply) -> String {
    let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    let errors = body["errors"].as_array().into_iter().flatten();
    let mut messages: Vec<String> = errors.map(|error| worded(&error["message"], &error["extra"])).collect();
    messages.extend(
        [&body["message"], &body["msg"]].iter().filter(|message| !message.is_null()).map(|one| worded(one, &Value::Null)),
    );
    if messages.is_empty() { reply.excerpt() } else { messages.join("; ") }
}

fn worded(message: &Value, extra: &Value) -> String {
    let text = message.as_str().map_or_else(|| message.to_string(), Into::into);
    // Where files of an import are at fault, `extra` has them by name; else it is boilerplate.
    let files = extra
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| std::path::Path::new(key).extension().is_some_and(|end| end == "yaml"));
    let first = text.lines().next().unwrap_or_default().to_owned();
    files.fold(first, |text, (file, what)| format!("{text}; {file}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderMap;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { request: "Superset, GET http://s/".into(), status, headers: HeaderMap::new(), body: body.into() }
    }

    #[test]
    fn rows_are_those_that_the_database_sent() {
        let body = r#"{"result": [{"rowcount": 190, "sql_rowcount": 570, "status": "success"}]}"#;
        assert_eq!(rows(&reply(200, body), "admin").unwrap(), 570);
        assert_eq!(rows(&reply(200, r#"{"result": [{"rowcount": 190}]}"#), "admin").unwrap(), 190);
    }

    #[test]
    fn a_wrong_password_is_told_from_a_wrong_server() {
        assert_eq!(login(&reply(401, r#"{"message": "Not authorized"}"#), "admin").kind, Kind::Refused);
        assert_eq!(login(&reply(401, "<html>Druid</html>"), "admin").kind, Kind::Unreachable);
        assert_eq!(login(&reply(404, r#"{"error_code": 404}"#), "admin").kind, Kind::Unreachable);
        assert_eq!(login(&reply(302, ""), "admin").kind, Kind::Unreachable);
        assert_eq!(login(&reply(500, "{}"), "admin").kind, Kind::Failed);
    }

    #[test]
    fn druids_page_of_a_wrong_password_is_no_failed_query() {
        let page =
            r#"{"message": "Error: Unknown error (Unknown): <html>\n<title>Error 401 User authentication failed.</title>"}"#;
        assert!(matches!(rows(&reply(400, page), "admin"), Err(Trouble::NoDruid(_))));
        let pool = r#"{"message": "Error: HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: /druid/v2/sql"}"#;
        assert!(matches!(rows(&reply(400, pool), "admin"), Err(Trouble::NoDruid(_))));
    }

    #[test]
    fn a_missing_table_is_told_from_a_missing_column() {
        let table = r#"{"message": "Error: druidException (INVALID_INPUT): Object 'S' not found within 'druid'"}"#;
        assert!(matches!(rows(&reply(400, table), "admin"), Err(Trouble::NoTable(_))));
        let column = r#"{"message": "Error: druidException (INVALID_INPUT): Column 'c' not found in any table"}"#;
        assert!(matches!(rows(&reply(400, column), "admin"), Err(Trouble::Other(error)) if error.kind == Kind::Data));
    }

    #[test]
    fn superset_speaks_in_several_forms() {
        assert_eq!(said(&reply(400, r#"{"message": "a"}"#)), "a");
        assert_eq!(said(&reply(400, r#"{"msg": "b"}"#)), "b");
        assert_eq!(said(&reply(422, r#"{"message": {"slug": ["taken"]}}"#)), r#"{"slug":["taken"]}"#);
        assert_eq!(
            said(&reply(422, r#"{"errors": [{"message": "bad\nlong", "extra": {"charts/a.yaml": "x", "issue_codes": []}}]}"#)),
            r#"bad; charts/a.yaml: "x""#
        );
        assert_eq!(said(&reply(500, "<p>oops</p>")), "<p>oops</p>");
    }
}
