//! What Druid has under a datasource's name.

use serde_json::Value;

use super::{Druid, diff};
use crate::error::Result;

/// A datasource's supervisor, or what is left without one.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// A supervisor's spec.
    Supervisor(Value),
    /// No supervisor.
    Left {
        /// The last spec of one that is gone: Druid knows how far it read.
        past: Option<Value>,
        /// Whether there are rows all the same.
        has_rows: bool,
    },
}

impl Found {
    /// Asks Druid.
    pub async fn look(druid: &Druid, id: &str) -> Result<Self> {
        Ok(match druid.supervisor(id).await? {
            Some(spec) => Self::Supervisor(spec),
            None => Self::Left { past: last_spec(druid, id).await?, has_rows: druid.has_segments(id).await? },
        })
    }

    /// The supervisor's spec, if there is a supervisor.
    pub fn supervisor(&self) -> Option<&Value> {
        match self {
            Self::Supervisor(spec) => Some(spec),
            Self::Left { .. } => None,
        }
    }

    /// The pipeline file that made the supervisor, or the one that is gone.
    pub fn owner(&self) -> Option<&str> {
        self.spec().and_then(diff::owner)
    }

    /// Whether it read another topic than this one.
    pub fn read_another(&self, topic: &str) -> bool {
        self.spec().and_then(|spec| spec.pointer("/spec/ioConfig/topic")).is_some_and(|before| before != topic)
    }

    /// Whether how far Druid read must be forgotten before a supervisor may read this topic: it was another topic's, or the rows
    /// that were read are gone.
    pub fn must_forget(&self, topic: &str) -> bool {
        self.read_another(topic) || matches!(self, Self::Left { past: Some(_), has_rows: false })
    }

    fn spec(&self) -> Option<&Value> {
        match self {
            Self::Supervisor(spec) => Some(spec),
            Self::Left { past, .. } => past.as_ref(),
        }
    }
}

/// The spec of a supervisor, or the last one of a supervisor that is gone.
pub async fn last_spec(druid: &Druid, id: &str) -> Result<Option<Value>> {
    Ok(last_of(&druid.history(id).await?).cloned())
}

/// The last spec of a supervisor's versions, the newest first: its end is a version, too, of the type `noop`.
pub fn last_of(versions: &[Value]) -> Option<&Value> {
    versions.iter().find(|spec| spec["type"] == "kafka")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_read_of_another_topic_or_of_rows_that_are_gone_is_to_be_forgotten() {
        let spec = json!({"spec": {"ioConfig": {"topic": "T"}}});
        let left = |past: Option<&Value>, has_rows| Found::Left { past: past.cloned(), has_rows };
        let cases = [
            (Found::Supervisor(spec.clone()), false, true),
            (left(Some(&spec), true), false, true),
            (left(Some(&spec), false), true, true),
            (left(None, true), false, false),
        ];
        for (found, same_topic, other_topic) in cases {
            let forgets = [found.must_forget("T"), found.must_forget("U")];
            assert_eq!(forgets, [same_topic, other_topic], "{found:?}");
        }
    }
}
