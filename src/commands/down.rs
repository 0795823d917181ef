//! `pipeline down`: takes away what the pipeline file made, what is seen first: dashboard, supervisors, rows, topics.

use std::collections::BTreeSet;

use super::messages;
use crate::cli::Down;
use crate::config::Config;
use crate::druid::{self, Remove};
use crate::error::{Error, Kind, Result};
use crate::kafka::Cluster;
use crate::plan::{Action, Plan, Step, Told};
use crate::registry::Registry;
use crate::superset;

/// What of Kafka and the registry goes, with --topics.
struct Topics {
    cluster: Cluster,
    registry: Registry,
    plan: Plan,
}

pub(super) async fn run(config: &Config, args: &Down) -> Result<()> {
    let what = Remove { data: args.data, topics: args.topics };
    let in_superset = superset::Removals::plan(config).await?;
    if in_superset.is_none() {
        warning!("Superset is left out: [superset] has neither username nor password");
    }
    let mut plan = in_superset.as_ref().map(|removals| removals.plan.clone()).unwrap_or_default();
    let in_druid = druid::Removals::plan(config, what).await?;
    plan.steps.extend(in_druid.plan.steps.iter().cloned());
    let topics = if args.topics { Some(Topics::look(config).await?) } else { None };
    plan.steps.extend(topics.iter().flat_map(|topics| topics.plan.steps.iter().cloned()));

    let removes = plan.count(|action| *action == Action::Remove);
    if removes == 0 {
        say!("{}nothing to do: {}", Told { plan: &plan, done: false }, plan.summary());
        return Ok(());
    }
    messages::intent(&Told { plan: &plan, done: false }, !args.yes);
    super::confirm(&format!("remove what is listed here (objects: {removes})"), args.yes)?;

    if let Some(removals) = in_superset {
        removals.carry_out(config).await?;
    }
    in_druid.carry_out(config, |told| note!("{told}")).await?;
    if let Some(topics) = topics {
        topics.remove().await?;
    }
    say!("{}{}", Told { plan: &plan, done: true }, plan.summary());
    Ok(())
}

impl Topics {
    async fn look(config: &Config) -> Result<Self> {
        let (cluster, registry) = (Cluster::new(&config.kafka, "read_committed")?, Registry::new(&config.registry)?);
        let topics = topics(config);
        // Its questions block.
        let mut steps = tokio::task::block_in_place(|| in_kafka(config, &cluster, &topics))?;
        for subject in topics.iter().flat_map(|topic| ["key", "value"].map(|part| format!("{topic}-{part}"))) {
            if registry.latest(&subject).await?.is_some() {
                steps.push(step("subject", subject));
            }
        }
        Ok(Self { cluster, registry, plan: Plan { steps } })
    }

    async fn remove(&self) -> Result<()> {
        for Step { kind, name, .. } in &self.plan.steps {
            match *kind {
                "group" => self.cluster.delete_group(name).await?,
                "topic" => self.cluster.delete(name).await?,
                "subject" => self.registry.delete(name).await?,
                other => return Err(Error::new(Kind::Failed, format!("{other} {name}: not known how to remove it"))),
            }
        }
        Ok(())
    }
}

/// The groups and topics that there are.
fn in_kafka(config: &Config, cluster: &Cluster, topics: &BTreeSet<String>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for group in config.aggregates.iter().map(|aggregate| format!("pipeline-{}", aggregate.sink)) {
        if cluster.has_group(&group)? {
            steps.push(step("group", group));
        }
    }
    for topic in topics {
        if cluster.partitions(topic)?.is_some() {
            steps.push(step("topic", topic.clone()));
        }
    }
    Ok(steps)
}

fn step(kind: &'static str, name: String) -> Step {
    Step { kind, name, action: Action::Remove, effect: None }
}

/// The topics that the file's commands write: what `produce` makes up, sinks, and dead letters.
fn topics(config: &Config) -> BTreeSet<String> {
    let made_up = config.sources.iter().filter(|source| !source.generate.is_empty()).map(|source| source.topic.clone());
    let written = config.aggregates.iter().flat_map(|aggregate| [aggregate.sink.clone(), aggregate.dead_letter_topic()]);
    made_up.chain(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_file_s_commands_write_is_a_topic_to_delete() {
        let mut config = crate::config::load(None, &[]).unwrap();
        let found = |config: &Config| topics(config).into_iter().collect::<Vec<_>>();
        assert_eq!(found(&config), ["SALES", "SALES_AGGREGATE", "SALES_DEAD_LETTERS"]);
        config.sources[0].generate.clear();
        assert_eq!(found(&config), ["SALES_AGGREGATE", "SALES_DEAD_LETTERS"]);
    }
}
