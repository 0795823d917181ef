//! The thread that reads the topics, and the rounds of questions to Druid and Superset.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::book::{Book, Question};
use super::report::{Hop, Report};
use super::table::Shown;
use super::{Scope, picture, plan};
use crate::aggregate;
use crate::config::Config;
use crate::druid::Druid;
use crate::druid::columns::columns;
use crate::error::{Error, Kind, Result};
use crate::follow::{Follow, PAUSE, Read, Takes};
use crate::kafka::{Cluster, Source};
use crate::proof::Record;
use crate::registry::Registry;
use crate::superset::failure::Trouble;
use crate::superset::ids::{self, Kind as Object};
use crate::superset::session::Session;

/// The pause between rounds.
const BETWEEN: Duration = Duration::from_millis(250);
/// The pause after a server has refused the user: who tries too often is locked out.
const REFUSED: Duration = Duration::from_secs(10);
/// How often the state of reading is told.
const TOLD: Duration = Duration::from_millis(200);

/// What the thread and the rounds share.
#[derive(Default)]
struct Shared {
    book: Mutex<Option<Book>>,
    reading: Mutex<Reading>,
}

/// How far the thread is.
#[derive(Default, Clone)]
struct Reading {
    progress: (i64, i64),
    /// All topics were read to where they ended at this time, ms.
    level_ms: Option<i64>,
    error: Option<Error>,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Option<Book>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The book, as who takes the records.
struct Taker(Arc<Shared>);

impl Takes for Taker {
    fn held(&self) -> Vec<String> {
        self.0.book().as_ref().map_or_else(Vec::new, Takes::held)
    }

    fn unknown(&self, record: &Record<'_>, now_ms: i64) -> Option<u32> {
        self.0.book().as_ref()?.unknown(record, now_ms)
    }

    fn learn(&mut self, id: u32, schema: Option<&str>, now_ms: i64) {
        self.0.book().iter_mut().for_each(|book| book.learn(id, schema, now_ms));
    }

    fn emptied(&mut self, topic: &str, now_ms: i64) {
        self.0.book().iter_mut().for_each(|book| book.emptied(topic, now_ms));
    }

    fn take(&mut self, record: &Record<'_>, now_ms: i64) {
        self.0.book().iter_mut().for_each(|book| book.take(record, now_ms));
    }
}

/// Starts both.
pub fn start(
    config: &Config,
    scope: Scope,
    sender: watch::Sender<Arc<Report>>,
    stop: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>> {
    let shared = Arc::<Shared>::default();
    let reader = Reader {
        follow: Follow::new(config, scope.since_ms, Arc::clone(stop))?,
        registry: Registry::new(&config.registry)?,
        runtime: tokio::runtime::Handle::current(),
        scope,
        shared: Arc::clone(&shared),
    };
    std::thread::Builder::new()
        .name("verify".into())
        .spawn(move || reader.run())
        .map_err(|error| Error::new(Kind::Failed, format!("cannot start a thread: {error}")))?;
    let rounds =
        Rounds { config: config.clone(), druid: Druid::new(&config.druid)?, superset: None, charts: BTreeMap::new(), shared };
    Ok(tokio::spawn(rounds.run(sender)))
}

struct Reader {
    follow: Follow,
    registry: Registry,
    runtime: tokio::runtime::Handle,
    scope: Scope,
    shared: Arc<Shared>,
}

impl Reader {
    fn run(&self) {
        while !self.follow.is_stopping() {
            if let Err(error) = self.read() {
                self.shared.reading().error = Some(error);
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Reads until what was read is no longer so, or something fails that reading on does not mend.
    fn read(&self) -> Result<()> {
        let items = self.items()?;
        let mut followed = self.follow.begin(|streams| {
            let book = Book::new(streams, items, self.scope.since_ms, self.scope.strict);
            let topics = book.topics();
            *self.shared.book() = Some(book);
            *self.shared.reading() = Reading::default();
            (Taker(Arc::clone(&self.shared)), topics)
        })?;
        let tell = |error: &Error| self.shared.reading().error = Some(error.clone());
        while !self.follow.is_stopping() {
            if self.shared.book().as_ref().is_some_and(Book::is_full) {
                std::thread::sleep(TOLD);
                continue;
            }
            match self.follow.read(&mut followed, tell) {
                Ok(Read::Anew) => return Ok(()),
                Ok(Read::Some) => self.shared.reading().error = None,
                Ok(Read::Nothing) => {}
                // Records were deleted before they were read.
                Err(error) if error.kind == Kind::DataLoss => return Ok(()),
                Err(error) => tell(&error),
            }
            let level_ms = followed.level().map(|at| at.timestamp_millis());
            if level_ms.is_some() {
                self.shared.book().iter_mut().for_each(Book::go_live);
            }
            let mut reading = self.shared.reading();
            reading.progress = followed.progress();
            reading.level_ms = reading.level_ms.max(level_ms);
        }
        Ok(())
    }

    /// What there is to compare, by the registry's newest schemas.
    fn items(&self) -> Result<Vec<(plan::Item, Option<u32>)>> {
        let config = &self.follow.config;
        let mut items = Vec::new();
        for datasource in &config.datasources {
            let schema = self.runtime.block_on(self.registry.newest(&datasource.topic))?.schema;
            let columns = columns(&format!("{}-value", datasource.topic), &schema, datasource)?;
            items.push((plan::datasource(config, datasource, &columns), None));
        }
        for chart in &config.charts {
            if let Some(datasource) = config.datasource(&chart.datasource) {
                items.push((plan::chart(config, chart, datasource), Some(chart.row_limit)));
            }
        }
        Ok(items)
    }
}

struct Rounds {
    config: Config,
    druid: Druid,
    superset: Option<Arc<Session>>,
    /// The numbers of charts, by title.
    charts: BTreeMap<String, u64>,
    shared: Arc<Shared>,
}

/// What a server answered.
enum Answer {
    Druid(usize, Result<Vec<Vec<Value>>>),
    Chart(usize, Result<Vec<Map<String, Value>>>),
}

impl Rounds {
    async fn run(mut self, sender: watch::Sender<Arc<Report>>) {
        loop {
            let reading = self.shared.reading().clone();
            let is_full = self.shared.book().as_ref().is_some_and(Book::is_full);
            if reading.level_ms.is_some() || is_full {
                self.round().await;
            }
            let now_ms = Utc::now().timestamp_millis();
            let progress = reading.level_ms.is_none().then_some(reading.progress);
            let report = match &mut *self.shared.book() {
                Some(book) => book.report(now_ms, reading.level_ms, progress, reading.error.as_ref()),
                None => Report::failed(reading.error.as_ref()),
            };
            if sender.send(Arc::new(report)).is_err() {
                return;
            }
            let is_refused = sender.borrow().error.as_ref().is_some_and(|error| error.kind == Kind::Refused);
            let pause = if reading.level_ms.is_some() { BETWEEN } else { TOLD };
            tokio::time::sleep(if is_refused { REFUSED } else { pause }).await;
        }
    }

    /// Asks everything once.
    async fn round(&mut self) {
        let now_ms = Utc::now().timestamp_millis();
        let questions =
            self.shared.book().as_ref().map_or_else(Vec::new, |book| book.questions(|entry| entry.hop == Hop::Druid, now_ms));
        let mut asked = JoinSet::new();
        for question in questions {
            asked.spawn(ask_druid(self.druid.clone(), question));
        }
        self.ask_charts(&mut asked).await;
        while let Some(answer) = asked.join_next().await {
            // An answer of a task that was ended with the program matters to nobody.
            answer.into_iter().for_each(|answer| self.take(answer));
        }
        self.look_into_charts().await;
        self.look_into_datasources().await;
        self.look_into_aggregates().await;
    }

    fn take(&mut self, answer: Answer) {
        let now_ms = Utc::now().timestamp_millis();
        let mut book = self.shared.book();
        let Some(book) = &mut *book else { return };
        match answer {
            Answer::Druid(place, rows) => {
                let shown = rows.map(|rows| book.read(place, &rows));
                book.answer(place, shown, now_ms);
            }
            Answer::Chart(place, rows) => {
                let title = book.entries.get(place).map(|entry| entry.name.clone());
                let Some(chart) = title.and_then(|title| self.config.chart(&title)) else { return };
                if rows.is_err() {
                    // It may be there again under another number.
                    self.charts.remove(&chart.title);
                }
                book.answer(place, rows.map(|rows| picture::shown(chart, &rows)), now_ms);
            }
        }
    }

    async fn ask_charts(&mut self, asked: &mut JoinSet<Answer>) {
        let places: Vec<(usize, String)> = {
            let book = self.shared.book();
            let entries = book.iter().flat_map(|book| book.entries.iter().enumerate());
            entries.filter(|(_, entry)| entry.hop == Hop::Superset).map(|(place, entry)| (place, entry.name.clone())).collect()
        };
        if places.is_empty() {
            return;
        }
        let session = match self.session().await {
            Ok(session) => session,
            Err(error) => {
                let failed = |(place, _)| Answer::Chart(place, Err(Error::clone(&error)));
                places.into_iter().map(failed).for_each(|answer| self.take(answer));
                return;
            }
        };
        for (place, title) in places {
            match self.number(&session, &title).await {
                Ok(Some(number)) => {
                    let session = Arc::clone(&session);
                    asked.spawn(async move {
                        let rows = session.drawn(number).await.map(|drawn| drawn.data);
                        // A table that is not there has no rows.
                        Answer::Chart(
                            place,
                            rows.or_else(|trouble| match trouble {
                                Trouble::NoTable(_) => Ok(Vec::new()),
                                other => Err(other.error()),
                            }),
                        )
                    });
                }
                Ok(None) => {
                    self.charts.remove(&title);
                    let error = Error::new(Kind::Differs, format!("Superset has no chart `{title}` of this pipeline file"))
                        .hint("`pipeline superset-bootstrap` makes it");
                    self.take(Answer::Chart(place, Err(error)));
                }
                Err(error) => self.take(Answer::Chart(place, Err(error))),
            }
        }
    }

    async fn session(&mut self) -> Result<Arc<Session>> {
        if let Some(session) = &self.superset {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(Session::login(&self.config.superset).await?);
        self.superset = Some(Arc::clone(&session));
        Ok(session)
    }

    /// A chart's number in Superset; `None`: it is not there.
    async fn number(&mut self, session: &Session, title: &str) -> Result<Option<u64>> {
        if let Some(number) = self.charts.get(title) {
            return Ok(Some(*number));
        }
        let uuid = ids::stable(&self.config.name, Object::Chart, title);
        let found = session.by_uuid(Object::Chart, uuid).await?;
        if let Some(found) = &found {
            self.charts.insert(title.to_owned(), found.id);
        }
        Ok(found.map(|found| found.id))
    }

    /// What Druid itself says to the questions of charts that differ.
    async fn look_into_charts(&self) {
        let now_ms = Utc::now().timestamp_millis();
        let questions = self.shared.book().as_ref().map_or_else(Vec::new, |book| book.questions(Book::is_doubtful_chart, now_ms));
        for question in questions {
            let place = question.place;
            let Answer::Druid(_, rows) = ask_druid(self.druid.clone(), question).await else { continue };
            let mut book = self.shared.book();
            let Some(book) = &mut *book else { return };
            let by_druid: Option<Shown> = rows.ok().map(|rows| book.read(place, &rows));
            book.answer_for_chart(place, by_druid);
        }
    }

    /// What Druid says of datasources whose rows are not all right.
    async fn look_into_datasources(&self) {
        let names = self.shared.book().as_ref().map_or_else(Vec::new, Book::doubtful_datasources);
        for name in names {
            let cause = self.cause(&name).await;
            self.shared.book().iter_mut().for_each(|book| book.note_cause(&name, cause.as_deref()));
        }
    }

    async fn cause(&self, datasource: &str) -> Option<String> {
        match self.druid.supervisor(datasource).await {
            Ok(None) => return Some("it has no supervisor: `pipeline druid-ingest` makes it".into()),
            Ok(Some(_)) => {}
            Err(_) => return None,
        }
        let status = self.druid.status(datasource).await.ok()?;
        if status.suspended {
            return Some("its supervisor is suspended: `pipeline druid-ingest` resumes it".into());
        }
        status.in_trouble().then(|| format!("its supervisor is {}", status.detailed_state))
    }

    /// How far the aggregates are whose rows may not be final.
    async fn look_into_aggregates(&self) {
        let aggregates = self.shared.book().as_ref().map_or_else(Vec::new, Book::pending_aggregates);
        for (source, sink) in aggregates {
            let kafka = self.config.kafka.clone();
            let group = format!("pipeline-{sink}");
            let asked = tokio::task::spawn_blocking(move || {
                let partitions = Cluster::new(&kafka, "read_committed")?.partitions(&source)?.unwrap_or(0);
                Source::new(&kafka, &source, &group)?.committed(partitions)
            });
            let Ok(Ok(committed)) = asked.await else { continue };
            let asked_ms = Utc::now().timestamp_millis();
            let positions = committed
                .into_iter()
                .filter_map(|(partition, found)| Some((partition, aggregate::committed_progress(&found?.1)?.0.position)));
            for (partition, position) in positions {
                self.shared.book().iter_mut().for_each(|book| book.note_position(&sink, partition, position, asked_ms));
            }
        }
    }
}

async fn ask_druid(druid: Druid, question: Question) -> Answer {
    Answer::Druid(question.place, druid.sql(&question.sql, &question.parameters).await)
}
