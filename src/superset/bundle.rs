//! The desired objects as the zip that Superset imports. Pure.
//!
//! Superset reads YAML; JSON is YAML.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use serde_json::{Value, json};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::assets::Asset;
use super::beside;
use super::found::Found;
use super::ids::Kind;
use crate::error::{self, Error, Result};

/// The folder that all files of an import are in.
const ROOT: &str = "pipeline";
/// The version of Superset's file formats.
const VERSION: &str = "1.0.0";

/// Charts' numbers by their uuids.
type Numbers = BTreeMap<String, u64>;

/// The path of an object's file, as the import names it.
pub fn path(asset: &Asset) -> String {
    let folder = match asset.kind {
        Kind::Database => "databases",
        Kind::Dataset => "datasets/druid",
        Kind::Chart => "charts",
        Kind::Dashboard => "dashboards",
    };
    format!("{folder}/{}.yaml", asset.uuid)
}

/// The content of an object's file. `numbers`: those of the charts that are there.
fn content(asset: &Asset, found: Option<&Found>, numbers: &Numbers) -> Value {
    let mut content = asset.settings.clone();
    content["uuid"] = json!(asset.uuid.to_string());
    content["version"] = json!(VERSION);
    match asset.kind {
        Kind::Database => {
            // The file format still has the name that this had before Superset 1.4.
            content["allow_csv_upload"] = take(&mut content, "allow_file_upload");
            content["extra"] = json!({});
        }
        Kind::Dataset => {
            content["columns"] = columns_as_list(&content["columns"]);
            content["metrics"] = json!([]);
        }
        Kind::Chart => {}
        Kind::Dashboard => {
            take(&mut content, "charts");
            number_charts(&mut content["position"], numbers);
        }
    }
    if let Some(found) = found {
        beside::carry_over(asset.kind, &mut content, found);
    }
    if asset.kind == Kind::Chart {
        content["query_context"]["form_data"] = content["params"].clone();
        content["query_context"] = json!(content["query_context"].to_string());
    }
    content
}

fn take(content: &mut Value, key: &str) -> Value {
    content.as_object_mut().and_then(|content| content.remove(key)).unwrap_or_default()
}

fn columns_as_list(columns: &Value) -> Value {
    let named = |(name, settings): (&String, &Value)| {
        let mut column = settings.clone();
        column["column_name"] = json!(name);
        column
    };
    columns.as_object().into_iter().flatten().map(named).collect()
}

/// The import finds charts by uuid and writes their numbers here. By the numbers that stand here it knows what the metadata says
/// of each.
fn number_charts(position: &mut Value, numbers: &Numbers) {
    for part in position.as_object_mut().into_iter().flat_map(|parts| parts.values_mut()) {
        if part["type"] == "CHART" {
            let number = part["meta"]["uuid"].as_str().and_then(|uuid| numbers.get(uuid));
            part["meta"]["chartId"] = json!(number.unwrap_or(&0));
        }
    }
}

/// The zip for Superset's import of objects; of each, what is there.
pub fn zip(assets: &[Asset], found: &[Option<&Found>]) -> Result<Vec<u8>> {
    let found = |index: usize| found.get(index).copied().flatten();
    let charts = assets.iter().enumerate().filter(|(_, asset)| asset.kind == Kind::Chart);
    let numbers = charts.filter_map(|(index, asset)| Some((asset.uuid.to_string(), found(index)?.id))).collect();
    let files = assets.iter().enumerate().map(|(index, asset)| {
        let text = serde_json::to_string_pretty(&content(asset, found(index), &numbers)).map_err(|error| cannot_pack(&error))?;
        Ok((path(asset), text))
    });
    pack(files.collect::<Result<Vec<_>>>()?)
}

/// The zip of some files, with the one beside them that says what they are.
pub fn pack(files: impl IntoIterator<Item = (String, String)>) -> Result<Vec<u8>> {
    let metadata = json!({ "version": VERSION, "type": "assets" }).to_string();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (path, text) in std::iter::once(("metadata.yaml".to_owned(), metadata)).chain(files) {
        zip.start_file(format!("{ROOT}/{path}"), stored).map_err(|error| cannot_pack(&error))?;
        zip.write_all(text.as_bytes()).map_err(|error| cannot_pack(&error))?;
    }
    Ok(zip.finish().map_err(|error| cannot_pack(&error))?.into_inner())
}

fn cannot_pack(error: &dyn std::error::Error) -> Error {
    Error::new(error::Kind::Failed, format!("cannot pack what Superset shall import: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superset::assets::desired;
    use crate::superset::testing::sales;

    fn contents() -> Vec<Value> {
        desired(&sales()).unwrap().iter().map(|asset| content(asset, None, &Numbers::new())).collect()
    }

    #[test]
    fn a_dataset_declares_its_columns() {
        insta::assert_snapshot!(serde_json::to_string(&contents()[2]["columns"]).unwrap(), @r#"
        [{"column_name":"__time","filterable":true,"groupby":true,"is_dttm":true,"type":"TIMESTAMP"},{"column_name":"aggregated_sales","filterable":true,"groupby":true,"is_dttm":false,"type":"LONG"},{"column_name":"store_id","filterable":true,"groupby":true,"is_dttm":false,"type":"VARCHAR"},{"column_name":"window_end","filterable":true,"groupby":true,"is_dttm":false,"type":"LONG"}]
        "#);
    }

    #[test]
    fn a_chart_carries_its_query_as_text() {
        let query: Value = serde_json::from_str(contents()[3]["query_context"].as_str().unwrap()).unwrap();
        assert_eq!(query["queries"][0]["row_limit"], 50_000);
    }

    #[test]
    fn a_dashboard_has_a_number_to_fill_in_for_each_chart() {
        let position = &contents()[6]["position"];
        assert_eq!(position["CHART-ROW-1-1"]["meta"]["chartId"], 0);
        assert!(contents()[6].get("charts").is_none());
    }

    #[test]
    fn the_zip_is_the_same_every_time() {
        let assets = desired(&sales()).unwrap();
        let packed = zip(&assets, &[]).unwrap();
        assert_eq!(packed, zip(&assets, &[]).unwrap());
        let names: Vec<String> = zip::ZipArchive::new(Cursor::new(packed)).unwrap().file_names().map(Into::into).collect();
        assert_eq!(names.len(), 8);
        assert!(names.contains(&"pipeline/metadata.yaml".to_owned()), "{names:?}");
    }

    #[test]
    fn a_chart_that_is_there_keeps_its_number() {
        let assets = desired(&sales()).unwrap();
        let numbers = Numbers::from([(assets[3].uuid.to_string(), 7)]);
        let position = &content(&assets[6], None, &numbers)["position"];
        let number = |id: &str| position[id]["meta"]["chartId"].as_u64();
        assert_eq!(["CHART-ROW-1-1", "CHART-ROW-1-2"].map(number), [Some(7), Some(0)]);
    }

    #[test]
    fn what_users_set_beside_is_in_the_import_too() {
        let asset = &desired(&sales()).unwrap()[3];
        let params = json!({"x_axis_title": "when", "row_limit": 1});
        let said = json!({"id": 4, "viz_type": asset.settings["viz_type"], "params": params.to_string()});
        let found = crate::superset::found::read(Kind::Chart, &said);
        let content = content(asset, found.as_ref(), &Numbers::new());
        assert_eq!((&content["params"]["x_axis_title"], &content["params"]["row_limit"]), (&json!("when"), &json!(50_000)));
        let query: Value = serde_json::from_str(content["query_context"].as_str().unwrap()).unwrap();
        assert_eq!(query["form_data"], content["params"]);
    }
}
