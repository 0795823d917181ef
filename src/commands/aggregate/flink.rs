//! `pipeline aggregate --engine flink`

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use super::super::{messages, stop_signal};
use crate::aggregate::{Handover, Layout, Start, after_savepoint};
use crate::cli::Aggregate;
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::flink::{Cluster, Job, Look, Origin, State, job_name, script};
use crate::registry::Registry;

/// How long a job may take to its first checkpoint, beside the interval of checkpoints, before `--detach` gives up waiting.
const FIRST_CHECKPOINT: Duration = Duration::from_secs(60);
/// How often the job is looked at.
const PACE: Duration = Duration::from_secs(1);

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
        [("--detach", args.detach && args.until_caught_up)],
        "and --until-caught-up do not go together: one leaves the job, the other waits for its end",
        "choose one",
    )
}

pub(super) async fn run(config: &Config, args: &Aggregate) -> Result<()> {
    check_flags(args)?;
    let aggregate = config.aggregate(args.sink.as_deref())?;
    if args.dry_run {
        return show(config, aggregate, args);
    }
    let time = &config.source(Some(&aggregate.source))?.time;
    let schema = Registry::new(&config.registry)?.newest(&aggregate.source).await?.schema;
    let layout = Layout::new(aggregate, &schema, time)?;
    let plan = Plan { config, aggregate, args, schema: &schema, layout: &layout };
    // What Flink cannot do is told before anything is asked of it.
    plan.script(Origin::Unknown)?;
    let cluster = Cluster::new(config)?;
    let mut stop = pin!(stop_signal());
    if let Some(job) = Job::find(config, &cluster, &job_name(aggregate)).await? {
        if args.start != Start::Committed || args.savepoint.is_some() || args.until_caught_up {
            let what = format!("Flink runs {} already, as job {}", job_name(aggregate), job.id);
            return Err(Error::new(Kind::Usage, what)
                .hint("stop it first: `pipeline aggregate --engine flink` watches it, and stops it when you end it"));
        }
        note!("Flink runs {} already: watching {}", job_name(aggregate), job.page());
        return plan.attend(job, None, stop).await;
    }
    if !args.until_caught_up && config.flink.savepoints.is_none() && !cluster.has_savepoint_folder().await? {
        return Err(Error::new(Kind::Config, "Flink is not set to put savepoints anywhere, so the job could not be stopped well")
            .hint("write a folder that all of Flink reaches into [flink] savepoints, or execution.checkpointing.savepoint-dir into Flink's configuration"));
    }
    let (job, handover) = plan.begin(&cluster, stop.as_mut()).await?;
    plan.attend(job, handover, stop).await
}

/// The SQL on stdout.
fn show(config: &Config, aggregate: &config::Aggregate, args: &Aggregate) -> Result<()> {
    let source = config.source(Some(&aggregate.source))?;
    let layout = Layout::new(aggregate, &source.schema_text, &source.time)?;
    let plan = Plan { config, aggregate, args, schema: &source.schema_text, layout: &layout };
    let origin = args.savepoint.as_deref().map_or(Origin::Unknown, |path| Origin::Savepoint(path, None));
    say!("{}", plan.script(origin)?.shown().trim_end());
    note!(
        "The fields are those of {}; where the job begins is looked up in Kafka when it is submitted.",
        source.schema.display()
    );
    Ok(())
}

/// What is to be run.
struct Plan<'a> {
    config: &'a Config,
    aggregate: &'a config::Aggregate,
    args: &'a Aggregate,
    schema: &'a str,
    layout: &'a Layout,
}

type Stop<'s, S> = Pin<&'s mut S>;

impl Plan<'_> {
    fn script(&self, origin: Origin<'_>) -> Result<crate::flink::Script> {
        script(self.config, self.aggregate, self.schema, self.layout, origin, self.args.until_caught_up)
    }

    /// Takes the topic over, and submits the job. If that fails, all is as it was.
    async fn begin<S: Future<Output = ()>>(&self, cluster: &Cluster, stop: Stop<'_, S>) -> Result<(Job, Option<Handover>)> {
        if let Some(path) = &self.args.savepoint {
            let from_ms = after_savepoint(self.config, self.aggregate).await?;
            let script = self.script(Origin::Savepoint(path, from_ms))?;
            let job = Job::submit(self.config, cluster, &script).await?;
            self.tell_begun(&job);
            return Ok((job, None));
        }
        let handover = Handover::take(self.config, self.aggregate, self.layout, self.args.start).await?;
        let beginnings = handover.beginnings();
        let script = self.script(Origin::Offsets(&beginnings))?;
        let handover = handover.hand_over().await?;
        let mut submitting = pin!(Job::submit(self.config, cluster, &script));
        // Told to stop, it waits for the answer all the same: without the job's id it could not be stopped.
        let submitted = tokio::select! {
            submitted = &mut submitting => submitted,
            () = stop => {
                let submitted = submitting.await;
                if let Ok(job) = &submitted {
                    job.cancel().await?;
                }
                handover.give_back().await?;
                return Err(Error::new(Kind::Failed, "told to stop before the job ran: nothing was read"));
            }
        };
        match submitted {
            Ok(job) => {
                self.tell_begun(&job);
                Ok((job, Some(handover)))
            }
            Err(error) => {
                // The answer may have been lost, and the job not.
                if let Some(job) = Job::find(self.config, cluster, &job_name(self.aggregate)).await? {
                    job.cancel().await?;
                }
                handover.give_back().await?;
                Err(error)
            }
        }
    }

    fn tell_begun(&self, job: &Job) {
        let config::Aggregate { source, sink, window, lateness, .. } = self.aggregate;
        note!("{source} -> {sink}: windows of {window}, {lateness} late; Flink's job {}", job.page());
        note!(
            "Flink drops late records, and those whose time is too far ahead, instead of keeping dead letters; a record that cannot be \
             read ends the job."
        );
    }

    /// Watches the job to its end, or until it is told to stop. `handover`: it was submitted just now.
    async fn attend<S: Future<Output = ()>>(
        &self,
        mut job: Job,
        mut handover: Option<Handover>,
        stop: Stop<'_, S>,
    ) -> Result<()> {
        let ours = handover.is_some() || self.args.savepoint.is_some();
        let told = tokio::select! {
            told = self.watch(&mut job) => told,
            () = stop => Ok(Told::Stopped),
        };
        let told = match told {
            Ok(Told::Stopped) if ours && !job.has_run() && !job.is_up().await? => {
                Err(Error::new(Kind::Failed, "told to stop before the job ran: nothing was read"))
            }
            told => told,
        };
        messages::keep_progress();
        match told {
            Ok(Told::Ended(State::Canceled)) => {
                Err(Error::new(Kind::Failed, format!("Flink's job {} was cancelled by somebody", job.id))
                    .hint("what it read since its last checkpoint is in no row; go on with --start after=sink"))
            }
            Ok(Told::Ended(_)) if self.args.until_caught_up => {
                say!("caught up: all windows are closed, and their rows written");
                Ok(())
            }
            Ok(Told::Ended(_)) => {
                note!("Flink's job {} was stopped by somebody else", job.id);
                Ok(())
            }
            Ok(Told::Runs) => {
                say!("{}", job.id);
                note!(
                    "The job runs. `pipeline aggregate --engine flink` watches it, and stops it with a savepoint when you end it."
                );
                Ok(())
            }
            Ok(Told::Stopped) => self.stop(&job).await,
            Err(error) => {
                // One that has never run wrote nothing: it goes, and the topic is as it was.
                if ours && !job.has_run() {
                    job.cancel().await?;
                    if let Some(handover) = handover.take() {
                        handover.give_back().await?;
                    }
                }
                Err(error)
            }
        }
    }

    async fn stop(&self, job: &Job) -> Result<()> {
        note!("stopping Flink's job {} with a savepoint", job.id);
        let path = job.stop(self.config.flink.savepoints.as_deref()).await?;
        say!("{path}");
        note!("Go on in Flink:  pipeline aggregate --engine flink --savepoint {path}");
        note!("Go on here:      pipeline aggregate --start after=sink");
        Ok(())
    }

    async fn watch(&self, job: &mut Job) -> Result<Told> {
        let begun = Instant::now();
        let limit = FIRST_CHECKPOINT + self.config.flink.checkpoint_interval.to_std();
        let mut shown: Option<Instant> = None;
        loop {
            let look = job.look().await?;
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
