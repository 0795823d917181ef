//! A registry that goes away, and ids that it does not know (yet).

use std::time::Duration;

use apache_avro::types::Value;
use serde_json::json;

use super::{BEGIN, LIMIT, MINUTE, catch_up, produce};
use crate::harness::{Gate, Isolation, Line, Running, compare, encode, rows, sums_without, wait_for};

/// A later schema of the same records.
const LATER: &str = r#"{"type":"record","name":"StoreSale","namespace":"com.acosom","fields":[
    {"name":"sale_ts","type":"long"},{"name":"till","type":["null","string"],"default":null},
    {"name":"sale_amount","type":"long"},{"name":"store_id","type":"string"}]}"#;

fn with_gate(test: &str) -> (Line, Gate) {
    let mut line = Line::on_servers(test);
    let gate = Gate::before(&line.registry());
    line.edit(|table| table["registry"]["url"] = gate.url.clone().into());
    (line, gate)
}

fn sale(id: u32, time_ms: i64, amount: i64) -> Vec<u8> {
    let fields = [
        ("sale_ts", Value::Long(time_ms)),
        ("till", Value::Union(0, Box::new(Value::Null))),
        ("sale_amount", Value::Long(amount)),
        ("store_id", Value::String("ABC".into())),
    ];
    encode(id, LATER, &fields)
}

fn position(line: &Line) -> i64 {
    let committed = line.topics.committed(&line.group(), &line.source);
    committed.get(&0).and_then(|(_, stamp)| stamp["position"].as_i64()).unwrap_or(0)
}

fn wait_for_position(line: &Line, running: &mut Running, position_is: i64) {
    wait_for("the records to be read and committed", LIMIT, || {
        assert!(running.is_alive(), "{}", running.stderr());
        (position(line) == position_is).then_some(())
    });
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_registry_that_goes_away_holds_up_only_records_of_new_schemas() {
    let (line, gate) = with_gate("registry-away");
    produce(&line, BEGIN, 1_500, &[]);
    let later = line.decoder().register(&format!("{}-value", line.source), LATER);
    let other = line.decoder().register(&format!("{}-OTHER-value", line.name), &LATER.replace("till", "counter"));
    let mut aggregate = line.start(&["aggregate"]);
    wait_for_position(&line, &mut aggregate, 1_500);

    gate.shut(true);
    // Of a schema that is known: nobody asks.
    let known = line.topics.read(&line.source, Isolation::Committed)[0].value.clone().expect("a value");
    line.topics.write(&line.source, [(Some(0), None, Some(&*known))]);
    wait_for_position(&line, &mut aggregate, 1_501);

    // Of a new one: it waits, and ends when asked, with what came before it committed and nothing of it.
    let new = sale(later, BEGIN + 3 * MINUTE, 1_000_000);
    line.topics.write(&line.source, [(Some(0), None, Some(&*known)), (Some(0), None, Some(&*new))]);
    wait_for("the registry to be asked in vain", LIMIT, || aggregate.stderr().contains("asking again").then_some(()));
    assert!(aggregate.is_alive());
    aggregate.terminate();
    aggregate.wait(Duration::from_secs(10)).expect(0);
    assert_eq!(position(&line), 1_502);

    // It goes on when the registry is back while it waits,
    gate.shut(false);
    let mut aggregate = line.start(&["aggregate"]);
    wait_for_position(&line, &mut aggregate, 1_503);
    // and gives up after a minute if it is not.
    gate.shut(true);
    line.topics.write(&line.source, [(Some(0), None, Some(&*sale(other, BEGIN + 4 * MINUTE, 1)))]);
    let ended = aggregate.wait(LIMIT).expect(69).says(&["schema registry", "hint: "]);
    assert!(ended.took > Duration::from_secs(55), "{:?}", ended.took);
    gate.shut(false);
    catch_up(&line, &["--close-all"]);
    let late: Vec<i64> = [1_500, 1_501].into();
    let (expected, _) = sums_without(&line, |_, offset| late.contains(&offset));
    compare(&expected, &rows(&line, Isolation::Committed)).expect_equal();
    line.decoder().delete_subjects(&[format!("{}-OTHER-value", line.name)]);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn an_id_that_becomes_known_later_changes_nothing_of_what_was_rejected() {
    const UNKNOWN: u32 = 2_000_000_000;
    const PATH: &str = "/schemas/ids/2000000000";
    let (mut line, gate) = with_gate("id-later");
    // What cannot be read is no sign of life: the window must stay open all the same.
    line.set_aggregate("idle_timeout", "10m");
    gate.answer(PATH, "404 Not Found", json!({"error_code": 40403, "message": "no such id"}).to_string());
    produce(&line, BEGIN, 1_500, &[]);
    let mut aggregate = line.start(&["aggregate"]);
    wait_for_position(&line, &mut aggregate, 1_500);
    let write = |count: usize| {
        let value = sale(UNKNOWN, BEGIN + 150_000, 1_000_000);
        line.topics.write(&line.source, (0..count).map(|_| (Some(0), None, Some(&*value))));
    };
    write(10);
    wait_for_position(&line, &mut aggregate, 1_510);
    gate.answer(PATH, "200 OK", json!({"schema": LATER}).to_string());
    write(10);
    wait_for_position(&line, &mut aggregate, 1_520);
    assert_eq!(gate.asked(PATH), 1, "asked more than once in 30 s");

    wait_for("the id to be asked for again", LIMIT, || {
        assert!(aggregate.is_alive(), "{}", aggregate.stderr());
        write(1);
        std::thread::sleep(Duration::from_secs(1));
        (gate.asked(PATH) > 1).then_some(())
    });
    write(5);
    let end = line.topics.ends(&line.source, Isolation::Committed)[0];
    wait_for_position(&line, &mut aggregate, end);
    // The window of all of them is open: the next run reads them again, and now knows the id from the start.
    aggregate.kill_nine();
    assert!(line.topics.committed(&line.group(), &line.source)[&0].0 < 1_500);
    catch_up(&line, &["--close-all"]);

    let letters = line.topics.read(&line.dead_letters, Isolation::Committed);
    let rejected: Vec<i64> = letters.iter().map(|letter| letter.headers["offset"].parse().expect("an offset")).collect();
    assert!(letters.iter().all(|letter| letter.headers["cause"] == "unknown-schema"), "{letters:?}");
    assert!(rejected.len() >= 20 && rejected.windows(2).all(|pair| pair[0] < pair[1]), "{rejected:?}");
    assert!(rejected.last().is_some_and(|last| *last < end - 5), "none was counted");
    let counted = end - 1_500 - i64::try_from(rejected.len()).expect("few");
    let (mut expected, _) = sums_without(&line, |_, offset| offset >= 1_500);
    let minute = (BEGIN + 150_000).div_euclid(MINUTE) * MINUTE;
    *expected.get_mut(&("ABC".into(), minute)).expect("a cell") += 1_000_000 * counted;
    compare(&expected, &rows(&line, Isolation::Committed)).expect_equal();
}
