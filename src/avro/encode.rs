//! Avro's binary encoding, written into buffers that are used again:
//! <https://avro.apache.org/docs/1.11.1/specification/#binary-encoding>.

use apache_avro::Schema;
use thiserror::Error;

use super::scalar::{Field, FieldKind, Scalar};
use super::schema::{self, Leaf, PlanError, Types, describe, leaf};

/// Appends an int or a long: both are the same bytes.
#[inline]
pub fn long(value: i64, out: &mut Vec<u8>) {
    let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

/// Appends the index of a union's branch; the value goes after it.
#[inline]
pub fn branch(index: usize, out: &mut Vec<u8>) {
    length(index, out);
}

/// Appends a boolean.
#[inline]
pub fn boolean(value: bool, out: &mut Vec<u8>) {
    out.push(u8::from(value));
}

/// Appends a float.
#[inline]
pub fn float(value: f32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a double.
#[inline]
pub fn double(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends bytes with their length in front.
#[inline]
pub fn bytes(value: &[u8], out: &mut Vec<u8>) {
    length(value.len(), out);
    out.extend_from_slice(value);
}

/// Appends a string.
#[inline]
pub fn string(value: &str, out: &mut Vec<u8>) {
    bytes(value.as_bytes(), out);
}

/// Nothing in memory is longer than `i64::MAX`, so no length is cut.
fn length(value: usize, out: &mut Vec<u8>) {
    long(i64::try_from(value).unwrap_or(i64::MAX), out);
}

/// Why values do not make a record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// Not as many values as the record has fields.
    #[error("the record has {expected} fields, not {found}")]
    Count {
        /// The record's fields.
        expected: usize,
        /// The values given.
        found: usize,
    },
    /// A value of a type that the field doesn't take.
    #[error("field `{field}` is {}{expected}, not {found}", if *.nullable { "null or " } else { "" })]
    Mismatch {
        /// The field.
        field: String,
        /// What it holds.
        expected: FieldKind,
        /// Whether it may be null.
        nullable: bool,
        /// The type of the value.
        found: &'static str,
    },
    /// A number that doesn't fit the field.
    #[error("{value} does not fit field `{field}`, which is {expected}")]
    Overflow {
        /// The field.
        field: String,
        /// What it holds.
        expected: FieldKind,
        /// The number.
        value: String,
    },
    /// A symbol that the enum doesn't have.
    #[error("`{symbol}` is not a symbol of field `{field}`")]
    Symbol {
        /// The field.
        field: String,
        /// The symbol.
        symbol: String,
    },
}

/// Writes records of one schema whose fields are all single values.
#[derive(Debug)]
pub struct Encoder {
    fields: Box<[Field]>,
    shapes: Box<[Shape]>,
}

/// How a field lies in the datum.
#[derive(Debug)]
struct Shape {
    leaf: Leaf,
    /// In a union with null: the index of null's branch, and of the value's.
    branches: Option<(usize, usize)>,
}

/// Why a value isn't written; [`Encoder`] adds the field's name.
enum Refusal {
    Mismatch,
    Overflow,
    Symbol,
}

impl Encoder {
    /// Compiles the encoder for a schema (JSON): a record of primitives, enums, fixed, the logical types on those, and
    /// unions of one of them with null.
    pub fn compile(writer_schema: &str) -> Result<Self, PlanError> {
        let schema = schema::parse(writer_schema)?;
        let types = Types::of(&schema);
        let record = types.root_record()?;
        let compiled = record.fields.iter().map(|field| compile_field(&types, &field.name, &field.schema));
        let (fields, shapes): (Vec<_>, Vec<_>) = compiled.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        Ok(Self { fields: fields.into(), shapes: shapes.into() })
    }

    /// The record's fields, in the order that their values are given in.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Appends a record's datum (without the wire header): one value for each field, in the schema's order.
    ///
    /// An int is also taken where the schema wants a long, a float or a double, a long where it wants an int that it fits,
    /// a float or a double, and a float where it wants a double. After an error `out` is as it was.
    pub fn encode(&self, values: &[Scalar<'_>], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if values.len() != self.fields.len() {
            return Err(EncodeError::Count { expected: self.fields.len(), found: values.len() });
        }
        let start = out.len();
        for ((field, shape), value) in self.fields.iter().zip(&self.shapes).zip(values) {
            if let Err(refusal) = shape.write(value, out) {
                out.truncate(start);
                return Err(refusal.of(field, value));
            }
        }
        Ok(())
    }
}

fn compile_field<'s>(types: &Types<'s>, name: &str, schema: &'s Schema) -> Result<(Field, Shape), PlanError> {
    let unsupported = || PlanError::Unsupported { field: name.to_owned(), found: describe(schema), nested: false };
    let (value, branches) = match types.resolve(schema)? {
        Schema::Union(union) => match union.variants() {
            [Schema::Null, value] => (types.resolve(value)?, Some((0, 1))),
            [value, Schema::Null] => (types.resolve(value)?, Some((1, 0))),
            _ => return Err(unsupported()),
        },
        value => (value, None),
    };
    let (leaf, kind) = leaf(value).ok_or_else(unsupported)?;
    let nullable = branches.is_some() || kind == FieldKind::Null;
    Ok((Field { name: name.to_owned(), kind, nullable }, Shape { leaf, branches }))
}

impl Shape {
    fn write(&self, value: &Scalar<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match (self.branches, value) {
            (Some((null, _)), Scalar::Null) => {
                branch(null, out);
                return Ok(());
            }
            (Some((_, some)), _) => branch(some, out),
            (None, _) => {}
        }
        self.leaf.write(value, out)
    }
}

impl Leaf {
    fn write(&self, value: &Scalar<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match (self, *value) {
            (Self::Null, Scalar::Null) => {}
            (Self::Bool, Scalar::Bool(value)) => boolean(value, out),
            (Self::Int | Self::Long, Scalar::Int(value)) => long(value.into(), out),
            (Self::Int, Scalar::Long(value)) => long(i32::try_from(value).map_err(|_| Refusal::Overflow)?.into(), out),
            (Self::Long, Scalar::Long(value)) => long(value, out),
            (Self::Float, Scalar::Int(value)) => float(value as f32, out),
            (Self::Float, Scalar::Long(value)) => float(value as f32, out),
            (Self::Float, Scalar::Float(value)) => float(value, out),
            (Self::Double, Scalar::Int(value)) => double(value.into(), out),
            (Self::Double, Scalar::Long(value)) => double(value as f64, out),
            (Self::Double, Scalar::Float(value)) => double(value.into(), out),
            (Self::Double, Scalar::Double(value)) => double(value, out),
            (Self::Str, Scalar::Str(value)) => string(value, out),
            (Self::Bytes, Scalar::Bytes(value)) => bytes(value, out),
            (Self::Fixed(size), Scalar::Bytes(value)) if value.len() == *size => out.extend_from_slice(value),
            (Self::Enum(symbols), Scalar::Str(value)) => {
                branch(symbols.iter().position(|symbol| **symbol == *value).ok_or(Refusal::Symbol)?, out);
            }
            (Self::Decimal { precision, scale, size }, Scalar::Decimal { unscaled, scale: given }) if given == *scale => {
                decimal(unscaled, *precision, *size, out)?;
            }
            _ => return Err(Refusal::Mismatch),
        }
        Ok(())
    }
}

/// Two's complement, big-endian: in bytes as few as hold it (as Java's `BigInteger` writes it), in a fixed as wide as that is.
fn decimal(unscaled: i128, precision: u32, size: Option<usize>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if 10_u128.checked_pow(precision).is_some_and(|limit| unscaled.unsigned_abs() >= limit) {
        return Err(Refusal::Overflow);
    }
    let wide = unscaled.to_be_bytes();
    let sign_bits = if unscaled < 0 { unscaled.leading_ones() } else { unscaled.leading_zeros() };
    let digits = &wide[(sign_bits as usize - 1) / 8..];
    match size {
        None => bytes(digits, out),
        Some(size) => {
            let padding = size.checked_sub(digits.len()).ok_or(Refusal::Overflow)?;
            out.resize(out.len() + padding, if unscaled < 0 { 0xff } else { 0 });
            out.extend_from_slice(digits);
        }
    }
    Ok(())
}

impl Refusal {
    fn of(self, field: &Field, value: &Scalar<'_>) -> EncodeError {
        let (name, expected) = (field.name.clone(), field.kind);
        match (self, value) {
            (Self::Symbol, Scalar::Str(symbol)) => EncodeError::Symbol { field: name, symbol: (*symbol).to_owned() },
            (Self::Overflow, _) => EncodeError::Overflow { field: name, expected, value: value.to_string() },
            _ => EncodeError::Mismatch { field: name, expected, nullable: field.nullable, found: value.type_name() },
        }
    }
}

#[cfg(test)]
mod tests;
