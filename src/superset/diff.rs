//! Desired x found -> what has to change, setting by setting. Pure.
//!
//! Only settings that we set are compared: what Superset adds, and what its users add beside, is not a difference.

use serde_json::Value;

use crate::plan::Change;

/// A part of a chart's stored query that repeats `params`, which are compared.
const REPEATED: &str = "query_context.form_data";
/// Where also what is there beyond ours is a difference: a dashboard shows the file's charts in the file's colours.
const WHOLE: [&str; 2] = ["charts", "metadata.label_colors"];

/// The desired settings that are not as found.
pub fn changes(desired: &Value, found: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    walk(String::new(), desired, found, &mut changes);
    changes
}

fn walk(path: String, desired: &Value, found: &Value, changes: &mut Vec<Change>) {
    match (desired, found) {
        _ if path == REPEATED => {}
        (Value::Object(wanted), Value::Object(there)) => {
            for (key, value) in wanted {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(inner, value, &found[key], changes);
            }
            let beyond = there.iter().filter(|(key, _)| WHOLE.contains(&path.as_str()) && !wanted.contains_key(*key));
            changes.extend(beyond.map(|(key, value)| Change {
                setting: format!("{path}.{key}"),
                old: value.clone(),
                new: Value::Null,
            }));
        }
        (Value::Array(wanted), Value::Array(there)) if wanted.len() == there.len() => {
            for (index, (value, other)) in wanted.iter().zip(there).enumerate() {
                walk(format!("{path}[{index}]"), value, other, changes);
            }
        }
        _ if desired == found => {}
        _ => changes.push(Change { setting: path, old: found.clone(), new: desired.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::superset::assets::{LINKED, desired};
    use crate::superset::testing::sales;

    #[test]
    fn what_is_as_it_should_be_is_unchanged() {
        for asset in desired(&sales()).unwrap() {
            assert_eq!(changes(&asset.settings, &asset.settings), []);
        }
    }

    /// The paths of all single values in some settings.
    fn leaves(path: &str, value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                map.iter().for_each(|(key, value)| leaves(&format!("{path}/{key}"), value, into));
            }
            Value::Array(list) if !list.is_empty() => {
                list.iter().enumerate().for_each(|(index, value)| leaves(&format!("{path}/{index}"), value, into));
            }
            _ => into.push(path.to_owned()),
        }
    }

    #[test]
    fn every_single_setting_is_compared() {
        for asset in desired(&sales()).unwrap() {
            let mut paths = Vec::new();
            leaves("", &asset.settings, &mut paths);
            for path in paths.iter().filter(|path| !path.contains("/form_data/")) {
                let mut found = asset.settings.clone();
                *found.pointer_mut(path).unwrap() = json!("something else");
                let changes = changes(&asset.settings, &found);
                assert_eq!(changes.len(), 1, "{path}");
                assert_eq!(changes[0].old, json!("something else"));
            }
        }
    }

    #[test]
    fn a_change_is_told_from_old_to_new() {
        let told = |desired, found| changes(&desired, &found).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(json!({"slice_name": "a"}), json!({"slice_name": "b"})), [r#"slice_name: "b" -> "a""#]);
        assert_eq!(told(json!({"metadata": {"n": 10}}), json!({"metadata": {}})), ["metadata.n: none -> 10"]);
        assert_eq!(told(json!({"l": [{"a": 1}]}), json!({"l": [{"a": 2, "b": 3}]})), ["l[0].a: 2 -> 1"]);
        assert_eq!(told(json!({"l": [1]}), json!({"l": [1, 2]})), ["l: [1,2] -> [1]"]);
        assert_eq!(told(json!({"params": {"a": 1}}), Value::Null), [r#": none -> {"params":{"a":1}}"#]);
    }

    #[test]
    fn what_others_add_is_no_difference() {
        let desired = json!({"metadata": {"refresh_frequency": 10}});
        let found = json!({"metadata": {"refresh_frequency": 10, "map_label_colors": {}}, "css": "x"});
        assert_eq!(changes(&desired, &found), []);
    }

    #[test]
    fn a_chart_that_others_put_on_the_dashboard_is_one() {
        let changes = changes(&json!({"charts": {"a": LINKED}}), &json!({"charts": {"a": LINKED, "b": LINKED}}));
        assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), [r#"charts.b: "linked" -> none"#]);
    }
}
