//! What is seen of a supervisor -> what that means. Pure.

use std::collections::BTreeMap;

use super::report::Verdict;
use crate::config::Datasource;
use crate::druid::cause;
use crate::druid::diff;
use crate::druid::spec::Supervisor;
use crate::druid::status::{Status, Task, Worker};
use crate::error::{Error, Kind};
use crate::plan::{Action, Change};

/// Settings that change how rows come, but not which: what begins so.
const PACE: [&str; 4] = ["tuningConfig", "ioConfig.taskCount", "ioConfig.taskDuration", "ioConfig.replicas"];
/// What it says at its start.
const CONNECTING: &str = "CONNECTING_TO_STREAM";
/// What puts a supervisor right.
const INGEST: &str = "`pipeline druid-ingest` puts it right; with --dry-run it shows what that causes";

/// What is seen of a supervisor.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Its state; `None`: there is no supervisor.
    pub status: Option<Status>,
    /// Its tasks that ended, the newest first.
    pub ended: Vec<Task>,
    /// How many of its tasks wait for a free slot.
    pub queued: usize,
    /// The processes that run tasks.
    pub workers: Vec<Worker>,
    /// The ends of its topic, asked for after the state.
    pub ends: Ends,
}

/// The ends of a topic's partitions.
#[derive(Debug, Default)]
pub(super) enum Ends {
    /// Kafka cannot be asked.
    #[default]
    Unknown,
    /// There is no such topic.
    NoTopic,
    /// These, by partition.
    At(BTreeMap<i32, i64>),
}

/// What is to be said of a supervisor that should be as `desired`, and for which there is this to be done.
pub(super) fn judge(desired: &Supervisor, action: &Action, seen: &Seen) -> Vec<Verdict> {
    match action {
        Action::NotOurs { maker, changes } => {
            vec![Verdict::Failed(diff::foreign("supervisor", desired.id(), maker, changes))]
        }
        Action::Change(changes) if changes.iter().any(|change| change.setting == "suspended") => vec![suspended(desired)],
        Action::Change(changes) => match drift(desired, changes) {
            // How it fares says nothing of the one that there should be.
            failed @ Verdict::Failed(_) => vec![failed],
            drift => std::iter::once(drift).chain(health(desired, seen)).collect(),
        },
        Action::Unchanged => health(desired, seen),
        Action::Create | Action::Remove => vec![Verdict::Note("not there yet: `pipeline druid-ingest` makes it".into())],
    }
}

fn suspended(desired: &Supervisor) -> Verdict {
    let message = format!("supervisor {} is suspended: nothing new comes into its datasource", desired.id());
    Verdict::Failed(Error::new(Kind::Differs, message).hint("`pipeline druid-ingest` resumes it"))
}

fn drift(desired: &Supervisor, changes: &[Change]) -> Verdict {
    let list: Vec<String> = changes.iter().map(Change::to_string).collect();
    let message = format!(
        "supervisor {} is not as the pipeline file says (what Druid has -> what the file says): {}",
        desired.id(),
        list.join("; ")
    );
    if changes.iter().all(|change| PACE.iter().any(|pace| change.setting.starts_with(pace))) {
        Verdict::Note(format!("{message}; the rows are the same; {INGEST}"))
    } else {
        Verdict::Failed(Error::new(Kind::Differs, message).hint(INGEST))
    }
}

/// Whether it reads.
fn health(desired: &Supervisor, seen: &Seen) -> Vec<Verdict> {
    let Some(status) = &seen.status else { return Vec::new() };
    match &seen.ends {
        Ends::Unknown => {}
        Ends::NoTopic => {
            let topic = &desired.spec.io_config.topic;
            let message = format!("supervisor {} reads topic {topic}, which is not there any more", desired.id());
            let hint = "was it deleted? make it anew with what writes it; `pipeline down --data` and druid-ingest then make all rows anew";
            return vec![Verdict::Failed(Error::new(Kind::DataLoss, message).hint(hint))];
        }
        Ends::At(ends) => {
            if let Some(behind) = cause::behind_the_end(&status.reached(), ends) {
                return vec![Verdict::Failed(behind.error(desired))];
            }
        }
    }
    // What keeps it from connecting, if it does not come to it, a sample of the topic tells.
    if status.detailed_state == CONNECTING && !status.state.starts_with("UNHEALTHY") {
        return vec![Verdict::Note("it is connecting to Kafka, as for some seconds after its start".into())];
    }
    let ended: Vec<&Task> = seen.ended.iter().filter(|task| task.reads_kafka()).collect();
    let newest_failed = ended.first().filter(|task| task.failed()).copied();
    if status.in_trouble() || (!status.reads() && (newest_failed.is_some() || seen.queued > 0)) {
        let seen = cause::Seen {
            status: status.clone(),
            failed: newest_failed.filter(|_| !status.reads()).cloned(),
            queued: seen.queued,
            workers: seen.workers.clone(),
        };
        return vec![Verdict::Failed(cause::stalled(desired, &seen).while_doing(format!("supervisor {}", desired.id())))];
    }
    let tasks = status.active_tasks.len();
    let mut told = vec![if status.reads() {
        Verdict::Fine(format!("{}, {tasks} task{} read", status.state, if tasks == 1 { "" } else { "s" }))
    } else {
        Verdict::Note(format!(
            "it is {} and no task of it reads at this moment; a new one takes 10 s or so",
            status.detailed_state
        ))
    }];
    let failed = ended.iter().filter(|task| task.failed()).count();
    if let Some(newest) = ended.iter().find(|task| task.failed()) {
        let error = newest.error();
        told.push(Verdict::Note(format!(
            "{failed} of its last {} tasks failed, though it reads now; the newest of them: {error}",
            ended.len()
        )));
    }
    told
}

/// The tasks that a datasource should have running, and has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tasks {
    /// All that it should have.
    pub wanted: u64,
    /// Those that run.
    pub running: u64,
}

impl Tasks {
    /// Of a datasource whose topic has so many partitions: a task reads one at least.
    pub fn of(datasource: &Datasource, partitions: Option<usize>, status: Option<&Status>) -> Self {
        let readers = u64::from(datasource.task_count).min(partitions.map_or(u64::MAX, |count| count.max(1) as u64));
        let running = status.map_or(0, |status| status.active_tasks.len() as u64);
        Self { wanted: readers * u64::from(datasource.replicas), running }
    }
}

/// Whether there are slots for the tasks that are still to run.
pub(super) fn slots(all: &[Tasks], workers: &[Worker]) -> Verdict {
    let missing: u64 = all.iter().map(|tasks| tasks.wanted.saturating_sub(tasks.running)).sum();
    let wanted: u64 = all.iter().map(|tasks| tasks.wanted).sum();
    let slots: u64 = workers.iter().map(|worker| worker.worker.capacity).sum();
    let used: u64 = workers.iter().map(|worker| worker.curr_capacity_used).sum();
    let free = slots.saturating_sub(used);
    let told = format!("{free} of {slots} free, {missing} needed");
    if workers.is_empty() {
        Verdict::Note(
            "could not be checked: Druid tells of no process that runs tasks; this user may not ask, or none runs".into(),
        )
    } else if missing > free {
        let message = format!(
            "Druid has no free slots for the tasks of this pipeline file: {missing} more are needed, and of its {slots} slots {used} are taken"
        );
        Verdict::Failed(Error::new(Kind::Failed, message).hint(
            "give Druid's workers more slots (druid.worker.capacity of middle managers or indexers), or end supervisors that are not needed",
        ))
    } else if missing + wanted > free && missing + wanted > slots {
        Verdict::Note(format!(
            "{told}; when a task hands its segments over, the next one runs beside it, and waits where no slot is free"
        ))
    } else {
        Verdict::Fine(told)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config;
    use crate::druid::{columns, spec};

    fn desired() -> Supervisor {
        let config = config::load(None, &[]).unwrap();
        let columns = columns::columns("SALES-value", &config.sources[0].schema_text, &config.datasources[0]).unwrap();
        spec::supervisor(&config, &config.datasources[0], &columns).unwrap()
    }

    fn status(text: &str) -> Status {
        serde_json::from_str(text).unwrap()
    }

    const READS: &str = r#"{"state": "RUNNING", "detailedState": "RUNNING", "activeTasks": [{"startingOffsets": {"0": 5}}]}"#;

    fn seen() -> Seen {
        Seen { status: Some(status(READS)), ends: Ends::At(BTreeMap::from([(0, 9)])), ..Seen::default() }
    }

    fn change(setting: &str) -> Action {
        Action::Change(vec![Change { setting: setting.into(), old: json!(1), new: json!(2) }])
    }

    fn failure(action: &Action, seen: &Seen) -> Error {
        let told = judge(&desired(), action, seen);
        told.iter()
            .find_map(|verdict| if let Verdict::Failed(error) = verdict { Some(error.clone()) } else { None })
            .unwrap_or_else(|| panic!("{told:?}"))
    }

    #[test]
    fn one_that_reads_is_fine_and_one_to_come_is_a_note() {
        let told = judge(&desired(), &Action::Unchanged, &seen());
        assert!(matches!(&told[..], [Verdict::Fine(text)] if text == "RUNNING, 1 task read"), "{told:?}");
        assert!(matches!(&judge(&desired(), &Action::Create, &Seen::default())[..], [Verdict::Note(_)]));
    }

    #[test]
    fn a_suspended_one_is_named_with_its_remedy() {
        let error = failure(&change("suspended"), &seen());
        assert!(error.message.contains("supervisor SALES is suspended") && error.kind == Kind::Differs, "{error}");
        assert!(error.hint.unwrap().contains("druid-ingest"));
    }

    #[test]
    fn drift_that_makes_other_rows_is_a_failure_and_that_of_pace_a_note() {
        let error = failure(&change("ioConfig.topic"), &seen());
        assert!(error.message.contains("ioConfig.topic: 1 -> 2"), "{error}");
        failure(&change("dataSchema.granularitySpec.queryGranularity"), &seen());
        let pace = judge(&desired(), &change("tuningConfig.maxRowsInMemory"), &seen());
        assert!(matches!(&pace[..], [Verdict::Note(_), Verdict::Fine(_)]), "{pace:?}");
    }

    #[test]
    fn what_keeps_it_from_reading_is_told() {
        let behind = Seen { ends: Ends::At(BTreeMap::from([(0, 4)])), ..seen() };
        assert_eq!(failure(&Action::Unchanged, &behind).kind, Kind::DataLoss);
        assert!(matches!(
            &judge(&desired(), &Action::Unchanged, &Seen { ends: Ends::Unknown, ..seen() })[..],
            [Verdict::Fine(_)]
        ));
        let gone = Seen { ends: Ends::NoTopic, ..seen() };
        assert!(failure(&Action::Unchanged, &gone).message.contains("topic SALES, which is not there"));
        let task = |code: &str| -> Task {
            serde_json::from_value(json!({"id": "t", "type": "index_kafka", "statusCode": code, "errorMsg": "no schema 9"}))
                .unwrap()
        };
        let idle = status(r#"{"state": "RUNNING", "detailedState": "RUNNING"}"#);
        let failing = Seen { status: Some(idle.clone()), ended: vec![task("FAILED"), task("SUCCESS")], ..seen() };
        assert!(failure(&Action::Unchanged, &failing).message.contains("no schema 9"));
        let waiting = Seen { status: Some(idle), queued: 1, ..seen() };
        assert!(failure(&Action::Unchanged, &waiting).message.contains("wait for a free slot"));
        let lost = Seen {
            status: Some(status(r#"{"state": "UNHEALTHY_SUPERVISOR", "detailedState": "UNABLE_TO_CONNECT_TO_STREAM"}"#)),
            ..seen()
        };
        assert_eq!(failure(&Action::Unchanged, &lost).kind, Kind::Unreachable);
        let connecting = status(r#"{"state": "PENDING", "detailedState": "CONNECTING_TO_STREAM"}"#);
        let told = judge(&desired(), &Action::Unchanged, &Seen { status: Some(connecting), ..seen() });
        assert!(matches!(&told[..], [Verdict::Note(_)]), "{told:?}");
        // It has failed before, and reads now.
        let over = judge(&desired(), &Action::Unchanged, &Seen { ended: vec![task("FAILED")], ..seen() });
        assert!(matches!(&over[..], [Verdict::Fine(_), Verdict::Note(_)]), "{over:?}");
    }

    #[test]
    fn slots_are_needed_by_tasks_that_do_not_run_yet() {
        let workers = |capacity: u64, used: u64| -> Vec<Worker> {
            vec![serde_json::from_value(json!({"worker": {"capacity": capacity}, "currCapacityUsed": used})).unwrap()]
        };
        let of = |wanted, running| Tasks { wanted, running };
        let Verdict::Failed(error) = slots(&[of(1, 1), of(2, 0)], &workers(8, 7)) else { panic!("one free, two needed") };
        assert!(error.message.contains("2 more are needed") && error.message.contains("of its 8 slots 7"), "{error}");
        assert!(matches!(slots(&[of(1, 0), of(1, 0)], &workers(8, 2)), Verdict::Fine(told) if told.starts_with("6 of 8 free")));
        assert!(matches!(slots(&[of(1, 1), of(1, 1)], &workers(8, 8)), Verdict::Fine(_)));
        assert!(matches!(slots(&[of(1, 0), of(1, 0)], &workers(2, 0)), Verdict::Note(_)));
        assert!(matches!(slots(&[of(1, 0)], &[]), Verdict::Note(_)));
    }

    #[test]
    fn a_task_reads_a_partition_at_least() {
        let config = config::load(None, &[]).unwrap();
        let datasource = Datasource { task_count: 4, replicas: 2, ..config.datasources[0].clone() };
        assert_eq!(Tasks::of(&datasource, Some(3), None), Tasks { wanted: 6, running: 0 });
        assert_eq!(Tasks::of(&datasource, None, Some(&status(READS))), Tasks { wanted: 8, running: 1 });
    }
}
