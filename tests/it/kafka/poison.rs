//! Records that cannot be read are kept apart, once, as they came.

use std::collections::BTreeMap;

use apache_avro::types::Value;

use super::{BEGIN, LATENESS, LIMIT, MINUTE, catch_up, produce};
use crate::harness::{Isolation, Line, Record, closed, compare, encode, rows, sums_without, wait_for};

const OTHER: &str = r#"{"type":"record","name":"Other","fields":[{"name":"store_id","type":"string"}]}"#;

/// What `line`'s topic is to hold besides good records: cause and value.
fn poisons(line: &Line) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let good = line.topics.read(&line.source, Isolation::Committed)[0].value.clone().expect("a value");
    let other = line.decoder().register(&format!("{}-OTHER-value", line.name), OTHER);
    let json = line.decoder().register_as(
        "JSON",
        &format!("{}-JSON-value", line.name),
        r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}"#,
    );
    vec![
        ("null-value", None),
        ("bad-magic", Some(br#"{"store_id":"ABC","sale_amount":1}"#.to_vec())),
        ("unknown-schema", Some([&[0, 0x7f, 0, 0, 1], &good[5..]].concat())),
        ("truncated", Some(good[..good.len() - 1].to_vec())),
        // An id that is no Java int, and one of a schema that is not Avro.
        ("unknown-schema", Some([&[0, 0xff, 0xff, 0xff, 0xff], &good[5..]].concat())),
        ("wrong-schema", Some([&[0][..], &json.to_be_bytes(), &good[5..]].concat())),
        ("wrong-schema", Some(encode(other, OTHER, &[("store_id", Value::String("ABC".into()))]))),
    ]
}

fn check(letters: &[Record], line: &Line, poisons: &[(&str, Option<Vec<u8>>)], first_offset: i64) {
    assert_eq!(letters.len(), poisons.len(), "{letters:?}");
    for ((letter, (cause, value)), offset) in letters.iter().zip(poisons).zip(first_offset..) {
        let expected = BTreeMap::from(
            [
                ("cause", *cause),
                ("topic", &line.source),
                ("sink", &line.sink),
                ("partition", "0"),
                ("offset", &offset.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let mut headers = letter.headers.clone();
        assert!(headers.remove("detail").is_some_and(|detail| detail.len() > 10), "{letter:?}");
        assert_eq!(headers, expected);
        assert_eq!((letter.key.as_deref(), &letter.value), (Some(cause.as_bytes()), value), "{cause}");
    }
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn each_kind_of_poison_becomes_one_dead_letter_and_harms_no_sum() {
    let line = Line::on_servers("poison");
    produce(&line, BEGIN, 1_500, &[]);
    let poisons = poisons(&line);
    line.topics.write(&line.source, poisons.iter().map(|(cause, value)| (Some(0), Some(cause.as_bytes()), value.as_deref())));

    let mut aggregate = line.start(&["aggregate"]);
    let letters = |isolation| line.topics.read(&line.dead_letters, isolation);
    wait_for("the dead letters", LIMIT, || {
        (line.topics.partitions(&line.dead_letters) > 0 && letters(Isolation::Committed).len() >= poisons.len()).then_some(())
    });
    // Their minute is open: the next run reads them again.
    aggregate.kill_nine();
    assert!(line.topics.committed(&line.group(), &line.source)[&0].0 < 1_500);
    catch_up(&line, &[]);
    produce(&line, BEGIN + 150_000, 1_500, &[]);
    catch_up(&line, &[]);

    check(&letters(Isolation::Committed), &line, &poisons, 1_500);
    let bad = 1_500..1_500 + i64::try_from(poisons.len()).expect("few");
    let (sums, latest) = sums_without(&line, |_, offset| bad.contains(&offset));
    compare(&closed(&sums, latest, LATENESS), &rows(&line, Isolation::Committed)).expect_equal();
    line.decoder().delete_subjects(&["OTHER", "JSON"].map(|name| format!("{}-{name}-value", line.name)));
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn late_records_and_clocks_that_run_ahead_are_dead_letters_too() {
    let line = Line::on_servers("late");
    produce(&line, BEGIN + 10 * MINUTE, 1_500, &[]);
    produce(&line, BEGIN, 3, &[]);
    let ahead = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() + 3_600_000;
    produce(&line, i64::try_from(ahead).expect("a time"), 2, &[]);
    catch_up(&line, &[]);
    catch_up(&line, &[]);
    let letters = line.topics.read(&line.dead_letters, Isolation::Committed);
    let causes: Vec<(&str, &str)> =
        letters.iter().map(|letter| (&*letter.headers["cause"], &*letter.headers["offset"])).collect();
    let expected = [("late", "1500"), ("late", "1501"), ("late", "1502")];
    assert_eq!(causes[..3], expected);
    assert_eq!(causes[3..], [("event-time-out-of-range", "1503"), ("event-time-out-of-range", "1504")]);
    let (sums, latest) = sums_without(&line, |_, offset| offset >= 1_500);
    compare(&closed(&sums, latest, LATENESS), &rows(&line, Isolation::Committed)).expect_equal();
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn poison_may_be_told_to_end_the_run() {
    let mut line = Line::on_servers("fail");
    line.set_aggregate("poison", "fail");
    produce(&line, BEGIN, 100, &[]);
    line.topics.write(&line.source, [(Some(0), None, Some(&b"{}"[..]))]);
    let place = format!("{} [0] at offset 100", line.source);
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(65).says(&[&place, "bad-magic", "hint"]);
}
