//! Defaults that a schema declares: <https://avro.apache.org/docs/1.11.1/specification/#schema-record>.

use apache_avro::Schema;
use apache_avro::schema::{RecordField, RecordSchema};
use serde_json::Value as Json;

use super::cursor::unscaled;
use super::scalar::Scalar;
use super::schema::{Leaf, PlanError, Types, field_index, leaf};

/// A value that stands in a schema, not in the data.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Str(Box<str>),
    Bytes(Box<[u8]>),
    Decimal { unscaled: i128, scale: u32 },
}

impl Constant {
    pub fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::Null => Scalar::Null,
            Self::Bool(value) => Scalar::Bool(*value),
            Self::Int(value) => Scalar::Int(*value),
            Self::Long(value) => Scalar::Long(*value),
            Self::Float(value) => Scalar::Float(*value),
            Self::Double(value) => Scalar::Double(*value),
            Self::Str(value) => Scalar::Str(value),
            Self::Bytes(value) => Scalar::Bytes(value),
            Self::Decimal { unscaled, scale } => Scalar::Decimal { unscaled: *unscaled, scale: *scale },
        }
    }

    fn of_leaf(leaf: &Leaf, json: &Json) -> Option<Self> {
        Some(match (leaf, json) {
            (Leaf::Null, Json::Null) => Self::Null,
            (Leaf::Bool, Json::Bool(value)) => Self::Bool(*value),
            (Leaf::Int, Json::Number(value)) => Self::Int(i32::try_from(value.as_i64()?).ok()?),
            (Leaf::Long, Json::Number(value)) => Self::Long(value.as_i64()?),
            (Leaf::Float, Json::Number(value)) => Self::Float(value.as_f64()? as f32),
            (Leaf::Double, Json::Number(value)) => Self::Double(value.as_f64()?),
            (Leaf::Str, Json::String(text)) => Self::Str(text.as_str().into()),
            (Leaf::Enum(symbols), Json::String(text)) => Self::Str(symbols.iter().find(|symbol| ***symbol == **text)?.clone()),
            (Leaf::Bytes, Json::String(text)) => Self::Bytes(bytes(text, None)?),
            (Leaf::Fixed(size), Json::String(text)) => Self::Bytes(bytes(text, Some(*size))?),
            (Leaf::Decimal { scale, size, .. }, Json::String(text)) => {
                Self::Decimal { unscaled: unscaled(&bytes(text, *size)?).ok()?, scale: *scale }
            }
            _ => return None,
        })
    }
}

/// Bytes in JSON: each character stands for the byte of its number.
fn bytes(text: &str, size: Option<usize>) -> Option<Box<[u8]>> {
    let bytes: Box<[u8]> = text.chars().map(|c| u8::try_from(c).ok()).collect::<Option<_>>()?;
    size.is_none_or(|size| bytes.len() == size).then_some(bytes)
}

/// What a record that lacks `field` has there, or below it at the end of a dotted path, and the type of that; none if there is no
/// default, or none that fits.
pub(super) fn default_of<'s>(
    types: &Types<'s>,
    field: &'s RecordField,
    path: Option<&str>,
) -> Result<Option<(Constant, &'s Schema)>, PlanError> {
    match &field.default {
        Some(default) => below(types, &field.schema, default, path),
        None => Ok(None),
    }
}

fn below<'s>(
    types: &Types<'s>,
    schema: &'s Schema,
    json: &'s Json,
    path: Option<&str>,
) -> Result<Option<(Constant, &'s Schema)>, PlanError> {
    let schema = types.resolve(schema)?;
    let Some(path) = path else { return Ok(constant(types, schema, json)?.map(|constant| (constant, schema))) };
    let (head, tail) = split_path(path);
    let Some(record) = record_in(types, schema)? else { return Ok(None) };
    let Some(field) = field_index(&record.fields, head).map(|index| &record.fields[index]) else { return Ok(None) };
    match json {
        // The record is null, and so is all that would be in it.
        Json::Null => Ok(below(types, &field.schema, json, tail)?.or(Some((Constant::Null, &field.schema)))),
        Json::Object(values) => match values.get(&field.name) {
            Some(value) => below(types, &field.schema, value, tail),
            None => default_of(types, field, tail),
        },
        _ => Ok(None),
    }
}

/// Of a union, the first branch that the value fits.
fn constant<'s>(types: &Types<'s>, schema: &'s Schema, json: &Json) -> Result<Option<Constant>, PlanError> {
    let branches = if let Schema::Union(union) = schema { union.variants() } else { std::slice::from_ref(schema) };
    for branch in branches {
        let found = leaf(types.resolve(branch)?).and_then(|(leaf, _)| Constant::of_leaf(&leaf, json));
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The first name of a dotted path, and the rest.
pub(super) fn split_path(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(head, tail)| (head, Some(tail)))
}

/// The record that a value of this type is, when it isn't null.
pub(super) fn record_in<'s>(types: &Types<'s>, schema: &'s Schema) -> Result<Option<&'s RecordSchema>, PlanError> {
    match types.resolve(schema)? {
        Schema::Record(record) => Ok(Some(record)),
        Schema::Union(union) => {
            for branch in union.variants() {
                if let Schema::Record(record) = types.resolve(branch)? {
                    return Ok(Some(record));
                }
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}
