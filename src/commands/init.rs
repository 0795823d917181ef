//! `pipeline init`: looks at a topic, and proposes a pipeline file for it.

mod field;
mod proposal;
mod sample;
mod text;
mod time;

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use self::sample::Sample;
use crate::avro::{FieldKind, Outlined, Plan, Scalar, outline, wire};
use crate::cli::Init;
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Cluster, last_records};
use crate::registry::Registry;

/// How many records are looked at: of each partition, and of all together.
const EACH: i64 = 2_000;
const MOST: i64 = 20_000;
/// How long looking may take.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn run(config: &Config, args: &Init) -> Result<()> {
    let files = Files::of(args);
    let terminal = std::io::stdin().is_terminal();
    if args.yes || terminal {
        files.are_new()?;
    }
    let registry = Registry::new(&config.registry)?;
    let schema = registry.newest(&args.topic).await?.schema;
    let fields = outline(&schema)
        .map_err(|error| Error::new(Kind::Data, format!("the newest schema of topic {}: {error}", args.topic)))?;
    let looking = Looking {
        kafka: config.kafka.clone(),
        registry,
        runtime: Handle::current(),
        topic: args.topic.clone(),
        schema: schema.clone(),
        fields,
    };
    let (fields, sample) = tokio::task::spawn_blocking(move || looking.run())
        .await
        .map_err(|error| Error::new(Kind::Failed, format!("a thread ended early: {error}")))??;
    let proposal = proposal::propose(&args.topic, &fields, &sample, args.time.as_deref())?;
    let text = text::write(&proposal, &files.schema_name(), config);
    let proposed = config::check_text(&files.file, &text, &schema)
        .map_err(|error| error.while_doing("the proposal would not be accepted"))?;
    say!("{}", text.trim_end());
    let what = format!("write this to {}, and the schema to {}", files.file.display(), files.schema.display());
    if !args.yes && !terminal {
        note!("nothing was written: --yes would {what}");
        return Ok(());
    }
    super::confirm(&what, args.yes)?;
    files.write(&text, &schema)?;
    let next = if proposed.aggregates.is_empty() { "druid-ingest" } else { "aggregate --until-caught-up" };
    note!("next: pipeline --config {} {next}", files.file.display());
    Ok(())
}

/// The pipeline file and the schema beside it.
struct Files {
    file: PathBuf,
    schema: PathBuf,
}

impl Files {
    fn of(args: &Init) -> Self {
        let file = args.file.clone().unwrap_or_else(|| format!("{}.toml", args.topic).into());
        // Not `with_extension`: a topic's name may have dots.
        let mut schema = file.clone().into_os_string().to_string_lossy().into_owned();
        schema.truncate(schema.strip_suffix(".toml").unwrap_or(&schema).len());
        Self { schema: format!("{schema}.avsc").into(), file }
    }

    /// As the pipeline file names it, which is in the same folder.
    fn schema_name(&self) -> String {
        self.schema.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn are_new(&self) -> Result<()> {
        match [&self.file, &self.schema].into_iter().find(|file| file.exists()) {
            Some(file) => Err(Error::new(Kind::Failed, format!("{} is there already, and is not overwritten", file.display()))
                .hint("choose another with --file PATH")),
            None => Ok(()),
        }
    }

    fn write(&self, text: &str, schema: &str) -> Result<()> {
        create(&self.schema, &format!("{}\n", schema.trim_end()))?;
        if let Err(error) = create(&self.file, text) {
            // It was made a moment ago, and alone it is of no use.
            let _ = std::fs::remove_file(&self.schema);
            return Err(error);
        }
        note!("wrote {} and {}", self.file.display(), self.schema.display());
        Ok(())
    }
}

fn create(file: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .map_err(|error| Error::new(Kind::Failed, format!("cannot write {}: {error}", file.display())))
}

/// Reads a sample of a topic. Everything in it blocks.
struct Looking {
    kafka: config::Kafka,
    registry: Registry,
    runtime: Handle,
    topic: String,
    /// The topic's newest schema, and what it has.
    schema: String,
    fields: Vec<Outlined>,
}

impl Looking {
    /// The fields that hold single values, and what was seen in them.
    fn run(mut self) -> Result<(Vec<Outlined>, Sample)> {
        self.fields.retain(|field| field.kind.is_some_and(|kind| kind != FieldKind::Null));
        let ends = Cluster::new(&self.kafka, "read_committed")?.ends(&self.topic)?;
        let mut sample = Sample::of(self.fields.len());
        if ends.values().any(|ends| ends.low < ends.high) {
            let each = (MOST / i64::try_from(ends.len()).unwrap_or(MOST)).clamp(1, EACH);
            let (begin, mut plans) = (Instant::now(), HashMap::new());
            last_records(&self.kafka, &self.topic, &ends, each, LIMIT, |value| {
                if self.add(value, &mut sample, &mut plans, begin).is_none() {
                    sample.unread += 1;
                }
            })?;
        }
        Ok((self.fields, sample))
    }

    /// Takes a record's value; `None`: it cannot be read.
    fn add(&self, value: &[u8], sample: &mut Sample, plans: &mut HashMap<u32, Option<Plan>>, begin: Instant) -> Option<()> {
        let (id, datum) = wire::split(value).ok()?;
        let plan = plans.entry(id).or_insert_with(|| if begin.elapsed() < LIMIT { self.plan(id) } else { None }).as_ref()?;
        let mut values = vec![Scalar::Null; self.fields.len()];
        plan.decode(datum, &mut values).ok()?;
        sample.add(&values);
        Some(())
    }

    fn plan(&self, id: u32) -> Option<Plan> {
        let writer = self.runtime.block_on(self.registry.by_id(id)).ok()??;
        let paths: Vec<&str> = self.fields.iter().map(|field| field.path.as_str()).collect();
        Plan::resolve(&writer.schema, &self.schema, &paths).ok()
    }
}

#[cfg(test)]
mod tests;
