//! What the embedded registry holds, and what it answers. Pure.

use std::collections::BTreeMap;

use apache_avro::Schema;
use serde_json::Value;

/// More schemas than this are not taken: nobody needs them here, and they are kept in memory.
const MOST_SCHEMAS: usize = 1_000;

/// Why a request is refused, in Confluent's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its first three digits are the HTTP status.
    pub code: u32,
    /// What is wrong.
    pub message: String,
}

impl Refusal {
    /// A refusal with Confluent's code.
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// A version of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version<'a> {
    /// Counts from 1 in each subject.
    pub number: u32,
    /// The schema's id, which is the same under every subject.
    pub id: u32,
    /// The schema, as it was first written.
    pub text: &'a str,
}

/// Subjects and the versions of their schemas.
///
/// A schema is the same as another if both are the same JSON: space and the order of attributes do not matter, documentation does.
#[derive(Debug, Default)]
pub struct Subjects {
    /// The schema of id 1 comes first.
    schemas: Vec<(Value, String)>,
    /// The ids of each subject's versions, from version 1 on.
    versions: BTreeMap<String, Vec<u32>>,
}

impl Subjects {
    /// Adds a version to a subject unless the schema is one; returns the schema's id.
    pub fn register(&mut self, subject: &str, text: &str) -> Result<u32, Refusal> {
        let schema = parse(text)?;
        let id = match self.id_of(&schema) {
            Some(id) => id,
            None if self.schemas.len() == MOST_SCHEMAS => {
                return Err(Refusal::new(50_001, format!("the embedded registry holds {MOST_SCHEMAS} schemas at most")));
            }
            None => {
                self.schemas.push((schema, text.to_owned()));
                self.schemas.len() as u32
            }
        };
        let versions = self.versions.entry(subject.to_owned()).or_default();
        if !versions.contains(&id) {
            versions.push(id);
        }
        Ok(id)
    }

    /// The version that a schema is of a subject.
    pub fn find(&self, subject: &str, text: &str) -> Result<Version<'_>, Refusal> {
        let (ids, id) = (self.ids(subject)?, self.id_of(&parse(text)?));
        let place = id.and_then(|id| ids.iter().position(|known| *known == id));
        place.map(|place| self.nth(ids, place)).ok_or_else(|| Refusal::new(40_403, "Schema not found"))
    }

    /// All subjects.
    pub fn subjects(&self) -> Vec<&str> {
        self.versions.keys().map(String::as_str).collect()
    }

    /// A subject's versions.
    pub fn versions(&self, subject: &str) -> Result<Vec<u32>, Refusal> {
        Ok((1..=self.ids(subject)?.len() as u32).collect())
    }

    /// A version of a subject by its number, or `latest`.
    pub fn version(&self, subject: &str, version: &str) -> Result<Version<'_>, Refusal> {
        let ids = self.ids(subject)?;
        let number = match version {
            "latest" | "-1" => ids.len(),
            number => number.parse().ok().filter(|number| (1..=i32::MAX as usize).contains(number)).ok_or_else(|| {
                Refusal::new(
                    42_202,
                    format!("The specified version '{version}' is not a valid version id: a number from 1 on, or latest"),
                )
            })?,
        };
        if number > ids.len() {
            return Err(Refusal::new(40_402, format!("Version {number} not found.")));
        }
        Ok(self.nth(ids, number - 1))
    }

    /// The schema of an id.
    pub fn schema(&self, id: u32) -> Result<&str, Refusal> {
        let schema = id.checked_sub(1).and_then(|place| self.schemas.get(place as usize));
        schema.map(|(_, text)| text.as_str()).ok_or_else(|| Refusal::new(40_403, format!("Schema {id} not found")))
    }

    /// The subjects that have the schema of an id, and which version of each it is.
    pub fn uses(&self, id: u32) -> Result<Vec<(&str, u32)>, Refusal> {
        self.schema(id)?;
        let version = |ids: &[u32]| ids.iter().position(|known| *known == id).map(|place| place as u32 + 1);
        Ok(self.versions.iter().filter_map(|(subject, ids)| Some((subject.as_str(), version(ids)?))).collect())
    }

    fn ids(&self, subject: &str) -> Result<&[u32], Refusal> {
        let ids = self.versions.get(subject);
        ids.map(Vec::as_slice).ok_or_else(|| Refusal::new(40_401, format!("Subject '{subject}' not found.")))
    }

    fn id_of(&self, schema: &Value) -> Option<u32> {
        self.schemas.iter().position(|(known, _)| known == schema).map(|place| place as u32 + 1)
    }

    fn nth(&self, ids: &[u32], place: usize) -> Version<'_> {
        let id = ids[place];
        Version { number: place as u32 + 1, id, text: &self.schemas[id as usize - 1].1 }
    }
}

fn parse(text: &str) -> Result<Value, Refusal> {
    let invalid = |why: String| Refusal::new(42_201, format!("Invalid schema: {why}"));
    Schema::parse_str(text).map_err(|error| invalid(error.to_string()))?;
    serde_json::from_str(text).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT: &str = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}"#;

    fn code<T: std::fmt::Debug>(refused: Result<T, Refusal>) -> u32 {
        refused.unwrap_err().code
    }

    #[test]
    fn the_same_schema_has_the_same_id_everywhere() {
        let mut subjects = Subjects::default();
        assert_eq!(subjects.register("A", INT), Ok(1));
        assert_eq!(subjects.register("A", "\"string\""), Ok(2));
        assert_eq!(subjects.register("B", "\"string\""), Ok(2));
        let otherwise = r#"{"name":"R","type":"record","fields":[{"type":"int","name":"a"}]}"#;
        assert_eq!(subjects.register("B", otherwise), Ok(1), "space and order of attributes do not matter");
        assert_eq!(subjects.register("B", INT), Ok(1), "not a version more");
        let documented = INT.replacen('{', r#"{"doc": "sales", "#, 1);
        assert_eq!(subjects.register("A", &documented), Ok(3), "readers may want to see the documentation");
        assert_eq!(subjects.subjects(), ["A", "B"]);
        assert_eq!((subjects.versions("A"), subjects.versions("B")), (Ok(vec![1, 2, 3]), Ok(vec![1, 2])));
        assert_eq!(subjects.uses(1), Ok(vec![("A", 1), ("B", 2)]));
        assert_eq!(subjects.uses(3), Ok(vec![("A", 3)]));
    }

    #[test]
    fn versions_are_found_by_number_by_latest_and_by_schema() {
        let mut subjects = Subjects::default();
        subjects.register("B", "\"long\"").unwrap();
        subjects.register("A", INT).unwrap();
        subjects.register("A", "\"long\"").unwrap();
        let (first, second) = (Version { number: 1, id: 2, text: INT }, Version { number: 2, id: 1, text: "\"long\"" });
        assert_eq!((subjects.version("A", "1"), subjects.version("A", "2")), (Ok(first), Ok(second)));
        assert_eq!((subjects.version("A", "latest"), subjects.version("A", "-1")), (Ok(second), Ok(second)));
        assert_eq!((subjects.find("A", INT), subjects.find("A", "\"long\"")), (Ok(first), Ok(second)));
        assert_eq!((subjects.schema(1), subjects.schema(2)), (Ok("\"long\""), Ok(INT)));
    }

    #[test]
    fn what_is_not_there_is_refused_in_confluents_words() {
        let mut subjects = Subjects::default();
        subjects.register("A", INT).unwrap();
        subjects.register("B", "\"long\"").unwrap();
        assert_eq!(code(subjects.versions("C")), 40_401);
        assert_eq!(code(subjects.find("C", INT)), 40_401);
        assert_eq!(code(subjects.version("A", "2")), 40_402);
        assert_eq!([code(subjects.version("A", "0")), code(subjects.version("A", "x"))], [42_202; 2]);
        assert_eq!([code(subjects.find("A", "\"long\"")), code(subjects.find("A", "\"bytes\""))], [40_403; 2]);
        assert_eq!([code(subjects.schema(0)), code(subjects.schema(3)), code(subjects.uses(3))], [40_403; 3]);
    }

    #[test]
    fn what_is_no_schema_is_not_taken_and_leaves_nothing_behind() {
        let mut subjects = Subjects::default();
        for text in ["", "{}", r#"{"type": "record", "name": "R"}"#, "\"strin\""] {
            assert_eq!(code(subjects.register("A", text)), 42_201, "{text}");
        }
        assert!(subjects.subjects().is_empty());
    }

    #[test]
    fn there_is_an_end_to_schemas() {
        let mut subjects = Subjects::default();
        let schema = |number: usize| format!(r#"{{"type": "fixed", "name": "F", "size": {number}}}"#);
        for number in 1..=MOST_SCHEMAS {
            assert_eq!(subjects.register("A", &schema(number)), Ok(number as u32));
        }
        assert_eq!(code(subjects.register("A", &schema(0))), 50_001);
        assert_eq!(subjects.register("B", &schema(1)), Ok(1), "known ones are still taken");
    }
}
