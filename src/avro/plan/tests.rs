use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::super::testing::{FLINK_VALUE, SALES, Shape, hex, judge_decodes, judge_encodes, records};
use super::*;
use crate::avro::wire;

fn read<'a>(plan: &'a Plan, datum: &'a [u8]) -> Result<Vec<Scalar<'a>>, DecodeError> {
    let mut slots = vec![Scalar::Bytes(b"left over from the record before"); plan.fields().len()];
    plan.decode(datum, &mut slots).map(|()| slots)
}

fn record_of(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","namespace":"a.b","fields":[{fields}]}}"#)
}

fn one_field(schema: &str) -> String {
    record_of(&format!(r#"{{"name":"x","type":{schema}}}"#))
}

/// Reads a record of one field that nobody wants.
fn pass_over(schema: &str, datum: &str) -> Result<(), DecodeError> {
    read(&Plan::compile::<&str>(&one_field(schema), &[]).unwrap(), &hex(datum)).map(drop)
}

fn read_x(schema: &str, datum: &str) -> Result<String, DecodeError> {
    let plan = Plan::compile(&one_field(schema), &["x"]).unwrap();
    read(&plan, &hex(datum)).map(|slots| slots[0].to_string())
}

fn refusal(schema: &str, field: &str) -> String {
    Plan::compile(schema, &[field]).unwrap_err().to_string()
}

#[test]
fn sales_in_the_order_asked_for() {
    let plan = Plan::compile(SALES, &["sale_ts", "store_id", "sale_amount"]).unwrap();
    let datum = hex("06 414243 c80f 8091b0fef962");
    let slots = read(&plan, &datum).unwrap();
    assert_eq!(slots, [Scalar::Long(1_700_000_040_000), Scalar::Str("ABC"), Scalar::Int(996)]);
}

#[test]
fn the_bytes_of_flinks_job() {
    let value = hex("00 00000004 045330 8091b0fef962 c0bab7fef962 02 22");
    let plan = Plan::compile(FLINK_VALUE, &["store_id", "window_start", "window_end", "aggregated_sales"]).unwrap();
    let (id, datum) = wire::split(&value).unwrap();
    let start = 1_700_000_040_000;
    assert_eq!(id, 4);
    assert_eq!(
        read(&plan, datum).unwrap(),
        [Scalar::Str("S0"), Scalar::Long(start), Scalar::Long(start + 60_000), Scalar::Int(17)]
    );
    assert_eq!(plan.kind(1), FieldKind::TimestampMillis);
    assert_eq!([0, 1, 2, 3].map(|field| plan.nullable(field)), [false, false, false, true]);
}

#[test]
fn nested_fields_by_a_dotted_path() {
    let schema = record_of(
        r#"{"name":"before","type":"double"},
           {"name":"customer","type":["null",{"type":"record","name":"Customer","fields":[
                {"name":"id","type":"long"},
                {"name":"home","type":{"type":"record","name":"Home","fields":[
                    {"name":"country","type":"string"},{"name":"lat","type":"double"}]}}]}]},
           {"name":"after","type":"double"},
           {"name":"last","type":"Home"}"#,
    );
    let plan = Plan::compile(&schema, &["customer.home.country", "last.country", "customer.id"]).unwrap();
    let (double, home) = ("0000000000000000", "04 4348 0000000000000000");
    let some = hex(&format!("{double} 02 0e {home} {double} {home}"));
    assert_eq!(read(&plan, &some).unwrap(), [Scalar::Str("CH"), Scalar::Str("CH"), Scalar::Long(7)]);
    let none = hex(&format!("{double} 00 {double} {home}"));
    assert_eq!(read(&plan, &none).unwrap(), [Scalar::Null, Scalar::Str("CH"), Scalar::Null]);
    assert_eq!([0, 1, 2].map(|field| plan.nullable(field)), [true, false, true]);
}

#[test]
fn aliases_of_fields_and_of_types_are_names_too() {
    let schema = record_of(
        r#"{"name":"b","type":"int"},{"name":"a","type":"int","aliases":["b","c"]},
           {"name":"d","type":{"type":"enum","name":"E","aliases":["F"],"symbols":["S"]}},{"name":"e","type":"F"}"#,
    );
    let plan = Plan::compile(&schema, &["c", "b", "e"]).unwrap();
    assert_eq!(read(&plan, &[2, 4, 0, 0]).unwrap(), [Scalar::Int(2), Scalar::Int(1), Scalar::Str("S")]);
}

#[test]
fn a_union_of_several_types_gives_what_it_holds() {
    let union = r#"["string","null",{"type":"enum","name":"E","symbols":["A","B"]},"double"]"#;
    assert_eq!(read_x(union, "00 02 61").as_deref(), Ok("a"));
    assert_eq!(read_x(union, "02").as_deref(), Ok("null"));
    assert_eq!(read_x(union, "04 02").as_deref(), Ok("B"));
    assert_eq!(read_x(union, "08"), Err(DecodeError::BadUnionBranch));
    let plan = Plan::compile(&one_field(union), &["x"]).unwrap();
    assert_eq!((plan.kind(0), plan.nullable(0)), (FieldKind::Union, true));
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    assert!(refusal("{", "x").starts_with("not an Avro schema: "));
    insta::assert_snapshot!(refusal(r#""int""#, "x"), @"the schema is of type int, not of a record");
    insta::assert_snapshot!(refusal(SALES, "store"), @"com.acosom.StoreSale has no field `store`; its fields are store_id, sale_amount, sale_ts");
    insta::assert_snapshot!(refusal(SALES, "store_id.x"), @"field `store_id` is of type string, which has no fields");
    let array = one_field(r#"{"type":"array","items":"int"}"#);
    insta::assert_snapshot!(refusal(&array, "x"), @"field `x` is of type array, which is not a single value");
    let nested = one_field(r#"["null",{"type":"record","name":"N","fields":[{"name":"y","type":"int"}]}]"#);
    insta::assert_snapshot!(refusal(&nested, "x"), @"field `x` is of type [null, record a.b.N], which is not a single value");
    insta::assert_snapshot!(refusal(&nested, "x.y.z"), @"field `x.y` is of type int, which has no fields");
    insta::assert_snapshot!(refusal(&nested, "x.z"), @"a.b.N has no field `x.z`; its fields are y");
    assert!(Plan::compile(&nested, &["x.y", "x"]).is_err());
    assert!(Plan::compile(SALES, &["store_id", "store_id.x"]).is_err());
}

#[test]
fn every_cause_by_its_name() {
    let cause = |schema: &str, datum: &str| read_x(schema, datum).map_err(DecodeError::cause);
    assert_eq!(cause(r#""long""#, "80"), Err("truncated"));
    assert_eq!(cause(r#""double""#, "00"), Err("truncated"));
    assert_eq!(cause(r#""long""#, "00 00"), Err("trailing-bytes"));
    assert_eq!(cause(r#""string""#, "02 ff"), Err("bad-utf8"));
    assert_eq!(cause(r#""boolean""#, "02"), Err("bad-boolean"));
    assert_eq!(cause(r#"["null","int"]"#, "04"), Err("bad-union-branch"));
    assert_eq!(cause(r#"["null","int"]"#, "01"), Err("bad-union-branch"));
    assert_eq!(cause(r#"{"type":"enum","name":"E","symbols":["A"]}"#, "02"), Err("bad-enum"));
    assert_eq!(cause(r#""int""#, "8080808010"), Err("varint-overflow"));
    assert_eq!(cause(r#""bytes""#, "04 00"), Err("bad-length"));
    assert_eq!(cause(r#""bytes""#, "01"), Err("bad-length"));
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":40,"scale":2}"#;
    assert_eq!(cause(decimal, &format!("22 {}", "01".repeat(17))), Err("out-of-range"));
    assert_eq!(cause(decimal, "02 ff"), Ok("-0.01".to_owned()));
}

#[test]
fn text_that_nobody_wants_is_not_looked_at() {
    assert_eq!(pass_over(r#""string""#, "02 ff"), Ok(()));
}

#[test]
fn blocks_with_and_without_their_size() {
    let (longs, map) = (r#"{"type":"array","items":"long"}"#, r#"{"type":"map","values":"double"}"#);
    assert_eq!(pass_over(longs, "04 06 36 00"), Ok(()));
    assert_eq!(pass_over(longs, "03 04 06 36 02 07 00"), Ok(()));
    assert_eq!(pass_over(map, "02 02 61 0000000000000000 00"), Ok(()));
    assert_eq!(pass_over(longs, "03 02 06 00"), Err(DecodeError::BadLength), "two longs in one byte");
    assert_eq!(pass_over(longs, "03 01 06 36 00"), Err(DecodeError::BadLength), "a block of -1 bytes");
    assert_eq!(pass_over(longs, "04 06"), Err(DecodeError::BadLength));
    assert_eq!(pass_over(longs, "04 06 36"), Err(DecodeError::Truncated));
}

#[test]
fn counts_beyond_the_data_end_at_once() {
    let (max, min) = ("feffffffffffffffff01", "ffffffffffffffffff01");
    for items in [r#""null""#, r#""long""#, r#""double""#, r#"["null"]"#, r#"{"type":"fixed","name":"F","size":0}"#] {
        let array = format!(r#"{{"type":"array","items":{items}}}"#);
        assert_eq!(pass_over(&array, &format!("{max} 00")), Err(DecodeError::BadLength), "{items}");
        assert_eq!(pass_over(&array, &format!("{min} 00 00")), Err(DecodeError::BadLength), "{items}");
    }
    assert_eq!(pass_over(r#"{"type":"array","items":"null"}"#, "c801 00"), Ok(()));
}

/// Each record holds the one before it twice, so the last would take 2^40 steps to go past, and no bytes.
#[test]
fn records_of_no_bytes_take_no_time() {
    let mut schema = r#"{"type":"record","name":"R0","fields":[]}"#.to_owned();
    for i in 1..=40 {
        let before = i - 1;
        schema = format!(
            r#"{{"type":"record","name":"R{i}","fields":[{{"name":"a","type":{schema}}},{{"name":"b","type":"R{before}"}}]}}"#
        );
    }
    assert_eq!(pass_over(&schema, ""), Ok(()));
}

#[test]
fn recursion_ends_at_a_depth() {
    let list = r#"{"type":"record","name":"L","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","L"]}]}"#;
    let nodes = |count: usize| format!("{} 00 00", "00 02".repeat(count));
    assert_eq!(pass_over(list, &nodes(510)), Ok(()));
    assert_eq!(pass_over(list, &nodes(100_000)), Err(DecodeError::TooDeep));
    let endless = r#"{"type":"record","name":"L","fields":[{"name":"a","type":"L"},{"name":"b","type":"L"}]}"#;
    assert_eq!(pass_over(endless, "00"), Err(DecodeError::TooDeep));
}

/// A record's shape, a value, and the fields to ask for by their place among those that can be read.
fn cases() -> impl Strategy<Value = (Shape, apache_avro::types::Value, Vec<Index>)> {
    records().prop_flat_map(|shape| (Just(shape.clone()), shape.values(), vec(any::<Index>(), 0..8)))
}

/// The paths that the indices stand for, and the values there.
fn wanted<'v>(shape: &Shape, value: &'v apache_avro::types::Value, picks: &[Index]) -> (Vec<String>, Vec<Scalar<'v>>) {
    let mut readable = Vec::new();
    shape.readable(Some(value), "", &mut readable);
    let picks = picks.iter().filter(|_| !readable.is_empty());
    picks.map(|pick| pick.get(&readable).clone()).unzip()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_fields_of_any_record_are_what_the_judge_says((shape, value, picks) in cases()) {
        let (schema, (paths, expected)) = (shape.schema(), wanted(&shape, &value, &picks));
        let plan = Plan::compile(&schema, &paths).unwrap();
        let datum = judge_encodes(&schema, &value);
        prop_assert_eq!(&judge_decodes(&schema, &datum), &value);
        prop_assert_eq!(read(&plan, &datum).unwrap(), &expected[..]);

        let mut sized = Vec::new();
        shape.write_with_block_sizes(&value, &mut sized);
        prop_assert_eq!(&judge_decodes(&schema, &sized), &value);
        prop_assert_eq!(read(&plan, &sized).unwrap(), &expected[..]);
    }

    #[test]
    fn null_comes_only_where_the_plan_says_so((shape, value, picks) in cases()) {
        let (schema, (paths, _)) = (shape.schema(), wanted(&shape, &value, &picks));
        let plan = Plan::compile(&schema, &paths).unwrap();
        for (slot, field) in read(&plan, &judge_encodes(&schema, &value)).unwrap().iter().zip(plan.fields()) {
            prop_assert!(*slot != Scalar::Null || field.nullable, "{:?}", field);
        }
    }

    #[test]
    fn a_record_cut_anywhere_is_an_error((shape, value, picks) in cases()) {
        let (schema, (paths, _)) = (shape.schema(), wanted(&shape, &value, &picks));
        let plan = Plan::compile(&schema, &paths).unwrap();
        let mut datum = judge_encodes(&schema, &value);
        for end in 0..datum.len() {
            let error = read(&plan, &datum[..end]).unwrap_err();
            prop_assert!(matches!(error, DecodeError::Truncated | DecodeError::BadLength), "{:?} at {}", error, end);
        }
        datum.push(0);
        prop_assert_eq!(read(&plan, &datum), Err(DecodeError::TrailingBytes));
    }

    #[test]
    fn damage_never_panics((shape, value, picks) in cases(), at in any::<Index>(), byte in any::<u8>(), noise in vec(any::<u8>(), 0..100)) {
        let (schema, (paths, _)) = (shape.schema(), wanted(&shape, &value, &picks));
        let plan = Plan::compile(&schema, &paths).unwrap();
        let mut datum = judge_encodes(&schema, &value);
        if !datum.is_empty() {
            *at.get_mut(&mut datum) = byte;
        }
        let _ = read(&plan, &datum);
        let _ = read(&plan, &noise);
    }

    #[test]
    fn a_damaged_schema_never_panics((shape, value, picks) in cases(), at in any::<Index>(), with in "[ -~]{0,2}") {
        let (mut schema, (paths, _)) = (shape.schema(), wanted(&shape, &value, &picks));
        let datum = judge_encodes(&schema, &value);
        let at = at.index(schema.len());
        schema.replace_range(at..=at, &with);
        if let Ok(plan) = Plan::compile(&schema, &paths) {
            let _ = read(&plan, &datum);
        }
    }
}
