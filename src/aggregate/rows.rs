//! How far the sink is written, as its rows say.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rdkafka::message::Message;
use tokio::runtime::Handle;

use crate::avro::{Plan, Scalar, wire};
use crate::config::{self, WINDOW_FIELDS};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Cluster, Ends, scan};
use crate::registry::Registry;

/// A transaction that was prepared is ended this soon by who prepared it, if that one lives.
const OPEN_LIMIT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(200);

/// The end (ms since 1970) of the last window that the sink holds a committed row of; `None` if it holds none. Reads all of it.
///
/// Where windows were written in their order, as Flink does, all that end by this time are closed.
///
/// # Errors
/// A transaction is open in the sink: its rows may yet come.
pub async fn last_window_end(kafka: &config::Kafka, registry: &Registry, sink: &str) -> Result<Option<i64>> {
    let (kafka, registry, sink) = (kafka.clone(), registry.clone(), sink.to_owned());
    let work = tokio::task::spawn_blocking(move || read(&kafka, &registry, &sink, &Handle::current()));
    work.await.map_err(|error| Error::new(Kind::Failed, format!("a thread ended early: {error}")))?
}

fn read(kafka: &config::Kafka, registry: &Registry, sink: &str, runtime: &Handle) -> Result<Option<i64>> {
    let Some(ends) = stable_ends(kafka, sink)? else { return Ok(None) };
    let mut plans: HashMap<u32, Plan> = HashMap::new();
    let mut last = None;
    scan(kafka, sink, &ends, |record| {
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

/// The sink's ends, once no transaction is open in it; `None`: there is no such topic.
fn stable_ends(kafka: &config::Kafka, sink: &str) -> Result<Option<BTreeMap<i32, Ends>>> {
    let (committed, all) = (Cluster::new(kafka, "read_committed")?, Cluster::new(kafka, "read_uncommitted")?);
    if all.partitions(sink)?.is_none() {
        return Ok(None);
    }
    let deadline = Instant::now() + OPEN_LIMIT;
    loop {
        let (written, stable) = (all.ends(sink)?, committed.ends(sink)?);
        if written.iter().all(|(partition, ends)| stable.get(partition).is_some_and(|stable| stable.high >= ends.high)) {
            return Ok(Some(stable));
        }
        if Instant::now() >= deadline {
            return Err(Error::new(Kind::DataLoss, format!("a transaction is open in topic {sink}: its rows may yet come")).hint(
                "does something still write there? stop it. A Flink job that was killed leaves its transactions open: go on from its \
                 last checkpoint (--engine flink --savepoint PATH), or wait until the broker ends them (10 minutes as a rule)",
            ));
        }
        std::thread::sleep(PAUSE);
    }
}
