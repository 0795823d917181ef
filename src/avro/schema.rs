//! What plans and encoders ask of a schema.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{Aliases, DecimalSchema, FixedSchema, InnerDecimalSchema, Name, RecordField, RecordSchema, UuidSchema};
use thiserror::Error;

use super::scalar::FieldKind;

/// Why a schema cannot be worked with as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The text is not an Avro schema.
    #[error("not an Avro schema: {0}")]
    Unparsable(String),
    /// The schema is of this type, not of a record.
    #[error("the schema is of type {0}, not of a record")]
    NotARecord(String),
    /// A field is not there.
    #[error("{record} has no field `{field}`; its fields are {}", .fields.join(", "))]
    Missing {
        /// The field as asked for: a dotted path where it is nested.
        field: String,
        /// The full name of the record that should have it.
        record: String,
        /// The fields which that record has.
        fields: Vec<String>,
    },
    /// A schema of the wanted fields alone would have two types of one name.
    #[error("different fields are wanted of type {0} in two places")]
    TwoShapes(String),
    /// A field is there, but of a type that is not one value, or a path goes on behind one value.
    #[error("field `{field}` is of type {found}, which {}", if *.nested { "has no fields" } else { "is not a single value" })]
    Unsupported {
        /// The field as asked for.
        field: String,
        /// Its type.
        found: String,
        /// Whether the path goes on behind it.
        nested: bool,
    },
}

/// How a value lies in the datum.
#[derive(Debug)]
pub(super) enum Leaf {
    Null,
    Bool,
    Int,
    Long,
    Float,
    Double,
    Str,
    Bytes,
    Fixed(usize),
    Enum(Box<[Box<str>]>),
    /// In a fixed of `size` bytes, or in bytes.
    Decimal {
        precision: u32,
        scale: u32,
        size: Option<usize>,
    },
}

/// A schema and the named types in it.
pub(super) struct Types<'s> {
    root: &'s Schema,
    named: HashMap<String, &'s Schema>,
}

/// Parses a schema; the error is apache-avro's.
pub(super) fn parse(json: &str) -> Result<Schema, PlanError> {
    Schema::parse_str(json).map_err(|error| PlanError::Unparsable(error.to_string()))
}

impl<'s> Types<'s> {
    pub fn of(root: &'s Schema) -> Self {
        let mut types = Self { root, named: HashMap::new() };
        types.collect(root);
        types
    }

    fn collect(&mut self, schema: &'s Schema) {
        if let Some((name, aliases)) = definition(schema) {
            let aliases = aliases.iter().flatten().map(|alias| alias.fullname(None));
            self.named.extend(aliases.map(|alias| (alias, schema)));
            self.named.insert(name.fullname(None), schema);
        }
        match schema {
            Schema::Array(array) => self.collect(&array.items),
            Schema::Map(map) => self.collect(&map.types),
            Schema::Union(union) => union.variants().iter().for_each(|branch| self.collect(branch)),
            Schema::Record(record) => record.fields.iter().for_each(|field| self.collect(&field.schema)),
            _ => {}
        }
    }

    /// The definition behind a reference; every other schema as it is.
    pub fn resolve(&self, schema: &'s Schema) -> Result<&'s Schema, PlanError> {
        let Schema::Ref { name } = schema else { return Ok(schema) };
        let name = name.fullname(None);
        self.named
            .get(&name)
            .copied()
            .ok_or_else(|| PlanError::Unparsable(format!("it names a type `{name}` that it doesn't define")))
    }

    pub fn root(&self) -> &'s Schema {
        self.root
    }

    pub fn root_record(&self) -> Result<&'s RecordSchema, PlanError> {
        match self.root {
            Schema::Record(record) => Ok(record),
            other => Err(PlanError::NotARecord(describe(other))),
        }
    }
}

fn definition(schema: &Schema) -> Option<(&Name, &Aliases)> {
    match schema {
        Schema::Record(RecordSchema { name, aliases, .. }) => Some((name, aliases)),
        Schema::Enum(symbols) => Some((&symbols.name, &symbols.aliases)),
        Schema::Fixed(fixed)
        | Schema::Duration(fixed)
        | Schema::Uuid(UuidSchema::Fixed(fixed))
        | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => Some((&fixed.name, &fixed.aliases)),
        _ => None,
    }
}

/// The field that has this name, or has it among its aliases. (The parser sees to it that a name goes before an alias.)
pub(super) fn field_index(fields: &[RecordField], name: &str) -> Option<usize> {
    fields.iter().position(|field| field.name == name || field.aliases.iter().any(|alias| alias == name))
}

/// How one value of this type lies in the datum and what it is; none if it isn't one value.
pub(super) fn leaf(schema: &Schema) -> Option<(Leaf, FieldKind)> {
    Some(match schema {
        Schema::Null => (Leaf::Null, FieldKind::Null),
        Schema::Boolean => (Leaf::Bool, FieldKind::Bool),
        Schema::Int => (Leaf::Int, FieldKind::Int),
        Schema::Date => (Leaf::Int, FieldKind::Date),
        Schema::TimeMillis => (Leaf::Int, FieldKind::TimeMillis),
        Schema::Long => (Leaf::Long, FieldKind::Long),
        Schema::TimeMicros => (Leaf::Long, FieldKind::TimeMicros),
        Schema::TimestampMillis => (Leaf::Long, FieldKind::TimestampMillis),
        Schema::TimestampMicros => (Leaf::Long, FieldKind::TimestampMicros),
        Schema::TimestampNanos => (Leaf::Long, FieldKind::TimestampNanos),
        Schema::LocalTimestampMillis => (Leaf::Long, FieldKind::LocalTimestampMillis),
        Schema::LocalTimestampMicros => (Leaf::Long, FieldKind::LocalTimestampMicros),
        Schema::LocalTimestampNanos => (Leaf::Long, FieldKind::LocalTimestampNanos),
        Schema::Float => (Leaf::Float, FieldKind::Float),
        Schema::Double => (Leaf::Double, FieldKind::Double),
        Schema::String => (Leaf::Str, FieldKind::Str),
        Schema::Uuid(UuidSchema::String) => (Leaf::Str, FieldKind::Uuid),
        Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => (Leaf::Bytes, FieldKind::Bytes),
        Schema::Fixed(FixedSchema { size, .. })
        | Schema::Duration(FixedSchema { size, .. })
        | Schema::Uuid(UuidSchema::Fixed(FixedSchema { size, .. })) => (Leaf::Fixed(*size), FieldKind::Fixed(*size)),
        Schema::Enum(definition) => {
            (Leaf::Enum(definition.symbols.iter().map(|symbol| symbol.as_str().into()).collect()), FieldKind::Enum)
        }
        Schema::Decimal(decimal) => decimal_leaf(decimal),
        Schema::Array(_) | Schema::Map(_) | Schema::Union(_) | Schema::Record(_) | Schema::Ref { .. } => return None,
    })
}

fn decimal_leaf(decimal: &DecimalSchema) -> (Leaf, FieldKind) {
    let precision = u32::try_from(decimal.precision).unwrap_or(u32::MAX);
    let scale = u32::try_from(decimal.scale).unwrap_or(u32::MAX);
    let size = match &decimal.inner {
        InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
        InnerDecimalSchema::Bytes => None,
    };
    (Leaf::Decimal { precision, scale, size }, FieldKind::Decimal { precision, scale })
}

/// A type's name, for messages.
pub(super) fn describe(schema: &Schema) -> String {
    match schema {
        Schema::Record(record) => format!("record {}", record.name.fullname(None)),
        Schema::Array(_) => "array".into(),
        Schema::Map(_) => "map".into(),
        Schema::Union(union) => format!("[{}]", union.variants().iter().map(describe).collect::<Vec<_>>().join(", ")),
        Schema::Ref { name } => name.fullname(None),
        other => leaf(other).map_or_else(String::new, |(_, kind)| kind.to_string()),
    }
}
