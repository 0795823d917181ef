//! A Kafka broker inside this process: librdkafka's mock cluster of one broker, on a real port of 127.0.0.1.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};

use crate::error::{Error, Kind, Result};
use crate::kafka::Context;

/// A broker that runs until it is dropped. What it can do and what not is told in [`crate::embedded`].
pub struct Broker {
    /// The mock cluster is a part of this client, and goes with it.
    client: BaseProducer<Context>,
    address: String,
}

impl Broker {
    /// Starts a broker that has these topics, each with so many partitions. Clients cannot create others.
    pub fn start(topics: &[(String, i32)]) -> Result<Self> {
        let client: BaseProducer<Context> = ClientConfig::new()
            .set("test.mock.num.brokers", "1")
            .set_log_level(RDKafkaLogLevel::Error)
            .create_with_context(Context::default())
            .map_err(|error| failed("starting", &error))?;
        let cluster =
            client.client().mock_cluster().ok_or_else(|| Error::new(Kind::Failed, "embedded broker: it did not start"))?;
        let address = cluster.bootstrap_servers();
        for (topic, partitions) in topics {
            if *partitions < 1 {
                return Err(Error::new(Kind::Usage, format!("topic {topic}: {partitions} partitions; a topic has 1 at least")));
            }
            cluster.create_topic(topic, *partitions, 1).map_err(|error| failed(&format!("creating topic {topic}"), &error))?;
        }
        drop(cluster);
        let broker = Self { client, address };
        broker.divide_groups_at_once();
        Ok(broker)
    }

    /// Where clients find it: `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A new consumer group would wait 3 s for more members.
    #[allow(unsafe_code)]
    fn divide_groups_at_once(&self) {
        // SAFETY: the client lives as long as `self`, and with it the cluster that was created as a part of it. The call sets one
        // number in the cluster, which is there: its address has been asked for.
        unsafe {
            let cluster = rdkafka_sys::rd_kafka_handle_mock_cluster(self.client.client().native_ptr());
            rdkafka_sys::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
        }
    }
}

fn failed(what: &str, error: &KafkaError) -> Error {
    Error::new(Kind::Failed, format!("embedded broker, {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;

    #[test]
    fn a_broker_has_the_topics_asked_for_until_it_is_dropped() {
        let broker = Broker::start(&[("A".into(), 1), ("B".into(), 4)]).unwrap();
        let address: SocketAddr = broker.address().parse().unwrap();
        assert!(address.ip().is_loopback());
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", broker.address()).create().unwrap();
        let metadata = client.fetch_metadata(None, Duration::from_secs(10)).unwrap();
        let mut topics: Vec<_> = metadata.topics().iter().map(|topic| (topic.name(), topic.partitions().len())).collect();
        topics.sort_unstable();
        assert_eq!(topics, [("A", 1), ("B", 4)]);
        drop(client);
        drop(broker);
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn a_topic_that_cannot_be_is_named() {
        for topics in [&[("A".into(), 1), ("A".into(), 1)][..], &[("A".into(), 0)]] {
            let error = Broker::start(topics).err().unwrap();
            assert!(error.message.contains("topic A"), "{error}");
        }
    }
}
