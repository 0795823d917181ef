//! Which records Druid can make a row of. Pure: schemas come in as an argument.

use std::collections::{HashMap, HashSet};

use crate::avro::{Plan, Scalar, wire};
use crate::error::Result;

/// So many unknown schema ids are asked for: garbage with a zero in front has a new one in every record.
const UNKNOWN_IDS: usize = 100;

/// Tells readable records from others, as Druid's Avro decoder does: a known schema id, a datum that fits, a time in it.
#[derive(Debug)]
pub struct Readable {
    time: String,
    plans: HashMap<u32, Plan>,
    unknown: HashSet<u32>,
}

impl Readable {
    /// For records whose time is in this field.
    pub fn new(time: impl Into<String>) -> Self {
        Self { time: time.into(), plans: HashMap::new(), unknown: HashSet::new() }
    }

    /// Whether a record with this value becomes a row. `schema` finds the schema of an id, once an id.
    pub fn is_row(&mut self, value: &[u8], schema: impl FnOnce(u32) -> Result<Option<String>>) -> Result<bool> {
        let Ok((id, datum)) = wire::split(value) else { return Ok(false) };
        self.learn(id, schema)?;
        let Some(plan) = self.plans.get(&id) else { return Ok(false) };
        let mut time = [Scalar::Null];
        Ok(plan.decode(datum, &mut time).is_ok() && time[0] != Scalar::Null)
    }

    fn learn(&mut self, id: u32, schema: impl FnOnce(u32) -> Result<Option<String>>) -> Result<()> {
        if self.plans.contains_key(&id) || self.unknown.contains(&id) || self.unknown.len() >= UNKNOWN_IDS {
            return Ok(());
        }
        match schema(id)?.and_then(|schema| Plan::compile(&schema, &[&self.time]).ok()) {
            Some(plan) => {
                self.plans.insert(id, plan);
            }
            None => {
                self.unknown.insert(id);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "S", "fields": [
        {"name": "at", "type": ["null", "long"]}, {"name": "store", "type": "string"}]}"#;

    fn is_row(value: &[u8]) -> bool {
        let schema = |id| Ok((id == 7).then(|| SCHEMA.to_owned()));
        Readable::new("at").is_row(value, schema).unwrap()
    }

    #[test]
    fn a_row_has_a_known_schema_a_whole_datum_and_a_time() {
        assert!(is_row(&[0, 0, 0, 0, 7, 2, 2, 2, b'A']));
        assert!(!is_row(&[0, 0, 0, 0, 7, 0, 2, b'A']), "no time");
        assert!(!is_row(&[0, 0, 0, 0, 7, 2, 2, 4, b'A']), "cut off");
        assert!(!is_row(&[0, 0, 0, 0, 8, 2, 2, 2, b'A']), "unknown schema");
        assert!(!is_row(b"{\"at\": 1}") && !is_row(b""), "no Avro");
    }

    #[test]
    fn the_registry_is_asked_once_an_id_and_not_for_ever() {
        let mut asked = 0;
        let mut readable = Readable::new("at");
        for id in (0..1000_u32).chain(0..1000) {
            let value = [&[0], id.to_be_bytes().as_slice()].concat();
            let schema = |_| {
                asked += 1;
                Ok(None)
            };
            assert!(!readable.is_row(&value, schema).unwrap());
        }
        assert_eq!(asked, UNKNOWN_IDS);
    }
}
