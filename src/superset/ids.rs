//! Who is who in Superset: ids that are the same on every run and on every machine. Pure.

use std::fmt;

use uuid::Uuid;

/// The namespace of every id that this program gives. Changing it orphans all that was ever made.
const NAMESPACE: Uuid = Uuid::from_u128(0x5b0d_c5a4_3c1e_4f0b_9a57_1d2f_6ae8_0b74);

/// The kinds of objects that are made in Superset, in the order in which one needs the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A connection to Druid.
    Database,
    /// A table of that connection.
    Dataset,
    /// A picture of a dataset.
    Chart,
    /// Charts on a page.
    Dashboard,
}

impl Kind {
    /// The last part of its REST collection, which is also its name in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Dataset => "dataset",
            Self::Chart => "chart",
            Self::Dashboard => "dashboard",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The id of an object that the pipeline file of this name describes.
pub fn stable(pipeline: &str, kind: Kind, object: &str) -> Uuid {
    // NUL cannot be typed into a name, so no two triples run together.
    Uuid::new_v5(&NAMESPACE, [pipeline, kind.word(), object].join("\0").as_bytes())
}

/// The id of a filter of a dashboard.
pub fn filter(pipeline: &str, slug: &str, title: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, [pipeline, "filter", slug, title].join("\0").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_pipeline_kind_and_name_and_on_nothing_else() {
        let id = stable("kafka-101", Kind::Chart, "sales");
        assert_eq!(id, stable("kafka-101", Kind::Chart, "sales"));
        assert_ne!(id, stable("kafka-102", Kind::Chart, "sales"));
        assert_ne!(id, stable("kafka-101", Kind::Dataset, "sales"));
        assert_ne!(id, stable("kafka-101", Kind::Chart, "Sales"));
        // Written down: if this changes, every dashboard made before is orphaned.
        assert_eq!(id.to_string(), "f6432aa8-7d4a-52fc-9f36-a2e8b76d44a3");
    }
}
