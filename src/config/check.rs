//! The rules that a pipeline file must keep beyond the types of its keys. Pure.

use std::collections::HashSet;

use apache_avro::Schema;

use super::types::{Aggregate, Chart, ChartKind, Config, Dashboard, Function, Generate, Late, Source};
use super::units::Millis;
use crate::error::{Error, Kind, Result};

/// The columns that every window row has besides its group-by fields and measures.
const WINDOW_FIELDS: [&str; 2] = ["window_start", "window_end"];

fn wrong(place: impl std::fmt::Display, what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Config, format!("{place}: {what}"))
}

pub(super) fn check(config: &Config) -> Result<()> {
    if config.name.trim().is_empty() {
        return Err(wrong("pipeline file", "`name` is empty"));
    }
    addresses(config)?;
    unique("source", config.sources.iter().map(|source| &source.topic))?;
    unique("aggregate", config.aggregates.iter().map(|aggregate| &aggregate.sink))?;
    unique("datasource", config.datasources.iter().map(|datasource| &datasource.name))?;
    unique("chart", config.charts.iter().map(|chart| &chart.title))?;
    config.sources.iter().try_for_each(source)?;
    config.aggregates.iter().try_for_each(|one| aggregate(config, one))?;
    config.datasources.iter().try_for_each(|one| topic_name(&format!("datasource `{}`", one.name), &one.topic))?;
    config.charts.iter().try_for_each(|one| chart(config, one))?;
    config.dashboard.iter().try_for_each(|one| dashboard(config, one))
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

fn unique<'a>(table: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(wrong(format!("[[{table}]]"), format!("`{name}` is there twice")));
        }
    }
    Ok(())
}

/// Kafka's rule for topic names.
fn topic_name(place: &str, name: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.chars().all(legal) {
        return Err(wrong(place, format!("`{name}` is not a topic name")).hint("letters, digits, '.', '_' and '-', 249 at most"));
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
    let known = fields(source)?;
    for name in [Some(&source.time), source.key.as_ref()].into_iter().flatten().chain(source.generate.keys()) {
        known_field(&place, &known, name)?;
    }
    for (name, generate) in &source.generate {
        match generate {
            Generate::OneOf(values) if values.is_empty() => {
                return Err(wrong(&place, format!("generate `{name}`: one_of is empty")));
            }
            Generate::Uniform([low, high]) if low.partial_cmp(high).is_none_or(std::cmp::Ordering::is_gt) => {
                return Err(wrong(&place, format!("generate `{name}`: uniform takes [least, greatest]")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn aggregate(config: &Config, aggregate: &Aggregate) -> Result<()> {
    let place = format!("[[aggregate]] `{}`", aggregate.sink);
    topic_name(&place, &aggregate.sink)?;
    topic_name(&place, &aggregate.dead_letter_topic())?;
    let source = config.source(Some(&aggregate.source)).map_err(|error| error.while_doing(&place))?;
    let topics = [&aggregate.sink, &aggregate.source, &aggregate.dead_letter_topic()];
    if topics.iter().collect::<HashSet<_>>().len() < topics.len() {
        return Err(wrong(&place, "source, sink and dead letters must be three different topics"));
    }
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
    let columns = aggregate
        .group_by
        .iter()
        .map(String::as_str)
        .chain(WINDOW_FIELDS)
        .chain(aggregate.measures.iter().map(|m| m.name.as_str()));
    let mut seen = HashSet::new();
    if let Some(twice) = columns.into_iter().find(|name| !seen.insert(*name)) {
        return Err(wrong(&place, format!("two columns of the sink would be called `{twice}`")));
    }
    match aggregate.measures.iter().find(|measure| measure.field.is_none() && measure.function != Function::Count) {
        Some(measure) => Err(wrong(&place, format!("measure `{}` needs a `field`", measure.name))),
        None => late(&place, aggregate),
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

fn chart(config: &Config, chart: &Chart) -> Result<()> {
    let place = format!("[[chart]] `{}`", chart.title);
    if config.datasource(&chart.datasource).is_none() {
        let known: Vec<&str> = config.datasources.iter().map(|one| one.name.as_str()).collect();
        return Err(wrong(&place, format!("there is no datasource `{}`", chart.datasource)).hint(
            super::layers::suggest(&chart.datasource, &known).unwrap_or_else(|| format!("there are: {}", known.join(", "))),
        ));
    }
    match (chart.kind, chart.grain) {
        (kind, None) if kind.is_over_time() => Err(wrong(&place, "a chart over time needs a `grain`, for example \"1m\"")),
        (ChartKind::Pie | ChartKind::Table, _) if chart.group_by.is_empty() => {
            Err(wrong(&place, "a pie or a table needs `group_by`"))
        }
        _ => Ok(()),
    }
}

fn dashboard(config: &Config, dashboard: &Dashboard) -> Result<()> {
    let place = format!("[dashboard] `{}`", dashboard.title);
    let slug_character = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if dashboard.slug.is_empty() || !dashboard.slug.chars().all(slug_character) {
        return Err(wrong(&place, format!("slug `{}` is more than lower-case letters, digits and '-'", dashboard.slug)));
    }
    if dashboard.refresh.0 % 1000 != 0 {
        return Err(wrong(&place, "`refresh` must be whole seconds"));
    }
    for row in &dashboard.rows {
        if let Some(cell) = row.iter().find(|cell| config.chart(&cell.chart).is_none()) {
            return Err(wrong(&place, format!("there is no chart `{}`", cell.chart)));
        }
        let width: u32 = row.iter().map(|cell| u32::from(cell.width)).sum();
        if width > 12 || row.iter().any(|cell| cell.width == 0) {
            return Err(wrong(&place, format!("a row is {width} wide; each chart takes 1 or more, all together 12 at most")));
        }
    }
    match dashboard.colors.iter().find(|(_, color)| !is_color(color)) {
        Some((series, color)) => Err(wrong(&place, format!("colour `{color}` of `{series}` is not of the form #RRGGBB"))),
        None => Ok(()),
    }
}

fn is_color(text: &str) -> bool {
    text.len() == 7 && text.starts_with('#') && text[1..].chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::super::{DEFAULT_FILE, load};
    use super::*;

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
}
