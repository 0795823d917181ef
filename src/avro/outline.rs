//! What a record schema has, nested fields included, as dotted paths.

use apache_avro::Schema;
use apache_avro::schema::RecordSchema;
use serde_json::Value as Json;

use super::scalar::FieldKind;
use super::schema::{self, PlanError, Types, describe, leaf};

/// How deep records within records are looked into: a schema may hold itself.
const DEPTH: usize = 8;

/// A field, or a field of a nested record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlined {
    /// Its path: `amount`, `customer.country`.
    pub path: String,
    /// What it holds, apart from null; `None`: not a single value (an array, a map, a record that holds itself).
    pub kind: Option<FieldKind>,
    /// Its type's name, for messages.
    pub type_name: String,
    /// Whether it, or a record on the way to it, may be null.
    pub nullable: bool,
    /// The schema's words about it.
    pub doc: Option<String>,
    /// The symbols of an enum.
    pub symbols: Vec<String>,
    /// The default that the schema declares for it.
    pub default: Option<Json>,
}

/// The single values of a record schema (JSON), in its order; a nested record is there as its fields.
pub fn outline(schema: &str) -> Result<Vec<Outlined>, PlanError> {
    let schema = schema::parse(schema)?;
    let types = Types::of(&schema);
    let mut found = Vec::new();
    walk(&types, types.root_record()?, "", false, DEPTH, &mut found)?;
    Ok(found)
}

fn walk(
    types: &Types<'_>,
    record: &RecordSchema,
    before: &str,
    nullable: bool,
    depth: usize,
    found: &mut Vec<Outlined>,
) -> Result<(), PlanError> {
    for field in &record.fields {
        let path = if before.is_empty() { field.name.clone() } else { format!("{before}.{}", field.name) };
        let whole = types.resolve(&field.schema)?;
        let mut others = Vec::new();
        if let Schema::Union(union) = whole {
            for branch in union.variants() {
                others.push(types.resolve(branch)?);
            }
        } else {
            others.push(whole);
        }
        let count = others.len();
        others.retain(|branch| !matches!(branch, Schema::Null));
        let nullable = nullable || others.len() < count;
        let (doc, default) = (field.doc.clone(), field.default.clone());
        let mut outlined = Outlined { path, kind: None, type_name: describe(whole), nullable, doc, symbols: Vec::new(), default };
        match others[..] {
            [Schema::Record(inner)] if depth > 0 => {
                walk(types, inner, &outlined.path, nullable, depth - 1, found)?;
                continue;
            }
            [] => outlined.kind = Some(FieldKind::Null),
            [one] => {
                outlined.kind = leaf(one).map(|(_, kind)| kind);
                if let Schema::Enum(definition) = one {
                    outlined.symbols.clone_from(&definition.symbols);
                }
            }
            _ if others.iter().all(|one| leaf(one).is_some()) => outlined.kind = Some(FieldKind::Union),
            _ => {}
        }
        found.push(outlined);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_fields_are_paths() {
        let schema = r#"{"type":"record","name":"R","fields":[
            {"name":"t","type":"long","doc":"when"}, {"name":"e","type":["null",{"type":"enum","name":"E","symbols":["A","B"]}]},
            {"name":"geo","type":["null",{"type":"record","name":"G","fields":[{"name":"city","type":"string"},{"name":"up","type":["null","G"]}]}]},
            {"name":"mixed","type":["int","string"]}, {"name":"tags","type":{"type":"array","items":"string"}}]}"#;
        let found = outline(schema).unwrap();
        let told: Vec<String> = found
            .iter()
            .filter(|one| one.path.matches('.').count() < 2)
            .map(|one| format!("{} {:?} {}", one.path, one.kind, one.nullable))
            .collect();
        assert_eq!(
            told,
            ["t Some(Long) false", "e Some(Enum) true", "geo.city Some(Str) true", "mixed Some(Union) false", "tags None false"]
        );
        assert_eq!((found[0].doc.as_deref(), &found[1].symbols[..]), (Some("when"), &["A".to_owned(), "B".to_owned()][..]));
        assert!(found.len() < 20, "a record that holds itself ends");
    }
}
