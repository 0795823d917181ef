//! The pipeline file's JSON schema, made from the types that serde reads it by. Pure.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Config;

/// The JSON schema (draft 2020-12) of pipeline files, for editors and other programs.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>().to_value();
    without_null(&mut schema);
    schema["title"] = json!("A pipeline file");
    schema
}

/// TOML has no null: a key that is not given is left out.
fn without_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| *choice != json!({ "type": "null" }));
                if let [Value::Object(only)] = &choices[..] {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
            object.values_mut().for_each(without_null);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT_FILE;
    use super::*;

    /// Keywords that no value of the shipped file can break, or that say nothing of values, and those that held above.
    const LEFT: [&str; 13] = [
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "format",
        "const",
        "enum",
        "$schema",
        "$defs",
        "title",
        "description",
        "default",
        "examples",
    ];

    /// Where a value breaks the schema, by the keywords that this schema uses; any other keyword fails.
    fn broken(schema: &Value, root: &Value, value: &Value, place: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let Value::Object(keywords) = schema else { return vec![format!("{place}: no schema")] };
        for (keyword, rule) in keywords {
            match keyword.as_str() {
                "$ref" => {
                    let target = rule.as_str().and_then(|path| root.pointer(path.trim_start_matches('#')));
                    wrong.extend(broken(target.expect("a definition"), root, value, place));
                }
                "type" => {
                    let is = |name: &Value| match name.as_str().expect("a type") {
                        "object" => value.is_object(),
                        "array" => value.is_array(),
                        "string" => value.is_string(),
                        "boolean" => value.is_boolean(),
                        "integer" => value.is_i64(),
                        "number" => value.is_number(),
                        other => panic!("type {other}"),
                    };
                    if !rule.as_array().map_or_else(|| is(rule), |types| types.iter().any(is)) {
                        wrong.push(format!("{place}: not of type {rule}"));
                    }
                }
                "const" if value != rule => wrong.push(format!("{place}: not {rule}")),
                "enum" if !rule.as_array().expect("values").contains(value) => wrong.push(format!("{place}: not in {rule}")),
                "required" => {
                    let missing =
                        rule.as_array().expect("names").iter().filter(|name| value.get(name.as_str().unwrap()).is_none());
                    wrong.extend(missing.map(|name| format!("{place}: {name} is missing")));
                }
                "oneOf" | "anyOf" => {
                    let fits = rule.as_array().expect("choices").iter().filter(|one| broken(one, root, value, place).is_empty());
                    let count = fits.count();
                    if count == 0 || (keyword == "oneOf" && count > 1) {
                        wrong.push(format!("{place}: {count} choices fit"));
                    }
                }
                "items" => value.as_array().into_iter().flatten().enumerate().for_each(|(at, item)| {
                    wrong.extend(broken(rule, root, item, &format!("{place}[{at}]")));
                }),
                "additionalProperties" => {
                    let known = |name: &str| keywords.get("properties").is_some_and(|known| known.get(name).is_some());
                    for (name, item) in value.as_object().into_iter().flatten().filter(|(name, _)| !known(name)) {
                        match rule {
                            Value::Bool(false) => wrong.push(format!("{place}: unknown `{name}`")),
                            rule => wrong.extend(broken(rule, root, item, &format!("{place}.{name}"))),
                        }
                    }
                }
                "properties" => {
                    for (name, rule) in rule.as_object().expect("rules") {
                        let item = value.get(name).into_iter();
                        wrong.extend(item.flat_map(|item| broken(rule, root, item, &format!("{place}.{name}"))));
                    }
                }
                other => assert!(LEFT.contains(&other), "{place}: keyword {other}"),
            }
        }
        wrong
    }

    fn judge(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let text = std::fs::read_to_string(DEFAULT_FILE).unwrap();
        let mut file = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
        change(&mut file);
        let schema = schema();
        broken(&schema, &schema, &file, "")
    }

    #[test]
    fn the_shipped_file_keeps_it() {
        assert_eq!(judge(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn what_serde_refuses_breaks_it() {
        assert_eq!(judge(|file| file["kafka"]["bootstrap_server"] = json!("x")), [".kafka: unknown `bootstrap_server`"]);
        assert_eq!(judge(|file| file["source"][0]["topics"] = json!("x")), [".source[0]: unknown `topics`"]);
        assert_eq!(judge(|file| file["aggregate"][0]["window"] = json!(60)), [".aggregate[0].window: not of type \"string\""]);
        assert_eq!(judge(|file| file["chart"][0]["type"] = json!("cake")), [".chart[0].type: 0 choices fit"]);
        assert_eq!(judge(|file| drop(file.as_object_mut().unwrap().remove("name"))), [": \"name\" is missing"]);
    }

    #[test]
    fn no_key_may_be_null_and_each_has_words_about_it() {
        let text = schema().to_string();
        assert!(!text.contains("\"null\"") && !text.contains(":null"), "{text}");
        let schema = schema();
        for (table, definition) in schema["$defs"].as_object().unwrap() {
            for (key, rule) in definition["properties"].as_object().into_iter().flatten() {
                assert!(rule["description"].is_string() || rule["$ref"].is_string(), "{table}.{key}: {rule}");
            }
        }
    }
}
