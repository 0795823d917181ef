//! The schema changes in mid-stream, and every sum stays right.

use std::collections::BTreeMap;

use apache_avro::types::Value;

use super::{BEGIN, MINUTE, catch_up};
use crate::harness::{Fields, Isolation, Line, Sums, compare, encode, number, rows, text};

const PARTITIONS: i32 = 4;
/// Between one sale and the next, ms.
const STEP: i64 = 50;

/// What came one after the other: the tutorial's; a field added, and all in another order; int -> long; a field renamed, and one
/// added that is not null.
const VERSIONS: [&str; 4] = [
    r#"{"name":"store_id","type":"string"},{"name":"sale_amount","type":"int"},{"name":"sale_ts","type":"long"}"#,
    r#"{"name":"sale_ts","type":"long"},{"name":"till","type":["null","string"],"default":null},
       {"name":"sale_amount","type":"int"},{"name":"store_id","type":"string"}"#,
    r#"{"name":"sale_ts","type":"long"},{"name":"till","type":["null","string"],"default":null},
       {"name":"sale_amount","type":"long"},{"name":"store_id","type":"string"}"#,
    r#"{"name":"region","type":"string","default":"EU"},{"name":"amount","type":"long","aliases":["sale_amount"]},
       {"name":"store_id","type":"string"},{"name":"sale_ts","type":"long"}"#,
];

fn schema(version: usize) -> String {
    format!(r#"{{"type":"record","name":"StoreSale","namespace":"com.acosom","fields":[{}]}}"#, VERSIONS[version])
}

struct Sale {
    number: i64,
    version: usize,
}

impl Sale {
    fn store(&self) -> &'static str {
        ["ABC", "DEF", "GHI"][self.number as usize % 3]
    }

    fn region(&self) -> &'static str {
        if self.version == 3 && self.number % 7 < 3 { "US" } else { "EU" }
    }

    fn amount(&self) -> i64 {
        100 + self.number * 37 % 900
    }

    fn time(&self) -> i64 {
        BEGIN + self.number * STEP
    }

    fn encode(&self, id: u32) -> Vec<u8> {
        let small = Value::Int(i32::try_from(self.amount()).expect("small"));
        let amount = if self.version < 2 { small } else { Value::Long(self.amount()) };
        let (store, time) = (("store_id", Value::String(self.store().into())), ("sale_ts", Value::Long(self.time())));
        let till = ("till", Value::Union(1, Value::String("T1".into()).into()));
        let fields = match self.version {
            0 => vec![store, ("sale_amount", amount), time],
            1 | 2 => vec![time, till, ("sale_amount", amount), store],
            _ => vec![("region", Value::String(self.region().into())), ("amount", amount), store, time],
        };
        encode(id, &schema(self.version), &fields)
    }
}

/// Registers a version as the newest of the source's subject.
fn register(line: &Line, version: usize) -> u32 {
    line.decoder().register(&format!("{}-value", line.source), &schema(version))
}

/// Writes sales without a key, to each partition in turn: every store is in every partition.
fn write(line: &Line, ids: &BTreeMap<usize, u32>, sales: &[Sale]) {
    let values: Vec<Vec<u8>> = sales.iter().map(|sale| sale.encode(ids[&sale.version])).collect();
    let partition = |sale: &Sale| i32::try_from(sale.number % i64::from(PARTITIONS)).expect("small");
    line.topics
        .write(&line.source, sales.iter().zip(&values).map(|(sale, value)| (Some(partition(sale)), None, Some(&value[..]))));
}

fn sums(sales: &[Sale], cell: impl Fn(&Sale) -> String) -> Sums {
    let mut sums = Sums::new();
    for sale in sales {
        *sums.entry((cell(sale), sale.time().div_euclid(MINUTE) * MINUTE)).or_default() += sale.amount();
    }
    sums
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn the_schema_changes_while_records_come() {
    let line = Line::on_servers("evolving");
    line.topics.create(&line.source, PARTITIONS, &[]);
    let (mut ids, mut all) = (BTreeMap::new(), Vec::new());
    for version in 0..VERSIONS.len() {
        ids.insert(version, register(&line, version));
        let begin = all.len() as i64;
        // Each version alternates with the first one, whose producers were not changed yet.
        let sales: Vec<Sale> =
            (begin..begin + 3_000).map(|number| Sale { number, version: if number % 2 == 0 { version } else { 0 } }).collect();
        write(&line, &ids, &sales);
        all.extend(sales);
        catch_up(&line, &[]);
    }
    catch_up(&line, &["--close-all"]);
    assert_eq!(line.topics.read(&line.dead_letters, Isolation::Committed).first(), None);
    let expected = sums(&all, |sale| sale.store().to_owned());
    assert_eq!(expected.len(), 33);
    compare(&expected, &rows(&line, Isolation::Committed)).expect_equal();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn the_newest_schemas_names_and_defaults_hold_for_older_records() {
    let mut line = Line::on_servers("newest");
    let by = || toml::Value::from(vec!["store_id", "region"]);
    line.set_aggregate("group_by", by());
    line.set_aggregate("key", by());
    line.edit(|table| {
        let measure = table["aggregate"][0]["measure"][0].as_table_mut().expect("a table");
        measure.insert("field".into(), "amount".into());
        let generate = table["source"][0]["generate"].as_table_mut().expect("a table");
        let amount = generate.remove("sale_amount").expect("how it is made up");
        let region = toml::toml! { one_of = ["EU", "US"] };
        generate.extend([("amount".into(), amount), ("region".into(), region.into())]);
    });
    std::fs::write(line.folder.join("sales.avsc"), schema(VERSIONS.len() - 1)).expect("the schema is written");
    line.topics.create(&line.source, PARTITIONS, &[]);
    let ids: BTreeMap<usize, u32> = (0..VERSIONS.len()).map(|version| (version, register(&line, version))).collect();
    let sales: Vec<Sale> = (0..12_000).map(|number| Sale { number, version: number as usize / 5 % 4 }).collect();
    write(&line, &ids, &sales);
    catch_up(&line, &["--close-all"]);
    assert_eq!(line.topics.read(&line.dead_letters, Isolation::Committed).first(), None);

    let (mut found, mut decoder) = (Vec::new(), line.decoder());
    let cell = |store: &str, region: &str| format!("{store} {region}");
    for record in line.topics.read(&line.sink, Isolation::Committed) {
        let fields: Fields = decoder.decode(&record.value.expect("a value"));
        let name = cell(text(&fields, "store_id"), text(&fields, "region"));
        found.push(((name, number(&fields, "window_start")), number(&fields, "aggregated_sales")));
    }
    let expected = sums(&sales, |sale| cell(sale.store(), sale.region()));
    assert_eq!(expected.len(), 66);
    compare(&expected, &found).expect_equal();
}
