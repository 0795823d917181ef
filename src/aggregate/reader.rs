//! From a record's bytes to an event. Pure: schemas that it does not know yet are asked for by [`Unreadable::Schema`].

use std::collections::HashMap;
use std::sync::Arc;

use super::layout::{Input, Layout};
use crate::avro::{Plan, Scalar, wire};
use crate::engine::Number;

/// Why a record gives no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// Its schema must be fetched first, and handed to [`Reader::learn`].
    Schema(u32),
    /// No record of its schema can be read today; one day it may be: once the id is known, or the newest schema has a default for
    /// what is missing.
    Schemaless {
        /// The schema's id.
        id: u32,
        /// A stable short name for dead letters.
        cause: &'static str,
        /// What exactly is wrong.
        detail: String,
    },
    /// It cannot be read by what its schema and the newest one are.
    Poison {
        /// A stable short name for dead letters.
        cause: &'static str,
        /// What exactly is wrong.
        detail: String,
    },
}

/// What the registry says of a schema id.
#[derive(Debug)]
pub enum Writer<'a> {
    /// The writer's schema, JSON.
    Schema(&'a str),
    /// There is no such id.
    Unknown,
    /// There is one, but no record can be read by it; why.
    Unfit(String),
}

/// Why there is no plan for a schema id.
#[derive(Debug)]
enum NoPlan {
    Unknown,
    Unfit(String),
}

/// What of a record goes into the engine.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Event time, ms.
    pub time_ms: i64,
    /// The group, encoded.
    pub group: Vec<u8>,
    /// One value a measure.
    pub values: Vec<Option<Number>>,
}

/// Decodes records by a plan for each writer schema.
#[derive(Debug)]
pub struct Reader {
    layout: Arc<Layout>,
    plans: HashMap<u32, Result<Plan, NoPlan>>,
    decoded: Decoded,
}

/// Up to so many wanted fields no memory is allocated for a record.
const FEW: usize = 8;

fn poison(cause: &'static str, detail: impl Into<String>) -> Unreadable {
    Unreadable::Poison { cause, detail: detail.into() }
}

impl Reader {
    /// A reader of the fields that a layout wants.
    pub fn new(layout: Arc<Layout>) -> Self {
        Self { layout, plans: HashMap::new(), decoded: Decoded::default() }
    }

    /// Takes note of what the registry says of an id.
    pub fn learn(&mut self, id: u32, writer: Writer<'_>) {
        let plan = match writer {
            Writer::Schema(schema) => Plan::resolve(schema, &self.layout.source_schema, &self.layout.wanted)
                .map_err(|error| NoPlan::Unfit(format!("schema id {id}: {error}"))),
            Writer::Unknown => Err(NoPlan::Unknown),
            Writer::Unfit(reason) => Err(NoPlan::Unfit(reason)),
        };
        self.plans.insert(id, plan);
    }

    /// Asks for this id anew when it next comes.
    pub fn forget(&mut self, id: u32) {
        self.plans.remove(&id);
    }

    /// Decodes a record's value.
    pub fn read(&mut self, value: Option<&[u8]>) -> Result<&Decoded, Unreadable> {
        let value = value.ok_or_else(|| poison("null-value", "the record has no value"))?;
        let (id, datum) = wire::split(value).map_err(|error| poison(error.cause(), error.to_string()))?;
        if i32::try_from(id).is_err() {
            return Err(poison("unknown-schema", format!("schema id {id} cannot be: ids are 31 bits long")));
        }
        let plan = match self.plans.get(&id) {
            None => return Err(Unreadable::Schema(id)),
            Some(Err(NoPlan::Unknown)) => {
                let detail = format!("the registry does not know schema id {id}");
                return Err(Unreadable::Schemaless { id, cause: "unknown-schema", detail });
            }
            Some(Err(NoPlan::Unfit(reason))) => {
                return Err(Unreadable::Schemaless { id, cause: "wrong-schema", detail: reason.clone() });
            }
            Some(Ok(plan)) => plan,
        };
        let mut few = [Scalar::Null; FEW];
        let mut many;
        let wanted = self.layout.wanted.len();
        let slots = if wanted <= FEW {
            &mut few[..wanted]
        } else {
            many = vec![Scalar::Null; wanted];
            &mut many[..]
        };
        plan.decode(datum, slots).map_err(|error| poison(error.cause(), error.to_string()))?;
        fill(&mut self.decoded, &self.layout, plan, slots)?;
        Ok(&self.decoded)
    }
}

fn fill(decoded: &mut Decoded, layout: &Layout, plan: &Plan, slots: &[Scalar<'_>]) -> Result<(), Unreadable> {
    decoded.time_ms = slots[0].event_time(plan.kind(0)).ok_or_else(|| no_value(&layout.wanted[0], slots[0]))?;
    let groups = &slots[1..=layout.group_kinds.len()];
    decoded.group.clear();
    layout.encode_group(groups, &mut decoded.group).map_err(|error| {
        let null = groups.iter().any(|value| matches!(value, Scalar::Null));
        poison(if null { "null-field" } else { "wrong-schema" }, error.to_string())
    })?;
    decoded.values.clear();
    for input in &layout.inputs {
        let value = match *input {
            Input::Presence { field } if matches!(slots[field], Scalar::Null) => None,
            Input::Record | Input::Presence { .. } => Some(Number::Int(1)),
            Input::Exact { field, scale } => exact(&layout.wanted[field], slots[field], scale)?,
            Input::Float { field } => float(slots[field]).map_err(|()| no_value(&layout.wanted[field], slots[field]))?,
        };
        decoded.values.push(value);
    }
    Ok(())
}

fn no_value(field: &str, value: Scalar<'_>) -> Unreadable {
    match value {
        Scalar::Null => poison("null-field", format!("field `{field}` is null")),
        other => poison("wrong-schema", format!("field `{field}` is of type {}", other.type_name())),
    }
}

/// As a whole number of 10^-`scale`. Writers may have another scale, or none, as long as nothing is lost.
fn exact(field: &str, value: Scalar<'_>, scale: u32) -> Result<Option<Number>, Unreadable> {
    let (unscaled, found) = match value {
        Scalar::Null => return Ok(None),
        Scalar::Int(value) => (value.into(), 0),
        Scalar::Long(value) => (value.into(), 0),
        Scalar::Decimal { unscaled, scale } => (unscaled, scale),
        other => return Err(no_value(field, other)),
    };
    let rescaled = rescale(unscaled, found, scale);
    let lossy = || poison("wrong-schema", format!("field `{field}` is {value}, which no number of scale {scale} is exactly"));
    rescaled.map(|value| Some(Number::Int(value))).ok_or_else(lossy)
}

fn rescale(unscaled: i128, from: u32, to: u32) -> Option<i128> {
    if from == to || unscaled == 0 {
        return Some(unscaled);
    }
    let factor = 10_i128.checked_pow(from.abs_diff(to))?;
    if from < to { unscaled.checked_mul(factor) } else { (unscaled % factor == 0).then_some(unscaled / factor) }
}

fn float(value: Scalar<'_>) -> Result<Option<Number>, ()> {
    Ok(Some(Number::Float(match value {
        Scalar::Null => return Ok(None),
        Scalar::Int(value) => value.into(),
        Scalar::Long(value) => value as f64,
        Scalar::Float(value) => value.into(),
        Scalar::Double(value) => value,
        _ => return Err(()),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::{Encoder, encode};
    use crate::config;

    fn reader() -> (Reader, String) {
        let config = config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap();
        let schema = config.sources[0].schema_text.clone();
        let layout = Layout::new(&config.aggregates[0], &schema, "sale_ts").unwrap();
        (Reader::new(Arc::new(layout)), schema)
    }

    fn sale(schema: &str, id: u32) -> Vec<u8> {
        let mut value = Vec::new();
        wire::frame(id, &mut value);
        let encoder = Encoder::compile(schema).unwrap();
        encoder.encode(&[Scalar::Str("ABC"), Scalar::Int(250), Scalar::Long(1_700_000_000_000)], &mut value).unwrap();
        value
    }

    fn cause(reader: &mut Reader, value: Option<&[u8]>) -> &'static str {
        match reader.read(value) {
            Err(Unreadable::Poison { cause, .. } | Unreadable::Schemaless { cause, .. }) => cause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_is_read_once_its_schema_is_known() {
        let (mut reader, schema) = reader();
        let value = sale(&schema, 7);
        assert_eq!(reader.read(Some(&value)).unwrap_err(), Unreadable::Schema(7));
        reader.learn(7, Writer::Schema(&schema));
        let decoded = reader.read(Some(&value)).unwrap();
        assert_eq!((decoded.time_ms, decoded.values.as_slice()), (1_700_000_000_000, &[Some(Number::Int(250))][..]));
        assert_eq!(decoded.group, [6, b'A', b'B', b'C']);
    }

    #[test]
    fn each_poison_has_its_cause() {
        let (mut reader, schema) = reader();
        reader.learn(7, Writer::Schema(&schema));
        reader.learn(8, Writer::Unknown);
        reader.learn(9, Writer::Schema(r#"{"type":"record","name":"Other","fields":[{"name":"x","type":"int"}]}"#));
        let value = sale(&schema, 7);
        let mut trailing = value.clone();
        trailing.push(0);
        let mut bad_text = vec![0, 0, 0, 0, 7];
        encode::bytes(&[0xff, 0xfe], &mut bad_text);
        encode::long(5, &mut bad_text);
        encode::long(6, &mut bad_text);
        let cases: [(Option<&[u8]>, &str); 9] = [
            (None, "null-value"),
            (Some(&[]), "too-short"),
            (Some(b"{\"store_id\""), "bad-magic"),
            (Some(&[0, 0, 0, 0, 8, 1]), "unknown-schema"),
            (Some(&[0, 0, 0, 0, 9, 1]), "wrong-schema"),
            (Some(&value[..value.len() - 1]), "truncated"),
            (Some(&trailing), "trailing-bytes"),
            (Some(&bad_text), "bad-utf8"),
            (Some(&[0, 0, 0, 0, 7, 1]), "bad-length"),
        ];
        for (value, expected) in cases {
            assert_eq!(cause(&mut reader, value), expected);
        }
    }

    #[test]
    fn a_later_schema_may_widen_reorder_and_add() {
        let (mut reader, _) = reader();
        let schema = r#"{"type":"record","name":"StoreSale","namespace":"com.acosom","fields":[
            {"name":"sale_ts","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"till","type":["null","string"]},
            {"name":"sale_amount","type":["null","long"]},{"name":"store_id","type":"string"}]}"#;
        reader.learn(3, Writer::Schema(schema));
        let encoder = Encoder::compile(schema).unwrap();
        let mut value = vec![0, 0, 0, 0, 3];
        encoder.encode(&[Scalar::Long(-1), Scalar::Str("x"), Scalar::Null, Scalar::Str("ABC")], &mut value).unwrap();
        let decoded = reader.read(Some(&value)).unwrap();
        assert_eq!((decoded.time_ms, decoded.values.as_slice()), (-1, &[None][..]));
    }

    /// What a reader of a measure over `amount`, now of the type `newest`, makes of a value written with the type `written`.
    fn measured(function: &str, newest: &str, written: &str, value: Scalar<'_>) -> Result<Option<Number>, &'static str> {
        let schema = |kind: &str| {
            format!(
                r#"{{"type":"record","name":"Sale","fields":[{{"name":"store_id","type":"string"}},
                {{"name":"sale_ts","type":"long"}},{{"name":"amount","type":["null",{kind}]}}]}}"#
            )
        };
        let config = config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap();
        let mut aggregate = config.aggregates[0].clone();
        aggregate.measures[0].function = serde_json::from_value(function.into()).unwrap();
        aggregate.measures[0].field = Some("amount".into());
        let layout = Layout::new(&aggregate, &schema(newest), "sale_ts").unwrap();
        let mut reader = Reader::new(Arc::new(layout));
        reader.learn(5, Writer::Schema(&schema(written)));
        let mut bytes = vec![0, 0, 0, 0, 5];
        let encoder = Encoder::compile(&schema(written)).unwrap();
        encoder.encode(&[Scalar::Str("ABC"), Scalar::Long(1), value], &mut bytes).unwrap();
        match reader.read(Some(&bytes)) {
            Ok(decoded) => Ok(decoded.values[0]),
            Err(Unreadable::Poison { cause, .. } | Unreadable::Schemaless { cause, .. }) => Err(cause),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn decimals_are_read_at_the_scale_of_the_newest_schema() {
        let decimal =
            |precision, scale| format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#);
        let of = |unscaled, scale| Scalar::Decimal { unscaled, scale };
        let newest = decimal(20, 2);
        let wrong = Err("wrong-schema");
        let cases = [
            (decimal(20, 2), of(-1_234, 2), Ok(Some(Number::Int(-1_234)))),
            (decimal(20, 0), of(7, 0), Ok(Some(Number::Int(700)))),
            (decimal(20, 3), of(1_230, 3), Ok(Some(Number::Int(123)))),
            (decimal(20, 3), of(1_234, 3), wrong),
            (decimal(38, 0), of(10_i128.pow(37), 0), wrong),
            ("\"int\"".into(), Scalar::Int(-5), Ok(Some(Number::Int(-500)))),
            ("\"long\"".into(), Scalar::Null, Ok(None)),
            ("\"double\"".into(), Scalar::Double(1.5), wrong),
        ];
        for (written, value, expected) in cases {
            for function in ["sum", "min", "max", "avg"] {
                assert_eq!(measured(function, &newest, &written, value), expected, "{function} of {value} as {written}");
            }
        }
        // What is none of the sink's types must not get into a sum, where it would spoil the whole row.
        assert_eq!(measured("sum", "\"long\"", "\"double\"", Scalar::Double(1.5)), wrong);
        assert_eq!(measured("sum", "\"long\"", &newest, of(500, 2)), Ok(Some(Number::Int(5))));
        assert_eq!(measured("sum", "\"double\"", "\"int\"", Scalar::Int(2)), Ok(Some(Number::Float(2.0))));
    }

    #[test]
    fn counting_a_field_takes_whatever_is_not_null() {
        assert_eq!(measured("count", "\"string\"", "\"string\"", Scalar::Str("x")), Ok(Some(Number::Int(1))));
        assert_eq!(measured("count", "\"double\"", "\"double\"", Scalar::Double(f64::NAN)), Ok(Some(Number::Int(1))));
        assert_eq!(measured("count", "\"string\"", "\"string\"", Scalar::Null), Ok(None));
    }

    /// A reader whose newest schema has a till of its own, by which sales are grouped, and another name for the amount.
    fn renamed(till: &str) -> Reader {
        let config = config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap();
        let mut aggregate = config.aggregates[0].clone();
        aggregate.group_by = vec!["store_id".into(), "till".into()];
        aggregate.measures[0].field = Some("amount".into());
        let newest = format!(
            r#"{{"type":"record","name":"StoreSale","namespace":"com.acosom","fields":[
            {{"name":"store_id","type":"string"}},{{"name":"amount","type":"long","aliases":["sale_amount"]}},
            {{"name":"sale_ts","type":"long"}},{till}]}}"#
        );
        Reader::new(Arc::new(Layout::new(&aggregate, &newest, "sale_ts").unwrap()))
    }

    #[test]
    fn an_older_schema_lacks_what_the_newest_has_a_default_for_and_has_other_names() {
        let (_, old) = reader();
        let mut reader = renamed(r#"{"name":"till","type":"int","default":-1}"#);
        reader.learn(7, Writer::Schema(&old));
        let decoded = reader.read(Some(&sale(&old, 7))).unwrap();
        assert_eq!((decoded.time_ms, decoded.values.as_slice()), (1_700_000_000_000, &[Some(Number::Int(250))][..]));
        assert_eq!(decoded.group, [6, b'A', b'B', b'C', 1]);
    }

    #[test]
    fn without_a_default_the_missing_field_is_named() {
        let (_, old) = reader();
        let mut reader = renamed(r#"{"name":"till","type":"int"}"#);
        reader.learn(7, Writer::Schema(&old));
        let Err(Unreadable::Schemaless { cause, detail, .. }) = reader.read(Some(&sale(&old, 7))) else { panic!("it is read") };
        assert_eq!(cause, "wrong-schema");
        assert!(detail.contains("has no field `till`") && detail.contains("schema id 7"), "{detail}");
    }
}
