//! What can be typed. Types for clap and nothing else.

mod help;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use self::help::{
    AGGREGATE, COMPLETIONS, CONFIG, DEMO, DOWN, DRUID_INGEST, EXAMPLES, INIT, REPLAY, RESTORE, STATUS, SUPERSET_BOOTSTRAP, UP,
    VERIFY,
};
use crate::aggregate::Start;
use crate::config::{Instant, Millis};
use crate::error::EXIT_CODES;

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
    /// How long one request to the schema registry, Druid or Superset may take; default: 10s
    #[arg(long, global = true, value_name = "DURATION", value_parser = some_time, help_heading = "Global options")]
    pub timeout: Option<Millis>,
    /// Say only warnings and errors on stderr: no progress, no notes
    #[arg(long, short = 'q', global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// How messages on stderr are written. With json each is one object in a line, with timestamp, level and message; the error that
    /// ends a command has hint and exit_code too. PIPELINE_LOG=debug shows more messages
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        env = "PIPELINE_LOG_FORMAT",
        help_heading = "Global options"
    )]
    pub log_format: Output,
}

fn some_time(text: &str) -> Result<Millis, String> {
    let time: Millis = text.parse()?;
    if time > Millis(0) { Ok(time) } else { Err("it must be longer than zero".into()) }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show it all on one page, with nothing installed: broker, registry, events and sums in this process
    Demo(Demo),
    /// Serve the dashboard as a live page, with the proof that it is right
    View(View),
    /// From a cluster to a dashboard that is known to be right: all of it, in one command
    Up(Up),
    /// Look at every server and at the paths between them, and say what is wrong and what to do
    Doctor(Doctor),
    /// Compare every cell: raw events, aggregate, Druid, and what each chart of Superset shows
    Verify(Verify),
    /// Every hop at a glance: offsets, lag, watermark, supervisors, charts
    Status(Status),
    /// Write made-up events to the source topic
    Produce(Produce),
    /// Sum events in event-time windows, exactly once, from the source topic into the sink topic
    Aggregate(Aggregate),
    /// List, show and send again the records that the aggregate could not use
    DeadLetters(DeadLetters),
    /// Have Druid ingest the topics: one Kafka supervisor a datasource
    #[command(after_help = DRUID_INGEST)]
    DruidIngest(Setup),
    /// Make the dashboard in Superset: database, datasets, charts, layout
    #[command(after_help = SUPERSET_BOOTSTRAP)]
    SupersetBootstrap(Setup),
    /// Put back what a setup command replaced
    Restore(Restore),
    /// Remove what the pipeline file made: dashboard, charts, datasets, database, supervisors
    Down(Down),
    /// Propose a pipeline file for a topic, from its schema and records
    Init(Init),
    /// Show the settings in effect, or the pipeline file's JSON schema
    Config(ConfigArgs),
    /// Write shell completions, or the man pages
    Completions(Completions),
}

/// `pipeline up`
#[derive(Debug, Args)]
#[command(after_long_help = UP)]
pub struct Up {
    /// Do not make events up: the source topics are written by others
    #[arg(long)]
    pub no_produce: bool,
    /// Events a second that are made up
    #[arg(long, default_value_t = 1.0, value_name = "N", conflicts_with = "no_produce")]
    pub rate: f64,
    /// First make up history, from this long ago, where the source topic has no events yet; 0s: none
    #[arg(long, default_value = "30m", value_name = "DURATION", conflicts_with = "no_produce")]
    pub backfill: Millis,
    /// Take over objects of the same name that this pipeline file did not make; they are backed up first
    #[arg(long)]
    pub adopt: bool,
    /// End once the dashboard is verified, with the result as exit code; what was set up stays
    #[arg(long)]
    pub once: bool,
    /// Serve Prometheus metrics at /metrics, and /healthz and /readyz, on this address, e.g. 127.0.0.1:9464
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics_listen: Option<SocketAddr>,
}

/// `pipeline doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// How the report is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Output,
}

/// `pipeline verify`
#[derive(Debug, Args)]
#[command(after_long_help = VERIFY)]
pub struct Verify {
    /// Read only what has come since this time (RFC 3339), or in this long, and judge no cell that began before; default: all
    /// that the topics hold
    #[arg(long, value_name = "TIME|DURATION")]
    pub since: Option<Since>,
    /// Count cells that differ by exactly their late records, too
    #[arg(long)]
    pub strict: bool,
    /// Go on: compare again and again, and tell how fresh each hop is
    #[arg(long)]
    pub watch: bool,
    /// With --watch: serve Prometheus metrics at /metrics on this address, e.g. 127.0.0.1:9465
    #[arg(long, value_name = "HOST:PORT", requires = "watch")]
    pub metrics_listen: Option<SocketAddr>,
    /// How the report is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Output,
}

/// `pipeline status`
#[derive(Debug, Args)]
#[command(after_help = STATUS)]
pub struct Status {
    /// Go on until Ctrl-C: on a terminal as a screen that is drawn anew each second
    #[arg(long)]
    pub watch: bool,
    /// How it is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Output,
}

/// `pipeline completions`
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS)]
#[group(required = true, multiple = false)]
pub struct Completions {
    /// Write this shell's completions to stdout
    #[arg(value_name = "SHELL")]
    pub shell: Option<clap_complete::Shell>,
    /// Write the man pages into this folder, one a command; it is made if need be
    #[arg(long, value_name = "FOLDER")]
    pub man: Option<PathBuf>,
}

/// What the commands have in common that set something up on a server.
#[derive(Debug, Clone, Copy, Args)]
pub struct Setup {
    /// Write nothing: show what would be created, changed (each setting, old -> new) and removed; exit code 2 if anything would
    #[arg(long)]
    pub dry_run: bool,
    /// Take over objects of the same name that this pipeline file did not make; they are backed up first
    #[arg(long)]
    pub adopt: bool,
    /// How the report is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Output,
}

/// `pipeline restore`
#[derive(Debug, Args)]
#[command(after_help = RESTORE)]
pub struct Restore {
    /// The backup; without it, those that there are, are listed
    pub file: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// `pipeline down`
#[derive(Debug, Args)]
#[command(after_help = DOWN)]
pub struct Down {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Also drop the rows that Druid holds
    #[arg(long)]
    pub data: bool,
    /// Also delete the topics that the file's commands write: sinks, dead letters, and sources with a [source.generate]
    #[arg(long)]
    pub topics: bool,
}

/// `pipeline init`
#[derive(Debug, Args)]
#[command(after_long_help = INIT)]
pub struct Init {
    /// The topic
    #[arg(long)]
    pub topic: String,
    /// The file to write; the schema is put beside it as .avsc; default: TOPIC.toml in this folder
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// The field that holds the event time, nested ones as dotted path; default: found by type, values and name
    #[arg(long, value_name = "FIELD")]
    pub time: Option<String>,
    /// Write the file without being asked
    #[arg(long)]
    pub yes: bool,
}

/// `pipeline config`
#[derive(Debug, Args)]
#[command(after_help = CONFIG)]
pub struct ConfigArgs {
    /// What to show
    #[command(subcommand)]
    pub what: ConfigWhat,
}

/// What of the configuration is shown.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigWhat {
    /// The settings in effect, each with its origin; secrets hidden
    Show {
        /// How they are written
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Output,
    },
    /// The JSON schema of pipeline files
    Schema,
}

/// `pipeline demo`
#[derive(Debug, Args)]
#[command(after_long_help = DEMO)]
pub struct Demo {
    /// Events a second
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    pub rate: f64,
    /// Where the page is served
    #[command(flatten)]
    pub page: Page,
    /// End by itself after this long, with the proof's result as exit code
    #[arg(long = "for", value_name = "DURATION")]
    pub length: Option<Millis>,
}

/// `pipeline view`
#[derive(Debug, Args)]
pub struct View {
    /// Where the page is served
    #[command(flatten)]
    pub page: Page,
    /// Read only what has come since this time (RFC 3339), or in this long, and judge no window that began before; default: all
    /// that the topics hold
    #[arg(long, value_name = "TIME|DURATION")]
    pub since: Option<Since>,
}

/// Where a page is served.
#[derive(Debug, Args)]
pub struct Page {
    /// The page's address; default: 127.0.0.1:8790, or any free port if that one is taken
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<SocketAddr>,
    /// Open the page in the browser
    #[arg(long)]
    pub open: bool,
}

/// A time, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// This time.
    Time(Instant),
    /// So long ago.
    Ago(Millis),
}

impl Since {
    /// The time in ms since 1970; how long ago it was, is reckoned from now.
    pub fn ms(self) -> i64 {
        match self {
            Self::Time(time) => time.0,
            Self::Ago(span) => chrono::Utc::now().timestamp_millis().saturating_sub(span.0),
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ago = text.parse().map(Self::Ago);
        ago.or_else(|_| text.parse().map(Self::Time)).map_err(|_| "write 2h or 2026-01-31T12:00:00Z".to_owned())
    }
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
    /// Partitions of the topic, if it is created; default: those of the pipeline file, or 1
    #[arg(long, value_name = "N")]
    pub partitions: Option<i32>,
}

/// What runs an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Engine {
    /// This process.
    #[default]
    Builtin,
    /// A Flink cluster, which gets it as SQL.
    Flink,
}

/// `pipeline aggregate`
#[derive(Debug, Args)]
#[command(after_long_help = AGGREGATE)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Aggregate {
    /// What runs it: this process, or the Flink cluster that [flink] names, where it goes on without this process
    #[arg(long, value_enum, default_value_t, value_name = "ENGINE")]
    pub engine: Engine,
    /// With --engine flink: write the SQL to stdout, secrets hidden, and do nothing else
    #[arg(long)]
    pub dry_run: bool,
    /// With --engine flink: go on from this savepoint, which a stopped job left behind
    #[arg(long, value_name = "PATH", conflicts_with = "start")]
    pub savepoint: Option<String>,
    /// With --engine flink: leave the job running once it has its first checkpoint, and end; its id is on stdout
    #[arg(long)]
    pub detach: bool,
    /// The aggregate to run, by its sink topic; needed if the file has several
    #[arg(long, value_name = "TOPIC")]
    pub sink: Option<String>,
    /// Where to begin: `committed` (where the last run came to; at first, the earliest record), `earliest`, `latest`,
    /// after=TIME (the earliest record, leaving out windows that end by TIME), or after=sink (TIME is the end of the last window in
    /// the sink: after Flink)
    #[arg(long, default_value = "committed", value_name = "WHERE")]
    pub start: Start,
    /// Empty the sink and do it all again from the earliest record; dead letters are not emptied, and are written again
    #[arg(long, conflicts_with = "start")]
    pub reset: bool,
    /// Share the source's partitions with other instances, each of another name; needs keyed_by_group = true in the pipeline
    /// file. Without it one instance reads them all, and a second start fences it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["start", "reset"], value_parser = NonEmptyStringValueParser::new())]
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

/// `pipeline dead-letters`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = REPLAY)]
pub struct DeadLetters {
    /// Whose dead letters: the aggregate's sink topic; needed if the file has several
    #[arg(long, value_name = "TOPIC")]
    pub sink: Option<String>,
    /// Only letters of this cause, for example unknown-schema
    #[arg(long, value_name = "CAUSE")]
    pub cause: Option<String>,
    /// Show the newest letters in full, decoded as far as they go; 1 unless told how many
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub show: Option<u16>,
    /// Send the records to the source topic again; without --cause all but `late` and `overflow`
    #[arg(long, conflicts_with = "show")]
    pub replay: bool,
    /// Send without being asked
    #[arg(long, requires = "replay")]
    pub yes: bool,
    /// How the list is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", conflicts_with_all = ["show", "replay"])]
    pub output: Output,
}

/// How something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
}
