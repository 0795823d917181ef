//! Dead letters are listed, shown, and sent again: each once.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use apache_avro::types::Value;
use serde_json::Value as Json;

use super::{BEGIN, LATENESS, LIMIT, MINUTE, catch_up, produce};
use crate::harness::{Isolation, Line, Record, closed, compare, encode, high, rows, sums_without, wait_for};

/// A sale as a producer wrote it whose schema is not in the registry yet.
const SALE: &str = r#"{"type":"record","name":"NAME","namespace":"com.acosom","fields":[
    {"name":"store_id","type":"string"},{"name":"sale_amount","type":"int"},{"name":"sale_ts","type":"long"}]}"#;
/// So many ids are given to other schemas between the mistake and its mending, at most.
const IDS: u32 = 40;

/// Tests that foretell an id run one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sale(id: u32, store: &str, amount: i32, time: i64) -> Vec<u8> {
    let fields = [("store_id", Value::String(store.into())), ("sale_amount", Value::Int(amount)), ("sale_ts", Value::Long(time))];
    encode(id, SALE, &fields)
}

/// The registry gives a schema that it has seen before the id that it had.
fn numbered(line: &Line, number: u32) -> String {
    SALE.replace("NAME", &format!("{}_{number}", line.name.replace('-', "_")))
}

/// A subject for each, since the names are incompatible.
fn register(line: &Line, number: u32) -> u32 {
    line.decoder().register(&subject(line, number), &numbered(line, number))
}

fn subject(line: &Line, number: u32) -> String {
    format!("{}-{number}-value", line.name)
}

/// Registers schemas, which differ in their name only, until one has this id.
fn register_as_id(line: &Line, id: u32) {
    let found = (1..=2 * IDS).find(|number| register(line, *number) == id);
    let subjects: Vec<String> = (0..=found.unwrap_or(2 * IDS)).map(|number| subject(line, number)).collect();
    // The ids stay known without their subjects.
    line.decoder().delete_subjects(&subjects);
    assert!(found.is_some(), "another test has taken schema id {id}");
}

fn dead_letters(line: &Line, arguments: &[&str]) -> String {
    line.run(&[&["dead-letters"][..], arguments].concat(), LIMIT).expect(0).stdout
}

fn replayed(line: &Line) -> Vec<Record> {
    let all = line.topics.read(&line.source, Isolation::Committed);
    all.into_iter().filter(|record| record.headers.contains_key("replayed-from")).collect()
}

fn forget(line: &Line, causes: &[&str]) {
    causes.iter().for_each(|cause| line.topics.delete_group(&format!("pipeline-{}-replay-{cause}", line.sink)));
}

/// Two sales of a schema that is not registered, one value of another format, three late sales, and a letter of somebody else's.
fn with_mistakes() -> (Line, u32) {
    let line = Line::on_servers("letters");
    let id = register(&line, 0) + IDS;
    produce(&line, BEGIN, 10, &[]);
    // Their minute stays open, while they are read long before its first good record: a restart does not read them again.
    let open = BEGIN + 155_000;
    let values = [sale(id, "ABC", 1_000, open), sale(id, "DEF", 2_000, open), b"{\"store_id\":1}".to_vec()];
    line.topics.write(&line.source, values.iter().map(|value| (Some(0), Some(&b"ABC"[..]), Some(&value[..]))));
    produce(&line, BEGIN + 1_000, 1_490, &[]);
    produce(&line, BEGIN, 3, &[]);
    catch_up(&line, &[]);
    line.topics.write(&line.dead_letters, [(Some(0), None, Some(&b"?"[..]))]);
    (line, id)
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn letters_are_listed_by_cause_and_shown_as_far_as_they_can_be_decoded() {
    let _alone = alone();
    let (line, id) = with_mistakes();
    let list: Json = serde_json::from_str(&dead_letters(&line, &["--output", "json"])).expect("JSON");
    let causes: Vec<(&str, u64)> = list["causes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|cause| (cause["cause"].as_str().expect("text"), cause["count"].as_u64().expect("a number")))
        .collect();
    assert_eq!(causes, [("(none)", 1), ("bad-magic", 1), ("late", 3), ("unknown-schema", 2)]);
    assert_eq!((&list["total"], &list["causes"][2]["partitions"]), (&Json::from(7), &Json::from(vec![0])));
    let now = chrono::Utc::now();
    for time in ["first", "last"].map(|time| list["causes"][3][time].as_str().expect("a time")) {
        let age = now - time.parse::<chrono::DateTime<chrono::Utc>>().expect("RFC 3339");
        assert!((0..300).contains(&age.num_seconds()), "{time}");
    }
    let text = dead_letters(&line, &[]);
    assert!(text.contains("unknown-schema") && text.contains(&format!("does not know schema id {id}")), "{text}");
    assert!(!dead_letters(&line, &["--cause", "late"]).contains("bad-magic"));
    assert!(dead_letters(&line, &["--cause", "overflow"]).contains("no dead letters of cause overflow"));

    let newest = ["--show", "--cause", "unknown-schema"];
    let unknown = dead_letters(&line, &newest);
    let origin = format!("{} [0] offset 11", line.source);
    assert!(unknown.contains(&origin) && unknown.contains(&format!("does not know schema id {id}")), "{unknown}");
    register_as_id(&line, id);
    let known = dead_letters(&line, &newest);
    assert!(known.contains(r#"store_id (string) = "DEF""#) && known.contains("all of it is in order"), "{known}");
    let all = dead_letters(&line, &["--show", "100"]);
    assert_eq!(all.matches("  cause   ").count(), 7, "{all}");
    assert!(all.contains("the first byte is 0x7b") && all.contains("7b 22 73 74"), "{all}");
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn once_the_mistake_is_mended_letters_are_sent_again_and_counted_once() {
    let _alone = alone();
    let (line, id) = with_mistakes();
    line.run(&["dead-letters", "--replay"], LIMIT).expect(64).says(&["--yes", "3 records", &line.source]);
    assert_eq!(replayed(&line), []);
    register_as_id(&line, id);
    let mended = ["--replay", "--yes", "--cause", "unknown-schema"];
    assert!(dead_letters(&line, &mended).contains("sent 2 records"));
    assert!(dead_letters(&line, &mended).contains("nothing to send again of cause unknown-schema"));

    let rest = line.run(&["dead-letters", "--replay", "--yes"], LIMIT).expect(0);
    assert!(rest.stdout.contains("bad-magic: sent 1 records"), "{}", rest.stdout);
    let rest = rest.says(&["late: 3 left: a late record", "(none): 1 left: no record of", "unknown-schema: 2 sent before"]);
    assert!(!rest.stdout.contains("unknown-schema"));
    let again = replayed(&line);
    let from: Vec<&str> = again.iter().map(|record| record.headers["replayed-from"].as_str()).collect();
    let letters = line.topics.read(&line.dead_letters, Isolation::Committed);
    let place = |index: usize| format!("{}/0/{}", line.dead_letters, letters[index].offset);
    assert_eq!(from, [place(0), place(1), place(2)]);
    for (record, letter) in again.iter().zip(&letters) {
        assert_eq!((&record.key, &record.value), (&letter.key, &letter.value));
    }

    catch_up(&line, &[]);
    produce(&line, BEGIN + 150_000, 1_500, &[]);
    catch_up(&line, &[]);
    // The originals and the late ones are in no row, nor is what is no Avro; what was sent again is.
    let bad: BTreeSet<i64> = (10..13).chain(1_503..1_506).chain([again[2].offset]).collect();
    let (sums, latest) = sums_without(&line, |_, offset| bad.contains(&offset));
    let minute = (BEGIN + 155_000) / MINUTE * MINUTE;
    let without_replayed = sums_without(&line, |_, offset| bad.contains(&offset) || again.iter().any(|r| r.offset == offset)).0;
    assert_eq!(sums[&("ABC".into(), minute)] - without_replayed[&("ABC".into(), minute)], 1_000);
    compare(&closed(&sums, latest, LATENESS), &rows(&line, Isolation::Committed)).expect_equal();
    let bad_magic: Json =
        serde_json::from_str(&dead_letters(&line, &["--cause", "bad-magic", "--output", "json"])).expect("JSON");
    assert_eq!(bad_magic["total"], 2, "what nobody mended is a letter again");
    forget(&line, &["unknown-schema", "bad-magic", "(none)", "late"]);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_letter_whose_original_is_read_again_is_not_counted_twice() {
    let _alone = alone();
    let line = Line::on_servers("again");
    let id = register(&line, 0) + IDS;
    produce(&line, BEGIN, 1_400, &[]);
    // Behind the first good record of their own minute.
    let open = BEGIN + 155_000;
    let values = [sale(id, "ABC", 1_000, open), sale(id, "DEF", 2_000, open)];
    line.topics.write(&line.source, values.iter().map(|value| (Some(0), Some(&b"ABC"[..]), Some(&value[..]))));
    catch_up(&line, &[]);
    register_as_id(&line, id);
    // The restart finds the schema, but what is a letter stays one.
    catch_up(&line, &[]);
    let ended = line.run(&["dead-letters", "--replay", "--yes"], LIMIT).expect(0);
    assert!(ended.stdout.contains("unknown-schema: sent 2 records"), "{}", ended.stdout);
    catch_up(&line, &["--close-all"]);
    assert_eq!(replayed(&line).len(), 2);
    // The originals are 1,400 and 1,401.
    let (sums, _) = sums_without(&line, |_, offset| (1_400..1_402).contains(&offset));
    compare(&sums, &rows(&line, Isolation::Committed)).expect_equal();
    forget(&line, &["unknown-schema"]);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_replay_killed_again_and_again_sends_each_letter_once() {
    const LETTERS: usize = 20_000;
    let line = Line::on_servers("replay");
    produce(&line, BEGIN, 10, &[]);
    let values: Vec<String> = (0..LETTERS).map(|number| format!("{{{number}}}")).collect();
    line.topics.write(&line.source, values.iter().map(|value| (Some(0), None, Some(value.as_bytes()))));
    catch_up(&line, &[]);
    let consumers = [Isolation::Uncommitted, Isolation::Committed].map(|isolation| line.topics.consumer(isolation, "it"));
    let (written, committed) = (|| high(&consumers[0], &line.source, 0), || high(&consumers[1], &line.source, 0));
    let (mut kills, mut open) = (0, 0);
    while kills < 8 {
        let begun = written();
        let mut replay = line.start(&["dead-letters", "--replay", "--yes"]);
        while replay.is_alive() && written() <= begun + 200 * (kills % 4) {}
        if !replay.is_alive() {
            break;
        }
        replay.kill_nine();
        kills += 1;
        open += i32::from(committed() < written());
    }
    assert!(kills >= 4 && open >= 1, "{kills} kills, {open} in an open transaction");
    dead_letters(&line, &["--replay", "--yes"]);
    let (again, letters) = (replayed(&line), line.topics.read(&line.dead_letters, Isolation::Committed));
    let from: BTreeSet<&str> = again.iter().map(|record| record.headers["replayed-from"].as_str()).collect();
    assert_eq!((letters.len(), again.len(), from.len()), (LETTERS, LETTERS, LETTERS), "letters, sent, different");
    assert!(dead_letters(&line, &["--replay", "--yes"]).contains("nothing to send again"));
    forget(&line, &["bad-magic"]);
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_topic_that_is_not_there_has_no_letters() {
    let line = Line::on_servers("none");
    for arguments in [&[][..], &["--show"], &["--replay", "--yes"]] {
        assert!(dead_letters(&line, arguments).contains("no dead letters: there is no topic"), "{arguments:?}");
    }
    produce(&line, BEGIN, 10, &[]);
    catch_up(&line, &[]);
    assert!(dead_letters(&line, &[]).contains("no dead letters in topic"));
    assert!(dead_letters(&line, &["--replay", "--yes"]).contains("nothing to send again"));
    line.topics.delete(&[&line.dead_letters]);
    wait_for("the topic to be gone", LIMIT, || (line.topics.partitions(&line.dead_letters) == 0).then_some(()));
    let ended = line.run(&["dead-letters", "--output", "json"], LIMIT).expect(0).says(&["is not there, though", &line.sink]);
    assert!(ended.stdout.contains("\"total\": 0"), "{}", ended.stdout);
}
