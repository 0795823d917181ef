//! The schema registry: anything that speaks Confluent's API, at any address, a path included.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::json;

use crate::config::{self, Secret};
use crate::error::{Error, Kind, Result};
use crate::http::{self, Reply, Server};

/// A client of one registry.
#[derive(Debug, Clone)]
pub struct Registry {
    server: Server,
    username: Option<String>,
    password: Option<Secret>,
}

/// A schema as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The id that stands in front of each value.
    pub id: u32,
    /// The schema as JSON.
    pub schema: String,
}

/// What the registry answers when it has registered a schema.
#[derive(Deserialize)]
struct Given {
    id: u32,
}

/// A schema, as it answers; the id is there if a subject was asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    id: Option<u32>,
    schema: String,
    /// Left out where it is AVRO.
    schema_type: Option<String>,
}

/// A refusal. Its codes are finer than the status: 40403, no such schema.
#[derive(Deserialize)]
struct Refusal {
    error_code: u32,
    message: String,
}

impl Registry {
    /// A client of the registry that `[registry]` names. Opens no connection yet.
    pub fn new(config: &config::Registry) -> Result<Self> {
        let server = Server::new("schema registry", "registry", &config.url, &config.http)?;
        Ok(Self { server, username: config.username.clone(), password: config.password.clone() })
    }

    /// Registers a schema under a subject, or finds it there, and returns its id.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let request = self.request(Method::POST, &["subjects", subject, "versions"], &[])?;
        let request = request.header(CONTENT_TYPE, "application/vnd.schemaregistry.v1+json");
        let registered = async {
            let reply = self.server.send(request.json(&json!({ "schema": schema, "schemaType": "AVRO" }))).await?;
            if reply.is_success() { reply.json::<Given>() } else { Err(refusal(&reply)) }
        };
        let given = registered.await.map_err(|error| error.while_doing(format!("registering a schema for `{subject}`")))?;
        Ok(given.id)
    }

    /// The newest schema of a subject; `None` if there is no such subject.
    pub async fn latest(&self, subject: &str) -> Result<Option<Registered>> {
        let found = self.held(&["subjects", subject, "versions", "latest"], None).await;
        found.map_err(|error| error.while_doing(format!("asking for the schema of subject `{subject}`")))
    }

    /// The newest schema of a topic's values; an error if there is none.
    pub async fn newest(&self, topic: &str) -> Result<Registered> {
        let subject = format!("{topic}-value");
        self.latest(&subject).await?.ok_or_else(|| {
            Error::new(Kind::Data, format!("schema registry at {}: there is no subject `{subject}`", self.server.address()))
                .hint(
                    "`pipeline produce` registers a source topic's, `pipeline aggregate` its sink's; is the address right, its path included?",
                )
        })
    }

    /// The schema of an id; `None` if the registry does not know the id.
    pub async fn by_id(&self, id: u32) -> Result<Option<Registered>> {
        let found = self.held(&["schemas", "ids", &id.to_string()], Some(id)).await;
        found.map_err(|error| error.while_doing(format!("asking for schema id {id}")))
    }

    /// Deletes a subject's versions, softly: their ids go on being known. That there is none is no error.
    pub async fn delete(&self, subject: &str) -> Result<()> {
        let reply = self.server.send(self.request(Method::DELETE, &["subjects", subject], &[])?).await?;
        // 40401: no such subject; 40404: deleted before.
        let is_gone = reply.status == 404 && said(&reply).is_some_and(|said| matches!(said.error_code, 40401..=40404));
        let is_done = is_gone || reply.is_success();
        if is_done { Ok(()) } else { Err(refusal(&reply).while_doing(format!("deleting subject `{subject}`"))) }
    }

    /// A schema that is asked for by subject, or by an id, which the answer then leaves out.
    async fn held(&self, path: &[&str], id: Option<u32>) -> Result<Option<Registered>> {
        // Records may still be of a schema that was deleted since.
        let query: &[_] = if id.is_some() { &[("deleted", "true")] } else { &[] };
        let reply = self.server.send(self.request(Method::GET, path, query)?).await?;
        if reply.status == 404 && said(&reply).is_some_and(|said| matches!(said.error_code, 404 | 40401..=40403)) {
            return Ok(None);
        }
        if !reply.is_success() {
            return Err(refusal(&reply));
        }
        let held: Held = reply.json()?;
        match (held.schema_type.as_deref().unwrap_or("AVRO"), id.or(held.id)) {
            ("AVRO", Some(id)) => Ok(Some(Registered { id, schema: held.schema })),
            ("AVRO", None) => {
                Err(Error::new(Kind::Unreachable, format!("{}: the answer has no id", reply.request)).hint(ADDRESS))
            }
            (other, _) => Err(Error::new(Kind::Data, format!("{}: the schema is {other}, not Avro", reply.request))),
        }
    }

    fn request(&self, method: Method, segments: &[&str], query: &[(&str, &str)]) -> Result<RequestBuilder> {
        let request = self.server.request(method, &http::path(segments, query))?;
        Ok(match &self.username {
            Some(username) => request.basic_auth(username, self.password.as_ref().map(Secret::expose)),
            None => request,
        })
    }
}

/// What to look at if something answers, but not as a registry does.
const ADDRESS: &str = "is the address right, its path included? (Apicurio: http://HOST:PORT/apis/ccompat/v7)";

fn said(reply: &Reply) -> Option<Refusal> {
    serde_json::from_slice(&reply.body).ok()
}

/// What an answer that is no success means.
fn refusal(reply: &Reply) -> Error {
    let (request, status) = (&reply.request, reply.status);
    match (status, said(reply)) {
        (401, _) => Error::new(Kind::Refused, format!("{request}: refused with 401"))
            .hint("set [registry] username and password (PIPELINE_REGISTRY_PASSWORD)"),
        (403, _) => Error::new(Kind::Refused, format!("{request}: refused with 403")).hint("this user lacks a permission"),
        (409, Some(said)) => {
            Error::new(Kind::Data, format!("{request}: the schema is incompatible with the one that is there: {}", said.message))
                .hint("change the schema so that the subject's compatibility rule allows it, or use another topic")
        }
        (422, Some(said)) => Error::new(Kind::Data, format!("{request}: the registry finds it invalid: {}", said.message)),
        (300..=399 | 429 | 502..=504, _) => reply.error(),
        (500.., Some(said)) => {
            Error::new(Kind::Unreachable, format!("{request}: answered {status}: {}", said.message)).hint("its own log says why")
        }
        (404 | 405, _) | (_, None) => {
            Error::new(Kind::Unreachable, format!("{request}: answered {status}, and not as a schema registry does"))
                .hint(ADDRESS)
        }
        (_, Some(said)) => Error::new(Kind::Failed, format!("{request}: answered {status}: {}", said.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_registry_that_is_not_there_is_unreachable() {
        let config = config::Registry { url: "http://127.0.0.1:1/path".into(), ..config::Registry::default() };
        let error = Registry::new(&config).unwrap().by_id(1).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unreachable);
        assert!(error.message.contains("127.0.0.1:1/path") && error.message.contains("refused"), "{error}");
    }
}
