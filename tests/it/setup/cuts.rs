//! A setup command that loses its server after any of its requests: run again, it comes to the same end as one that was not cut, and
//! later runs write nothing.
//!
//! Cut are the requests that write, before the server sees them and before their answer is heard, and one in eight of the others up
//! to there. With TEST_CUTS=all every request is cut in both ways.

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::LIMIT;
use crate::harness::{Cut, Druid, Gate, Line, Superset};

/// A command, and its server's table in the pipeline file.
struct Command {
    verb: &'static str,
    table: &'static str,
}

/// Runs the command with every cut, and once beside itself; `state` is what it makes, `reset` takes that away.
fn comes_to_the_same_end(line: &mut Line, command: &Command, state: impl Fn() -> Json, reset: impl Fn()) {
    let mut gate = None;
    line.edit(|file| {
        let url = &mut file[command.table]["url"];
        let before = Gate::before(url.as_str().expect("an address"));
        *url = before.url.clone().into();
        gate = Some(before);
    });
    let gate = gate.expect("a gate");
    let run = |arguments: &[&str]| line.run(&[&[command.verb], arguments].concat(), LIMIT);

    gate.cut(None);
    run(&[]).expect(0);
    let (whole, requests) = (state(), gate.requests());
    let cuts = cuts(&requests);
    eprintln!("{} requests, {} cuts", requests.len(), cuts.len());
    for (at, cut) in cuts {
        let place = format!("{cut:?}, {}", requests[at]);
        reset();
        gate.cut(Some(cut));
        let first = run(&[]);
        // How often it looks whether its rows are there is not always the same.
        let is_reached = gate.requests().len() > at;
        assert!(!is_reached || matches!(first.code, Some(1 | 69)), "{place}: {first:?}");
        gate.cut(None);
        let second = run(&[]);
        assert_eq!(second.code, Some(0), "{place}: {second:?}\nbefore: {first:?}");
        assert_same(&state(), &whole, &place);
    }
    run(&["--dry-run"]).expect(0);
    for again in 2..=10 {
        gate.cut(None);
        run(&[]).expect(0);
        let writes: Vec<String> = gate.requests().into_iter().filter(|request| !reads(request)).collect();
        assert!(writes.is_empty(), "run {again} writes: {writes:?}");
    }

    reset();
    let twins = [line.start(&[command.verb]), line.start(&[command.verb])];
    let ended = twins.map(|twin| twin.wait(LIMIT));
    assert!(ended.iter().any(|one| one.code == Some(0)), "{ended:?}");
    run(&[]).expect(0);
    assert_same(&state(), &whole, "two at once");
}

/// The cuts to be made, each with the number of its request.
fn cuts(requests: &[String]) -> Vec<(usize, Cut)> {
    let all = std::env::var_os("TEST_CUTS").is_some_and(|which| which == "all");
    // Behind the last write it only looks on.
    let last = requests.iter().rposition(|request| !reads(request)).unwrap_or(0);
    let mut cuts = Vec::new();
    for (at, request) in requests.iter().enumerate() {
        let is_write = !reads(request);
        if all || is_write || (at % 8 == 0 && at <= last + 8) {
            cuts.push((at, Cut::Request(at)));
        }
        if all || is_write {
            cuts.push((at, Cut::Answer(at)));
        }
    }
    cuts
}

/// Whether a request only asks.
fn reads(request: &str) -> bool {
    request.starts_with("GET") || ["login", "druid/v2/sql", "druid/v2", "sampler"].iter().any(|end| request.ends_with(end))
}

fn assert_same(found: &Json, whole: &Json, place: &str) {
    let pretty = |state: &Json| serde_json::to_string_pretty(state).expect("JSON");
    assert!(found == whole, "{place}: found\n{}\nshould be\n{}", pretty(found), pretty(whole));
}

/// A line whose topics have records.
fn with_records(test: &str) -> Line {
    let line = Line::on_servers(test);
    line.run(&["produce", "--backfill", "5m", "--count", "60", "--seed", "6"], LIMIT).expect(0);
    line.run(&["aggregate", "--until-caught-up", "--close-all"], LIMIT).expect(0);
    line
}

#[test]
#[ignore = "needs tests/stack/up"]
fn druid_ingest_may_be_cut_anywhere() {
    let mut line = with_records("cut-druid");
    let druid = Druid::of(&[&line.source, &line.sink]);
    let names = [line.source.clone(), line.sink.clone()];
    let command = Command { verb: "druid-ingest", table: "druid" };
    let state = || {
        let of = |name: &String| {
            let spec = druid.supervisor(name);
            json!({ "spec": spec, "rules": druid.rules(name) })
        };
        names.iter().map(of).collect()
    };
    comes_to_the_same_end(&mut line, &command, state, || druid.terminate());
}

#[test]
#[ignore = "needs tests/stack/up"]
fn superset_bootstrap_may_be_cut_anywhere() {
    let mut line = with_records("cut-superset");
    let _druid = Druid::of(&[&line.source, &line.sink]);
    line.run(&["druid-ingest"], LIMIT).expect(0);
    let superset = Superset::of(line.table()["dashboard"]["slug"].as_str().expect("a slug"));
    let name = line.name.clone();
    let command = Command { verb: "superset-bootstrap", table: "superset" };
    let state = || {
        let settings = |(kind, id): (&'static str, Json)| {
            // A database's are somewhere else.
            let more = if kind == "database" { "/connection" } else { "" };
            let found = superset.ask(&Method::GET, &format!("{kind}/{id}{more}"), None)["result"].clone();
            json!({ "kind": kind, "ours": found["uuid"], "settings": found })
        };
        plain(objects(&superset, &name).into_iter().map(settings).collect())
    };
    let reset = || {
        for (kind, id) in objects(&superset, &name) {
            superset.ask(&Method::DELETE, &format!("{kind}/{id}"), None);
        }
        assert_eq!(objects(&superset, &name), []);
    };
    comes_to_the_same_end(&mut line, &command, state, reset);
    reset();
}

/// What Superset has of a line, each before those that it needs: kind and number.
fn objects(superset: &Superset, line: &str) -> Vec<(&'static str, Json)> {
    let kinds = [("dashboard", "slug"), ("chart", "datasource_name"), ("dataset", "table_name"), ("database", "database_name")];
    let mut objects = Vec::new();
    for (kind, column) in kinds {
        let list = superset.list(kind, &json!([{ "col": column, "opr": "ct", "value": line }]));
        objects.extend(list.iter().map(|one| (kind, one["id"].clone())));
    }
    objects
}

/// An object without numbers and times, which are others each time; also inside settings that are JSON as text.
fn plain(value: Json) -> Json {
    let passing = |key: &str| {
        ["id", "uid", "uuid"].contains(&key)
            || ["_id", "Id", "url", "_uuid"].iter().any(|end| key.ends_with(end))
            || ["changed", "created", "datasource", "InScope", "configuration"].iter().any(|part| key.contains(part))
    };
    match value {
        Json::String(text) => match serde_json::from_str::<Json>(&text) {
            Ok(inner) if inner.is_object() || inner.is_array() => plain(inner),
            _ => Json::String(text),
        },
        Json::Array(list) => {
            let mut list: Vec<Json> = list.into_iter().map(plain).collect();
            list.sort_by_key(Json::to_string);
            list.into()
        }
        Json::Object(map) => map.into_iter().filter(|(key, _)| !passing(key)).map(|(key, inner)| (key, plain(inner))).collect(),
        other => other,
    }
}
