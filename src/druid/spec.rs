//! The Kafka supervisor of a datasource, as Druid reads it. Pure: pipeline file and columns -> what should be there.

use serde::Serialize;

use super::columns::{Columns, Dimension, TimeFormat};
use crate::config::{Config, Datasource};
use crate::error::{Error, Kind, Result};

/// Druid's largest 32-bit number: it writes "no limit" so.
const NO_LIMIT: i32 = i32::MAX;

/// A supervisor.
#[derive(Debug, Clone, Serialize)]
pub struct Supervisor {
    #[serde(rename = "type")]
    kind: Kafka,
    /// What is ingested, from where and how.
    pub spec: Ingestion,
    /// Who made it.
    pub context: Context,
    suspended: bool,
}

/// The only kind of stream that is used here.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kafka {
    Kafka,
}

/// Druid keeps what stands here, and hands it to tasks, which ignore what they do not know.
#[derive(Debug, Clone, Serialize)]
pub struct Context {
    /// The mark by which we know our own supervisors.
    pub pipeline: Marker,
}

/// The mark of a pipeline file.
#[derive(Debug, Clone, Serialize)]
pub struct Marker {
    /// The `name` of the pipeline file.
    pub name: String,
}

/// What is ingested, from where and how.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingestion {
    /// The columns.
    pub data_schema: DataSchema,
    /// The topic.
    pub io_config: IoConfig,
    tuning_config: TuningConfig,
}

/// The columns.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataSchema {
    /// The datasource's name, which is the supervisor's id too.
    pub data_source: String,
    timestamp_spec: TimestampSpec,
    dimensions_spec: DimensionsSpec,
    metrics_spec: [(); 0],
    granularity_spec: GranularitySpec,
}

#[derive(Debug, Clone, Serialize)]
struct TimestampSpec {
    column: String,
    format: TimeFormat,
}

#[derive(Debug, Clone, Serialize)]
struct DimensionsSpec {
    dimensions: Vec<Dimension>,
}

/// Rows stay as they are (no roll-up: a chart's COUNT counts events), in one segment an hour.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct GranularitySpec {
    #[serde(rename = "type")]
    kind: &'static str,
    segment_granularity: &'static str,
    query_granularity: QueryGranularity,
    rollup: bool,
}

/// Written as Druid gives it back.
#[derive(Debug, Clone, Serialize)]
struct QueryGranularity {
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The topic and how it is read.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IoConfig {
    /// The topic.
    pub topic: String,
    /// Properties of Druid's Kafka consumer.
    pub consumer_properties: ConsumerProperties,
    /// How records become rows.
    pub input_format: InputFormat,
    task_count: u32,
    replicas: u32,
    task_duration: &'static str,
    start_delay: &'static str,
    period: &'static str,
    use_earliest_offset: bool,
}

/// Properties of Druid's Kafka consumer, which is Java's. It reads committed records only; that is Druid's default.
#[derive(Debug, Clone, Serialize)]
pub struct ConsumerProperties {
    /// Kafka as Druid reaches it.
    #[serde(rename = "bootstrap.servers")]
    pub bootstrap_servers: String,
    /// How long a question may take. Set when sampling only: without it a wrong address is never answered.
    #[serde(rename = "default.api.timeout.ms", skip_serializing_if = "Option::is_none")]
    pub api_timeout_ms: Option<u32>,
}

/// Avro with the id of its schema in front.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputFormat {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where the schema comes from.
    pub avro_bytes_decoder: AvroBytesDecoder,
}

/// Where the schema comes from.
#[derive(Debug, Clone, Serialize)]
pub struct AvroBytesDecoder {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The registry as Druid reaches it.
    pub url: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct TuningConfig {
    #[serde(rename = "type")]
    kind: Kafka,
    max_rows_per_segment: u32,
    log_parse_exceptions: bool,
    max_parse_exceptions: i32,
}

/// How long Druid may take for a question to Kafka when it samples.
const SAMPLING_TIMEOUT_MS: u32 = 4_000;

impl Supervisor {
    /// Its id, which is the datasource's name.
    pub fn id(&self) -> &str {
        &self.spec.data_schema.data_source
    }

    /// Kafka as Druid reaches it.
    pub fn kafka(&self) -> &str {
        &self.spec.io_config.consumer_properties.bootstrap_servers
    }

    /// The registry as Druid reaches it.
    pub fn registry(&self) -> &str {
        &self.spec.io_config.input_format.avro_bytes_decoder.url
    }

    /// The same, for a sample: it answers in time although Kafka does not.
    #[must_use]
    pub fn for_sampling(&self) -> Self {
        let mut sampled = self.clone();
        sampled.spec.io_config.consumer_properties.api_timeout_ms = Some(SAMPLING_TIMEOUT_MS);
        sampled
    }
}

/// The supervisor that a datasource should have.
pub fn supervisor(config: &Config, datasource: &Datasource, columns: &Columns) -> Result<Supervisor> {
    reachable_without_credentials(config)?;
    Ok(Supervisor {
        kind: Kafka::Kafka,
        spec: Ingestion {
            data_schema: data_schema(datasource, columns),
            io_config: io_config(config, datasource),
            tuning_config: tuning_config(),
        },
        context: Context { pipeline: Marker { name: config.name.clone() } },
        suspended: false,
    })
}

fn data_schema(datasource: &Datasource, columns: &Columns) -> DataSchema {
    DataSchema {
        data_source: datasource.name.clone(),
        timestamp_spec: TimestampSpec { column: datasource.time.clone(), format: columns.time_format },
        dimensions_spec: DimensionsSpec { dimensions: columns.dimensions.clone() },
        metrics_spec: [],
        granularity_spec: GranularitySpec {
            kind: "uniform",
            segment_granularity: "HOUR",
            query_granularity: QueryGranularity { kind: "none" },
            rollup: false,
        },
    }
}

// The durations are written as Druid gives them back: PT10M would read PT600S.
fn io_config(config: &Config, datasource: &Datasource) -> IoConfig {
    IoConfig {
        topic: datasource.topic.clone(),
        consumer_properties: ConsumerProperties { bootstrap_servers: config.kafka_for_druid().into(), api_timeout_ms: None },
        input_format: InputFormat {
            kind: "avro_stream",
            avro_bytes_decoder: AvroBytesDecoder { kind: "schema_registry", url: config.registry_for_druid().into() },
        },
        task_count: 1,
        replicas: 1,
        task_duration: "PT600S",
        start_delay: "PT1S",
        period: "PT5S",
        use_earliest_offset: true,
    }
}

/// A record that is no row is skipped, as the aggregator sets it aside; Druid writes it to its log.
fn tuning_config() -> TuningConfig {
    TuningConfig {
        kind: Kafka::Kafka,
        max_rows_per_segment: 5_000_000,
        log_parse_exceptions: true,
        max_parse_exceptions: NO_LIMIT,
    }
}

/// Credentials would stand readable in the supervisor, for everybody who may look at it: they are not handed on.
fn reachable_without_credentials(config: &Config) -> Result<()> {
    let refuse = |what: &str, key: &str| {
        Err(Error::new(
            Kind::Config,
            format!("{what} needs credentials, and handing them to Druid is not supported: anybody who may read a supervisor would see them"),
        )
        .hint(format!("if Druid has a way to it that needs none, name it: [druid] {key} = \"...\"")))
    };
    if config.registry.username.is_some() && config.druid.registry_url.is_none() {
        return refuse("the schema registry", "registry_url");
    }
    let protocol = config.kafka.properties.get("security.protocol").map(|property| property.0.expose());
    let plaintext = protocol.is_none_or(|protocol| protocol.eq_ignore_ascii_case("plaintext"));
    if !plaintext && config.druid.kafka_bootstrap_servers.is_none() {
        return refuse("Kafka", "kafka_bootstrap_servers");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Override};
    use crate::druid::columns::columns;

    fn config(overrides: &[&str]) -> Config {
        let overrides: Vec<Override> = overrides
            .iter()
            .map(|text| {
                if text.contains("security.protocol") { Override::from_property(text) } else { Override::from_flag(text) }
                    .unwrap()
            })
            .collect();
        config::load(None, &overrides).unwrap()
    }

    fn sales(config: &Config) -> Result<Supervisor> {
        let columns = columns("SALES-value", &config.sources[0].schema_text, "sale_ts").unwrap();
        supervisor(config, &config.datasources[0], &columns)
    }

    #[test]
    fn the_sales_supervisor() {
        let config = config(&["druid.kafka_bootstrap_servers=kafka:9092", "druid.registry_url=http://registry:8081/api"]);
        insta::assert_snapshot!(serde_json::to_string_pretty(&sales(&config).unwrap()).unwrap(), @r#"
        {
          "type": "kafka",
          "spec": {
            "dataSchema": {
              "dataSource": "SALES",
              "timestampSpec": {
                "column": "sale_ts",
                "format": "millis"
              },
              "dimensionsSpec": {
                "dimensions": [
                  {
                    "type": "string",
                    "name": "store_id"
                  },
                  {
                    "type": "long",
                    "name": "sale_amount"
                  }
                ]
              },
              "metricsSpec": [],
              "granularitySpec": {
                "type": "uniform",
                "segmentGranularity": "HOUR",
                "queryGranularity": {
                  "type": "none"
                },
                "rollup": false
              }
            },
            "ioConfig": {
              "topic": "SALES",
              "consumerProperties": {
                "bootstrap.servers": "kafka:9092"
              },
              "inputFormat": {
                "type": "avro_stream",
                "avroBytesDecoder": {
                  "type": "schema_registry",
                  "url": "http://registry:8081/api"
                }
              },
              "taskCount": 1,
              "replicas": 1,
              "taskDuration": "PT600S",
              "startDelay": "PT1S",
              "period": "PT5S",
              "useEarliestOffset": true
            },
            "tuningConfig": {
              "type": "kafka",
              "maxRowsPerSegment": 5000000,
              "logParseExceptions": true,
              "maxParseExceptions": 2147483647
            }
          },
          "context": {
            "pipeline": {
              "name": "kafka-101"
            }
          },
          "suspended": false
        }
        "#);
    }

    #[test]
    fn credentials_are_not_put_into_druid() {
        let registry = sales(&config(&["registry.username=u", "registry.password_file=/dev/null"])).unwrap_err();
        assert_eq!(registry.kind, Kind::Config);
        assert!(registry.to_string().contains("registry_url"), "{registry}");
        let kafka = sales(&config(&["security.protocol=SASL_SSL"])).unwrap_err();
        assert!(kafka.to_string().contains("kafka_bootstrap_servers"), "{kafka}");
    }

    #[test]
    fn another_way_for_druid_needs_no_credentials() {
        let config = config(&[
            "security.protocol=SASL_SSL",
            "druid.kafka_bootstrap_servers=inside:9092",
            "registry.username=u",
            "druid.registry_url=http://inside:8081",
        ]);
        let text = serde_json::to_string(&sales(&config).unwrap()).unwrap();
        assert!(text.contains("inside:9092") && text.contains("http://inside:8081"), "{text}");
    }
}
