//! The schema registry: anything that speaks Confluent's API, at any address, a path included.
//!
//! schema_registry_converter knows the API; what it sends goes through [`Server`], as all requests of this program do.

use std::error::Error as _;
use std::time::SystemTime;

use reqwest::{Method, Request, Response};
use reqwest_middleware::{Middleware, Next};
use schema_registry_converter::async_impl::schema_registry::{self as client, SrSettings};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, RegisteredSchema, SchemaType, SuppliedSchema};
use serde::Deserialize;
use serde_json::json;

use crate::config::{self, Credentials, Secret};
use crate::error::{Error, Kind, Result};
use crate::http::{self, Asker, BODY_CAP, OTHER_RELEASE, Reply, Server, excerpt};

/// A client of one registry.
#[derive(Clone)]
pub struct Registry {
    settings: SrSettings,
    server: Server,
}

/// A schema as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The id that stands in front of each value.
    pub id: u32,
    /// The schema as JSON.
    pub schema: String,
}

/// Whether a schema may be registered under a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compatibility {
    /// It may.
    Compatible,
    /// It may not, and why, if the registry says so.
    Incompatible(String),
    /// The subject is not there: it will be made.
    NoSubject,
}

#[derive(Deserialize)]
struct Judged {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

/// A version of a subject.
#[derive(Deserialize)]
struct Version {
    #[serde(rename = "version")]
    _version: i64,
}

#[derive(Deserialize)]
struct Mode {
    mode: String,
}

impl Registry {
    /// A client of the registry that `[registry]` names. Opens no connection yet.
    pub fn new(config: &config::Registry) -> Result<Self> {
        let server = Server::new("schema registry", "registry", &config.url, &config.http)?;
        let mut settings = SrSettings::new_builder(config.url.trim_end_matches('/').to_owned());
        settings.with_middleware(Rules(server.clone()));
        match &config.http.credentials {
            Some(Credentials::Basic(user, password)) => {
                settings.set_basic_authorization(user, password.as_ref().map(Secret::expose));
            }
            Some(Credentials::Bearer(token)) => {
                settings.set_token_authorization(token.expose());
            }
            None => {}
        }
        let settings = settings.build().map_err(|error| {
            Error::new(Kind::Failed, format!("cannot set up a client of the schema registry: {}", error.error))
        })?;
        Ok(Self { settings, server })
    }

    /// Registers a schema under a subject, or finds it there, and returns its id.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.into());
        let registered = client::post_schema(&self.settings, http::escaped(subject), supplied).await;
        let told = |error| self.explain(&error).while_doing(format!("registering a schema for `{subject}`"));
        registered.map(|registered| registered.id).map_err(told)
    }

    /// The newest schema of a subject; `None` if there is no such subject.
    pub async fn latest(&self, subject: &str) -> Result<Option<Registered>> {
        let asked = client::get_schema_by_subject_and_version(&self.settings, &http::escaped(subject), None).await;
        self.found(asked).map_err(|error| error.while_doing(format!("asking for the schema of subject `{subject}`")))
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

    /// The schema of an id, also of one that was deleted since; `None` if the registry does not know the id.
    pub async fn by_id(&self, id: u32) -> Result<Option<Registered>> {
        let asked = client::get_schema_by_id(id, &self.settings).await;
        self.found(asked).map_err(|error| error.while_doing(format!("asking for schema id {id}")))
    }

    /// Deletes a subject's versions, softly: their ids go on being known. That there is none is no error.
    pub async fn delete(&self, subject: &str) -> Result<()> {
        let reply = self.server.send(self.server.request(Method::DELETE, &http::path(&["subjects", subject], &[]))?).await?;
        let deleted = match reply.status {
            _ if is_absent(&reply) => Ok(()),
            // The versions.
            200..=299 => reply.json::<Vec<u32>>().map(drop),
            _ => Err(refusal(&reply, &self.server.asker())),
        };
        deleted.map_err(|error| error.while_doing(format!("deleting subject `{subject}`")))
    }

    /// The kinds of schemas that it takes, and what its clock says. Only a registry answers this, and only at the right path.
    pub async fn types(&self) -> Result<(Vec<String>, Option<SystemTime>)> {
        let reply = self.server.send(self.server.request(Method::GET, "schemas/types")?).await?;
        if reply.is_success() { Ok((reply.json()?, reply.date())) } else { Err(refusal(&reply, &self.server.asker())) }
    }

    /// Whether a schema may be registered under a subject, which is asked without doing it.
    pub async fn compatibility(&self, subject: &str, schema: &str) -> Result<Compatibility> {
        let path = http::path(&["compatibility", "subjects", subject, "versions", "latest"], &[("verbose", "true")]);
        let reply = self.server.send(self.server.request(Method::POST, &path)?.json(&json!({ "schema": schema }))).await?;
        let judged = match reply.status {
            _ if is_absent(&reply) => return Ok(Compatibility::NoSubject),
            200..=299 => reply.json::<Judged>(),
            _ => Err(refusal(&reply, &self.server.asker())),
        };
        let judged = judged.map_err(|error| error.while_doing(format!("asking whether a schema fits subject `{subject}`")))?;
        if judged.is_compatible {
            return Ok(Compatibility::Compatible);
        }
        Ok(Compatibility::Incompatible(excerpt(&judged.messages.join("; "))))
    }

    /// Whether a subject has this schema, in whatever version: then it can be registered again, whether it fits the newest or not.
    pub async fn has(&self, subject: &str, schema: &str) -> Result<bool> {
        let path = http::path(&["subjects", subject], &[]);
        let reply = self.server.send(self.server.request(Method::POST, &path)?.json(&json!({ "schema": schema }))).await?;
        match reply.status {
            _ if is_absent(&reply) => Ok(false),
            200..=299 => reply.json::<Version>().map(|_| true),
            _ => Err(refusal(&reply, &self.server.asker())),
        }
    }

    /// Its mode, for example `READWRITE` or `READONLY`; `None` if it does not tell.
    pub async fn mode(&self) -> Result<Option<String>> {
        let reply = self.server.send(self.server.request(Method::GET, "mode")?).await?;
        match reply.status {
            204 | 403..=405 => Ok(None),
            200..=299 => reply.json::<Mode>().map(|mode| Some(mode.mode)),
            _ => Err(refusal(&reply, &self.server.asker())),
        }
    }

    fn found(&self, asked: std::result::Result<RegisteredSchema, SRCError>) -> Result<Option<Registered>> {
        match asked {
            Ok(schema) if schema.schema_type == SchemaType::Avro => Ok(Some(Registered { id: schema.id, schema: schema.schema })),
            Ok(schema) => Err(Error::new(
                Kind::Data,
                format!("schema registry at {}: the schema is {:?}, not Avro", self.server.address(), schema.schema_type),
            )),
            // Only that there is none comes through the rules as a refusal.
            Err(error) if matches!(error.source(), Some(source) if source.is::<RawError>()) => Ok(None),
            Err(error) => Err(self.explain(&error)),
        }
    }

    /// The rules' own error, if that is what the client met.
    fn explain(&self, error: &SRCError) -> Error {
        let met = error.source().and_then(|source| source.downcast_ref::<reqwest_middleware::Error>());
        match met {
            Some(reqwest_middleware::Error::Middleware(inner)) if inner.is::<Error>() => {
                inner.downcast_ref::<Error>().cloned().unwrap_or_else(|| self.strange(error))
            }
            _ => self.strange(error),
        }
    }

    fn strange(&self, error: &SRCError) -> Error {
        let cause = error.cause.as_deref().unwrap_or_default();
        let message = format!("schema registry at {}: {} {cause}", self.server.address(), error.error);
        Error::new(Kind::Unreachable, message).hint(ADDRESS)
    }
}

/// The rules that requests of the client keep: one policy for time limits, repetition, size and refusals.
struct Rules(Server);

/// What every answer has at least one of.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Id {
        #[serde(rename = "id")]
        _id: u32,
    },
    Schema {
        #[serde(rename = "schema")]
        _schema: String,
    },
}

#[async_trait::async_trait]
impl Middleware for Rules {
    async fn handle(&self, request: Request, _: &mut ::http::Extensions, _: Next<'_>) -> reqwest_middleware::Result<Response> {
        let may_be_absent = request.method() == Method::GET;
        let told = |error: Error| reqwest_middleware::Error::Middleware(anyhow::Error::msg(error));
        let reply = self.0.execute(request, BODY_CAP).await.map_err(told)?;
        if reply.is_success() {
            reply.json::<Given>().map_err(told)?;
        } else if !may_be_absent || !is_absent(&reply) {
            return Err(told(refusal(&reply, &self.0.asker())));
        }
        let response = ::http::Response::builder().status(reply.status).body(reply.body);
        response.map(Response::from).map_err(reqwest_middleware::Error::middleware)
    }
}

/// A refusal. Its codes are finer than the status: 40403, no such schema.
#[derive(Deserialize)]
struct Refusal {
    error_code: u32,
    message: String,
}

/// Whether the registry says that there is no such thing: 40401 to 40403 of a subject, version or schema; 40404, deleted before.
fn is_absent(reply: &Reply) -> bool {
    reply.status == 404 && said(reply).is_some_and(|said| matches!(said.error_code, 404 | 40401..=40404))
}

/// What to look at if something answers, but not as a registry does.
const ADDRESS: &str = "is the address right, its path included? (Apicurio: http://HOST:PORT/apis/ccompat/v7)";

fn said(reply: &Reply) -> Option<Refusal> {
    serde_json::from_slice(&reply.body).ok()
}

/// What an answer that is no success means.
fn refusal(reply: &Reply, asker: &Asker) -> Error {
    let said = said(reply).map(|said| excerpt(&said.message));
    let (kind, what, hint) = match (reply.status, &said) {
        (401, _) => (Kind::Refused, asker.wrong.as_str(), asker.remedy.as_str()),
        (403, _) => (Kind::Refused, "this is not allowed", "this user lacks a permission"),
        (409, Some(_)) => (
            Kind::Data,
            "the schema is incompatible with the one that is there",
            "change the schema so that the subject's compatibility rule allows it, or use another topic",
        ),
        (422, Some(_)) => (Kind::Data, "the registry finds it invalid", "is it Avro? `schema` of [[source]] names the file"),
        (300..=399 | 429 | 502..=504, _) => return reply.error(),
        (500.., Some(_)) => (Kind::Unreachable, "the registry failed", "its own log says why"),
        (404 | 405, _) | (_, None) => (Kind::Unreachable, "this is not how a schema registry answers", ADDRESS),
        (_, Some(_)) => (Kind::Failed, "the registry does not take this", OTHER_RELEASE),
    };
    let said = said.map_or_else(String::new, |said| format!(": {said}"));
    Error::new(kind, format!("{}: {what} ({}){said}", reply.request, reply.status)).hint(hint)
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
