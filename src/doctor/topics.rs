//! What is seen of a topic -> what that means. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::report::Verdict;
use crate::aggregate::compacted;
use crate::config::{Aggregate, Millis, Source};
use crate::error::{Error, Kind};
use crate::kafka::{Copies, Right};

/// A topic that keeps records for less than this longer than its windows need is worth a note: a restart must find them.
const MARGIN: Millis = Millis(3_600_000);
/// How much larger than its record a dead letter may be.
const LETTER_EXTRA: i64 = 64 * 1024;

/// What is seen of a topic that is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Its partitions.
    pub partitions: Vec<Copies>,
    /// Its settings, as far as the broker tells them.
    pub settings: BTreeMap<String, String>,
    /// What this user may do with it, if the broker tells.
    pub rights: Option<BTreeSet<Right>>,
    /// How many brokers there are.
    pub brokers: usize,
}

impl Seen {
    fn number(&self, setting: &str) -> Option<i64> {
        self.settings.get(setting)?.parse().ok()
    }

    /// How long it keeps records; `None`: for ever, or it is not known.
    fn retention(&self) -> Option<Millis> {
        self.number("retention.ms").filter(|ms| *ms >= 0).map(Millis)
    }

    fn policy(&self) -> Option<&str> {
        self.settings.get("cleanup.policy").map(String::as_str)
    }

    /// What is fine, in a few words.
    fn told(&self) -> String {
        let count = self.partitions.len();
        let copies = self.partitions.first().map_or(0, |partition| partition.all);
        let kept = match (self.retention(), self.number("retention.ms")) {
            (Some(time), _) => format!(", kept for {time}"),
            (None, Some(_)) => ", kept for ever".into(),
            (None, None) => String::new(),
        };
        format!("{count} partition{}, {copies} of each{kept}", if count == 1 { "" } else { "s" })
    }
}

/// What the pipeline does with a topic.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role<'a> {
    /// Events come in on it.
    Source(&'a Source),
    /// Rows go out on it: of this aggregate, whose source has so many partitions.
    Sink(&'a Aggregate, Option<usize>),
    /// Dead letters go to it, of records that may be so large.
    Letters(Option<i64>),
}

/// A topic that is not there.
pub(super) fn missing(kafka: &str, topic: &str, role: Role<'_>) -> Verdict {
    match role {
        Role::Source(source) if source.generate.is_empty() => {
            let message = format!("Kafka at {kafka}: there is no topic {topic}");
            Verdict::Failed(
                Error::new(Kind::Unreachable, message)
                    .hint("is the topic's name right? who writes it makes it; with a [source.generate] `pipeline produce` does, and `pipeline up` without --no-produce"),
            )
        }
        Role::Source(_) => Verdict::Note("not there yet: `pipeline produce` makes it".into()),
        Role::Sink(..) | Role::Letters(_) => Verdict::Note("not there yet: `pipeline aggregate` makes it".into()),
    }
}

/// What is to be said of a topic that is there; first that it is fine, if it is.
pub(super) fn judge(topic: &str, role: Role<'_>, aggregates: &[Aggregate], seen: &Seen) -> Vec<Verdict> {
    let mut told = copies(topic, seen);
    told.extend(rights(topic, role, seen));
    match role {
        Role::Source(source) => {
            let over: Vec<&Aggregate> = aggregates.iter().filter(|aggregate| aggregate.source == source.topic).collect();
            if !over.is_empty() {
                told.extend(compaction(topic, seen, "sums over it would be wrong, since older records of a key vanish"));
                told.extend(over.iter().max_by_key(|aggregate| needed(aggregate)).and_then(|one| retention(topic, one, seen)));
            }
        }
        Role::Sink(_, partitions) => {
            told.extend(compaction(topic, seen, "of each key it would keep the last window only"));
            told.extend(brief(seen));
            let own = seen.partitions.len();
            told.extend(partitions.filter(|source| *source != own).map(|source| {
                Verdict::Note(format!(
                    "it has {own} partitions and its source {source}: nothing is lost, but load is shared otherwise"
                ))
            }));
        }
        Role::Letters(largest) => told.extend(letters(seen, largest)),
    }
    if seen.policy().is_none() {
        told.push(Verdict::Note(
            "the broker does not tell its settings: whether it is compacted, and how long it keeps records, could not be checked"
                .into(),
        ));
    }
    if !told.iter().any(|verdict| matches!(verdict, Verdict::Failed(_))) {
        told.insert(0, Verdict::Fine(seen.told()));
    }
    told
}

fn copies(topic: &str, seen: &Seen) -> Vec<Verdict> {
    let failed = |message: String, hint: &str| Verdict::Failed(Error::new(Kind::Unreachable, message).hint(hint));
    let mut told = Vec::new();
    if let Some(partition) = seen.partitions.iter().position(|partition| !partition.has_leader) {
        let message = format!("partition {partition} of topic {topic} has no leader: nobody can read or write it");
        told.push(failed(message, "a broker is down that has it: start that one"));
        return told;
    }
    let wanted = usize::try_from(seen.number("min.insync.replicas").unwrap_or(1)).unwrap_or(1);
    if let Some(partition) = seen.partitions.iter().position(|partition| partition.in_sync < wanted) {
        let in_sync = seen.partitions[partition].in_sync;
        let message = format!(
            "partition {partition} of topic {topic} has {in_sync} copies in sync, and its min.insync.replicas is {wanted}: it takes no records"
        );
        told.push(failed(message, "start the brokers that are down, or lower min.insync.replicas of the topic"));
    }
    if seen.brokers > 1 && seen.partitions.iter().any(|partition| partition.all == 1) {
        told.push(Verdict::Note(format!("each record is kept on one of the {} brokers only: with it, it is lost", seen.brokers)));
    }
    told
}

fn rights(topic: &str, role: Role<'_>, seen: &Seen) -> Option<Verdict> {
    let rights = seen.rights.as_ref()?;
    let needed: &[Right] = match role {
        Role::Source(source) if source.generate.is_empty() => &[Right::Read],
        Role::Source(_) | Role::Sink(..) => &[Right::Read, Right::Write],
        Role::Letters(_) => &[Right::Write],
    };
    let lacking: Vec<&str> = needed
        .iter()
        .filter(|right| !rights.contains(right))
        .map(|right| match right {
            Right::Read => "READ",
            Right::Write => "WRITE",
        })
        .collect();
    (!lacking.is_empty()).then(|| {
        let message = format!("this user lacks {} of topic {topic}", lacking.join(" and "));
        Verdict::Failed(Error::new(Kind::Refused, message).hint("add it to the user's ACLs in Kafka (kafka-acls)"))
    })
}

fn compaction(topic: &str, seen: &Seen, why: &str) -> Option<Verdict> {
    seen.policy().filter(|policy| policy.contains("compact")).map(|policy| Verdict::Failed(compacted(topic, policy, why)))
}

/// How long a record is needed for: until its window is closed.
fn needed(aggregate: &Aggregate) -> Millis {
    Millis(aggregate.window.0.saturating_add(aggregate.lateness.0))
}

fn retention(topic: &str, aggregate: &Aggregate, seen: &Seen) -> Option<Verdict> {
    if !seen.policy().is_none_or(|policy| policy.contains("delete")) {
        return None;
    }
    let needed = needed(aggregate);
    let Some(kept) = seen.retention() else { return by_size(seen) };
    let left = Millis(kept.0 - needed.0);
    if left.0 <= 0 {
        let message = format!(
            "topic {topic} keeps a record for {kept} (retention.ms), and aggregate `{}` needs it for {needed} (window {} and lateness {}): \
             records of open windows would be deleted",
            aggregate.sink, aggregate.window, aggregate.lateness
        );
        return Some(Verdict::Failed(Error::new(Kind::DataLoss, message).hint(
            "raise retention.ms of the topic (kafka-configs), best to days: an aggregate that was stopped must find what it has not read",
        )));
    }
    if left < MARGIN {
        return Some(Verdict::Note(format!(
            "it keeps a record for {kept}: if the aggregate is stopped for longer than {left}, records of open windows are gone, and it \
             must begin anew"
        )));
    }
    by_size(seen)
}

fn by_size(seen: &Seen) -> Option<Verdict> {
    let bytes = seen.number("retention.bytes").filter(|bytes| *bytes >= 0)?;
    Some(Verdict::Note(format!(
        "it keeps {bytes} bytes of a partition at most (retention.bytes): how long that is depends on how much is written"
    )))
}

fn brief(seen: &Seen) -> Option<Verdict> {
    let kept = seen.retention().filter(|kept| *kept < MARGIN)?;
    Some(Verdict::Note(format!("it keeps a row for {kept}: what Druid has not read by then is lost to it")))
}

fn letters(seen: &Seen, largest: Option<i64>) -> Option<Verdict> {
    let (takes, record) = (seen.number("max.message.bytes")?, largest?);
    (takes < record.saturating_add(LETTER_EXTRA)).then(|| {
        Verdict::Note(format!(
            "it takes {takes} bytes at a time (max.message.bytes), and a record of the source may have {record}: a dead letter, which is \
             larger than its record, may not fit"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Config};

    fn sales() -> Config {
        config::load(None, &[]).unwrap()
    }

    fn seen(settings: &[(&str, &str)]) -> Seen {
        let partition = Copies { has_leader: true, all: 1, in_sync: 1 };
        let all = [("cleanup.policy", "delete"), ("retention.ms", "604800000")];
        let settings = all.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Seen { partitions: vec![partition], settings, rights: None, brokers: 1 }
    }

    fn of_source(seen: &Seen) -> Vec<Verdict> {
        let config = sales();
        judge("SALES", Role::Source(&config.sources[0]), &config.aggregates, seen)
    }

    fn of_sink(seen: &Seen, source: usize) -> Vec<Verdict> {
        let config = sales();
        judge("SALES_AGGREGATE", Role::Sink(&config.aggregates[0], Some(source)), &config.aggregates, seen)
    }

    fn failure(told: &[Verdict]) -> &Error {
        let failed = told.iter().find_map(|verdict| if let Verdict::Failed(error) = verdict { Some(error) } else { None });
        failed.unwrap_or_else(|| panic!("{told:?}"))
    }

    fn notes(told: &[Verdict], words: &str) -> bool {
        assert!(matches!(told[0], Verdict::Fine(_)), "{told:?}");
        told.iter().any(|verdict| matches!(verdict, Verdict::Note(text) if text.contains(words)))
    }

    #[test]
    fn a_topic_as_it_should_be_takes_one_line() {
        let told = of_source(&seen(&[]));
        assert!(matches!(&told[..], [Verdict::Fine(text)] if text == "1 partition, 1 of each, kept for 7days"), "{told:?}");
        assert!(
            matches!(&of_sink(&seen(&[("retention.ms", "-1")]), 1)[..], [Verdict::Fine(text)] if text.ends_with("kept for ever"))
        );
    }

    #[test]
    fn records_must_outlive_their_windows() {
        // Window 1m and lateness 5s.
        let error = of_source(&seen(&[("retention.ms", "65000")]));
        let error = failure(&error);
        assert_eq!(error.kind, Kind::DataLoss);
        assert!(error.message.contains("keeps a record for 1m 5s") && error.message.contains("needs it for 1m 5s"), "{error}");
        assert!(notes(&of_source(&seen(&[("retention.ms", "65001")])), "stopped for longer than 1ms"));
        assert!(notes(&of_source(&seen(&[("retention.ms", "3600000")])), "stopped for longer than 58m 55s"));
        assert_eq!(of_source(&seen(&[("retention.ms", "3665000")])).len(), 1);
        assert!(notes(&of_source(&seen(&[("retention.bytes", "1000")])), "retention.bytes"));
    }

    #[test]
    fn neither_source_nor_sink_may_be_compacted() {
        let compacted = seen(&[("cleanup.policy", "compact,delete")]);
        for told in [of_source(&compacted), of_sink(&compacted, 1)] {
            let error = failure(&told);
            assert!(error.kind == Kind::DataLoss && error.message.contains("is compacted"), "{error}");
        }
        // Nothing is summed over it.
        let config = sales();
        let told = judge("SALES", Role::Source(&config.sources[0]), &[], &compacted);
        assert!(matches!(&told[..], [Verdict::Fine(_)]), "{told:?}");
    }

    #[test]
    fn what_hinders_reading_and_writing_is_a_failure() {
        let with = |copies| Seen { partitions: vec![copies], brokers: 3, ..seen(&[("min.insync.replicas", "2")]) };
        let headless = of_source(&with(Copies { has_leader: false, all: 3, in_sync: 0 }));
        assert!(failure(&headless).message.contains("no leader"));
        let alone = of_source(&with(Copies { has_leader: true, all: 3, in_sync: 1 }));
        assert!(failure(&alone).message.contains("min.insync.replicas is 2"));
        let single = Seen { brokers: 3, ..seen(&[]) };
        assert!(notes(&of_source(&single), "one of the 3 brokers"));
    }

    #[test]
    fn rights_are_those_that_the_role_needs() {
        let with = |rights: &[Right]| Seen { rights: Some(rights.iter().copied().collect()), ..seen(&[]) };
        let told = of_source(&with(&[Right::Read]));
        let error = failure(&told);
        assert!(error.kind == Kind::Refused && error.message.contains("lacks WRITE of topic SALES"), "{error}");
        assert_eq!(of_source(&with(&[Right::Read, Right::Write])).len(), 1);
        let config = sales();
        let letters = judge("L", Role::Letters(None), &config.aggregates, &with(&[Right::Read]));
        assert!(failure(&letters).message.contains("WRITE"));
    }

    #[test]
    fn what_is_not_told_is_said_and_not_guessed() {
        let told = of_source(&Seen { settings: BTreeMap::new(), ..seen(&[]) });
        assert!(notes(&told, "could not be checked"));
    }

    #[test]
    fn of_sink_and_letters_what_is_unlike_the_source_is_a_note() {
        assert!(notes(&of_sink(&seen(&[]), 3), "its source 3"));
        assert!(notes(&of_sink(&seen(&[("retention.ms", "600000")]), 1), "Druid has not read"));
        let config = sales();
        let small = seen(&[("max.message.bytes", "1048588")]);
        assert!(notes(&judge("L", Role::Letters(Some(1_048_588)), &config.aggregates, &small), "may not fit"));
        assert_eq!(judge("L", Role::Letters(Some(1_000)), &config.aggregates, &small).len(), 1);
    }

    #[test]
    fn a_missing_topic_is_a_failure_only_if_nothing_of_ours_makes_it() {
        let mut config = sales();
        assert!(matches!(missing("k", "SALES", Role::Source(&config.sources[0])), Verdict::Note(_)));
        config.sources[0].generate.clear();
        assert!(matches!(missing("k", "SALES", Role::Source(&config.sources[0])), Verdict::Failed(_)));
        assert!(matches!(missing("k", "S", Role::Sink(&config.aggregates[0], None)), Verdict::Note(_)));
    }
}
