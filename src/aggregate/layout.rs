//! The aggregate's columns: what is read of each record, and the records that rows become. Pure.
//!
//! The sink's schemas, and so its bytes, are those that Flink's SQL job writes for the same aggregate: the record is called
//! `org.apache.flink.avro.generated.record`, key fields are plain, all others are unions with null.

use serde::Serialize;
use serde_json::{Value, json};

use crate::avro::{EncodeError, Encoder, FieldKind, Plan, PlanError, Scalar};
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

/// The columns of one aggregate over one source.
#[derive(Debug)]
pub struct Layout {
    /// The fields to read of each record: event time, group-by fields, then one field for each measure that has one.
    pub wanted: Vec<String>,
    /// What the group-by fields are in the source.
    pub group_kinds: Vec<FieldKind>,
    /// For each measure, the place of its field in `wanted`.
    pub inputs: Vec<Option<usize>>,
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
    /// Which measures are integers in the sink.
    integral: Vec<bool>,
}

impl Layout {
    /// The layout of an aggregate over a source whose newest schema (JSON) and time field are these.
    pub fn new(aggregate: &Aggregate, source_schema: &str, time: &str) -> Result<Self> {
        let (wanted, inputs) = wanted(aggregate, time);
        let misfit = |error: PlanError| {
            Error::new(Kind::Data, format!("aggregate `{}` over topic {}: {error}", aggregate.sink, aggregate.source))
                .hint("the pipeline file and the schema in the registry (subject TOPIC-value) must name the same fields")
        };
        let plan = Plan::compile(source_schema, &wanted).map_err(misfit)?;
        check_time(aggregate, time, plan.kind(0))?;
        let group_kinds: Vec<FieldKind> = (1..=aggregate.group_by.len()).map(|field| plan.kind(field)).collect();
        let groups = group_columns(aggregate, &group_kinds)?;
        let measures = aggregate.measures.iter().zip(&inputs);
        let measures = measures
            .map(|(measure, input)| measure_column(aggregate, measure, input.map(|field| plan.kind(field))))
            .collect::<Result<Vec<_>>>()?;
        let integral = measures.iter().map(|(_, kind)| kind == "int" || kind == "long").collect();

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
            integral,
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
        for (number, integral) in row.values.iter().zip(&self.integral) {
            columns.push(to_scalar(*number, *integral)?);
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
            .map(|(function, input)| format!("{function:?}({})", input.map_or("", |place| &self.wanted[place])))
            .collect();
        format!(
            "window {window_ms} ms + {offset_ms} ms over {} (at most {max_future_ms} ms ahead) by {} of {}",
            self.wanted[0],
            groups.join(", "),
            measures.join(", ")
        )
    }
}

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

fn measure_column(aggregate: &Aggregate, measure: &Measure, input: Option<FieldKind>) -> Result<(String, Value)> {
    let avro = match (measure.function, input) {
        (Function::Count, _) => "long",
        (Function::Avg, Some(FieldKind::Int | FieldKind::Long)) | (_, Some(FieldKind::Float | FieldKind::Double)) => "double",
        (_, Some(FieldKind::Int)) => "int",
        (_, Some(FieldKind::Long)) => "long",
        (function, kind) => {
            let field = measure.field.as_deref().unwrap_or_default();
            return Err(unfit(aggregate, field, kind.unwrap_or(FieldKind::Null), &format!("put into {}", function.sql())));
        }
    };
    Ok((measure.name.clone(), json!(avro)))
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

fn to_scalar(number: Option<Number>, integral: bool) -> Result<Scalar<'static>, String> {
    match number {
        None => Ok(Scalar::Null),
        Some(Number::Int(value)) if integral => {
            i64::try_from(value).map(Scalar::Long).map_err(|_| format!("{value} does not fit a long"))
        }
        Some(Number::Int(value)) => Ok(Scalar::Double(value as f64)),
        Some(wide @ Number::Wide { .. }) => Err(format!("{wide} does not fit")),
        Some(Number::Float(value)) => Ok(Scalar::Double(value)),
    }
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
