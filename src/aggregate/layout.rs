//! The aggregate's columns: what is read of each record, and the records that rows become. Pure.
//!
//! The sink's schemas, and so its bytes, are those that Flink's SQL job writes for the same aggregate: the record is called
//! `org.apache.flink.avro.generated.record`, key fields are plain, all others are unions with null. One type differs: the mean of
//! decimals is a double here.

use serde::Serialize;
use serde_json::{Value, json};

use crate::avro::{EncodeError, Encoder, Field, FieldKind, Plan, PlanError, Scalar};
use crate::config::{Aggregate, Function, Late, Measure};
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
#[derive(Serialize)]
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
        let group_kinds: Vec<FieldKind> = (1..=aggregate.group_by.len()).map(|field| plan.kind(field)).collect();
        let groups = group_columns(aggregate, &group_kinds)?;
        let (mut inputs, mut outputs, mut measures) = (Vec::new(), Vec::new(), Vec::new());
        for (measure, place) in aggregate.measures.iter().zip(&places) {
            let (input, output, kind) = types(aggregate, measure, place.map(|place| (place, plan.kind(place))))?;
            inputs.push(input);
            outputs.push(output);
            measures.push((measure.name.clone(), kind));
        }

        let columns: Vec<(String, Value)> = groups.iter().cloned().chain(window_columns()).chain(measures).collect();
        let key_columns: Vec<usize> =
            aggregate.key_fields().iter().filter_map(|name| columns.iter().position(|(column, _)| column == name)).collect();
        let value_schema =
            record(columns.iter().enumerate().map(|(place, column)| to_column(column, !key_columns.contains(&place))))?;
        let key_schema = record(key_columns.iter().map(|place| to_column(&columns[*place], false)))?;
        let group_schema = record(groups.iter().map(|column| to_column(column, false)))?;
        Ok(Self {
            definition: definition(aggregate),
            group: Encoder::compile(&group_schema).map_err(misfit)?,
            group_plan: Plan::compile(&group_schema, &aggregate.group_by).map_err(misfit)?,
            key: Encoder::compile(&key_schema).map_err(misfit)?,
            value: Encoder::compile(&value_schema).map_err(misfit)?,
            wanted,
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

fn group_columns(aggregate: &Aggregate, kinds: &[FieldKind]) -> Result<Vec<(String, Value)>> {
    let column = |(name, kind): (&String, &FieldKind)| {
        let avro = match kind {
            FieldKind::Str | FieldKind::Enum | FieldKind::Uuid => json!("string"),
            FieldKind::Int => json!("int"),
            FieldKind::Long => json!("long"),
            FieldKind::Bool => json!("boolean"),
            other => return Err(unfit(aggregate, name, *other, "grouped by")),
        };
        Ok((name.clone(), avro))
    };
    aggregate.group_by.iter().zip(kinds).map(column).collect()
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
    let timestamp = json!({"type": "long", "logicalType": "timestamp-millis"});
    [("window_start".into(), timestamp.clone()), ("window_end".into(), timestamp)]
}

fn to_column((name, kind): &(String, Value), nullable: bool) -> Column {
    if nullable {
        Column { name: name.clone(), kind: json!(["null", kind]), default: Some(Value::Null) }
    } else {
        Column { name: name.clone(), kind: kind.clone(), default: None }
    }
}

fn record(fields: impl Iterator<Item = Column>) -> Result<String> {
    let record =
        Record { kind: "record", name: "record", namespace: "org.apache.flink.avro.generated", fields: fields.collect() };
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
mod tests {
    use super::*;
    use crate::avro::wire;
    use crate::config;

    fn sales() -> (Aggregate, String) {
        let config = config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap();
        (config.aggregates[0].clone(), config.sources[0].schema_text.clone())
    }

    fn row(layout: &Layout, store: &str, value: i128) -> Row {
        let mut group = Vec::new();
        layout.encode_group(&[Scalar::Str(store)], &mut group).unwrap();
        Row {
            start_ms: 1_000_000_020_000,
            end_ms: 1_000_000_080_000,
            group: group.into(),
            values: vec![Some(Number::Int(value))],
        }
    }

    /// The schemas that Flink 2.2 registers for the tutorial's job.
    #[test]
    fn the_schemas_are_those_of_flinks_job() {
        let (aggregate, schema) = sales();
        let layout = Layout::new(&aggregate, &schema, "sale_ts").unwrap();
        assert_eq!(
            layout.key_schema,
            r#"{"type":"record","name":"record","namespace":"org.apache.flink.avro.generated","fields":[{"name":"store_id","type":"string"}]}"#
        );
        let value: Value = serde_json::from_str(&layout.value_schema).unwrap();
        let timestamp = json!(["null", {"type": "long", "logicalType": "timestamp-millis"}]);
        assert_eq!(
            value["fields"],
            json!([
                {"name": "store_id", "type": "string"},
                {"name": "window_start", "type": timestamp, "default": null},
                {"name": "window_end", "type": timestamp, "default": null},
                {"name": "aggregated_sales", "type": ["null", "int"], "default": null},
            ])
        );
    }

    /// Bytes seen from Flink, with all three columns in the key.
    #[test]
    fn the_bytes_are_those_of_flinks_job() {
        let (mut aggregate, schema) = sales();
        aggregate.key = Some(["store_id", "window_start", "window_end"].map(String::from).to_vec());
        let layout = Layout::new(&aggregate, &schema, "sale_ts").unwrap();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        wire::frame(2, &mut key);
        wire::frame(4, &mut value);
        let mut group = Vec::new();
        layout.encode_group(&[Scalar::Str("S0")], &mut group).unwrap();
        let row = Row {
            start_ms: 1_700_000_040_000,
            end_ms: 1_700_000_100_000,
            group: group.into(),
            values: vec![Some(Number::Int(17))],
        };
        layout.encode_row(&row, &mut key, &mut value).unwrap();
        let hex = |bytes: &[u8]| Scalar::Bytes(bytes).to_string();
        assert_eq!(hex(&key), "00000000020453308091b0fef962c0bab7fef962");
        assert_eq!(hex(&value), "00000000040453308091b0fef962c0bab7fef9620222");
    }

    #[test]
    fn a_sum_that_does_not_fit_is_told_exactly() {
        let (aggregate, schema) = sales();
        let layout = Layout::new(&aggregate, &schema, "sale_ts").unwrap();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        assert!(layout.encode_row(&row(&layout, "ABC", i128::from(i32::MAX)), &mut key, &mut value).is_ok());
        let error = layout.encode_row(&row(&layout, "ABC", i128::from(i32::MAX) + 1), &mut key, &mut value).unwrap_err();
        assert!(error.contains("2147483648") && error.contains("aggregated_sales"), "{error}");
    }

    /// A layout of one measure over `amount`, an Avro type, in the sink as `result`.
    fn of(function: Function, kind: &Value) -> Result<Layout> {
        let (mut aggregate, _) = sales();
        aggregate.measures = vec![Measure { name: "result".into(), function, field: Some("amount".into()) }];
        let schema = json!({"type": "record", "name": "Sale", "fields": [
            {"name": "store_id", "type": "string"}, {"name": "sale_ts", "type": "long"}, {"name": "amount", "type": ["null", kind]}]});
        Layout::new(&aggregate, &schema.to_string(), "sale_ts")
    }

    fn decimal(precision: u32, scale: u32) -> Value {
        json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
    }

    fn written(layout: &Layout, result: Option<Number>) -> std::result::Result<Vec<u8>, String> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        layout.encode_row(&Row { values: vec![result], ..row(layout, "ABC", 0) }, &mut key, &mut value).map(|()| value)
    }

    #[test]
    fn decimals_give_decimals_of_the_same_scale() {
        let fixed = json!({"type": "fixed", "name": "money", "size": 9, "logicalType": "decimal", "precision": 20, "scale": 2});
        for kind in [decimal(20, 2), fixed] {
            for (function, expected) in [
                (Function::Sum, decimal(38, 2)),
                (Function::Min, decimal(20, 2)),
                (Function::Max, decimal(20, 2)),
                (Function::Avg, json!("double")),
                (Function::Count, json!("long")),
            ] {
                let schema: Value = serde_json::from_str(&of(function, &kind).unwrap().value_schema).unwrap();
                assert_eq!(schema["fields"][3], json!({"name": "result", "type": ["null", expected], "default": null}));
            }
        }
        assert!(of(Function::Sum, &decimal(39, 2)).unwrap_err().message.contains("decimal(39, 2)"));
        assert!(of(Function::Count, &json!("string")).is_ok());
    }

    #[test]
    fn decimals_are_written_and_read_back() {
        let layout = of(Function::Sum, &decimal(20, 2)).unwrap();
        let plan = Plan::compile(&layout.value_schema, &["result"]).unwrap();
        for (result, expected) in [
            (None, Scalar::Null),
            (Some(Number::Int(-1_234)), Scalar::Decimal { unscaled: -1_234, scale: 2 }),
            (Some(Number::Int(10_i128.pow(38) - 1)), Scalar::Decimal { unscaled: 10_i128.pow(38) - 1, scale: 2 }),
        ] {
            let value = written(&layout, result).unwrap();
            let mut slots = [Scalar::Null];
            plan.decode(&value, &mut slots).unwrap();
            assert_eq!(slots[0], expected);
        }
        let layout = of(Function::Avg, &decimal(20, 2)).unwrap();
        assert!(written(&layout, Some(Number::Float(1_050.0))).unwrap().ends_with(&10.5_f64.to_le_bytes()));
    }

    #[test]
    fn what_no_decimal_or_long_holds_is_told_exactly() {
        let sum = of(Function::Sum, &decimal(20, 2)).unwrap();
        let told = |layout: &Layout, number| written(layout, Some(number)).unwrap_err();
        assert_eq!(
            told(&sum, Number::Int(-(10_i128.pow(38)))),
            "-1000000000000000000000000000000000000.00 does not fit field `result`, which is decimal(38, 2)"
        );
        assert_eq!(
            told(&sum, Number::Wide { carry: 1, low: -1 }),
            "3402823669209384634633746074317682114.55 does not fit field `result`, which is decimal(38, 2)"
        );
        let least = of(Function::Min, &decimal(3, 0)).unwrap();
        assert_eq!(told(&least, Number::Int(1_000)), "1000 does not fit field `result`, which is decimal(3, 0)");
        let sum = of(Function::Sum, &json!("long")).unwrap();
        for number in [Number::Int(i128::from(i64::MAX) + 1), Number::Wide { carry: -3, low: 7 }] {
            assert_eq!(told(&sum, number), format!("{number} does not fit field `result`, which is long"));
        }
    }

    #[test]
    fn a_schema_without_the_field_is_named() {
        let (mut aggregate, schema) = sales();
        aggregate.measures[0].field = Some("amount".into());
        let error = Layout::new(&aggregate, &schema, "sale_ts").unwrap_err();
        assert_eq!(error.kind, Kind::Data);
        assert!(error.message.contains("amount") && error.message.contains("com.acosom.StoreSale"), "{error}");
        aggregate.measures[0].field = Some("store_id".into());
        assert!(Layout::new(&aggregate, &schema, "sale_ts").unwrap_err().message.contains("SUM"));
    }

    #[test]
    fn another_window_is_another_identity() {
        let (mut aggregate, schema) = sales();
        let one = Layout::new(&aggregate, &schema, "sale_ts").unwrap().identity();
        assert_eq!(one, "window 60000 ms + 0 ms over sale_ts (at most 60000 ms ahead) by store_id of Sum(sale_amount)");
        aggregate.window = config::Millis(30_000);
        assert_ne!(one, Layout::new(&aggregate, &schema, "sale_ts").unwrap().identity());
    }
}
