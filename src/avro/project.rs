//! A reader's schema with nothing in it but the wanted fields, for a decoder that is not ours. Pure.

use apache_avro::Schema;
use apache_avro::schema::RecordField;
use serde_json::{Value as Json, json};

use super::scalar::FieldKind;
use super::schema::{self, PlanError, Types, describe, field_index, leaf};

/// The wanted fields of a record schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// The schema, JSON. Names, aliases and defaults are the source's; values of logical types are what they are made of, but for
    /// decimals.
    pub schema: Json,
    /// The fields of the record.
    pub fields: Vec<Projected>,
    /// Where each wanted field is: names from the outermost record inwards.
    pub paths: Vec<Vec<String>>,
}

/// A field of a [`Projection`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projected {
    /// Its name.
    pub name: String,
    /// Whether it may be null.
    pub nullable: bool,
    /// What it holds.
    pub content: Content,
}

/// What a field of a [`Projection`] holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A single value.
    Leaf(FieldKind),
    /// A record, of which these fields are wanted.
    Record(Vec<Projected>),
}

/// The reader's schema that has these fields (names, or dotted paths) of a record schema (JSON) and no others.
///
/// # Errors
/// A field is not there, or is not a value of one type.
pub fn project<F: AsRef<str>>(schema: &str, fields: &[F]) -> Result<Projection, PlanError> {
    let schema = schema::parse(schema)?;
    let types = Types::of(&schema);
    let wanted: Vec<Vec<&str>> = fields.iter().map(|field| field.as_ref().split('.').collect()).collect();
    let mut paths = vec![Vec::new(); wanted.len()];
    let wants: Vec<Want<'_>> = wanted.iter().enumerate().map(|(place, path)| Want { place, path, at: 0 }).collect();
    let (schema, fields) = record(&types, types.root(), &wants, &mut paths)?;
    let schema = named_once(schema, &mut Vec::new())?;
    Ok(Projection { schema, fields, paths })
}

/// A schema in which each named type is written out once, as Avro has it, and called by its name from then on. A record of which other
/// fields are wanted in another place would be two records of one name.
fn named_once(schema: Json, seen: &mut Vec<(String, Json)>) -> Result<Json, PlanError> {
    Ok(match schema {
        Json::Array(branches) => Json::Array(branches.into_iter().map(|one| named_once(one, seen)).collect::<Result<_, _>>()?),
        Json::Object(mut object) => {
            let name = object.get("name").and_then(Json::as_str).map(str::to_owned);
            let is_type = matches!(object.get("type").and_then(Json::as_str), Some("record" | "enum" | "fixed"));
            if let (Some(name), true) = (name, is_type) {
                let name = match object.get("namespace").and_then(Json::as_str) {
                    Some(namespace) => format!("{namespace}.{name}"),
                    None => name,
                };
                let whole = Json::Object(object.clone());
                match seen.iter().find(|(before, _)| *before == name) {
                    Some((_, before)) if *before == whole => return Ok(name.into()),
                    Some(_) => return Err(PlanError::TwoShapes(name)),
                    None => seen.push((name, whole)),
                }
                if let Some(Json::Array(fields)) = object.remove("fields") {
                    let fields = fields.into_iter().map(|one| named_once(one, seen)).collect::<Result<_, _>>()?;
                    object.insert("fields".into(), Json::Array(fields));
                }
            } else if let Some(kind) = object.remove("type") {
                object.insert("type".into(), named_once(kind, seen)?);
            }
            Json::Object(object)
        }
        plain => plain,
    })
}

/// A wanted field, as seen from a record on the way to it.
#[derive(Clone, Copy)]
struct Want<'p> {
    /// Its place in the order asked for.
    place: usize,
    path: &'p [&'p str],
    /// How many of its names are behind.
    at: usize,
}

type Record = (Json, Vec<Projected>);

fn record(types: &Types<'_>, schema: &Schema, wants: &[Want<'_>], paths: &mut [Vec<String>]) -> Result<Record, PlanError> {
    let Schema::Record(found) = schema else { return Err(PlanError::NotARecord(describe(schema))) };
    let mut chosen: Vec<(usize, Vec<Want<'_>>)> = Vec::new();
    for want in wants {
        let name = want.path[want.at];
        let index = field_index(&found.fields, name).ok_or_else(|| PlanError::Missing {
            field: want.path.join("."),
            record: found.name.fullname(None),
            fields: found.fields.iter().map(|field| field.name.clone()).collect(),
        })?;
        paths[want.place].push(found.fields[index].name.clone());
        let inner = Want { at: want.at + 1, ..*want };
        match chosen.iter_mut().find(|(before, _)| *before == index) {
            Some((_, wants)) => wants.push(inner),
            None => chosen.push((index, vec![inner])),
        }
    }
    let (mut columns, mut fields) = (Vec::new(), Vec::new());
    for (index, wants) in &chosen {
        let (column, field) = field(types, &found.fields[*index], wants, paths)?;
        columns.push(column);
        fields.push(field);
    }
    let mut schema = json!({ "type": "record", "name": found.name.name(), "fields": columns });
    if let Some(namespace) = found.name.namespace() {
        schema["namespace"] = namespace.into();
    }
    Ok((schema, fields))
}

fn field(
    types: &Types<'_>,
    field: &RecordField,
    wants: &[Want<'_>],
    paths: &mut [Vec<String>],
) -> Result<(Json, Projected), PlanError> {
    let whole = types.resolve(&field.schema)?;
    let mut branches = vec![whole];
    if let Schema::Union(union) = whole {
        branches = union.variants().iter().map(|branch| types.resolve(branch)).collect::<Result<_, _>>()?;
    }
    let first_is_null = matches!(branches.first(), Some(Schema::Null));
    let count = branches.len();
    branches.retain(|branch| !matches!(branch, Schema::Null));
    let nullable = branches.len() < count;
    let unsupported = |want: &Want<'_>| PlanError::Unsupported {
        field: want.path.join("."),
        found: describe(whole),
        nested: want.at < want.path.len(),
    };
    let [one] = branches[..] else { return Err(unsupported(&wants[0])) };
    let (kind, content) = if let Schema::Record(_) = one {
        if let Some(whole) = wants.iter().find(|want| want.at == want.path.len()) {
            return Err(unsupported(whole));
        }
        let (schema, fields) = record(types, one, wants, paths)?;
        (schema, Content::Record(fields))
    } else {
        let found = leaf(one).filter(|_| wants.iter().all(|want| want.at == want.path.len()));
        let (_, kind) = found.ok_or_else(|| unsupported(&wants[0]))?;
        (plain(one, kind)?, Content::Leaf(kind))
    };
    let kind = match (nullable, first_is_null) {
        (false, _) => kind,
        (true, true) => json!(["null", kind]),
        (true, false) => json!([kind, "null"]),
    };
    let mut column = json!({ "name": field.name, "type": kind });
    if !field.aliases.is_empty() {
        column["aliases"] = json!(field.aliases);
    }
    // The default of a record has fields that are not wanted, too: a decoder ignores them.
    if let Some(default) = &field.default {
        column["default"] = default.clone();
    }
    Ok((column, Projected { name: field.name.clone(), nullable, content }))
}

/// A single value's type without what a logical type would make of it; a decimal stays one.
fn plain(schema: &Schema, kind: FieldKind) -> Result<Json, PlanError> {
    use FieldKind::{
        Bool, Bytes, Date, Double, Float, Int, LocalTimestampMicros, LocalTimestampMillis, LocalTimestampNanos, Long, Str,
        TimeMicros, TimeMillis, TimestampMicros, TimestampMillis, TimestampNanos, Uuid,
    };
    Ok(match kind {
        Bool => json!("boolean"),
        Int | Date | TimeMillis => json!("int"),
        Long | TimeMicros | TimestampMillis | TimestampMicros | TimestampNanos | LocalTimestampMillis | LocalTimestampMicros
        | LocalTimestampNanos => json!("long"),
        Float => json!("float"),
        Double => json!("double"),
        Str | Uuid => json!("string"),
        Bytes => json!("bytes"),
        _ => serde_json::to_value(schema).map_err(|error| PlanError::Unparsable(error.to_string()))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLICK: &str = include_str!("../../config/clicks.avsc");

    #[test]
    fn only_what_is_wanted_is_left() {
        let found = project(CLICK, &["clicked_at", "kind", "page.section", "bytes", "page.campaign", "bytes"]).unwrap();
        assert_eq!(
            found.schema,
            json!({"type": "record", "name": "Click", "namespace": "org.example.web", "fields": [
                {"name": "clicked_at", "type": "long"},
                {"name": "kind", "type": {"type": "enum", "name": "Kind", "namespace": "org.example.web", "symbols": ["VIEW", "SEARCH", "CART", "BUY"]}},
                {"name": "page", "default": null, "type": ["null", {"type": "record", "name": "Page", "namespace": "org.example.web", "fields": [
                    {"name": "section", "type": "string"},
                    {"name": "campaign", "type": ["null", "string"], "default": null}]}]},
                {"name": "bytes", "type": ["null", "long"], "default": null}]})
        );
        assert_eq!((&found.paths[2], &found.paths[5]), (&vec!["page".to_owned(), "section".into()], &vec!["bytes".to_owned()]));
        schema::parse(&found.schema.to_string()).unwrap();
    }

    #[test]
    fn what_is_not_of_one_type_is_named() {
        for (field, words) in [
            ("visitor", "`visitor` is of type [null, long, string]"),
            ("page", "`page` is of type [null, record org.example.web.Page]"),
            ("kind.x", "`kind.x` is of type enum, which has no fields"),
            ("page.nothing", "org.example.web.Page has no field `page.nothing`"),
        ] {
            let error = project(CLICK, &[field]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_type_that_is_used_twice_is_written_once() {
        let schema = r#"{"type":"record","name":"Order","namespace":"n","fields":[
            {"name":"billing","type":{"type":"record","name":"Address","fields":[
                {"name":"country","type":{"type":"enum","name":"Country","symbols":["A","B"]}}, {"name":"city","type":"string"}]}},
            {"name":"shipping","type":["null","Address"]},
            {"name":"origin","type":"Country"}]}"#;
        let found = project(schema, &["billing.country", "shipping.country", "origin"]).unwrap();
        assert_eq!(found.schema["fields"][1]["type"], json!(["null", "n.Address"]));
        assert_eq!(found.schema["fields"][2]["type"], json!("n.Country"));
        schema::parse(&found.schema.to_string()).unwrap();
        let two_shapes = project(schema, &["billing.country", "shipping.city"]).unwrap_err().to_string();
        assert!(two_shapes.contains("n.Address"), "{two_shapes}");
    }

    #[test]
    fn a_name_may_be_an_alias_and_a_decimal_stays_one() {
        let schema = r#"{"type":"record","name":"R","fields":[
            {"name":"amount","aliases":["value"],"type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}"#;
        let found = project(schema, &["value"]).unwrap();
        assert_eq!(found.paths, [["amount"]]);
        let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2});
        assert_eq!(found.schema["fields"][0], json!({"name": "amount", "aliases": ["value"], "type": decimal}));
    }
}
