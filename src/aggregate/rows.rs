//! How far the sink is written, as its rows say.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant as Moment};

use rdkafka::message::Message;
use tokio::runtime::Handle;

use super::restore::Start;
use crate::avro::{Plan, Scalar, wire};
use crate::config::{self, Instant, WINDOW_FIELDS};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Cluster, Ends, scan};
use crate::registry::Registry;

/// A transaction that was prepared is ended this soon by who prepared it, if that one lives.
const OPEN_LIMIT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(200);

/// A sink, to be read for how far it is written.
pub struct Sink<'a> {
    /// Where it is.
    pub kafka: &'a config::Kafka,
    /// Where its rows' schemas are.
    pub registry: &'a Registry,
    /// Its topic.
    pub topic: &'a str,
    /// What the registry is asked on.
    pub runtime: &'a Handle,
    /// Hears that there is progress.
    pub beat: &'a dyn Fn(),
}

impl Sink<'_> {
    /// `--start after=sink` as a time; `has_begun`: something of the source was read before.
    ///
    /// # Errors
    /// No row says how far it is written, though something was, or may have been left out on purpose.
    pub fn start_behind(&self, has_begun: bool) -> Result<Start> {
        let refuse = |what: String| {
            Err(Error::new(Kind::DataLoss, what)
                .hint("say where to begin: --start earliest, --start latest, or --start after=TIME, the end of the last window that is done"))
        };
        let cluster = Cluster::new(self.kafka, "read_uncommitted")?;
        let had_rows = cluster.partitions(self.topic)?.is_some() && cluster.ends(self.topic)?.values().any(|ends| ends.high > 0);
        match self.last_window_end()? {
            Some(end) => Ok(Start::After(Instant(end))),
            None if had_rows => {
                refuse(format!("topic {} holds no row any more: how far it was written is not known", self.topic))
            }
            None if has_begun => refuse(format!("topic {} holds no row yet: where the reading began is not known", self.topic)),
            None => Ok(Start::Earliest),
        }
    }

    /// The end (ms since 1970) of the last window that it holds a committed row of; `None` if it holds none. Reads all of it.
    ///
    /// Where windows were written in their order, as Flink does, all that end by this time are closed.
    ///
    /// # Errors
    /// A transaction is open in it: its rows may yet come.
    pub fn last_window_end(&self) -> Result<Option<i64>> {
        let Self { kafka, registry, topic: sink, runtime, beat } = *self;
        let Some(ends) = stable_ends(kafka, sink, beat)? else { return Ok(None) };
        let mut plans: HashMap<u32, Plan> = HashMap::new();
        let mut last = None;
        scan(kafka, sink, &ends, |record| {
            if record.offset() % 10_000 == 0 {
                beat();
            }
            let Some(value) = record.payload() else { return Ok(()) };
            let misfit = |what: String| Error::new(Kind::Data, format!("topic {sink}, offset {}: {what}", record.offset()));
            let (id, datum) = wire::split(value).map_err(|error| misfit(error.to_string()))?;
            let plan = match plans.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let found = runtime.block_on(registry.by_id(id))?;
                    let schema = found.ok_or_else(|| misfit(format!("the registry does not know schema id {id}")))?.schema;
                    new.insert(Plan::compile(&schema, &WINDOW_FIELDS[1..]).map_err(|error| misfit(error.to_string()))?)
                }
            };
            let mut end = [Scalar::Null];
            plan.decode(datum, &mut end).map_err(|error| misfit(error.to_string()))?;
            if let [Scalar::Long(end)] = end {
                last = last.max(Some(end));
            }
            Ok(())
        })?;
        Ok(last)
    }
}

/// The sink's ends, once no transaction is open in it; `None`: there is no such topic.
fn stable_ends(kafka: &config::Kafka, sink: &str, beat: &dyn Fn()) -> Result<Option<BTreeMap<i32, Ends>>> {
    let (committed, all) = (Cluster::new(kafka, "read_committed")?, Cluster::new(kafka, "read_uncommitted")?);
    if all.partitions(sink)?.is_none() {
        return Ok(None);
    }
    let deadline = Moment::now() + OPEN_LIMIT;
    loop {
        beat();
        let (written, stable) = (all.ends(sink)?, committed.ends(sink)?);
        if written.iter().all(|(partition, ends)| stable.get(partition).is_some_and(|stable| stable.high >= ends.high)) {
            return Ok(Some(stable));
        }
        if Moment::now() >= deadline {
            return Err(Error::new(Kind::DataLoss, format!("a transaction is open in topic {sink}: its rows may yet come")).hint(
                "does something still write there? stop it. A Flink job that was killed leaves its transactions open: go on from its \
                 last checkpoint, which its page names (--engine flink --savepoint PATH). If all of it ran in one task, its rows may be \
                 given up, too: the broker ends the transaction in 10 minutes as a rule",
            ));
        }
        std::thread::sleep(PAUSE);
    }
}
