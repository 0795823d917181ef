//! The supervisor that should be there x the one that is -> what to do. Pure.
//!
//! Druid gives a spec back filled with its defaults, so only what we set is compared: a setting that is not ours may be anything.
//! Of the columns all are compared, the surplus ones too: they are one setting.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use crate::error::{Error, Kind};

/// Where the mark of the pipeline file stands.
const MARK: &str = "/context/pipeline/name";

/// What to do about a supervisor.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// There is none: create it.
    Create,
    /// It is as it should be.
    Unchanged,
    /// It is ours, and differs.
    Change(Vec<Difference>),
    /// Somebody else made it, and it differs.
    Foreign {
        /// The pipeline file that made it, if one did.
        owner: Option<String>,
        /// What would have to change.
        differences: Vec<Difference>,
    },
}

/// One setting that is not as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its name, as Druid's documentation writes it.
    pub setting: String,
    /// What is there.
    pub old: Option<Value>,
    /// What should be there.
    pub new: Option<Value>,
}

impl Difference {
    /// Whether it changes what rows look like, not only how they come.
    pub fn shapes_rows(&self) -> bool {
        self.setting.starts_with("dataSchema.") || self.setting.starts_with("column ")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.setting, Shown(self.old.as_ref()), Shown(self.new.as_ref()))
    }
}

struct Shown<'a>(Option<&'a Value>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None | Some(Value::Null) => f.write_str("none"),
            Some(Value::String(text)) => f.write_str(text),
            Some(other) => write!(f, "{other}"),
        }
    }
}

/// Compares the supervisor that should be there with what Druid has under its name.
pub fn verdict(desired: &Value, found: Option<&Value>) -> Verdict {
    let Some(found) = found else { return Verdict::Create };
    let differences = differences(desired, found);
    let owner = |spec: &Value| spec.pointer(MARK).and_then(Value::as_str).map(str::to_owned);
    match (differences.is_empty(), owner(found)) {
        (true, _) => Verdict::Unchanged,
        (false, found) if found == owner(desired) => Verdict::Change(differences),
        (false, owner) => Verdict::Foreign { owner, differences },
    }
}

/// The refusal to change a supervisor that somebody else made.
pub fn foreign(id: &str, owner: Option<&str>, differences: &[Difference]) -> Error {
    let maker = owner
        .map_or_else(|| "was not made by this program".into(), |name| format!("belongs to the pipeline file named `{name}`"));
    let list: Vec<String> = differences.iter().map(Difference::to_string).collect();
    let message =
        format!("Druid has a supervisor {id} that {maker}, and it is not as [[datasource]] `{id}` says: {}", list.join("; "));
    Error::new(Kind::Failed, message).hint(format!(
        "give the datasource another name; or, if nobody needs that supervisor, terminate it \
         (POST /druid/indexer/v1/supervisor/{id}/terminate) and run this again: it goes on where that one stopped"
    ))
}

/// What differs between a desired spec and one that was found, setting by setting.
fn differences(desired: &Value, found: &Value) -> Vec<Difference> {
    let mut list = Vec::new();
    if let Value::Object(settings) = desired {
        // The mark says whose it is, not how it is.
        for (name, value) in settings.iter().filter(|(name, _)| *name != "context") {
            let path = if name == "spec" { "" } else { name };
            compare(path, value, found.get(name), &mut list);
        }
    }
    list
}

fn compare(path: &str, desired: &Value, found: Option<&Value>, list: &mut Vec<Difference>) {
    match desired {
        Value::Object(settings) => {
            for (name, value) in settings {
                compare(&join(path, name), value, found.and_then(|found| found.get(name)), list);
            }
        }
        Value::Array(columns) if path.ends_with(".dimensions") => dimensions(columns, found, list),
        _ if Some(desired) == found => {}
        _ => list.push(Difference { setting: path.into(), old: found.cloned(), new: Some(desired.clone()) }),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { [path, name].join(".") }
}

/// Columns are told apart by name; their order says nothing.
fn dimensions(desired: &[Value], found: Option<&Value>, list: &mut Vec<Difference>) {
    let desired = by_name(desired);
    let found = by_name(found.and_then(Value::as_array).map_or(&[], Vec::as_slice));
    let names: BTreeSet<&String> = desired.keys().chain(found.keys()).collect();
    for name in names {
        let (old, new) = (found.get(name), desired.get(name));
        if old != new {
            list.push(Difference { setting: ["column", name].join(" "), old: old.cloned(), new: new.cloned() });
        }
    }
}

/// Name -> type. Druid takes a bare name for a string column.
fn by_name(columns: &[Value]) -> Map<String, Value> {
    let string = || Value::from("string");
    let column = |column: &Value| match column {
        Value::String(name) => Some((name.clone(), string())),
        other => Some((
            other.get("name")?.as_str()?.to_owned(),
            other.get("type").filter(|kind| !kind.is_null()).cloned().unwrap_or_else(string),
        )),
    };
    columns.iter().filter_map(column).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{self, Config, Override};
    use crate::druid::{columns, spec};

    fn config(overrides: &[&str]) -> Config {
        config::load(None, &overrides.iter().map(|text| Override::from_flag(text).unwrap()).collect::<Vec<_>>()).unwrap()
    }

    fn desired_of(config: &Config) -> Value {
        let datasource = &config.datasources[0];
        let columns = columns::columns("SALES-value", &config.sources[0].schema_text, &datasource.time).unwrap();
        serde_json::to_value(spec::supervisor(config, datasource, &columns).unwrap()).unwrap()
    }

    fn desired() -> Value {
        desired_of(&config(&[]))
    }

    /// As Druid gives it back: defaults filled in, legacy copies beside it.
    fn found() -> Value {
        let mut found = desired();
        found["spec"]["ioConfig"]["pollTimeout"] = json!(100);
        found["spec"]["ioConfig"]["consumerProperties"]["fetch.min.bytes"] = json!("1");
        found["spec"]["dataSchema"]["dimensionsSpec"]["dimensions"][0]["createBitmapIndex"] = json!(true);
        found["spec"]["tuningConfig"]["maxRowsInMemory"] = json!(150_000);
        found["ioConfig"] = found["spec"]["ioConfig"].clone();
        found
    }

    fn changes(found: &Value) -> Vec<String> {
        match verdict(&desired(), Some(found)) {
            Verdict::Change(list) => list.iter().map(Difference::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_there_is_created() {
        assert_eq!(verdict(&desired(), None), Verdict::Create);
    }

    #[test]
    fn defaults_that_druid_fills_in_change_nothing() {
        assert_eq!(verdict(&desired(), Some(&found())), Verdict::Unchanged);
    }

    #[test]
    fn a_changed_setting_is_named_with_old_and_new() {
        let cases = [
            ("/spec/dataSchema/timestampSpec/column", json!("at"), "dataSchema.timestampSpec.column: at -> sale_ts"),
            ("/spec/dataSchema/granularitySpec/rollup", json!(true), "dataSchema.granularitySpec.rollup: true -> false"),
            ("/spec/dataSchema/metricsSpec", json!([{"type": "count"}]), "dataSchema.metricsSpec: [{\"type\":\"count\"}] -> []"),
            ("/spec/ioConfig/topic", json!("OLD"), "ioConfig.topic: OLD -> SALES"),
            ("/spec/ioConfig/taskDuration", json!("PT3600S"), "ioConfig.taskDuration: PT3600S -> PT600S"),
            (
                "/spec/ioConfig/consumerProperties/bootstrap.servers",
                json!("old:9092"),
                "ioConfig.consumerProperties.bootstrap.servers: old:9092 -> 127.0.0.1:9092",
            ),
            (
                "/spec/ioConfig/inputFormat/avroBytesDecoder/url",
                Value::Null,
                "ioConfig.inputFormat.avroBytesDecoder.url: none -> http://127.0.0.1:8081",
            ),
            ("/spec/tuningConfig/logParseExceptions", json!(false), "tuningConfig.logParseExceptions: false -> true"),
            ("/suspended", json!(true), "suspended: true -> false"),
        ];
        for (pointer, value, told) in cases {
            let mut found = found();
            *found.pointer_mut(pointer).unwrap() = value;
            assert_eq!(changes(&found), [told]);
        }
    }

    #[test]
    fn columns_are_compared_by_name_whatever_their_order() {
        let mut found = found();
        let columns = found.pointer_mut("/spec/dataSchema/dimensionsSpec/dimensions").unwrap();
        *columns = json!([{"type": "long", "name": "sale_amount"}, "store_id"]);
        assert_eq!(verdict(&desired(), Some(&found)), Verdict::Unchanged);
        *found.pointer_mut("/spec/dataSchema/dimensionsSpec/dimensions").unwrap() = json!(["sale_amount", "gone"]);
        assert_eq!(
            changes(&found),
            ["column gone: string -> none", "column sale_amount: string -> long", "column store_id: none -> string"]
        );
    }

    #[test]
    fn what_others_made_is_left_alone_unless_it_is_the_same() {
        let mut foreign = found();
        foreign["context"] = Value::Null;
        assert_eq!(verdict(&desired(), Some(&foreign)), Verdict::Unchanged);
        foreign["spec"]["ioConfig"]["topic"] = json!("OTHER");
        assert!(matches!(verdict(&desired(), Some(&foreign)), Verdict::Foreign { owner: None, .. }));
        foreign["context"] = json!({"pipeline": {"name": "theirs"}});
        assert!(matches!(verdict(&desired(), Some(&foreign)), Verdict::Foreign { owner: Some(name), .. } if name == "theirs"));
    }
}
