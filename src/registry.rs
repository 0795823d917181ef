//! The schema registry: anything that speaks Confluent's API, at any address, a path included.

use std::error::Error as _;

use schema_registry_converter::async_impl::schema_registry::{self as client, SrSettings};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, SchemaType, SuppliedSchema};

use crate::config;
use crate::error::{Error, Kind, Result};
use crate::http::{client_builder, root_cause};

/// A client of one registry.
#[derive(Clone)]
pub struct Registry {
    url: String,
    settings: SrSettings,
}

/// A schema as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The id that stands in front of each value.
    pub id: u32,
    /// The schema as JSON.
    pub schema: String,
}

impl Registry {
    /// A client of the registry that `[registry]` names. Opens no connection yet.
    pub fn new(config: &config::Registry) -> Result<Self> {
        let url = config.url.trim_end_matches('/').to_owned();
        let mut settings = SrSettings::new_builder(url.clone());
        settings.set_timeout(crate::http::REQUEST_TIMEOUT);
        if let Some(username) = &config.username {
            settings.set_basic_authorization(username, config.password.as_ref().map(config::Secret::expose));
        }
        let settings = settings.build_with(client_builder(&url)).map_err(|error| {
            Error::new(Kind::Failed, format!("cannot set up a client of the schema registry: {}", error.error))
        })?;
        Ok(Self { url, settings })
    }

    /// Registers a schema under a subject, or finds it there, and returns its id.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.into());
        client::post_schema(&self.settings, subject.into(), supplied)
            .await
            .map(|registered| registered.id)
            .map_err(|error| self.explain(&format!("registering a schema under subject `{subject}`"), &error))
    }

    /// The newest schema of a subject; `None` if there is no such subject.
    pub async fn latest(&self, subject: &str) -> Result<Option<Registered>> {
        let what = format!("asking for the schema of subject `{subject}`");
        self.found(&what, client::get_schema_by_subject_and_version(&self.settings, subject, None).await)
    }

    /// The newest schema of a topic's values; an error if there is none.
    pub async fn newest(&self, topic: &str) -> Result<Registered> {
        let subject = format!("{topic}-value");
        self.latest(&subject).await?.ok_or_else(|| {
            Error::new(Kind::Data, format!("schema registry at {}: there is no subject `{subject}`", self.url))
                .hint(
                    "`pipeline produce` registers a source topic's, `pipeline aggregate` its sink's; is the address right, its path included?",
                )
        })
    }

    /// The schema of an id; `None` if the registry does not know the id.
    pub async fn by_id(&self, id: u32) -> Result<Option<Registered>> {
        self.found(&format!("asking for schema id {id}"), client::get_schema_by_id(id, &self.settings).await)
    }

    fn found(
        &self,
        what: &str,
        answer: std::result::Result<schema_registry_converter::schema_registry_common::RegisteredSchema, SRCError>,
    ) -> Result<Option<Registered>> {
        match answer {
            Ok(schema) if schema.schema_type == SchemaType::Avro => Ok(Some(Registered { id: schema.id, schema: schema.schema })),
            Ok(schema) => Err(Error::new(Kind::Data, format!("{what}: the schema is {:?}, not Avro", schema.schema_type))),
            Err(error) if matches!(code(&error), Some(404 | 40401..=40403)) => Ok(None),
            Err(error) => Err(self.explain(what, &error)),
        }
    }

    fn explain(&self, what: &str, error: &SRCError) -> Error {
        let place = format!("schema registry at {}, {what}", self.url);
        let said = error.source().and_then(|source| source.downcast_ref::<RawError>());
        match (said.filter(|said| said.error_code != 0), http_status(&error.error)) {
            (_, Some(401)) => Error::new(Kind::Refused, format!("{place}: refused with 401"))
                .hint("set [registry] username and password (PIPELINE_REGISTRY_PASSWORD)"),
            (_, Some(403)) => {
                Error::new(Kind::Refused, format!("{place}: refused with 403")).hint("this user lacks a permission")
            }
            (Some(said), Some(409)) => Error::new(
                Kind::Data,
                format!("{place}: the schema is incompatible with the one that is there: {}", said.message),
            )
            .hint("change the schema so that the subject's compatibility rule allows it, or use another topic"),
            (Some(said), Some(422)) => Error::new(Kind::Data, format!("{place}: {}", said.message)),
            (Some(said), Some(status @ (429 | 500..=599))) => {
                Error::new(Kind::Unreachable, format!("{place}: answered {status}: {}", said.message))
            }
            (Some(said), Some(status)) => Error::new(Kind::Failed, format!("{place}: answered {status}: {}", said.message)),
            (None, Some(status)) => {
                Error::new(Kind::Unreachable, format!("{place}: answered {status}, and not as a schema registry does"))
                    .hint("is the address right, its path included? (Apicurio: http://HOST:PORT/apis/ccompat/v7)")
            }
            (_, None) => Error::new(Kind::Unreachable, format!("{place}: {}", root_cause(error)))
                .hint("is a schema registry running there? set [registry] url, or PIPELINE_REGISTRY_URL"),
        }
    }
}

/// Confluent's error code, for example 40403: schema not found.
fn code(error: &SRCError) -> Option<u32> {
    error.source()?.downcast_ref::<RawError>().map(|said| said.error_code)
}

/// The client crate gives the status only inside its message: "... failed with status 404 Not Found".
fn http_status(message: &str) -> Option<u16> {
    message.split_once("failed with status ")?.1.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_found_in_the_message() {
        assert_eq!(http_status("HTTP request to schema registry failed with status 409 Conflict"), Some(409));
        assert_eq!(http_status("http call to schema registry failed"), None);
    }

    #[tokio::test]
    async fn a_registry_that_is_not_there_is_unreachable() {
        let config = config::Registry { url: "http://127.0.0.1:1/path".into(), ..config::Registry::default() };
        let error = Registry::new(&config).unwrap().by_id(1).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unreachable);
        assert!(error.message.contains("127.0.0.1:1/path") && error.message.contains("refused"), "{error}");
    }
}
