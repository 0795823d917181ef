//! `pipeline status`: every hop at a glance, once or again and again.

use std::io::{IsTerminal, Stdout, Write};
use std::time::Duration;

use crate::cli::{Output, Status};
use crate::config::Config;
use crate::error::Result;
use crate::status::text::text;
use crate::status::{self, Watch, facts};

/// How often it is shown: on a terminal, where the screen is drawn anew, and elsewhere.
const SCREEN_INTERVAL: Duration = Duration::from_secs(1);
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The other screen of a terminal: no cursor, and lines that are too long are cut.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

pub(super) async fn run(config: &Config, args: &Status) -> Result<()> {
    if args.watch {
        return tokio::select! {
            () = watch(config, args.output) => Ok(()),
            () = super::stop_signal() => Ok(()),
        };
    }
    let status = status::look(config).await;
    match args.output {
        Output::Text => say!("{}", text(&status, has_colors()).trim_end()),
        Output::Json => say!("{:#}", serde_json::json!(status)),
    }
    status.failures().next().cloned().map_or(Ok(()), Err)
}

/// Shows it for as long as somebody reads it.
async fn watch(config: &Config, output: Output) {
    let watch = Watch::start(config);
    let screen = (output == Output::Text && std::io::stdout().is_terminal()).then(Screen::enter);
    if screen.is_none() {
        watch.complete().await;
    }
    let mut ticks = tokio::time::interval(if screen.is_some() { SCREEN_INTERVAL } else { LOG_INTERVAL });
    loop {
        ticks.tick().await;
        let latest = watch.latest();
        let written = match &screen {
            Some(screen) => screen.draw(&latest),
            None => print(&latest, output),
        };
        if written.is_err() {
            return;
        }
    }
}

fn print(status: &facts::Status, output: Output) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Text => writeln!(out, "{}", text(status, has_colors()))?,
        Output::Json => writeln!(out, "{}", serde_json::json!(status))?,
    }
    out.flush()
}

fn has_colors() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The terminal's other screen; what stood on the first one is back when it is dropped.
struct Screen(Stdout);

impl Screen {
    fn enter() -> Self {
        let mut out = std::io::stdout();
        // Nothing can be done if the terminal is gone; drawing finds that out.
        let _ = out.write_all(ENTER.as_bytes());
        Self(out)
    }

    /// Writes over what stands there, so that nothing flickers.
    fn draw(&self, status: &facts::Status) -> std::io::Result<()> {
        let lines = text(status, has_colors()).replace('\n', "\x1b[K\r\n");
        let mut out = self.0.lock();
        write!(out, "\x1b[H{lines}\x1b[K\r\nCtrl-C ends it.\x1b[K\x1b[J")?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.0.write_all(LEAVE.as_bytes()).and_then(|()| self.0.flush());
    }
}
