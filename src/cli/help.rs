//! What `--help` says beyond the flags.

/// The way from nothing to the dashboard.
pub const EXAMPLES: &str = "\
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

/// What the help says of bringing all of it up.
pub const UP: &str = "\
The steps, each told with the seconds from which to which it took:
  servers    what `pipeline doctor` looks at; nothing is begun if something is wrong that the steps below do not put right
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

/// What the help says of comparing.
pub const VERIFY: &str = "\
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

/// What the help says of the status.
pub const STATUS: &str = "\
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

/// What the help says of completions.
pub const COMPLETIONS: &str = "\
Neither needs a pipeline file or a server.
  pipeline completions bash > ~/.local/share/bash-completion/completions/pipeline
  pipeline completions zsh > ~/.zfunc/_pipeline            a folder of your fpath
  pipeline completions fish > ~/.config/fish/completions/pipeline.fish
  pipeline completions --man ~/.local/share/man/man1       then: man pipeline, man pipeline-up";

/// What the help says of Druid.
pub const DRUID_INGEST: &str = "\
Each [[datasource]] gets a supervisor, its columns typed from the registry's newest schema of the topic, and its rules of retention. \
The command ends when Druid has a row for each record that was there, or says why it has not.
  pipeline druid-ingest --dry-run    what would change, setting by setting, and what that causes
  pipeline druid-ingest              does it; run again, it writes nothing
What it replaces is kept first: `pipeline restore`.";

/// What the help says of Superset.
pub const SUPERSET_BOOTSTRAP: &str = "\
Drift made by hand is put right, and charts that left the pipeline file are removed. What users set beside stays. Each chart's query \
is run at the end; the last line but one is the dashboard's address.
  pipeline superset-bootstrap --dry-run    what would change, setting by setting
  pipeline superset-bootstrap              does it; run again, it writes nothing
What it replaces or removes is kept first: `pipeline restore`.";

/// What the help says of backups.
pub const RESTORE: &str = "\
What is put back is listed first, and what it replaces is kept in turn. Backups are in $XDG_STATE_HOME/pipeline/NAME \
(~/.local/state/pipeline/NAME), readable by you only, without passwords. What somebody else has made in the same place since is not \
replaced.
  pipeline restore          lists the backups of this pipeline file
  pipeline restore FILE     puts one back";

/// What the help says of removing.
pub const DOWN: &str = "\
Only what carries the mark of this pipeline file's `name` goes, also what the file no longer has; the rest is named and left alone. \
All of it is listed first, and all but rows and topics is kept: `pipeline restore`.
  pipeline down                   dashboard, charts, datasets, connection, supervisors; rows and topics stay
  pipeline down --data --topics   these, too: nothing is left";

/// What the help says of proposing.
pub const INIT: &str = "\
The newest schema of subject TOPIC-value and the last records of each partition (2000 at most, for 10 s at most) are looked at. \
Proposed are the event time, fields to group by, sums and a count, a window, two Druid datasources, three charts and a dashboard. \
Each choice stands in the file with its reason and what else there was.

The proposal is shown, and written when you say so. Without a terminal it goes to stdout and nothing is written, unless with --yes:
  pipeline init --topic ORDERS > orders.toml              the proposal alone
  pipeline init --topic ORDERS --file orders.toml --yes   with the schema beside it, orders.avsc

The servers are those of --config, the environment and --set. Settings that differ from the defaults are written into the file, \
passwords never: for each the file names the environment variable. Files that are there are not overwritten.";

/// What the help says of the configuration.
pub const CONFIG: &str = "\
Flags win over environment variables, which win over the pipeline file, which wins over the defaults; `show` tells for each \
setting which it was.

For editors: write the schema to a file, and name it in the first line of the pipeline file:
  pipeline config schema > pipeline.schema.json
  #:schema pipeline.schema.json";

/// What the help says of the demonstration.
pub const DEMO: &str = "\
The first line printed is the page's address. It shows the pipeline file's charts, and the proof: every closed window recomputed \
from the raw events and compared with the aggregate.

Produce and aggregate are the same as against a real cluster. The broker is not: it is librdkafka's mock cluster, on a port of \
127.0.0.1, with the real protocol, so that kcat or any other client can look in. It keeps all in memory, about 5 MiB a partition, \
and is gone with the process; passwords, -X and kafka.properties do not reach it. It is good for a demonstration and for tests of the wiring; that every sum is there exactly once, \
also when processes die, is proven against real Kafka (see the README), not here.

Exit codes with --for: 0 all cells equal, 2 some differ, 1 none could be judged.";

/// What the help says of sending letters again.
pub const REPLAY: &str = "\
Without --show or --replay: how many letters there are by cause, with an example of each.

--replay sends the original keys and values to the source topic again, each letter once however often it is run: how far it came \
is committed with what it sent, and kept by Kafka for a week after (offsets.retention.minutes). Do it when the mistake is mended, for example when the missing schema is registered. `late` is \
left unless it is named with --cause, since a late record would be late again; `overflow` is left, since a sum that does not fit \
is no record. A record whose window has been closed meanwhile becomes a letter again, of cause `late`.

`pipeline aggregate --reset` reads the originals again by itself: do one or the other, not both.";

/// What the help says of where an aggregate runs.
pub const AGGREGATE: &str = "\
It runs in this process until Ctrl-C, and the next start goes on where it was left. A second start takes over.

On Flink (--engine flink), for more than one machine's worth of events or very long windows: the same pipeline file, as SQL for the \
SQL Gateway that [flink] names. A job of the same name that runs there already is watched, not started twice. Ctrl-C stops the job \
with a savepoint, whose path is on stdout; --detach leaves the job running, and the same command without it watches it again.
  pipeline aggregate --engine flink --dry-run           the SQL; no server is asked
  pipeline aggregate --engine flink                     goes on where this program came to
  pipeline aggregate --engine flink --savepoint PATH    goes on where Flink was stopped
  pipeline aggregate --start after=sink                 comes back, once the job is stopped: goes on behind the last window in the sink
So no row is lost or written twice. Once Flink has a topic, a plain start here is refused (74); so is one beside a job that runs, and \
any savepoint but the last.

Flink drops late records and those whose time is too far ahead, where this program keeps them as dead letters; a record that cannot \
be read ends its job; sums that do not fit wrap; the last windows of a stream that has stopped stay open. What it cannot do at all is \
refused (78): late = \"delta\", poison = \"fail\", a time that may be null, a field of several types. --instance, --reset and \
--metrics-listen are not for Flink; --until-caught-up goes with --close-all.";
