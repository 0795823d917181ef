//! An aggregate of the pipeline file as Flink SQL. Pure.
//!
//! ```text
//! SET ...                                   UTC, the job's name, checkpoints, the savepoint
//! CREATE TEMPORARY TABLE `source` ...       the wanted fields, the watermark
//! CREATE TEMPORARY TABLE `sink` ...         the columns that `aggregate::Layout` says
//! INSERT INTO `sink` SELECT ... TUMBLE ...  the job
//! ```
//!
//! Every name passes [`name`], every text [`literal`]. What is [shown](Script::shown) has no secrets.
//!
//! The decoder is given a reader's schema of the wanted fields, so that enums, nested records and defaults are read as Avro has it,
//! and as we do. Columns of the table are what Flink makes of that schema; it compares the two.

use serde_json::Value as Json;

use super::secrets::Secrets;
use crate::aggregate::{Beginning, Input, Layout};
use crate::avro::{Content, FieldKind, PlanError, Projected, Projection, project};
use crate::config::{self, Aggregate, Config, Function, Late, Millis, Poison, Property, WINDOW_FIELDS, column_name};
use crate::error::{Error, Kind, Result};

/// How long Kafka keeps a transaction open whose job is gone, ms: readers of committed rows wait so long. More than a checkpoint and a
/// restart may take; a broker allows 15 minutes (`transaction.max.timeout.ms`).
const TRANSACTION_TIMEOUT_MS: &str = "600000";
/// How often a checkpoint may be, ms: a transaction lives from one to the next.
const SHORTEST_INTERVAL_MS: i64 = 100;
const LONGEST_INTERVAL_MS: i64 = 300_000;
/// How soon Flink's source tells that Kafka does not answer, ms; Java's clients say 60,000.
const ANSWER_TIMEOUT_MS: &str = "15000";
/// The longest time that Flink's SQL can write.
const LONGEST_DAYS: i64 = 999;
const DAY_MS: i64 = 86_400_000;
/// Columns that are the table's own. No field of an Avro record is called so.
const ARRIVED: &str = "$arrived";
const TIME: &str = "$time";
/// What TUMBLE adds to a table.
const ADDED: [&str; 3] = [WINDOW_FIELDS[0], WINDOW_FIELDS[1], "window_time"];

/// Where a job begins.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// In each partition at an offset; records of before this time, ms, are left out.
    Offsets(&'a [Beginning], Option<i64>),
    /// At a savepoint (its path); records of windows that end by this time, ms, are left out.
    Savepoint(&'a str, Option<i64>),
    /// It is not looked up: nothing was asked of Kafka.
    Unknown,
}

/// The statements of a job, in their order.
pub struct Script(Vec<Statement>);

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

enum Statement {
    Set(String, String),
    Table { head: String, options: Vec<(String, String)> },
    Insert(String),
}

impl Script {
    /// What is sent.
    pub fn statements(&self) -> Vec<String> {
        self.0.iter().map(|statement| statement.write(|_, value| value.to_owned())).collect()
    }

    /// What may be seen of it: secrets are `***`.
    pub fn shown(&self) -> String {
        self.0.iter().map(|statement| format!("{};\n", statement.write(config::seen))).collect::<Vec<_>>().join("\n")
    }
}

impl Statement {
    fn write(&self, value: impl Fn(&str, &str) -> String) -> String {
        match self {
            Self::Set(key, text) => format!("SET {} = {}", literal(key), literal(&value(key, text))),
            Self::Table { head, options } => {
                let options = options.iter().map(|(key, text)| format!("  {} = {}", literal(key), literal(&value(key, text))));
                format!("{head} WITH (\n{}\n)", options.collect::<Vec<_>>().join(",\n"))
            }
            Self::Insert(text) => text.clone(),
        }
    }
}

/// A name, quoted.
pub fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

/// A text, quoted.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What the job of an aggregate is called: a cluster may have those of several pipeline files.
pub fn job_name(config: &Config, aggregate: &Aggregate) -> String {
    format!("pipeline-{}-{}", config.name, aggregate.sink)
}

/// The script of an aggregate over a source whose newest schema (JSON) is this. `bounded`: it reads to where the topic ends now.
///
/// # Errors
/// Flink cannot do what the pipeline file says: the key and the remedy are named.
pub fn script(
    config: &Config,
    aggregate: &Aggregate,
    schema: &str,
    layout: &Layout,
    origin: Origin<'_>,
    bounded: bool,
) -> Result<Script> {
    check(aggregate)?;
    check_interval(config, aggregate)?;
    let projection = project(schema, &layout.wanted).map_err(|error| unfit(aggregate, &error))?;
    let places = &projection.paths;
    check_fields(aggregate, &projection, &layout.wanted[0])?;
    let time = millis(&path(&places[0]), &config.source(Some(&aggregate.source))?.time, schema)?;
    let mut statements: Vec<Statement> =
        settings(config, aggregate, origin).into_iter().map(|(key, value)| Statement::Set(key.into(), value)).collect();
    statements.push(source_table(config, aggregate, &projection, &time, origin, bounded)?);
    statements.push(sink_table(config, aggregate, layout)?);
    statements.push(insert(aggregate, layout, places, &time, origin));
    Ok(Script(statements))
}

/// The secrets of a config that Flink is handed.
pub fn secrets(config: &Config) -> Secrets {
    let flink = &config.flink;
    let properties = flink.kafka_properties.iter().chain(&flink.registry_properties);
    let addresses = [config.kafka_for_flink(), config.registry_for_flink()];
    let values = properties.map(|(name, Property(value))| (name.as_str(), value.expose()));
    Secrets::of(values.chain(addresses.map(|address| ("url", address))))
}

fn refuse(aggregate: &Aggregate, what: &str, remedy: &str) -> Error {
    Error::new(Kind::Config, format!("aggregate `{}` cannot run on Flink: {what}", aggregate.sink)).hint(remedy)
}

fn check(aggregate: &Aggregate) -> Result<()> {
    if aggregate.late == Late::Delta {
        return Err(refuse(
            aggregate,
            "late = \"delta\": Flink drops late records",
            "write late = \"drop\", or leave --engine flink away",
        ));
    }
    if aggregate.poison == Poison::Fail {
        let what = "poison = \"fail\": Flink does not tell records apart whose time is too far ahead, it leaves them out";
        return Err(refuse(aggregate, what, "write poison = \"skip\", or leave --engine flink away"));
    }
    let times = [
        ("window", aggregate.window),
        ("offset", aggregate.offset),
        ("lateness", aggregate.lateness),
        ("max_future", aggregate.max_future),
    ];
    match times.into_iter().find(|(_, time)| time.0 / DAY_MS > LONGEST_DAYS) {
        Some((key, time)) => Err(refuse(
            aggregate,
            &format!("{key} = \"{time}\" is more than {LONGEST_DAYS} days, the most that Flink's SQL can write"),
            "make it shorter, or leave --engine flink away",
        )),
        None => Ok(()),
    }
}

/// Without checkpoints no row is ever seen; a transaction that outlives its time is aborted by the broker.
fn check_interval(config: &Config, aggregate: &Aggregate) -> Result<()> {
    let interval = config.flink.checkpoint_interval;
    if (SHORTEST_INTERVAL_MS..=LONGEST_INTERVAL_MS).contains(&interval.0) {
        return Ok(());
    }
    let what = format!("[flink] checkpoint_interval = \"{interval}\" is not between 100ms and 5m");
    Err(refuse(aggregate, &what, "rows are seen once a checkpoint has ended; 10s is what it is without the key"))
}

fn unfit(aggregate: &Aggregate, error: &PlanError) -> Error {
    refuse(
        aggregate,
        &format!("{error}, of which Flink makes no column"),
        "leave the field's measure out, or leave --engine flink away",
    )
}

fn check_fields(aggregate: &Aggregate, projection: &Projection, time: &str) -> Result<()> {
    if let Some(field) = projection.fields.iter().find(|field| ADDED.contains(&field.name.as_str())) {
        let what = format!("field `{}` of topic {} is called like a column that Flink adds", field.name, aggregate.source);
        return Err(refuse(aggregate, &what, "leave --engine flink away"));
    }
    if is_nullable(&projection.fields, &projection.paths[0]) {
        let what = format!("time = \"{time}\": the field may be null, and Flink ends a job at the first record where it is");
        return Err(refuse(aggregate, &what, "make the field plain in the schema, or leave --engine flink away"));
    }
    Ok(())
}

/// Whether a field, or a record on the way to it, may be null.
fn is_nullable(fields: &[Projected], path: &[String]) -> bool {
    let Some((head, rest)) = path.split_first() else { return false };
    let found = fields.iter().find(|field| field.name == *head);
    found.is_some_and(|field| {
        let inside = if let Content::Record(fields) = &field.content { is_nullable(fields, rest) } else { false };
        field.nullable || inside
    })
}

/// A field, as an expression.
fn path(names: &[String]) -> String {
    names.iter().map(|part| name(part)).collect::<Vec<_>>().join(".")
}

/// The event time in ms, as an expression.
fn millis(field: &str, time: &str, schema: &str) -> Result<String> {
    let plan = crate::avro::Plan::compile(schema, &[time]).map_err(|error| Error::new(Kind::Data, error.to_string()))?;
    Ok(match plan.kind(0) {
        // Rounded down, before 1970 too.
        FieldKind::TimestampMicros => format!("({field} - MOD(MOD({field}, 1000) + 1000, 1000)) / 1000"),
        _ => field.to_owned(),
    })
}

/// A span of time, as an expression.
fn interval(span: Millis) -> String {
    let (days, rest) = (span.0 / DAY_MS, span.0 % DAY_MS);
    let (hours, minutes, seconds, ms) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60, rest % 1_000);
    format!("INTERVAL '{days} {hours:02}:{minutes:02}:{seconds:02}.{ms:03}' DAY(3) TO SECOND(3)")
}

fn settings(config: &Config, aggregate: &Aggregate, origin: Origin<'_>) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        // Windows are written as local time.
        ("table.local-time-zone", "UTC".to_owned()),
        ("execution.runtime-mode", "streaming".into()),
        ("execution.checkpointing.mode", "EXACTLY_ONCE".into()),
        ("execution.checkpointing.interval", format!("{} ms", config.flink.checkpoint_interval.0)),
        // Of a job that somebody cancels, its last checkpoint is what can be gone on from.
        ("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION".into()),
        ("pipeline.name", job_name(config, aggregate)),
    ];
    if let Some(parallelism) = config.flink.parallelism {
        settings.push(("parallelism.default", parallelism.to_string()));
    }
    if let Origin::Savepoint(path, _) = origin {
        settings.push(("execution.state-recovery.path", path.into()));
    }
    settings
}

/// Options of a table; what is set again replaces what was there.
#[derive(Default)]
struct Options(Vec<(String, String)>);

impl Options {
    fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(before, _)| *before == key) {
            Some(found) => found.1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// The pipeline file's properties win.
    fn kafka(&mut self, config: &Config) {
        for (name, Property(value)) in &config.flink.kafka_properties {
            self.set(format!("properties.{name}"), value.expose());
        }
    }

    /// The format `avro-confluent` in a role: none, or `key.` or `value.`.
    fn avro(&mut self, config: &Config, role: &str) {
        self.set(format!("{role}format"), "avro-confluent");
        self.set(format!("{role}avro-confluent.url"), config.registry_for_flink());
        for (name, Property(value)) in &config.flink.registry_properties {
            self.set(format!("{role}avro-confluent.{name}"), value.expose());
        }
    }
}

fn source_table(
    config: &Config,
    aggregate: &Aggregate,
    projection: &Projection,
    time: &str,
    origin: Origin<'_>,
    bounded: bool,
) -> Result<Statement> {
    let mut columns = Vec::new();
    for field in &projection.fields {
        columns.push(format!("{} {}", name(&field.name), column_type(aggregate, field)?));
    }
    let (at, arrived) = (name(TIME), name(ARRIVED));
    columns.push(format!("{arrived} TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL"));
    columns.push(format!("{at} AS TO_TIMESTAMP_LTZ({time}, 3)"));
    // A time that is too far ahead must not move the watermark, or everybody's windows close.
    let (ahead, lateness) = (interval(aggregate.max_future), interval(aggregate.lateness));
    columns.push(format!("WATERMARK FOR {at} AS CASE WHEN {at} <= {arrived} + {ahead} THEN {at} - {lateness} END"));
    let mut options = Options::default();
    options.set("connector", "kafka");
    options.set("topic", &aggregate.source);
    options.set("properties.bootstrap.servers", config.kafka_for_flink());
    options.set("properties.group.id", format!("pipeline-{}", aggregate.sink));
    options.set("properties.isolation.level", "read_committed");
    options.set("properties.default.api.timeout.ms", ANSWER_TIMEOUT_MS);
    options.set("properties.request.timeout.ms", ANSWER_TIMEOUT_MS);
    options.kafka(config);
    match origin {
        Origin::Offsets(beginnings, _) => {
            let offset = |begin: &Beginning| format!("partition:{},offset:{}", begin.partition, begin.offset);
            options.set("scan.startup.mode", "specific-offsets");
            options.set("scan.startup.specific-offsets", beginnings.iter().map(offset).collect::<Vec<_>>().join(";"));
        }
        Origin::Savepoint(..) | Origin::Unknown => options.set("scan.startup.mode", "earliest-offset"),
    }
    if bounded {
        options.set("scan.bounded.mode", "latest-offset");
    }
    // After every record, not five times a second: what is late must not depend on how fast it is read.
    options.set("scan.watermark.emit.strategy", "on-event");
    options.set("scan.watermark.idle-timeout", format!("{} ms", aggregate.idle_timeout.0));
    options.avro(config, "");
    options.set("avro-confluent.schema", projection.schema.to_string());
    let head = format!("CREATE TEMPORARY TABLE {} (\n  {}\n)", name("source"), columns.join(",\n  "));
    Ok(Statement::Table { head, options: options.0 })
}

/// What Flink makes of a field of the reader's schema.
fn column_type(aggregate: &Aggregate, field: &Projected) -> Result<String> {
    let kind = match &field.content {
        Content::Record(fields) => {
            let mut inner = Vec::new();
            for field in fields {
                inner.push(format!("{} {}", name(&field.name), column_type(aggregate, field)?));
            }
            format!("ROW<{}>", inner.join(", "))
        }
        Content::Leaf(kind) => leaf_type(*kind).ok_or_else(|| {
            let what = format!("field `{}` of topic {} is {kind}, of which Flink makes no column", field.name, aggregate.source);
            refuse(aggregate, &what, "leave the field's measure out, or leave --engine flink away")
        })?,
    };
    Ok(if field.nullable { kind } else { format!("{kind} NOT NULL") })
}

fn leaf_type(kind: FieldKind) -> Option<String> {
    use FieldKind::{
        Bool, Bytes, Date, Decimal, Double, Enum, Float, Int, LocalTimestampMicros, LocalTimestampMillis, LocalTimestampNanos,
        Long, Str, TimeMicros, TimeMillis, TimestampMicros, TimestampMillis, TimestampNanos, Uuid,
    };
    Some(match kind {
        Bool => "BOOLEAN".into(),
        Int | Date | TimeMillis => "INT".into(),
        Long | TimeMicros | TimestampMillis | TimestampMicros | TimestampNanos | LocalTimestampMillis | LocalTimestampMicros
        | LocalTimestampNanos => "BIGINT".into(),
        Float => "FLOAT".into(),
        Double => "DOUBLE".into(),
        Str | Uuid | Enum => "STRING".into(),
        Bytes => "BYTES".into(),
        Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        _ => return None,
    })
}

fn sink_table(config: &Config, aggregate: &Aggregate, layout: &Layout) -> Result<Statement> {
    let mut columns = Vec::new();
    for (column, kind, nullable) in fields(&layout.value_schema)? {
        columns.push(format!("{} {kind}{}", name(&column), if nullable { "" } else { " NOT NULL" }));
    }
    let keys: Vec<String> = aggregate.key_fields().iter().map(|field| column_name(field)).collect();
    let key_may_be_null = fields(&layout.key_schema)?.iter().any(|(.., nullable)| *nullable);
    let mut options = Options::default();
    // The rows are the same. A primary key may not be null, so where ours may, they are appended without one.
    if key_may_be_null {
        options.set("connector", "kafka");
        options.set("key.fields", keys.join(";"));
        options.set("value.fields-include", "ALL");
    } else {
        let keys: Vec<String> = keys.iter().map(|key| name(key)).collect();
        columns.push(format!("PRIMARY KEY ({}) NOT ENFORCED", keys.join(", ")));
        options.set("connector", "upsert-kafka");
    }
    options.set("topic", &aggregate.sink);
    options.set("properties.bootstrap.servers", config.kafka_for_flink());
    options.set("properties.transaction.timeout.ms", TRANSACTION_TIMEOUT_MS);
    options.kafka(config);
    options.set("sink.delivery-guarantee", "exactly-once");
    options.set("sink.transactional-id-prefix", format!("pipeline-{}/flink", aggregate.sink));
    options.avro(config, "key.");
    options.avro(config, "value.");
    let head = format!("CREATE TEMPORARY TABLE {} (\n  {}\n)", name("sink"), columns.join(",\n  "));
    Ok(Statement::Table { head, options: options.0 })
}

/// The fields of one of the sink's schemas: name, SQL type, whether it may be null.
fn fields(schema: &str) -> Result<Vec<(String, String, bool)>> {
    let strange = || Error::new(Kind::Failed, format!("the sink's schema has a type that is none of SQL: {schema}"));
    let schema: Json = serde_json::from_str(schema).map_err(|_| strange())?;
    let column = |field: &Json| {
        let kind = &field["type"];
        let (inner, nullable) = kind.get(1).map_or((kind, false), |inner| (inner, true));
        let number = |key: &str| inner[key].as_u64();
        let sql = match inner["logicalType"].as_str().or(inner.as_str())? {
            "string" => "STRING".into(),
            "int" => "INT".into(),
            "long" => "BIGINT".into(),
            "boolean" => "BOOLEAN".into(),
            "double" => "DOUBLE".into(),
            "timestamp-millis" => "TIMESTAMP(3)".into(),
            "decimal" => format!("DECIMAL({}, {})", number("precision")?, number("scale")?),
            _ => return None,
        };
        Some((field["name"].as_str()?.to_owned(), sql, nullable))
    };
    let columns = schema["fields"].as_array().into_iter().flatten();
    columns.map(|field| column(field).ok_or_else(strange)).collect()
}

fn insert(aggregate: &Aggregate, layout: &Layout, paths: &[Vec<String>], time: &str, origin: Origin<'_>) -> Statement {
    let groups = paths[1..=aggregate.group_by.len()].iter().map(|field| path(field));
    let keys: Vec<String> = groups.chain(WINDOW_FIELDS.map(name)).collect();
    let measures =
        aggregate.measures.iter().zip(&layout.inputs).map(|(measure, input)| function(measure.function, *input, paths));
    let columns: Vec<String> = keys.iter().cloned().chain(measures).collect();
    let mut tumble = vec![format!("TABLE {}", name("source")), format!("DESCRIPTOR({})", name(TIME)), interval(aggregate.window)];
    if aggregate.offset > Millis(0) {
        tumble.push(interval(aggregate.offset));
    }
    let mut conditions = vec![format!("{} <= {} + {}", name(TIME), name(ARRIVED), interval(aggregate.max_future))];
    conditions.extend(not_closed(time, origin));
    Statement::Insert(format!(
        "INSERT INTO {}\nSELECT {}\nFROM TABLE(TUMBLE({}))\nWHERE {}\nGROUP BY {}",
        name("sink"),
        columns.join(", "),
        tumble.join(", "),
        conditions.join(" AND "),
        keys.join(", ")
    ))
}

/// A measure, of the type that the sink has for it.
fn function(function: Function, input: Input, paths: &[Vec<String>]) -> String {
    let (field, as_double) = match input {
        Input::Record => return format!("{}(*)", function.sql()),
        Input::Presence { field } => (field, false),
        // The mean of whole numbers would be a whole number.
        Input::Exact { field, .. } => (field, function == Function::Avg),
        Input::Float { field } => (field, true),
    };
    let field = path(&paths[field]);
    if as_double { format!("{}(CAST({field} AS DOUBLE))", function.sql()) } else { format!("{}({field})", function.sql()) }
}

/// The condition that a record's window is not closed, unless none is.
fn not_closed(time: &str, origin: Origin<'_>) -> Option<String> {
    match origin {
        Origin::Offsets(_, from_ms) | Origin::Savepoint(_, from_ms) => from_ms.map(|from_ms| format!("{time} >= {from_ms}")),
        Origin::Unknown => None,
    }
}

#[cfg(test)]
mod tests;
