//! Topics are created as the pipeline file says, and left as they are ever after.

use super::{BEGIN, LIMIT, catch_up, produce};
use crate::harness::Line;

/// Partitions, and how long records are kept, of source, sink and dead letters.
fn found(line: &Line) -> [(i32, Option<String>); 3] {
    [&line.source, &line.sink, &line.dead_letters]
        .map(|topic| (line.topics.partitions(topic), line.topics.setting(topic, "retention.ms")))
}

fn set_source(line: &mut Line, settings: &[(&str, toml::Value)]) {
    line.edit(|table| {
        let source = table["source"][0].as_table_mut().expect("a table");
        source.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    });
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn as_the_file_says_and_never_changed() {
    let mut line = Line::on_servers("created");
    set_source(&mut line, &[("partitions", 3.into()), ("retention", "7d".into()), ("replication_factor", 1.into())]);
    line.set_aggregate("retention", "30d");
    produce(&line, BEGIN, 10, &[]);
    catch_up(&line, &[]);
    let created = found(&line);
    let (week, month) = (Some("604800000".to_owned()), Some("2592000000".to_owned()));
    assert_eq!(created, [(3, week), (3, month.clone()), (1, month)]);

    set_source(&mut line, &[("partitions", 5.into()), ("retention", "1d".into()), ("replication_factor", 2.into())]);
    line.set_aggregate("retention", "15days 12h");
    let (source, sink, letters) = (&line.source, &line.sink, &line.dead_letters);
    line.run(&["produce", "--count", "1", "--partitions", "4"], LIMIT).expect(0).says(&[
        &format!("{source} has 3 partitions, not 4"),
        &format!("topic {source} has retention 7days, the pipeline file says 1day"),
        &format!("topic {source} has replication_factor 1, the pipeline file says 2"),
    ]);
    line.run(&["aggregate", "--until-caught-up"], LIMIT).expect(0).says(&[
        &format!("topic {sink} has retention 30days, the pipeline file says 15days 12h"),
        &format!("topic {letters} has retention 30days, the pipeline file says 15days 12h"),
    ]);
    assert_eq!(found(&line), created);
}
