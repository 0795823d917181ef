use proptest::prelude::*;

use super::super::testing::{FLINK_VALUE, Shape, hex, judge_encodes, leaves, nullable_leaves};
use super::*;
use crate::avro::{Plan, wire};

fn one_field(schema: &str) -> Encoder {
    Encoder::compile(&format!(r#"{{"type":"record","name":"R","fields":[{{"name":"x","type":{schema}}}]}}"#)).unwrap()
}

fn written(schema: &str, value: Scalar<'_>) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    one_field(schema).encode(&[value], &mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

fn refused(schema: &str, value: Scalar<'_>) -> String {
    written(schema, value).unwrap_err()
}

#[test]
fn the_bytes_of_flinks_job() {
    let encoder = Encoder::compile(FLINK_VALUE).unwrap();
    let start = 1_700_000_040_000;
    let values = [Scalar::Str("S0"), Scalar::Long(start), Scalar::Long(start + 60_000), Scalar::Int(17)];
    let mut out = Vec::new();
    wire::frame(4, &mut out);
    encoder.encode(&values, &mut out).unwrap();
    assert_eq!(out, hex("00 00000004 045330 8091b0fef962 c0bab7fef962 02 22"));

    out.clear();
    encoder.encode(&[values[0], values[1], values[2], Scalar::Null], &mut out).unwrap();
    assert_eq!(out, hex("045330 8091b0fef962 c0bab7fef962 00"));
}

#[test]
fn where_the_windows_are_not_in_the_key_they_are_nullable() {
    let timestamp = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
    let schema = FLINK_VALUE.replace(timestamp, &format!(r#"["null",{timestamp}]"#));
    let encoder = Encoder::compile(&schema).unwrap();
    let mut out = Vec::new();
    encoder.encode(&[Scalar::Str("S0"), Scalar::Long(1_700_000_040_000), Scalar::Null, Scalar::Int(17)], &mut out).unwrap();
    assert_eq!(out, hex("045330 02 8091b0fef962 00 02 22"));
    assert_eq!(encoder.fields()[1], Field { name: "window_start".into(), kind: FieldKind::TimestampMillis, nullable: true });
}

#[test]
fn numbers_widen_and_never_wrap() {
    assert_eq!(written(r#""long""#, Scalar::Int(-1)), Ok(vec![1]));
    assert_eq!(written(r#""int""#, Scalar::Long(i32::MAX.into())), written(r#""long""#, Scalar::Long(i32::MAX.into())));
    assert_eq!(written(r#""double""#, Scalar::Int(3)), Ok(3_f64.to_le_bytes().to_vec()));
    assert_eq!(written(r#""float""#, Scalar::Long(3)), Ok(3_f32.to_le_bytes().to_vec()));
    insta::assert_snapshot!(refused(r#""int""#, Scalar::Long(2_147_483_648)), @"2147483648 does not fit field `x`, which is int");
}

#[test]
fn decimals_are_as_short_as_java_writes_them_or_as_wide_as_the_fixed() {
    let bytes = r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":1}"#;
    let decimal = |unscaled| Scalar::Decimal { unscaled, scale: 1 };
    for (value, expected) in [(0, "02 00"), (-1, "02 ff"), (127, "02 7f"), (128, "04 0080"), (-128, "02 80"), (-129, "04 ff7f")] {
        assert_eq!(written(bytes, decimal(value)), Ok(hex(expected)), "{value}");
    }
    insta::assert_snapshot!(refused(bytes, decimal(10_000)), @"1000.0 does not fit field `x`, which is decimal(4, 1)");
    insta::assert_snapshot!(refused(bytes, Scalar::Decimal { unscaled: 1, scale: 2 }), @"field `x` is decimal(4, 1), not decimal");
    let fixed = r#"{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":9,"scale":1}"#;
    assert_eq!(written(fixed, decimal(-2)), Ok(hex("fffe")));
    insta::assert_snapshot!(refused(fixed, decimal(32_768)), @"3276.8 does not fit field `x`, which is decimal(9, 1)");
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    insta::assert_snapshot!(refused(r#""int""#, Scalar::Null), @"field `x` is int, not null");
    insta::assert_snapshot!(refused(r#"["null","int"]"#, Scalar::Str("1")), @"field `x` is null or int, not string");
    let choice = r#"{"type":"enum","name":"E","symbols":["A"]}"#;
    insta::assert_snapshot!(refused(choice, Scalar::Str("B")), @"`B` is not a symbol of field `x`");
    let mut out = vec![7];
    let encoder = one_field(r#"["null","int"]"#);
    assert!(encoder.encode(&[Scalar::Long(i64::MAX)], &mut out).is_err());
    assert_eq!(encoder.encode(&[], &mut out), Err(EncodeError::Count { expected: 1, found: 0 }));
    assert_eq!(out, [7]);
}

#[test]
fn what_is_no_single_value_has_no_encoder() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"x","type":{"type":"array","items":"int"}}]}"#;
    insta::assert_snapshot!(Encoder::compile(schema).unwrap_err(), @"field `x` is of type array, which is not a single value");
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"x","type":["null",
        {"type":"record","name":"I","fields":[{"name":"y","type":{"type":"map","values":"int"}}]}]}]}"#;
    insta::assert_snapshot!(Encoder::compile(schema).unwrap_err(), @"field `x.y` is of type map, which is not a single value");
}

#[test]
fn the_type_of_a_value_picks_the_branch() {
    let choice = r#"["null","double","int",{"type":"enum","name":"E","symbols":["A"]},"string",{"type":"array","items":"int"}]"#;
    for (value, expected) in [
        (Scalar::Null, "00"),
        (Scalar::Double(0.0), "02 0000000000000000"),
        (Scalar::Int(1), "04 02"),
        (Scalar::Float(0.0), "02 0000000000000000"),
        (Scalar::Str("A"), "06 00"),
        (Scalar::Str("B"), "08 02 42"),
    ] {
        assert_eq!(written(choice, value), Ok(hex(expected)), "{value}");
    }
    insta::assert_snapshot!(refused(choice, Scalar::Bool(true)), @"field `x` is null or union, not boolean");
    // Too wide for the first that would take it.
    assert_eq!(written(r#"["int","float"]"#, Scalar::Long(1 << 40)), Ok(hex("02 00008053")));
    insta::assert_snapshot!(refused(r#"["int","string"]"#, Scalar::Long(1 << 40)), @"1099511627776 does not fit field `x`, which is union");
}

const PAGE: &str = r#"{"type":"record","name":"Click","fields":[{"name":"t","type":"long"},
    {"name":"page","type":[{"type":"record","name":"Page","fields":[{"name":"path","type":"string"},
        {"name":"from","type":["null","Page"]},{"name":"shop","type":["null","string"]}]},"null"]}]}"#;

#[test]
fn a_record_is_null_if_all_in_it_is() {
    let encoder = Encoder::compile(PAGE).unwrap();
    let names: Vec<&str> = encoder.fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["t", "page.path", "page.from", "page.shop"]);
    assert_eq!(encoder.optional(), [Optional { path: "page".into(), fields: 1..4 }]);
    assert_eq!([0, 1, 2, 3].map(|field| encoder.takes(field, &Scalar::Null)), [false, false, true, true]);
    let mut out = Vec::new();
    let (t, path) = (Scalar::Long(1), Scalar::Str("/"));
    encoder.encode(&[t, path, Scalar::Null, Scalar::Null], &mut out).unwrap();
    encoder.encode(&[t, Scalar::Null, Scalar::Null, Scalar::Null], &mut out).unwrap();
    assert_eq!(out, hex("02 00 02 2f 00 00  02 02"));
    let error = encoder.encode(&[t, Scalar::Null, Scalar::Null, path], &mut out).unwrap_err();
    insta::assert_snapshot!(error, @"field `page.path` is string, not null");
    let error = encoder.encode(&[t, path, Scalar::Int(1), Scalar::Null], &mut out).unwrap_err();
    insta::assert_snapshot!(error, @"field `page.from` is null, not int");
    assert_eq!(out.len(), 8);
}

/// Unions in which a value's type says whose it is.
fn unions() -> impl Strategy<Value = Shape> {
    proptest::collection::vec(leaves(), 1..6).prop_map(|mut branches| {
        let mut seen = std::collections::HashSet::new();
        branches.retain(|branch| {
            seen.insert(match branch {
                Shape::Plain("bytes") | Shape::Fixed(_) | Shape::Decimal(_) => "bytes",
                Shape::Plain(on) | Shape::Logical(on, _) => on,
                Shape::Enum(_) => "string",
                _ => "null",
            })
        });
        Shape::Union(branches)
    })
}

fn records_of_values() -> impl Strategy<Value = (Shape, apache_avro::types::Value)> {
    let fields = |inner: BoxedStrategy<Shape>| proptest::collection::vec(inner, 0..6).prop_map(Shape::Record);
    let any = prop_oneof![3 => nullable_leaves(), 1 => unions()].prop_recursive(3, 30, 6, move |inner| {
        let optional = (fields(inner.clone()), any::<bool>()).prop_map(|(record, null_first)| {
            Shape::Union(if null_first { vec![Shape::Null, record] } else { vec![record, Shape::Null] })
        });
        prop_oneof![fields(inner), optional]
    });
    fields(any.boxed()).prop_flat_map(|shape| (Just(shape.clone()), shape.values()))
}

/// The same with null for each nullable record that has nothing but nulls, as it is written.
fn without_empty_records(shape: &Shape, value: &mut apache_avro::types::Value) {
    use apache_avro::types::Value;
    match (shape, value) {
        (Shape::Record(shapes), Value::Record(fields)) => {
            shapes.iter().zip(fields).for_each(|(shape, (_, value))| without_empty_records(shape, value));
        }
        (Shape::Union(branches), Value::Union(index, value)) if matches!(branches[*index as usize], Shape::Record(_)) => {
            let record = &branches[*index as usize];
            without_empty_records(record, value);
            let mut found = Vec::new();
            record.readable(Some(value), "", &mut found);
            if found.iter().all(|(_, value)| *value == Scalar::Null) {
                (*index, **value) = (1 - *index, Value::Null);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_record_is_as_the_judge_writes_it((shape, mut value) in records_of_values()) {
        let schema = shape.schema();
        without_empty_records(&shape, &mut value);
        let encoder = Encoder::compile(&schema).unwrap();
        let mut given = Vec::new();
        shape.readable(Some(&value), "", &mut given);
        let (names, values): (Vec<_>, Vec<_>) = given.into_iter().unzip();
        let mut out = Vec::new();
        encoder.encode(&values, &mut out).unwrap();
        prop_assert_eq!(&out, &judge_encodes(&schema, &value));

        let plan = Plan::compile(&schema, &names).unwrap();
        let mut slots = vec![Scalar::Null; names.len()];
        plan.decode(&out, &mut slots).unwrap();
        prop_assert_eq!(&slots, &values);
        prop_assert_eq!(plan.fields(), encoder.fields());
    }
}
