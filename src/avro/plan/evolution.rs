//! Records that were written by another schema than the reader's, as Avro resolves them.

use super::super::testing::{hex, judge_resolves};
use super::*;

fn record_of(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","namespace":"a.b","fields":[{fields}]}}"#)
}

/// What a reader of `reader`'s fields sees of a datum that was written with `writer`'s.
fn read(writer: &str, reader: &str, fields: &[&str], datum: &str) -> Vec<String> {
    let plan = Plan::resolve(&record_of(writer), &record_of(reader), fields).unwrap();
    let (datum, mut slots) = (hex(datum), vec![Scalar::Bytes(b"left over"); fields.len()]);
    plan.decode(&datum, &mut slots).unwrap();
    slots.iter().map(|slot| format!("{} {slot}", slot.type_name())).collect()
}

const OLD: &str = r#"{"name":"x","type":"int"}"#;

/// The default of a field `d` that the writer does not have.
fn default(declared: &str) -> String {
    read(OLD, &format!(r#"{OLD},{{"name":"d",{declared}}}"#), &["d", "x"], "02").swap_remove(0)
}

#[test]
fn a_field_that_the_writer_lacks_is_the_readers_default() {
    for (declared, value) in [
        (r#""type":"null","default":null"#, "null null"),
        (r#""type":"boolean","default":true"#, "boolean true"),
        (r#""type":"int","default":-7"#, "int -7"),
        (r#""type":"long","default":9007199254740993"#, "long 9007199254740993"),
        (r#""type":"float","default":1.5"#, "float 1.5"),
        (r#""type":"double","default":2"#, "double 2"),
        (r#""type":"string","default":"\u00fc""#, "string \u{fc}"),
        (r#""type":"bytes","default":"\u0000\u00ff""#, "bytes 00ff"),
        (r#""type":{"type":"fixed","name":"F","size":2},"default":"\u0001\u00fe""#, "bytes 01fe"),
        (r#""type":{"type":"enum","name":"E","symbols":["A","B"]},"default":"B""#, "string B"),
        (r#""type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2},"default":"\u00ff\u0000""#, "decimal -2.56"),
        (r#""type":{"type":"long","logicalType":"timestamp-micros"},"default":5"#, "long 5"),
        (r#""type":["null","long"],"default":null"#, "null null"),
        (r#""type":["long","null"],"default":3"#, "long 3"),
        (r#""type":["null","string"],"default":"later than 1.11""#, "string later than 1.11"),
    ] {
        assert_eq!(default(declared), value, "{declared}");
    }
}

#[test]
fn the_plan_says_what_a_default_is() {
    let newest = format!(
        r#"{OLD},{{"name":"at","type":{{"type":"long","logicalType":"timestamp-micros"}},"default":0}},
           {{"name":"n","type":["null","double"],"default":null}}"#
    );
    let plan = Plan::resolve(&record_of(OLD), &record_of(&newest), &["at", "n"]).unwrap();
    assert_eq!((plan.kind(0), plan.nullable(0)), (FieldKind::TimestampMicros, false));
    assert_eq!((plan.kind(1), plan.nullable(1)), (FieldKind::Double, true));
}

#[test]
fn without_a_default_it_is_missing() {
    let newest = format!(r#"{OLD},{{"name":"d","type":"int"}}"#);
    let error = Plan::resolve(&record_of(OLD), &record_of(&newest), &["d"]).unwrap_err();
    assert_eq!(error.to_string(), "a.b.R has no field `d`; its fields are x");
    assert!(Plan::resolve(&record_of(OLD), &record_of(OLD), &["d"]).is_err(), "the reader has none either");
}

#[test]
fn a_field_renamed_is_found_by_the_aliases_of_either_side() {
    let renamed = r#"{"name":"y","type":"long","aliases":["w","x"]}"#;
    assert_eq!(read(OLD, renamed, &["y"], "02"), ["int 1"], "the reader's alias is the writer's name");
    assert_eq!(read(OLD, renamed, &["x"], "02"), ["int 1"], "asked for by the old name");
    assert_eq!(read(renamed, OLD, &["x"], "02"), ["long 1"], "the writer's alias is the reader's name");
    let third = r#"{"name":"z","type":"int","aliases":["w"]}"#;
    assert_eq!(read(renamed, third, &["z"], "02"), ["long 1"], "both know a third name");
    let both = r#"{"name":"x","type":"int"},{"name":"y","type":"int"}"#;
    assert_eq!(read(both, renamed, &["y"], "02 04"), ["int 2"], "a name goes before an alias");
}

#[test]
fn defaults_and_names_inside_nested_records() {
    let inner = |fields: &str| format!(r#"{{"name":"c","type":["null",{{"type":"record","name":"C","fields":[{fields}]}}]"#);
    let id = r#"{"name":"id","type":"int"}"#;
    let old = format!("{}}}", inner(id));
    let more = r#"{"name":"key","type":"int","aliases":["id"]},{"name":"land","type":"string","default":"CH"}"#;
    let newest = format!(r#"{},"default":null}}"#, inner(more));
    assert_eq!(read(&old, &newest, &["c.land", "c.key"], "02 0e"), ["string CH", "int 7"]);
    assert_eq!(
        read(&old, &newest, &["c.land", "c.key"], "00"),
        ["null null", "null null"],
        "no record, no default of its fields"
    );

    let without = read(OLD, &format!("{OLD},{newest}"), &["c.land", "x", "c.key"], "02");
    assert_eq!(without, ["null null", "int 1", "null null"], "the record's own default is null");
    let whole = format!(
        r#"{OLD},{{"name":"c","type":{{"type":"record","name":"C","fields":[{id},{{"name":"land","type":"string","default":"CH"}}]}},
           "default":{{"id":9}}}}"#
    );
    assert_eq!(read(OLD, &whole, &["c.id", "c.land"], "02"), ["int 9", "string CH"]);
}

/// But for the reader's aliases, which the judge does not follow.
#[test]
fn the_judge_agrees() {
    let old = r#"{"name":"a","type":"string"},{"name":"b","type":"int"},{"name":"gone","type":{"type":"array","items":"long"}}"#;
    let newest = r#"{"name":"n","type":["null","long"],"default":null},{"name":"b","type":"long"},
                    {"name":"a","type":"string"},{"name":"e","type":{"type":"enum","name":"E","symbols":["U","V"]},"default":"V"},
                    {"name":"f","type":"double","default":0.25}"#;
    let (datum, fields) = ("04 6869 0d 02 06 00", ["n", "b", "a", "e", "f"]);
    let judged = judge_resolves(&record_of(old), &record_of(newest), &hex(datum));
    let expected: Vec<String> = fields.iter().map(|field| judged[*field].clone()).collect();
    let ours = read(old, newest, &fields, datum);
    assert_eq!(ours.iter().map(|value| value.split_once(' ').unwrap().1).collect::<Vec<_>>(), expected);
}
