//! The schema registry: is it there, are the schemas that are read, may those be registered that are written?

use std::time::SystemTime;

use super::clocks;
use super::desk::Desk;
use super::report::Verdict;
use crate::aggregate::Layout;
use crate::config::{Aggregate, Source};
use crate::error::{Error, Kind, Result};
use crate::registry::{Compatibility, Registry};

/// Looks at the registry.
pub(super) async fn look(desk: Desk) {
    let asked = async {
        let registry = Registry::new(&desk.config.registry)?;
        let types = registry.types().await?;
        Ok((registry, types))
    };
    let (registry, (types, date)) = match desk.ask(asked).await {
        Ok(found) => found,
        Err(error) => {
            desk.failed("answers", error);
            desk.skipped("subjects", "because the registry does not answer as one");
            return;
        }
    };
    let url = &desk.config.registry.url;
    if types.iter().any(|one| one == "AVRO") {
        desk.fine("answers", url);
    } else {
        let message = format!("schema registry at {url}: it takes no Avro schemas, but {}", types.join(", "));
        desk.failed("answers", Error::new(Kind::Data, message).hint("another registry is needed, or this one's Avro support"));
    }
    if let Some(date) = date {
        desk.report("clock", clocks::compare("the schema registry", date, SystemTime::now()));
    }
    let look = Look { desk: &desk, registry };
    look.mode().await;
    for source in &desk.config.sources {
        let schema = look.source(source).await;
        for aggregate in desk.config.aggregates.iter().filter(|aggregate| aggregate.source == source.topic) {
            look.sink(source, aggregate, schema.as_deref()).await;
        }
    }
}

struct Look<'a> {
    desk: &'a Desk,
    registry: Registry,
}

impl Look<'_> {
    async fn mode(&self) {
        match self.desk.ask(self.registry.mode()).await {
            Ok(None) => {}
            Ok(Some(mode)) if mode == "READWRITE" => self.desk.fine("mode", "schemas can be registered"),
            Ok(Some(mode)) => self
                .desk
                .note("mode", format!("it is in mode {mode}: schemas that are there can be used, but none can be registered")),
            Err(error) => self.desk.failed("mode", error),
        }
    }

    /// The schema that the source's records are read with, if there is one or will be.
    async fn source(&self, source: &Source) -> Option<String> {
        let subject = format!("{}-value", source.topic);
        let what = format!("subject {subject}");
        let is_written = !source.generate.is_empty();
        match self.desk.ask(self.registry.latest(&subject)).await {
            Ok(Some(_)) if is_written => {
                self.fits(&subject, &source.schema_text).await;
                self.desk.ask(self.registry.newest(&source.topic)).await.ok().map(|newest| newest.schema)
            }
            Ok(Some(found)) => {
                self.desk.fine(what, format!("schema {}", found.id));
                Some(found.schema)
            }
            Ok(None) if is_written => {
                self.desk.note(what, "not there yet: `pipeline produce` registers it");
                Some(source.schema_text.clone())
            }
            Ok(None) if self.desk.config.aggregates.iter().any(|aggregate| aggregate.sink == source.topic) => {
                self.desk.note(what, "not there yet: `pipeline aggregate` registers it");
                None
            }
            Ok(None) => {
                let message = format!("schema registry at {}: there is no subject `{subject}`", self.desk.config.registry.url);
                let hint = "whoever writes the topic registers it; is the address right, its path included?";
                self.desk.failed(what, Error::new(Kind::Data, message).hint(hint));
                None
            }
            Err(error) => {
                self.desk.failed(what, error);
                None
            }
        }
    }

    async fn sink(&self, source: &Source, aggregate: &Aggregate, schema: Option<&str>) {
        let what = format!("aggregate {}", aggregate.sink);
        let Some(schema) = schema else {
            self.desk.skipped(what, format!("because there is no schema of {}", source.topic));
            return;
        };
        match Layout::new(aggregate, schema, &source.time) {
            Ok(layout) => {
                self.fits(&format!("{}-key", aggregate.sink), &layout.key_schema).await;
                self.fits(&format!("{}-value", aggregate.sink), &layout.value_schema).await;
            }
            Err(error) => self.desk.failed(what, error),
        }
    }

    /// Whether what we write can be registered.
    async fn fits(&self, subject: &str, schema: &str) {
        let mut answer = self.desk.ask(self.registry.compatibility(subject, schema)).await;
        if matches!(answer, Ok(Compatibility::Incompatible(_)))
            && matches!(self.desk.ask(self.registry.has(subject, schema)).await, Ok(true))
        {
            answer = Ok(Compatibility::Compatible);
        }
        let there = match &answer {
            // Some say of a subject that is not there that everything fits it.
            Ok(Compatibility::Compatible) => self.desk.ask(self.registry.latest(subject)).await.map(|found| found.is_some()),
            _ => Ok(true),
        };
        self.desk.report(format!("subject {subject}"), judge(subject, answer, there));
    }
}

fn judge(subject: &str, answer: Result<Compatibility>, there: Result<bool>) -> Verdict {
    match (answer, there) {
        (Ok(Compatibility::Compatible), Ok(true)) => Verdict::Fine("what is written fits it".into()),
        (Ok(Compatibility::Compatible | Compatibility::NoSubject), _) => {
            Verdict::Note("not there yet: `pipeline aggregate` registers it".into())
        }
        (Ok(Compatibility::Incompatible(why)), _) => {
            let colon = if why.is_empty() { "" } else { ": " };
            let message =
                format!("the schema that this program writes is incompatible with the one under subject `{subject}`{colon}{why}");
            Verdict::Failed(Error::new(Kind::Data, message).hint(
                "who registered that one? use another topic, set the subject's compatibility to NONE, or delete the subject if nothing reads it",
            ))
        }
        // It has answered other questions.
        (Err(error), _) if error.kind == Kind::Unreachable => {
            Verdict::Note(format!("whether what is written fits it, could not be checked: {}", error.message))
        }
        (Err(error), _) => Verdict::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_registered_is_a_failure() {
        let judged = |answer, there| judge("S-value", answer, Ok(there));
        assert!(matches!(judged(Ok(Compatibility::Compatible), true), Verdict::Fine(_)));
        assert!(matches!(judged(Ok(Compatibility::Compatible), false), Verdict::Note(_)));
        assert!(matches!(judged(Ok(Compatibility::NoSubject), true), Verdict::Note(_)));
        let why = judged(Ok(Compatibility::Incompatible("a field is gone".into())), true);
        assert!(
            matches!(why, Verdict::Failed(error) if error.kind == Kind::Data && error.message.ends_with("`S-value`: a field is gone"))
        );
        let error = |kind| Err(Error::new(kind, "no"));
        assert!(matches!(judged(error(Kind::Unreachable), true), Verdict::Note(_)));
        assert!(matches!(judged(error(Kind::Refused), true), Verdict::Failed(_)));
    }
}
