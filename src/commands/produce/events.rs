//! From a source's schema and rules to the bytes of its events. Opens no socket.

use std::fmt::Write as _;

use apache_avro::Schema;
use serde_json::Value as Json;

use crate::avro::{Encoder, FieldKind, Scalar, wire};
use crate::config::{Generate, Source};
use crate::engine::generator::{Field, Fixed, Generator, Holds, Made, Misfit, Random, Rule, Unit};
use crate::error::{Error, Kind, Result};

/// Makes a source's events and writes them down as record keys and values.
pub(super) struct Events {
    generator: Generator,
    encoder: Encoder,
    key: Option<usize>,
}

/// Buffers that are used again for every event.
#[derive(Default)]
pub(super) struct Scratch<'a> {
    made: Vec<Made<'a>>,
    scalars: Vec<Scalar<'a>>,
    key: String,
    keyed: bool,
    value: Vec<u8>,
}

impl Scratch<'_> {
    /// The record key of the event written last: the key field as text.
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.keyed.then_some(self.key.as_bytes())
    }

    /// The record value of the event written last.
    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }
}

impl Events {
    /// Checks that every field can be made up and written.
    pub(super) fn of(source: &Source) -> Result<Self> {
        let encoder = Encoder::compile(&source.schema_text).map_err(|error| {
            wrong(source, &error).hint("`pipeline produce` writes flat records; write others with your own program")
        })?;
        let defaults = defaults(&source.schema_text);
        let mut generator = Generator::default();
        for (field, (symbols, default)) in encoder.fields().iter().zip(defaults) {
            let left_out = default.and_then(|json| fixed(&json)).or(field.nullable.then_some(Fixed::Null));
            let made = Field { name: field.name.clone(), holds: holds(field.kind, symbols), left_out };
            let added = if field.name == source.time {
                generator.time(&made)
            } else {
                generator.field(&made, source.generate.get(&field.name).map(rule))
            };
            added.map_err(|misfit| unmade(source, &field.name, misfit))?;
        }
        let events = Self { key: place(source, &encoder, source.key.as_ref())?, generator, encoder };
        place(source, &events.encoder, Some(&source.time))?;
        // Whatever the encoder refuses, it refuses now.
        events
            .write(0, 0, &mut Random::new(0), &mut Scratch::default())
            .map_err(|error| Error { kind: Kind::Config, ..error })?;
        Ok(events)
    }

    /// Makes the event of this time and writes it into `scratch`.
    pub(super) fn write<'a>(
        &'a self,
        schema_id: u32,
        time_us: i64,
        random: &mut Random,
        scratch: &mut Scratch<'a>,
    ) -> Result<()> {
        self.generator.make(time_us, random, &mut scratch.made);
        scratch.scalars.clear();
        scratch.scalars.extend(scratch.made.iter().zip(self.encoder.fields()).map(|(made, field)| scalar(*made, field.kind)));
        scratch.value.clear();
        wire::frame(schema_id, &mut scratch.value);
        self.encoder
            .encode(&scratch.scalars, &mut scratch.value)
            .map_err(|error| Error::new(Kind::Data, format!("a made-up event does not fit the schema: {error}")))?;
        let key = self.key.and_then(|place| scratch.scalars.get(place)).unwrap_or(&Scalar::Null);
        scratch.key.clear();
        scratch.keyed = *key != Scalar::Null;
        match key {
            Scalar::Str(text) => scratch.key.push_str(text),
            // Writing to a string cannot fail.
            other => drop(write!(scratch.key, "{other}")),
        }
        Ok(())
    }
}

fn wrong(source: &Source, what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Config, format!("[[source]] `{}`, schema {}: {what}", source.topic, source.schema.display()))
}

fn unmade(source: &Source, field: &str, misfit: Misfit) -> Error {
    wrong(source, format!("field `{field}` {}", misfit.what)).hint(misfit.remedy)
}

fn place(source: &Source, encoder: &Encoder, field: Option<&String>) -> Result<Option<usize>> {
    let Some(name) = field else { return Ok(None) };
    match encoder.fields().iter().position(|field| field.name == *name) {
        Some(place) => Ok(Some(place)),
        None => Err(wrong(source, format!("`{name}` is not a field of the record itself"))),
    }
}

/// Each field's enum symbols and default, in the schema's order.
fn defaults(schema: &str) -> Vec<(Vec<String>, Option<Json>)> {
    let Ok(Schema::Record(record)) = Schema::parse_str(schema) else { return Vec::new() };
    record.fields.into_iter().map(|field| (symbols(&field.schema), field.default)).collect()
}

fn symbols(schema: &Schema) -> Vec<String> {
    match schema {
        Schema::Enum(symbols) => symbols.symbols.clone(),
        Schema::Union(union) => union.variants().iter().flat_map(symbols).collect(),
        _ => Vec::new(),
    }
}

fn holds(kind: FieldKind, symbols: Vec<String>) -> Holds {
    match kind {
        FieldKind::Str => Holds::Text,
        FieldKind::Enum => Holds::Symbol(symbols),
        FieldKind::Int => Holds::Int,
        FieldKind::Long => Holds::Long,
        FieldKind::Float | FieldKind::Double => Holds::Real,
        FieldKind::TimestampMillis | FieldKind::LocalTimestampMillis => Holds::Time(Unit::Millis),
        FieldKind::TimestampMicros | FieldKind::LocalTimestampMicros => Holds::Time(Unit::Micros),
        FieldKind::TimestampNanos | FieldKind::LocalTimestampNanos => Holds::Time(Unit::Nanos),
        other => Holds::Other(other.to_string()),
    }
}

fn rule(generate: &Generate) -> Rule<'_> {
    match generate {
        Generate::OneOf(texts) => Rule::OneOf(texts),
        Generate::Uniform([least, greatest]) => Rule::Uniform(*least, *greatest),
    }
}

/// A default that is one plain value.
fn fixed(json: &Json) -> Option<Fixed> {
    match json {
        Json::Null => Some(Fixed::Null),
        Json::Bool(flag) => Some(Fixed::Bool(*flag)),
        Json::Number(number) => number.as_i64().map(Fixed::Whole).or(number.as_f64().map(Fixed::Real)),
        Json::String(text) => Some(Fixed::Text(text.clone())),
        Json::Array(_) | Json::Object(_) => None,
    }
}

fn scalar(made: Made<'_>, kind: FieldKind) -> Scalar<'_> {
    match made {
        Made::Null => Scalar::Null,
        Made::Bool(flag) => Scalar::Bool(flag),
        Made::Whole(number) => Scalar::Long(number),
        Made::Real(number) if kind == FieldKind::Float => Scalar::Float(number as f32),
        Made::Real(number) => Scalar::Double(number),
        Made::Text(text) => Scalar::Str(text),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use apache_avro::reader::datum::GenericDatumReader;

    use super::*;

    fn source(fields: &str, generate: &[(&str, Generate)]) -> Source {
        Source {
            topic: "T".into(),
            schema: "t.avsc".into(),
            schema_text: format!(r#"{{"type": "record", "name": "T", "fields": [{fields}]}}"#),
            key: Some("k".into()),
            time: "t".into(),
            generate: generate.iter().map(|(name, rule)| ((*name).to_owned(), rule.clone())).collect::<BTreeMap<_, _>>(),
            partitions: None,
            replication_factor: None,
            retention: None,
        }
    }

    const K: &str = r#"{"name": "k", "type": ["null", "string"]}"#;
    const T: &str = r#"{"name": "t", "type": {"type": "long", "logicalType": "timestamp-micros"}}"#;

    fn one_of(texts: &[&str]) -> Generate {
        Generate::OneOf(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    fn refused(source: &Source) -> Error {
        let error = Events::of(source).err().unwrap();
        assert_eq!(error.kind, Kind::Config, "{error}");
        error
    }

    #[test]
    fn an_event_is_what_apache_avro_reads() {
        let more = r#"{"name": "n", "type": "long"}, {"name": "f", "type": "float"}, {"name": "d", "type": ["null", "double"]},
            {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
            {"name": "b", "type": "boolean", "default": true}, {"name": "s", "type": "string", "default": "x"},
            {"name": "o", "type": ["null", "bytes"], "default": null}, {"name": "i", "type": "int", "default": -3}"#;
        let number = Generate::Uniform([5.0, 5.0]);
        let rules = [("k", one_of(&["ABC"])), ("n", number.clone()), ("f", number.clone()), ("d", number), ("e", one_of(&["B"]))];
        let source = source(&format!("{K}, {T}, {more}"), &rules);
        let events = Events::of(&source).unwrap();
        let mut scratch = Scratch::default();
        events.write(258, 1_700_000_000_000_001, &mut Random::new(1), &mut scratch).unwrap();
        assert_eq!((scratch.key(), &scratch.value()[..5]), (Some(&b"ABC"[..]), &[0, 0, 0, 1, 2][..]));
        let schema = Schema::parse_str(&source.schema_text).unwrap();
        let read = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut &scratch.value()[5..]).unwrap();
        let json: Json = read.try_into().unwrap();
        let expected = serde_json::json!({"k": "ABC", "t": 1_700_000_000_000_001_i64, "n": 5, "f": 5.0, "d": 5.0, "e": "B",
            "b": true, "s": "x", "o": null, "i": -3});
        assert_eq!(json, expected);
    }

    #[test]
    fn a_null_key_is_no_key() {
        let source = source(&format!("{K}, {T}"), &[]);
        let events = Events::of(&source).unwrap();
        let mut scratch = Scratch::default();
        events.write(1, 0, &mut Random::new(1), &mut scratch).unwrap();
        assert_eq!(scratch.key(), None);
    }

    #[test]
    fn a_field_that_cannot_be_made_up_is_named() {
        let amount = r#"{"name": "amount", "type": "int"}"#;
        let error = refused(&source(&format!("{K}, {T}, {amount}"), &[]));
        assert!(error.message.contains("field `amount` is an int") && error.hint.unwrap().contains("amount = { uniform"));
        let error = refused(&source(&format!("{K}, {T}, {amount}"), &[("amount", one_of(&["1"]))]));
        assert!(error.message.contains("`amount`") && error.hint.unwrap().contains("uniform"));
        let bytes = r#"{"name": "raw", "type": {"type": "fixed", "name": "F", "size": 3}, "default": "\u0000"}"#;
        refused(&source(&format!("{K}, {T}, {bytes}"), &[]));
        let list = r#"{"name": "list", "type": {"type": "array", "items": "int"}, "default": []}"#;
        refused(&source(&format!("{K}, {T}, {list}"), &[]));
    }

    #[test]
    fn the_time_must_be_a_long_in_the_record() {
        refused(&source(&format!("{K}, {}", r#"{"name": "t", "type": "int"}"#), &[]));
        let error = refused(&source(K, &[]));
        assert!(error.message.contains("`t`"), "{error}");
    }
}
