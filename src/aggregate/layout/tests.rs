use super::*;
use crate::avro::wire;
use crate::config;

fn sales() -> (Aggregate, String) {
    let config = config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap();
    (config.aggregates[0].clone(), config.sources[0].schema_text.clone())
}

fn row(layout: &Layout, store: &str, value: i128) -> Row {
    let mut group = Vec::new();
    layout.encode_group(&[Scalar::Str(store)], &mut group).unwrap();
    Row { start_ms: 1_000_000_020_000, end_ms: 1_000_000_080_000, group: group.into(), values: vec![Some(Number::Int(value))] }
}

/// The schemas that Flink 2.2 registers for the tutorial's job.
#[test]
fn the_schemas_are_those_of_flinks_job() {
    let (aggregate, schema) = sales();
    let layout = Layout::new(&aggregate, &schema, "sale_ts").unwrap();
    assert_eq!(
        layout.key_schema,
        r#"{"type":"record","name":"record","namespace":"org.apache.flink.avro.generated","fields":[{"name":"store_id","type":"string"}]}"#
    );
    let value: Value = serde_json::from_str(&layout.value_schema).unwrap();
    let timestamp = json!(["null", {"type": "long", "logicalType": "timestamp-millis"}]);
    assert_eq!(
        value["fields"],
        json!([
            {"name": "store_id", "type": "string"},
            {"name": "window_start", "type": timestamp, "default": null},
            {"name": "window_end", "type": timestamp, "default": null},
            {"name": "aggregated_sales", "type": ["null", "int"], "default": null},
        ])
    );
}

/// Bytes seen from Flink, with all three columns in the key.
#[test]
fn the_bytes_are_those_of_flinks_job() {
    let (mut aggregate, schema) = sales();
    aggregate.key = Some(["store_id", "window_start", "window_end"].map(String::from).to_vec());
    let layout = Layout::new(&aggregate, &schema, "sale_ts").unwrap();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    wire::frame(2, &mut key);
    wire::frame(4, &mut value);
    let mut group = Vec::new();
    layout.encode_group(&[Scalar::Str("S0")], &mut group).unwrap();
    let row =
        Row { start_ms: 1_700_000_040_000, end_ms: 1_700_000_100_000, group: group.into(), values: vec![Some(Number::Int(17))] };
    layout.encode_row(&row, &mut key, &mut value).unwrap();
    let hex = |bytes: &[u8]| Scalar::Bytes(bytes).to_string();
    assert_eq!(hex(&key), "00000000020453308091b0fef962c0bab7fef962");
    assert_eq!(hex(&value), "00000000040453308091b0fef962c0bab7fef9620222");
}

#[test]
fn a_sum_that_does_not_fit_is_told_exactly() {
    let (aggregate, schema) = sales();
    let layout = Layout::new(&aggregate, &schema, "sale_ts").unwrap();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    assert!(layout.encode_row(&row(&layout, "ABC", i128::from(i32::MAX)), &mut key, &mut value).is_ok());
    let error = layout.encode_row(&row(&layout, "ABC", i128::from(i32::MAX) + 1), &mut key, &mut value).unwrap_err();
    assert!(error.contains("2147483648") && error.contains("aggregated_sales"), "{error}");
}

/// A layout of one measure over `amount`, an Avro type, in the sink as `result`.
fn of(function: Function, kind: &Value) -> Result<Layout> {
    let (mut aggregate, _) = sales();
    aggregate.measures = vec![Measure { name: "result".into(), function, field: Some("amount".into()) }];
    let schema = json!({"type": "record", "name": "Sale", "fields": [
        {"name": "store_id", "type": "string"}, {"name": "sale_ts", "type": "long"}, {"name": "amount", "type": ["null", kind]}]});
    Layout::new(&aggregate, &schema.to_string(), "sale_ts")
}

fn decimal(precision: u32, scale: u32) -> Value {
    json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
}

fn written(layout: &Layout, result: Option<Number>) -> std::result::Result<Vec<u8>, String> {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    layout.encode_row(&Row { values: vec![result], ..row(layout, "ABC", 0) }, &mut key, &mut value).map(|()| value)
}

#[test]
fn decimals_give_decimals_of_the_same_scale() {
    let fixed = json!({"type": "fixed", "name": "money", "size": 9, "logicalType": "decimal", "precision": 20, "scale": 2});
    for kind in [decimal(20, 2), fixed] {
        for (function, expected) in [
            (Function::Sum, decimal(38, 2)),
            (Function::Min, decimal(20, 2)),
            (Function::Max, decimal(20, 2)),
            (Function::Avg, json!("double")),
            (Function::Count, json!("long")),
        ] {
            let schema: Value = serde_json::from_str(&of(function, &kind).unwrap().value_schema).unwrap();
            assert_eq!(schema["fields"][3], json!({"name": "result", "type": ["null", expected], "default": null}));
        }
    }
    assert!(of(Function::Sum, &decimal(39, 2)).unwrap_err().message.contains("decimal(39, 2)"));
    assert!(of(Function::Count, &json!("string")).is_ok());
}

#[test]
fn decimals_are_written_and_read_back() {
    let layout = of(Function::Sum, &decimal(20, 2)).unwrap();
    let plan = Plan::compile(&layout.value_schema, &["result"]).unwrap();
    for (result, expected) in [
        (None, Scalar::Null),
        (Some(Number::Int(-1_234)), Scalar::Decimal { unscaled: -1_234, scale: 2 }),
        (Some(Number::Int(10_i128.pow(38) - 1)), Scalar::Decimal { unscaled: 10_i128.pow(38) - 1, scale: 2 }),
    ] {
        let value = written(&layout, result).unwrap();
        let mut slots = [Scalar::Null];
        plan.decode(&value, &mut slots).unwrap();
        assert_eq!(slots[0], expected);
    }
    let layout = of(Function::Avg, &decimal(20, 2)).unwrap();
    assert!(written(&layout, Some(Number::Float(1_050.0))).unwrap().ends_with(&10.5_f64.to_le_bytes()));
}

#[test]
fn what_no_decimal_or_long_holds_is_told_exactly() {
    let sum = of(Function::Sum, &decimal(20, 2)).unwrap();
    let told = |layout: &Layout, number| written(layout, Some(number)).unwrap_err();
    assert_eq!(
        told(&sum, Number::Int(-(10_i128.pow(38)))),
        "-1000000000000000000000000000000000000.00 does not fit field `result`, which is decimal(38, 2)"
    );
    assert_eq!(
        told(&sum, Number::Wide { carry: 1, low: -1 }),
        "3402823669209384634633746074317682114.55 does not fit field `result`, which is decimal(38, 2)"
    );
    let least = of(Function::Min, &decimal(3, 0)).unwrap();
    assert_eq!(told(&least, Number::Int(1_000)), "1000 does not fit field `result`, which is decimal(3, 0)");
    let sum = of(Function::Sum, &json!("long")).unwrap();
    for number in [Number::Int(i128::from(i64::MAX) + 1), Number::Wide { carry: -3, low: 7 }] {
        assert_eq!(told(&sum, number), format!("{number} does not fit field `result`, which is long"));
    }
}

#[test]
fn a_schema_without_the_field_is_named() {
    let (mut aggregate, schema) = sales();
    aggregate.measures[0].field = Some("amount".into());
    let error = Layout::new(&aggregate, &schema, "sale_ts").unwrap_err();
    assert_eq!(error.kind, Kind::Data);
    assert!(error.message.contains("amount") && error.message.contains("com.acosom.StoreSale"), "{error}");
    aggregate.measures[0].field = Some("store_id".into());
    assert!(Layout::new(&aggregate, &schema, "sale_ts").unwrap_err().message.contains("SUM"));
}

#[test]
fn another_window_is_another_identity() {
    let (mut aggregate, schema) = sales();
    let one = Layout::new(&aggregate, &schema, "sale_ts").unwrap().identity();
    assert_eq!(one, "window 60000 ms + 0 ms over sale_ts (at most 60000 ms ahead) by store_id of Sum(sale_amount)");
    aggregate.window = config::Millis(30_000);
    assert_ne!(one, Layout::new(&aggregate, &schema, "sale_ts").unwrap().identity());
}

/// Clicks in pages that may be null, grouped by an enum and a field of the page.
fn clicks(key: &[&str]) -> Layout {
    let schema = json!({"type": "record", "name": "Click", "fields": [
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["VIEW", "BUY"]}},
        {"name": "page", "type": ["null", {"type": "record", "name": "Page", "fields": [{"name": "section", "type": "string"}]}]},
        {"name": "sale_ts", "type": "long"}]});
    let (mut aggregate, _) = sales();
    aggregate.group_by = vec!["kind".into(), "page.section".into()];
    aggregate.key = Some(key.iter().map(|name| (*name).to_owned()).collect());
    aggregate.measures = vec![Measure { name: "clicks".into(), function: Function::Count, field: None }];
    Layout::new(&aggregate, &schema.to_string(), "sale_ts").unwrap()
}

#[test]
fn a_nested_field_is_a_column_and_null_is_a_group() {
    let layout = clicks(&["page.section", "window_start"]);
    let fields = |schema: &str| serde_json::from_str::<Value>(schema).unwrap()["fields"].clone();
    let text = json!(["null", "string"]);
    let timestamp = json!({"type": "long", "logicalType": "timestamp-millis"});
    let section = json!({"name": "page_section", "type": text, "default": null});
    assert_eq!(fields(&layout.key_schema), json!([section, {"name": "window_start", "type": timestamp}]));
    assert_eq!(
        fields(&layout.value_schema),
        json!([
            {"name": "kind", "type": text, "default": null},
            section,
            {"name": "window_start", "type": timestamp},
            {"name": "window_end", "type": ["null", timestamp], "default": null},
            {"name": "clicks", "type": ["null", "long"], "default": null},
        ])
    );
    assert_eq!(fields(&clicks(&["kind"]).key_schema), json!([{"name": "kind", "type": "string"}]));
    assert!(layout.identity().contains(" by kind, page_section of Count()"), "{}", layout.identity());
}

#[test]
fn a_null_group_comes_out_as_null() {
    let layout = clicks(&["page.section"]);
    for section in [Scalar::Null, Scalar::Str("shop")] {
        let mut group = Vec::new();
        layout.encode_group(&[Scalar::Str("BUY"), section], &mut group).unwrap();
        assert_eq!(layout.describe_group(&group), format!("BUY, {section}"));
        let row = Row { start_ms: 0, end_ms: 60_000, group: group.into(), values: vec![Some(Number::Int(3))] };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        layout.encode_row(&row, &mut key, &mut value).unwrap();
        let plan = Plan::compile(&layout.value_schema, &["kind", "page_section", "clicks"]).unwrap();
        let mut slots = [Scalar::Null; 3];
        plan.decode(&value, &mut slots).unwrap();
        assert_eq!(slots, [Scalar::Str("BUY"), section, Scalar::Long(3)]);
        assert_eq!(key, if section == Scalar::Null { vec![0] } else { vec![2, 8, b's', b'h', b'o', b'p'] });
    }
    assert!(layout.encode_group(&[Scalar::Null, Scalar::Null], &mut Vec::new()).is_err(), "the enum is never null");
}
