use super::super::types::Late;
use super::super::{DEFAULT_FILE, load};
use super::*;

/// Why the shipped file is refused with one value put at a path (`datasource.0.name`); `None`: it is taken.
fn refused(path: &str, value: &str) -> Option<String> {
    let value: toml::Table = format!("v = {value}").parse().unwrap();
    let text = std::fs::read_to_string(DEFAULT_FILE).unwrap();
    let mut at = toml::Value::Table(text.parse().unwrap());
    put(&mut at, path, value["v"].clone());
    let schema = load(Some(DEFAULT_FILE.as_ref()), &[]).unwrap().sources[0].schema_text.clone();
    let mut config: Config = at.try_into().unwrap();
    config.sources.iter_mut().for_each(|source| source.schema_text.clone_from(&schema));
    let error = check(&config).err()?;
    assert_eq!(error.kind, Kind::Config);
    Some(error.to_string())
}

fn put(at: &mut toml::Value, path: &str, value: toml::Value) {
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let place = match at {
        toml::Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
        toml::Value::Table(table) => table.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new())),
        other => panic!("{other}"),
    };
    match rest {
        Some(rest) => put(place, rest, value),
        None => *place = value,
    }
}

#[track_caller]
fn each_is_refused(cases: &[(&str, &str, &str)]) {
    for (path, value, word) in cases {
        match refused(path, value) {
            Some(error) => assert!(error.contains(word), "{path} = {value}: {error}"),
            None => panic!("{path} = {value} is taken"),
        }
    }
}

#[track_caller]
fn each_is_taken(cases: &[(&str, &str)]) {
    for (path, value) in cases {
        assert_eq!(refused(path, value), None, "{path} = {value}");
    }
}

#[test]
fn deltas_are_of_sums_and_counts_only() {
    let mut config = load(Some(DEFAULT_FILE.as_ref()), &[]).unwrap();
    config.aggregates[0].late = Late::Delta;
    check(&config).unwrap();
    config.aggregates[0].measures[0].function = Function::Avg;
    let error = check(&config).unwrap_err();
    assert_eq!(error.kind, Kind::Config);
    assert!(error.message.contains("`aggregated_sales` is AVG"), "{error}");
    config.aggregates[0].late = Late::Drop;
    check(&config).unwrap();
}

#[test]
fn topics() {
    each_is_refused(&[
        ("source.0.partitions", "0", "`partitions` must be 1 or more"),
        ("source.0.replication_factor", "-1", "`replication_factor` must be 1 or more"),
        ("source.0.retention", "'0s'", "`retention` must be longer than zero"),
        ("aggregate.0.replication_factor", "0", "`replication_factor`"),
        ("aggregate.0.retention", "'0s'", "`retention`"),
        ("aggregate.0.measure.0.name", "'sales 1'", "not a name of an Avro field"),
        ("aggregate.0.measure.0.name", "'1st'", "not a name of an Avro field"),
        ("aggregate.0.measure.0.name", "'store_id'", "two columns"),
        ("aggregate.0.sink", "'SALES'", "two different topics"),
        ("aggregate.0.dead_letters", "'SALES_AGGREGATE'", "the topic of a [[aggregate]]"),
        ("source.0.topic", r#""a\nb""#, r"`a\nb` is not a topic name"),
    ]);
    each_is_taken(&[("source.0.partitions", "3"), ("source.0.retention", "'7d'"), ("aggregate.0.replication_factor", "3")]);
}

#[test]
fn dead_letters_have_a_topic_of_their_own() {
    let two = |dead_letters: &str, source: &str| {
        let mut config = load(Some(DEFAULT_FILE.as_ref()), &[]).unwrap();
        let mut other = config.aggregates[0].clone();
        other.sink = "OTHER".into();
        other.dead_letters = Some(dead_letters.into());
        config.aggregates.push(other);
        let mut other = config.sources[0].clone();
        other.topic = source.into();
        config.sources.push(other);
        check(&config).err().map(|error| error.message)
    };
    assert_eq!(two("SALES_DEAD_LETTERS", "S"), None);
    for (dead_letters, source) in [("SALES_AGGREGATE", "S"), ("S", "S"), ("X", "SALES_DEAD_LETTERS")] {
        let error = two(dead_letters, source).unwrap_or_default();
        assert!(error.contains("dead letters"), "{dead_letters} {source}: {error}");
    }
}

#[test]
fn datasources() {
    each_is_refused(&[
        ("datasource.0.task_count", "0", "`task_count` must be 1 or more"),
        ("datasource.0.replicas", "0", "`replicas` must be 1 or more"),
        ("datasource.0.retention", "'0s'", "`retention` must be whole seconds"),
        ("datasource.0.task_duration", "'1500ms'", "`task_duration` must be whole seconds"),
        ("datasource.0.task_duration", "'0s'", "`task_duration` must be whole seconds"),
        ("datasource.0.columns", "[]", "`columns` is empty"),
        ("datasource.0.columns", "['a.b', 'a_b']", "a second column `a_b`"),
        ("datasource.0.columns", "['__time']", "for the time"),
        ("datasource.0.tuning", "{ indexSpec = { a = 1 } }", "tuning `indexSpec`"),
        ("datasource.0.tuning", "{ x = [1] }", "tuning `x`"),
        ("datasource.0.rollup", "{ grain = '2m', measure = [{ name = 'n', function = 'count' }] }", "1m, 5m, 10m"),
        ("datasource.0.rollup", "{ grain = '1m', measure = [] }", "needs one"),
        ("datasource.0.rollup", "{ grain = '1m', measure = [{ name = 'n', function = 'sum' }] }", "`n` needs a `field`"),
        (
            "datasource.0",
            "{ name = 'SALES', topic = 'SALES', time = 'sale_ts', columns = ['store_id', 'page.ms'], rollup = { grain = '1m', \
             measure = [{ name = 'n', function = 'max', field = 'page.ms' }] } }",
            "field `page.ms` is in `columns` and measured as `n`",
        ),
        (
            "datasource.0.rollup",
            "{ grain = '1m', measure = [{ name = 'n', function = 'avg', field = 'x' }] }",
            "cannot add up means",
        ),
        (
            "datasource.0.rollup",
            "{ grain = '1m', measure = [{ name = 'n', function = 'count' }, { name = 'n', function = 'count' }] }",
            "a second column `n`",
        ),
    ]);
    each_is_taken(&[
        ("datasource.0.columns", "['store_id', 'a.b']"),
        ("datasource.0.tuning", "{ maxRowsInMemory = 1000, reportParseExceptions = true, x = 'y', z = 0.5 }"),
        ("datasource.0.rollup", "{ grain = '1h', measure = [{ name = 'n', function = 'max', field = 'sale_amount' }] }"),
    ]);
}

#[test]
fn charts_and_the_dashboard() {
    each_is_refused(&[
        ("chart.0.metric", "{ function = 'sum' }", "needs a `field`"),
        ("chart.0.metric", "{ function = 'sum', field = 'a.b' }", "the column of that field is `a_b`"),
        ("chart.0.time_range", "'0s'", "`time_range` must be longer"),
        ("chart.0.row_limit", "0", "`row_limit` must be 1"),
        ("chart.0.type", "'pie'", "`step` and `stack` are for charts over time"),
        ("chart.2.stack", "true", "`step` and `stack` are for charts over time"),
        ("chart.2.group_by", "[]", "needs `group_by`"),
        ("chart.2.type", "'big-number'", "takes no `group_by`"),
        ("chart.0.datasource", "'SALE'", "did you mean `SALES`?"),
        ("dashboard.refresh", "'1500ms'", "whole seconds"),
        ("dashboard.rows", "[]", "shows no chart"),
        ("dashboard.rows", "[[{ chart = 'stores_shares_sales', width = 3 }], []]", "a row of `rows` is empty"),
        ("dashboard.slug", "'2024'", "takes for a number"),
        ("dashboard.slug", "'-2024'", "takes for a number"),
        ("dashboard.slug", "'08a8dfb1-6adc-59cc-b6b1-388609050813'", "takes for a number"),
        ("dashboard.slug", "'08a8dfb16adc59ccb6b1-388609050813'", "takes for a number"),
        ("dashboard.filters", "[{ title = 'a' }, { title = 'a' }]", "`a` is there twice"),
        ("dashboard.filters", "[{ title = 'a', column = 'store_id' }]", "needs the `datasource`"),
        ("dashboard.filters", "[{ title = 'a', datasource = 'SALE', column = 'x' }]", "no datasource `SALE`"),
        ("dashboard.filters", "[{ title = 'a', datasource = 'SALES', column = 'x.y' }]", "`x_y`"),
    ]);
    each_is_taken(&[
        ("chart.0.metric", "{ function = 'count' }"),
        ("chart.2.type", "'table'"),
        ("dashboard.refresh", "'0s'"),
        ("dashboard.slug", "'2024-q1'"),
        ("dashboard.slug", "'2024-11'"),
        ("dashboard.filters", "[{ title = 'time' }, { title = 'store', datasource = 'SALES', column = 'store_id' }]"),
    ]);
}

#[test]
fn hostile_names_are_refused_or_let_through_whole() {
    let long = |length: usize| format!("'{}'", "x".repeat(length));
    for (path, most) in [("name", 242), ("chart.0.title", 250), ("dashboard.title", 250), ("dashboard.slug", 255)] {
        let error = refused(path, &long(most + 1)).unwrap();
        assert!(error.contains(&format!("{most} are the most")) && error.len() < 300, "{path}: {error}");
        if path != "chart.0.title" {
            assert_eq!(refused(path, &long(most)), None, "{path}");
        }
    }
    each_is_refused(&[
        ("name", r#""a\u0000b""#, "control character"),
        ("name", "' '", "`name` is empty"),
        ("chart.0.title", r#""a\nb""#, "control character"),
        ("dashboard.title", r#""a\u007fb""#, "control character"),
        ("dashboard.filters", r#"[{ title = "a\tb" }]"#, "control character"),
        ("dashboard.slug", "'A'", "lower-case letters"),
        ("datasource.0.name", "'a/b'", "'/'"),
        ("datasource.0.name", "' a'", "begins or ends with a space"),
        ("datasource.0.name", "'.a'", "begins with a dot"),
        ("datasource.0.name", r#""a\u00a0b""#, "character"),
        ("datasource.0.name", "'\u{1f600}'", "character"),
        ("datasource.0.name", &long(201), "200 are the most"),
    ]);
    let hostile = r#""'; DROP TABLE \"x\" --%s %(a)s !(a:b) Größe 数 </script>""#;
    each_is_taken(&[("name", hostile), ("dashboard.title", hostile)]);
    // The charts that read it do not know it by the new name, so that is the next complaint.
    assert!(refused("datasource.0.name", r#""it's 100% \"größe\" 数""#).unwrap().contains("there is no datasource `SALES`"));
}

#[test]
fn what_generates_nothing_is_refused() {
    let told = |toml: &str| generated(&toml::from_str(toml).unwrap()).err().unwrap_or_default();
    assert_eq!(told("one_of = [\"a\", 1, 2.5, true]\nnulls = 0.5"), "");
    assert_eq!(told("nulls = 1"), "");
    assert_eq!(told("one_of = []"), "one_of is empty");
    assert_eq!(told("one_of = [1]\nuniform = [1, 2]"), "one_of and uniform exclude each other");
    assert_eq!(told("uniform = [2, 1]"), "uniform takes [least, greatest]");
    assert_eq!(told("uniform = [1, 2]\nnulls = 20"), "nulls is a share from 0 to 1");
    assert_eq!(told(""), "one_of, uniform or nulls is missing");
    for (toml, error) in [("one_of = [[1]]", "expected a string, a number or a boolean"), ("unifrom = [1, 2]", "unknown field")] {
        let refused = toml::from_str::<Generate>(toml).unwrap_err();
        assert!(refused.message().contains(error), "{refused}");
    }
}

#[test]
fn druid_is_handed_no_secret() {
    each_is_refused(&[
        ("druid.kafka_properties", r#"{ "sasl.jaas.config" = "canary" }"#, "\"sasl.jaas.config\" = { env = \"VARIABLE\" }"),
        ("druid.kafka_properties", r#"{ "ssl.key.password" = "canary" }"#, "`ssl.key.password` is a secret"),
        ("druid.kafka_properties", r#"{ "sasl.oauthbearer.token.endpoint.url" = "https://me:canary@idp" }"#, "is a secret"),
        ("druid.registry_properties", r#"{ "basic.auth.user.info" = "me:canary" }"#, "[druid.registry_properties]"),
        ("druid.registry_properties", r#"{ "basic.auth.user.info" = { env = " " } }"#, "has no name"),
        ("druid.kafka_properties", r#"{ "sasl.jaas.config_file" = "jaas" }"#, "\"sasl.jaas.config\" = { env = \"VARIABLE\" }"),
        ("druid.registry_properties", r#"{ "basic.auth.user.info_file" = { env = "X" } }"#, "cannot read this machine's files"),
        ("druid.kafka_properties", r#"{ "bootstrap.servers" = "kafka:9092" }"#, "kafka_bootstrap_servers"),
        ("druid.kafka_properties", r#"{ "druid.dynamic.config.provider" = "x" }"#, "by its own name"),
    ]);
    assert!(!refused("druid.kafka_properties", r#"{ "sasl.jaas.config" = "canary" }"#).unwrap().contains("canary"));
    each_is_taken(&[
        ("druid.kafka_properties", r#"{ "security.protocol" = "SASL_SSL", "sasl.jaas.config" = { env = "JAAS" } }"#),
        (
            "druid.registry_properties",
            r#"{ "basic.auth.credentials.source" = "USER_INFO", "basic.auth.user.info" = { env = "INFO" } }"#,
        ),
    ]);
}
