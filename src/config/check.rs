//! The rules that a pipeline file must keep beyond the types of its keys. Pure.

mod dashboard;
mod datasource;
mod names;

use std::collections::HashSet;

use apache_avro::Schema;

use self::names::topic_name;
use super::secret::seen;
use super::types::{
    Aggregate, Config, Druid, Function, Generate, Handed, Late, Measure, PROVIDER, Source, WINDOW_FIELDS, column_name,
};
use super::units::Millis;
use crate::error::{Error, Kind, Result};

fn wrong(place: impl std::fmt::Display, what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Config, format!("{place}: {what}"))
}

pub(super) fn check(config: &Config) -> Result<()> {
    names::pipeline(&config.name)?;
    addresses(config)?;
    handed(&config.druid)?;
    unique("source", config.sources.iter().map(|source| &source.topic))?;
    unique("aggregate", config.aggregates.iter().map(|aggregate| &aggregate.sink))?;
    unique("datasource", config.datasources.iter().map(|datasource| &datasource.name))?;
    unique("chart", config.charts.iter().map(|chart| &chart.title))?;
    config.sources.iter().try_for_each(source)?;
    config.aggregates.iter().try_for_each(|one| aggregate(config, one))?;
    config.datasources.iter().try_for_each(datasource::check)?;
    config.charts.iter().try_for_each(|one| dashboard::chart(config, one))?;
    config.dashboard.iter().try_for_each(|one| dashboard::dashboard(config, one))
}

fn addresses(config: &Config) -> Result<()> {
    if config.kafka.bootstrap_servers.trim().is_empty() {
        return Err(wrong("[kafka]", "`bootstrap_servers` is empty"));
    }
    if config.kafka.properties.contains_key("bootstrap.servers") {
        return Err(wrong("[kafka.properties]", "`bootstrap.servers` has a key of its own").hint("set [kafka] bootstrap_servers"));
    }
    let urls = [
        ("[registry] url", Some(&config.registry.url)),
        ("[druid] url", Some(&config.druid.url)),
        ("[druid] registry_url", config.druid.registry_url.as_ref()),
        ("[superset] url", Some(&config.superset.url)),
        ("[superset] druid_url", config.superset.druid_url.as_ref()),
        ("[superset] public_url", config.superset.public_url.as_ref()),
        ("[flink] url", Some(&config.flink.url)),
        ("[flink] gateway_url", Some(&config.flink.gateway_url)),
        ("[flink] registry_url", config.flink.registry_url.as_ref()),
    ];
    for (place, url) in urls {
        let Some(url) = url else { continue };
        let good = reqwest::Url::parse(url).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() && url.password().is_none()
        });
        if !good {
            return Err(wrong(place, "is not an http or https address without credentials")
                .hint("write for example http://127.0.0.1:8081; credentials have keys of their own"));
        }
    }
    Ok(())
}

/// Everybody who may look at a supervisor reads what Druid is handed.
fn handed(druid: &Druid) -> Result<()> {
    for (table, own, key, properties) in [
        ("kafka_properties", "bootstrap.servers", "kafka_bootstrap_servers", &druid.kafka_properties),
        ("registry_properties", "schema.registry.url", "registry_url", &druid.registry_properties),
    ] {
        let place = format!("[druid.{table}]");
        for (name, value) in properties {
            match value {
                _ if name == own => {
                    return Err(wrong(place, format!("`{own}` has a key of its own")).hint(format!("set [druid] {key}")));
                }
                _ if name == PROVIDER => {
                    return Err(wrong(place, format!("`{PROVIDER}` is made of what is written as {{ env = \"VARIABLE\" }}"))
                        .hint("write each property by its own name"));
                }
                _ if name.ends_with("_file") => {
                    let name = name.trim_end_matches("_file");
                    return Err(wrong(place, format!("`{name}_file`: Druid cannot read this machine's files")).hint(format!(
                        "name a variable of Druid's processes that holds it: \"{name}\" = {{ env = \"VARIABLE\" }}"
                    )));
                }
                Handed::Text(text) if seen(name, text) != *text => {
                    return Err(wrong(
                        place,
                        format!("`{name}` is a secret, and everybody who may look at a supervisor would read it"),
                    )
                    .hint(format!("name a variable of Druid's processes that holds it: \"{name}\" = {{ env = \"VARIABLE\" }}")));
                }
                Handed::Env(from) if from.env.trim().is_empty() => {
                    return Err(wrong(place, format!("`{name}`: the variable has no name")));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn unique<'a>(table: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(wrong(format!("[[{table}]]"), format!("`{}` is there twice", names::shown(name))));
        }
    }
    Ok(())
}

/// Settings of a topic that is created.
fn topic_settings(place: &str, partitions: Option<i32>, replicas: Option<i32>, retention: Option<Millis>) -> Result<()> {
    at_least_one(place, "partitions", partitions.map(i64::from))?;
    at_least_one(place, "replication_factor", replicas.map(i64::from))?;
    longer_than_zero(place, "retention", retention)
}

fn at_least_one(place: &str, key: &str, value: Option<i64>) -> Result<()> {
    match value {
        Some(..=0) => Err(wrong(place, format!("`{key}` must be 1 or more"))),
        _ => Ok(()),
    }
}

fn longer_than_zero(place: &str, key: &str, value: Option<Millis>) -> Result<()> {
    match value {
        Some(Millis(..=0)) => Err(wrong(place, format!("`{key}` must be longer than zero"))),
        _ => Ok(()),
    }
}

fn whole_seconds(place: &str, key: &str, value: Millis) -> Result<()> {
    if value.0 <= 0 || value.0 % 1_000 != 0 {
        return Err(wrong(place, format!("`{key}` must be whole seconds, one or more")));
    }
    Ok(())
}

/// Each function but `count` is of a field.
fn has_field(place: &str, measure: &Measure) -> Result<()> {
    if measure.field.is_none() && measure.function != Function::Count {
        return Err(wrong(place, format!("measure `{}` needs a `field`", measure.name)));
    }
    Ok(())
}

/// The names of a record schema's fields.
fn fields(source: &Source) -> Result<Vec<String>> {
    let place = format!("{}, the schema of source `{}`", source.schema.display(), source.topic);
    match Schema::parse_str(&source.schema_text) {
        Ok(Schema::Record(record)) => Ok(record.fields.into_iter().map(|field| field.name).collect()),
        Ok(_) => Err(wrong(place, "is not a record schema")),
        Err(error) => Err(wrong(place, format!("is not an Avro schema: {error}"))),
    }
}

fn known_field(place: &str, known: &[String], name: &str) -> Result<()> {
    // Of a path like `customer.country` the first part is looked for here; the rest is checked against the schema in use.
    let first = name.split('.').next().unwrap_or(name);
    if known.iter().any(|field| field == first) {
        return Ok(());
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    Err(wrong(place, format!("the schema has no field `{name}`"))
        .hint(super::layers::suggest(name, &names).unwrap_or_else(|| format!("its fields are {}", names.join(", ")))))
}

fn source(source: &Source) -> Result<()> {
    let place = format!("[[source]] `{}`", source.topic);
    topic_name(&place, &source.topic)?;
    topic_settings(&place, source.partitions, source.replication_factor, source.retention)?;
    let known = fields(source)?;
    for name in [Some(&source.time), source.key.as_ref()].into_iter().flatten().chain(source.generate.keys()) {
        known_field(&place, &known, name)?;
    }
    for (name, generate) in &source.generate {
        generated(generate).map_err(|what| wrong(&place, format!("generate `{name}`: {what}")))?;
    }
    Ok(())
}

fn generated(generate: &Generate) -> std::result::Result<(), &'static str> {
    match (&generate.one_of, generate.uniform) {
        (Some(_), Some(_)) => return Err("one_of and uniform exclude each other"),
        (Some(values), None) if values.is_empty() => return Err("one_of is empty"),
        (None, Some([low, high])) if low.partial_cmp(&high).is_none_or(std::cmp::Ordering::is_gt) => {
            return Err("uniform takes [least, greatest]");
        }
        (None, None) if generate.nulls == 0.0 => return Err("one_of, uniform or nulls is missing"),
        _ => {}
    }
    if (0.0..=1.0).contains(&generate.nulls) { Ok(()) } else { Err("nulls is a share from 0 to 1") }
}

fn aggregate(config: &Config, aggregate: &Aggregate) -> Result<()> {
    let place = format!("[[aggregate]] `{}`", aggregate.sink);
    topic_name(&place, &aggregate.sink)?;
    topic_name(&place, &aggregate.dead_letter_topic())?;
    topic_settings(&place, None, aggregate.replication_factor, aggregate.retention)?;
    let source = config.source(Some(&aggregate.source)).map_err(|error| error.while_doing(&place))?;
    if aggregate.sink == aggregate.source {
        return Err(wrong(&place, "source and sink must be two different topics"));
    }
    dead_letters(config, &place, aggregate)?;
    if aggregate.window <= Millis(0) || aggregate.offset >= aggregate.window {
        return Err(wrong(&place, "`window` must be longer than zero and than `offset`"));
    }
    let known = fields(source)?;
    for name in aggregate.group_by.iter().chain(aggregate.measures.iter().filter_map(|measure| measure.field.as_ref())) {
        known_field(&place, &known, name)?;
    }
    if aggregate.group_by.is_empty() || aggregate.key_fields().is_empty() || aggregate.measures.is_empty() {
        return Err(wrong(&place, "`group_by`, `key` and `measure` need one entry at least"));
    }
    for name in aggregate.key_fields() {
        if !aggregate.group_by.contains(name) && !WINDOW_FIELDS.contains(&name.as_str()) {
            return Err(wrong(&place, format!("key `{name}` is neither a group_by field nor window_start or window_end")));
        }
    }
    let groups = aggregate.group_by.iter().map(|field| column_name(field));
    let measures = aggregate.measures.iter().map(|measure| measure.name.clone());
    let mut seen = HashSet::new();
    if let Some(twice) = groups.chain(WINDOW_FIELDS.map(str::to_owned)).chain(measures).find(|name| !seen.insert(name.clone())) {
        return Err(wrong(&place, format!("two columns of the sink would be called `{twice}`")));
    }
    for measure in &aggregate.measures {
        names::avro_name(&place, &measure.name)?;
        has_field(&place, measure)?;
    }
    late(&place, aggregate)
}

/// A dead letter is no event and no row: it must not get among those of any source or aggregate.
fn dead_letters(config: &Config, place: &str, aggregate: &Aggregate) -> Result<()> {
    let topic = aggregate.dead_letter_topic();
    let sources = config.sources.iter().map(|source| ("source", &source.topic));
    let sinks = config.aggregates.iter().map(|aggregate| ("aggregate", &aggregate.sink));
    match sources.chain(sinks).find(|(_, taken)| **taken == topic) {
        Some((table, _)) => Err(wrong(place, format!("dead letters would go to `{topic}`, the topic of a [[{table}]]"))
            .hint("name another topic with `dead_letters`")),
        None => Ok(()),
    }
}

/// What came late is only then the rest of a result if results can be added up.
fn late(place: &str, aggregate: &Aggregate) -> Result<()> {
    let unfit = |function| !matches!(function, Function::Sum | Function::Count);
    match aggregate.measures.iter().find(|measure| aggregate.late == Late::Delta && unfit(measure.function)) {
        Some(measure) => {
            let (name, function) = (&measure.name, measure.function.sql());
            Err(wrong(place, format!("late = \"delta\" is for SUM and COUNT only, but measure `{name}` is {function}"))
                .hint("rows with what came late are added up by their readers; set late = \"dead-letter\" or \"drop\""))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
