//! What can be typed. Types for clap and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::aggregate::Start;
use crate::config::{Instant, Millis};
use crate::error::EXIT_CODES;

/// The way from nothing to the dashboard.
const EXAMPLES: &str = "\
To see it, with nothing installed:
  pipeline demo

From a cluster to a dashboard that is known to be right, in one command:
  pipeline doctor                                is everything there?
  pipeline up                                    all of it, until Ctrl-C

The same step by step:
  pipeline produce --backfill 30m --count 1800   half an hour of made-up sales
  pipeline aggregate --until-caught-up           their sums per store and minute
  pipeline druid-ingest                          both topics into Druid
  pipeline superset-bootstrap                    the dashboard, and its address
  pipeline verify                                every cell compared with the raw events
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

/// What the help says of bringing all of it up.
const UP: &str = "\
The steps, each told with the seconds from which to which it took:
  servers    what `pipeline doctor` looks at; nothing is begun if something is wrong
  topics     schemas and topics that are missing
  history    made-up events, only where a source has [source.generate] and its topic never had any; then live ones
  aggregate  in this process, like `pipeline aggregate`: goes on from the last commit
  Druid      like `pipeline druid-ingest`, beside the two before: until there is a row for each record
  Superset   like `pipeline superset-bootstrap`
  verify     every cell of every chart compared with the raw events
Then the dashboard's address is on stdout, all goes on, and a line tells how it stands.

Ctrl-C ends it: what is read is committed. Topics, supervisors and dashboard stay: `pipeline up` goes on with them, `pipeline down` \
removes them. When a step fails, what was done stays, too, and the next run goes on from there.

An aggregate runs once: a second `up` or `aggregate` beside this one takes over, and this one ends with exit code 75.
  pipeline up                 the SALES case, or config/pipeline.toml
  pipeline up --no-produce    a topic that others write to
  pipeline up --once          ends when the dashboard is verified: 0 equal, 2 differs";

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

/// What the help says of comparing.
const VERIFY: &str = "\
A cell is a group in a window, or in a bucket of a chart. Compared are:
  Kafka     each row of a sink with its raw records, summed by other code than the aggregate's
  Druid     each datasource with its topic: rows counted, and what is measured added up, by window and group
  Superset  what each chart shows, by its own stored query, with its topic; where they differ, Druid is asked the same question,
            so that it is known where it was lost

Rows of windows that are closed must be there. Late records are known from the dead letters: a cell without them is explained, \
unless with --strict. What is under way is waited for: a cell differs once neither it nor its table came nearer for 20 s. Cells of \
which records are no longer in the topics are left out, and counted. Nothing is written.

Exit codes: 0 all cells equal, 2 some differ, 1 there is none to compare.
  pipeline verify                   once
  pipeline verify --since 2h        only what has come since then
  pipeline verify --watch           goes on, and measures how long events take to each place";

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

/// What the help says of the status.
const STATUS: &str = "\
All servers are asked at once; it takes 10 s at most. What cannot be asked is told in its place, and the rest is still shown.

  records  in the topic, counted; \u{2264} where there are too many (200,000)
  /s       offsets written a second
  lag      of an aggregate: offsets of the source after what it committed;
           of Druid: records after the offsets it tells every half minute
  open     windows from the first that is not closed to the newest event's
  dead     dead letters: `pipeline dead-letters` shows them
  segs     segments in use, those that tasks still fill among them
  job      caught up: nothing is left to read, so it may have ended
           reads: what waits is new, and a job commits every 5 s
           catches up: it commits, and is behind by more than 15 s
           stands still: nothing is committed of what waits

The exit code is that of the first hop, in the order of the pipeline, that could not be asked. What is not there yet is no failure. \
With --watch it is 0 when you end it.
  pipeline status --watch                  a screen; without a terminal a block each 10 s
  pipeline status --output json | jq '.aggregates[] | .name, .lag'
  pipeline status --watch --output json    one line each 10 s";

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

/// What the help says of completions.
const COMPLETIONS: &str = "\
Neither needs a pipeline file or a server.
  pipeline completions bash > ~/.local/share/bash-completion/completions/pipeline
  pipeline completions zsh > ~/.zfunc/_pipeline            a folder of your fpath
  pipeline completions fish > ~/.config/fish/completions/pipeline.fish
  pipeline completions --man ~/.local/share/man/man1       then: man pipeline, man pipeline-up";

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

/// What the help says of Druid.
const DRUID_INGEST: &str = "\
Each [[datasource]] gets a supervisor, its columns typed from the registry's newest schema of the topic, and its rules of retention. \
The command ends when Druid has a row for each record that was there, or says why it has not.
  pipeline druid-ingest --dry-run    what would change, setting by setting, and what that causes
  pipeline druid-ingest              does it; run again, it writes nothing
What it replaces is kept first: `pipeline restore`.";

/// What the help says of Superset.
const SUPERSET_BOOTSTRAP: &str = "\
Drift made by hand is put right, and charts that left the pipeline file are removed. What users set beside stays. Each chart's query \
is run at the end; the last line but one is the dashboard's address.
  pipeline superset-bootstrap --dry-run    what would change, setting by setting
  pipeline superset-bootstrap              does it; run again, it writes nothing
What it replaces or removes is kept first: `pipeline restore`.";

/// What the help says of backups.
const RESTORE: &str = "\
What is put back is listed first, and what it replaces is kept in turn. Backups are in $XDG_STATE_HOME/pipeline/NAME \
(~/.local/state/pipeline/NAME), readable by you only, without passwords. What somebody else has made in the same place since is not \
replaced.
  pipeline restore          lists the backups of this pipeline file
  pipeline restore FILE     puts one back";

/// What the help says of removing.
const DOWN: &str = "\
Only what carries the mark of this pipeline file's `name` goes, also what the file no longer has; the rest is named and left alone. \
All of it is listed first, and all but rows and topics is kept: `pipeline restore`.
  pipeline down                   dashboard, charts, datasets, connection, supervisors; rows and topics stay
  pipeline down --data --topics   these, too: nothing is left";

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

/// What the help says of proposing.
const INIT: &str = "\
The newest schema of subject TOPIC-value and the last records of each partition (2000 at most, for 10 s at most) are looked at. \
Proposed are the event time, fields to group by, sums and a count, a window, two Druid datasources, three charts and a dashboard. \
Each choice stands in the file with its reason and what else there was.

The proposal is shown, and written when you say so. Without a terminal it goes to stdout and nothing is written, unless with --yes:
  pipeline init --topic ORDERS > orders.toml              the proposal alone
  pipeline init --topic ORDERS --file orders.toml --yes   with the schema beside it, orders.avsc

The servers are those of --config, the environment and --set. Settings that differ from the defaults are written into the file, \
passwords never: for each the file names the environment variable. Files that are there are not overwritten.";

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

/// What the help says of the configuration.
const CONFIG: &str = "\
Flags win over environment variables, which win over the pipeline file, which wins over the defaults; `show` tells for each \
setting which it was.

For editors: write the schema to a file, and name it in the first line of the pipeline file:
  pipeline config schema > pipeline.schema.json
  #:schema pipeline.schema.json";

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

/// What the help says of the demonstration.
const DEMO: &str = "\
The first line printed is the page's address. It shows the pipeline file's charts, and the proof: every closed window recomputed \
from the raw events and compared with the aggregate.

Produce and aggregate are the same as against a real cluster. The broker is not: it is librdkafka's mock cluster, on a port of \
127.0.0.1, with the real protocol, so that kcat or any other client can look in. It keeps all in memory, about 5 MiB a partition, \
and is gone with the process; passwords, -X and kafka.properties do not reach it. It is good for a demonstration and for tests of the wiring; that every sum is there exactly once, \
also when processes die, is proven against real Kafka (see the README), not here.

Exit codes with --for: 0 all cells equal, 2 some differ, 1 none could be judged.";

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

/// What the help says of sending letters again.
const REPLAY: &str = "\
Without --show or --replay: how many letters there are by cause, with an example of each.

--replay sends the original keys and values to the source topic again, each letter once however often it is run: how far it came \
is committed with what it sent, and kept by Kafka for a week after (offsets.retention.minutes). Do it when the mistake is mended, for example when the missing schema is registered. `late` is \
left unless it is named with --cause, since a late record would be late again; `overflow` is left, since a sum that does not fit \
is no record. A record whose window has been closed meanwhile becomes a letter again, of cause `late`.

`pipeline aggregate --reset` reads the originals again by itself: do one or the other, not both.";

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
