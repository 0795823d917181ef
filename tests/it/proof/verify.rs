//! `pipeline verify`: what is right is said to be right, and each fault is found where it was made.
//!
//! What must be there, and what was made wrong, the tests know from sums of their own.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::Offset;
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::harness::{
    self, Druid, Ended, Isolation, Line, Record, Sums, Superset, closed, minute, number, rows, sums, sums_without, wait_for,
};

const LIMIT: Duration = Duration::from_secs(180);
/// 2023-11-14 22:00, the start of an hour.
const BEGIN: i64 = 1_700_000_000_000 - 800_000;
const MINUTE: i64 = 60_000;
const LATENESS: i64 = 5_000;
const RAW: &str = "Superset aggregated sales";
const AGGREGATED: &str = "Flink Aggregated Sales";
const SHARES: &str = "stores_shares_sales";
const MEASURE: &str = "aggregated_sales";

/// What a run of verify has said.
struct Said {
    report: Json,
    stderr: String,
}

/// Runs verify to its end, which must have this code.
#[track_caller]
fn verify(line: &Line, more: &[&str], code: i32) -> Said {
    let ended = line.run(&[&["verify", "--output", "json"], more].concat(), LIMIT);
    eprintln!("verify {more:?}: {:?} after {:?}", ended.code, ended.took);
    said(ended, code)
}

#[track_caller]
fn said(ended: Ended, code: i32) -> Said {
    let Ended { stdout, stderr, .. } = ended.expect(code);
    let report: Json = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    Said { report, stderr }
}

impl Said {
    /// The comparison of a hop of this name.
    #[track_caller]
    fn one(&self, hop: &str, name: &str) -> &Json {
        let all = self.report["comparisons"].as_array().expect("comparisons");
        all.iter().find(|one| one["hop"] == hop && one["name"] == name).unwrap_or_else(|| panic!("{hop} {name}: {}", self.report))
    }

    /// How many cells of it are equal, and how many differ.
    #[track_caller]
    fn cells(&self, hop: &str, name: &str) -> (usize, usize) {
        let count = |key: &str| self.one(hop, name)[key].as_u64().expect("a number") as usize;
        (count("equal"), count("differing"))
    }

    /// The differences of one comparison.
    #[track_caller]
    fn differences(&self, hop: &str, name: &str) -> Vec<Cell> {
        self.one(hop, name)["differences"].as_array().expect("differences").iter().map(Cell::of).collect()
    }

    /// Where something was lost, by all differences.
    fn blamed(&self) -> BTreeSet<(String, String)> {
        let all = self.report["comparisons"].as_array().expect("comparisons");
        let differences = all.iter().flat_map(|one| one["differences"].as_array().expect("differences"));
        differences.map(|one| (text(&one["hop"]), text(&one["name"]))).collect()
    }

    /// Panics unless each of these places is equal in so many cells, and none anywhere differs.
    #[track_caller]
    fn expect_equal(&self, places: &[(&str, &str, usize)]) {
        assert_eq!(self.report["verdict"], "equal");
        for (hop, name, cells) in places {
            assert_eq!(self.cells(hop, name), (*cells, 0), "{hop} {name}: {}", self.report);
        }
        assert_eq!(self.report["comparisons"].as_array().expect("comparisons").len(), places.len(), "{}", self.report);
    }
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// A difference as verify tells it.
#[derive(Debug, Clone, PartialEq)]
struct Cell {
    hop: String,
    name: String,
    time: Option<i64>,
    group: String,
    metric: String,
    expected: Option<i64>,
    found: Option<i64>,
    why: String,
}

impl Cell {
    fn of(json: &Json) -> Self {
        let number = |key: &str| json[key].as_str().map(|text| text.parse::<f64>().expect("a number") as i64);
        Self {
            hop: text(&json["hop"]),
            name: text(&json["name"]),
            time: json["time"].as_i64(),
            group: text(&json["group"]),
            metric: text(&json["metric"]),
            expected: number("expected"),
            found: number("found"),
            why: text(&json["why"]),
        }
    }

    /// Panics unless it is this one.
    #[track_caller]
    fn expect(&self, (hop, name): (&str, &str), (store, start): (&str, Option<i64>), metric: &str, values: [Option<i64>; 2]) {
        let place = (self.hop.as_str(), self.name.as_str(), self.group.as_str(), self.time, self.metric.as_str());
        assert_eq!(place, (hop, name, store, start, metric), "{self:?}");
        assert_eq!([self.expected, self.found], values, "{self:?}");
    }
}

/// So many sales, one a second from a time on.
#[track_caller]
fn produce(line: &Line, from_ms: i64, count: usize) {
    let (from, count) = (from_ms.to_string(), count.to_string());
    line.run(&["produce", "--from", &from, "--count", &count, "--rate", "1", "--max-speed", "--seed", "8"], LIMIT).expect(0);
}

#[track_caller]
fn aggregate(line: &Line) {
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0);
}

/// A line that ends with the sink.
fn only_kafka(test: &str) -> Line {
    let mut line = Line::on_servers(test);
    line.edit(|table| ["datasource", "chart", "dashboard"].iter().for_each(|section| drop(table.remove(*section))));
    line
}

/// The sums of the minutes that are closed.
fn closed_sums(line: &Line) -> Sums {
    let (sums, latest) = sums(line);
    closed(&sums, latest, LATENESS)
}

/// Makes a topic anew, with these records.
fn remake(line: &Line, topic: &str, records: &[Record]) {
    line.topics.delete(&[topic]);
    wait_for("the topic to be gone", LIMIT, || (line.topics.partitions(topic) == 0).then_some(()));
    line.topics.create(topic, 1, &[]);
    line.topics.write(topic, records.iter().map(|record| (Some(0), record.key.as_deref(), record.value.as_deref())));
}

#[test]
#[ignore = "needs tests/stack/up"]
fn verify_finds_a_row_of_the_sink_that_is_altered_lost_doubled_or_too_many() {
    let line = only_kafka("verify-kafka");
    produce(&line, BEGIN, 600);
    aggregate(&line);
    let right = line.topics.read(&line.sink, Isolation::Committed);
    let (cells, sink) = (closed_sums(&line).len(), line.sink.as_str());
    assert_eq!((right.len(), cells), (27, 27));
    verify(&line, &[], 0).expect_equal(&[("kafka", sink, cells)]);

    let rows = rows(&line, Isolation::Committed);
    // Of the last row nothing behind it tells that it should be there.
    for number in [10, cells - 1] {
        let (cell, sum) = &rows[number];
        // The last byte of a row is of its sum.
        let mut altered = right.clone();
        *altered[number].value.as_mut().expect("a value").last_mut().expect("a byte") ^= 2;
        remake(&line, sink, &altered);
        let found = harness::rows(&line, Isolation::Committed)[number].1;
        assert_ne!(found, *sum);
        expect_fault(&line, cells - 1, cell, [Some(*sum), Some(found)]);

        remake(&line, sink, &[&right[..], &right[number..=number]].concat());
        expect_fault(&line, cells - 1, cell, [Some(*sum), Some(2 * sum)]);
    }
    let ((store, start), sum) = &rows[10];
    let mut lost = right.clone();
    lost.remove(10);
    remake(&line, sink, &lost);
    expect_fault(&line, cells - 1, &rows[10].0, [Some(*sum), None]);

    let mut extra = right[10].clone();
    for part in [&mut extra.key, &mut extra.value] {
        let bytes = part.as_mut().expect("it has one");
        let at = bytes.windows(3).position(|three| three == store.as_bytes()).expect("the store");
        bytes[at..at + 3].copy_from_slice(b"XYZ");
    }
    remake(&line, sink, &[&right[..], &[extra]].concat());
    expect_fault(&line, cells, &("XYZ".into(), *start), [None, Some(*sum)]);
    remake(&line, sink, &right);
    verify(&line, &[], 0).expect_equal(&[("kafka", sink, cells)]);
}

/// Verify finds one row of the sink that is not right.
#[track_caller]
fn expect_fault(line: &Line, equal: usize, (store, start): &(String, i64), values: [Option<i64>; 2]) {
    let said = verify(line, &[], 2);
    assert_eq!(said.cells("kafka", &line.sink), (equal, 1), "{}", said.report);
    let differences = said.differences("kafka", &line.sink);
    differences[0].expect(("kafka", &line.sink), (store, Some(*start)), MEASURE, values);
    assert!(said.stderr.contains(&format!("1 of {} cells", equal + 1)), "{}", said.stderr);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn verify_explains_late_records_and_names_an_aggregate_that_does_not_run() {
    let line = only_kafka("verify-late");
    let sink = line.sink.as_str();
    produce(&line, BEGIN, 600);
    aggregate(&line);
    // Their windows are closed: all of them become dead letters.
    produce(&line, BEGIN + 3 * MINUTE, 20);
    aggregate(&line);
    let late = line.topics.read(&line.dead_letters, Isolation::Committed);
    assert_eq!(late.len(), 20);
    let offsets: BTreeSet<i64> = late.iter().map(|letter| letter.headers["offset"].parse().expect("an offset")).collect();
    let (without, latest) = sums_without(&line, |_, offset| offsets.contains(&offset));
    let (all, _) = sums(&line);
    let differing = all.iter().filter(|(cell, sum)| without.get(*cell) != Some(*sum)).count();
    assert_eq!(differing, 3);
    let cells = closed(&without, latest, LATENESS).len();

    let said = verify(&line, &[], 0);
    said.expect_equal(&[("kafka", sink, cells)]);
    assert_eq!(said.one("kafka", sink)["explained"], differing, "{}", said.report);
    let said = verify(&line, &["--strict"], 2);
    assert_eq!(said.cells("kafka", sink), (cells - differing, differing), "{}", said.report);
    for found in said.differences("kafka", sink) {
        let cell = (found.group.clone(), found.time.expect("a window"));
        found.expect(("kafka", sink), (&cell.0, Some(cell.1)), MEASURE, [Some(all[&cell]), Some(without[&cell])]);
        assert!(found.why.contains("late"), "{found:?}");
    }

    // Nobody sums what comes now.
    produce(&line, BEGIN + 10 * MINUTE, 300);
    let (without, latest) = sums_without(&line, |_, offset| offsets.contains(&offset));
    let closed = closed(&without, latest, LATENESS);
    let said = verify(&line, &[], 2);
    assert_eq!(said.cells("kafka", sink), (cells, closed.len() - cells), "{}", said.report);
    for found in said.differences("kafka", sink) {
        let cell = (found.group.clone(), found.time.expect("a window"));
        found.expect(("kafka", sink), (&cell.0, Some(cell.1)), MEASURE, [Some(closed[&cell]), None]);
        assert!(found.why.contains("does `pipeline aggregate` run?"), "{found:?}");
    }
    aggregate(&line);
    verify(&line, &[], 0).expect_equal(&[("kafka", sink, closed.len())]);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn verify_adds_the_rows_of_a_cell_up_where_late_records_make_more_of_them() {
    let mut line = only_kafka("verify-delta");
    line.set_aggregate("late", "delta");
    produce(&line, BEGIN, 300);
    aggregate(&line);
    produce(&line, BEGIN + 2 * MINUTE, 20);
    aggregate(&line);
    let cells = closed_sums(&line).len();
    assert!(rows(&line, Isolation::Committed).len() > cells);
    let said = verify(&line, &["--strict"], 0);
    said.expect_equal(&[("kafka", &line.sink, cells)]);
    assert_eq!(said.one("kafka", &line.sink)["explained"], 0);

    // A row that comes twice makes the sum wrong.
    let rows = line.topics.read(&line.sink, Isolation::Committed);
    remake(&line, &line.sink, &[&rows[..], &rows[4..5]].concat());
    let said = verify(&line, &[], 2);
    assert_eq!(said.cells("kafka", &line.sink), (cells - 1, 1), "{}", said.report);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn verify_leaves_out_what_was_deleted_and_what_came_before_a_time() {
    let line = only_kafka("verify-since");
    let sink = line.sink.as_str();
    produce(&line, BEGIN, 600);
    aggregate(&line);
    let cells = closed_sums(&line);
    let from = |first: i64| cells.keys().filter(|(_, start)| *start >= first).count();
    // In the middle of a minute.
    let since = chrono::DateTime::from_timestamp_millis(BEGIN + 270_000).expect("a time").to_rfc3339();
    let said = verify(&line, &["--since", &since], 0);
    said.expect_equal(&[("kafka", sink, from(BEGIN + 300_000))]);

    // The first event that is left is of the third minute; one of the next may have come before it.
    line.topics.delete_records_before(&line.source, Offset::Offset(130));
    let equal = from(BEGIN + 180_000);
    let said = verify(&line, &[], 0);
    said.expect_equal(&[("kafka", sink, equal)]);
    assert_eq!(said.one("kafka", sink)["left_out"], cells.len() - equal, "{}", said.report);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn verify_blames_nobody_where_all_events_were_deleted() {
    let line = only_kafka("verify-gone");
    produce(&line, BEGIN, 200);
    aggregate(&line);
    // Rows are kept longer than events.
    line.topics.delete_records(&line.source);
    let ended = line.run(&["verify"], LIMIT).expect(1);
    assert!(ended.stderr.contains("no cell to compare"), "{}{}", ended.stdout, ended.stderr);
}

/// Makes what is in Druid and in Superset.
#[track_caller]
fn set_up(line: &Line) {
    line.run(&["druid-ingest"], LIMIT).expect(0);
    line.run(&["superset-bootstrap"], LIMIT).expect(0);
}

fn superset_of(line: &Line) -> Superset {
    Superset::of(line.table()["dashboard"]["slug"].as_str().expect("a slug"))
}

/// The cell of an event of the source, and its amount.
fn event(line: &Line, offset: usize) -> ((String, i64), i64) {
    let record = &line.topics.read(&line.source, Isolation::Committed)[offset];
    let fields = line.decoder().decode(record.value.as_deref().expect("a value"));
    let cell = (harness::text(&fields, "store_id").to_owned(), minute(number(&fields, "sale_ts")));
    (cell, number(&fields, "sale_amount"))
}

#[test]
#[ignore = "needs tests/stack/up"]
fn verify_counts_every_cell_of_a_line_that_is_right_also_while_events_come() {
    let line = Line::on_servers("verify-right");
    let druid = Druid::of(&[&line.source, &line.sink]);
    let _superset = superset_of(&line);
    line.run(&["produce", "--backfill", "20m", "--count", "1200", "--partitions", "2"], LIMIT).expect(0);
    aggregate(&line);
    set_up(&line);
    let places = |line: &Line, cells: [usize; 2]| {
        let [source, sink] = [line.source.clone(), line.sink.clone()];
        [
            ("kafka", sink.clone(), cells[1]),
            ("druid", source, cells[0]),
            ("druid", sink, cells[1]),
            ("superset", RAW.into(), cells[0]),
            ("superset", AGGREGATED.into(), cells[1]),
            ("superset", SHARES.into(), 3),
        ]
    };
    let cells = [sums(&line).0.len(), rows(&line, Isolation::Committed).len()];
    assert_eq!(cells[1], closed_sums(&line).len());
    let places = places(&line, cells);
    verify(&line, &[], 0).expect_equal(&places.each_ref().map(|(hop, name, cells)| (*hop, name.as_str(), *cells)));

    // Servers that do not answer, or do not know us, are named.
    let cases = [
        ("PIPELINE_DRUID_URL", "http://127.0.0.1:9", 69, "Druid"),
        ("PIPELINE_DRUID_PASSWORD", "wrong", 77, "Druid"),
        ("PIPELINE_SUPERSET_URL", "http://127.0.0.1:9", 69, "Superset"),
        ("PIPELINE_SUPERSET_PASSWORD", "wrong", 77, "Superset"),
        ("PIPELINE_REGISTRY_URL", "http://127.0.0.1:9", 69, "registry"),
        ("PIPELINE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9", 69, "Kafka"),
    ];
    let runs = cases.map(|(name, value, ..)| line.start_with(&["verify"], &[(name, value)]));
    for ((name, value, code, says), run) in cases.into_iter().zip(runs) {
        let ended = run.wait(LIMIT).expect(code).says(&[says]);
        assert!(value == "wrong" || ended.stderr.contains("127.0.0.1:9"), "{}", ended.stderr);
        assert!(ended.took < Duration::from_secs(18), "{name}: {:?}", ended.took);
    }

    let [_produce, _aggregate] = [line.start(&["produce", "--rate", "20"]), line.start(&["aggregate"])];
    wait_for("new events", LIMIT, || (sums(&line).0.len() > cells[0]).then_some(()));
    for _ in 0..3 {
        let said = verify(&line, &[], 0);
        assert!(said.cells("druid", &line.source).0 >= cells[0], "{}", said.report);
    }
    let watch = line.start(&["verify", "--watch", "--output", "json"]);
    let is_whole = |line: &str| serde_json::from_str::<Json>(line).is_ok();
    let reports = wait_for("reports", LIMIT, || {
        let reports: Vec<String> = watch.stdout().lines().filter(|line| is_whole(line)).map(str::to_owned).collect();
        (reports.len() >= 2).then_some(reports)
    });
    watch.terminate();
    watch.wait(LIMIT).expect(0);
    let last: Json = serde_json::from_str(&reports[1]).expect("JSON");
    assert_eq!(last["verdict"], "equal", "{last}");
    let paths: Vec<String> = last["freshness"].as_array().expect("paths").iter().map(|one| text(&one["path"])).collect();
    for (from, to) in [
        ("event", line.source.clone()),
        (&line.source, format!("Druid {}", line.source)),
        (&line.source, format!("chart `{RAW}`")),
        ("event", format!("chart `{RAW}`")),
    ] {
        assert!(paths.contains(&format!("{from} -> {to}")), "{from} -> {to}: {paths:?}");
    }
    for fresh in last["freshness"].as_array().expect("paths") {
        let [p50, p99, max] = ["p50_ms", "p99_ms", "max_ms"].map(|key| fresh[key].as_i64().expect("a number"));
        assert!(p50 <= p99 && p99 <= max && max < 20_000, "{fresh}");
    }
    drop(druid);
}

/// Verify finds differences in this datasource, and what charts show of them is Druid's as well.
#[track_caller]
fn expect_blamed(said: &Said, datasources: &[&str]) {
    let blamed = datasources.iter().map(|name| ("druid".to_owned(), (*name).to_owned())).collect::<BTreeSet<_>>();
    assert_eq!(said.blamed(), blamed, "{}", said.report);
}

/// How many cells of the comparisons differ.
fn differing<const N: usize>(said: &Said, places: [(&str, &str); N]) -> [usize; N] {
    places.map(|(hop, name)| said.cells(hop, name).1)
}

#[test]
#[ignore = "needs tests/stack/up"]
fn verify_blames_druid_for_what_it_lost_has_twice_or_alone_and_names_a_suspended_supervisor() {
    let line = Line::on_servers("verify-druid");
    let (source, sink) = (line.source.as_str(), line.sink.as_str());
    let druid = Druid::of(&[source, sink]);
    let _superset = superset_of(&line);
    produce(&line, BEGIN, 600);
    aggregate(&line);
    set_up(&line);
    verify(&line, &[], 0);
    let places =
        [("kafka", sink), ("druid", source), ("druid", sink), ("superset", RAW), ("superset", AGGREGATED), ("superset", SHARES)];

    // Of the events the first is lost. Of the sums one is altered by a row of nobody's, and those that come now are not read.
    druid.reset(source, source, 1);
    druid.suspend(sink);
    let read = rows(&line, Isolation::Committed);
    let ((store, start), sum) = &read[5];
    append(&druid, sink, &json!({ "time": start, "store_id": store, MEASURE: 7, "window_end": start + MINUTE }));
    produce(&line, BEGIN + 90 * MINUTE, 120);
    aggregate(&line);
    let unread = rows(&line, Isolation::Committed).split_off(read.len());
    let said = verify(&line, &[], 2);
    let wrong = unread.len() + 1;
    assert_eq!(differing(&said, places), [0, 1, wrong, 1, wrong, 1], "{}", said.report);
    expect_blamed(&said, &[source, sink]);
    let (first, amount) = event(&line, 0);
    let all = sums(&line).0[&first];
    let lost = said.differences("druid", source)[0].clone();
    assert_eq!((lost.group.as_str(), lost.time), (first.0.as_str(), Some(first.1)), "{lost:?}");
    let shown = &said.differences("superset", RAW)[0];
    shown.expect(("druid", source), (&first.0, Some(first.1)), "SUM(sale_amount)", [Some(all), Some(all - amount)]);
    let altered = &said.differences("superset", AGGREGATED)[0];
    altered.expect(("druid", sink), (store, Some(*start)), "SUM(aggregated_sales)", [Some(*sum), Some(sum + 7)]);
    let missing = said.differences("druid", sink).split_off(1);
    let cells = |found: &Cell| (found.group.clone(), found.time.expect("a window"));
    assert_eq!(missing.iter().map(cells).collect::<BTreeSet<_>>(), unread.into_iter().map(|(cell, _)| cell).collect());
    assert!(missing.iter().all(|found| found.why.contains("suspended") && found.why.contains("druid-ingest")), "{missing:?}");

    // What was lost is read again; of the sums one comes twice.
    druid.reset(source, source, 0);
    unused_last(&druid, sink);
    druid.reset(sink, sink, line.topics.read(sink, Isolation::Committed)[read.len() - 1].offset);
    druid.order(sink, "resume");
    let doubled = rows(&line, Isolation::Committed).len() + 1;
    wait_for("the row that comes twice", LIMIT, || (druid.count(sink) == doubled).then_some(()));
    let said = verify(&line, &[], 2);
    assert_eq!(differing(&said, places), [0, 0, 1, 0, 1, 0], "{}", said.report);
    expect_blamed(&said, &[sink]);
    let ((store, start), sum) = read.last().expect("a row");
    for (hop, name) in [("druid", sink), ("superset", AGGREGATED)] {
        let found = &said.differences(hop, name)[0];
        assert_eq!((found.group.as_str(), found.time), (store.as_str(), Some(*start)), "{found:?}");
        assert!(found.why.contains("twice"), "{found:?}");
    }
    let shown = &said.differences("superset", AGGREGATED)[0];
    assert_eq!([shown.expected, shown.found], [Some(*sum), Some(2 * sum)], "{shown:?}");
}

/// Has Druid itself append a row to a datasource, beside its supervisor.
fn append(druid: &Druid, datasource: &str, row: &Json) {
    let spec = json!({
        "type": "index_parallel",
        "spec": {
            "dataSchema": {
                "dataSource": datasource,
                "timestampSpec": { "column": "time", "format": "millis" },
                "dimensionsSpec": { "useSchemaDiscovery": true },
                "granularitySpec": { "segmentGranularity": "HOUR", "queryGranularity": "NONE", "rollup": false },
            },
            "ioConfig": {
                "type": "index_parallel",
                "inputSource": { "type": "inline", "data": row.to_string() },
                "inputFormat": { "type": "json" },
                "appendToExisting": true,
            },
            "tuningConfig": { "type": "index_parallel", "partitionsSpec": { "type": "dynamic" } },
        },
    });
    let answer = druid.ask(&Method::POST, "indexer/v1/task", Some(&spec));
    let task = text(&answer["task"]);
    wait_for("the row", LIMIT, || {
        let status = druid.ask(&Method::GET, &format!("indexer/v1/task/{task}/status"), None);
        assert_ne!(status["status"]["statusCode"], "FAILED", "{status}");
        (status["status"]["statusCode"] == "SUCCESS").then_some(())
    });
}

/// Takes the segment of a datasource away that was made last.
fn unused_last(druid: &Druid, datasource: &str) {
    let found = druid.ask(&Method::GET, &format!("coordinator/v1/metadata/datasources/{datasource}/segments?full"), None);
    let segments = found.as_array().expect("segments").iter();
    let last = segments.max_by_key(|one| one["shardSpec"]["partitionNum"].as_i64()).expect("a segment");
    let body = json!({ "segmentIds": [last["identifier"]] });
    let answer = druid.ask(&Method::POST, &format!("coordinator/v1/datasources/{datasource}/markUnused"), Some(&body));
    assert_eq!(answer["numChangedSegments"], 1, "{answer} {found}");
}

/// JSON within a string, changed.
fn changed(text: &Json, change: impl FnOnce(&mut Json)) -> String {
    let mut inner: Json = serde_json::from_str(text.as_str().expect("text")).expect("JSON");
    change(&mut inner);
    inner.to_string()
}

/// Changes a chart's query, as somebody would by hand.
fn edit_chart(superset: &Superset, title: &str, change: impl FnOnce(&mut Json)) {
    let chart = superset.chart(title);
    let query = changed(&chart["query_context"], |context| change(&mut context["queries"][0]));
    let answer = superset.ask(&Method::PUT, &format!("chart/{}", chart["id"]), Some(&json!({ "query_context": query })));
    assert!(answer["result"].is_object(), "{answer}");
}

#[test]
#[ignore = "needs tests/stack/up"]
fn verify_blames_superset_for_charts_that_were_edited_deleted_or_show_too_few_rows() {
    let mut line = Line::on_servers("verify-charts");
    let source = line.source.clone();
    line.edit(|table| {
        table["datasource"].as_array_mut().expect("tables").truncate(1);
        let [mut number, mut by_store] = [0, 1].map(|_| table["chart"][2].as_table().expect("a chart").clone());
        for (chart, title, kind) in [(&mut number, "Number", "big-number"), (&mut by_store, "Table", "table")] {
            chart.insert("title".into(), title.into());
            chart.insert("type".into(), kind.into());
        }
        number.remove("group_by");
        let charts = table["chart"].as_array_mut().expect("tables");
        charts.remove(1);
        charts.extend([by_store.into(), number.into()]);
        let rows = "v = [[{ chart = \"Table\", width = 6 }, { chart = \"Number\", width = 6 }]]".parse::<toml::Table>();
        let mut rows = rows.expect("TOML").remove("v").expect("rows");
        let own = table["dashboard"]["rows"].as_array_mut().expect("rows");
        own.truncate(1);
        own.append(rows.as_array_mut().expect("rows"));
    });
    let _druid = Druid::of(&[&source]);
    let superset = superset_of(&line);
    produce(&line, BEGIN, 300);
    aggregate(&line);
    set_up(&line);
    let (all, _) = sums(&line);
    let cells = all.len();
    let places = |line: &Line| {
        let kafka = ("kafka", line.sink.clone(), closed_sums(line).len());
        let charts = [(RAW, cells), (SHARES, 3), ("Table", 3), ("Number", 1)];
        let charts = charts.map(|(title, cells)| ("superset", title.to_owned(), cells));
        [&[kafka, ("druid", source.clone(), cells)][..], &charts].concat()
    };
    let expect_equal = |line: &Line| {
        let places = places(line);
        let places: Vec<_> = places.iter().map(|(hop, name, cells)| (*hop, name.as_str(), *cells)).collect();
        verify(line, &[], 0).expect_equal(&places);
    };
    expect_equal(&line);

    // Each chart in another way.
    edit_chart(&superset, SHARES, |query| {
        let filter = json!({ "col": "store_id", "op": "!=", "val": "ABC" });
        query["filters"].as_array_mut().expect("filters").push(filter);
    });
    edit_chart(&superset, "Number", |query| query["metrics"][0]["aggregate"] = json!("MAX"));
    edit_chart(&superset, "Table", |query| query["row_limit"] = json!(2));
    let said = verify(&line, &[], 2);
    assert_eq!(said.cells("druid", &source), (cells, 0));
    assert_eq!(said.cells("superset", RAW), (cells, 0));
    let mut totals = std::collections::BTreeMap::new();
    all.iter().for_each(|((store, _), sum)| *totals.entry(store.as_str()).or_insert(0) += sum);
    let label = "SUM(sale_amount)";
    assert_eq!(said.cells("superset", SHARES), (2, 1));
    said.differences("superset", SHARES)[0].expect(("superset", SHARES), ("ABC", None), label, [Some(totals["ABC"]), None]);
    let least = totals.iter().min_by_key(|(_, sum)| **sum).expect("a store");
    assert_eq!(said.cells("superset", "Table"), (2, 1));
    said.differences("superset", "Table")[0].expect(("superset", "Table"), (least.0, None), label, [Some(*least.1), None]);
    assert_eq!(said.cells("superset", "Number").1, 1);
    assert_eq!(said.differences("superset", "Number")[0].expected, Some(totals.values().sum()));
    line.run(&["superset-bootstrap"], LIMIT).expect(0);
    expect_equal(&line);

    // One is deleted, and another one is to show fewer rows than there are.
    let id = superset.chart("Table")["id"].clone();
    superset.ask(&Method::DELETE, &format!("chart/{id}"), None);
    line.run(&["verify"], LIMIT).expect(2).says(&["`Table`", "superset-bootstrap"]);
    line.edit(|table| drop(table["chart"][0].as_table_mut().expect("a chart").insert("row_limit".into(), 10.into())));
    line.run(&["superset-bootstrap"], LIMIT);
    let said = verify(&line, &[], 2);
    assert_eq!(said.cells("superset", RAW), (10, cells - 10), "{}", said.report);
    assert!(text(&said.one("superset", RAW)["note"]).contains("row_limit of 10"), "{}", said.report);
    assert_eq!(said.blamed(), [("superset".to_owned(), RAW.to_owned())].into());
    line.edit(|table| drop(table["chart"][0].as_table_mut().expect("a chart").remove("row_limit")));
    line.run(&["superset-bootstrap"], LIMIT).expect(0);
    expect_equal(&line);
}
