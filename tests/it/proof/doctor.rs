//! Faults planted one at a time, each on the real servers unless it says otherwise: doctor names each, and nothing else.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value as Json, json};

use crate::harness::{Druid, Ended, Gate, Line, Running, Superset, block_on, wait_for};

const LIMIT: Duration = Duration::from_secs(180);
/// What doctor promises.
const BOUND: Duration = Duration::from_secs(15);
/// A port on which nobody listens.
const CLOSED: &str = "127.0.0.1:1";

/// What doctor found.
struct Report {
    ended: Ended,
    json: Json,
}

impl Report {
    #[track_caller]
    fn of(running: Running) -> Self {
        let ended = running.wait(LIMIT);
        assert!(ended.took < BOUND, "{:?}\n{}", ended.took, ended.stdout);
        for secret in ["password2", "canary"] {
            assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{}{}", ended.stdout, ended.stderr);
        }
        let json = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}{}", ended.stdout, ended.stderr));
        Self { ended, json }
    }

    fn findings(&self) -> &[Json] {
        self.json["findings"].as_array().expect("findings")
    }

    fn with(&self, verdict: &str) -> Vec<&Json> {
        self.findings().iter().filter(|finding| finding["verdict"] == verdict).collect()
    }

    /// What has failed. That Druid has no free slot is left out: other tests take them, too.
    fn failed(&self) -> Vec<&Json> {
        self.with("failed").into_iter().filter(|finding| finding["what"] != "task slots").collect()
    }

    /// Panics unless this area, and no other, has failed, and its first failure says this and what to do.
    #[track_caller]
    fn names(self, code: i32, area: &str, words: &[&str]) -> Self {
        let failed = self.failed();
        assert!(!failed.is_empty() && failed.iter().all(|finding| finding["area"] == area), "not {area} alone: {failed:#?}");
        let text = failed[0].to_string();
        for word in words {
            assert!(text.contains(word), "`{word}` is missing in {text}");
        }
        assert!(failed[0]["hint"].is_string(), "{text}");
        assert_eq!((failed[0]["exit_code"].as_i64(), &self.json["ok"]), (Some(code.into()), &json!(false)), "{text}");
        let is_first = self.with("failed")[0] == failed[0];
        assert!(self.ended.code == Some(code) || !is_first, "{:?}: {}", self.ended.code, self.ended.stderr);
        self
    }

    /// Panics unless there is a finding with this verdict of this area that says this.
    #[track_caller]
    fn has(self, verdict: &str, area: &str, words: &str) -> Self {
        let found = self.with(verdict).into_iter().any(|one| one["area"] == area && one.to_string().contains(words));
        assert!(found, "no {verdict} of {area} with `{words}`: {:#}", self.json);
        self
    }

    /// Panics unless all is well.
    #[track_caller]
    fn shows_no_failure(self) -> Self {
        assert!(self.failed().is_empty(), "{:#?}", self.failed());
        let is_ok = self.with("failed").is_empty();
        assert_eq!((&self.json["ok"], self.ended.code == Some(0)), (&json!(is_ok), is_ok), "{}", self.ended.stderr);
        self
    }
}

#[track_caller]
fn doctor(line: &Line) -> Report {
    Report::of(line.start(&["doctor", "--output", "json"]))
}

/// Sets a key of a table of the pipeline file.
fn set(line: &mut Line, table: &str, key: &str, value: impl Into<toml::Value>) {
    line.edit(|file| drop(file[table].as_table_mut().expect("a table").insert(key.into(), value.into())));
}

/// A line whose source others write.
fn written_by_others(line: &mut Line) {
    line.edit(|file| drop(file["source"][0].as_table_mut().expect("a table").remove("generate")));
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_before_anything_is_made_has_notes_and_no_failures() {
    let line = Line::on_servers("doctor-new");
    let report = doctor(&line).shows_no_failure();
    let report = report.has("note", "kafka", "pipeline produce").has("note", "superset", "superset-bootstrap");
    report.has("ok", "browser", "login").has("ok", "druid", "1 historical").has("ok", "superset", "its way to Druid");
    assert_eq!(line.topics.partitions(&line.source), 0, "doctor makes no topic");
    let text = line.run(&["doctor"], LIMIT).stdout;
    assert!(text.lines().last().is_some_and(|last| last.ends_with(" failed, 2 skipped")), "{text}");
    assert!(text.contains("\nnote     registry  subject "), "{text}");
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_a_wrong_path_of_the_registry() {
    let mut line = Line::on_servers("doctor-path");
    let wrong = line.registry().replace("/apis/ccompat/v7", "/apis/wrong");
    set(&mut line, "registry", "url", wrong);
    doctor(&line).names(69, "registry", &["not how a schema registry answers", "its path included"]);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_a_wrong_password_of_druid_and_the_first_failure_decides() {
    let mut line = Line::on_servers("doctor-password");
    set(&mut line, "druid", "password", "canary");
    doctor(&line).names(77, "druid", &["druid_system", "PIPELINE_DRUID_PASSWORD"]);
    let wrong = line.registry().replace("/apis/ccompat/v7", "/apis/wrong");
    set(&mut line, "registry", "url", wrong);
    let report = doctor(&line);
    let areas: Vec<&Json> = report.with("failed").iter().map(|finding| &finding["area"]).collect();
    assert_eq!((areas, report.ended.code), (vec![&json!("registry"), &json!("druid")], Some(69)));
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_a_topic_that_is_missing() {
    let mut line = Line::on_servers("doctor-topic");
    written_by_others(&mut line);
    line.decoder().register(&format!("{}-value", line.source), include_str!("../../../config/sales.avsc"));
    let there_is_none = format!("there is no topic {}", line.source);
    doctor(&line).names(69, "kafka", &[&there_is_none]);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_a_broker_that_is_down() {
    let mut line = Line::on_servers("doctor-broker");
    set(&mut line, "kafka", "bootstrap_servers", CLOSED);
    doctor(&line).names(69, "kafka", &[CLOSED, "is Kafka running there"]);
}

/// The broker of the stack takes no logins.
#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_a_broker_that_refuses_the_login() {
    let line = Line::on_servers("doctor-login");
    let login = ["security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", "sasl.username=me"];
    let arguments: Vec<&str> =
        ["doctor", "--output", "json"].into_iter().chain(login.into_iter().flat_map(|one| ["-X", one])).collect();
    let report = Report::of(line.start_with(&arguments, &[("PIPELINE_KAFKA_PROPERTIES_SASL_PASSWORD", "canary")]));
    let report = report.names(77, "kafka", &["SASL", "security.protocol"]);
    report.has("skipped", "druid", "because").has("skipped", "kafka", "cannot be asked");
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_a_schema_that_the_registry_would_refuse() {
    let line = Line::on_servers("doctor-schema");
    let subject = format!("{}-value", line.sink);
    let other = r#"{"type":"record","name":"record","namespace":"org.apache.flink.avro.generated",
        "fields":[{"name":"store_id","type":"int"},{"name":"window_start","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
    line.decoder().register(&subject, other);
    let rule = Client::new().put(format!("{}/config/{subject}", line.registry())).json(&json!({"compatibility": "BACKWARD"}));
    assert!(block_on(async { rule.send().await.expect("an answer").status().is_success() }));
    doctor(&line).names(65, "registry", &["incompatible", &subject]);
    line.run(&["produce", "--count", "1"], LIMIT).expect(0);
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(65);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_topics_that_lose_records_that_are_needed() {
    let line = Line::on_servers("doctor-kept");
    // Its windows need 1m 5s.
    line.topics.create(&line.source, 1, &[("retention.ms", "60000")]);
    doctor(&line).names(74, "kafka", &["keeps a record for 1m", "needs it for 1m 5s", "retention.ms"]);
    let line = Line::on_servers("doctor-compact");
    line.topics.create(&line.source, 1, &[]);
    line.topics.create(&line.sink, 2, &[("cleanup.policy", "compact")]);
    let report = doctor(&line).names(74, "kafka", &[&line.sink, "is compacted"]);
    report.has("note", "kafka", "its source 1");
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_a_clock_of_the_future_in_the_newest_record() {
    let line = Line::on_servers("doctor-clock");
    line.topics.create(&line.source, 1, &[]);
    let soon = std::time::SystemTime::now() + Duration::from_secs(40);
    let ms = soon.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    line.topics.write_at(&line.source, i64::try_from(ms).expect("a time"), b"x");
    doctor(&line).shows_no_failure().has("note", "kafka", "ahead of this machine's clock");
}

/// The answer of Druid's workers is rewritten on its way.
#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_a_druid_without_free_slots() {
    let mut line = Line::on_servers("doctor-slots");
    let gate = Gate::before(line.table()["druid"]["url"].as_str().expect("an address"));
    let busy = json!([{ "worker": { "host": "h:1", "capacity": 2 }, "currCapacityUsed": 1 }]);
    gate.answer("/workers", "200 OK", busy.to_string());
    set(&mut line, "druid", "url", gate.url.clone());
    let report = doctor(&line).has("failed", "druid", "no free slots").has("failed", "druid", "of its 2 slots 1 are taken");
    assert!(report.ended.code == Some(1) && report.failed().is_empty(), "{:#}", report.json);
    assert!(gate.asked("/workers") > 0);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_a_superset_that_cannot_reach_druid() {
    let mut line = Line::on_servers("doctor-way");
    set(&mut line, "superset", "druid_url", format!("http://{CLOSED}"));
    doctor(&line).names(69, "superset", &["cannot ask Druid at http://127.0.0.1:1", "druid_url"]);
    set(&mut line, "superset", "druid_url", "http://no-such-host.invalid:8888");
    doctor(&line).names(69, "superset", &["no-such-host.invalid", "hostname"]);
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_a_druid_that_cannot_reach_kafka_or_the_registry() {
    let mut line = Line::on_servers("doctor-paths");
    line.run(&["produce", "--count", "1"], LIMIT).expect(0);
    let own = line.table()["druid"].clone();
    set(&mut line, "druid", "kafka_bootstrap_servers", CLOSED);
    doctor(&line).names(69, "druid", &["Kafka", CLOSED, "kafka_bootstrap_servers"]);
    line.edit(|file| file["druid"] = own);
    set(&mut line, "druid", "registry_url", format!("http://{CLOSED}"));
    doctor(&line).names(69, "druid", &["registry", CLOSED, "registry_url"]);
}

/// A second Superset of the same installation, without Druid's driver.
struct Driverless(Child, String, Line);

impl Driverless {
    fn start(line: Line) -> Self {
        let (home, packages) = (line.folder.join("superset"), line.folder.join("packages"));
        for folder in [&home, &packages] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        std::fs::write(packages.join("pydruid.py"), "raise ImportError('not installed')\n").expect("a file");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let script = r#"set -eu; . "$1/tests/stack/lib.sh"; load superset; cp "$SUPERSET_PREPARED/superset.db" "$2/"
            exec "${SUPERSET_COMMAND[@]}" SUPERSET_HOME="$2" PYTHONPATH="$3" "$SUPERSET_PREPARED/venv/bin/gunicorn" --bind "127.0.0.1:$4" \
            --workers 1 --worker-class gthread --threads 4 --timeout 120 --graceful-timeout 1 --no-control-socket 'superset.app:create_app()'"#;
        let mut bash = Command::new("bash");
        bash.args(["-c", script, "superset", env!("CARGO_MANIFEST_DIR")]).args([&home, &packages]).arg(port.to_string());
        let child = bash.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("bash");
        let started = Self(child, format!("http://127.0.0.1:{port}"), line);
        let health = format!("{}/health", started.1);
        let is_up = || block_on(async { Client::new().get(&health).send().await }).is_ok_and(|answer| answer.status() == 200);
        wait_for("a second Superset", LIMIT, || is_up().then_some(()));
        started
    }
}

impl Drop for Driverless {
    fn drop(&mut self) {
        // Asked, it ends its workers, too.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_a_superset_without_druid_s_driver() {
    let mut superset = Driverless::start(Line::on_servers("doctor-driver"));
    let url = superset.1.clone();
    set(&mut superset.2, "superset", "url", url);
    let report = doctor(&superset.2).names(1, "superset", &["no driver for Druid", "pip install pydruid"]);
    report.has("skipped", "superset", "the driver is missing").has("ok", "browser", "script");
}

/// A line that runs: one datasource and its charts.
struct Live {
    superset: Superset,
    druid: Druid,
    line: Line,
}

impl Live {
    fn start(test: &str) -> Self {
        let mut line = Line::on_servers(test);
        let datasource = line.source.clone();
        line.edit(|table| {
            table["datasource"].as_array_mut().expect("tables").truncate(1);
            let charts = table["chart"].as_array_mut().expect("tables");
            charts.retain(|chart| chart["datasource"].as_str() == Some(&datasource));
            table["dashboard"]["rows"].as_array_mut().expect("rows").truncate(1);
        });
        let superset = Superset::of(line.table()["dashboard"]["slug"].as_str().expect("a slug"));
        let live = Self { superset, druid: Druid::of(&[&datasource]), line };
        live.line.run(&["produce", "--backfill", "5m", "--count", "300", "--seed", "7"], LIMIT).expect(0);
        live.line.run(&["druid-ingest"], LIMIT).expect(0);
        live.line.run(&["superset-bootstrap"], LIMIT).expect(0);
        live
    }

    fn is_suspended(&self) -> bool {
        self.druid.supervisor(&self.line.source)["suspended"] == true
    }
}

#[test]
#[ignore = "needs tests/stack/up"]
fn doctor_names_what_was_changed_by_hand() {
    let mut live = Live::start("doctor-live");
    let report =
        doctor(&live.line).shows_no_failure().has("ok", "superset", "it asks Druid at").has("ok", "superset", "days are left");
    report.has("ok", "druid", "reaches Kafka at").has("ok", "druid", "1 task read");

    // The dashboard is edited,
    let title = live.superset.dashboard()["dashboard_title"].clone();
    let id = live.superset.dashboard()["id"].to_string();
    let edit = json!({ "dashboard_title": "Mine" });
    assert!(live.superset.ask(&Method::PUT, &format!("dashboard/{id}"), Some(&edit)).get("result").is_some());
    let old_and_new = format!("\\\"Mine\\\" -> {}", title.to_string().replace('"', "\\\""));
    doctor(&live.line).names(2, "superset", &["dashboard `", "dashboard_title", &old_and_new, "superset-bootstrap"]);

    // a chart's rows come to its limit,
    live.line.edit(|file| drop(file["chart"][0].as_table_mut().expect("a table").insert("row_limit".into(), 10.into())));
    live.line.run(&["superset-bootstrap"], LIMIT).expect(0);
    doctor(&live.line).names(65, "superset", &["has reached its row_limit of 10"]);

    // and the supervisor is suspended.
    let suspend = format!("indexer/v1/supervisor/{}/suspend", live.line.source);
    live.druid.ask(&Method::POST, &suspend, None);
    wait_for("the supervisor to be suspended", LIMIT, || live.is_suspended().then_some(()));
    let suspended = format!("supervisor {} is suspended", live.line.source);
    doctor(&live.line).has("failed", "druid", &suspended).has("failed", "druid", "druid-ingest` resumes it");
}

/// A port that takes connections and answers nothing.
fn silence() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let held: Vec<TcpStream> = listener.incoming().flatten().collect();
        drop(held);
    });
    address
}

/// A port that does not even take connections: its queue is full, as if a firewall dropped what is sent there.
fn black_hole() -> (String, Vec<TcpStream>, socket2::Socket) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into()).expect("a port");
    socket.listen(0).expect("a queue");
    let address = socket.local_addr().expect("an address").as_socket().expect("of IP");
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let taken: Vec<TcpStream> = std::iter::from_fn(connect).take(16).collect();
    assert!(connect().is_none(), "its queue holds more than {}", taken.len());
    (address.to_string(), taken, socket)
}

/// A line all of whose servers are at one address.
fn all_at(test: &str, address: &str) -> Line {
    let mut line = Line::new(test, address);
    for server in ["registry", "druid", "superset"] {
        set(&mut line, server, "url", format!("http://{address}"));
    }
    line
}

#[test]
fn doctor_ends_in_time_whatever_is_down() {
    let (hole, _taken, _socket) = black_hole();
    let addresses = [silence(), hole, CLOSED.into()];
    let lines = addresses.each_ref().map(|address| all_at("doctor-down", address));
    let runs = lines.each_ref().map(|line| line.start(&["doctor", "--output", "json"]));
    for (running, address) in runs.into_iter().zip(&addresses) {
        let report = Report::of(running);
        let areas: Vec<&Json> = report.with("failed").iter().map(|finding| &finding["area"]).collect();
        assert_eq!(
            areas,
            [&json!("kafka"), &json!("registry"), &json!("druid"), &json!("superset")],
            "{address}: {:#}",
            report.json
        );
        for failed in report.with("failed") {
            assert!(failed["hint"].is_string() && failed["exit_code"] == 69 && failed.to_string().contains(address), "{failed}");
        }
        assert_eq!(report.ended.code, Some(69), "{}", report.ended.stderr);
        println!("{address}: {:?}", report.ended.took);
    }
}

#[test]
fn doctor_names_what_it_skips_and_why() {
    let line = all_at("doctor-skips", CLOSED);
    let report = Report::of(line.start(&["doctor", "--output", "json"]));
    let report = report.has("skipped", "kafka", "Kafka does not answer").has("skipped", "registry", "does not answer");
    report.has("skipped", "druid", "cannot be asked").has("skipped", "browser", "Superset does not answer");
    let text = line.run(&["doctor"], LIMIT).expect(69);
    assert!(text.stdout.contains("FAILED   Kafka") && text.stdout.contains("hint: is Kafka running there?"), "{}", text.stdout);
    text.says(&["error: ", CLOSED]);
}
