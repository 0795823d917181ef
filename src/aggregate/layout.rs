//! The aggregate's columns: what is read of each record, and the records that rows become. Pure.
//!
//! The sink's schemas, and so its bytes, are those that Flink's SQL job writes for the same aggregate: the record is called
//! `org.apache.flink.avro.generated.record`, key fields are plain, all others are unions with null. Two things differ: the mean of
//! decimals is a double here, and a key field that may be null in the source may be null in the sink, where Flink's job would fail.

use serde::Serialize;
use serde_json::{Value, json};

use crate::avro::{EncodeError, Encoder, Field, FieldKind, Plan, PlanError, Scalar};
use crate::config::{Aggregate, Function, Late, Measure, WINDOW_FIELDS, column_name};
use crate::engine::{self, Definition, Number, Row};
use crate::error::{Error, Kind, Result};

/// An Avro record schema as JSON, its keys in the usual order.
#[derive(Serialize)]
struct Record {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    namespace: &'static str,
    fields: Vec<Column>,
}

/// A field of it.
#[derive(Debug, Clone, Serialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Value>,
}

/// The digits of the largest decimal: Flink's, and the most that 128 bits always hold.
const MAX_PRECISION: u32 = 38;

/// What a measure takes of each record. Fields are places in [`Layout::wanted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// That it is there.
    Record,
    /// Whether a field is not null.
    Presence {
        /// The field.
        field: usize,
    },
    /// A field, exactly: as a whole number of 10^-`scale`.
    Exact {
        /// The field.
        field: usize,
        /// 0 for integers.
        scale: u32,
    },
    /// A field as a float.
    Float {
        /// The field.
        field: usize,
    },
}

/// What a measure's result is in the sink.
#[derive(Debug, Clone, Copy)]
enum Output {
    /// An int or a long.
    Whole,
    /// A decimal of this scale.
    Decimal { scale: u32 },
    /// A double; the result is one too, in units of 10^-`scale`.
    Double { scale: u32 },
}

/// The columns of one aggregate over one source.
#[derive(Debug)]
pub struct Layout {
    /// The fields to read of each record: event time, group-by fields, then one field for each measure that has one.
    pub wanted: Vec<String>,
    /// The source's newest schema, JSON: what it says of a field holds for records that were written without it.
    pub source_schema: String,
    /// What the group-by fields are in the source.
    pub group_kinds: Vec<FieldKind>,
    /// What each measure takes of a record.
    pub inputs: Vec<Input>,
    /// What the engine computes.
    pub definition: Definition,
    /// The sink's key schema, JSON.
    pub key_schema: String,
    /// The sink's value schema, JSON.
    pub value_schema: String,
    group: Encoder,
    group_plan: Plan,
    key: Encoder,
    /// The place of each key field in the value record.
    key_columns: Vec<usize>,
    value: Encoder,
    /// What each measure is in the sink.
    outputs: Vec<Output>,
}

impl Layout {
    /// The layout of an aggregate over a source whose newest schema (JSON) and time field are these.
    pub fn new(aggregate: &Aggregate, source_schema: &str, time: &str) -> Result<Self> {
        let (wanted, places) = wanted(aggregate, time);
        let misfit = |error: PlanError| {
            Error::new(Kind::Data, format!("aggregate `{}` over topic {}: {error}", aggregate.sink, aggregate.source))
                .hint("the pipeline file and the schema in the registry (subject TOPIC-value) must name the same fields")
        };
        let plan = Plan::compile(source_schema, &wanted).map_err(misfit)?;
        check_time(aggregate, time, plan.kind(0))?;
        let group_fields = &plan.fields()[1..=aggregate.group_by.len()];
        let group_kinds: Vec<FieldKind> = group_fields.iter().map(|field| field.kind).collect();
        let groups = group_fields.iter().map(|field| group_column(aggregate, field)).collect::<Result<Vec<_>>>()?;
        let (mut inputs, mut outputs, mut measures) = (Vec::new(), Vec::new(), Vec::new());
        for (measure, place) in aggregate.measures.iter().zip(&places) {
            let (input, output, kind) = types(aggregate, measure, place.map(|place| (place, plan.kind(place))))?;
            inputs.push(input);
            outputs.push(output);
            measures.push((measure.name.clone(), kind));
        }

        let is_key = |name: &str| aggregate.key_fields().iter().any(|field| column_name(field) == name);
        let rest = window_columns().into_iter().chain(measures).map(|(name, kind)| {
            let nullable = !is_key(&name);
            Column::new(name, kind, nullable)
        });
        // A group-by field that is always there is nullable all the same where it is not part of the key, as Flink has it.
        let in_value = |group: &Column| if is_key(&group.name) { group.clone() } else { group.clone().nullable() };
        let columns: Vec<Column> = groups.iter().map(in_value).chain(rest).collect();
        let place = |field: &String| columns.iter().position(|column| column.name == column_name(field));
        let key_columns: Vec<usize> = aggregate.key_fields().iter().filter_map(place).collect();
        let key_schema = record(key_columns.iter().map(|place| columns[*place].clone()).collect())?;
        let group_names: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
        let group_schema = record(groups)?;
        let value_schema = record(columns)?;
        Ok(Self {
            definition: definition(aggregate),
            group: Encoder::compile(&group_schema).map_err(misfit)?,
            group_plan: Plan::compile(&group_schema, &group_names).map_err(misfit)?,
            key: Encoder::compile(&key_schema).map_err(misfit)?,
            value: Encoder::compile(&value_schema).map_err(misfit)?,
            wanted,
            source_schema: source_schema.to_owned(),
            group_kinds,
            inputs,
            key_schema,
            value_schema,
            key_columns,
            outputs,
        })
    }

    /// Writes a group's values as the bytes that stand for it in the engine.
    pub fn encode_group(&self, values: &[Scalar<'_>], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.group.encode(values, out)
    }

    /// Writes a row as the sink's key and value, both without the wire format's header.
    ///
    /// # Errors
    /// A measure does not fit its type, or the group cannot be read back: the text says which and its exact value.
    pub fn encode_row(&self, row: &Row, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<(), String> {
        let groups = self.group_plan.fields().len();
        let mut columns = vec![Scalar::Null; groups];
        self.group_plan.decode(&row.group, &mut columns).map_err(|error| error.to_string())?;
        columns.extend([Scalar::Long(row.start_ms), Scalar::Long(row.end_ms)]);
        for (number, output) in row.values.iter().zip(&self.outputs) {
            let field = &self.value.fields()[columns.len()];
            columns.push(to_scalar(*number, *output).map_err(|value| does_not_fit(field, value))?);
        }
        let keys: Vec<Scalar<'_>> = self.key_columns.iter().map(|place| columns[*place]).collect();
        self.key.encode(&keys, key).map_err(|error| error.to_string())?;
        self.value.encode(&columns, value).map_err(|error| error.to_string())
    }

    /// A group as a person reads it.
    pub fn describe_group(&self, group: &[u8]) -> String {
        let mut values = vec![Scalar::Null; self.group_plan.fields().len()];
        match self.group_plan.decode(group, &mut values) {
            Ok(()) => values.iter().map(Scalar::to_string).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        }
    }

    /// What committed progress is bound to: another time, window, key or measure makes other rows.
    pub fn identity(&self) -> String {
        let Definition { window_ms, offset_ms, max_future_ms, functions, .. } = &self.definition;
        let groups: Vec<&str> = self.group_plan.fields().iter().map(|field| field.name.as_str()).collect();
        let measures: Vec<String> = functions
            .iter()
            .zip(&self.inputs)
            .map(|(function, input)| format!("{function:?}({})", input.field().map_or("", |place| &self.wanted[place])))
            .collect();
        format!(
            "window {window_ms} ms + {offset_ms} ms over {} (at most {max_future_ms} ms ahead) by {} of {}",
            self.wanted[0],
            groups.join(", "),
            measures.join(", ")
        )
    }
}

impl Input {
    fn field(self) -> Option<usize> {
        match self {
            Self::Record => None,
            Self::Presence { field } | Self::Exact { field, .. } | Self::Float { field } => Some(field),
        }
    }
}

/// The fields to read, and for each measure the place of its own among them.
fn wanted(aggregate: &Aggregate, time: &str) -> (Vec<String>, Vec<Option<usize>>) {
    let mut wanted = vec![time.to_owned()];
    wanted.extend(aggregate.group_by.iter().cloned());
    let mut inputs = Vec::new();
    for measure in &aggregate.measures {
        inputs.push(measure.field.as_ref().map(|field| {
            wanted.push(field.clone());
            wanted.len() - 1
        }));
    }
    (wanted, inputs)
}

fn definition(aggregate: &Aggregate) -> Definition {
    let function = |measure: &Measure| match measure.function {
        Function::Sum => engine::Function::Sum,
        Function::Count => engine::Function::Count,
        Function::Min => engine::Function::Min,
        Function::Max => engine::Function::Max,
        Function::Avg => engine::Function::Avg,
    };
    Definition {
        window_ms: aggregate.window.0,
        offset_ms: aggregate.offset.0,
        lateness_ms: aggregate.lateness.0,
        max_future_ms: aggregate.max_future.0,
        functions: aggregate.measures.iter().map(function).collect(),
        late_deltas: aggregate.late == Late::Delta,
        keyed: false,
    }
}

fn unfit(aggregate: &Aggregate, field: &str, kind: FieldKind, what: &str) -> Error {
    Error::new(
        Kind::Data,
        format!(
            "aggregate `{}`: field `{field}` of topic {} is {kind}, which cannot be {what}",
            aggregate.sink, aggregate.source
        ),
    )
}

fn check_time(aggregate: &Aggregate, time: &str, kind: FieldKind) -> Result<()> {
    match kind {
        FieldKind::Long | FieldKind::TimestampMillis | FieldKind::TimestampMicros => Ok(()),
        other => Err(unfit(aggregate, time, other, "an event time")
            .hint("a long in epoch milliseconds, timestamp-millis or timestamp-micros")),
    }
}

/// A group-by field as a column: an enum is a string, and null is a group too where the source may have it.
fn group_column(aggregate: &Aggregate, field: &Field) -> Result<Column> {
    let kind = match field.kind {
        FieldKind::Str | FieldKind::Enum | FieldKind::Uuid => json!("string"),
        FieldKind::Int => json!("int"),
        FieldKind::Long => json!("long"),
        FieldKind::Bool => json!("boolean"),
        other => return Err(unfit(aggregate, &field.name, other, "grouped by")),
    };
    Ok(Column::new(column_name(&field.name), kind, field.nullable))
}

/// What a measure takes, what it gives, and that as an Avro type; `field` is its field's place and what it holds.
fn types(aggregate: &Aggregate, measure: &Measure, field: Option<(usize, FieldKind)>) -> Result<(Input, Output, Value)> {
    use FieldKind::{Decimal, Double, Float, Int, Long};
    let Some((field, kind)) = field else { return Ok((Input::Record, Output::Whole, json!("long"))) };
    let whole = Input::Exact { field, scale: 0 };
    Ok(match (measure.function, kind) {
        (Function::Count, _) => (Input::Presence { field }, Output::Whole, json!("long")),
        (_, Float | Double) => (Input::Float { field }, Output::Double { scale: 0 }, json!("double")),
        (Function::Avg, Int | Long) => (whole, Output::Double { scale: 0 }, json!("double")),
        (_, Int) => (whole, Output::Whole, json!("int")),
        (_, Long) => (whole, Output::Whole, json!("long")),
        (Function::Avg, Decimal { precision: ..=MAX_PRECISION, scale }) => {
            (Input::Exact { field, scale }, Output::Double { scale }, json!("double"))
        }
        (function, Decimal { precision: precision @ ..=MAX_PRECISION, scale }) => {
            let precision = if function == Function::Sum { MAX_PRECISION } else { precision };
            let kind = json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale});
            (Input::Exact { field, scale }, Output::Decimal { scale }, kind)
        }
        (function, kind) => {
            let name = measure.field.as_deref().unwrap_or_default();
            let error = unfit(aggregate, name, kind, &format!("put into {}", function.sql()));
            return Err(error.hint("an int, long, float, double, or a decimal of 38 digits at most"));
        }
    })
}

fn window_columns() -> [(String, Value); 2] {
    WINDOW_FIELDS.map(|name| (name.into(), json!({"type": "long", "logicalType": "timestamp-millis"})))
}

impl Column {
    fn new(name: String, kind: Value, nullable: bool) -> Self {
        if nullable {
            Self { name, kind: json!(["null", kind]), default: Some(Value::Null) }
        } else {
            Self { name, kind, default: None }
        }
    }

    fn nullable(self) -> Self {
        if self.default.is_some() { self } else { Self::new(self.name, self.kind, true) }
    }
}

fn record(fields: Vec<Column>) -> Result<String> {
    let record = Record { kind: "record", name: "record", namespace: "org.apache.flink.avro.generated", fields };
    serde_json::to_string(&record)
        .map_err(|error| Error::new(Kind::Failed, format!("a schema cannot be written as JSON: {error}")))
}

/// A result as the sink's type.
///
/// # Errors
/// It does not fit: the exact value as text.
fn to_scalar(number: Option<Number>, output: Output) -> std::result::Result<Scalar<'static>, String> {
    Ok(match (number, output) {
        (None, _) => Scalar::Null,
        (Some(Number::Int(value)), Output::Whole) => Scalar::Long(i64::try_from(value).map_err(|_| value.to_string())?),
        (Some(Number::Int(unscaled)), Output::Decimal { scale }) => Scalar::Decimal { unscaled, scale },
        (Some(Number::Int(value)), Output::Double { scale }) => Scalar::Double(value as f64 / power_of_ten(scale)),
        (Some(Number::Float(value)), Output::Double { scale }) => Scalar::Double(value / power_of_ten(scale)),
        (Some(Number::Float(value)), Output::Whole | Output::Decimal { .. }) => Scalar::Double(value),
        (Some(wide @ Number::Wide { .. }), Output::Decimal { scale: scale @ 1.. }) => {
            // More than 38 digits, so there are some before the point.
            let mut text = wide.to_string();
            text.insert(text.len().saturating_sub(scale as usize), '.');
            return Err(text);
        }
        (Some(wide @ Number::Wide { .. }), _) => return Err(wide.to_string()),
    })
}

fn power_of_ten(scale: u32) -> f64 {
    10_f64.powi(scale.cast_signed())
}

fn does_not_fit(field: &Field, value: String) -> String {
    EncodeError::Overflow { field: field.name.clone(), expected: field.kind, value }.to_string()
}

#[cfg(test)]
mod tests;
