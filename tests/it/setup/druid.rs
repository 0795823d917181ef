//! Druid's supervisors and rules: planned, applied, repaired, refused, adopted, put back and removed.

use std::time::Duration;

use apache_avro::types::Value as Avro;
use reqwest::{Client, Method};
use serde_json::{Value as Json, json};
use toml::Value;

use crate::harness::{Ended, Line, Servers, block_on, encode, wait_for};

const LIMIT: Duration = Duration::from_secs(420);
const SCHEMA: &str = r#"{"type":"record","name":"Click","fields":[
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}, {"name":"user","type":"string"},
    {"name":"page","type":["null",{"type":"record","name":"Page","fields":[{"name":"section","type":"string"},{"name":"ms","type":"int"}]}]}]}"#;

/// A line with one datasource, whose name is hard to carry through. What it makes in Druid it removes with `pipeline down`.
struct Clicks {
    line: Line,
    datasource: String,
}

impl Clicks {
    fn new(test: &str, keys: &str) -> Self {
        let mut line = Line::on_servers(test);
        let datasource = format!("{} 100% \"ä\" ;--", line.name);
        line.edit(|table| {
            let mut one: toml::Table = keys.parse().expect("TOML");
            one.insert("name".into(), datasource.clone().into());
            one.insert("topic".into(), table["source"][0]["topic"].clone());
            one.insert("time".into(), "at".into());
            table.insert("datasource".into(), Value::Array(vec![one.into()]));
            table.remove("chart");
            table.remove("dashboard");
        });
        Self { line, datasource }
    }

    /// Writes so many records, one a second, of two sections; one record in ten has no page.
    fn write(&self, records: i64) {
        let id = self.line.decoder().register(&format!("{}-value", self.line.source), SCHEMA);
        self.line.topics.create(&self.line.source, 1, &[]);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() as i64;
        let begin = (now - records) / 3_600 * 3_600;
        let values: Vec<Vec<u8>> = (0..records)
            .map(|number| {
                let section = ["news", "shop"][number as usize % 2];
                let page = Avro::Record(vec![("section".into(), section.into()), ("ms".into(), Avro::Int(number as i32))]);
                let page = if number % 10 == 9 { Avro::Union(0, Box::new(Avro::Null)) } else { Avro::Union(1, Box::new(page)) };
                let at = Avro::TimestampMicros((begin + number) * 1_000_000);
                encode(id, SCHEMA, &[("at", at), ("user", "u".into()), ("page", page)])
            })
            .collect();
        self.line.topics.write(&self.line.source, values.iter().map(|value| (Some(0), None, Some(value.as_slice()))));
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let state = self.line.folder.join("state");
        self.line.start_with(arguments, &[("XDG_STATE_HOME", state.to_str().expect("a path"))]).wait(LIMIT)
    }

    /// A dry run's plan, as JSON.
    #[track_caller]
    fn plan(&self, more: &[&str], code: i32) -> Json {
        let ended = self.run(&[&["druid-ingest", "--dry-run", "--output", "json"], more].concat()).expect(code);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
    }

    fn supervisor(&self) -> Json {
        self.ask(&Method::GET, "indexer/v1/supervisor/NAME", None)
    }

    /// Posts a supervisor, as somebody would by hand.
    fn post(&self, spec: &Json) {
        let mut spec = spec.clone();
        for copy in ["dataSchema", "ioConfig", "tuningConfig"] {
            spec.as_object_mut().expect("a spec").remove(copy);
        }
        let answer = self.ask(&Method::POST, "indexer/v1/supervisor", Some(&spec));
        assert_eq!(answer["id"], self.datasource.as_str(), "{answer}");
    }

    /// What Druid answers, as JSON; null if it is none. NAME is the datasource.
    fn ask(&self, method: &Method, path: &str, body: Option<&Json>) -> Json {
        let settings: Vec<_> = Servers::get().settings().filter(|(table, _, _)| table == "druid").collect();
        let setting = |key: &str| settings.iter().find(|(_, name, _)| name == key).expect("tests/stack/env names it").2;
        let name = self.datasource.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let url = format!("{}/druid/{}", setting("url"), path.replace("NAME", &name));
        let request = Client::new().request(method.clone(), url).basic_auth(setting("username"), Some(setting("password")));
        let request = if let Some(body) = body { request.json(body) } else { request };
        let text = block_on(async { request.timeout(LIMIT).send().await?.text().await }).expect("an answer");
        serde_json::from_str(&text).unwrap_or(Json::Null)
    }

    /// Rows and sums, by section.
    fn sums(&self, column: &str) -> Vec<(Option<String>, Option<i64>)> {
        let query = json!({
            "queryType": "groupBy", "dataSource": self.datasource, "granularity": "all", "dimensions": ["page_section"],
            "intervals": ["2000-01-01/2100-01-01"], "aggregations": [{"type": "longSum", "name": "sum", "fieldName": column}],
        });
        let rows = self.ask(&Method::POST, "v2", Some(&query));
        let rows = rows.as_array().unwrap_or_else(|| panic!("{rows}")).iter();
        rows.map(|row| (row["event"]["page_section"].as_str().map(str::to_owned), row["event"]["sum"].as_i64())).collect()
    }

    fn backups(&self) -> Vec<String> {
        let listed = self.run(&["restore"]).expect(0).stdout;
        listed.lines().filter_map(|line| Some(line.split_once("objects: ")?.1.split_once("  ")?.1.to_owned())).collect()
    }
}

impl Drop for Clicks {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What is not ours by then is ended all the same.
            self.ask(&Method::POST, "indexer/v1/supervisor/NAME/terminate", None);
        }
        self.run(&["down", "--data", "--topics", "--yes"]);
    }
}

fn last_line(ended: &Ended) -> &str {
    ended.stdout.lines().last().unwrap_or_default()
}

/// The settings that a plan's first step changes.
fn changed(plan: &Json) -> Vec<&str> {
    plan["steps"][0]["changes"].as_array().expect("changes").iter().filter_map(|change| change["setting"].as_str()).collect()
}

#[test]
#[ignore = "needs tests/stack/up"]
fn setup_druid_is_planned_applied_repaired_adopted_put_back_and_removed() {
    let clicks = Clicks::new("plan", "columns = [\"page.section\"]");
    clicks.write(100);

    let plan = clicks.plan(&[], 2);
    assert_eq!((&plan["created"], &plan["steps"][0]["action"]), (&json!(1), &json!("create")), "{plan}");
    assert_eq!(clicks.supervisor(), Json::Null, "a dry run makes nothing");

    let applied = clicks.run(&["druid-ingest", "--output", "json"]).expect(0);
    let applied: Json = serde_json::from_str(&applied.stdout).expect("JSON and nothing else");
    assert_eq!((&applied["created"], &applied["rows"][&clicks.datasource]), (&json!(1), &json!(100)), "{applied}");
    assert_eq!(clicks.plan(&[], 0)["unchanged"], 1);

    let mut spec = clicks.supervisor();
    spec["suspended"] = json!(true);
    spec["spec"]["ioConfig"]["taskCount"] = json!(2);
    clicks.post(&spec);
    let plan = clicks.plan(&[], 2);
    assert_eq!(changed(&plan), ["ioConfig.taskCount", "suspended"]);
    assert_eq!(plan["steps"][0]["effect"], "its tasks are restarted; rows that are there stay");
    assert_eq!(last_line(&clicks.run(&["druid-ingest"]).expect(0)), "created 0 changed 1 unchanged 0");
    assert_eq!(clicks.plan(&[], 0)["unchanged"], 1);
    assert_eq!(clicks.backups().len(), 1);

    let mut foreign = clicks.supervisor();
    foreign["context"] = Json::Null;
    clicks.post(&foreign);
    assert_eq!(clicks.plan(&[], 0)["unchanged"], 1, "the same, whoever made it");
    assert_eq!(changed(&clicks.plan(&["--adopt"], 2)), ["context.pipeline.name"]);
    foreign["spec"]["ioConfig"]["taskDuration"] = json!("PT700S");
    clicks.post(&foreign);
    assert_eq!(clicks.plan(&[], 2)["not_ours"], 1);
    let refused = clicks.run(&["druid-ingest"]).expect(1);
    assert!(refused.stderr.contains("--adopt") && refused.stderr.contains("taskDuration"), "{}", refused.stderr);
    assert_eq!(clicks.supervisor()["spec"]["ioConfig"]["taskDuration"], "PT700S");
    assert_eq!(last_line(&clicks.run(&["down", "--yes"]).expect(0)), "nothing to do: created 0 changed 0 unchanged 0 not ours 1");

    clicks.run(&["druid-ingest", "--adopt"]).expect(0);
    let adopted = clicks.supervisor();
    assert_eq!(adopted["context"]["pipeline"]["name"], clicks.line.name.as_str());
    assert_eq!(adopted["spec"]["ioConfig"]["taskDuration"], "PT600S");
    let backups = clicks.backups();
    clicks.run(&["restore", &backups[0]]).expect(64);
    clicks.run(&["restore", &backups[0], "--yes"]).expect(0);
    let restored = clicks.supervisor();
    assert_eq!((&restored["context"], &restored["spec"]), (&foreign["context"], &foreign["spec"]));

    clicks.run(&["druid-ingest", "--adopt"]).expect(0);
    let nobody = clicks.run(&["down", "--data", "--topics"]).expect(64);
    assert!(nobody.stderr.contains("--yes"), "{}", nobody.stderr);
    let down = clicks.run(&["down", "--data", "--topics", "--yes"]).expect(0);
    assert!(last_line(&down).contains("removed 4"), "supervisor, datasource, topic and subject:\n{}", down.stdout);
    assert_eq!(clicks.supervisor(), Json::Null);
    assert_eq!(clicks.sums("page_ms"), []);
    assert_eq!(clicks.line.topics.partitions(&clicks.line.source), 0);
    assert!(last_line(&clicks.run(&["down", "--data", "--topics", "--yes"]).expect(0)).starts_with("nothing to do"));

    clicks.write(20);
    let again = clicks.run(&["druid-ingest"]).expect(0);
    assert!(again.stdout.contains("20 rows"), "a topic made anew is read from its start:\n{}", again.stdout);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn setup_druid_rolls_up_nested_records_and_keeps_them_for_a_while() {
    let mut clicks = Clicks::new(
        "rollup",
        r#"
        columns = ["page.section"]
        retention = "30d"
        segment = "day"
        tuning = { maxRowsInMemory = 5000, unknownToDruid = 1 }
        rollup = { grain = "1h", measure = [{ name = "events", function = "count" }, { name = "ms", function = "sum", field = "page.ms" }] }
        "#,
    );
    clicks.write(100);
    assert_eq!(last_line(&clicks.run(&["druid-ingest"]).expect(0)), "created 2 changed 0 unchanged 0");
    // 0 to 99, without those that end in 9: the even ones are news.
    let of = |section: Option<&str>, sum: Option<i64>| (section.map(str::to_owned), sum);
    assert_eq!(clicks.sums("events"), [of(None, Some(10)), of(Some("news"), Some(50)), of(Some("shop"), Some(40))]);
    assert_eq!(clicks.sums("ms"), [of(None, None), of(Some("news"), Some(2_450)), of(Some("shop"), Some(1_960))]);
    let rules = clicks.ask(&Method::GET, "coordinator/v1/rules/NAME", None);
    assert_eq!((&rules[0]["period"], &rules[1]["type"]), (&json!("P30D"), &json!("dropForever")), "{rules}");
    assert_eq!(clicks.plan(&[], 0)["unchanged"], 2, "what Druid does not know of the tuning is no difference for ever");
    clicks.run(&["druid-ingest"]).expect(0);

    clicks.line.edit(|table| {
        let datasource = table["datasource"][0].as_table_mut().expect("a table");
        datasource.remove("retention");
        datasource.remove("rollup");
    });
    let plan = clicks.plan(&[], 2);
    assert_eq!((&plan["changed"], &plan["removed"]), (&json!(1), &json!(1)), "{plan}");
    assert!(plan["steps"][0]["effect"].as_str().expect("an effect").contains("new rows only"), "{plan}");
    clicks.run(&["druid-ingest"]).expect(0);
    assert_eq!(clicks.ask(&Method::GET, "coordinator/v1/rules/NAME", None), json!([]));
    assert_eq!(clicks.plan(&[], 0)["unchanged"], 1);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn setup_druid_rows_and_offsets_are_somebody_s() {
    let clicks = Clicks::new("whose", "columns = [\"page.section\"]\ntuning = { maxRowsInMemory = 5000 }");
    let ready = |ended: &Ended, rows: u64| {
        let told = format!("ready {}: {rows} rows", clicks.datasource);
        assert!(ended.stdout.contains(&told), "`{told}` is missing in:\n{}", ended.stdout);
    };
    clicks.write(100);
    ready(&clicks.run(&["druid-ingest"]).expect(0), 100);

    // What decides which rows come is found, though the file does not name it.
    let mut spec = clicks.supervisor();
    spec["spec"]["dataSchema"]["transformSpec"] =
        json!({"filter": {"type": "selector", "dimension": "page_section", "value": "news"}, "transforms": []});
    spec["spec"]["ioConfig"]["lateMessageRejectionPeriod"] = json!("PT1H");
    spec["spec"]["ioConfig"]["consumerProperties"]["client.id"] = json!("x");
    clicks.post(&spec);
    let surplus = ["dataSchema.transformSpec", "ioConfig.lateMessageRejectionPeriod", "ioConfig.consumerProperties.client.id"];
    assert_eq!(changed(&clicks.plan(&[], 2)), surplus);
    clicks.run(&["druid-ingest"]).expect(0);
    assert_eq!(clicks.plan(&[], 0)["unchanged"], 1);

    // Rows that stay are gone on with; later they can still be dropped.
    clicks.run(&["down", "--yes"]).expect(0);
    ready(&clicks.run(&["druid-ingest"]).expect(0), 100);
    clicks.run(&["down", "--yes"]).expect(0);
    let down = clicks.run(&["down", "--data", "--yes"]).expect(0);
    assert_eq!(last_line(&down), "created 0 changed 0 unchanged 0 removed 1", "{}", down.stdout);
    assert_eq!(clicks.sums("page_ms"), []);
    assert!(last_line(&clicks.run(&["down", "--data", "--yes"]).expect(0)).starts_with("nothing to do"));
    ready(&clicks.run(&["druid-ingest"]).expect(0), 100);

    // A topic that was made anew ends before the place to which Druid read.
    clicks.run(&["down", "--yes"]).expect(0);
    clicks.line.topics.delete(&[&clicks.line.source]);
    clicks.write(20);
    clicks.run(&["druid-ingest"]).expect(74).says(&["down --data"]);
    clicks.run(&["down", "--data", "--yes"]).expect(0);
    ready(&clicks.run(&["druid-ingest"]).expect(0), 20);

    // Rows that nobody's supervisor brought are not ours to add to, or to drop.
    let mut foreign = clicks.supervisor();
    foreign["context"] = Json::Null;
    clicks.post(&foreign);
    clicks.ask(&Method::POST, "indexer/v1/supervisor/NAME/suspend", None);
    clicks.ask(&Method::POST, "indexer/v1/supervisor/NAME/terminate", None);
    wait_for("the rows to be handed over", LIMIT, || {
        (clicks.ask(&Method::GET, "coordinator/v1/datasources/NAME", None) != Json::Null).then_some(())
    });
    clicks.run(&["druid-ingest"]).expect(1).says(&["it has rows", "--adopt"]);
    assert_eq!(clicks.supervisor(), Json::Null);
    assert!(last_line(&clicks.run(&["down", "--data", "--yes"]).expect(0)).starts_with("nothing to do"));
    clicks.run(&["druid-ingest", "--adopt"]).expect(0);
}
