//! The supervisor that should be there x the one that is -> what to do, and what that causes. Pure.
//!
//! Druid gives a spec back filled with its defaults, so only what we set is compared; and of what we do not set, the surplus that
//! decides which rows come: columns, metrics, paths of fields, transformations, properties of the consumer, times that are rejected.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::found::Found;
use super::spec;
use crate::config::PROVIDER;
use crate::error::{Error, Kind};
use crate::plan::{Action, Change};

/// Where the mark of the pipeline file stands.
const MARK: &str = "/context/pipeline";
/// The tuning that was posted last.
const MARKED_TUNING: &str = "/context/pipeline/tuning";
/// The mark's name in a plan.
const MARK_SETTING: &str = "context.pipeline.name";
/// The setting that makes Druid find fields by their paths.
const FLATTEN: &str = "ioConfig.inputFormat.flattenSpec";

/// Lists whose entries are told apart by name, and what a plan calls an entry.
const NAMED: [(&str, &str); 3] = [(".dimensions", "column"), (".metricsSpec", "metric"), (".flattenSpec.fields", "path")];

/// Settings that we leave alone and that decide which rows come: unset, they are null or empty.
const SURPLUS: [&str; 6] = [
    "dataSchema.transformSpec",
    "ioConfig.lateMessageRejectionPeriod",
    "ioConfig.lateMessageRejectionStartDateTime",
    "ioConfig.earlyMessageRejectionPeriod",
    "ioConfig.autoScalerConfig",
    "ioConfig.inputFormat.avroBytesDecoder.headers",
];
/// Settings whose every entry is ours.
const WHOLE: [&str; 2] = ["ioConfig.consumerProperties", "ioConfig.inputFormat.avroBytesDecoder.config"];

/// The pipeline file that a supervisor's spec is marked with. A copy of a spec under another id has a mark that is not its own.
pub fn owner(spec: &Value) -> Option<&str> {
    let mark = spec.pointer(MARK)?;
    mark["name"].as_str().filter(|_| mark["datasource"] == spec::id(spec))
}

/// What to do about a supervisor. With `adopt` what others made is ours to change, and rows that others brought are ours to add to.
pub fn action(desired: &Value, found: &Found, adopt: bool) -> Action {
    let found = match found {
        Found::Supervisor(spec) => spec,
        Found::Left { has_rows: true, .. } if !adopt && found.owner() != owner(desired) => {
            return Action::NotOurs { maker: format!("{}: it has rows", maker(found.owner())), changes: Vec::new() };
        }
        Found::Left { .. } => return Action::Create,
    };
    let mut changes = differences(desired, found);
    let (ours, theirs) = (owner(desired), owner(found));
    match (ours == theirs, adopt) {
        (false, true) => {
            changes.push(Change { setting: MARK_SETTING.into(), old: json!(theirs), new: json!(ours) });
            Action::Change(changes)
        }
        _ if changes.is_empty() => Action::Unchanged,
        (true, _) => Action::Change(changes),
        (false, false) => Action::NotOurs { maker: maker(theirs), changes },
    }
}

/// Who made something that is marked like this, in a plan.
pub fn maker(owner: Option<&str>) -> String {
    owner.map_or_else(|| "not made by this program".into(), |name| format!("of the pipeline file named `{name}`"))
}

/// Whether Druid has this spec, mark and all.
pub fn stands(desired: &Value, found: &Value) -> bool {
    owner(desired) == owner(found) && differences(desired, found).is_empty()
}

/// Whether a change makes rows look otherwise, not only how they come.
pub fn shapes_rows(changes: &[Change]) -> bool {
    let shapes = |change: &Change| {
        let named = NAMED.iter().any(|(_, word)| change.setting.starts_with(&format!("{word} ")));
        named || change.setting.starts_with("dataSchema.") || change.setting.starts_with(FLATTEN)
    };
    changes.iter().any(shapes)
}

/// What carrying out an action causes.
pub fn effect(action: &Action) -> Option<String> {
    let (Action::Change(changes) | Action::NotOurs { changes, .. }) = action else { return None };
    let setting = |name: &str| changes.iter().find(|change| change.setting == name);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let told = if let Some(topic) = setting("ioConfig.topic") {
        let (old, new) = (text(&topic.old), text(&topic.new));
        format!("reset needed: topic {new} is read from its start; the rows of {old} stay until the datasource is dropped")
    } else if let Some(time) = setting("dataSchema.timestampSpec.column") {
        let old = text(&time.old);
        format!(
            "reset needed: rows that are there keep the time of {old}; `pipeline down --data` and druid-ingest make all of them anew"
        )
    } else if shapes_rows(changes) {
        "its tasks are restarted; new rows only: those that are there stay as they are".into()
    } else {
        "its tasks are restarted; rows that are there stay".into()
    };
    let defaults = if setting(MARK_SETTING).is_some() { "; settings that are not listed get Druid's defaults" } else { "" };
    Some(told + defaults)
}

/// The refusal to change what somebody else made.
pub fn foreign(kind: &str, name: &str, maker: &str, changes: &[Change]) -> Error {
    let list: Vec<String> = changes.iter().map(Change::to_string).collect();
    let differs =
        if list.is_empty() { String::new() } else { format!(", and not as [[datasource]] `{name}` says: {}", list.join("; ")) };
    let message = format!("Druid has a {kind} {name} that is {maker}{differs}; nothing was changed");
    Error::new(Kind::Failed, message).hint(
        "--adopt takes it over, and keeps a backup; or give the datasource another name. --dry-run shows it setting by setting",
    )
}

/// What differs between a desired spec and one that was found, setting by setting.
fn differences(desired: &Value, found: &Value) -> Vec<Change> {
    let mut list = Vec::new();
    if let Value::Object(settings) = desired {
        // The mark says whose it is, not how it is.
        for (name, value) in settings.iter().filter(|(name, _)| *name != "context") {
            let path = if name == "spec" { "" } else { name };
            compare(path, value, found.get(name), &mut list);
        }
    }
    list.extend(unwanted_paths(desired, found));
    list.extend(surplus(desired, found));
    let posted = found.pointer(MARKED_TUNING);
    list.retain(|change| !is_swallowed(change, posted));
    list
}

/// What is set in the found spec and not in the desired one, as far as it matters.
fn surplus(desired: &Value, found: &Value) -> Vec<Change> {
    let at = |spec: &Value, path: &str| path.split('.').fold(spec["spec"].clone(), |mut inside, part| inside[part].take());
    let keys = |value: Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let posted = found.pointer(MARKED_TUNING).cloned().unwrap_or_default();
    let whole = WHOLE.into_iter().flat_map(|map| keys(at(found, map)).into_iter().map(move |key| (map, key)));
    // Druid fills tuning up with its defaults: only what we once posted is known to be more.
    let tuning = keys(posted).into_iter().map(|key| ("tuningConfig", key));
    let of_maps = whole.chain(tuning).filter_map(|(map, key)| {
        let old = at(found, map)[&key].take();
        let is_wanted = at(desired, map).get(&key).is_some();
        (!is_wanted && !old.is_null()).then(|| Change { setting: join(map, &key), old, new: Value::Null })
    });
    let single = SURPLUS.iter().filter_map(|path| {
        let old = at(found, path);
        (!says_nothing(&old)).then(|| Change { setting: (*path).into(), old, new: Value::Null })
    });
    single.chain(of_maps).collect()
}

/// Null, empty, or made of such.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(says_nothing),
        _ => false,
    }
}

/// Paths of fields, where Druid shall find fields by their names.
fn unwanted_paths(desired: &Value, found: &Value) -> Option<Change> {
    const AT: &str = "/spec/ioConfig/inputFormat/flattenSpec";
    let old = found.pointer(AT).filter(|spec| !spec.is_null() && desired.pointer(AT).is_none())?;
    let by_name = old["useFieldDiscovery"] == json!(true) && old["fields"].as_array().is_none_or(Vec::is_empty);
    (!by_name).then(|| Change { setting: FLATTEN.into(), old: old.clone(), new: Value::Null })
}

/// Whether this was posted as it should be, and Druid does not give it back: it does not know the setting.
fn is_swallowed(change: &Change, posted: Option<&Value>) -> bool {
    let Some(name) = change.setting.strip_prefix("tuningConfig.") else { return false };
    let posted = posted.map(|posted| name.split('.').fold(posted, |inside, part| &inside[part]));
    change.old.is_null() && posted == Some(&change.new)
}

fn compare(path: &str, desired: &Value, found: Option<&Value>, list: &mut Vec<Change>) {
    let named = NAMED.iter().find(|(end, _)| path.ends_with(end));
    match (desired, named) {
        // What is in a provider counts as a whole: a variable too many is one that Druid uses.
        (Value::Object(settings), _) if !path.ends_with(PROVIDER) => {
            for (name, value) in settings {
                compare(&join(path, name), value, found.and_then(|found| found.get(name)), list);
            }
        }
        (Value::Array(entries), Some((_, word))) => compare_named(word, entries, found, list),
        _ if found.is_some_and(|found| same(desired, found)) => {}
        _ => list.push(Change { setting: path.into(), old: found.cloned().unwrap_or_default(), new: desired.clone() }),
    }
}

/// Equal, or the same written otherwise: Druid reads "1000" as 1000, and 1 as 1.0. Two texts are equal or not.
fn same(desired: &Value, found: &Value) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    match (desired, found) {
        (Value::String(text), other @ (Value::Number(_) | Value::Bool(_)))
        | (other @ (Value::Number(_) | Value::Bool(_)), Value::String(text)) => {
            let written = other.to_string();
            *text == written || (number(text).is_some() && number(text) == other.as_f64())
        }
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        _ => desired == found,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { [path, name].join(".") }
}

/// The order of entries says nothing.
fn compare_named(word: &str, desired: &[Value], found: Option<&Value>, list: &mut Vec<Change>) {
    let found = by_name(found.and_then(Value::as_array).map_or(&[], Vec::as_slice));
    let desired = by_name(desired);
    let names: BTreeSet<&String> = desired.keys().chain(found.keys()).collect();
    for name in names {
        let (old, new) = (found.get(name), desired.get(name));
        if let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new)
            && new.iter().all(|(name, value)| old.get(name) == Some(value))
        {
            continue;
        }
        let short = |entry: Option<&Value>| entry.map_or(Value::Null, |entry| in_short(word, entry));
        list.push(Change { setting: [word, name].join(" "), old: short(old), new: short(new) });
    }
}

/// What is worth telling of an entry: of a column its type, of a path where it leads, of a metric what it is made of.
fn in_short(word: &str, entry: &Value) -> Value {
    match word {
        "column" => entry["type"].clone(),
        "path" => entry["expr"].clone(),
        _ => match entry["fieldName"].as_str() {
            Some(field) => json!([entry["type"].as_str().unwrap_or_default(), " of ", field].concat()),
            None => entry["type"].clone(),
        },
    }
}

/// Druid takes a bare name for a string column.
fn by_name(entries: &[Value]) -> Map<String, Value> {
    let entry = |entry: &Value| match entry {
        Value::String(name) => Some((name.clone(), json!({"type": "string", "name": name}))),
        other => {
            let mut other = other.clone();
            if other["type"].is_null() {
                other["type"] = json!("string");
            }
            Some((other["name"].as_str()?.to_owned(), other))
        }
    };
    entries.iter().filter_map(entry).collect()
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
        let columns = columns::columns("SALES-value", &config.sources[0].schema_text, datasource).unwrap();
        serde_json::to_value(spec::supervisor(config, datasource, &columns).unwrap()).unwrap()
    }

    fn desired() -> Value {
        desired_of(&config(&[]))
    }

    fn action(desired: &Value, found: Option<&Value>, adopt: bool) -> Action {
        let nothing = Found::Left { past: None, has_rows: false };
        super::action(desired, &found.map_or(nothing, |spec| Found::Supervisor(spec.clone())), adopt)
    }

    /// As Druid gives it back: defaults filled in, legacy copies beside it.
    fn found() -> Value {
        let mut found = desired();
        found["spec"]["ioConfig"]["pollTimeout"] = json!(100);
        found["spec"]["ioConfig"]["autoScalerConfig"] = Value::Null;
        found["spec"]["dataSchema"]["transformSpec"] = json!({"filter": null, "transforms": []});
        found["spec"]["dataSchema"]["dimensionsSpec"]["dimensions"][0]["createBitmapIndex"] = json!(true);
        found["spec"]["tuningConfig"]["maxRowsInMemory"] = json!(150_000);
        found["ioConfig"] = found["spec"]["ioConfig"].clone();
        found
    }

    fn changes(found: &Value) -> Vec<String> {
        match action(&desired(), Some(found), false) {
            Action::Change(list) => list.iter().map(Change::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_there_is_created() {
        assert_eq!(action(&desired(), None, false), Action::Create);
    }

    #[test]
    fn defaults_that_druid_fills_in_change_nothing() {
        assert_eq!(action(&desired(), Some(&found()), true), Action::Unchanged);
    }

    #[test]
    fn a_changed_setting_is_named_with_old_and_new() {
        let cases = [
            ("/spec/dataSchema/timestampSpec/column", json!("at"), "dataSchema.timestampSpec.column: \"at\" -> \"sale_ts\""),
            ("/spec/dataSchema/granularitySpec/rollup", json!(true), "dataSchema.granularitySpec.rollup: true -> false"),
            (
                "/spec/dataSchema/metricsSpec",
                json!([{"type": "longSum", "name": "n", "fieldName": "x"}]),
                "metric n: \"longSum of x\" -> none",
            ),
            ("/spec/ioConfig/topic", json!("OLD"), "ioConfig.topic: \"OLD\" -> \"SALES\""),
            ("/spec/ioConfig/taskDuration", json!("PT3600S"), "ioConfig.taskDuration: \"PT3600S\" -> \"PT600S\""),
            (
                "/spec/ioConfig/consumerProperties/bootstrap.servers",
                json!("old:9092"),
                "ioConfig.consumerProperties.bootstrap.servers: \"old:9092\" -> \"127.0.0.1:9092\"",
            ),
            (
                "/spec/ioConfig/inputFormat/avroBytesDecoder/url",
                Value::Null,
                "ioConfig.inputFormat.avroBytesDecoder.url: none -> \"http://127.0.0.1:8081\"",
            ),
            ("/spec/tuningConfig/logParseExceptions", json!(false), "tuningConfig.logParseExceptions: false -> true"),
            ("/suspended", json!(true), "suspended: true -> false"),
            (
                "/spec/dataSchema/transformSpec/filter",
                json!({"type": "true"}),
                "dataSchema.transformSpec: {\"filter\":{\"type\":\"true\"},\"transforms\":[]} -> none",
            ),
            ("/spec/ioConfig/autoScalerConfig", json!({"x": 1}), "ioConfig.autoScalerConfig: {\"x\":1} -> none"),
            (
                "/spec/ioConfig/consumerProperties",
                json!({"bootstrap.servers": "127.0.0.1:9092", "group.id": "g"}),
                "ioConfig.consumerProperties.group.id: \"g\" -> none",
            ),
        ];
        for (pointer, value, told) in cases {
            let mut found = found();
            *found.pointer_mut(pointer).unwrap() = value;
            assert_eq!(changes(&found), [told]);
        }
    }

    #[test]
    fn properties_that_nobody_asked_for_are_a_difference() {
        let provider = |name: &str| json!({"type": "environment", "variables": {"sasl.jaas.config": name}});
        let mut config = config(&[]);
        config.druid.kafka_properties = toml::from_str("\"sasl.jaas.config\" = { env = \"JAAS\" }").unwrap();
        config.druid.registry_properties = toml::from_str("\"schema.registry.ssl.truststore.type\" = \"PEM\"").unwrap();
        let desired = desired_of(&config);
        let told = |pointer: &str, value: Value| {
            let mut found = desired.clone();
            *found.pointer_mut(pointer).unwrap() = value;
            match action(&desired, Some(&found), false) {
                Action::Change(list) => list.iter().map(Change::to_string).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(action(&desired, Some(&desired), false), Action::Unchanged);
        let consumer = "/spec/ioConfig/consumerProperties/druid.dynamic.config.provider";
        let changed = told(consumer, provider("OTHER"));
        assert_eq!(changed.len(), 1);
        assert!(
            changed[0].contains("config.provider: {") && changed[0].contains("OTHER") && !changed[0].contains("***"),
            "{changed:?}"
        );
        let mut more = provider("JAAS");
        more["variables"]["ssl.key.password"] = json!("KEY");
        assert_eq!(told(consumer, more).len(), 1);
        let decoder = "/spec/ioConfig/inputFormat/avroBytesDecoder/config";
        let config = json!({"schema.registry.ssl.truststore.type": "PEM", "basic.auth.user.info": "canary"});
        assert_eq!(told(decoder, config), ["ioConfig.inputFormat.avroBytesDecoder.config.basic.auth.user.info: \"***\" -> none"]);
    }

    #[test]
    fn columns_are_compared_by_name_whatever_their_order() {
        let mut found = found();
        let columns = found.pointer_mut("/spec/dataSchema/dimensionsSpec/dimensions").unwrap();
        *columns = json!([{"type": "long", "name": "sale_amount"}, "store_id"]);
        assert_eq!(action(&desired(), Some(&found), false), Action::Unchanged);
        *found.pointer_mut("/spec/dataSchema/dimensionsSpec/dimensions").unwrap() = json!(["sale_amount", "gone"]);
        assert_eq!(
            changes(&found),
            [
                "column gone: \"string\" -> none",
                "column sale_amount: \"string\" -> \"long\"",
                "column store_id: none -> \"string\""
            ]
        );
    }

    #[test]
    fn what_others_made_is_left_alone_unless_it_is_the_same_or_to_be_adopted() {
        let mut foreign = found();
        foreign["context"] = Value::Null;
        assert_eq!(action(&desired(), Some(&foreign), false), Action::Unchanged);
        let adopted = |foreign: &Value| match action(&desired(), Some(foreign), true) {
            Action::Change(list) => list.iter().map(Change::to_string).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(adopted(&foreign), ["context.pipeline.name: none -> \"kafka-101\""]);
        foreign["spec"]["ioConfig"]["taskCount"] = json!(2);
        let refused = action(&desired(), Some(&foreign), false);
        assert!(matches!(refused, Action::NotOurs { maker, .. } if maker == "not made by this program"));
        foreign["context"] = json!({"pipeline": {"name": "theirs", "datasource": "SALES"}});
        let refused = action(&desired(), Some(&foreign), false);
        assert!(matches!(refused, Action::NotOurs { maker, .. } if maker.contains("`theirs`")));
        assert_eq!(adopted(&foreign), ["ioConfig.taskCount: 2 -> 1", "context.pipeline.name: \"theirs\" -> \"kafka-101\""]);
    }

    #[test]
    fn a_copy_of_our_spec_under_another_name_is_not_ours() {
        let mut copy = desired();
        assert_eq!(owner(&copy), Some("kafka-101"));
        copy["spec"]["dataSchema"]["dataSource"] = json!("SALES_TEST");
        assert_eq!(owner(&copy), None);
    }

    #[test]
    fn rows_that_others_brought_are_theirs() {
        let left = |past: Option<Value>, has_rows, adopt| super::action(&desired(), &Found::Left { past, has_rows }, adopt);
        let theirs = || Some(json!({"type": "kafka"}));
        for past in [None, theirs()] {
            let refused = left(past.clone(), true, false);
            assert!(matches!(&refused, Action::NotOurs { maker, .. } if maker.contains("it has rows")), "{refused:?}");
            assert_eq!(left(past.clone(), true, true), Action::Create);
            assert_eq!(left(past, false, false), Action::Create);
        }
        assert_eq!(left(Some(desired()), true, false), Action::Create);
    }

    #[test]
    fn tuning_that_left_the_file_is_a_difference() {
        let mut config = config(&[]);
        config.datasources[0].tuning = toml::from_str("maxRowsInMemory = 1000\nnonsense = 3").unwrap();
        let mut before = desired_of(&config);
        before["spec"]["tuningConfig"].as_object_mut().unwrap().remove("nonsense");
        assert_eq!(changes(&before), ["tuningConfig.maxRowsInMemory: 1000 -> none"]);
    }

    #[test]
    fn the_same_may_be_written_otherwise() {
        let written = [json!("1000"), json!(1000), json!(1000.0), json!(true), json!("true"), json!("01"), json!("1")];
        let same_as = |index: usize| written.iter().map(|other| same(&written[index], other)).collect::<Vec<_>>();
        assert_eq!(same_as(0), [true, true, true, false, false, false, false]);
        assert_eq!(same_as(1), [true, true, true, false, false, false, false]);
        assert_eq!(same_as(3), [false, false, false, true, true, false, false]);
        assert_eq!(same_as(5), [false, false, false, false, false, true, false], "two texts");
    }

    #[test]
    fn tuning_that_druid_does_not_know_is_no_endless_difference() {
        let mut config = config(&[]);
        config.datasources[0].tuning = toml::from_str("nonsense = 3\nmaxRowsInMemory = 1000\nhttpTimeout = \"PT9S\"").unwrap();
        let desired = desired_of(&config);
        let told = |found: &Value| match action(&desired, Some(found), false) {
            Action::Change(list) => list.iter().map(Change::to_string).collect(),
            Action::Unchanged => Vec::new(),
            other => panic!("{other:?}"),
        };
        let before = found();
        assert_eq!(told(&before).len(), 3);
        let mut posted = desired.clone();
        posted["spec"]["tuningConfig"].as_object_mut().unwrap().remove("nonsense");
        posted["spec"]["tuningConfig"]["maxRowsInMemory"] = json!("1000");
        assert_eq!(told(&posted), Vec::<String>::new());
        posted["spec"]["tuningConfig"]["httpTimeout"] = json!("PT10S");
        assert_eq!(told(&posted), ["tuningConfig.httpTimeout: \"PT10S\" -> \"PT9S\""]);
        posted["context"]["pipeline"]["tuning"]["nonsense"] = json!(4);
        assert_eq!(told(&posted).len(), 2);
    }

    #[test]
    fn paths_that_are_no_longer_wanted_are_a_difference() {
        let mut found = found();
        found["spec"]["ioConfig"]["inputFormat"]["flattenSpec"] = json!({"useFieldDiscovery": true, "fields": []});
        assert_eq!(action(&desired(), Some(&found), false), Action::Unchanged);
        found["spec"]["ioConfig"]["inputFormat"]["flattenSpec"]["useFieldDiscovery"] = json!(false);
        assert_eq!(changes(&found).len(), 1);
    }

    #[test]
    fn what_a_change_causes_is_told() {
        let told = |pointer: &str, value: Value| {
            let mut found = found();
            *found.pointer_mut(pointer).unwrap() = value;
            effect(&action(&desired(), Some(&found), false)).unwrap_or_default()
        };
        assert_eq!(told("/suspended", json!(true)), "its tasks are restarted; rows that are there stay");
        assert!(told("/spec/dataSchema/granularitySpec/rollup", json!(true)).contains("new rows only"));
        assert!(told("/spec/dataSchema/dimensionsSpec/dimensions", json!([])).contains("new rows only"));
        assert!(told("/spec/ioConfig/topic", json!("OLD")).starts_with("reset needed: topic SALES"));
        assert!(told("/spec/dataSchema/timestampSpec/column", json!("at")).starts_with("reset needed"));
        assert_eq!(effect(&Action::Create), None);
    }
}
