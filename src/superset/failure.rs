//! What Superset's refusals mean. Pure.

use serde::Deserialize;
use serde_json::Value;

use super::address::Address;
use super::ids;
use crate::error::{Error, Kind};
use crate::http::{OTHER_RELEASE, Reply, excerpt};

/// What a user lacks that may not do this.
const ROLE: &str =
    "its role must be allowed to read and write databases, datasets, charts and dashboards and to import assets: Admin is";

/// What to do where Superset says no more.
const LOG: &str = "Superset's own log says why";
/// What to do about a CSRF token that is not taken.
const COOKIE: &str = "the cookie that goes with it did not come back: where Superset sets SESSION_COOKIE_SECURE, write https:// into \
    [superset] url; a proxy before it must let cookies and the Host header pass";
/// About a token that does not arrive as it was given.
const HEADER: &str = "a proxy before Superset must let the Authorization header pass, and if there are several Supersets, they must \
    have one SECRET_KEY";
/// About a token that is out of date when it is new.
const CLOCKS: &str = "is JWT_ACCESS_TOKEN_EXPIRES of Superset too short, or do the clocks of several Supersets differ?";
/// About tokens that Superset makes and does not take.
const PYJWT: &str = "PyJWT from 2.10 on refuses the tokens that this Superset makes: set JWT_VERIFY_SUB = False in its \
    superset_config.py, or install PyJWT 2.9 there; then start it again";
/// About a connection that is needed.
const DATASETS: &str = "in Superset, move these datasets to another connection or delete them, also those that this user does not see; \
    then run this again";
/// About what is needed for alerts.
const ALERTS: &str = "in Superset, delete those alerts or reports; then run this again";

/// Why a chart has no data.
#[derive(Debug)]
pub enum Trouble {
    /// Superset could not ask Druid.
    NoDruid(Error),
    /// Druid does not take Superset's user or password.
    WrongPassword(Error),
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
            Self::NoDruid(error)
            | Self::WrongPassword(error)
            | Self::NoAnswer(error)
            | Self::NoTable(error)
            | Self::Other(error) => error,
        }
    }
}

/// Why a chart's query brought nothing.
pub fn of_chart(reply: &Reply, who: &str) -> Trouble {
    match reply.status {
        400 | 500 => trouble(reply),
        _ => Trouble::Other(refusal(reply, who)),
    }
}

/// An error of Superset's list of them.
#[derive(Debug, Deserialize)]
pub struct Told {
    /// What it says.
    #[serde(deserialize_with = "as_line")]
    pub message: String,
    error_type: String,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Told>,
}

fn as_line<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| excerpt(text.lines().next().unwrap_or_default()))
}

impl Told {
    /// Whether it is that a server was not reached.
    pub fn is_of_the_way(&self) -> bool {
        ["CONNECTION_INVALID_HOSTNAME_ERROR", "CONNECTION_PORT_CLOSED_ERROR", "CONNECTION_HOST_DOWN_ERROR"]
            .contains(&self.error_type.as_str())
    }
}

/// The errors that an answer lists, in the newer of Superset's forms.
pub fn told(reply: &Reply) -> Option<Vec<Told>> {
    serde_json::from_slice::<Errors>(&reply.body).ok().map(|errors| errors.errors)
}

fn trouble(reply: &Reply) -> Trouble {
    let said = said(reply);
    // Druid's own refusals are pages of HTML that Superset quotes whole: the sign is not in the first line.
    let all = String::from_utf8_lossy(&reply.body);
    let error = |kind, what: &str| Error::new(kind, format!("{}: {what} ({}): {said}", reply.request, reply.status));
    if is_password(&all) {
        return Trouble::WrongPassword(error(Kind::Refused, "Druid refuses Superset"));
    }
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

/// Whether Druid, or a proxy before it, did not know the user. A user that it knows may be unauthorized, too.
fn is_password(said: &str) -> bool {
    ["Error 401", "401 Unauthorized", "401 Authorization Required"].iter().any(|sign| said.contains(sign))
}

/// Whether it was the way to Druid that failed, not the query.
fn is_connection(said: &str) -> bool {
    ["(builtins.NoneType) None", "Max retries exceeded", "Connection refused", "Read timed out", "Unauthorized"]
        .iter()
        .any(|sign| said.contains(sign))
}

/// A login that did not succeed.
pub fn login(reply: &Reply, who: &str) -> Error {
    let from_superset = reply.json::<Value>().is_ok_and(|body| body.get("message").is_some() || body.get("errors").is_some());
    match reply.status {
        401 if from_superset => {
            Error::new(Kind::Refused, format!("{}: Superset does not take the name and password of {who}", reply.request))
                .hint("check [superset] username and password, or PIPELINE_SUPERSET_PASSWORD")
        }
        400..=499 if !from_superset => {
            Error::new(Kind::Unreachable, format!("{}: what answers there is not Superset ({})", reply.request, reply.status))
                .hint("[superset] url is the address of Superset's start page")
        }
        500 => refusal(reply, who).hint("Superset runs but cannot log anyone in; its own log says why"),
        _ => refusal(reply, who),
    }
}

/// A token of the pipeline file's that Superset does not take.
pub fn given_token(reply: &Reply) -> Error {
    let said = said(reply);
    // Then another token does not help.
    if said.contains("Missing") || said.contains("Subject must be a string") {
        return refusal(reply, "");
    }
    let what = format!("{}: [superset] token is expired or wrong ({}): {said}", reply.request, reply.status);
    Error::new(Kind::Refused, what)
        .hint("give one that outlives the run (PIPELINE_SUPERSET_TOKEN, or token_file), or [superset] username and password")
}

/// Whether an answer is that Superset does not take the token.
pub fn refuses_token(reply: &Reply) -> bool {
    matches!(reply.status, 401 | 422) && is_of_token(reply)
}

/// What an answer that is no success means; `who` asked, in words.
pub fn refusal(reply: &Reply, who: &str) -> Error {
    let said = said(reply);
    let says = |sign: &str| said.contains(sign);
    let no_user = format!("Superset refuses this to {who}");
    let (kind, what, hint) = match reply.status {
        // What is said in JSON is refused with 400, all else is sent to the login.
        302 | 400 if is_login(reply) || says("CSRF") => {
            (Kind::Failed, "Superset does not take the CSRF token that it gave", COOKIE)
        }
        400 => (Kind::Failed, "Superset does not take this", OTHER_RELEASE),
        401 if says("Missing") && is_of_token(reply) => (Kind::Refused, "the token of the login did not arrive", HEADER),
        401 if is_of_token(reply) => (Kind::Refused, "Superset does not take the token that it gave", CLOCKS),
        401 | 403 => (Kind::Refused, no_user.as_str(), ROLE),
        404 if says("Not found") => {
            (Kind::Failed, "Superset no longer has this", "somebody deleted it meanwhile: run this again")
        }
        422 if says("Subject must be a string") => (Kind::Failed, "the installation of Superset is broken", PYJWT),
        422 if is_of_token(reply) => (Kind::Failed, "Superset does not take the token that it gave", HEADER),
        422 if says("datasets attached") => (Kind::Failed, "Superset keeps a connection that datasets need", DATASETS),
        422 if says("alerts or reports") => (Kind::Failed, "Superset keeps what alerts or reports need", ALERTS),
        422 => (Kind::Failed, "Superset does not do this", LOG),
        500 => (Kind::Failed, "Superset failed", LOG),
        _ => return reply.error(),
    };
    Error::new(kind, format!("{}: {what} ({}): {said}", reply.request, reply.status)).hint(hint)
}

/// Whether Superset sends to its login page.
fn is_login(reply: &Reply) -> bool {
    reply.location().is_some_and(|target| target.contains("/login/"))
}

/// Whether the token is at fault: only of that Superset speaks in this form.
fn is_of_token(reply: &Reply) -> bool {
    serde_json::from_slice::<Value>(&reply.body).is_ok_and(|body| body["msg"].is_string())
}

/// A user that may not write objects of a kind; Superset's import answers such a user "for an unknown reason".
pub fn may_not_write(kind: ids::Kind, who: &str) -> Error {
    Error::new(Kind::Refused, format!("in Superset {who} may not write a {kind}; nothing was changed")).hint(ROLE)
}

/// An import that did not succeed.
pub fn import(reply: &Reply, address: &Address, who: &str) -> Error {
    let hint = match reply.status {
        422 if !is_of_token(reply) => OTHER_RELEASE,
        500 => {
            "Superset's own log says why; if another import ran at the same time, run this again, which repairs what is half done"
        }
        _ => return refusal(reply, who),
    };
    let said = address.scrub(&said(reply));
    Error::new(Kind::Failed, format!("{}: Superset did not import the dashboard ({}): {said}", reply.request, reply.status))
        .hint(hint)
}

/// What Superset says, out of the several forms in which it does.
fn said(reply: &Reply) -> String {
    let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    let errors = body["errors"].as_array().into_iter().flatten();
    let mut messages: Vec<String> = errors.map(|error| worded(&error["message"], &error["extra"])).collect();
    messages.extend(
        ["message", "msg", "error"].iter().find(|key| !body[**key].is_null()).map(|key| worded(&body[*key], &Value::Null)),
    );
    if messages.is_empty() { reply.excerpt() } else { excerpt(&messages.join("; ")) }
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
    fn a_wrong_password_is_told_from_a_wrong_server() {
        assert_eq!(login(&reply(401, r#"{"message": "Not authorized"}"#), "user `admin`").kind, Kind::Refused);
        assert_eq!(login(&reply(401, "<html>Druid</html>"), "user `admin`").kind, Kind::Unreachable);
        assert_eq!(login(&reply(404, r#"{"error_code": 404}"#), "user `admin`").kind, Kind::Unreachable);
        assert_eq!(login(&reply(302, ""), "user `admin`").kind, Kind::Unreachable);
        assert_eq!(login(&reply(500, "{}"), "user `admin`").kind, Kind::Failed);
    }

    /// What Superset 6.1 answers, and what is told of it: words of the message and of the hint.
    #[test]
    fn each_refusal_has_a_message_and_a_hint_of_its_own() {
        let cases = [
            (
                400,
                r#"{"message": {"zzz": ["Unknown field."]}}"#,
                ["does not take this (400): {\"zzz\":[\"Unknown field.\"]}", "release"],
            ),
            (400, r#"{"message": "Filter column: nope not allowed to filter"}"#, ["Filter column: nope", "release"]),
            (
                400,
                r#"{"errors": [{"message": "400 Bad Request: The CSRF session token is missing.", "error_type": "GENERIC_BACKEND_ERROR"}]}"#,
                ["CSRF token that it gave", "SESSION_COOKIE_SECURE"],
            ),
            (401, r#"{"msg": "Missing Authorization Header"}"#, ["did not arrive", "Authorization header"]),
            (401, r#"{"msg": "Missing 'Bearer' type in 'Authorization' header."}"#, ["did not arrive", "Authorization header"]),
            (401, r#"{"msg": "Token has expired"}"#, ["the token that it gave", "JWT_ACCESS_TOKEN_EXPIRES"]),
            (403, r#"{"message": "Forbidden"}"#, ["refuses this to user `admin` (403)", "Admin"]),
            (404, r#"{"message": "Not found"}"#, ["no longer has this", "run this again"]),
            (422, r#"{"msg": "Not enough segments"}"#, ["the token that it gave (422): Not enough segments", "SECRET_KEY"]),
            (422, r#"{"msg": "Signature verification failed"}"#, ["the token that it gave", "SECRET_KEY"]),
            (422, r#"{"msg": "Subject must be a string"}"#, ["installation of Superset is broken", "PyJWT"]),
            (
                422,
                r#"{"message": "Cannot delete a database that has datasets attached"}"#,
                ["connection that datasets need", "delete them"],
            ),
            (
                422,
                r#"{"message": "There are associated alerts or reports: weekly"}"#,
                ["alerts or reports: weekly", "delete those"],
            ),
            (422, r#"{"message": "Charts could not be deleted."}"#, ["does not do this (422): Charts", "log"]),
            (
                500,
                r#"{"error": "(builtins.ValueError) bytes is not a 16-char string\n[SQL: SELECT"}"#,
                ["(500): (builtins.ValueError)", "log"],
            ),
            (500, r#"{"message": "Fatal error"}"#, ["Fatal error", "log"]),
            (502, "<html><head><title>502 Bad Gateway</title></head></html>", ["the page `502 Bad Gateway`", "later"]),
        ];
        for (status, body, words) in cases {
            let error = refusal(&reply(status, body), "user `admin`");
            assert!(error.message.contains(words[0]), "{error}");
            assert!(error.hint.as_ref().is_some_and(|hint| hint.contains(words[1])), "{error}");
        }
    }

    /// In JSON only is a CSRF token refused with 400; an import is a form, and a removal has no body.
    #[test]
    fn a_csrf_token_that_is_not_taken_is_told_from_another_redirect() {
        let redirect = |target: &'static str| {
            let mut reply = reply(302, "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>");
            reply.headers.insert("location", target.parse().unwrap());
            refusal(&reply, "user `admin`")
        };
        let error = redirect("/login/?next=%2Fapi%2Fv1%2Fchart%2F999999");
        assert!(error.message.contains("CSRF") && error.to_string().contains("SESSION_COOKIE_SECURE"), "{error}");
        assert!(redirect("https://s/").message.contains("redirects to https://s/"));
    }

    #[test]
    fn an_import_that_is_invalid_is_told_from_one_that_failed() {
        let config = crate::superset::testing::sales();
        let told = |status, body: &str| import(&reply(status, body), &Address::of(&config).unwrap(), "user `admin`").to_string();
        let invalid = told(422, r#"{"errors": [{"message": "Not a ZIP file", "extra": {"issue_codes": []}}]}"#);
        assert!(
            invalid.contains("did not import the dashboard (422): Not a ZIP file") && invalid.contains("release"),
            "{invalid}"
        );
        let failed = told(500, r#"{"errors": [{"message": "Import failed for an unknown reason", "extra": {}}]}"#);
        assert!(failed.contains("unknown reason") && failed.contains("another import"), "{failed}");
        assert!(told(422, r#"{"msg": "Not enough segments"}"#).contains("token"));
    }

    #[test]
    fn druids_page_of_a_wrong_password_is_no_failed_query() {
        let page =
            r#"{"message": "Error: Unknown error (Unknown): <html>\n<title>Error 401 User authentication failed.</title>"}"#;
        assert!(matches!(of_chart(&reply(400, page), "user `admin`"), Trouble::WrongPassword(_)));
        let pool = r#"{"message": "Error: HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: /druid/v2/sql"}"#;
        assert!(matches!(of_chart(&reply(400, pool), "user `admin`"), Trouble::NoDruid(_)));
    }

    #[test]
    fn a_missing_table_is_told_from_a_missing_column() {
        let table = r#"{"message": "Error: druidException (INVALID_INPUT): Object 'S' not found within 'druid'"}"#;
        assert!(matches!(of_chart(&reply(400, table), "user `admin`"), Trouble::NoTable(_)));
        let column = r#"{"message": "Error: druidException (INVALID_INPUT): Column 'c' not found in any table"}"#;
        assert!(matches!(of_chart(&reply(400, column), "user `admin`"), Trouble::Other(error) if error.kind == Kind::Data));
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
