//! The registry, and decoding by apache-avro.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::json;

use super::block_on;

/// A record as its fields.
pub type Fields = HashMap<String, Value>;

/// Decodes values in the registry's wire format.
pub struct Decoder {
    url: String,
    schemas: HashMap<u32, Schema>,
}

impl Decoder {
    pub fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').into(), schemas: HashMap::new() }
    }

    /// The fields of a value; its schema comes from the registry.
    pub fn decode(&mut self, value: &[u8]) -> Fields {
        assert_eq!(value[0], 0, "the wire format begins with 0");
        let id = u32::from_be_bytes(value[1..5].try_into().expect("four bytes"));
        let schema = self.schemas.entry(id).or_insert_with(|| Schema::parse_str(&fetch(&self.url, id)).expect("a schema"));
        let reader = GenericDatumReader::builder(schema).build().expect("a reader");
        let mut rest = &value[5..];
        let Value::Record(fields) = reader.read_value(&mut rest).expect("a datum") else { panic!("not a record") };
        assert!(rest.is_empty(), "bytes are left after the datum");
        fields.into_iter().collect()
    }

    /// Registers a schema and returns its id.
    pub fn register(&self, subject: &str, schema: &str) -> u32 {
        self.register_as("AVRO", subject, schema)
    }

    /// Registers a schema of this type (`AVRO`, `JSON`).
    pub fn register_as(&self, schema_type: &str, subject: &str, schema: &str) -> u32 {
        let body = json!({ "schema": schema, "schemaType": schema_type });
        let url = format!("{}/subjects/{subject}/versions", self.url);
        let answer: serde_json::Value =
            block_on(async { reqwest::Client::new().post(url).json(&body).send().await.unwrap().json().await.unwrap() });
        u32::try_from(answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"))).expect("an id")
    }

    /// Deletes subjects, if they are there.
    pub fn delete_subjects(&self, subjects: &[String]) {
        block_on(async {
            for subject in subjects {
                // It may not be there.
                let _ = reqwest::Client::new().delete(format!("{}/subjects/{subject}", self.url)).send().await;
            }
        });
    }
}

fn fetch(url: &str, id: u32) -> String {
    let answer: serde_json::Value =
        block_on(async { reqwest::get(format!("{url}/schemas/ids/{id}")).await.unwrap().json().await.unwrap() });
    answer["schema"].as_str().unwrap_or_else(|| panic!("no schema {id}: {answer}")).into()
}

/// A record in the wire format, written by apache-avro.
pub fn encode(id: u32, schema: &str, fields: &[(&str, Value)]) -> Vec<u8> {
    let schema = Schema::parse_str(schema).expect("a schema");
    let record = Value::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
    let mut value = vec![0];
    value.extend(id.to_be_bytes());
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
    value.extend(writer.write_value_to_vec(record).expect("a datum"));
    value
}
