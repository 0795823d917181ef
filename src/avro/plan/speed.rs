//! How long a record takes; run by hand: `cargo test --release speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;

use super::super::encode::Encoder;
use super::super::testing::SALES;
use super::*;

const RECORDS: i32 = 10_000;
const ORDER: &str = r#"{"type":"record","name":"Order","fields":[
    {"name":"order_id","type":"string"},
    {"name":"customer","type":["null","string"]},
    {"name":"status","type":{"type":"enum","name":"Status","symbols":["NEW","PAID","SENT"]}},
    {"name":"amount","type":["null","double"]},
    {"name":"quantity","type":"int"},
    {"name":"note","type":["null","string"]},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;

fn sales(i: i32) -> [Scalar<'static>; 3] {
    let store = ["ABC", "DEF", "GHI"][i as usize % 3];
    [Scalar::Str(store), Scalar::Int(100 + i * 7 % 900), Scalar::Long(1_700_000_000_000 + i64::from(i))]
}

fn order(i: i32) -> [Scalar<'static>; 7] {
    [
        Scalar::Str("0b7f6f0e-6e0a-4d3e-9c6e"),
        Scalar::Str("customer-4711"),
        Scalar::Str(["NEW", "PAID", "SENT"][i as usize % 3]),
        if i % 5 == 0 { Scalar::Null } else { Scalar::Double(f64::from(i)) },
        Scalar::Int(i % 200),
        Scalar::Str("leave it at the door"),
        Scalar::Long(1_700_000_000_000 + i64::from(i)),
    ]
}

/// The least of some rounds: this machine does other things too.
fn nanos_a_record(mut round: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..100 {
        let start = Instant::now();
        round();
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(RECORDS));
    }
    best
}

fn plan_time<const N: usize>(schema: &str, fields: [&str; N], data: &[Vec<u8>]) -> f64 {
    let plan = Plan::compile(schema, &fields).unwrap();
    nanos_a_record(|| {
        for datum in data {
            let mut slots = [Scalar::Null; N];
            plan.decode(black_box(datum), &mut slots).unwrap();
            black_box(&slots);
        }
    })
}

fn judge_time(schema: &str, data: &[Vec<u8>]) -> f64 {
    let schema = Schema::parse_str(schema).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    nanos_a_record(|| {
        for datum in data {
            black_box(reader.read_value(&mut black_box(&datum[..])).unwrap());
        }
    })
}

fn encode_time<const N: usize>(schema: &str, values: fn(i32) -> [Scalar<'static>; N]) -> (f64, Vec<Vec<u8>>) {
    let encoder = Encoder::compile(schema).unwrap();
    let records: Vec<_> = (0..RECORDS).map(values).collect();
    let mut out = Vec::new();
    let nanos = nanos_a_record(|| {
        for values in &records {
            out.clear();
            encoder.encode(black_box(values), &mut out).unwrap();
            black_box(&out);
        }
    });
    let encode = |values: &[Scalar<'_>; N]| {
        let mut out = Vec::new();
        encoder.encode(values, &mut out).unwrap();
        out
    };
    (nanos, records.iter().map(encode).collect())
}

#[test]
#[ignore = "measures, and proves nothing"]
fn speed() {
    let (encoding, data) = encode_time(SALES, sales);
    println!("SALES, {} B: encode {encoding:.1} ns", data[0].len());
    println!("  all 3 fields {:.1}", plan_time(SALES, ["store_id", "sale_amount", "sale_ts"], &data));
    println!("  1 field {:.1}", plan_time(SALES, ["sale_ts"], &data));
    println!("  apache-avro {:.0}", judge_time(SALES, &data));
    let (encoding, data) = encode_time(ORDER, order);
    println!("ORDER, {} B: encode {encoding:.1} ns", data[1].len());
    let all = ["order_id", "customer", "status", "amount", "quantity", "note", "at"];
    println!("  all 7 fields {:.1}", plan_time(ORDER, all, &data));
    println!("  3 of 7 {:.1}", plan_time(ORDER, ["status", "amount", "at"], &data));
    println!("  apache-avro {:.0}", judge_time(ORDER, &data));
}
