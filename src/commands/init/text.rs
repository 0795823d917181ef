//! A proposal as the text of a pipeline file. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use toml::Value;

use super::proposal::{Measure, Proposal};
use crate::config::{self, Config, Function, Millis, column_name, seen};

/// The widest comment.
const WIDTH: usize = 120;
/// Of a longer topic's name only so much goes into other names.
const LONGEST: usize = 180;

/// Writes the pipeline file that a proposal describes. `schema` is the file name of the schema beside it; `connections` are the
/// settings in effect, of which the file has those that differ from the defaults.
pub fn write(proposal: &Proposal, schema: &str, connections: &Config) -> String {
    let mut file = File(String::new());
    file.head(proposal);
    file.connections(connections);
    file.source(proposal, schema);
    file.aggregate(proposal);
    file.datasources(proposal);
    file.charts(proposal);
    file.0
}

/// What is written so far.
struct File(String);

impl File {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// A key and its value, quoted as TOML wants it.
    fn key(&mut self, key: &str, value: impl Into<Value>) {
        let line = format!("{key} = {}", value.into());
        self.line(&line);
    }

    /// A comment, on as many lines as it takes, with nothing in it that would end it.
    fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in text.split_whitespace() {
            let word: String = word.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                line = "#".into();
            }
            // Writing to a string cannot fail.
            let _ = write!(line, " {word}");
        }
        self.line(&line);
    }

    fn table(&mut self, name: &str) {
        let line = format!("\n{name}");
        self.line(&line);
    }

    fn part(&mut self, what: &str) {
        let line = format!("\n# ---- {what}");
        self.line(&line);
    }

    fn head(&mut self, proposal: &Proposal) {
        let (records, unread) = proposal.sampled;
        let unread = if unread > 0 { format!(" ({unread} more could not be read)") } else { String::new() };
        self.comment(&format!(
            "Proposed by `pipeline init` for topic {}, from its newest schema and its last {records} records{unread}. Each choice says why; \
             change what you know better. `pipeline config schema` describes every key.",
            proposal.topic
        ));
        self.line("");
        self.comment("identifies what this file makes: rename it, and everything is made anew beside the old");
        self.key("name", proposal.stem());
    }

    fn connections(&mut self, config: &Config) {
        let (kafka, registry) = (config::Kafka::default(), config::Registry::default());
        let (druid, superset) = (config::Druid::default(), config::Superset::default());
        let mut table = Connection::new("kafka");
        table.text("bootstrap_servers", &config.kafka.bootstrap_servers, &kafka.bootstrap_servers);
        self.connection(&table);
        let mut table = Connection::new("kafka.properties");
        table.properties(&config.kafka.properties);
        self.connection(&table);
        let mut table = Connection::new("registry");
        table.text("url", &config.registry.url, &registry.url);
        table.option("username", config.registry.username.as_ref());
        table.login(config.registry.password.as_ref(), config.registry.token.as_ref());
        table.path("ca_file", config.registry.ca_file.as_deref());
        self.connection(&table);
        let mut table = Connection::new("druid");
        table.text("url", &config.druid.url, &druid.url);
        table.option("username", config.druid.username.as_ref());
        table.login(config.druid.password.as_ref(), config.druid.token.as_ref());
        table.path("ca_file", config.druid.ca_file.as_deref());
        table.text("kafka_bootstrap_servers", config.kafka_for_druid(), &config.kafka.bootstrap_servers);
        table.text("registry_url", config.registry_for_druid(), &config.registry.url);
        self.connection(&table);
        let properties = [
            ("druid.kafka_properties", &config.druid.kafka_properties),
            ("druid.registry_properties", &config.druid.registry_properties),
        ];
        for (name, properties) in properties {
            let mut table = Connection::new(name);
            properties.iter().for_each(|(name, value)| table.handed(name, value));
            self.connection(&table);
        }
        let mut table = Connection::new("superset");
        table.text("url", &config.superset.url, &superset.url);
        table.option("public_url", config.superset.public_url.as_ref());
        table.option("username", config.superset.username.as_ref());
        table.login(config.superset.password.as_ref(), config.superset.token.as_ref());
        table.path("ca_file", config.superset.ca_file.as_deref());
        table.text("druid_url", config.druid_for_superset(), &config.druid.url);
        self.connection(&table);
        self.flink(config);
    }

    fn flink(&mut self, config: &Config) {
        let (flink, default) = (&config.flink, config::Flink::default());
        let mut table = Connection::new("flink");
        table.text("url", &flink.url, &default.url);
        table.text("gateway_url", &flink.gateway_url, &default.gateway_url);
        table.option("username", flink.username.as_ref());
        table.login(flink.password.as_ref(), flink.token.as_ref());
        table.path("ca_file", flink.ca_file.as_deref());
        table.text("kafka_bootstrap_servers", config.kafka_for_flink(), &config.kafka.bootstrap_servers);
        table.text("registry_url", config.registry_for_flink(), &config.registry.url);
        table.option("savepoints", flink.savepoints.as_ref());
        table.text("checkpoint_interval", &flink.checkpoint_interval.to_string(), &default.checkpoint_interval.to_string());
        table.lines.extend(flink.parallelism.map(|count| format!("parallelism = {count}")));
        self.connection(&table);
        let properties =
            [("flink.kafka_properties", &flink.kafka_properties), ("flink.registry_properties", &flink.registry_properties)];
        for (name, properties) in properties {
            let mut table = Connection::new(name);
            table.properties(properties);
            self.connection(&table);
        }
    }

    fn connection(&mut self, table: &Connection) {
        if table.lines.is_empty() {
            return;
        }
        self.table(&format!("[{}]", table.name));
        table.lines.iter().for_each(|line| self.line(line));
    }

    fn source(&mut self, proposal: &Proposal, schema: &str) {
        self.part("What flows in");
        self.table("[[source]]");
        self.key("topic", proposal.topic.as_str());
        self.key("schema", schema);
        self.comment(&format!("the event time: {}", proposal.time.why));
        self.key("time", proposal.time.path.as_str());
    }

    fn aggregate(&mut self, proposal: &Proposal) {
        self.part("What is made of it");
        self.line("");
        if proposal.groups.is_empty() {
            let others = others("fields that were looked at", &proposal.other_groups);
            self.comment(&format!("No [[aggregate]] is proposed, since no field is fit to group by{others}."));
            return;
        }
        self.line("[[aggregate]]");
        self.key("source", proposal.topic.as_str());
        self.key("sink", proposal.sink());
        self.comment(&proposal.window_why);
        self.key("window", proposal.window.to_string());
        self.comment("how far events may come out of order; a later one is a dead letter");
        self.key("lateness", "5s");
        for group in &proposal.groups {
            self.comment(&format!("{}: {}", group.path, group.why));
        }
        if !proposal.other_groups.is_empty() {
            self.comment(&format!("not chosen: {}", proposal.other_groups.join("; ")));
        }
        self.key("group_by", list(proposal.groups.iter().map(|group| group.path.clone())));
        for measure in &proposal.measures {
            self.table("[[aggregate.measure]]");
            self.comment(&measure.why);
            self.key("name", measure.name.as_str());
            self.key("function", measure.function.sql().to_lowercase());
            measure.field.iter().for_each(|field| self.key("field", field.as_str()));
        }
        if !proposal.other_measures.is_empty() {
            self.line("");
            self.comment(&format!("Not summed: {}.", proposal.other_measures.join("; ")));
        }
    }

    fn datasources(&mut self, proposal: &Proposal) {
        self.part("What Druid holds");
        self.table("[[datasource]]");
        self.comment("each event is a row; columns = [...] would leave some out, and a rollup would add rows up as they come");
        self.key("name", proposal.raw());
        self.key("topic", proposal.topic.as_str());
        self.key("time", proposal.time.path.as_str());
        if !proposal.groups.is_empty() {
            self.table("[[datasource]]");
            self.key("name", proposal.summed());
            self.key("topic", proposal.sink());
            self.key("time", "window_start");
        }
    }

    fn charts(&mut self, proposal: &Proposal) {
        self.part("What Superset shows");
        let drawn = proposal.drawn();
        let group = proposal.groups.first().map(|group| column_name(&group.path));
        let of_raw = metric(drawn.function, drawn.field.as_deref().map(column_name).as_deref());
        let of_sums = metric(Function::Sum, Some(&drawn.name));
        let (raw, summed, shares) = (proposal.title("events"), proposal.title("aggregate"), proposal.title("shares"));
        let over_time = |file: &mut Self, title: &str, datasource: &str, metric: &str, why: &str| {
            file.table("[[chart]]");
            file.key("title", title);
            file.comment(why);
            file.key("type", "area");
            file.key("datasource", datasource);
            file.line(&format!("metric = {metric}"));
            group.iter().for_each(|group| file.key("group_by", list([group.clone()])));
            file.comment(&format!("the length of a bucket{}", proposal.grain_note()));
            file.key("grain", proposal.grain().to_string());
            file.key("step", true);
            file.key("stack", true);
        };
        over_time(self, &raw, proposal.raw(), &of_raw, "from the events themselves; line, bar and table are there too");
        if group.is_some() {
            over_time(self, &summed, &proposal.summed(), &of_sums, "the same from the aggregate's rows: both should look alike");
        }
        self.table("[[chart]]");
        let (title, kind) = if group.is_some() { (&shares, "pie") } else { (&proposal.title("total"), "big-number") };
        self.key("title", title.as_str());
        self.key("type", kind);
        self.key("datasource", proposal.raw());
        self.line(&format!("metric = {of_raw}"));
        group.iter().for_each(|group| self.key("group_by", list([group.clone()])));
        self.table("[dashboard]");
        self.key("title", proposal.title("dashboard"));
        self.key("slug", proposal.slug());
        self.key("refresh", "10s");
        self.comment("widths add up to 12 at most in each row");
        self.line("rows = [");
        self.row(&[(&raw, 9), (title, 3)]);
        if group.is_some() {
            self.row(&[(&summed, 9)]);
        }
        self.line("]");
    }

    fn row(&mut self, cells: &[(&str, i64)]) {
        let cells = cells.iter().map(|(chart, width)| {
            Value::Table(
                [("chart".to_owned(), Value::from(*chart)), ("width".to_owned(), Value::from(*width))].into_iter().collect(),
            )
        });
        let line = format!("    {},", Value::Array(cells.collect()));
        self.line(&line);
    }
}

/// A connection table: the lines of what differs from the defaults.
struct Connection {
    name: &'static str,
    lines: Vec<String>,
}

impl Connection {
    fn new(name: &'static str) -> Self {
        Self { name, lines: Vec::new() }
    }

    fn text(&mut self, key: &str, value: &str, default: &str) {
        if value != default {
            self.lines.push(format!("{} = {}", quoted(key), Value::from(value)));
        }
    }

    fn option(&mut self, key: &str, value: Option<&String>) {
        value.iter().for_each(|value| self.text(key, value, ""));
    }

    fn path(&mut self, key: &str, path: Option<&Path>) {
        path.iter().for_each(|path| self.text(key, &path.to_string_lossy(), ""));
    }

    fn login(&mut self, password: Option<&config::Secret>, token: Option<&config::Secret>) {
        for (key, secret) in [("password", password), ("token", token)] {
            if secret.is_some() {
                self.secret(key, self.name);
            }
        }
    }

    fn properties(&mut self, properties: &BTreeMap<String, config::Property>) {
        for (name, value) in properties {
            let value = value.0.expose();
            if seen(name, value) == value {
                self.text(name, value, "");
            } else {
                self.secret(name, self.name);
            }
        }
    }

    fn handed(&mut self, name: &str, value: &config::Handed) {
        match value {
            config::Handed::Text(text) => self.text(name, text, ""),
            config::Handed::Env(from) => {
                self.lines.push(format!("{} = {{ env = {} }}", quoted(name), Value::from(from.env.as_str())));
            }
        }
    }

    /// A secret stays where it is: the file only says how to give it.
    fn secret(&mut self, key: &str, table: &str) {
        let variable = config::env_name(&format!("{table}.{key}"));
        let key = quoted(&format!("{key}_file"));
        match variable {
            Some(variable) => {
                self.lines.push(format!("# give the secret by the environment variable {variable},"));
                self.lines.push(format!("# or with {key} = \"PATH\""));
            }
            None => self.lines.push(format!("# give the secret with {key} = \"PATH\"")),
        }
    }
}

impl Proposal {
    /// What names are made of: the topic, of a length that leaves room for more words.
    fn stem(&self) -> &str {
        // A topic's name is ASCII.
        self.topic.get(..LONGEST).unwrap_or(&self.topic)
    }

    /// The topic for the aggregate's rows, named in the source's style.
    fn sink(&self) -> String {
        let topic = self.stem();
        if topic.chars().any(|c| c.is_ascii_uppercase()) {
            return format!("{topic}_AGGREGATE");
        }
        let separator = ['.', '-'].into_iter().find(|c| topic.contains(*c)).unwrap_or('_');
        format!("{topic}{separator}aggregate")
    }

    /// The datasource of the events: the topic's name, but Druid takes no dot in front.
    fn raw(&self) -> &str {
        self.stem().trim_start_matches('.')
    }

    fn summed(&self) -> String {
        self.sink().trim_start_matches('.').to_owned()
    }

    fn title(&self, what: &str) -> String {
        format!("{} {what}", self.stem())
    }

    fn slug(&self) -> String {
        let dashed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        self.title("dashboard").chars().map(dashed).collect()
    }

    /// The measure that the charts draw: a sum, if Druid has a column for one.
    fn drawn(&self) -> &Measure {
        let counted = self.measures.len() - 1;
        self.measures.iter().find(|measure| measure.drawable).unwrap_or(&self.measures[counted])
    }

    /// The window, or the least bucket above it that Superset knows.
    fn grain(&self) -> Millis {
        if self.window == Millis(10_000) { Millis(30_000) } else { self.window }
    }

    fn grain_note(&self) -> &'static str {
        if self.grain() == self.window { ": the window's" } else { ": Superset knows none of 10s" }
    }
}

/// A key as TOML wants it; the keys of this program need quotes only for their dots.
fn quoted(key: &str) -> String {
    if key.contains('.') { Value::from(key).to_string() } else { key.to_owned() }
}

/// A chart's metric, in the order in which one reads it.
fn metric(function: Function, field: Option<&str>) -> String {
    let function = Value::from(function.sql().to_lowercase());
    match field {
        Some(field) => format!("{{ function = {function}, field = {} }}", Value::from(field)),
        None => format!("{{ function = {function} }}"),
    }
}

fn list(items: impl IntoIterator<Item = String>) -> Value {
    Value::Array(items.into_iter().map(Value::from).collect())
}

fn others(what: &str, reasons: &[String]) -> String {
    if reasons.is_empty() { String::new() } else { format!("; {what}: {}", reasons.join("; ")) }
}
