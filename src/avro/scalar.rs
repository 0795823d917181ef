//! The values that go in and out of records, and what a schema says about them.

use std::fmt;

/// One value, borrowed from the datum or (an enum's symbol) from the plan.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Scalar<'a> {
    /// Null, or a field of a nested record that is null.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// An int, a date (days since 1970-01-01) or a time-millis.
    Int(i32),
    /// A long, or a time or timestamp in the unit that its [`FieldKind`] says.
    Long(i64),
    /// A float.
    Float(f32),
    /// A double.
    Double(f64),
    /// A string, a uuid written as one, or an enum's symbol.
    Str(&'a str),
    /// Bytes or a fixed.
    Bytes(&'a [u8]),
    /// `unscaled` / 10^`scale`.
    Decimal {
        /// The digits as a whole number.
        unscaled: i128,
        /// How many of them are behind the point, as the schema says.
        scale: u32,
    },
}

impl Scalar<'_> {
    /// An event time of this kind, ms since 1970; `None`: it is no time that windows are made of.
    pub fn event_time(&self, kind: FieldKind) -> Option<i64> {
        match (kind, *self) {
            (FieldKind::TimestampMicros, Self::Long(micros)) => Some(micros.div_euclid(1_000)),
            (FieldKind::Long | FieldKind::TimestampMillis, Self::Long(millis)) => Some(millis),
            _ => None,
        }
    }

    /// Its type as messages name it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "int",
            Self::Long(_) => "long",
            Self::Float(_) => "float",
            Self::Double(_) => "double",
            Self::Str(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Decimal { .. } => "decimal",
        }
    }
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Long(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Double(value) => value.fmt(f),
            Self::Str(value) => f.write_str(value),
            Self::Bytes(value) => value.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Decimal { unscaled, scale: 0 } => unscaled.fmt(f),
            Self::Decimal { unscaled, scale: scale @ 1..=38 } => write_decimal(*unscaled, *scale, f),
            Self::Decimal { unscaled, scale } => write!(f, "{unscaled}e-{scale}"),
        }
    }
}

/// Of a scale up to 38, since 10^39 has no room in 128 bits.
fn write_decimal(unscaled: i128, scale: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = if unscaled < 0 { "-" } else { "" };
    let one = 10_u128.pow(scale);
    let (whole, fraction) = (unscaled.unsigned_abs() / one, unscaled.unsigned_abs() % one);
    write!(f, "{sign}{whole}.{fraction:0width$}", width = scale as usize)
}

/// What a field holds, apart from null.
///
/// The logical types are those of <https://avro.apache.org/docs/1.11.1/specification/#logical-types>; the units are theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Nothing but null.
    Null,
    /// [`Scalar::Bool`]
    Bool,
    /// [`Scalar::Int`]
    Int,
    /// [`Scalar::Long`]
    Long,
    /// [`Scalar::Float`]
    Float,
    /// [`Scalar::Double`]
    Double,
    /// [`Scalar::Str`]
    Str,
    /// [`Scalar::Bytes`]
    Bytes,
    /// [`Scalar::Bytes`], always this many.
    Fixed(usize),
    /// [`Scalar::Str`], one of the schema's symbols.
    Enum,
    /// [`Scalar::Str`]; a uuid on fixed is a [`FieldKind::Fixed`].
    Uuid,
    /// [`Scalar::Int`], days since 1970-01-01.
    Date,
    /// [`Scalar::Int`], milliseconds since midnight.
    TimeMillis,
    /// [`Scalar::Long`], microseconds since midnight.
    TimeMicros,
    /// [`Scalar::Long`], milliseconds since 1970-01-01T00:00:00Z.
    TimestampMillis,
    /// [`Scalar::Long`], microseconds since 1970-01-01T00:00:00Z.
    TimestampMicros,
    /// [`Scalar::Long`], nanoseconds since 1970-01-01T00:00:00Z.
    TimestampNanos,
    /// [`Scalar::Long`], milliseconds since 1970-01-01T00:00:00 in a time zone that the data doesn't say.
    LocalTimestampMillis,
    /// [`Scalar::Long`], microseconds since 1970-01-01T00:00:00 in a time zone that the data doesn't say.
    LocalTimestampMicros,
    /// [`Scalar::Long`], nanoseconds since 1970-01-01T00:00:00 in a time zone that the data doesn't say.
    LocalTimestampNanos,
    /// [`Scalar::Decimal`]
    Decimal {
        /// The most digits that the schema allows.
        precision: u32,
        /// How many of them are behind the point.
        scale: u32,
    },
    /// A union of several types besides null: any of their scalars.
    Union,
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Str => "string",
            Self::Bytes => "bytes",
            Self::Fixed(size) => return write!(f, "fixed({size})"),
            Self::Enum => "enum",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::TimeMillis => "time-millis",
            Self::TimeMicros => "time-micros",
            Self::TimestampMillis => "timestamp-millis",
            Self::TimestampMicros => "timestamp-micros",
            Self::TimestampNanos => "timestamp-nanos",
            Self::LocalTimestampMillis => "local-timestamp-millis",
            Self::LocalTimestampMicros => "local-timestamp-micros",
            Self::LocalTimestampNanos => "local-timestamp-nanos",
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision}, {scale})"),
            Self::Union => "union",
        })
    }
}

/// A field that a plan reads or an encoder writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name; of a nested field the dotted path.
    pub name: String,
    /// What it holds when it isn't null.
    pub kind: FieldKind,
    /// Whether it, or a record around it, may be null.
    pub nullable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_read_as_a_person_writes_them() {
        let text = |unscaled, scale| Scalar::Decimal { unscaled, scale }.to_string();
        assert_eq!(text(1_234, 2), "12.34");
        assert_eq!(text(-5, 3), "-0.005");
        assert_eq!(text(7, 0), "7");
        assert_eq!(text(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
        assert_eq!(text(7, u32::MAX), "7e-4294967295");
    }
}
