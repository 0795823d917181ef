//! `pipeline aggregate --engine flink`

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::super::{messages, stop_signal};
use crate::aggregate::{Handover, Layout, Start, after_savepoint, leave_savepoint, was_with_flink};
use crate::cli::Aggregate;
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::flink::{Cluster, Gateway, Job, Look, Origin, Script, State, job_name, script};
use crate::registry::Registry;

/// How long a job may take to its first checkpoint, beside the interval of checkpoints, before `--detach` gives up waiting.
const FIRST_CHECKPOINT: Duration = Duration::from_secs(60);
/// How often the job is looked at.
const PACE: Duration = Duration::from_secs(1);
/// How long a job that has run may be out of sight: a JobManager is started anew in less.
const AWAY: Duration = Duration::from_secs(60);
/// How long a job is looked for whose submission was not answered.
const LOST: Duration = Duration::from_secs(15);

/// What ends the watching.
enum Told {
    /// The job, in this state.
    Ended(State),
    /// Whoever runs this command.
    Stopped,
    /// It runs, and that is all that was asked for.
    Runs,
}

/// An error where a flag is Flink's, and it is not Flink that runs the aggregate.
pub(super) fn refuse_flags(args: &Aggregate) -> Result<()> {
    let flags = [("--dry-run", args.dry_run), ("--savepoint", args.savepoint.is_some()), ("--detach", args.detach)];
    refuse(flags, "is for a job of Flink's", "add --engine flink")
}

fn refuse<const N: usize>(flags: [(&str, bool); N], why: &str, hint: &str) -> Result<()> {
    match flags.into_iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Error::new(Kind::Usage, format!("{flag} {why}")).hint(hint)),
        None => Ok(()),
    }
}

fn check_flags(args: &Aggregate) -> Result<()> {
    refuse(
        [("--instance", args.instance.is_some())],
        "is not for Flink: it divides the work by itself",
        "set [flink] parallelism in the pipeline file",
    )?;
    refuse(
        [("--reset", args.reset)],
        "is not for Flink: emptying the sink is this program's own",
        "run `pipeline aggregate --reset --until-caught-up` first, and then --engine flink",
    )?;
    refuse(
        [("--metrics-listen", args.metrics_listen.is_some())],
        "is not for Flink: this process only looks on",
        "Flink has metrics reporters of its own (`metrics.reporter` in its configuration)",
    )?;
    refuse(
        [("--until-caught-up", args.until_caught_up && !args.close_all)],
        "is not for Flink: a job of it that ends closes all windows",
        "add --close-all, or leave --until-caught-up away",
    )?;
    refuse(
        [("--savepoint", args.savepoint.is_some() && args.until_caught_up)],
        "and --until-caught-up do not go together: a job that goes on from a savepoint keeps the end that it was given, which is none",
        "leave one of them away",
    )?;
    refuse(
        [("--detach", args.detach && args.until_caught_up)],
        "and --until-caught-up do not go together: one leaves the job, the other waits for its end",
        "choose one",
    )
}

/// An error if a job of Flink's still fills the sink: it is no member of the group, so nothing would fence it.
pub(super) async fn refuse_beside(config: &Config, aggregate: &config::Aggregate) -> Result<()> {
    if !was_with_flink(config, aggregate).await? {
        return Ok(());
    }
    let cluster = Cluster::new(config)?;
    match Job::find(config, &cluster, &job_name(config, aggregate)).await {
        Ok(None) => Ok(()),
        Ok(Some(job)) => {
            let what = format!("Flink's job {} still writes to topic {}: rows would be there twice", job.id, aggregate.sink);
            Err(Error::new(Kind::DataLoss, what)
                .hint("stop it first: `pipeline aggregate --engine flink` watches it, and stops it when you end it"))
        }
        Err(error) => {
            tracing::warn!("whether a job of Flink's still writes to topic {} is not known: {error}", aggregate.sink);
            Ok(())
        }
    }
}

pub(super) async fn run(config: &Config, args: &Aggregate) -> Result<()> {
    check_flags(args)?;
    let aggregate = config.aggregate(args.sink.as_deref())?;
    if args.dry_run {
        return show(config, aggregate, args);
    }
    let mut stop = Stop::listen();
    let cluster = Cluster::new(config)?;
    let desk = Desk { config, aggregate, args, cluster, name: job_name(config, aggregate) };
    if let Some(job) = desk.find().await? {
        if args.start != Start::Committed || args.savepoint.is_some() || args.until_caught_up {
            return Err(Error::new(Kind::Usage, format!("Flink runs {} already, as job {}", desk.name, job.id))
                .hint("stop it first: `pipeline aggregate --engine flink` watches it, and stops it when you end it"));
        }
        note!("Flink runs {} already: watching {}", desk.name, job.page());
        return desk.attend(job, None, &mut stop).await;
    }
    let (job, begun) = desk.begin(&mut stop).await?;
    desk.attend(job, Some(begun), &mut stop).await
}

/// The SQL on stdout.
fn show(config: &Config, aggregate: &config::Aggregate, args: &Aggregate) -> Result<()> {
    let source = config.source(Some(&aggregate.source))?;
    let layout = Layout::new(aggregate, &source.schema_text, &source.time)?;
    let origin = args.savepoint.as_deref().map_or(Origin::Unknown, |path| Origin::Savepoint(path, None));
    let script = script(config, aggregate, &source.schema_text, &layout, origin, args.until_caught_up)?;
    say!("{}", script.shown().trim_end());
    note!(
        "The fields are those of {}. Where the job begins is looked up in Kafka when it is submitted: this text alone begins at the earliest \
         record, and leaves no window out.",
        source.schema.display()
    );
    Ok(())
}

/// Whether somebody has told this process to end: it is remembered from the beginning.
struct Stop(watch::Receiver<bool>);

impl Stop {
    fn listen() -> Self {
        let (told, listener) = watch::channel(false);
        tokio::spawn(async move {
            stop_signal().await;
            told.send_replace(true);
            // While this is kept, a listener may ask again.
            told.closed().await;
        });
        Self(listener)
    }

    async fn told(&mut self) {
        if self.0.wait_for(|told| *told).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A job that was begun just now.
struct Begun {
    /// What is to be given back if it never runs; none where it goes on from a savepoint.
    handover: Option<Handover>,
    /// What it aggregates, and how.
    definition: String,
}

/// Where the job of an aggregate is seen to.
struct Desk<'a> {
    config: &'a Config,
    aggregate: &'a config::Aggregate,
    args: &'a Aggregate,
    cluster: Cluster,
    name: String,
}

impl Desk<'_> {
    async fn find(&self) -> Result<Option<Job>> {
        Job::find(self.config, &self.cluster, &self.name).await
    }

    /// Takes the topic over, and submits the job. If Flink refuses it, all is as it was.
    async fn begin(&self, stop: &mut Stop) -> Result<(Job, Begun)> {
        let Self { config, aggregate, args, .. } = self;
        let time = &config.source(Some(&aggregate.source))?.time;
        let schema = Registry::new(&config.registry)?.newest(&aggregate.source).await?.schema;
        let layout = Layout::new(aggregate, &schema, time)?;
        let definition = layout.identity();
        let script = |origin: Origin<'_>| script(config, aggregate, &schema, &layout, origin, args.until_caught_up);
        // What Flink cannot do is told, and that it is there known, before the topic is taken from whoever has it.
        script(Origin::Unknown)?;
        self.need_savepoint_folder().await?;
        let gateway = Gateway::new(config)?;
        let session = gateway.open().await?;
        let (script, handover) = if let Some(path) = &args.savepoint {
            let from_ms = after_savepoint(config, aggregate, path, definition.clone()).await?;
            (script(Origin::Savepoint(path, from_ms))?, None)
        } else {
            let handover = Handover::take(config, aggregate, &layout, args.start).await?;
            let script = script(Origin::Offsets(&handover.beginnings(), handover.from_ms()))?;
            (script, Some(handover.hand_over().await?))
        };
        match self.submit(&gateway, &session, &script, stop).await {
            Ok(job) => {
                self.tell_begun(&job);
                Ok((job, Begun { handover, definition }))
            }
            Err(error) => Err(self.not_submitted(handover, error).await),
        }
    }

    async fn need_savepoint_folder(&self) -> Result<()> {
        if self.args.until_caught_up || self.config.flink.savepoints.is_some() || self.cluster.has_savepoint_folder().await? {
            return Ok(());
        }
        Err(Error::new(Kind::Config, "Flink is not set to put savepoints anywhere, so the job could not be stopped well").hint(
            "write a folder that all of Flink reaches into [flink] savepoints, or execution.checkpointing.savepoint-dir into Flink's configuration",
        ))
    }

    /// Told to stop, it waits for the answer all the same: without the job's id it could not be stopped.
    async fn submit(&self, gateway: &Gateway, session: &str, script: &Script, stop: &mut Stop) -> Result<Job> {
        let mut submitting = pin!(Job::submit(self.config, &self.cluster, gateway, session, script));
        tokio::select! {
            submitted = &mut submitting => submitted,
            () = stop.told() => {
                note!("stopping, once Flink has told the job's id");
                submitting.await
            }
        }
    }

    /// Gives the topic back, unless a job may come of what was not answered; the error, with what that means.
    async fn not_submitted(&self, handover: Option<Handover>, error: Error) -> Error {
        let was_answered = !matches!(error.kind, Kind::Unreachable | Kind::Watchdog);
        if was_answered {
            give_back(handover).await;
            return error;
        }
        let begun = Instant::now();
        while begun.elapsed() < LOST {
            if let Ok(Some(job)) = self.find().await {
                undo(&job, handover).await;
                return error;
            }
            tokio::time::sleep(PACE).await;
        }
        let message = format!("{}; whether Flink has job {} is not known, so the topic stays with it", error.message, self.name);
        Error { message, ..error }.hint(
            "look at Flink's page. If the job is there, `pipeline aggregate --engine flink` watches it; if it is not, begin with \
             --start after=sink, or --start earliest if the sink is empty",
        )
    }

    fn tell_begun(&self, job: &Job) {
        let config::Aggregate { source, sink, window, lateness, .. } = self.aggregate;
        note!("{source} -> {sink}: windows of {window}, {lateness} late; Flink's job {}", job.page());
        note!(
            "Flink drops late records, and those whose time is too far ahead, instead of keeping dead letters; a record that cannot be \
             read ends the job."
        );
    }

    /// Watches the job to its end, or until it is told to stop. `begun`: it was submitted just now.
    async fn attend(&self, mut job: Job, begun: Option<Begun>, stop: &mut Stop) -> Result<()> {
        let told = tokio::select! {
            told = self.watch(&mut job) => told,
            () = stop.told() => Ok(Told::Stopped),
        };
        messages::keep_progress();
        let definition = begun.as_ref().map(|begun| begun.definition.clone());
        // One that was begun here and has never run wrote nothing: it goes, and the topic is as it was.
        if let Some(begun) = begun
            && !job.has_run()
        {
            match told {
                Ok(Told::Stopped) if !job.is_up().await? => {
                    undo(&job, begun.handover).await;
                    say!("stopped before the job ran: nothing was read");
                    return Ok(());
                }
                Err(error) => {
                    undo(&job, begun.handover).await;
                    return Err(error);
                }
                _ => {}
            }
        }
        match told {
            Ok(Told::Stopped) => self.stop(&job, definition).await,
            Ok(told) => self.tell_end(&job, &told),
            Err(error) if job.is_alive() => {
                let message = format!("{}; job {} goes on, and the same command watches it again", error.message, job.id);
                Err(Error { message, ..error })
            }
            Err(error) => Err(error),
        }
    }

    fn tell_end(&self, job: &Job, told: &Told) -> Result<()> {
        match told {
            Told::Ended(State::Canceled) => {
                return Err(Error::new(Kind::Failed, format!("Flink's job {} was cancelled by somebody", job.id)).hint(
                    "what it read since its last checkpoint is in no row: go on from that checkpoint, which its page names \
                     (--engine flink --savepoint PATH), or here with --start after=sink",
                ));
            }
            Told::Ended(_) if self.args.until_caught_up => say!("caught up: all windows are closed, and their rows written"),
            Told::Ended(_) | Told::Stopped => note!("Flink's job {} was stopped by somebody else", job.id),
            Told::Runs => {
                say!("{}", job.id);
                note!(
                    "The job runs. `pipeline aggregate --engine flink` watches it, and stops it with a savepoint when you end it."
                );
            }
        }
        Ok(())
    }

    async fn stop(&self, job: &Job, definition: Option<String>) -> Result<()> {
        note!("stopping Flink's job {} with a savepoint; told a second time, this process does not wait for it", job.id);
        let path = tokio::select! {
            path = job.stop(self.config.flink.savepoints.as_deref()) => path?,
            () = stop_signal() => {
                return Err(Error::new(Kind::Failed, format!("told to end while Flink's job {} stops", job.id))
                    .hint(format!("its page tells how that goes, and names the savepoint: {}", job.page())));
            }
        };
        say!("{path}");
        let sink = self.args.sink.as_ref().map_or(String::new(), |sink| format!(" --sink {sink}"));
        note!("Go on in Flink:  pipeline aggregate{sink} --engine flink --savepoint '{path}'");
        note!("Go on here:      pipeline aggregate{sink} --start after=sink");
        job.ended().await?;
        if let Err(error) = leave_savepoint(self.config, self.aggregate, &path, definition).await {
            tracing::warn!(
                "which savepoint is the last could not be written down, so an earlier one would be taken, too: {error}"
            );
        }
        Ok(())
    }

    async fn watch(&self, job: &mut Job) -> Result<Told> {
        let begun = Instant::now();
        let limit = FIRST_CHECKPOINT + self.config.flink.checkpoint_interval.to_std();
        let mut shown: Option<Instant> = None;
        let mut seen = Instant::now();
        loop {
            let look = match job.look().await {
                Ok(look) => look,
                Err(error) if error.kind == Kind::Unreachable && job.has_run() && job.is_alive() && seen.elapsed() < AWAY => {
                    messages::progress(&error.message);
                    tokio::time::sleep(PACE).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            seen = Instant::now();
            if shown.is_none_or(|at| at.elapsed() >= messages::progress_interval()) {
                shown = Some(Instant::now());
                messages::progress(&line(&look));
            }
            if look.state != State::Alive {
                return Ok(Told::Ended(look.state));
            }
            if self.args.detach && look.checkpoints > 0 {
                return Ok(Told::Runs);
            }
            if self.args.detach && begun.elapsed() >= limit {
                return Err(job.reason().await?);
            }
            tokio::time::sleep(PACE).await;
        }
    }
}

/// Ends a job that has not run, and gives its topic back. What fails of that is told beside the error that there is.
async fn undo(job: &Job, handover: Option<Handover>) {
    let ended = async {
        job.cancel().await?;
        job.has_checkpoint().await
    };
    match ended.await {
        Ok(false) => give_back(handover).await,
        Ok(true) => tracing::warn!(
            "Flink's job {} had a checkpoint before it ended: what it wrote stays, and so does the topic with Flink (--start after=sink)",
            job.id
        ),
        Err(error) => tracing::warn!("Flink's job {} may still run, so its topic stays with Flink: {error}", job.id),
    }
}

async fn give_back(handover: Option<Handover>) {
    let Some(handover) = handover else { return };
    if let Err(error) = handover.give_back().await {
        tracing::warn!("the topic stays with Flink, which has no job (--start after=sink goes on here): {error}");
    }
}

/// How a job is, in a line.
fn line(look: &Look) -> String {
    let (running, total) = look.tasks;
    let restarts = if look.restarts > 0 { format!("  restarts {}", look.restarts) } else { String::new() };
    let progress = look.progress;
    format!(
        "{}  tasks {running} of {total}{restarts}  checkpoints {}  records {}  rows {}  late {}",
        look.word, look.checkpoints, progress.records, progress.rows, progress.late
    )
}
