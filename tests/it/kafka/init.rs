//! From a topic to a pipeline file, and from that to rows.

use super::{BEGIN, LIMIT, produce};
use crate::harness::{Ended, Isolation, Line, Running, number};

#[track_caller]
fn proposed(line: &Line, arguments: &[&str]) -> Ended {
    Running::start(&line.folder, &[&["--config", "proposed.toml"], arguments].concat(), &[]).wait(LIMIT)
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn the_proposed_file_is_accepted_and_its_aggregate_sums_everything() {
    let line = Line::on_servers("init");
    produce(&line, BEGIN, 600, &[]);
    let arguments = ["init", "--topic", &line.source, "--file", "proposed.toml"];
    let shown = line.run(&arguments, LIMIT).expect(0).says(&["nothing was written", "--yes"]);
    assert!(!line.folder.join("proposed.toml").exists());

    let ended =
        line.run(&[&arguments[..], &["--yes"]].concat(), LIMIT).expect(0).says(&["wrote proposed.toml and proposed.avsc"]);
    let written = std::fs::read_to_string(line.folder.join("proposed.toml")).expect("the file");
    assert_eq!((ended.stdout.trim_end(), shown.stdout.trim_end()), (written.trim_end(), written.trim_end()));
    for words in ["600 records", "time = \"sale_ts\"", "group_by = [\"store_id\"]", "window = \"10s\""] {
        assert!(written.contains(words), "{words}: {written}");
    }
    line.run(&[&arguments[..], &["--yes"]].concat(), LIMIT).expect(1).says(&["is there already", "--file"]);

    proposed(&line, &["config", "show"]).expect(0);
    proposed(&line, &["aggregate", "--until-caught-up", "--close-all"]).expect(0);
    let mut decoder = line.decoder();
    let mut total = |topic: &str, field: &str| -> i64 {
        let records = line.topics.read(topic, Isolation::Committed);
        records.into_iter().map(|record| number(&decoder.decode(&record.value.expect("a value")), field)).sum()
    };
    assert_eq!(total(&line.sink, "events"), 600);
    assert_eq!(total(&line.sink, "sum_sale_amount"), total(&line.source, "sale_amount"));
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn a_topic_that_nobody_knows_has_no_schema() {
    let line = Line::on_servers("init-none");
    let ended = line.run(&["init", "--topic", &line.source, "--yes"], LIMIT).expect(65);
    ended.says(&["there is no subject", &line.source]);
}
