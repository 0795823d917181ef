//! An Avro schema -> the columns of a datasource. Pure.

use apache_avro::Schema;
use apache_avro::schema::{NamesRef, RecordField, RecordSchema, ResolvedSchema, UuidSchema};
use serde::Serialize;

use crate::error::{Error, Kind, Result};

/// The column that Druid keeps the time in; no other may have the name.
const TIME_COLUMN: &str = "__time";

/// What a datasource holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// How the time field counts.
    pub time_format: TimeFormat,
    /// The other columns, in the schema's order.
    pub dimensions: Vec<Dimension>,
    /// Fields that cannot become a column, and why.
    pub left_out: Vec<LeftOut>,
}

/// How a number is read as a time; the names are Druid's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeFormat {
    /// Milliseconds since 1970.
    Millis,
    /// Microseconds since 1970.
    Micro,
    /// Nanoseconds since 1970.
    Nano,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dimension {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Its name, which is the field's.
    pub name: String,
}

/// The types that Druid stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Text; what charts are split by.
    String,
    /// A whole number of 64 bits.
    Long,
    /// A number of 32 bits.
    Float,
    /// A number of 64 bits.
    Double,
}

/// A field that is not ingested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The field.
    pub field: String,
    /// Why there is no column for it.
    pub why: &'static str,
}

/// The columns for a subject's schema, with `time` as the field that becomes `__time`.
pub fn columns(subject: &str, schema: &str, time: &str) -> Result<Columns> {
    let unfit = |what: String| Error::new(Kind::Data, format!("the schema of subject `{subject}` {what}"));
    let schema = Schema::parse_str(schema).map_err(|error| unfit(format!("is not an Avro schema: {error}")))?;
    let resolved = ResolvedSchema::new(&schema).map_err(|error| unfit(format!("refers to a type it does not have: {error}")))?;
    let Schema::Record(record) = &schema else { return Err(unfit("is not a record".into())) };
    let types = Types { named: resolved.get_names() };
    let time_format = time_format(&types, record, time).map_err(unfit)?;
    let (mut dimensions, mut left_out) = (Vec::new(), Vec::new());
    for field in record.fields.iter().filter(|field| field.name != time) {
        match types.column(field) {
            Ok(kind) => dimensions.push(Dimension { kind, name: field.name.clone() }),
            Err(why) => left_out.push(LeftOut { field: field.name.clone(), why }),
        }
    }
    Ok(Columns { time_format, dimensions, left_out })
}

fn time_format(types: &Types<'_>, record: &RecordSchema, time: &str) -> Result<TimeFormat, String> {
    let names = || record.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
    let field =
        record.fields.iter().find(|field| field.name == time).ok_or_else(|| {
            format!("has no field `{time}`, which the pipeline file says is the time; its fields are {}", names())
        })?;
    match types.plain(&field.schema) {
        Some(Schema::Long | Schema::TimestampMillis | Schema::LocalTimestampMillis) => Ok(TimeFormat::Millis),
        Some(Schema::TimestampMicros | Schema::LocalTimestampMicros) => Ok(TimeFormat::Micro),
        Some(Schema::TimestampNanos | Schema::LocalTimestampNanos) => Ok(TimeFormat::Nano),
        _ => Err(format!("has a field `{time}`, but it is no long or timestamp, so it cannot be the time")),
    }
}

/// A schema's named types, by which it may refer to itself.
struct Types<'a> {
    named: &'a NamesRef<'a>,
}

impl<'a> Types<'a> {
    /// The schema itself, where it is a reference or "this or null"; `None` for a union of more.
    fn plain(&self, schema: &'a Schema) -> Option<&'a Schema> {
        match schema {
            Schema::Ref { name } => self.named.get(name).copied(),
            Schema::Union(union) => {
                let mut others = union.variants().iter().filter(|variant| !matches!(variant, Schema::Null));
                match (others.next(), others.next()) {
                    (Some(only), None) => self.plain(only),
                    _ => None,
                }
            }
            other => Some(other),
        }
    }

    fn column(&self, field: &'a RecordField) -> Result<ColumnType, &'static str> {
        if field.name == TIME_COLUMN {
            return Err("Druid keeps the name for the time");
        }
        let plain = self.plain(&field.schema).ok_or("a union of several types")?;
        column_type(plain)
    }
}

/// What Druid stores a value as. A boolean becomes the text `true` or `false`: Druid has no type for it, and every release takes it so.
fn column_type(schema: &Schema) -> Result<ColumnType, &'static str> {
    match schema {
        Schema::String | Schema::Enum(_) | Schema::Boolean | Schema::Uuid(UuidSchema::String) => Ok(ColumnType::String),
        Schema::Int
        | Schema::Long
        | Schema::Date
        | Schema::TimeMillis
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => Ok(ColumnType::Long),
        Schema::Float => Ok(ColumnType::Float),
        Schema::Double => Ok(ColumnType::Double),
        Schema::Record(_) => Err("a record within the record"),
        Schema::Array(_) | Schema::Map(_) => Err("an array or map"),
        Schema::Decimal(_) | Schema::BigDecimal => Err("a decimal, which Druid would read as bytes"),
        Schema::Null => Err("always null"),
        _ => Err("bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &str, time: &str) -> Result<Columns> {
        columns("S-value", &format!(r#"{{"type":"record","name":"S","fields":[{fields}]}}"#), time)
    }

    fn types(columns: &Columns) -> Vec<(&str, ColumnType)> {
        columns.dimensions.iter().map(|dimension| (dimension.name.as_str(), dimension.kind)).collect()
    }

    #[test]
    fn each_type_gets_its_column() {
        use ColumnType::*;
        let found = of(
            r#"{"name":"t","type":"long"}, {"name":"s","type":"string"},
               {"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}}, {"name":"e2","type":["null","E"]},
               {"name":"i","type":"int"}, {"name":"l","type":["null","long"]}, {"name":"f","type":"float"},
               {"name":"d","type":["double","null"]}, {"name":"b","type":"boolean"},
               {"name":"u","type":{"type":"string","logicalType":"uuid"}}, {"name":"day","type":{"type":"int","logicalType":"date"}},
               {"name":"ts","type":["null",{"type":"long","logicalType":"timestamp-millis"}]}"#,
            "t",
        )
        .unwrap();
        assert_eq!(
            types(&found),
            [
                ("s", String),
                ("e", String),
                ("e2", String),
                ("i", Long),
                ("l", Long),
                ("f", Float),
                ("d", Double),
                ("b", String),
                ("u", String),
                ("day", Long),
                ("ts", Long)
            ]
        );
        assert_eq!(found.left_out, []);
    }

    #[test]
    fn what_has_no_column_is_named_with_its_reason() {
        let found = of(
            r#"{"name":"t","type":"long"}, {"name":"bytes","type":"bytes"}, {"name":"__time","type":"long"},
               {"name":"list","type":{"type":"array","items":"int"}}, {"name":"mixed","type":["int","string"]},
               {"name":"inner","type":{"type":"record","name":"R","fields":[]}},
               {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}"#,
            "t",
        )
        .unwrap();
        assert_eq!(found.dimensions, []);
        let why: Vec<(&str, &str)> = found.left_out.iter().map(|left| (left.field.as_str(), left.why)).collect();
        assert_eq!(
            why,
            [
                ("bytes", "bytes"),
                ("__time", "Druid keeps the name for the time"),
                ("list", "an array or map"),
                ("mixed", "a union of several types"),
                ("inner", "a record within the record"),
                ("price", "a decimal, which Druid would read as bytes"),
            ]
        );
    }

    #[test]
    fn the_time_is_read_as_its_type_says() {
        let format = |kind: &str| of(&format!(r#"{{"name":"t","type":{kind}}}"#), "t").unwrap().time_format;
        assert_eq!(format(r#""long""#), TimeFormat::Millis);
        assert_eq!(format(r#"["null",{"type":"long","logicalType":"timestamp-millis"}]"#), TimeFormat::Millis);
        assert_eq!(format(r#"{"type":"long","logicalType":"timestamp-micros"}"#), TimeFormat::Micro);
    }

    #[test]
    fn a_time_that_is_not_there_or_no_time_is_an_error() {
        let missing = of(r#"{"name":"t","type":"long"}, {"name":"s","type":"string"}"#, "sale_ts").unwrap_err();
        assert_eq!(missing.kind, Kind::Data);
        for part in ["`S-value`", "`sale_ts`", "t, s"] {
            assert!(missing.message.contains(part), "{missing}");
        }
        let text = of(r#"{"name":"t","type":"string"}"#, "t").unwrap_err();
        assert!(text.message.contains("`t`, but it is no long"), "{text}");
    }

    #[test]
    fn a_schema_that_is_no_record_is_an_error() {
        assert_eq!(columns("S-value", r#""string""#, "t").unwrap_err().kind, Kind::Data);
        assert_eq!(columns("S-value", "{", "t").unwrap_err().kind, Kind::Data);
    }
}
