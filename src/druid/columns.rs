//! An Avro schema x a datasource of the pipeline file -> its columns. Pure.

use std::collections::HashSet;

use serde::Serialize;

use crate::avro::{FieldKind, Outlined, outline};
use crate::config::{Datasource, Function, Measure, TIME_COLUMN, column_name};
use crate::error::{Error, Kind, Result};

/// What a datasource holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The field that the time comes from, as Druid calls it.
    pub time: String,
    /// How the time field counts.
    pub time_format: TimeFormat,
    /// The columns that rows are told apart by, in the schema's order.
    pub dimensions: Vec<Dimension>,
    /// What is added up, if rows are.
    pub metrics: Vec<Metric>,
    /// Where each field is found, if one of them is in a nested record; else Druid finds them by name.
    pub paths: Vec<FieldPath>,
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
    /// Its name: [`column_name`] of the field.
    pub name: String,
}

/// A column that is added up as rows come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// `count`, `longSum`, `doubleMax` and so on.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The field that it is made of; a count has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_name: Option<String>,
}

/// Where Druid finds a field: an entry of its `flattenSpec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldPath {
    /// `root`, or `path` if it is in a nested record.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What it is called from there on.
    pub name: String,
    /// Its name, or a JSON path.
    pub expr: String,
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
    /// The field's path.
    pub field: String,
    /// Why there is no column for it.
    pub why: &'static str,
}

/// The columns of a datasource, by the schema of its topic's values.
pub fn columns(subject: &str, schema: &str, datasource: &Datasource) -> Result<Columns> {
    let unfit = |what: String| Error::new(Kind::Data, format!("the schema of subject `{subject}` {what}"));
    let fields = outline(schema).map_err(|error| unfit(format!("cannot be used: {error}")))?;
    let found = Fields(&fields);
    let time = found.named(&datasource.time, "the time").map_err(&unfit)?;
    let time_format = time_format(time).map_err(&unfit)?;
    for listed in datasource.columns.iter().flatten() {
        let field = found.named(listed, "a column").map_err(&unfit)?;
        column_type(field).map_err(|why| unfit(format!("has a field `{listed}`, but it can be no column: {why}")))?;
    }
    let measures = datasource.rollup.as_ref().map_or(&[][..], |rollup| &rollup.measures);
    let metrics = measures.iter().map(|measure| found.metric(measure)).collect::<Result<_, _>>().map_err(&unfit)?;
    let measured: HashSet<&str> = measures.iter().filter_map(|measure| measure.field.as_deref()).collect();
    let wanted = |path: &String| datasource.columns.as_ref().is_none_or(|listed| listed.contains(path));
    let (mut chosen, mut left_out): (Vec<(&Outlined, Dimension)>, _) = (Vec::new(), Vec::new());
    let candidates = fields.iter().filter(|field| field.path != time.path && wanted(&field.path));
    for field in candidates.filter(|field| !measured.contains(field.path.as_str())) {
        let name = column_name(&field.path);
        let taken = chosen.iter().any(|(_, dimension)| dimension.name == name);
        let why = match column_type(field) {
            Err(why) => why,
            Ok(_) if taken => "another field has the same column",
            Ok(_) if measures.iter().any(|measure| measure.name == name) => "a measure has its name",
            Ok(kind) => {
                chosen.push((field, Dimension { kind, name }));
                continue;
            }
        };
        left_out.push(LeftOut { field: field.path.clone(), why });
    }
    let read = fields.iter().filter(|field| measured.contains(field.path.as_str()));
    let paths = paths([time].into_iter().chain(chosen.iter().map(|(field, _)| *field)).chain(read));
    let dimensions = chosen.into_iter().map(|(_, dimension)| dimension).collect();
    Ok(Columns { time: column_name(&time.path), time_format, dimensions, metrics, paths, left_out })
}

/// A schema's fields, nested ones by their paths.
struct Fields<'a>(&'a [Outlined]);

impl<'a> Fields<'a> {
    fn named(&self, path: &str, what: &str) -> Result<&'a Outlined, String> {
        let paths = || self.0.iter().map(|field| field.path.as_str()).collect::<Vec<_>>().join(", ");
        self.0
            .iter()
            .find(|field| field.path == path)
            .ok_or_else(|| format!("has no field `{path}`, which the pipeline file says is {what}; its fields are {}", paths()))
    }

    fn metric(&self, measure: &Measure) -> Result<Metric, String> {
        let name = measure.name.clone();
        let Some(path) = &measure.field else { return Ok(Metric { kind: "count", name, field_name: None }) };
        let field = self.named(path, &format!("measured as `{name}`"))?;
        let kind = match (measure.function, column_type(field)) {
            (Function::Sum, Ok(ColumnType::Long)) => "longSum",
            (Function::Min, Ok(ColumnType::Long)) => "longMin",
            (Function::Max, Ok(ColumnType::Long)) => "longMax",
            (Function::Sum, Ok(ColumnType::Float | ColumnType::Double)) => "doubleSum",
            (Function::Min, Ok(ColumnType::Float | ColumnType::Double)) => "doubleMin",
            (Function::Max, Ok(ColumnType::Float | ColumnType::Double)) => "doubleMax",
            (function, _) => {
                let (function, found) = (function.sql(), &field.type_name);
                return Err(format!("has a field `{path}` of type {found}, and measure `{name}` cannot be its {function}"));
            }
        };
        Ok(Metric { kind, name, field_name: Some(column_name(path)) })
    }
}

fn time_format(field: &Outlined) -> Result<TimeFormat, String> {
    match field.kind {
        Some(FieldKind::Long | FieldKind::TimestampMillis | FieldKind::LocalTimestampMillis) => Ok(TimeFormat::Millis),
        Some(FieldKind::TimestampMicros | FieldKind::LocalTimestampMicros) => Ok(TimeFormat::Micro),
        Some(FieldKind::TimestampNanos | FieldKind::LocalTimestampNanos) => Ok(TimeFormat::Nano),
        _ => Err(format!("has a field `{}`, but it is no long or timestamp, so it cannot be the time", field.path)),
    }
}

/// Where fields are found, if one of them is nested: Druid then is told all of them, and finds none by itself.
fn paths<'a>(fields: impl Iterator<Item = &'a Outlined> + Clone) -> Vec<FieldPath> {
    let is_nested = |field: &Outlined| field.path.contains('.');
    if !fields.clone().any(is_nested) {
        return Vec::new();
    }
    let path = |field: &Outlined| {
        let (kind, expr) = if is_nested(field) { ("path", ["$.", &field.path].concat()) } else { ("root", field.path.clone()) };
        FieldPath { kind, name: column_name(&field.path), expr }
    };
    fields.map(path).collect()
}

/// What Druid stores a value as. A boolean becomes the text `true` or `false`: Druid has no type for it, and every release takes it so.
fn column_type(field: &Outlined) -> Result<ColumnType, &'static str> {
    use FieldKind as Field;
    if column_name(&field.path) == TIME_COLUMN {
        return Err("Druid keeps the name for the time");
    }
    match field.kind.ok_or("a list, a map, a record that holds itself or a union of such")? {
        Field::Str | Field::Enum | Field::Bool | Field::Uuid => Ok(ColumnType::String),
        Field::Int
        | Field::Long
        | Field::Date
        | Field::TimeMillis
        | Field::TimeMicros
        | Field::TimestampMillis
        | Field::TimestampMicros
        | Field::TimestampNanos
        | Field::LocalTimestampMillis
        | Field::LocalTimestampMicros
        | Field::LocalTimestampNanos => Ok(ColumnType::Long),
        Field::Float => Ok(ColumnType::Float),
        Field::Double => Ok(ColumnType::Double),
        Field::Decimal { .. } => Err("a decimal, which Druid would read as bytes"),
        Field::Null => Err("always null"),
        Field::Union => Err("a union of several types"),
        Field::Bytes | Field::Fixed(_) => Err("bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a datasource with this time field and these other keys.
    fn of_with(fields: &str, time: &str, keys: &str) -> Result<Columns> {
        let datasource = toml::from_str(&format!("name = \"D\"\ntopic = \"S\"\ntime = \"{time}\"\n{keys}")).unwrap();
        columns("S-value", &format!(r#"{{"type":"record","name":"S","fields":[{fields}]}}"#), &datasource)
    }

    fn of(fields: &str, time: &str) -> Result<Columns> {
        of_with(fields, time, "")
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
                ("list", "a list, a map, a record that holds itself or a union of such"),
                ("mixed", "a union of several types"),
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
        let datasource = toml::from_str("name = \"D\"\ntopic = \"S\"\ntime = \"t\"").unwrap();
        assert_eq!(columns("S-value", r#""string""#, &datasource).unwrap_err().kind, Kind::Data);
        assert_eq!(columns("S-value", "{", &datasource).unwrap_err().kind, Kind::Data);
    }

    const NESTED: &str = r#"{"name":"t","type":"long"}, {"name":"user","type":"string"}, {"name":"amount","type":"double"},
        {"name":"page","type":["null",{"type":"record","name":"P","fields":[{"name":"section","type":"string"},{"name":"ms","type":"int"}]}]},
        {"name":"page_section","type":"string"}"#;

    #[test]
    fn a_nested_field_is_a_column_and_then_druid_is_told_where_each_is() {
        let found = of(NESTED, "t").unwrap();
        let names: Vec<&str> = types(&found).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["user", "amount", "page_section", "page_ms"]);
        let paths: Vec<String> = found.paths.iter().map(|path| format!("{} {} {}", path.kind, path.name, path.expr)).collect();
        assert_eq!(
            paths,
            ["root t t", "root user user", "root amount amount", "path page_section $.page.section", "path page_ms $.page.ms"]
        );
        let twice = LeftOut { field: "page_section".into(), why: "another field has the same column" };
        assert_eq!(found.left_out, [twice]);
        assert_eq!(of(r#"{"name":"t","type":"long"}, {"name":"user","type":"string"}"#, "t").unwrap().paths, []);
    }

    #[test]
    fn columns_are_those_that_are_listed() {
        let found = of_with(NESTED, "t", "columns = [\"page.ms\", \"user\"]").unwrap();
        assert_eq!(types(&found), [("user", ColumnType::String), ("page_ms", ColumnType::Long)]);
        let missing = of_with(NESTED, "t", "columns = [\"page.nope\"]").unwrap_err();
        assert!(missing.message.contains("no field `page.nope`") && missing.message.contains("page.section"), "{missing}");
        let list = r#"{"name":"t","type":"long"}, {"name":"list","type":{"type":"array","items":"int"}}"#;
        let unfit = of_with(list, "t", "columns = [\"list\"]").unwrap_err();
        assert!(unfit.message.contains("`list`, but it can be no column"), "{unfit}");
    }

    #[test]
    fn what_is_measured_is_no_dimension() {
        let measures = "[rollup]\ngrain = \"1m\"\nmeasure = [{name = \"events\", function = \"count\"}, \
            {name = \"amount\", function = \"sum\", field = \"amount\"}, {name = \"slowest\", function = \"max\", field = \"page.ms\"}]";
        let found = of_with(NESTED, "t", measures).unwrap();
        let names: Vec<&str> = types(&found).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["user", "page_section"]);
        let metrics: Vec<String> =
            found.metrics.iter().map(|metric| format!("{} {} {:?}", metric.kind, metric.name, metric.field_name)).collect();
        assert_eq!(metrics, ["count events None", "doubleSum amount Some(\"amount\")", "longMax slowest Some(\"page_ms\")"]);
        assert!(found.paths.iter().any(|path| path.expr == "$.page.ms"), "{:?}", found.paths);
        let text = "[rollup]\ngrain = \"1m\"\nmeasure = [{name = \"x\", function = \"sum\", field = \"user\"}]";
        let unfit = of_with(NESTED, "t", text).unwrap_err();
        assert!(unfit.message.contains("`user` of type string") && unfit.message.contains("`x` cannot be its SUM"), "{unfit}");
    }
}
