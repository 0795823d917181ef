use proptest::prelude::*;
use proptest::sample::Index;

use super::super::testing::{SALES, hex, judge_encodes, records};
use super::*;

fn lines(partial: &Partial) -> Vec<String> {
    let values = partial.values.iter();
    values.map(|seen| format!("{} {} {} {}", seen.offset, seen.path, seen.kind, seen.value)).collect()
}

fn one_field(schema: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"x","type":{schema}}},{{"name":"y","type":"int"}}]}}"#)
}

fn broken(offset: usize, path: &str, kind: &str, error: DecodeError) -> Ending {
    Ending::Broken { offset, path: path.into(), kind: kind.into(), error }
}

#[test]
fn a_whole_datum_is_told_field_by_field() {
    let whole = partial(SALES, &hex("06 414243 c80f 8091b0fef962")).unwrap();
    assert_eq!(whole.name, "com.acosom.StoreSale");
    let expected = [r#"0 store_id string "ABC""#, "4 sale_amount int 996", "6 sale_ts long 1700000040000"];
    assert_eq!(lines(&whole), expected);
    assert_eq!((whole.ending, whole.left_out), (Ending::Whole, 0));
}

#[test]
fn a_broken_one_is_told_up_to_where_it_breaks() {
    let cut = partial(SALES, &hex("06 414243 c80f 8091")).unwrap();
    assert_eq!(lines(&cut), [r#"0 store_id string "ABC""#, "4 sale_amount int 996"]);
    assert_eq!(cut.ending, broken(6, "sale_ts", "long", DecodeError::Truncated));

    let long = partial(SALES, &hex("06 414243 c80f 8091b0fef962 0102")).unwrap();
    assert_eq!(long.values.len(), 3);
    assert_eq!(long.ending, broken(12, "", "2 bytes", DecodeError::TrailingBytes));
}

#[test]
fn paths_go_into_records_arrays_maps_and_unions() {
    let schema = one_field(
        r#"["null",{"type":"record","name":"C","fields":[{"name":"a","type":{"type":"array","items":["null","long"]}},
           {"name":"m","type":{"type":"map","values":{"type":"enum","name":"E","symbols":["U","V"]}}}]}]"#,
    );
    let whole = partial(&schema, &hex("02 04 00 02 06 00 01 06 02 6b 02 00 0e")).unwrap();
    assert_eq!(lines(&whole), ["3 x.a[0] null null", "4 x.a[1] long 3", r#"10 x.m["k"] enum V"#, "12 y int 7"]);
    assert_eq!(whole.ending, Ending::Whole);
    let bad = partial(&schema, &hex("02 04 00 02 06 00 02 02 6b 04")).unwrap();
    assert_eq!(bad.ending, broken(9, r#"x.m["k"]"#, "enum", DecodeError::BadEnum));
    let bad = partial(&schema, &hex("02 02 04")).unwrap();
    assert_eq!(bad.ending, broken(2, "x.a[0]", "[null, long]", DecodeError::BadUnionBranch));
}

#[test]
fn what_it_tells_is_bounded_and_harmless() {
    let mut datum = hex("a00e");
    datum.extend([b'a'; 912]);
    datum.push(0);
    let long = partial(&one_field(r#""string""#), &datum).unwrap();
    assert_eq!(long.values[0].value, format!("{:?}... (912 bytes)", "a".repeat(100)));
    let escape = partial(&one_field(r#""string""#), &hex("04 1b63 00")).unwrap();
    assert_eq!(escape.values[0].value, r#""\u{1b}c""#);

    let longs = one_field(r#"{"type":"array","items":"long"}"#);
    let mut datum = hex("d00f");
    datum.extend([2; 1_000]);
    datum.extend([0, 0]);
    let many = partial(&longs, &datum).unwrap();
    assert_eq!((many.values.len(), many.left_out, many.ending), (TOLD_MAX, 801, Ending::Whole));
}

#[test]
fn the_size_of_a_block_must_be_true() {
    let longs = one_field(r#"{"type":"array","items":"long"}"#);
    assert_eq!(partial(&longs, &hex("03 04 06 36 00 0e")).unwrap().ending, Ending::Whole);
    assert_eq!(partial(&longs, &hex("03 06 06 36 00 0e")).unwrap().ending, broken(1, "x", "array", DecodeError::BadLength));
    assert_eq!(partial(&longs, &hex("03 7e 06 36 00 0e")).unwrap().ending, broken(1, "x", "array", DecodeError::BadLength));
}

#[test]
fn what_has_no_end_is_given_up() {
    let max = "feffffffffffffffff01";
    let empty = r#"{"type":"record","name":"E","fields":[]}"#;
    for items in [r#""null""#, empty, r#"["null"]"#] {
        let schema = one_field(&format!(r#"{{"type":"array","items":{items}}}"#));
        let ending = partial(&schema, &hex(&format!("{max} 00"))).unwrap().ending;
        assert!(matches!(ending, Ending::Endless { .. } | Ending::Broken { .. }), "{items}: {ending:?}");
    }
    let endless = r#"{"type":"record","name":"L","fields":[{"name":"a","type":"L"},{"name":"b","type":"L"}]}"#;
    assert!(matches!(partial(endless, &[]).unwrap().ending, Ending::Broken { error: DecodeError::TooDeep, .. }));
    let mut schema = r#"{"type":"record","name":"R0","fields":[]}"#.to_owned();
    for i in 1..=40 {
        let before = i - 1;
        schema = format!(
            r#"{{"type":"record","name":"R{i}","fields":[{{"name":"a","type":{schema}}},{{"name":"b","type":"R{before}"}}]}}"#
        );
    }
    assert!(matches!(partial(&schema, &[]).unwrap().ending, Ending::Endless { .. }));
}

#[test]
fn what_is_no_record_is_refused() {
    assert!(partial("{", &[]).is_err());
    assert!(partial(r#""int""#, &[2]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_judge_writes_is_whole_and_cut_anywhere_it_is_broken_there(
        (shape, value) in records().prop_flat_map(|shape| (Just(shape.clone()), shape.values())),
        cut in any::<Index>(),
    ) {
        let schema = shape.schema();
        let datum = judge_encodes(&schema, &value);
        let whole = partial(&schema, &datum).unwrap();
        prop_assert_eq!(&whole.ending, &Ending::Whole);
        if !datum.is_empty() {
            let end = cut.index(datum.len());
            let cut = partial(&schema, &datum[..end]).unwrap();
            prop_assert!(matches!(cut.ending, Ending::Broken { offset, .. } if offset <= end), "{:?}", cut.ending);
            prop_assert!(whole.values.starts_with(&cut.values));
        }
    }
}
