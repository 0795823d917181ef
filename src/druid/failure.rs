//! What Druid's refusals mean. Pure.

use serde::Deserialize;

use crate::error::{Error, Kind};
use crate::http::{Asker, OTHER_RELEASE, Reply, excerpt, one_line};

/// How Druid says that it does not know a kind of supervisor, format or rule.
pub const UNKNOWN_TYPE: &str = "Could not resolve type id";
/// What to do about that.
pub const EXTENSIONS: &str = "it needs druid-kafka-indexing-service and druid-avro-extensions: add what is missing to \
    druid.extensions.loadList of all its servers, and start them again";

/// A refusal, in the forms that Druid has for it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    error: Option<String>,
    error_message: Option<String>,
    #[serde(rename = "Access-Check-Result")]
    access: Option<String>,
}

/// What Druid says in the body of an answer that is no success; as a rule it is JSON, else text or a page.
pub fn words(reply: &Reply) -> String {
    let refusal = serde_json::from_slice::<Refusal>(&reply.body).ok();
    let words = refusal.and_then(|refusal| refusal.error_message.or(refusal.error).or(refusal.access));
    words.map_or_else(|| reply.excerpt(), |words| one_line(&words))
}

/// The error that an answer which is no success means.
pub fn refusal(reply: &Reply, asker: &Asker) -> Error {
    let said = excerpt(&words(reply));
    let is_spec = reply.request.ends_with("/supervisor");
    let (kind, what, hint) = match reply.status {
        400 if said.contains(UNKNOWN_TYPE) => (Kind::Failed, "an extension of it is missing".into(), EXTENSIONS),
        400 if is_spec => (
            Kind::Failed,
            "it does not take this supervisor".into(),
            "what it names follows from [[datasource]] and [druid] in the pipeline file",
        ),
        400 => (Kind::Failed, "it does not take this".into(), OTHER_RELEASE),
        401 => (Kind::Refused, asker.wrong.clone(), asker.remedy.as_str()),
        403 => (
            Kind::Refused,
            format!("{} may not do this", asker.name),
            "in Druid, give a role of this user READ and WRITE of the datasources that the pipeline file names",
        ),
        404 if said.starts_with("Cannot find any supervisor") => (
            Kind::Failed,
            "the supervisor is gone".into(),
            "somebody terminated it meanwhile; `pipeline druid-ingest` makes it again",
        ),
        415 => (Kind::Failed, "it was sent JSON and saw none".into(), "does a proxy before it change the Content-Type header?"),
        500 => (Kind::Failed, "it failed".into(), "Druid's own log says why"),
        _ => return reply.error(),
    };
    let colon = if said.is_empty() { "" } else { ": " };
    Error::new(kind, format!("{}: {what} ({}){colon}{said}", reply.request, reply.status)).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Credentials;

    fn told(status: u16, body: &str) -> Error {
        let request = "Druid, POST http://d/druid/indexer/v1/supervisor".into();
        let reply = Reply { request, status, headers: reqwest::header::HeaderMap::new(), body: body.into() };
        refusal(&reply, &Asker::of(Some(&Credentials::Basic("me".into(), None)), "druid"))
    }

    /// What Druid 33 answers, and what is told of it: the exit code, and words of the message and of the hint.
    #[test]
    fn each_refusal_has_a_message_and_a_hint_of_its_own() {
        let page = |title: &str| {
            format!(
                "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html;charset=ISO-8859-1\"/>\n<title>{title}</title>\n\
                 </head>\n<body><h2>HTTP ERROR {title}</h2>\n<table>\n<tr><th>STATUS:</th><td>500</td></tr>\n</table></body>\n</html>"
            )
        };
        let cases = [
            (
                400,
                r#"{"error":"Please make sure to load all the necessary extensions and jars with type 'kafka' on 'druid/coordinator' service. Could not resolve type id 'kafka' as a subtype of `org.apache.druid.indexing.overlord.supervisor.SupervisorSpec` known type ids = [NoopSupervisorSpec]"}"#.into(),
                Kind::Failed,
                ["an extension of it is missing (400)", "loadList"],
            ),
            (
                400,
                r#"{"error":"Cannot construct instance of `org.apache.druid.segment.indexing.DataSchema`, problem: timestampSpec"}"#.into(),
                Kind::Failed,
                ["does not take this supervisor (400): Cannot construct", "[[datasource]]"],
            ),
            (401, page("Error 401 User authentication failed."), Kind::Refused, ["user `me`", "PIPELINE_DRUID_PASSWORD"]),
            (
                401,
                r#"{"error":"Unauthorized request","errorMessage":null,"errorClass":null,"host":"localhost"}"#.into(),
                Kind::Refused,
                ["(401): Unauthorized request", "PIPELINE_DRUID_PASSWORD"],
            ),
            (403, r#"{"Access-Check-Result": "Unauthorized"}"#.into(), Kind::Refused, ["user `me` may not do this (403): Unauthorized", "READ and WRITE"]),
            (404, "Cannot find any supervisor with id: [SALES]".into(), Kind::Failed, ["gone (404)", "druid-ingest"]),
            (404, page("404 Not Found"), Kind::Unreachable, ["404 Not Found", "something else"]),
            (415, String::new(), Kind::Failed, ["saw none (415)", "Content-Type"]),
            (
                500,
                page("Error 500 javax.servlet.ServletException: com.fasterxml.jackson.core.JsonParseException: Unexpected character (&apos;b&apos; (code 98))"),
                Kind::Failed,
                ["(500): the page `Error 500 javax.servlet.ServletException: com.fasterxml.jackson.core.JsonParseException", "log"],
            ),
        ];
        for (status, body, kind, words) in cases {
            let error = told(status, &body);
            assert!(error.kind == kind && error.message.contains(words[0]), "{error}");
            assert!(error.hint.as_ref().is_some_and(|hint| hint.contains(words[1])), "{error}");
            assert!(!error.message.contains('<') && error.message.len() < 500, "{error}");
        }
    }

    #[test]
    fn of_a_query_druid_s_own_message_is_told() {
        let error = told(
            400,
            r#"{"error":"druidException","errorCode":"invalidInput","persona":"USER","category":"INVALID_INPUT","errorMessage":"Object 'X' not found (line [1], column [18])","context":{"sourceType":"sql"}}"#,
        );
        assert!(error.message.ends_with("(400): Object 'X' not found (line [1], column [18])"), "{error}");
    }
}
