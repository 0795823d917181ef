//! What Druid says when it cannot read -> what that means to the user. Pure.

use std::collections::BTreeMap;

use super::failure::{EXTENSIONS, UNKNOWN_TYPE};
use super::spec::Supervisor;
use super::status::{Status, Task, Worker};
use crate::error::{Error, Kind};
use crate::http::one_line;
use crate::plan::Change;

/// Words in Druid's errors that stand for "Kafka cannot be reached".
const NO_KAFKA: [&str; 5] =
    ["RecordSupplier", "while seeking", "bootstrap", "fetching topic metadata", "kafka.common.errors.Timeout"];
/// Words that stand for "a server cannot be reached"; where it is not Kafka, it is the registry.
const NO_CONNECTION: [&str; 7] =
    ["Connection refused", "ConnectException", "UnknownHost", "NoRouteToHost", "SocketTimeout", "SSLHandshake", "timed out"];
/// How Druid says that a record's bytes do not fit its schema. Tasks skip such a record, only the sampler stops at it.
const BAD_RECORD: &str = "Fail to decode Avro message";

/// Whether this is about one record that ingestion will skip.
pub fn is_bad_record(said: &str) -> bool {
    said.contains(BAD_RECORD)
}

/// Why Druid cannot read a topic, from the words of its sampler or of a task that failed.
pub fn reading(supervisor: &Supervisor, said: &str) -> Error {
    let said = &one_line(said);
    let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if said.contains(UNKNOWN_TYPE) {
        Error::new(Kind::Failed, format!("an extension of Druid is missing: {said}")).hint(EXTENSIONS)
    } else if said.contains("not subscribed to any topics") {
        no_topic(supervisor, said)
    } else if any(&NO_KAFKA) {
        no_kafka(supervisor, said)
    } else if any(&NO_CONNECTION) {
        no_registry(supervisor, said)
    } else {
        unreadable(supervisor, said)
    }
}

fn no_topic(supervisor: &Supervisor, said: &str) -> Error {
    let (topic, kafka) = (&supervisor.spec.io_config.topic, supervisor.kafka());
    Error::new(Kind::Unreachable, format!("Druid finds no topic {topic} in Kafka at {kafka}: {said}"))
        .hint("is that the same Kafka? [druid] kafka_bootstrap_servers says how Druid reaches it")
}

fn no_kafka(supervisor: &Supervisor, said: &str) -> Error {
    let [variables, _] = supervisor.variables();
    Error::new(Kind::Unreachable, format!("Druid does not reach Kafka at {}: {said}", supervisor.kafka())).hint(way(
        "kafka_bootstrap_servers",
        "kafka_properties",
        &variables,
    ))
}

fn no_registry(supervisor: &Supervisor, said: &str) -> Error {
    let [_, variables] = supervisor.variables();
    Error::new(Kind::Unreachable, format!("Druid does not reach the schema registry at {}: {said}", supervisor.registry()))
        .hint(way("registry_url", "registry_properties", &variables))
}

/// Where the pipeline file says how Druid reaches a server. Of a variable that is not set, Druid only says "null".
fn way(address: &str, properties: &str, variables: &[&str]) -> String {
    let way = format!("[druid] {address} says how Druid reaches it, where that differs from how this program does");
    match variables {
        [] => way,
        some => {
            format!("{way}, and [druid.{properties}] how it logs in: is {} set for all of Druid's processes?", some.join(", "))
        }
    }
}

fn unreadable(supervisor: &Supervisor, said: &str) -> Error {
    let (topic, registry) = (&supervisor.spec.io_config.topic, supervisor.registry());
    let message = format!("Druid cannot read the records of topic {topic} with the schema registry at {registry}: {said}");
    Error::new(Kind::Data, message).hint(
        "were they written with that registry ([druid] registry_url)? a record that is not Avro with a schema id in front stops \
         Druid, too: take the events to another topic, or have the supervisor go on behind it (resetOffsets in Druid's API)",
    )
}

/// Druid waits behind the end of a topic that was deleted and made anew: it would read nothing, and call that healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    partition: i32,
    offset: i64,
    end: i64,
}

/// Whether it does.
///
/// `reached` must have been asked for before `ends`, or records that came in between would look the same.
pub fn behind_the_end(reached: &BTreeMap<i32, i64>, ends: &BTreeMap<i32, i64>) -> Option<Behind> {
    reached.iter().find_map(|(partition, offset)| {
        let end = ends.get(partition).copied().unwrap_or(0);
        (*offset > end).then_some(Behind { partition: *partition, offset: *offset, end })
    })
}

impl Behind {
    /// What would have to change.
    pub fn changes(self) -> Vec<Change> {
        vec![Change { setting: format!("offset of partition {}", self.partition), old: self.offset.into(), new: self.end.into() }]
    }

    /// The error to end with.
    pub fn error(self, supervisor: &Supervisor) -> Error {
        let (id, topic) = (supervisor.id(), &supervisor.spec.io_config.topic);
        let Self { partition, offset, end } = self;
        let message = format!(
            "datasource {id}: Druid has read partition {partition} of topic {topic} up to offset {offset}, but it ends at {end}: the \
             topic was deleted and made anew, and Druid waits behind its end"
        );
        Error::new(Kind::DataLoss, message).hint(format!(
            "reset the supervisor (POST /druid/indexer/v1/supervisor/{id}/reset): it reads the new topic from its start; the rows of \
             the old one stay until the datasource is dropped. `pipeline down --data` drops them, and druid-ingest then makes all anew"
        ))
    }
}

/// What is seen of a supervisor whose rows do not come.
#[derive(Debug, Default)]
pub struct Seen {
    /// Its state.
    pub status: Status,
    /// The newest task that failed since it is waited for.
    pub failed: Option<Task>,
    /// How many of its tasks wait for a free slot.
    pub queued: usize,
    /// The processes that run tasks; none if Druid does not tell.
    pub workers: Vec<Worker>,
}

/// Why the rows do not come, as far as can be seen.
pub fn stalled(supervisor: &Supervisor, seen: &Seen) -> Error {
    let status = &seen.status;
    if let Some(task) = &seen.failed {
        return reading(supervisor, task.error());
    }
    if status.suspended {
        return Error::new(Kind::Failed, "the supervisor is suspended").hint("run the command again: it resumes it");
    }
    if let Some(error) = status.recent_errors.last() {
        return reading(supervisor, error.message.as_deref().unwrap_or(&error.exception_class));
    }
    if status.cannot_reach_kafka() {
        return no_kafka(supervisor, &format!("its supervisor is {}", status.detailed_state));
    }
    if seen.queued > 0 { no_slot(seen) } else { unknown(supervisor.id(), status) }
}

fn no_slot(seen: &Seen) -> Error {
    let used: u64 = seen.workers.iter().map(|worker| worker.curr_capacity_used).sum();
    let slots: u64 = seen.workers.iter().map(|worker| worker.worker.capacity).sum();
    let message = format!("{} of its tasks wait for a free slot: {used} of Druid's {slots} are taken", seen.queued);
    Error::new(Kind::Failed, message)
        .hint("give Druid's workers more slots (druid.worker.capacity), or end supervisors that are not needed")
}

fn unknown(id: &str, status: &Status) -> Error {
    let tasks = status.active_tasks.len();
    let message = format!("Druid says no reason; its supervisor is {} with {tasks} active tasks", status.detailed_state);
    Error::new(Kind::Watchdog, message).hint(format!(
        "were rows dropped from Druid? a reset of the supervisor (POST /druid/indexer/v1/supervisor/{id}/reset) has it read the \
         whole topic again. Or does it skip records that it cannot read? its log names them"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::druid::{columns, spec};

    fn supervisor() -> Supervisor {
        let config = config::load(None, &[]).unwrap();
        let columns = columns::columns("SALES-value", &config.sources[0].schema_text, &config.datasources[0]).unwrap();
        spec::supervisor(&config, &config.datasources[0], &columns).unwrap()
    }

    #[test]
    fn what_the_sampler_says_is_told_in_the_pipeline_file_s_terms() {
        // The words of Druid 33.
        let cases = [
            (
                "Exception while seeking to the [earliest] offset of partitions in topic [T]: Timeout expired while fetching topic metadata",
                Kind::Unreachable,
                "Kafka at 127.0.0.1:9092",
            ),
            (
                "Unable to create RecordSupplier: No resolvable bootstrap urls given in bootstrap.servers",
                Kind::Unreachable,
                "Kafka at",
            ),
            (
                "Failed to sample data: Consumer is not subscribed to any topics or assigned any partitions",
                Kind::Unreachable,
                "no topic SALES",
            ),
            (
                "Failed to sample data: java.net.ConnectException: Connection refused",
                Kind::Unreachable,
                "registry at http://127.0.0.1:8081",
            ),
            ("Failed to fetch Avro schema id[9] from registry.", Kind::Data, "topic SALES"),
            (
                "Please make sure to load all the necessary extensions and jars with type 'avro_stream' on 'druid/coordinator' service. Could not resolve type id 'avro_stream' as a subtype of `org.apache.druid.data.input.InputFormat`",
                Kind::Failed,
                "extension of Druid is missing",
            ),
        ];
        for (said, kind, part) in cases {
            let error = reading(&supervisor(), said);
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.message.contains(part) && error.message.contains(said), "{error}");
        }
    }

    #[test]
    fn the_variables_that_druid_needs_are_named() {
        let mut config = config::load(None, &[]).unwrap();
        config.druid.kafka_properties = toml::from_str("\"sasl.jaas.config\" = { env = \"JAAS\" }").unwrap();
        let columns = columns::columns("SALES-value", &config.sources[0].schema_text, &config.datasources[0]).unwrap();
        let supervisor = spec::supervisor(&config, &config.datasources[0], &columns).unwrap();
        let error = reading(&supervisor, "Unable to create RecordSupplier: null");
        assert!(error.hint.unwrap().contains("is JAAS set for all of Druid's processes?"));
    }

    #[test]
    fn of_a_stall_the_nearest_cause_is_told() {
        let failed =
            Task { id: "t".into(), kind: None, status_code: Some("FAILED".into()), error_msg: Some("no schema 9".into()) };
        let suspended = Status { suspended: true, ..Status::default() };
        let connecting = Status { detailed_state: "CONNECTING_TO_STREAM".into(), ..Status::default() };
        let worker = serde_json::from_str(r#"{"worker": {"capacity": 8}, "currCapacityUsed": 8}"#).unwrap();
        let cases = [
            (Seen { failed: Some(failed), status: suspended.clone(), ..Seen::default() }, "no schema 9"),
            (Seen { status: suspended, ..Seen::default() }, "suspended"),
            (Seen { status: connecting, queued: 1, ..Seen::default() }, "does not reach Kafka"),
            (Seen { queued: 2, workers: vec![worker], ..Seen::default() }, "8 of Druid's 8"),
            (Seen::default(), "no reason"),
        ];
        for (seen, part) in cases {
            let error = stalled(&supervisor(), &seen);
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn a_topic_made_anew_is_noticed() {
        let offsets = |offset| BTreeMap::from([(0, 10), (1, offset)]);
        assert!(behind_the_end(&offsets(20), &offsets(20)).is_none());
        let behind = behind_the_end(&offsets(21), &offsets(20)).unwrap();
        assert_eq!(behind.changes()[0].to_string(), "offset of partition 1: 21 -> 20");
        let error = behind.error(&supervisor());
        assert_eq!(error.kind, Kind::DataLoss);
        assert!(error.message.contains("partition 1 of topic SALES up to offset 21, but it ends at 20"), "{error}");
        assert!(behind_the_end(&BTreeMap::new(), &offsets(3)).is_none());
    }
}
