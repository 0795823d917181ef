//! The Kafka supervisor of a datasource, as Druid reads it. Pure: pipeline file and columns -> what should be there.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::columns::{Columns, Dimension, FieldPath, Metric, TimeFormat};
use super::handed;
use crate::config::{Config, Datasource, Rollup, Segment};
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
    /// The supervisor's id: a copy of the spec under another id is not ours.
    pub datasource: String,
    /// The `tuning` that was posted: what Druid does not know it does not give back.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub tuning: Map<String, Value>,
}

/// What is ingested, from where and how.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingestion {
    /// The columns.
    pub data_schema: DataSchema,
    /// The topic.
    pub io_config: IoConfig,
    tuning_config: Map<String, Value>,
}

/// The columns.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataSchema {
    /// The datasource's name, which is the supervisor's id too.
    pub data_source: String,
    timestamp_spec: TimestampSpec,
    dimensions_spec: DimensionsSpec,
    metrics_spec: Vec<Metric>,
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

/// Without rollup rows stay as they are: a chart's COUNT counts events.
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
#[serde(untagged)]
enum QueryGranularity {
    None {
        #[serde(rename = "type")]
        kind: &'static str,
    },
    Named(&'static str),
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
    task_duration: String,
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
    /// What else the pipeline file hands it.
    #[serde(flatten)]
    handed: Map<String, Value>,
}

/// Avro with the id of its schema in front.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputFormat {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where the schema comes from.
    pub avro_bytes_decoder: AvroBytesDecoder,
    /// Where fields are found, if not all of them by their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    flatten_spec: Option<FlattenSpec>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct FlattenSpec {
    use_field_discovery: bool,
    fields: Vec<FieldPath>,
}

/// Where the schema comes from.
#[derive(Debug, Clone, Serialize)]
pub struct AvroBytesDecoder {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The registry as Druid reaches it.
    pub url: String,
    /// What the pipeline file hands Druid's client.
    #[serde(skip_serializing_if = "Map::is_empty")]
    config: Map<String, Value>,
}

/// How long Druid may take for a question to Kafka when it samples.
const SAMPLING_TIMEOUT_MS: u32 = 4_000;

impl Supervisor {
    /// Its id, which is the datasource's name.
    pub fn id(&self) -> &str {
        &self.spec.data_schema.data_source
    }

    /// As JSON.
    pub fn to_json(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|error| Error::new(Kind::Failed, format!("the supervisor of {} cannot be written: {error}", self.id())))
    }

    /// Kafka as Druid reaches it.
    pub fn kafka(&self) -> &str {
        &self.spec.io_config.consumer_properties.bootstrap_servers
    }

    /// The registry as Druid reaches it.
    pub fn registry(&self) -> &str {
        &self.spec.io_config.input_format.avro_bytes_decoder.url
    }

    /// The variables of Druid's processes that it takes secrets of Kafka's, and of the registry's, from.
    pub fn variables(&self) -> [Vec<&str>; 2] {
        let io = &self.spec.io_config;
        [&io.consumer_properties.handed, &io.input_format.avro_bytes_decoder.config].map(handed::variables)
    }

    /// The same, for a sample: it answers in time although Kafka does not.
    #[must_use]
    pub fn for_sampling(&self) -> Self {
        let mut sampled = self.clone();
        sampled.spec.io_config.consumer_properties.api_timeout_ms = Some(SAMPLING_TIMEOUT_MS);
        sampled
    }
}

/// The id of a supervisor, by its spec as JSON.
pub fn id(supervisor: &Value) -> &str {
    let named = supervisor.pointer("/spec/dataSchema/dataSource").or_else(|| supervisor.pointer("/dataSchema/dataSource"));
    named.and_then(Value::as_str).unwrap_or_default()
}

/// The supervisor that a datasource should have.
pub fn supervisor(config: &Config, datasource: &Datasource, columns: &Columns) -> Result<Supervisor> {
    handed::check(config)?;
    let tuning = json!(datasource.tuning).as_object().cloned().unwrap_or_default();
    Ok(Supervisor {
        kind: Kafka::Kafka,
        spec: Ingestion {
            data_schema: data_schema(datasource, columns),
            io_config: io_config(config, datasource, columns),
            tuning_config: tuning_config(&tuning),
        },
        context: Context { pipeline: Marker { name: config.name.clone(), datasource: datasource.name.clone(), tuning } },
        suspended: false,
    })
}

fn data_schema(datasource: &Datasource, columns: &Columns) -> DataSchema {
    DataSchema {
        data_source: datasource.name.clone(),
        timestamp_spec: TimestampSpec { column: columns.time.clone(), format: columns.time_format },
        dimensions_spec: DimensionsSpec { dimensions: columns.dimensions.clone() },
        metrics_spec: columns.metrics.clone(),
        granularity_spec: GranularitySpec {
            kind: "uniform",
            segment_granularity: match datasource.segment {
                Segment::Hour => "HOUR",
                Segment::Day => "DAY",
                Segment::Week => "WEEK",
                Segment::Month => "MONTH",
            },
            query_granularity: datasource
                .rollup
                .as_ref()
                .and_then(Rollup::granularity)
                .map_or(QueryGranularity::None { kind: "none" }, QueryGranularity::Named),
            rollup: datasource.rollup.is_some(),
        },
    }
}

// Durations are written as Druid gives them back: PT10M would read PT600S.
fn io_config(config: &Config, datasource: &Datasource, columns: &Columns) -> IoConfig {
    let flatten_spec = FlattenSpec { use_field_discovery: false, fields: columns.paths.clone() };
    IoConfig {
        topic: datasource.topic.clone(),
        consumer_properties: ConsumerProperties {
            bootstrap_servers: config.kafka_for_druid().into(),
            api_timeout_ms: None,
            handed: handed::properties(&config.druid.kafka_properties),
        },
        input_format: InputFormat {
            kind: "avro_stream",
            avro_bytes_decoder: AvroBytesDecoder {
                kind: "schema_registry",
                url: config.registry_for_druid().into(),
                config: handed::properties(&config.druid.registry_properties),
            },
            flatten_spec: (!columns.paths.is_empty()).then_some(flatten_spec),
        },
        task_count: datasource.task_count,
        replicas: datasource.replicas,
        task_duration: format!("PT{}S", datasource.task_duration.0 / 1_000),
        start_delay: "PT1S",
        period: "PT5S",
        use_earliest_offset: true,
    }
}

/// A record that is no row is skipped, as the aggregator sets it aside; Druid writes it to its log. What the pipeline file says wins.
fn tuning_config(tuning: &Map<String, Value>) -> Map<String, Value> {
    let ours = [
        ("type", json!("kafka")),
        ("maxRowsPerSegment", json!(5_000_000)),
        ("logParseExceptions", json!(true)),
        ("maxParseExceptions", json!(NO_LIMIT)),
    ];
    let ours = ours.map(|(name, value)| (name.to_owned(), value));
    ours.into_iter().chain(tuning.iter().map(|(name, value)| (name.clone(), value.clone()))).collect()
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
        let columns = columns("SALES-value", &config.sources[0].schema_text, &config.datasources[0]).unwrap();
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
              "logParseExceptions": true,
              "maxParseExceptions": 2147483647,
              "maxRowsPerSegment": 5000000,
              "type": "kafka"
            }
          },
          "context": {
            "pipeline": {
              "name": "kafka-101",
              "datasource": "SALES"
            }
          },
          "suspended": false
        }
        "#);
    }

    #[test]
    fn all_that_the_pipeline_file_says_of_a_datasource_is_in_its_supervisor() {
        let mut config = config(&[]);
        config.datasources[0] = toml::from_str(
            r#"
            name = "CLICKS"
            topic = "CLICKS"
            time = "at"
            columns = ["page.section"]
            segment = "day"
            task_count = 2
            replicas = 3
            task_duration = "1h"
            rollup = { grain = "5m", measure = [{ name = "count", function = "count" }, { name = "ms", function = "sum", field = "page.ms" }] }
            tuning = { maxRowsInMemory = 1000, logParseExceptions = false, indexSpec = { bitmap = { type = "roaring" } } }
            "#,
        )
        .unwrap();
        let schema = r#"{"type":"record","name":"C","fields":[{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
            {"name":"page","type":{"type":"record","name":"P","fields":[{"name":"section","type":"string"},{"name":"ms","type":"long"}]}}]}"#;
        let columns = columns("CLICKS-value", schema, &config.datasources[0]).unwrap();
        let supervisor = supervisor(&config, &config.datasources[0], &columns).unwrap();
        let spec = supervisor.to_json().unwrap();
        let (schema, io) = (&spec["spec"]["dataSchema"], &spec["spec"]["ioConfig"]);
        assert_eq!(schema["timestampSpec"], json!({"column": "at", "format": "micro"}));
        assert_eq!(schema["dimensionsSpec"]["dimensions"], json!([{"type": "string", "name": "page_section"}]));
        let metrics = json!([{"type": "count", "name": "count"}, {"type": "longSum", "name": "ms", "fieldName": "page_ms"}]);
        assert_eq!(schema["metricsSpec"], metrics);
        let granularity =
            json!({"type": "uniform", "segmentGranularity": "DAY", "queryGranularity": "FIVE_MINUTE", "rollup": true});
        assert_eq!(schema["granularitySpec"], granularity);
        let fields = json!([
            {"type": "root", "name": "at", "expr": "at"},
            {"type": "path", "name": "page_section", "expr": "$.page.section"},
            {"type": "path", "name": "page_ms", "expr": "$.page.ms"},
        ]);
        assert_eq!(io["inputFormat"]["flattenSpec"], json!({"useFieldDiscovery": false, "fields": fields}));
        assert_eq!((&io["taskCount"], &io["replicas"], &io["taskDuration"]), (&json!(2), &json!(3), &json!("PT3600S")));
        let tuning = &spec["spec"]["tuningConfig"];
        assert_eq!((&tuning["maxRowsInMemory"], &tuning["logParseExceptions"]), (&json!(1_000), &json!(false)));
        assert_eq!(tuning["maxParseExceptions"], i32::MAX, "what the file does not say stays as it is");
        assert_eq!(spec["context"]["pipeline"]["tuning"]["maxRowsInMemory"], 1_000);
    }

    #[test]
    fn credentials_that_druid_needs_too_are_asked_for() {
        let registry = sales(&config(&["registry.username=u", "registry.password_file=/dev/null"])).unwrap_err();
        assert_eq!(registry.kind, Kind::Config);
        assert!(
            registry.to_string().contains("registry_url") && registry.to_string().contains("basic.auth.user.info"),
            "{registry}"
        );
        let token = sales(&config(&["registry.token_file=Cargo.toml"])).unwrap_err();
        assert!(token.to_string().contains("[druid.registry_properties]"), "{token}");
        let kafka = sales(&config(&["security.protocol=SASL_SSL"])).unwrap_err();
        assert!(
            kafka.to_string().contains("kafka_bootstrap_servers") && kafka.to_string().contains("sasl.jaas.config"),
            "{kafka}"
        );
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

    #[test]
    fn what_is_handed_to_druid_is_in_the_supervisor() {
        let mut config = config(&["security.protocol=SASL_SSL", "registry.username=u"]);
        config.druid.kafka_properties =
            toml::from_str("\"security.protocol\" = \"SASL_SSL\"\n\"sasl.jaas.config\" = { env = \"JAAS\" }").unwrap();
        config.druid.registry_properties = toml::from_str("\"basic.auth.user.info\" = { env = \"INFO\" }").unwrap();
        let spec = sales(&config).unwrap().to_json().unwrap();
        let properties = json!({
            "bootstrap.servers": "127.0.0.1:9092",
            "security.protocol": "SASL_SSL",
            "druid.dynamic.config.provider": {"type": "environment", "variables": {"sasl.jaas.config": "JAAS"}},
        });
        assert_eq!(spec["spec"]["ioConfig"]["consumerProperties"], properties);
        let decoder =
            json!({"druid.dynamic.config.provider": {"type": "environment", "variables": {"basic.auth.user.info": "INFO"}}});
        assert_eq!(spec["spec"]["ioConfig"]["inputFormat"]["avroBytesDecoder"]["config"], decoder);
    }
}
