//! What can be typed. Types for clap and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::aggregate::Start;
use crate::config::{Instant, Millis};
use crate::error::EXIT_CODES;

/// The way from nothing to the dashboard.
const EXAMPLES: &str = "\
From nothing to the dashboard:
  pipeline produce --backfill 30m --count 1800   half an hour of made-up sales
  pipeline aggregate --until-caught-up           their sums per store and minute
  pipeline druid-ingest                          both topics into Druid
  pipeline superset-bootstrap                    the dashboard, and its address
  pipeline produce & pipeline aggregate          and now live";

/// Avro events on Kafka to a live, proven dashboard.
///
/// A pipeline file says what flows: source topic, windowed aggregate, Druid datasources, Superset charts. Without --config it
/// is config/pipeline.toml, or the built-in SALES case: three stores, sales summed per store and minute.
#[derive(Debug, Parser)]
#[command(name = "pipeline", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"), max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Args)]
pub struct Global {
    /// The pipeline file; paths inside it are relative to its folder
    #[arg(long, global = true, value_name = "FILE", env = "PIPELINE_CONFIG", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Override a connection setting of the pipeline file, e.g. kafka.bootstrap_servers=host:9092; as environment variable:
    /// PIPELINE_KAFKA_BOOTSTRAP_SERVERS
    #[arg(long, global = true, value_name = "TABLE.KEY=VALUE", help_heading = "Global options")]
    pub set: Vec<String>,
    /// Set a librdkafka property; wins over everything else
    #[arg(short = 'X', global = true, value_name = "KEY=VALUE", help_heading = "Global options")]
    pub property: Vec<String>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write made-up events to the source topic
    Produce(Produce),
    /// Sum events in event-time windows, exactly once, from the source topic into the sink topic
    Aggregate(Aggregate),
    /// Have Druid ingest the topics: one Kafka supervisor a datasource
    DruidIngest,
    /// Make the dashboard in Superset: database, datasets, charts, layout
    SupersetBootstrap,
}

/// `pipeline produce`
#[derive(Debug, Args)]
pub struct Produce {
    /// The source to write to, by its topic; needed if the file has several
    #[arg(long, value_name = "TOPIC")]
    pub source: Option<String>,
    /// Events a second, over all keys
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    pub rate: f64,
    /// Stop after this many events, backfilled ones included
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// First write history: event times from this long ago until now, as fast as the broker takes them
    #[arg(long, value_name = "DURATION")]
    pub backfill: Option<Millis>,
    /// The first event's time (RFC 3339 or epoch ms); with --seed and --count every run writes the same bytes
    #[arg(long, value_name = "TIME", conflicts_with = "backfill")]
    pub from: Option<Instant>,
    /// Do not wait between events
    #[arg(long)]
    pub max_speed: bool,
    /// Start the random generator from this number
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Partitions of the topic, if it is created
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub partitions: i32,
}

/// `pipeline aggregate`
#[derive(Debug, Args)]
pub struct Aggregate {
    /// The aggregate to run, by its sink topic; needed if the file has several
    #[arg(long, value_name = "TOPIC")]
    pub sink: Option<String>,
    /// Where to begin: `committed` (where the last run came to; at first, the earliest record), `earliest`, `latest`, or
    /// after=TIME (the earliest record, leaving out windows that end by TIME)
    #[arg(long, default_value = "committed", value_name = "WHERE")]
    pub start: Start,
    /// Empty the sink and do it all again from the earliest record; dead letters are not emptied, and are written again
    #[arg(long, conflicts_with = "start")]
    pub reset: bool,
    /// Share the source's partitions with other instances, each of another name; needs keyed_by_group = true in the pipeline
    /// file. Without it one instance reads them all, and a second start fences it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["start", "reset"])]
    pub instance: Option<String>,
    /// Serve Prometheus metrics at /metrics, and /healthz and /readyz, on this address, e.g. 127.0.0.1:9464
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics_listen: Option<SocketAddr>,
    /// Read to where the topic ends now, write what the watermark closes, and end
    #[arg(long)]
    pub until_caught_up: bool,
    /// With --until-caught-up: also close the windows that the watermark leaves open
    #[arg(long, requires = "until_caught_up")]
    pub close_all: bool,
}
