//! A status as a person reads it: one grid, a section for each kind of hop. Pure.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::facts::{Aggregate, Chart, Datasource, Hop, Job, Size, Source, Status, Told};
use crate::config::Instant;
use crate::error::{Error, Kind};

/// Longer names are cut.
const NAME_MAX: usize = 36;
/// Notes are wrapped at this column.
const NOTES_END: usize = 88;
/// The part of a row limit above which it is time to raise it.
const NEARLY: f64 = 0.8;
/// Columns beside the name: these are numbers, the others text.
const NUMBERS: usize = 4;

/// A color of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paint {
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Paint {
    /// Its number in the terminal's own words (SGR).
    fn code(self) -> Option<u8> {
        Some(match self {
            Self::Plain => return None,
            Self::Bold => 1,
            Self::Dim => 2,
            Self::Good => 32,
            Self::Warn => 33,
            Self::Bad => 31,
        })
    }
}

/// A text and its color.
#[derive(Debug, Clone)]
struct Cell(String, Paint);

impl Cell {
    fn plain(text: impl Into<String>) -> Self {
        Self(text.into(), Paint::Plain)
    }
}

/// The cells of a line, and what is to be said below it.
type Shown = (Vec<Cell>, Vec<Cell>);

/// A line of the grid, and what is to be said below it.
struct Row {
    name: Cell,
    cells: Vec<Cell>,
    notes: Vec<Cell>,
}

impl Row {
    fn head(name: &str, cells: &[&str]) -> Self {
        let head = |text: &str| Cell(text.to_owned(), Paint::Dim);
        Self { name: Cell(name.into(), Paint::Bold), cells: cells.iter().map(|text| head(text)).collect(), notes: Vec::new() }
    }
}

impl Row {
    /// What is said beside the name, since there is nothing else to say and room enough.
    fn beside(&self, names: usize) -> Option<&Cell> {
        match self.notes.as_slice() {
            [only] if self.cells.is_empty() && names + 2 + length(&only.0) <= NOTES_END => Some(only),
            _ => None,
        }
    }
}

/// The status as text, with colors or without.
pub fn text(status: &Status, colors: bool) -> String {
    let mut page = Page { now: status.at, said: BTreeSet::new(), sections: Vec::new() };
    page.section(Row::head("SOURCE", &["records", "/s", "parts", "", "newest event"]), &status.sources, source);
    let heads = ["rows", "lag", "open", "dead", "watermark", "job"];
    page.section(Row::head("AGGREGATE", &heads), &status.aggregates, aggregate);
    let heads = ["rows", "lag", "tasks", "segs", "newest row", "supervisor"];
    page.section(Row::head("DRUID", &heads), &status.datasources, datasource);
    page.section(Row::head("SUPERSET", &["rows", "", "", "", "newest bucket"]), &status.charts, chart);
    let title = [Cell(status.pipeline.clone(), Paint::Bold), Cell(format!("  {}", Instant(status.at)), Paint::Dim)];
    let mut text = String::new();
    title.iter().for_each(|cell| paint(&mut text, cell, 0, colors));
    text.push('\n');
    page.write(&mut text, colors);
    if let Some(dashboard) = &status.dashboard {
        let _ = writeln!(text, "\n{dashboard}");
    }
    text
}

/// The grid as it is put together.
struct Page {
    now: i64,
    /// What went wrong is explained once.
    said: BTreeSet<String>,
    sections: Vec<Vec<Row>>,
}

impl Page {
    fn section<T>(&mut self, head: Row, hops: &[Hop<T>], known: fn(&mut Self, &T) -> Shown) {
        if hops.is_empty() {
            return;
        }
        let mut rows = vec![head];
        for hop in hops {
            let (cells, notes) = match &hop.told {
                Told::Known(facts) => known(self, facts),
                Told::Absent { absent } => (Vec::new(), vec![Cell(absent.clone(), Paint::Warn)]),
                Told::Failed(error) => (Vec::new(), self.failure("", error)),
                Told::Asking {} => (Vec::new(), vec![Cell("...".into(), Paint::Dim)]),
            };
            rows.push(Row { name: Cell::plain(cut(&hop.name)), cells, notes });
        }
        self.sections.push(rows);
    }

    /// What went wrong and what to do: in full the first time.
    fn failure(&mut self, what: &str, error: &Error) -> Vec<Cell> {
        let word = match error.kind {
            Kind::Unreachable => "unreachable",
            Kind::Refused => "refused",
            _ => "failed",
        };
        if !self.said.insert(error.message.clone()) {
            return vec![Cell(format!("{what}{word}, as above"), Paint::Bad)];
        }
        let mut notes = vec![Cell(format!("{what}{word}: {}", error.message), Paint::Bad)];
        let hint = error.hint.iter().filter(|hint| self.said.insert((*hint).clone()));
        notes.extend(hint.map(|hint| Cell(format!("hint: {hint}"), Paint::Dim)));
        notes
    }

    fn age(&self, time: Option<i64>) -> Cell {
        time.map_or(Cell("none".into(), Paint::Dim), |time| Cell::plain(age(self.now - time)))
    }

    fn write(&self, text: &mut String, colors: bool) {
        let rows = || self.sections.iter().flatten();
        let width = |column: usize| rows().filter_map(|row| row.cells.get(column)).map(|cell| length(&cell.0)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..=NUMBERS + 1).map(width).collect();
        let names = rows().map(|row| length(&row.name.0)).max().unwrap_or(0);
        for section in &self.sections {
            text.push('\n');
            for row in section {
                let (mut line, mut notes) = (String::new(), row.notes.as_slice());
                let beside = row.beside(names);
                paint(&mut line, &row.name, if row.cells.is_empty() && beside.is_none() { 0 } else { names }, colors);
                if let Some(note) = beside {
                    line.push_str("  ");
                    paint(&mut line, note, 0, colors);
                    notes = &[];
                }
                for (column, cell) in row.cells.iter().enumerate() {
                    let gap = widths[column] - length(&cell.0);
                    let (before, after) = if column < NUMBERS { (gap, 0) } else { (0, gap) };
                    let _ = write!(line, "  {:before$}", "");
                    paint(&mut line, cell, length(&cell.0) + after, colors);
                }
                text.push_str(line.trim_end());
                text.push('\n');
                for note in notes {
                    for line in wrapped(&note.0) {
                        text.push_str("  ");
                        paint(text, &Cell(line, note.1), 0, colors);
                        text.push('\n');
                    }
                }
            }
        }
    }
}

fn source(page: &mut Page, facts: &Source) -> Shown {
    let rate = facts.rate.map_or(String::new(), |rate| format!("{rate:.1}"));
    let newest = if facts.trouble.is_some() { Cell("unknown".into(), Paint::Bad) } else { page.age(facts.newest) };
    let cells = vec![size(facts.size), Cell::plain(rate), Cell::plain(facts.partitions.to_string()), Cell::plain(""), newest];
    let notes = facts.trouble.as_ref().map(|error| page.failure("newest event ", error)).unwrap_or_default();
    (cells, notes)
}

fn aggregate(page: &mut Page, facts: &Aggregate) -> Shown {
    let rows = facts.sink.map_or(Cell("none".into(), Paint::Warn), size);
    let is_behind = matches!(facts.job, Job::CatchesUp | Job::StandsStill);
    let lag = Cell(number(facts.lag.unsigned_abs()), if is_behind { Paint::Warn } else { Paint::Plain });
    let open = Cell::plain(facts.open_windows.map_or("-".into(), |open| number(open.unsigned_abs())));
    let dead = match facts.dead_letters.total {
        Some(0) => Cell::plain("0"),
        Some(total) => Cell(number(total), Paint::Warn),
        None => Cell("many".into(), Paint::Warn),
    };
    let job = match facts.job {
        Job::CaughtUp => Cell("caught up".into(), Paint::Good),
        Job::Reads => Cell("reads".into(), Paint::Good),
        Job::CatchesUp => Cell("catches up".into(), Paint::Warn),
        Job::StandsStill => Cell("stands still".into(), Paint::Bad),
    };
    let mut notes = Vec::new();
    let waits = facts.behind_ms.map(|behind| format!("the oldest record that waits has waited for {}", span(behind)));
    match (facts.job, waits) {
        (Job::StandsStill, Some(waits)) => {
            notes.push(Cell(format!("{waits}, and nothing is committed: is `pipeline aggregate` running?"), Paint::Bad));
        }
        (Job::CatchesUp, Some(waits)) => notes.push(Cell(waits, Paint::Warn)),
        _ => {}
    }
    notes.extend(facts.note.iter().map(|note| Cell(note.clone(), Paint::Bad)));
    if !facts.dead_letters.causes.is_empty() {
        let causes: Vec<String> =
            facts.dead_letters.causes.iter().map(|(cause, count)| format!("{} {}", number(*count), clean(cause))).collect();
        notes.push(Cell(format!("dead letters: {}", causes.join(", ")), Paint::Warn));
    }
    if !facts.members.is_empty() {
        notes.push(Cell(format!("instances: {}", facts.members.join(", ")), Paint::Dim));
    }
    (vec![rows, lag, open, dead, page.age(facts.watermark), job], notes)
}

fn datasource(page: &mut Page, facts: &Datasource) -> Shown {
    let lag = match facts.lag {
        Some(lag) => Cell(number(lag), if lag > 0 && facts.in_trouble { Paint::Warn } else { Paint::Plain }),
        None => Cell::plain("-"),
    };
    let state = match &facts.supervisor {
        Some(state) => Cell(clean(state), if facts.in_trouble { Paint::Bad } else { Paint::Good }),
        None => Cell("none".into(), Paint::Bad),
    };
    let cells = vec![
        Cell::plain(number(facts.rows)),
        lag,
        Cell::plain(facts.tasks.to_string()),
        Cell::plain(number(facts.segments)),
        page.age(facts.newest),
        state,
    ];
    let error = facts.last_error.iter().map(|error| Cell(format!("Druid's last error: {}", clean(error)), Paint::Warn));
    (cells, error.collect())
}

fn chart(page: &mut Page, facts: &Chart) -> Shown {
    let blank = || Cell::plain("");
    let newest = facts.newest.map_or(blank(), |time| page.age(Some(time)));
    let cells = vec![Cell::plain(number(facts.rows)), blank(), blank(), blank(), newest];
    let is_near = facts.row_limit > 0 && facts.rows as f64 >= f64::from(facts.row_limit) * NEARLY;
    let limit = format!("of {} rows at most; beyond, Superset leaves out the smallest: raise its row_limit", facts.row_limit);
    (cells, if is_near { vec![Cell(limit, Paint::Warn)] } else { Vec::new() })
}

/// How many records there are; at most, where they are too many to be counted.
fn size(size: Size) -> Cell {
    match size.records {
        Some(records) => Cell::plain(number(records)),
        None => Cell::plain(format!("\u{2264}{}", number(size.offsets().unsigned_abs()))),
    }
}

fn paint(text: &mut String, Cell(cell, paint): &Cell, width: usize, colors: bool) {
    let gap = width.saturating_sub(length(cell));
    let _ = match paint.code().filter(|_| colors && !cell.is_empty()) {
        Some(code) => write!(text, "\x1b[{code}m{cell}\x1b[0m{:gap$}", ""),
        None => write!(text, "{cell}{:gap$}", ""),
    };
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// A name of others' as one that steers no terminal and is not too long.
fn cut(name: &str) -> String {
    let name = clean(name);
    match name.char_indices().nth(NAME_MAX) {
        Some(_) => name.chars().take(NAME_MAX - 1).chain(['\u{2026}']).collect(),
        None => name,
    }
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A number with its thousands apart.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut told = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// How long ago something was.
fn age(ms: i64) -> String {
    match ms {
        1_000.. => format!("{} ago", span(ms)),
        -999..1_000 => "now".into(),
        _ => format!("in {}", span(-ms)),
    }
}

/// A length of time in its two greatest units.
fn span(ms: i64) -> String {
    let seconds = ms / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

/// The words of a text in lines that are not too long.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in clean(text).split(' ') {
        let is_full = lines.last().is_some_and(|line| !line.is_empty() && length(line) + length(word) + 3 > NOTES_END);
        if is_full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::facts::DeadLetters;
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn hop<T>(name: &str, told: Told<T>) -> Hop<T> {
        Hop { name: name.into(), told }
    }

    fn size_of(low: i64, high: i64, records: Option<u64>) -> Size {
        Size { low, high, records }
    }

    fn healthy() -> Status {
        let source = Source {
            partitions: 2,
            size: size_of(0, 1800, Some(1800)),
            rate: Some(1.04),
            newest: Some(NOW - 700),
            trouble: None,
        };
        let aggregate = Aggregate {
            watermark: Some(NOW - 5_700),
            open_windows: Some(1),
            sink: Some(size_of(0, 124, Some(87))),
            dead_letters: DeadLetters { total: Some(0), ..DeadLetters::default() },
            ..Aggregate::default()
        };
        let datasource = |rows, newest| Datasource {
            supervisor: Some("RUNNING".into()),
            lag: Some(0),
            tasks: 1,
            rows,
            segments: 2,
            newest: Some(newest),
            ..Datasource::default()
        };
        let chart = |rows, newest| Chart { rows, row_limit: 50_000, newest };
        Status {
            pipeline: "kafka-101".into(),
            at: NOW,
            sources: vec![hop("SALES", Told::Known(source))],
            aggregates: vec![hop("SALES_AGGREGATE", Told::Known(aggregate))],
            datasources: vec![
                hop("SALES", Told::Known(datasource(1800, NOW - 700))),
                hop("SALES_AGGREGATE", Told::Known(datasource(87, NOW - 83_000))),
            ],
            charts: vec![
                hop("Superset aggregated sales", Told::Known(chart(93, Some(NOW - 23_000)))),
                hop("stores_shares_sales", Told::Known(chart(3, None))),
            ],
            dashboard: Some("http://127.0.0.1:8088/superset/dashboard/kafka-101-tutorial/".into()),
        }
    }

    #[test]
    fn a_line_that_is_well() {
        insta::assert_snapshot!(text(&healthy(), false));
    }

    #[test]
    fn a_line_that_is_not() {
        let mut status = healthy();
        let refused = |path: &str| {
            Error::new(
                Kind::Unreachable,
                format!("Druid, GET http://127.0.0.1:1/druid/indexer/v1/supervisor/{path}: connection refused"),
            )
            .hint(
                "is Druid running at http://127.0.0.1:1/? its address is [druid] url in the pipeline file, or PIPELINE_DRUID_URL",
            )
        };
        let login = Error::new(
            Kind::Refused,
            "Superset, POST http://127.0.0.1:8088/api/v1/security/login: Superset does not take the name and password of user `admin`",
        );
        status.sources[0].told = Told::Known(Source {
            partitions: 12,
            size: size_of(3, 123_456_792, None),
            rate: Some(1234.5),
            newest: None,
            trouble: Some(Error::new(
                Kind::Unreachable,
                "schema registry, GET http://127.0.0.1:1/schemas/ids/7: connection refused",
            )),
        });
        status.aggregates[0].told = Told::Known(Aggregate {
            job: Job::StandsStill,
            lag: 1_204,
            behind_ms: Some(183_000),
            watermark: Some(NOW - 190_061_000),
            closed_through: Some(0),
            sink: Some(size_of(0, 9, Some(9))),
            dead_letters: DeadLetters {
                total: Some(12),
                causes: BTreeMap::from([("late".into(), 9), ("unknown-schema".into(), 3)]),
                ..DeadLetters::default()
            },
            members: vec!["pipeline at /127.0.0.1".into()],
            note: Some("topic SALES was deleted and made anew since the last commit".into()),
            ..Aggregate::default()
        });
        status.aggregates.push(hop("SALES_BY_HOUR", Told::absent("nothing is committed yet: `pipeline aggregate` begins it")));
        status.datasources[0].told = Told::Failed(refused("SALES"));
        status.datasources[1].told = Told::Failed(refused("SALES_AGGREGATE"));
        let suspended = Datasource {
            supervisor: Some("SUSPENDED".into()),
            in_trouble: true,
            last_error: Some("it was \x1b[31mso".into()),
            ..Datasource::default()
        };
        status.datasources.push(hop("OTHER", Told::Known(suspended)));
        status.charts[0].told = Told::Failed(login.clone());
        status.charts[1].told = Told::Failed(login);
        let near = Chart { rows: 42_000, row_limit: 50_000, newest: Some(NOW + 5_000) };
        status.charts.push(hop("a title that is much longer than what fits here", Told::Known(near)));
        status.charts.push(Hop::asking("slow"));
        insta::assert_snapshot!(text(&status, false));
    }

    #[test]
    fn colors_are_for_terminals_and_change_no_column() {
        let (plain, colored) = (text(&healthy(), false), text(&healthy(), true));
        assert!(!plain.contains('\x1b') && colored.contains("\x1b[32mRUNNING\x1b[0m"));
        let mut stripped = colored;
        for code in [0, 1, 2, 31, 32, 33] {
            stripped = stripped.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(stripped, plain);
    }

    #[test]
    fn numbers_and_ages_are_easy_to_read() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        let ages = [0, 999, 1_000, 61_000, 3_600_000, 90_000_000, -5_000].map(age);
        assert_eq!(ages, ["now", "now", "1s ago", "1m 01s ago", "1h 00m ago", "1d 01h ago", "in 5s"]);
    }
}
