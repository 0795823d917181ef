//! One file a verb. Wiring only: read the config, make the clients, hand over.

#[macro_use]
mod messages;

mod aggregate;
mod completions;
mod config;
mod dead_letters;
mod demo;
mod doctor;
mod down;
mod druid_ingest;
mod init;
mod line;
mod produce;
mod restore;
mod screen;
mod status;
mod superset_bootstrap;
mod up;
mod verify;
mod view;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

pub use self::messages::{failure, is_live, is_quiet};
use crate::cli::{Cli, Command, Global};
use crate::config::Override;
use crate::error::{Error, Kind, Result};

/// Runs what was typed, to its end.
pub fn run(cli: Cli) -> Result<()> {
    messages::start(&cli.global)?;
    let mut config = match &cli.command {
        Command::Config(args) => return config::run(&cli.global, args),
        Command::Completions(args) => return completions::run(args),
        Command::Init(_) => crate::config::connections(cli.global.config.as_deref(), &overrides(&cli.global)?)?,
        _ => crate::config::load(cli.global.config.as_deref(), &overrides(&cli.global)?)?,
    };
    if let Some(timeout) = cli.global.timeout {
        config.set_timeout(timeout);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Failed, format!("cannot start the async runtime: {error}")))?;
    let done = runtime.block_on(async {
        match cli.command {
            Command::Produce(args) => produce::run(&config, &args).await,
            Command::Aggregate(args) => aggregate::run(&config, &args).await,
            Command::DeadLetters(args) => dead_letters::run(&config, &args).await,
            Command::Demo(args) => demo::run(&config, &args).await,
            Command::View(args) => view::run(&config, &args).await,
            Command::DruidIngest(args) => druid_ingest::run(&config, args).await,
            Command::SupersetBootstrap(args) => superset_bootstrap::run(&config, args).await,
            Command::Restore(args) => restore::run(&config, &args).await,
            Command::Down(args) => down::run(&config, &args).await,
            Command::Init(args) => init::run(&config, &args).await,
            Command::Up(args) => up::run(&config, &args).await,
            Command::Doctor(args) => doctor::run(&config, &args).await,
            Command::Verify(args) => verify::run(&config, &args).await,
            Command::Status(args) => status::run(&config, &args).await,
            Command::Config(args) => config::run(&cli.global, &args),
            Command::Completions(args) => completions::run(&args),
        }
    });
    runtime.shutdown_background();
    done
}

/// Prints what clap says: help on stdout with exit code 0, a mistake on stderr with 64 (clap's own 2 means "differs" here).
pub fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done if the terminal is gone.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(Kind::Usage as u8) } else { ExitCode::SUCCESS }
}

/// Returns when the process is asked to end: Ctrl-C or SIGTERM.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

/// Does on a thread of its own what blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::new(Kind::Failed, format!("a thread ended early: {error}")))?
}

/// What was given from outside the pipeline file, in the order in which it counts: the last wins.
fn overrides(global: &Global) -> Result<Vec<Override>> {
    let mut overrides: Vec<Override> =
        std::env::vars_os().filter_map(|(name, value)| Override::from_env(name.to_str()?, value.to_str()?)).collect();
    for text in &global.set {
        overrides.push(Override::from_flag(text)?);
    }
    for text in &global.property {
        overrides.push(Override::from_property(text)?);
    }
    Ok(overrides)
}

/// Asks before something is done; with nobody there to be asked, `--yes` has to be said. A no is an error: nothing was done.
fn confirm(what: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::new(Kind::Usage, format!("would {what}, and nobody is there to be asked")).hint("say --yes"));
    }
    // Nothing can be done if the terminal is gone; then there is no answer either.
    let _ = write!(std::io::stderr(), "{what}? [y/N] ");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Error::new(Kind::Failed, format!("cannot read the answer: {error}")))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(Error::new(Kind::Failed, "nothing was changed")) }
}
