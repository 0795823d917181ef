//! Waiting for a datasource's rows: how many there must be, and how to know that they are there.

use std::collections::BTreeMap;

use rdkafka::Message;
use serde_json::{Value, json};

use super::{Desk, Told, Work, records_at_most};
use crate::commands::blocking;
use crate::config::{self, Function};
use crate::druid::Found;
use crate::druid::readable::Readable;
use crate::druid::wait::{self, Promise, Proof};
use crate::error::Result;
use crate::kafka::{self, Counted};
use crate::plan::Action;

impl Desk<'_> {
    /// Waits until a query sees them, and says how many there are.
    pub(super) async fn wait_for_rows(&self, work: &Work<'_>) -> Result<u64> {
        let (name, topic) = (&work.datasource.name, &work.datasource.topic);
        let proof = self.proof(work).await?;
        let counted = self.promised(work, &proof).await?;
        if counted.bad > 0 {
            self.warn(&format!("{name}: records of topic {topic} that cannot be read, and will be no rows: {}", counted.bad));
        }
        let promise = Promise {
            supervisor: &work.desired,
            rows: counted.good,
            records: counted.good + counted.bad,
            must_read: counted.good == 0 || work.step.action != Action::Unchanged,
            proof,
            failed_before: work.failed_before.clone(),
        };
        let ready = wait::wait(&self.druid, &promise, |rows| (self.tell)(Told::Rows(name, rows, &promise))).await?;
        if ready.skipped > 0 {
            self.warn(&format!("{name}: records that Druid could not read and skipped (its log names them): {}", ready.skipped));
        }
        if let Some(stopped) = self.stopped(&work.desired, topic).await? {
            return Err(stopped.error(&work.desired));
        }
        self.tell(&format!("ready {name}: {} rows", ready.rows));
        Ok(ready.rows)
    }

    /// How to know that a datasource's rows are there.
    async fn proof(&self, work: &Work<'_>) -> Result<Proof> {
        if !self.may_have_fewer_rows(work).await? {
            return Ok(Proof::Rows);
        }
        let counts = work.datasource.rollup.iter().flat_map(|rollup| &rollup.measures);
        let count = counts.into_iter().find(|measure| measure.function == Function::Count).map(|measure| measure.name.clone());
        // Rows of another topic would be counted as well.
        let count = count.filter(|_| !work.found.read_another(&work.datasource.topic));
        let (kafka, topic) = (self.config.kafka.clone(), work.datasource.topic.clone());
        let reached = self.druid.status(&work.datasource.name).await?.reached();
        let mut ends = work.ends.clone();
        for (partition, ends) in &mut ends {
            // What is below was read long ago.
            ends.low = reached.get(partition).map_or(ends.low, |reached| (*reached).clamp(ends.low, ends.high));
        }
        let mut targets = BTreeMap::new();
        let targets = blocking(move || {
            kafka::scan(&kafka, &topic, &ends, |record| {
                targets.insert(record.partition(), record.offset() + 1);
                Ok(())
            })?;
            Ok(targets)
        });
        Ok(Proof::Offsets { targets: targets.await?, count })
    }

    /// Whether a datasource may have fewer rows than its topic has records: they are added up, or were once; they are dropped when
    /// they are old; or they are of another topic.
    async fn may_have_fewer_rows(&self, work: &Work<'_>) -> Result<bool> {
        if work.datasource.rollup.is_some() || work.datasource.retention.is_some() || !work.rules.rules.is_empty() {
            return Ok(true);
        }
        if work.found == (Found::Left { past: None, has_rows: false }) {
            return Ok(false);
        }
        if self.druid.rows(&work.datasource.name, None).await? >= records_at_most(&work.ends) {
            return Ok(work.found.read_another(&work.datasource.topic));
        }
        let versions = self.druid.history(&work.datasource.name).await?;
        let topic = json!(work.datasource.topic);
        let differs = |spec: &Value| {
            spec.pointer("/spec/dataSchema/granularitySpec/rollup") == Some(&json!(true))
                || spec.pointer("/spec/ioConfig/topic").is_some_and(|before| *before != topic)
        };
        Ok(versions.iter().any(differs))
    }

    /// How many records Druid shall have made rows of. The topic is read for that only if it may be that some are missing.
    async fn promised(&self, work: &Work<'_>, proof: &Proof) -> Result<Counted> {
        let (name, most) = (&work.datasource.name, records_at_most(&work.ends));
        let seen = match proof {
            Proof::Rows => self.druid.rows(name, None).await?,
            Proof::Offsets { count: Some(count), .. } => self.druid.rows(name, Some(count)).await?,
            Proof::Offsets { targets, count: None } => {
                if targets.is_empty() {
                    return Ok(Counted { good: most, ..Counted::default() });
                }
                0
            }
        };
        if seen >= most {
            return Ok(Counted { good: most, ..Counted::default() });
        }
        let (kafka, topic, ends): (config::Kafka, String, _) =
            (self.config.kafka.clone(), work.datasource.topic.clone(), work.ends.clone());
        let (registry, runtime) = (self.registry.clone(), tokio::runtime::Handle::current());
        let mut readable = Readable::new(&work.datasource.time);
        let schema = move |id| Ok(runtime.block_on(registry.by_id(id))?.map(|found| found.schema));
        blocking(move || kafka::count(&kafka, &topic, &ends, |value| readable.is_row(value, &schema))).await
    }
}

pub(super) fn show_progress(name: &str, rows: u64, promise: &Promise<'_>) {
    match (&promise.proof, promise.rows) {
        (_, 0) => {}
        (Proof::Offsets { count: None, .. }, records) => note!("{name}: {rows} rows, of {records} records"),
        (Proof::Offsets { .. }, records) => note!("{name}: rows of {rows} of {records} records"),
        (Proof::Rows, promised) => note!("{name}: {rows} of {promised} rows"),
    }
}
