use std::path::Path;

use super::proposal::{Proposal, propose};
use super::*;
use crate::config::{Function, Millis, Override};

const SALES: &str = include_str!("../../../config/sales.avsc");

/// Nested, nullable, an enum, a union, decimals, an array, several times and ids.
const CLICKS: &str = r#"{"type":"record","name":"Click","fields":[
    {"name":"click_id","type":"string"},
    {"name":"seq","type":"long"},
    {"name":"received","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"page","type":{"type":"record","name":"Page","fields":[
        {"name":"section","type":"string"},{"name":"load_time_ms","type":["null","long"]}]}},
    {"name":"device","type":{"type":"enum","name":"Device","symbols":["phone","desktop","tablet"]}},
    {"name":"country","type":["null","string"]},
    {"name":"mixed","type":["int","string"]},
    {"name":"price","type":["null",{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}]},
    {"name":"huge","type":{"type":"bytes","logicalType":"decimal","precision":60,"scale":2}},
    {"name":"tags","type":{"type":"array","items":"string"}}]}"#;

const NOW: i64 = 1_700_000_000_000;

fn values_of(schema: &str) -> Vec<Outlined> {
    let mut fields = outline(schema).unwrap();
    fields.retain(|field| field.kind.is_some_and(|kind| kind != FieldKind::Null));
    fields
}

fn sample<'a>(schema: &str, count: i64, record: impl Fn(i64) -> Vec<Scalar<'a>>) -> Sample {
    let fields = values_of(schema).len();
    let mut sample = Sample::of(fields);
    for number in 0..count {
        let values = record(number);
        assert_eq!(values.len(), fields);
        sample.add(&values);
    }
    sample
}

fn sales(count: i64) -> Sample {
    let stores = ["ABC", "DEF", "GHI"];
    sample(SALES, count, |number| {
        vec![Scalar::Str(stores[number as usize % 3]), Scalar::Int((number % 37) as i32), Scalar::Long(NOW + number * 1_000)]
    })
}

fn clicks(count: i64) -> Sample {
    let ids: Vec<String> = (0..count).map(|number| format!("click {number}")).collect();
    let ids: Vec<&'static str> = ids.into_iter().map(|id| &*id.leak()).collect();
    sample(CLICKS, count, |number| {
        vec![
            Scalar::Str(ids[number as usize]),
            Scalar::Long(number),
            Scalar::Null,
            Scalar::Long((NOW + number * 50) * 1_000),
            Scalar::Str(["home", "shop"][number as usize % 2]),
            Scalar::Long(number % 90),
            Scalar::Str(["phone", "desktop", "tablet"][number as usize % 3]),
            if number % 5 == 0 { Scalar::Null } else { Scalar::Str("CH") },
            Scalar::Int(1),
            Scalar::Decimal { unscaled: i128::from(number % 70), scale: 2 },
            Scalar::Decimal { unscaled: 1, scale: 2 },
        ]
    })
}

/// The proposal's text, which the program accepts, and what it says.
fn accepted(proposal: &Proposal, schema: &str, connections: &Config) -> (String, Config) {
    let text = text::write(proposal, "it.avsc", connections);
    let config = config::check_text(Path::new("it.toml"), &text, schema).unwrap_or_else(|error| panic!("{error}\n{text}"));
    for line in text.lines() {
        assert!(line.chars().count() <= 130 || !line.starts_with('#') || line.split_whitespace().count() == 2, "{line}");
    }
    (text, config)
}

/// All defaults: those of an empty file.
fn connections() -> Config {
    config::connections(Some(Path::new("/dev/null")), &[]).unwrap()
}

fn paths(proposal: &Proposal) -> Vec<&str> {
    proposal.groups.iter().map(|group| group.path.as_str()).collect()
}

fn measured(proposal: &Proposal) -> Vec<(&str, Function)> {
    proposal.measures.iter().map(|measure| (measure.name.as_str(), measure.function)).collect()
}

#[test]
fn sales_are_summed_by_store_and_minute() {
    let proposal = propose("SALES", &values_of(SALES), &sales(300), None).unwrap();
    assert_eq!(
        (proposal.time.path.as_str(), &paths(&proposal)[..], proposal.window),
        ("sale_ts", &["store_id"][..], Millis(60_000))
    );
    assert_eq!(measured(&proposal), [("sum_sale_amount", Function::Sum), ("events", Function::Count)]);
    let (text, config) = accepted(&proposal, SALES, &connections());
    assert!(text.contains("3 values in 300 records: ABC, DEF, GHI") && text.contains("about 1 a second"), "{text}");
    assert!(!text.contains("[kafka]") && !text.contains("[druid]"), "defaults are not written: {text}");
    assert_eq!((config.aggregates[0].sink.as_str(), config.charts.len()), ("SALES_AGGREGATE", 3));
    assert_eq!(config.charts[1].metric.label(), "SUM(sum_sale_amount)");
}

#[test]
fn nested_nullable_and_logical_types_find_their_places() {
    let proposal = propose("web.clicks", &values_of(CLICKS), &clicks(500), None).unwrap();
    assert_eq!((proposal.time.path.as_str(), &paths(&proposal)[..]), ("at", &["device", "page.section"][..]));
    assert_eq!(
        measured(&proposal),
        [("sum_page_load_time_ms", Function::Sum), ("sum_price", Function::Sum), ("events", Function::Count)]
    );
    assert_eq!(proposal.window, Millis(10_000));
    assert!(proposal.time.why.contains("`received` (null in every record)"), "{}", proposal.time.why);
    let reasons = proposal.other_groups.join("; ");
    for reason in ["`click_id`: another value in each record", "`country`: null in 100 of 500"] {
        assert!(reasons.contains(reason), "{reasons}");
    }
    assert!(proposal.other_measures.join(";").contains("`seq`: its name says an id"), "{:?}", proposal.other_measures);
    let (_, config) = accepted(&proposal, CLICKS, &connections());
    assert_eq!(config.aggregates[0].sink, "web.clicks.aggregate");
    assert_eq!(config.charts[1].metric.label(), "SUM(sum_page_load_time_ms)");
    assert_eq!((&config.charts[0].group_by[..], config.charts[0].grain), (&["device".to_owned()][..], Some(Millis(30_000))));
}

#[test]
fn without_records_the_schema_speaks() {
    let proposal = propose("clicks", &values_of(CLICKS), &clicks(0), None).unwrap();
    assert_eq!((proposal.time.path.as_str(), proposal.window), ("at", Millis(60_000)));
    assert_eq!(paths(&proposal), ["device"]);
    accepted(&proposal, CLICKS, &connections());
    accepted(&propose("SALES", &values_of(SALES), &sales(0), None).unwrap(), SALES, &connections());
}

#[test]
fn of_a_few_records_nothing_is_concluded() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"ts","type":"long"},
        {"name":"user_id","type":"string"},{"name":"country","type":"string"}]}"#;
    let countries = ["CH", "AT", "LI"];
    let seen = sample(schema, 3, |n| {
        let country = Scalar::Str(countries[n as usize]);
        vec![Scalar::Long(NOW), country, country]
    });
    let proposal = propose("T", &values_of(schema), &seen, None).unwrap();
    assert_eq!((&paths(&proposal)[..], proposal.window), (&["country"][..], Millis(60_000)));
    assert!(proposal.groups[0].why.contains("too few"), "{}", proposal.groups[0].why);
    accepted(&proposal, schema, &connections());
}

#[test]
fn without_a_time_the_candidates_are_named() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b_ts","type":"long"},
        {"name":"t","type":{"type":"long","logicalType":"timestamp-nanos"}},{"name":"s","type":"string"}]}"#;
    let seen =
        sample(schema, 20, |n| vec![Scalar::Long(n), Scalar::Long((NOW + n) * 1_000), Scalar::Long(NOW), Scalar::Str("x")]);
    let error = propose("T", &values_of(schema), &seen, None).unwrap_err();
    for word in ["`a` (a long)", "`b_ts` (its values look like epoch microseconds", "`t` (timestamp-nanos", "--time FIELD"] {
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
    for (field, word) in [("s", "of type string"), ("x", "no such field"), ("b_ts", "microseconds")] {
        let error = propose("T", &values_of(schema), &seen, Some(field)).unwrap_err();
        assert!(error.to_string().contains(word), "{field}: {error}");
    }
    let proposal = propose("T", &values_of(schema), &seen, Some("a")).unwrap();
    assert!(proposal.groups.is_empty());
    let (text, config) = accepted(&proposal, schema, &connections());
    assert!(config.aggregates.is_empty() && text.contains("No [[aggregate]] is proposed"), "{text}");
    assert!(text.contains("`s`: always the same"), "{text}");
}

#[test]
fn names_that_would_meet_are_told_apart() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"time","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"a_b","type":"boolean"},{"name":"a","type":{"type":"record","name":"A","fields":[{"name":"b","type":"string"}]}},
        {"name":"events","type":"boolean"},{"name":"x_y","type":"int"},
        {"name":"x","type":{"type":"record","name":"X","fields":[{"name":"y","type":"double"}]}}]}"#;
    let seen = sample(schema, 40, |n| {
        let two = n % 2 == 0;
        let text = Scalar::Str(if two { "a\nb = \"'''" } else { "# \u{1b}[31m" });
        vec![Scalar::Long(NOW), Scalar::Bool(two), text, Scalar::Bool(two), Scalar::Int(7), Scalar::Double(0.5)]
    });
    let proposal = propose("T", &values_of(schema), &seen, None).unwrap();
    assert_eq!(paths(&proposal), ["a.b", "events"]);
    let names: Vec<&str> = measured(&proposal).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["sum_x_y", "sum_x_y_2", "events_2"]);
    accepted(&proposal, schema, &connections());
}

#[test]
fn connections_are_written_without_their_secrets() {
    let folder = std::env::temp_dir().join(format!("pipeline-init-secrets-{}", std::process::id()));
    std::fs::write(&folder, "[kafka]\nbootstrap_servers = \"a\\\"b:1\"\n[kafka.properties]\n\"sasl.username\" = \"me\"\n\"sasl.password\" = \"canary\"\n\"sasl.oauthbearer.token.endpoint.url\" = \"https://me:canary@idp\"\n")
        .unwrap();
    let password = Override::from_env("PIPELINE_DRUID_PASSWORD", "canary").unwrap();
    let hyphens = Override::from_env("PIPELINE_FLINK_REGISTRY_PROPERTIES_BASIC-AUTH_USER-INFO", "canary").unwrap();
    let connections = config::connections(Some(&folder), &[password, hyphens]).unwrap();
    std::fs::remove_file(&folder).unwrap();
    let proposal = propose("SALES", &values_of(SALES), &sales(300), None).unwrap();
    let (text, config) = accepted(&proposal, SALES, &connections);
    assert!(!text.contains("canary"), "{text}");
    assert!(text.contains("PIPELINE_DRUID_PASSWORD") && text.contains("PIPELINE_KAFKA_PROPERTIES_SASL_PASSWORD"), "{text}");
    assert!(text.contains("# give the secret with \"basic-auth.user-info_file\" = \"PATH\""), "{text}");
    assert_eq!(config.kafka.bootstrap_servers, "a\"b:1");
    assert_eq!(config.kafka.properties["sasl.username"].0.expose(), "me");
}

#[test]
fn a_ca_of_one_s_own_is_written_where_it_is() {
    let mut connections = connections();
    connections.registry.ca_file = Some("/etc/my \"own\".pem".into());
    connections.druid.ca_file = Some("/etc/druid.pem".into());
    connections.superset.ca_file = Some("/etc/superset.pem".into());
    let proposal = propose("SALES", &values_of(SALES), &sales(300), None).unwrap();
    let (_, config) = accepted(&proposal, SALES, &connections);
    let written = [config.registry.ca_file, config.druid.ca_file, config.superset.ca_file];
    assert_eq!(written, [connections.registry.ca_file, connections.druid.ca_file, connections.superset.ca_file]);
}

#[test]
fn what_druid_and_flink_are_handed_is_written_and_no_secret_is() {
    let file = std::env::temp_dir().join(format!("pipeline-init-handed-{}", std::process::id()));
    let text = r#"
        [druid]
        token = "canary"
        kafka_properties = { "security.protocol" = "SASL_SSL", "sasl.jaas.config" = { env = "JA\"AS" } }
        registry_properties = { "basic.auth.user.info" = { env = "INFO" } }
        [superset]
        public_url = "https://dashboards.example"
        [flink]
        gateway_url = "http://gateway:8083"
        parallelism = 4
        checkpoint_interval = "1m"
        password = "canary"
        kafka_properties = { "sasl.mechanism" = "PLAIN", "sasl.jaas.config" = "canary" }
    "#;
    std::fs::write(&file, text).unwrap();
    let connections = config::connections(Some(&file), &[]).unwrap();
    std::fs::remove_file(&file).unwrap();
    let proposal = propose("SALES", &values_of(SALES), &sales(300), None).unwrap();
    let (text, config) = accepted(&proposal, SALES, &connections);
    assert!(!text.contains("canary"), "{text}");
    for variable in ["PIPELINE_DRUID_TOKEN", "PIPELINE_FLINK_PASSWORD", "PIPELINE_FLINK_KAFKA_PROPERTIES_SASL_JAAS_CONFIG"] {
        assert!(text.contains(variable), "{text}");
    }
    assert_eq!(config.druid.kafka_properties, connections.druid.kafka_properties);
    assert_eq!(config.druid.registry_properties, connections.druid.registry_properties);
    assert_eq!(config.superset.public_url, connections.superset.public_url);
    let flink = |config: &Config| (config.flink.gateway_url.clone(), config.flink.parallelism, config.flink.checkpoint_interval);
    assert_eq!(flink(&config), flink(&connections));
}

#[test]
fn every_topic_name_gives_a_file_that_is_accepted() {
    for topic in ["a", ".a.b", "a-b", "A_b", "-", "_._", "9", "-9", "0123456789abcdef-0123456789ABCDEF", &"x".repeat(235)] {
        let proposal = propose(topic, &values_of(SALES), &sales(300), None).unwrap();
        accepted(&proposal, SALES, &connections());
    }
}

#[test]
fn the_window_follows_the_rate() {
    for (gap_ms, window_ms) in [(1, 10_000), (1_000, 60_000), (30_000, 300_000), (600_000, 3_600_000)] {
        let seen = sample(SALES, 100, |n| vec![Scalar::Str("A"), Scalar::Int(1), Scalar::Long(NOW + n * gap_ms)]);
        assert_eq!(propose("T", &values_of(SALES), &seen, None).unwrap().window, Millis(window_ms), "{gap_ms}");
    }
}
