//! `pipeline view`

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use super::messages;
use crate::cli::{Page, Since, View};
use crate::config::{Config, Instant};
use crate::error::{Error, Kind, Result};
use crate::view::{self, State, States, Verdict, Watcher};

/// Where the page is, if that port is free.
const PORT: u16 = 8790;

pub(super) async fn run(config: &Config, args: &View) -> Result<()> {
    let since_ms = args.since.map(Since::ms);
    let listener = listen(&args.page).await?;
    let watcher = Watcher::start(config, since_ms, false)?;
    announce(&listener, &args.page)?;
    note!("reading Kafka at {}; Ctrl-C ends it", config.kafka.bootstrap_servers);
    tokio::select! {
        error = view::serve(listener, watcher.states.clone()) => Err(error),
        error = watcher.ended() => Err(error),
        never = progress(watcher.states.clone()) => match never {},
        () = super::stop_signal() => Ok(()),
    }
}

/// Takes the port: before anything else, so that nothing is begun that nobody can see.
pub(super) async fn listen(page: &Page) -> Result<TcpListener> {
    let address = page.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    let taken = match TcpListener::bind(address).await {
        Ok(listener) => return Ok(listener),
        Err(error) if page.listen.is_some() => error,
        Err(_) => match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        },
    };
    Err(Error::new(Kind::Config, format!("cannot listen on {address} for the page: {taken}"))
        .hint("choose another address with --listen"))
}

/// Tells where the page is, and opens it if that is wanted.
pub(super) fn announce(listener: &TcpListener, page: &Page) -> Result<()> {
    let address = listener.local_addr().map_err(|error| Error::new(Kind::Failed, format!("the page's address: {error}")))?;
    let url = format!("http://{address}/");
    say!("{url}");
    if page.open
        && let Err(error) = open::that_detached(&url)
    {
        warning!("cannot open a browser ({error}): open {url} yourself");
    }
    Ok(())
}

/// Shows how it stands, again and again.
pub(super) async fn progress(states: States) -> Infallible {
    loop {
        tokio::time::sleep(messages::progress_interval()).await;
        let line = line(&states.borrow());
        messages::progress(&line);
    }
}

/// A line about how it stands.
pub(super) fn line(state: &State) -> String {
    let watermark = state.watermark.map_or("none yet".into(), |time| Instant(time).to_string());
    let mut line = format!("events {}  {:.1}/s  watermark {watermark}  {}", state.events, state.rate, proof(state));
    if let Some(reading) = state.reading {
        line = format!("reading {} of {}  {line}", reading.done, reading.all);
    }
    if let Some(trouble) = &state.trouble {
        line = format!("{line}  trouble: {trouble}");
    }
    line
}

/// The proof in words.
pub(super) fn proof(state: &State) -> String {
    let (equal, cells) = (state.equal, state.cells);
    match state.verdict {
        Verdict::Waiting => "no cell judged yet".into(),
        Verdict::Equal => format!("proof: {equal} of {cells} cells equal"),
        Verdict::Differs => format!("PROOF FAILED: {equal} of {cells} cells equal"),
    }
}
