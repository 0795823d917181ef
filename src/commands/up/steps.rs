//! The list of steps that fills in. On a terminal what is under way stands at the foot, with a bar where it is known how much there
//! is to do; what has ended stays above, as a line. Elsewhere there are only the lines.

use std::cell::RefCell;
use std::fmt::Display;
use std::time::{Duration, Instant};

use console::style;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::super::screen;

/// How often what is under way is drawn anew.
const TICK: Duration = Duration::from_millis(100);
/// How wide a step's name is.
const NAME: usize = 9;

/// The steps of a run, in their order.
pub(super) struct Steps {
    begin: Instant,
    /// Those that are to come, with their place on the screen.
    to_come: RefCell<Vec<(&'static str, ProgressBar)>>,
    done: RefCell<Vec<&'static str>>,
}

/// A step that is under way; dropped before it has ended, it was stopped.
pub(super) struct Step<'a> {
    steps: &'a Steps,
    name: &'static str,
    from: Instant,
    bar: ProgressBar,
    has_ended: bool,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// It has begun, and will take its time.
    Begun,
    Done,
    Failed,
    /// It was not brought to its end.
    Stopped,
}

impl Steps {
    /// A list of these, none of which has begun.
    pub fn new(names: &[&'static str]) -> Self {
        let head = format!("{:8}  from     to s", "");
        if screen::bars().is_hidden() {
            note!("{head}");
        } else {
            note!("{}", style(head).dim().for_stderr());
        }
        let place = |name: &&'static str| {
            let bar = screen::bars().add(ProgressBar::new_spinner());
            bar.set_style(look(&format!("  {:15}   {{prefix:.dim}}", "")));
            bar.set_prefix(*name);
            bar.tick();
            (*name, bar)
        };
        Self { begin: Instant::now(), to_come: RefCell::new(names.iter().map(place).collect()), done: RefCell::default() }
    }

    /// The step of this name begins.
    pub fn begin(&self, name: &'static str) -> Step<'_> {
        let mut to_come = self.to_come.borrow_mut();
        let bar = match to_come.iter().position(|(of, _)| *of == name) {
            Some(place) => to_come.remove(place).1,
            None => screen::bars().add(ProgressBar::new_spinner()),
        };
        let step = Step { steps: self, name, from: Instant::now(), bar, has_ended: false };
        step.bar.set_prefix(name);
        step.bar.set_style(step.plain());
        tick(&step.bar);
        step
    }

    /// Since when the steps are under way.
    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// What was done, and what was not, for somebody who wants to know why that was all.
    pub fn left(&self) -> (String, String) {
        let left: Vec<&str> = self.to_come.borrow().iter().map(|(name, _)| *name).collect();
        (self.done.borrow().join(", "), left.join(", "))
    }

    /// Takes what is to come off the screen.
    pub fn clear(&self) {
        for (_, bar) in &*self.to_come.borrow() {
            remove(bar);
        }
    }

    /// The seconds of this time since the steps began.
    fn seconds(&self, at: Instant) -> f64 {
        (at - self.begin).as_secs_f64()
    }

    fn tell(&self, mark: Mark, from: Instant, name: &str, detail: &str) {
        let to = if mark == Mark::Begun { String::new() } else { format!("{:.1}", self.seconds(Instant::now())) };
        note!("{} {:>6.1} {to:>6}  {name:NAME$}  {detail}", mark.text(), self.seconds(from));
    }
}

impl Mark {
    /// On a terminal a sign, elsewhere a word that can be searched for.
    fn text(self) -> String {
        let on_terminal = !screen::bars().is_hidden();
        match self {
            Self::Done if on_terminal => style("✓").green().for_stderr().to_string(),
            Self::Failed if on_terminal => style("✗").red().for_stderr().to_string(),
            Self::Stopped if on_terminal => style("-").yellow().for_stderr().to_string(),
            Self::Begun => "begun  ".into(),
            Self::Done => "done   ".into(),
            Self::Failed => "failed ".into(),
            Self::Stopped => "stopped".into(),
        }
    }
}

impl Step<'_> {
    /// It will take its time: where nothing is drawn, say so.
    pub fn is_long(&self, why: &str) {
        self.message(why.to_owned());
        if self.bar.is_hidden() {
            self.steps.tell(Mark::Begun, self.from, self.name, why);
        }
    }

    /// What it is about.
    pub fn message(&self, message: String) {
        if self.bar.length().is_some() {
            self.bar.unset_length();
            self.bar.set_style(self.plain());
        }
        self.bar.set_message(message);
    }

    /// How much of all there is to do is done.
    pub fn progress(&self, done: u64, all: u64, what: impl Display) {
        let done = done.min(all);
        self.bar.set_message(format!("{done} of {all} {what}"));
        self.bar.set_position(done);
        if self.bar.length().is_none() {
            self.bar.set_length(all);
            let template = format!("{{spinner:.cyan}} {{span}}  {{prefix:{NAME}}}  {{bar:24.cyan/black.bright}}  {{wide_msg}}");
            self.bar.set_style(self.span(&template).progress_chars("━╸━"));
        }
        self.bar.set_length(all);
    }

    /// It has ended well.
    pub fn done(mut self, detail: &str) {
        self.steps.done.borrow_mut().push(self.name);
        self.end(Mark::Done, detail);
    }

    /// It has failed, with what it was about.
    pub fn failed(mut self) {
        let message = self.bar.message();
        self.end(Mark::Failed, &message);
    }

    /// What is drawn of it, for another thread.
    pub fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    fn end(&mut self, mark: Mark, detail: &str) {
        self.has_ended = true;
        remove(&self.bar);
        self.steps.tell(mark, self.from, self.name, detail);
    }

    /// Without a bar.
    fn plain(&self) -> ProgressStyle {
        self.span(&format!("{{spinner:.cyan}} {{span}}  {{prefix:{NAME}}}  {{wide_msg}}"))
    }

    /// A look that has {span}: when it began, and now.
    fn span(&self, template: &str) -> ProgressStyle {
        let (from, begin) = (self.steps.seconds(self.from), self.steps.begin);
        look(template).with_key("span", move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{from:>6.1} {:>6.1}", begin.elapsed().as_secs_f64());
        })
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            let message = self.bar.message();
            self.end(Mark::Stopped, &message);
        }
    }
}

/// A line at the foot of the terminal that says how it stands.
pub(super) fn foot() -> ProgressBar {
    let bar = screen::bars().add(ProgressBar::new_spinner());
    bar.set_style(look("{spinner:.cyan} {wide_msg}"));
    tick(&bar);
    bar
}

/// Takes a bar off the screen.
pub(super) fn remove(bar: &ProgressBar) {
    bar.finish_and_clear();
    screen::bars().remove(bar);
}

fn tick(bar: &ProgressBar) {
    if !bar.is_hidden() {
        bar.enable_steady_tick(TICK);
    }
}

/// A template that cannot be understood is no reason to stop: then it looks as the library has it.
fn look(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
