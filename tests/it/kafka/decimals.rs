//! Decimals in, decimals out; and what no decimal holds.

use apache_avro::Decimal;
use apache_avro::types::Value;

use super::{BEGIN, catch_up};
use crate::harness::{Isolation, Line, encode};

const SCHEMA: &str = r#"{"type":"record","name":"StoreSale","namespace":"com.acosom","fields":[
    {"name":"store_id","type":"string"},
    {"name":"sale_amount","type":["null",{"type":"bytes","logicalType":"decimal","precision":38,"scale":2}]},
    {"name":"sale_ts","type":"long"}]}"#;

/// A decimal's digits as a whole number.
fn unscaled(value: &Value) -> Option<i128> {
    let Value::Union(_, inner) = value else { panic!("{value:?}") };
    let Value::Decimal(decimal) = &**inner else { return None };
    let bytes = Vec::<u8>::try_from(decimal).expect("bytes");
    let sign = if bytes[0] >= 0x80 { 0xff } else { 0 };
    let mut wide = [sign; 16];
    wide[16 - bytes.len()..].copy_from_slice(&bytes);
    Some(i128::from_be_bytes(wide))
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn decimals_are_summed_exactly_and_what_does_not_fit_is_told() {
    let line = Line::on_servers("decimals");
    std::fs::write(line.folder.join("sales.avsc"), SCHEMA).expect("the schema is written");
    line.topics.create(&line.source, 1, &[]);
    let id = line.decoder().register(&format!("{}-value", line.source), SCHEMA);
    let huge = 9 * 10_i128.pow(37);
    let sales = [("ABC", Some(1_234)), ("ABC", Some(-1)), ("ABC", None), ("DEF", Some(huge)), ("DEF", Some(huge)), ("GHI", None)];
    let values = sales.map(|(store, amount)| {
        let amount = amount.map_or(Value::Union(0, Box::new(Value::Null)), |amount: i128| {
            Value::Union(1, Box::new(Value::Decimal(Decimal::from(amount.to_be_bytes()))))
        });
        encode(id, SCHEMA, &[("store_id", store.into()), ("sale_amount", amount), ("sale_ts", Value::Long(BEGIN))])
    });
    line.topics.write(&line.source, values.iter().map(|value| (Some(0), None, Some(&value[..]))));
    catch_up(&line, &["--close-all"]);

    let mut decoder = line.decoder();
    let mut row = |value: Option<Vec<u8>>| {
        let fields = decoder.decode(&value.expect("a value"));
        (fields["store_id"].clone(), unscaled(&fields["aggregated_sales"]))
    };
    let rows: Vec<_> = line.topics.read(&line.sink, Isolation::Committed).into_iter().map(|record| row(record.value)).collect();
    assert_eq!(rows, [("ABC".into(), Some(1_233)), ("GHI".into(), None)]);
    let letters = line.topics.read(&line.dead_letters, Isolation::Committed);
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0].headers["cause"], "overflow");
    let detail = &letters[0].headers["detail"];
    assert!(detail.contains("group DEF: 1800000000000000000000000000000000000.00 does not fit"), "{detail}");
}
