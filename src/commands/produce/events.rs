//! From a source's schema and rules to the bytes of its events. Opens no socket.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::avro::{Encoder, FieldKind, Optional, Outlined, Scalar, outline, wire};
use crate::config::{Constant, Generate, Source};
use crate::engine::generator::{Field, Fixed, Generator, Holds, Made, Misfit, Random, Rule, Unit, Values};
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
            wrong(source, &error).hint("`pipeline produce` writes records of single values; write others with your own program")
        })?;
        check_names(source, &encoder)?;
        let outlined: HashMap<String, Outlined> =
            outline(&source.schema_text).into_iter().flatten().map(|field| (field.path.clone(), field)).collect();
        let mut generator = Generator::default();
        let mut records = encoder.optional().iter().peekable();
        for (place, field) in encoder.fields().iter().enumerate() {
            while let Some(record) = records.next_if(|record| record.fields.start <= place) {
                let nulls = record_nulls(source, record)?;
                generator.record(record.fields.len(), nulls);
            }
            let misfit = |misfit| unmade(source, &field.name, misfit);
            let made = generated(source, &encoder, place, outlined.get(&field.name));
            if field.name == source.time {
                generator.time(&made).map_err(misfit)?;
            } else {
                let rule = source.generate.get(&field.name).map(rule);
                generator.field(&made, rule.as_ref()).map_err(misfit)?;
                check_branches(&encoder, place, rule.as_ref()).map_err(misfit)?;
            }
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
        None => Err(wrong(source, format!("`{name}` is not a single value of the record"))),
    }
}

/// Every name under `generate` is that of a value or of a record that may be null.
fn check_names(source: &Source, encoder: &Encoder) -> Result<()> {
    let values = || encoder.fields().iter().map(|field| &field.name);
    let known = |name: &String| values().any(|value| value == name) || encoder.optional().iter().any(|one| one.path == *name);
    match source.generate.keys().find(|name| !known(name)) {
        Some(other) => {
            let values: Vec<&str> = values().map(String::as_str).collect();
            Err(wrong(source, format!("generate `{other}`: that is no value, and no record that may be null"))
                .hint(format!("the record's values are {}", values.join(", "))))
        }
        None => Ok(()),
    }
}

/// The share of events in which a record is null.
fn record_nulls(source: &Source, record: &Optional) -> Result<f64> {
    match source.generate.get(&record.path) {
        Some(Generate { one_of: None, uniform: None, nulls }) => Ok(*nulls),
        Some(_) => Err(wrong(source, format!("generate `{}` is a record, for which only nulls can be said", record.path))
            .hint(format!("give each of its fields an entry: \"{}.FIELD\"", record.path))),
        None => Ok(0.0),
    }
}

/// A field as the generator has it. A record that may be null, and of which nothing is said, is left out.
fn generated(source: &Source, encoder: &Encoder, place: usize, outlined: Option<&Outlined>) -> Field {
    let field = &encoder.fields()[place];
    let is_said = |path: &str| source.generate.keys().chain([&source.time]).any(|name| is_within(name, path));
    let left_out = encoder.optional().iter().any(|record| record.fields.contains(&place) && !is_said(&record.path));
    let nullable = encoder.takes(place, &Scalar::Null);
    let default = outlined.and_then(|field| field.default.as_ref()).filter(|_| !left_out).and_then(fixed);
    Field {
        name: field.name.clone(),
        holds: holds(field.kind, outlined.map(|field| field.symbols.clone()).unwrap_or_default()),
        nullable,
        left_out: default.or((nullable || left_out).then_some(Fixed::Null)),
    }
}

fn is_within(name: &str, path: &str) -> bool {
    name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Each value has a branch that takes it.
fn check_branches(encoder: &Encoder, place: usize, rule: Option<&Rule>) -> std::result::Result<(), Misfit> {
    let Some(Rule { values: Some(Values::OneOf(values)), .. }) = rule else { return Ok(()) };
    let kind = encoder.fields()[place].kind;
    match values.iter().find(|value| !encoder.takes(place, &scalar((*value).into(), kind))) {
        Some(value) => Err(Misfit {
            what: format!("takes no value like `{value}`, which one_of has"),
            remedy: "name values of a type that the schema has for the field".into(),
        }),
        None => Ok(()),
    }
}

fn holds(kind: FieldKind, symbols: Vec<String>) -> Holds {
    match kind {
        FieldKind::Bool => Holds::Flag,
        FieldKind::Str => Holds::Text,
        FieldKind::Enum => Holds::Symbol(symbols),
        FieldKind::Int => Holds::Int,
        FieldKind::Long => Holds::Long,
        FieldKind::Float | FieldKind::Double => Holds::Real,
        FieldKind::TimestampMillis | FieldKind::LocalTimestampMillis => Holds::Time(Unit::Millis),
        FieldKind::TimestampMicros | FieldKind::LocalTimestampMicros => Holds::Time(Unit::Micros),
        FieldKind::TimestampNanos | FieldKind::LocalTimestampNanos => Holds::Time(Unit::Nanos),
        FieldKind::Union => Holds::Mixed,
        other => Holds::Other(other.to_string()),
    }
}

fn rule(generate: &Generate) -> Rule {
    let constant = |constant: &Constant| match constant {
        Constant::Bool(flag) => Fixed::Bool(*flag),
        Constant::Whole(number) => Fixed::Whole(*number),
        Constant::Real(number) => Fixed::Real(*number),
        Constant::Text(text) => Fixed::Text(text.clone()),
    };
    let one_of = generate.one_of.as_ref().map(|values| Values::OneOf(values.iter().map(constant).collect()));
    let values = one_of.or(generate.uniform.map(|[least, greatest]| Values::Uniform(least, greatest)));
    Rule { values, nulls: generate.nulls }
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

    use apache_avro::Schema;
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

    fn generate(toml: &str) -> Generate {
        toml::from_str(toml).unwrap()
    }

    fn one_of(texts: &[&str]) -> Generate {
        generate(&format!("one_of = {texts:?}"))
    }

    fn json(source: &Source, datum: &[u8]) -> Json {
        let schema = Schema::parse_str(&source.schema_text).unwrap();
        let read = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut &*datum).unwrap();
        read.try_into().unwrap()
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
        let number = generate("uniform = [5, 5]");
        let rules = [("k", one_of(&["ABC"])), ("n", number.clone()), ("f", number.clone()), ("d", number), ("e", one_of(&["B"]))];
        let source = source(&format!("{K}, {T}, {more}"), &rules);
        let events = Events::of(&source).unwrap();
        let mut scratch = Scratch::default();
        events.write(258, 1_700_000_000_000_001, &mut Random::new(1), &mut scratch).unwrap();
        assert_eq!((scratch.key(), &scratch.value()[..5]), (Some(&b"ABC"[..]), &[0, 0, 0, 1, 2][..]));
        let expected = serde_json::json!({"k": "ABC", "t": 1_700_000_000_000_001_i64, "n": 5, "f": 5.0, "d": 5.0, "e": "B",
            "b": true, "s": "x", "o": null, "i": -3});
        assert_eq!(json(&source, &scratch.value()[5..]), expected);
    }

    const PAGE: &str = r#"{"name": "page", "type": ["null", {"type": "record", "name": "Page", "fields": [
        {"name": "path", "type": "string"}, {"name": "section", "type": ["null", "string"]},
        {"name": "geo", "type": ["null", {"type": "record", "name": "Geo", "fields": [{"name": "city", "type": "string"}]}]}]}]}"#;
    const WHO: &str = r#"{"name": "who", "type": ["null", "long", "string"]}, {"name": "flag", "type": "boolean"}"#;

    #[test]
    fn nested_records_unions_and_shares_of_nulls_are_what_apache_avro_reads() {
        let rules = [
            ("page", generate("nulls = 0.3")),
            ("page.path", one_of(&["/"])),
            ("page.section", generate("one_of = ['shop']\nnulls = 0.5")),
            ("who", generate("one_of = [7, 'guest']\nnulls = 0.2")),
            ("flag", generate("one_of = [true]")),
        ];
        let source = Source { key: Some("page.section".into()), ..source(&format!("{T}, {PAGE}, {WHO}"), &rules) };
        let events = Events::of(&source).unwrap();
        let (mut scratch, mut random, mut seen) = (Scratch::default(), Random::new(1), BTreeMap::<String, u32>::new());
        for _ in 0..1_000 {
            events.write(1, 0, &mut random, &mut scratch).unwrap();
            let event = json(&source, &scratch.value()[5..]);
            let key = scratch.key().map(|key| String::from_utf8(key.to_vec()).unwrap());
            assert_eq!((key.as_deref(), &event["flag"]), (event["page"]["section"].as_str(), &Json::Bool(true)), "{event}");
            for field in ["page", "who"] {
                *seen.entry(format!("{field} {}", event[field])).or_default() += 1;
            }
        }
        let expected = [
            ("page null", 300_u32),
            (r#"page {"geo":null,"path":"/","section":"shop"}"#, 350),
            (r#"page {"geo":null,"path":"/","section":null}"#, 350),
            (r#"who "guest""#, 400),
            ("who 7", 400),
            ("who null", 200),
        ];
        for (what, about) in expected {
            assert!(seen.remove(what).is_some_and(|count| count.abs_diff(about) < 80), "{what}");
        }
        assert!(seen.is_empty(), "{seen:?}");
    }

    #[test]
    fn rules_for_nested_fields_are_refused_by_name() {
        let fields = format!("{T}, {PAGE}, {WHO}, {}", r#"{"name": "k", "type": "string", "default": ""}"#);
        let path = ("page.path", one_of(&["/"]));
        let told = |more: (&str, &str)| {
            let error =
                refused(&source(&fields, &[path.clone(), ("flag", generate("one_of = [true]")), (more.0, generate(more.1))]));
            error.message.split(": ").skip(1).collect::<Vec<_>>().join(": ")
        };
        assert_eq!(
            told(("page.sektion", "one_of = ['x']")),
            "generate `page.sektion`: that is no value, and no record that may be null"
        );
        assert_eq!(told(("page", "one_of = ['x']")), "generate `page` is a record, for which only nulls can be said");
        assert_eq!(told(("k", "one_of = ['x']\nnulls = 0.5")), "field `k` is a string, which may not be null");
        assert_eq!(told(("who", "one_of = [1, 2.5]")), "field `who` takes no value like `2.5`, which one_of has");
        assert_eq!(told(("who", "nulls = 0.5")), "field `who` is a union of several types: only nulls are made up for it");
        assert_eq!(
            told(("page.geo", "nulls = 0.5")),
            "field `page.geo.city` is a string: it has no default, and nothing says how to make it up"
        );
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
        assert!(error.message.contains("field `amount` is an int:") && error.hint.unwrap().contains("amount = { uniform"));
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
