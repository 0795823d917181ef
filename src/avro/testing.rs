//! Random schemas with values that fit them, for tests in which apache-avro is the judge.

use std::collections::{HashMap, HashSet};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema, Uuid};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::encode::{self, branch};
use super::scalar::Scalar;

/// A type, before it has names.
#[derive(Debug, Clone)]
pub enum Shape {
    Null,
    /// A primitive by its Avro name.
    Plain(&'static str),
    /// A logical type and what it is on.
    Logical(&'static str, &'static str),
    Enum(usize),
    Fixed(usize),
    /// On a fixed of so many bytes, or on bytes.
    Decimal(Option<usize>),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Vec<Shape>),
    /// Its fields are named `f0`, `f1` and so on.
    Record(Vec<Shape>),
    /// A record `{next: null or itself, v: long}`.
    List,
}

/// The scale of all decimals here.
const SCALE: u32 = 3;

pub fn leaves() -> BoxedStrategy<Shape> {
    let plain = ["boolean", "int", "long", "float", "double", "string", "bytes"].map(Shape::Plain);
    let logical = [
        ("int", "date"),
        ("int", "time-millis"),
        ("long", "time-micros"),
        ("long", "timestamp-millis"),
        ("long", "timestamp-micros"),
        ("long", "local-timestamp-millis"),
        ("string", "uuid"),
    ];
    prop_oneof![
        4 => prop::sample::select(plain.to_vec()),
        2 => prop::sample::select(logical.map(|(on, name)| Shape::Logical(on, name)).to_vec()),
        1 => (1..80_usize).prop_map(Shape::Enum),
        1 => (0..20_usize).prop_map(Shape::Fixed),
        1 => prop::option::of(1..17_usize).prop_map(Shape::Decimal),
        1 => Just(Shape::Null),
    ]
    .boxed()
}

/// A leaf, or null and a leaf in either order.
pub fn nullable_leaves() -> BoxedStrategy<Shape> {
    let with_null = (leaves(), any::<bool>()).prop_map(|(leaf, null_first)| match leaf {
        Shape::Null => leaf,
        _ if null_first => union(vec![Shape::Null, leaf]),
        _ => union(vec![leaf, Shape::Null]),
    });
    prop_oneof![leaves(), with_null].boxed()
}

pub fn records() -> BoxedStrategy<Shape> {
    let any_shape = prop_oneof![4 => nullable_leaves(), 1 => Just(Shape::List)].prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            2 => vec(inner.clone(), 0..6).prop_map(Shape::Record),
            2 => vec(inner.clone(), 0..4).prop_map(|fields| union(vec![Shape::Null, Shape::Record(fields)])),
            1 => vec(inner.clone(), 1..5).prop_map(union),
            1 => vec(leaves(), 1..5).prop_map(union),
            1 => inner.clone().prop_map(|item| Shape::Array(item.into())),
            1 => inner.prop_map(|item| Shape::Map(item.into())),
        ]
    });
    vec(any_shape, 0..8).prop_map(Shape::Record).boxed()
}

/// A union of those branches that may stand beside each other.
fn union(branches: Vec<Shape>) -> Shape {
    let mut seen = HashSet::new();
    let flat = branches.into_iter().flat_map(|branch| if let Shape::Union(inner) = branch { inner } else { vec![branch] });
    Shape::Union(flat.filter(|branch| seen.insert(branch.union_class())).collect())
}

impl Shape {
    fn union_class(&self) -> String {
        match self {
            Self::Plain(on) | Self::Logical(on, _) => (*on).to_owned(),
            Self::Decimal(None) => "bytes".to_owned(),
            Self::Array(_) => "array".to_owned(),
            Self::Map(_) => "map".to_owned(),
            named => format!("{named:?}"),
        }
    }

    /// The schema in JSON. Equal named types are defined once and then referred to.
    pub fn schema(&self) -> String {
        self.json(&mut HashMap::new()).to_string()
    }

    fn json(&self, names: &mut HashMap<String, String>) -> Json {
        match self {
            Self::Null => json!("null"),
            Self::Plain(name) => json!(name),
            Self::Logical(on, name) => json!({"type": on, "logicalType": name}),
            Self::Decimal(None) => json!({"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": SCALE}),
            Self::Array(item) => json!({"type": "array", "items": item.json(names)}),
            Self::Map(item) => json!({"type": "map", "values": item.json(names)}),
            Self::Union(branches) => branches.iter().map(|branch| branch.json(names)).collect(),
            definable => {
                let (key, new) = (format!("{definable:?}"), format!("N{}", names.len()));
                if let Some(name) = names.get(&key) {
                    return json!(name);
                }
                names.insert(key, new.clone());
                definable.definition(&new, names)
            }
        }
    }

    fn definition(&self, name: &str, names: &mut HashMap<String, String>) -> Json {
        match self {
            Self::Enum(count) => {
                json!({"type": "enum", "name": name, "symbols": (0..*count).map(|i| format!("S{i}")).collect::<Vec<_>>()})
            }
            Self::Fixed(size) => json!({"type": "fixed", "name": name, "size": size}),
            Self::Decimal(Some(size)) => json!({
                "type": "fixed", "name": name, "size": size, "logicalType": "decimal", "precision": 40, "scale": SCALE,
            }),
            Self::List => json!({"type": "record", "name": name, "fields": [
                {"name": "next", "type": ["null", name]}, {"name": "v", "type": "long"},
            ]}),
            Self::Record(fields) => {
                let fields: Vec<Json> =
                    fields.iter().enumerate().map(|(i, f)| json!({"name": format!("f{i}"), "type": f.json(names)})).collect();
                json!({"type": "record", "name": name, "fields": fields})
            }
            unnamed => unreachable!("{unnamed:?}"),
        }
    }

    pub fn values(&self) -> BoxedStrategy<Value> {
        match self {
            Self::Null => Just(Value::Null).boxed(),
            Self::Plain(name) => plain_values(name),
            Self::Logical(on, name) => plain_values(on).prop_map(|value| logical(name, value)).boxed(),
            Self::Enum(count) => (0..*count).prop_map(|i| Value::Enum(i as u32, format!("S{i}"))).boxed(),
            Self::Fixed(size) => {
                let size = *size;
                vec(any::<u8>(), size).prop_map(move |bytes| Value::Fixed(size, bytes)).boxed()
            }
            Self::Decimal(size) => {
                let size = *size;
                let sizes = size.map_or(1..17, |size| size..size + 1);
                vec(any::<u8>(), sizes).prop_map(move |bytes| decimal(&bytes, size)).boxed()
            }
            Self::Array(item) => vec(item.values(), 0..4).prop_map(Value::Array).boxed(),
            Self::Map(item) => {
                btree_map("[a-zä]{0,3}", item.values(), 0..4).prop_map(|items| Value::Map(items.into_iter().collect())).boxed()
            }
            Self::Union(branches) => {
                let branches = branches.iter().enumerate();
                let values = branches.map(|(i, b)| b.values().prop_map(move |v| Value::Union(i as u32, v.into())).boxed());
                prop::strategy::Union::new(values).boxed()
            }
            Self::Record(fields) => fields.iter().map(Self::values).collect::<Vec<_>>().prop_map(record).boxed(),
            Self::List => vec(any::<i64>(), 1..5).prop_map(|values| list(&values)).boxed(),
        }
    }

    /// Every field that a plan can read, with what the value says it is: paths through null records give null.
    pub fn readable<'v>(&self, value: Option<&'v Value>, path: &str, found: &mut Vec<(String, Scalar<'v>)>) {
        match self {
            Self::Record(fields) => {
                for (i, field) in fields.iter().enumerate() {
                    let value = value.map(|value| field_of(value, i));
                    field.readable(value, format!("{path}.f{i}").trim_start_matches('.'), found);
                }
            }
            Self::List => {
                let next = value.and_then(|value| union_value(field_of(value, 0))).filter(|next| **next != Value::Null);
                found.push((format!("{path}.v"), value.map_or(Scalar::Null, |value| scalar(field_of(value, 1)))));
                found.push((format!("{path}.next.v"), next.map_or(Scalar::Null, |next| scalar(field_of(next, 1)))));
            }
            Self::Union(branches) => match &branches[..] {
                all if all.iter().all(Self::is_leaf) => found.push((path.to_owned(), value.map_or(Scalar::Null, scalar))),
                [Self::Null, some] | [some, Self::Null] | [some] => {
                    let inner = value.and_then(union_value).filter(|inner| **inner != Value::Null);
                    some.readable(inner, path, found);
                }
                _ => {}
            },
            Self::Array(_) | Self::Map(_) => {}
            _ => found.push((path.to_owned(), value.map_or(Scalar::Null, scalar))),
        }
    }

    fn is_leaf(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Map(_) | Self::Union(_) | Self::Record(_) | Self::List)
    }

    /// Writes a value with every block's size in front of it, which apache-avro never does.
    pub fn write_with_block_sizes(&self, value: &Value, out: &mut Vec<u8>) {
        match (self, value) {
            (Self::Array(item), Value::Array(items)) => {
                blocks(items, out, |value, out| item.write_with_block_sizes(value, out));
            }
            (Self::Map(item), Value::Map(items)) => blocks(items, out, |(key, value), out| {
                encode::string(key, out);
                item.write_with_block_sizes(value, out);
            }),
            (Self::Union(branches), Value::Union(i, value)) => {
                branch(*i as usize, out);
                branches[*i as usize].write_with_block_sizes(value, out);
            }
            (Self::Record(fields), Value::Record(values)) => {
                fields.iter().zip(values).for_each(|(field, (_, value))| field.write_with_block_sizes(value, out));
            }
            (leaf, value) => out.extend(judge_encodes(&leaf.schema(), value)),
        }
    }
}

fn blocks<T>(items: impl IntoIterator<Item = T>, out: &mut Vec<u8>, mut write: impl FnMut(T, &mut Vec<u8>)) {
    for item in items {
        let mut block = Vec::new();
        write(item, &mut block);
        encode::long(-1, out);
        encode::bytes(&block, out);
    }
    encode::long(0, out);
}

/// In bytes, a decimal is as short as it can be, as Java writes it.
fn decimal(bytes: &[u8], size: Option<usize>) -> Value {
    let is_padding = |pair: &&[u8]| matches!(pair, [0, 0..0x80] | [0xff, 0x80..=0xff]);
    let padding = bytes.windows(2).take_while(is_padding).count();
    Value::Decimal(Decimal::from(&bytes[if size.is_none() { padding } else { 0 }..]))
}

fn plain_values(name: &str) -> BoxedStrategy<Value> {
    match name {
        "boolean" => any::<bool>().prop_map(Value::Boolean).boxed(),
        "int" => prop_oneof![any::<i32>(), -70..70].prop_map(Value::Int).boxed(),
        "long" => prop_oneof![any::<i64>(), -70..70_i64, Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Long).boxed(),
        "float" => any::<f32>().prop_map(Value::Float).boxed(),
        "double" => any::<f64>().prop_map(Value::Double).boxed(),
        "string" => prop_oneof!["\\PC{0,8}", "a{60,70}"].prop_map(Value::String).boxed(),
        _ => vec(any::<u8>(), 0..70).prop_map(Value::Bytes).boxed(),
    }
}

fn logical(name: &str, value: Value) -> Value {
    match (name, value) {
        ("date", Value::Int(value)) => Value::Date(value),
        ("time-millis", Value::Int(value)) => Value::TimeMillis(value),
        ("time-micros", Value::Long(value)) => Value::TimeMicros(value),
        ("timestamp-millis", Value::Long(value)) => Value::TimestampMillis(value),
        ("timestamp-micros", Value::Long(value)) => Value::TimestampMicros(value),
        ("local-timestamp-millis", Value::Long(value)) => Value::LocalTimestampMillis(value),
        ("uuid", Value::String(value)) => Value::Uuid(Uuid::from_u128(value.len() as u128 * 0x0123_4567_89ab_cdef_0123)),
        (name, value) => unreachable!("{name} {value:?}"),
    }
}

fn record(values: Vec<Value>) -> Value {
    Value::Record(values.into_iter().enumerate().map(|(i, value)| (format!("f{i}"), value)).collect())
}

fn list(values: &[i64]) -> Value {
    let (v, rest) = values.split_first().expect("a list has a value");
    let next = if rest.is_empty() { Value::Union(0, Value::Null.into()) } else { Value::Union(1, list(rest).into()) };
    Value::Record(vec![("next".into(), next), ("v".into(), Value::Long(*v))])
}

fn field_of(record: &Value, i: usize) -> &Value {
    let Value::Record(fields) = record else { unreachable!("{record:?}") };
    &fields[i].1
}

fn union_value(union: &Value) -> Option<&Value> {
    if let Value::Union(_, value) = union { Some(value) } else { None }
}

/// What a plan should say where apache-avro says this.
pub fn scalar(value: &Value) -> Scalar<'_> {
    match value {
        Value::Null => Scalar::Null,
        Value::Boolean(value) => Scalar::Bool(*value),
        Value::Int(value) | Value::Date(value) | Value::TimeMillis(value) => Scalar::Int(*value),
        Value::Long(value)
        | Value::TimeMicros(value)
        | Value::TimestampMillis(value)
        | Value::TimestampMicros(value)
        | Value::LocalTimestampMillis(value) => Scalar::Long(*value),
        Value::Float(value) => Scalar::Float(*value),
        Value::Double(value) => Scalar::Double(*value),
        Value::String(value) | Value::Enum(_, value) => Scalar::Str(value),
        Value::Uuid(value) => Scalar::Str(value.to_string().leak()),
        Value::Bytes(value) | Value::Fixed(_, value) => Scalar::Bytes(value),
        Value::Decimal(value) => Scalar::Decimal { unscaled: to_i128(&Vec::try_from(value).unwrap()), scale: SCALE },
        Value::Union(_, value) => scalar(value),
        other => unreachable!("{other:?}"),
    }
}

fn to_i128(bytes: &[u8]) -> i128 {
    bytes[1..].iter().fold(i128::from(bytes[0].cast_signed()), |value, byte| (value << 8) | i128::from(*byte))
}

pub fn judge_encodes(schema: &str, value: &Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    writer.write_value_to_vec(value.clone()).unwrap()
}

pub fn judge_decodes(schema: &str, mut datum: &[u8]) -> Value {
    let schema = Schema::parse_str(schema).unwrap();
    let value = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut datum).unwrap();
    assert!(datum.is_empty());
    value
}

/// The fields of a record as a reader with another schema has them, as text.
pub fn judge_resolves(writer: &str, reader: &str, mut datum: &[u8]) -> HashMap<String, String> {
    let (writer, reader) = (Schema::parse_str(writer).unwrap(), Schema::parse_str(reader).unwrap());
    let judge = GenericDatumReader::builder(&writer).reader_schema(&reader).build().unwrap();
    let Value::Record(fields) = judge.read_value(&mut datum).unwrap() else { panic!("not a record") };
    fields.iter().map(|(name, value)| (name.clone(), scalar(value).to_string())).collect()
}

/// Bytes written in hex, spaces where one likes.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

pub const SALES: &str = include_str!("../../config/sales.avsc");

/// The value of the tutorial's Flink job, where the windows are part of the key.
pub const FLINK_VALUE: &str = r#"{"type":"record","name":"record","namespace":"org.apache.flink.avro.generated","fields":[
    {"name":"store_id","type":"string"},
    {"name":"window_start","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"window_end","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"aggregated_sales","type":["null","int"],"default":null}]}"#;
