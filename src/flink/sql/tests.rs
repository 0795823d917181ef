use super::*;
use crate::config::{DEFAULT_FILE, Secret};

fn config(file: &str) -> Config {
    config::load(Some(file.as_ref()), &[]).unwrap()
}

fn try_script(config: &Config, origin: Origin<'_>) -> Result<Script> {
    let (aggregate, source) = (&config.aggregates[0], &config.sources[0]);
    let layout = Layout::new(aggregate, &source.schema_text, &source.time)?;
    script(config, aggregate, &source.schema_text, &layout, origin, false)
}

fn sql(config: &Config, origin: Origin<'_>) -> String {
    try_script(config, origin).unwrap().statements().join(";\n")
}

/// SQL with what is quoted taken out, and those texts and names. Panics if a quote is left open.
fn split(sql: &str) -> (String, Vec<String>) {
    let (mut bare, mut quoted) = (String::new(), Vec::new());
    let mut rest = sql;
    while let Some(start) = rest.find(['`', '\'']) {
        let quote = &rest[start..=start];
        bare.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        let mut text = String::new();
        loop {
            let end = rest.find(quote).expect("a quote is left open");
            text.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            if !rest.starts_with(quote) {
                break;
            }
            text.push_str(quote);
            rest = &rest[1..];
        }
        quoted.push(text);
        bare.push('?');
    }
    (bare + rest, quoted)
}

#[test]
fn the_sales_case_reads_as_the_tutorial_has_it() {
    let text = sql(&config(DEFAULT_FILE), Origin::Unknown);
    for part in [
        "SET 'table.local-time-zone' = 'UTC'",
        "SET 'pipeline.name' = 'pipeline-kafka-101-SALES_AGGREGATE'",
        "`sale_ts` BIGINT NOT NULL,\n  `store_id` STRING NOT NULL,\n  `sale_amount` INT NOT NULL",
        "THEN `$time` - INTERVAL '0 00:00:05.000' DAY(3) TO SECOND(3) END",
        "'connector' = 'upsert-kafka'",
        "PRIMARY KEY (`store_id`) NOT ENFORCED",
        "`window_start` TIMESTAMP(3),\n  `window_end` TIMESTAMP(3),\n  `aggregated_sales` INT",
        "'sink.delivery-guarantee' = 'exactly-once'",
        "SELECT `store_id`, `window_start`, `window_end`, SUM(`sale_amount`)",
        "TUMBLE(TABLE `source`, DESCRIPTOR(`$time`), INTERVAL '0 00:01:00.000' DAY(3) TO SECOND(3))",
        "GROUP BY `store_id`, `window_start`, `window_end`",
    ] {
        assert!(text.contains(part), "{part}\nis missing in\n{text}");
    }
}

#[test]
fn where_it_begins_is_in_the_statements() {
    let config = config(DEFAULT_FILE);
    let begin = |partition, offset| Beginning { partition, offset };
    let beginnings = [begin(0, 7), begin(1, 9)];
    let text = sql(&config, Origin::Offsets(&beginnings, Some(60_000)));
    assert!(text.contains("'scan.startup.specific-offsets' = 'partition:0,offset:7;partition:1,offset:9'"), "{text}");
    assert!(text.contains(" AND `sale_ts` >= 60000\n"), "{text}");
    assert!(!sql(&config, Origin::Offsets(&beginnings, None)).contains("sale_ts` >="), "nothing is closed");
    let text = sql(&config, Origin::Savepoint("file:///it's", Some(120_000)));
    assert!(text.contains("SET 'execution.state-recovery.path' = 'file:///it''s'"), "{text}");
    assert!(text.contains(" AND `sale_ts` >= 120000\n"), "{text}");
}

#[test]
fn an_interval_without_checkpoints_or_longer_than_a_transaction_is_refused() {
    for (interval, is_taken) in [(0, false), (99, false), (100, true), (300_000, true), (300_001, false)] {
        let mut config = config(DEFAULT_FILE);
        config.flink.checkpoint_interval = Millis(interval);
        assert_eq!(check_interval(&config, &config.aggregates[0]).is_ok(), is_taken, "{interval}");
    }
}

#[test]
fn no_name_gets_out_of_its_quotes() {
    let plain = config(DEFAULT_FILE);
    let shape = split(&sql(&plain, Origin::Savepoint("s", None)));
    for hostile in ["'", "''", "`", "`; DROP TABLE x; --", "' OR '1'='1", "a\\'b", "a\nb", "Ärø \u{1F600}", "/* ", "${x}", "--"]
    {
        let mut config = plain.clone();
        config.aggregates[0].sink = format!("S{hostile}");
        config.aggregates[0].source = format!("T{hostile}");
        config.sources[0].topic = format!("T{hostile}");
        config.aggregates[0].measures[0].name = format!("m{hostile}");
        config.kafka.bootstrap_servers = format!("k{hostile}");
        config.registry.url = format!("r{hostile}");
        // The sink's schema takes names of Avro only; here it is the statements that are looked at.
        let (aggregate, source) = (&config.aggregates[0], &config.sources[0]);
        let layout = Layout::new(&plain.aggregates[0], &source.schema_text, &source.time).unwrap();
        let origin = Origin::Savepoint(hostile, None);
        let text = script(&config, aggregate, &source.schema_text, &layout, origin, false).unwrap().statements().join(";\n");
        let found = split(&text);
        assert_eq!(found.0, shape.0, "{hostile}");
        for whole in
            [format!("S{hostile}"), format!("T{hostile}"), format!("k{hostile}"), format!("r{hostile}"), hostile.to_owned()]
        {
            assert!(found.1.contains(&whole), "{whole} is not among {:?}", found.1);
        }
        assert_eq!(split(&name(hostile)), ("?".into(), vec![hostile.to_owned()]));
        assert_eq!(split(&literal(hostile)), ("?".into(), vec![hostile.to_owned()]));
    }
}

#[test]
fn secrets_are_sent_and_not_shown() {
    let mut config = config(DEFAULT_FILE);
    let property = |value: &str| Property(Secret::new(value));
    let jaas = property("x required username=\"me\" password=\"canary\";");
    config.flink.kafka_properties =
        [("sasl.jaas.config".into(), jaas), ("security.protocol".into(), property("SASL_SSL"))].into();
    config.flink.registry_properties = [("basic-auth.user-info".into(), property("me:canary"))].into();
    let script = try_script(&config, Origin::Unknown).unwrap();
    assert_eq!(script.statements().join("\n").matches("canary").count(), 5, "two tables, three formats");
    let shown = script.shown();
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("'properties.sasl.jaas.config' = '***'"), "{shown}");
    assert!(shown.contains("'value.avro-confluent.basic-auth.user-info' = '***'"), "{shown}");
    assert!(shown.contains("'properties.security.protocol' = 'SASL_SSL'"), "{shown}");
    assert_eq!(secrets(&config).hide("password=\"canary\""), "password=\"***\"");
}

#[test]
fn what_flink_cannot_do_is_refused_with_its_key() {
    let refused = |file: &str, change: fn(&mut Config)| {
        let mut config = config(file);
        change(&mut config);
        let error = try_script(&config, Origin::Unknown).unwrap_err();
        assert_eq!(error.kind, Kind::Config, "{error}");
        assert!(error.hint.is_some());
        error.message
    };
    let late = refused(DEFAULT_FILE, |config| config.aggregates[0].late = Late::Delta);
    assert!(late.contains("late = \"delta\""), "{late}");
    let poison = refused(DEFAULT_FILE, |config| config.aggregates[0].poison = Poison::Fail);
    assert!(poison.contains("poison = \"fail\""), "{poison}");
    let window = refused(DEFAULT_FILE, |config| config.aggregates[0].window = Millis(1_000 * DAY_MS));
    assert!(window.contains("window = "), "{window}");
    let union = refused("config/clicks.toml", |_| {});
    assert!(union.contains("field `visitor` is of type [null, long, string]"), "{union}");
    let time = refused(DEFAULT_FILE, |config| {
        let schema = &mut config.sources[0].schema_text;
        *schema = schema.replace("\"type\": \"long\"", "\"type\": [\"null\", \"long\"]");
    });
    assert!(time.contains("time = \"sale_ts\""), "{time}");
}

#[test]
fn a_key_that_may_be_null_is_appended_without_one() {
    let mut config = config("config/clicks.toml");
    config.aggregates[0].measures.pop();
    let text = sql(&config, Origin::Unknown);
    assert!(text.contains("'connector' = 'kafka',\n  'key.fields' = 'kind;page_section'"), "{text}");
    assert!(!text.contains("PRIMARY KEY"), "{text}");
    assert!(text.contains("`page` ROW<`section` STRING NOT NULL>,"), "{text}");
    assert!(text.contains("SELECT `kind`, `page`.`section`, `window_start`, `window_end`, COUNT(*), SUM(`bytes`)"), "{text}");
}

#[test]
fn times_and_means_are_of_the_sinks_types() {
    let text = sql(&config("config/sensors.toml"), Origin::Unknown);
    assert!(text.contains("TO_TIMESTAMP_LTZ((`measured_at` - MOD(MOD(`measured_at`, 1000) + 1000, 1000)) / 1000, 3)"), "{text}");
    assert!(text.contains("AVG(CAST(`temperature` AS DOUBLE)), MIN(CAST(`temperature` AS DOUBLE))"), "{text}");
    assert!(text.contains("`window_start` TIMESTAMP(3) NOT NULL"), "{text}");
    assert_eq!(interval(Millis(93_784_005)), "INTERVAL '1 02:03:04.005' DAY(3) TO SECOND(3)");
}
