//! Whose turn it is: before anything is read, whoever could still write is fenced, or this instance is refused.
//!
//! Alone, the transactional id is the group's, so that taking it over fences every other lone instance. Instances that share the
//! source have ids of their own, and the broker takes a commit only from a member of the group as it is now (KIP-447). The two must
//! not meet: a sharing instance first becomes a member, then fences the lone one; a lone one first takes over its id, then looks for
//! members, and at last asks the broker to take a plain commit, which it takes only from a group without members. Whichever comes
//! later, one of them sees the other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;

use super::control::Control;
use super::restore::{Found, Part};
use super::run::Job;
use crate::error::{Error, Kind};
use crate::kafka::{Broken, Cluster, Member, Share, Source, Transactional};

/// Others may be in a transaction, or wait for the registry, before they look after a rebalance.
const SHARE_LIMIT: Duration = Duration::from_secs(120);
/// A member that was killed stays one until its session times out (6 s).
const MEMBERS_LIMIT: Duration = Duration::from_secs(12);
const POLL: Duration = Duration::from_millis(100);

/// Why a session ends before its work is done.
#[derive(Debug)]
pub(super) enum Interrupted {
    /// Begin anew from what is committed.
    StartOver(Error),
    /// Beginning anew would not help.
    GiveUp(Error),
    /// The group has divided the partitions anew: begin with the new share.
    Reassigned,
    /// It was told to stop before it had begun: there is nothing to commit.
    Stopped,
}

impl From<Broken> for Interrupted {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::StartOver(error) => Self::StartOver(error),
            Broken::GiveUp(error) => Self::GiveUp(error),
        }
    }
}

impl From<Error> for Interrupted {
    fn from(error: Error) -> Self {
        Broken::from(error).into()
    }
}

type Result<T> = std::result::Result<T, Interrupted>;

pub(super) struct Turn<'a> {
    pub producer: Transactional,
    shared: Option<(&'a Member, Share)>,
}

impl<'a> Turn<'a> {
    /// Takes over; waits for the group's decision if the source is shared.
    pub fn take(job: &Job, control: &Control, member: Option<&'a Member>, cluster: &Cluster) -> Result<Self> {
        control.beat("taking over from an earlier instance");
        let Some(member) = member else {
            // First of all: this aborts a predecessor's open transaction, whose offsets would not be readable.
            let producer = Transactional::new(&job.kafka, &job.transactional_id())?.writing(&job.written());
            refuse_members(&job.group, control, cluster)?;
            return Ok(Self { producer, shared: None });
        };
        let share = wait_for_share(job, control, member)?;
        drop(Transactional::new(&job.kafka, &job.group)?);
        let producer = Transactional::new(&job.kafka, &job.transactional_id())?.writing(&job.written());
        Ok(Self { producer, shared: Some((member, share)) })
    }

    /// The partitions that are ours.
    pub fn part(&self) -> Part<'_> {
        self.shared.as_ref().map_or(Part::Whole, |(_, share)| Part::Share(&share.partitions))
    }

    /// Whether others may read other partitions.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// As whom offsets are committed: as the member that has this share, and no later one.
    pub fn group_metadata(&self, source: &Source) -> Result<ConsumerGroupMetadata> {
        Ok(match &self.shared {
            Some((member, _)) => member.group_metadata()?,
            None => source.group_metadata()?,
        })
    }

    /// Alone: an error if the group has members after all. (The list of members may lack some while a broker is away.)
    pub fn claim(&self, source: &Source, found: &BTreeMap<i32, Found>) -> Result<()> {
        let first = found.iter().find_map(|(partition, found)| Some((*partition, found.committed.as_ref()?)));
        match first {
            Some((partition, committed)) if !self.is_shared() && !source.claim(partition, committed)? => {
                Err(Interrupted::GiveUp(shared_by("instances that the broker did not name")))
            }
            _ => Ok(()),
        }
    }

    /// An error once the group has divided anew.
    pub fn check(&self) -> Result<()> {
        match &self.shared {
            Some((member, share)) if member.serve(Duration::ZERO)?.as_ref() != Some(share) => Err(Interrupted::Reassigned),
            _ => Ok(()),
        }
    }
}

fn wait_for_share(job: &Job, control: &Control, member: &Member) -> Result<Share> {
    let begin = Instant::now();
    while begin.elapsed() < SHARE_LIMIT && !control.is_stopping() {
        control.beat("waiting for a share of the partitions");
        if let Some(share) = member.serve(POLL)? {
            tracing::info!("consumer group {}: partitions {:?} are ours", job.group, share.partitions);
            return Ok(share);
        }
    }
    if control.is_stopping() {
        return Err(Interrupted::Stopped);
    }
    let what =
        format!("consumer group {} has given this instance no share of the partitions in {} s", job.group, SHARE_LIMIT.as_secs());
    Err(Interrupted::StartOver(Error::new(Kind::Unreachable, what).hint("is an instance stuck? see PIPELINE_LOG=debug")))
}

fn shared_by(members: &str) -> Error {
    Error::new(Kind::Config, format!("the consumer group has members: {members}"))
        .hint("they share the source: stop them first, or start this one with --instance NAME too")
}

/// An error if the group has members, once those that were killed have had their time.
pub(super) fn refuse_members(group: &str, control: &Control, cluster: &Cluster) -> Result<()> {
    let begin = Instant::now();
    loop {
        control.beat("looking for instances that share the source");
        let members = cluster.members(group)?;
        if members.is_empty() {
            return Ok(());
        }
        if control.is_stopping() {
            return Err(Interrupted::Stopped);
        }
        if begin.elapsed() > MEMBERS_LIMIT {
            return Err(Interrupted::GiveUp(shared_by(&members.join(", "))));
        }
        std::thread::sleep(POLL);
    }
}
