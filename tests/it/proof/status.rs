//! `pipeline status` of a line that is known to the record, and of one of which some servers are not there.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::Table;

use crate::harness::{Druid, Line, Superset, sums, wait_for};

const LIMIT: Duration = Duration::from_secs(180);
/// What the help promises, and the start of the program.
const PROMISED: Duration = Duration::from_secs(12);

/// The status; the exit code must be this.
#[track_caller]
fn status(line: &Line, code: i32, variables: &[(&str, &str)]) -> Json {
    let ended = line.start_with(&["status", "--output", "json"], variables).wait(LIMIT).expect(code);
    assert!(ended.took < PROMISED, "{:?}", ended.took);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}

/// Some of an object's keys.
fn of(object: &Json, keys: &[&str]) -> Json {
    keys.iter().map(|key| ((*key).to_owned(), object[*key].clone())).collect()
}

#[test]
#[ignore = "needs tests/stack/up"]
fn status_knows_every_hop_and_what_cannot_be_asked() {
    let mut line = Line::on_servers("status");
    line.edit(|table| {
        for datasource in table["datasource"].as_array_mut().expect("datasources") {
            // How often Druid tells its tasks' offsets; every half minute otherwise.
            let tuning = Table::from_iter([("offsetFetchPeriod".to_owned(), "PT5S".into())]);
            datasource.as_table_mut().expect("a table").insert("tuning".into(), tuning.into());
        }
    });
    let line = &line;
    nothing_is_there_yet(line);
    let _druid = Druid::of(&[&line.source, &line.sink]);
    let _superset = Superset::of(&format!("{}-kafka-101-tutorial", line.name));
    line.run(&["produce", "--backfill", "20m", "--count", "600", "--seed", "7", "--partitions", "2"], LIMIT).expect(0);
    let rows = aggregate(line);
    line.run(&["produce", "--count", "5", "--max-speed"], LIMIT).expect(0);
    std::thread::scope(|scope| {
        scope.spawn(|| a_watcher_writes_a_line_each_time(line));
        line.run(&["druid-ingest"], LIMIT).expect(0);
    });
    a_job_that_does_not_run_stands_still(line);
    let rows = rows + aggregate(line);
    std::thread::scope(|scope| {
        scope.spawn(|| line.run(&["superset-bootstrap"], LIMIT).expect(0));
        scope.spawn(|| some_servers_are_not_there(line));
        wait_for("Druid to have all", LIMIT, || {
            let found = status(line, 0, &[]);
            let has_all = |place: usize, rows: u64| {
                let datasource = &found["datasources"][place];
                datasource["lag"] == 0 && datasource["rows"] == rows
            };
            (has_all(0, 605) && has_all(1, rows)).then_some(())
        });
    });
    all_is_told(line, rows);
}

/// Runs the job to the end of the source; the rows that it wrote.
fn aggregate(line: &Line) -> u64 {
    let said = line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0).stdout;
    said.split(", ").nth(1).and_then(|part| part.split(' ').next()?.parse().ok()).expect(&said)
}

fn nothing_is_there_yet(line: &Line) {
    let found = status(line, 0, &[]);
    for hop in [&found["sources"][0], &found["aggregates"][0], &found["datasources"][1], &found["charts"][2]] {
        assert!(hop["absent"].as_str().is_some_and(|why| why.contains("`pipeline ")), "{hop}");
    }
}

fn all_is_told(line: &Line, rows: u64) {
    let found = status(line, 0, &[]);
    let source = of(&found["sources"][0], &["name", "partitions", "low", "high", "records", "rate"]);
    assert_eq!(source, json!({ "name": line.source, "partitions": 2, "low": 0, "high": 605, "records": 605, "rate": 0.0 }));
    let aggregate = &found["aggregates"][0];
    assert_eq!(
        of(aggregate, &["name", "group", "job", "lag", "members"]),
        json!({ "name": line.sink, "group": line.group(), "job": "caught-up", "lag": 0, "members": [] })
    );
    assert_eq!(aggregate["max_event_time"], found["sources"][0]["newest"]);
    assert_eq!(aggregate["sink"]["records"], rows);
    assert!(aggregate["sink"]["high"].as_u64() > Some(rows), "a transaction's marker takes an offset: {aggregate}");
    assert_eq!(aggregate["dead_letters"], json!({ "topic": line.dead_letters, "total": 0, "causes": {} }));
    assert!(aggregate["open_windows"].as_i64() >= Some(1), "{aggregate}");
    for (place, (name, rows)) in [(&line.source, 605), (&line.sink, rows)].into_iter().enumerate() {
        assert_eq!(
            of(&found["datasources"][place], &["name", "supervisor", "in_trouble", "lag", "tasks", "rows", "last_error"]),
            json!({ "name": name, "supervisor": "RUNNING", "in_trouble": false, "lag": 0, "tasks": 1, "rows": rows, "last_error": null })
        );
    }
    assert_eq!(found["datasources"][0]["newest"], found["sources"][0]["newest"]);
    // Each chart over time has a row for each store and minute, the other one for each store.
    let cells = sums(line).0.len();
    let charts: Vec<&Json> = found["charts"].as_array().expect("charts").iter().map(|chart| &chart["rows"]).collect();
    assert_eq!(charts, [&json!(cells), &json!(rows), &json!(3)], "{found}");
    assert_eq!(found["charts"][1]["newest"], found["datasources"][1]["newest"], "a bucket is a window");
    assert!(found["dashboard"].as_str().is_some_and(|page| page.contains(&line.name)));
    let text = line.run(&["status"], LIMIT).expect(0);
    assert!(text.stdout.contains("caught up") && text.stdout.contains("RUNNING") && text.stderr.is_empty(), "{text:?}");
}

fn some_servers_are_not_there(line: &Line) {
    let (wrong, nowhere) = (("PIPELINE_SUPERSET_PASSWORD", "wrong"), "http://127.0.0.1:1");
    let found = status(line, 69, &[("PIPELINE_REGISTRY_URL", nowhere), ("PIPELINE_DRUID_URL", nowhere)]);
    assert_eq!((&found["sources"][0]["records"], &found["sources"][0]["newest"]), (&json!(605), &Json::Null));
    assert_eq!(found["sources"][0]["trouble"]["exit_code"], 69);
    assert_eq!(found["aggregates"][0]["lag"], 0);
    assert_eq!((&found["datasources"][0]["exit_code"], &found["datasources"][1]["exit_code"]), (&json!(69), &json!(69)));
    let found = status(line, 69, &[("PIPELINE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), wrong]);
    assert_eq!((&found["sources"][0]["exit_code"], &found["aggregates"][0]["exit_code"]), (&json!(69), &json!(69)));
    assert_eq!((&found["datasources"][0]["rows"], &found["charts"][0]["exit_code"]), (&json!(605), &json!(77)));
    status(line, 77, &[wrong]);
}

fn a_job_that_does_not_run_stands_still(line: &Line) {
    let told = wait_for("the job to be missed", LIMIT, || {
        let aggregate = status(line, 0, &[])["aggregates"][0].clone();
        assert_eq!(aggregate["lag"], 5, "{aggregate}");
        Some(aggregate).filter(|aggregate| aggregate["job"] != "reads")
    });
    assert_eq!(told["job"], "stands-still", "{told}");
}

fn a_watcher_writes_a_line_each_time(line: &Line) {
    let file = line.file();
    let mut watcher = Command::new(env!("CARGO_BIN_EXE_pipeline"))
        .args(["--config", file.to_str().expect("a path"), "status", "--watch", "--output", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(watcher.stdout.take().expect("piped")).lines();
    let mut next = || serde_json::from_str::<Json>(&lines.next().expect("a line").expect("text")).expect("JSON");
    let (first, second) = (next(), next());
    drop(lines);
    // Nobody reads it any more: it ends by itself.
    let ended = wait_for("its end", LIMIT, || watcher.try_wait().expect("a child"));
    assert!(ended.success());
    assert_eq!((&first["sources"][0]["records"], &second["sources"][0]["records"]), (&json!(605), &json!(605)));
    assert!(first["at"].as_str() < second["at"].as_str());
}
