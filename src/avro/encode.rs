//! Avro's binary encoding, written into buffers that are used again:
//! <https://avro.apache.org/docs/1.11.1/specification/#binary-encoding>.

use std::ops::Range;

use apache_avro::Schema;
use apache_avro::schema::RecordSchema;
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
    #[error("field `{field}` is {}{expected}, not {found}", if *.nullable && *.expected != FieldKind::Null { "null or " } else { "" })]
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

/// Writes records of one schema, given as their single values.
#[derive(Debug)]
pub struct Encoder {
    steps: Box<[Step]>,
    fields: Box<[Field]>,
    optional: Box<[Optional]>,
}

/// A nested record that may be null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Optional {
    /// Its dotted path.
    pub path: String,
    /// Which of [`Encoder::fields`] are in it.
    pub fields: Range<usize>,
}

/// What comes next in the datum. The fields of nested records are steps like those of the record itself.
#[derive(Debug)]
enum Step {
    /// A value.
    Value(Leaf),
    /// A value in a union; a branch that is no single value is never chosen.
    Union(Box<[Option<Leaf>]>),
    /// A record in a union with null, by the branches of both: the next `steps` steps are its own.
    Enter { null: usize, record: usize, fields: Range<usize>, steps: usize },
}

/// Why a value isn't written; [`Encoder`] adds the field's name.
enum Refusal {
    Mismatch,
    Overflow,
    Symbol,
}

impl Encoder {
    /// Compiles the encoder for a schema (JSON): a record of single values (primitives, enums, fixed, the logical types on those),
    /// unions that have one among their branches, and records of the same, which may be nullable.
    ///
    /// A nullable record within itself is always null.
    pub fn compile(writer_schema: &str) -> Result<Self, PlanError> {
        let schema = schema::parse(writer_schema)?;
        let types = Types::of(&schema);
        let mut compiler =
            Compiler { types: &types, within: Vec::new(), steps: Vec::new(), fields: Vec::new(), optional: Vec::new() };
        compiler.record(types.root_record()?, "", false)?;
        Ok(Self { steps: compiler.steps.into(), fields: compiler.fields.into(), optional: compiler.optional.into() })
    }

    /// The single values of the record, nested ones by their dotted paths, in the order that they are given in.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The nested records that may be null, outer ones before those within them.
    pub fn optional(&self) -> &[Optional] {
        &self.optional
    }

    /// Whether a field takes this value, beside values in all other fields.
    pub fn takes(&self, field: usize, value: &Scalar<'_>) -> bool {
        let values = self.steps.iter().filter(|step| !matches!(step, Step::Enter { .. }));
        values.into_iter().nth(field).is_some_and(|step| step.write(value, &mut Vec::new()).is_ok())
    }

    /// Appends a record's datum (without the wire header): one value for each field, in the schema's order.
    ///
    /// An int is also taken where the schema wants a long, a float or a double, a long where it wants an int that it fits,
    /// a float or a double, and a float where it wants a double. In a union the value goes to the first branch of its own type, else to
    /// the first that takes it. A nullable record is null if all its values are. After an error `out` is as it was.
    pub fn encode(&self, values: &[Scalar<'_>], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if values.len() != self.fields.len() {
            return Err(EncodeError::Count { expected: self.fields.len(), found: values.len() });
        }
        let start = out.len();
        let (mut steps, mut at) = (self.steps.iter(), 0);
        while let Some(step) = steps.next() {
            if let Step::Enter { null, record, fields, steps: inside } = step {
                let is_null = values[fields.clone()].iter().all(|value| *value == Scalar::Null);
                branch(if is_null { *null } else { *record }, out);
                if is_null {
                    at = fields.end;
                    steps = steps.as_slice()[*inside..].iter();
                }
                continue;
            }
            if let Err(refusal) = step.write(&values[at], out) {
                out.truncate(start);
                return Err(refusal.of(&self.fields[at], step, &values[at]));
            }
            at += 1;
        }
        Ok(())
    }
}

struct Compiler<'t, 's> {
    types: &'t Types<'s>,
    /// The records around the one that is compiled, and itself.
    within: Vec<&'s RecordSchema>,
    steps: Vec<Step>,
    fields: Vec<Field>,
    optional: Vec<Optional>,
}

impl<'s> Compiler<'_, 's> {
    /// `nullable`: a record around it may be null.
    fn record(&mut self, record: &'s RecordSchema, path: &str, nullable: bool) -> Result<(), PlanError> {
        self.within.push(record);
        for field in &record.fields {
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            self.field(self.types.resolve(&field.schema)?, path, nullable)?;
        }
        self.within.pop();
        Ok(())
    }

    fn field(&mut self, schema: &'s Schema, path: String, nullable: bool) -> Result<(), PlanError> {
        let Schema::Union(union) = schema else {
            return match schema {
                Schema::Record(record) if !self.is_within(record) => self.record(record, &path, nullable),
                _ => {
                    let (leaf, kind) = leaf(schema).ok_or_else(|| unsupported(&path, schema))?;
                    self.value(Field { name: path, kind, nullable: nullable || kind == FieldKind::Null }, Step::Value(leaf));
                    Ok(())
                }
            };
        };
        let branches = union.variants().iter().map(|branch| self.types.resolve(branch)).collect::<Result<Vec<_>, _>>()?;
        match branches[..] {
            [Schema::Null, Schema::Record(record)] if !self.is_within(record) => self.optional(record, &path, [0, 1]),
            [Schema::Record(record), Schema::Null] if !self.is_within(record) => self.optional(record, &path, [1, 0]),
            _ => self.union(&branches, schema, path, nullable),
        }
    }

    /// `branches`: of null and of the record.
    fn optional(&mut self, inner: &'s RecordSchema, path: &str, branches: [usize; 2]) -> Result<(), PlanError> {
        let (place, first, number) = (self.steps.len(), self.fields.len(), self.optional.len());
        self.steps.push(Step::Enter { null: branches[0], record: branches[1], fields: first..first, steps: 0 });
        self.optional.push(Optional { path: path.to_owned(), fields: first..first });
        self.record(inner, path, true)?;
        let all = first..self.fields.len();
        self.optional[number].fields = all.clone();
        self.steps[place] =
            Step::Enter { null: branches[0], record: branches[1], fields: all, steps: self.steps.len() - place - 1 };
        Ok(())
    }

    fn union(&mut self, branches: &[&'s Schema], whole: &Schema, path: String, nullable: bool) -> Result<(), PlanError> {
        let (leaves, kinds): (Vec<_>, Vec<_>) = branches.iter().map(|branch| leaf(branch).unzip()).unzip();
        let kind = match kinds.iter().flatten().filter(|kind| **kind != FieldKind::Null).collect::<Vec<_>>()[..] {
            [] if !kinds.contains(&Some(FieldKind::Null)) => return Err(unsupported(&path, whole)),
            [] => FieldKind::Null,
            [kind] => *kind,
            _ => FieldKind::Union,
        };
        let nullable = nullable || kinds.contains(&Some(FieldKind::Null));
        self.value(Field { name: path, kind, nullable }, Step::Union(leaves.into()));
        Ok(())
    }

    fn value(&mut self, field: Field, step: Step) {
        self.fields.push(field);
        self.steps.push(step);
    }

    fn is_within(&self, record: &RecordSchema) -> bool {
        self.within.iter().any(|outer| outer.name == record.name)
    }
}

fn unsupported(field: &str, schema: &Schema) -> PlanError {
    PlanError::Unsupported { field: field.to_owned(), found: describe(schema), nested: false }
}

impl Step {
    fn write(&self, value: &Scalar<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match self {
            Self::Value(leaf) => leaf.write(value, out),
            Self::Union(branches) => write_union(branches, value, out),
            // It is no value.
            Self::Enter { .. } => Err(Refusal::Mismatch),
        }
    }

    fn takes_null(&self) -> bool {
        match self {
            Self::Value(leaf) => matches!(leaf, Leaf::Null),
            Self::Union(branches) => branches.iter().flatten().any(|leaf| matches!(leaf, Leaf::Null)),
            Self::Enter { .. } => true,
        }
    }
}

/// If no branch takes the value, the last one of its type tells why.
fn write_union(branches: &[Option<Leaf>], value: &Scalar<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let start = out.len();
    let all = || branches.iter().enumerate().filter_map(|(index, leaf)| Some((index, leaf.as_ref()?)));
    let own = all().filter(|(_, leaf)| leaf.is_of(value));
    let mut refusal = Refusal::Mismatch;
    for (index, leaf) in own.chain(all().filter(|(_, leaf)| !leaf.is_of(value))) {
        branch(index, out);
        match leaf.write(value, out) {
            Ok(()) => return Ok(()),
            Err(Refusal::Mismatch) => {}
            Err(other) => refusal = other,
        }
        out.truncate(start);
    }
    Err(refusal)
}

impl Leaf {
    /// Whether values of this type are written here without being widened or narrowed.
    fn is_of(&self, value: &Scalar<'_>) -> bool {
        matches!(
            (self, value),
            (Self::Null, Scalar::Null)
                | (Self::Bool, Scalar::Bool(_))
                | (Self::Int, Scalar::Int(_))
                | (Self::Long, Scalar::Long(_))
                | (Self::Float, Scalar::Float(_))
                | (Self::Double, Scalar::Double(_))
                | (Self::Str | Self::Enum(_), Scalar::Str(_))
                | (Self::Bytes | Self::Fixed(_), Scalar::Bytes(_))
                | (Self::Decimal { .. }, Scalar::Decimal { .. })
        )
    }

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
    fn of(self, field: &Field, step: &Step, value: &Scalar<'_>) -> EncodeError {
        let (name, expected) = (field.name.clone(), field.kind);
        match (self, value) {
            (Self::Symbol, Scalar::Str(symbol)) => EncodeError::Symbol { field: name, symbol: (*symbol).to_owned() },
            (Self::Overflow, _) => EncodeError::Overflow { field: name, expected, value: value.to_string() },
            _ => EncodeError::Mismatch { field: name, expected, nullable: step.takes_null(), found: value.type_name() },
        }
    }
}

#[cfg(test)]
mod tests;
