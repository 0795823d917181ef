//! The desired objects as the zip that Superset imports. Pure.
//!
//! Superset reads YAML; JSON is YAML.

use std::io::{Cursor, Write};

use serde_json::{Value, json};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::assets::Asset;
use super::ids::Kind;
use crate::error::{self, Error, Result};

/// The folder that all files of an import are in.
const ROOT: &str = "pipeline";
/// The version of Superset's file formats.
const VERSION: &str = "1.0.0";

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

/// The content of an object's file.
fn content(asset: &Asset) -> Value {
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
        Kind::Chart => content["query_context"] = json!(content["query_context"].to_string()),
        Kind::Dashboard => {
            take(&mut content, "charts");
            number_charts(&mut content["position"]);
        }
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

/// The import finds charts by uuid and writes their numbers here, but wants a place to write to.
fn number_charts(position: &mut Value) {
    for part in position.as_object_mut().into_iter().flat_map(|parts| parts.values_mut()) {
        if part["type"] == "CHART" {
            part["meta"]["chartId"] = json!(0);
        }
    }
}

/// The zip for Superset's import.
pub fn zip(assets: &[Asset]) -> Result<Vec<u8>> {
    let metadata = json!({ "version": VERSION, "type": "assets" });
    let files =
        std::iter::once(("metadata.yaml".to_owned(), metadata)).chain(assets.iter().map(|asset| (path(asset), content(asset))));
    let failed = |why: String| Error::new(error::Kind::Failed, format!("cannot pack what Superset shall import: {why}"));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (path, content) in files {
        zip.start_file(format!("{ROOT}/{path}"), stored).map_err(|error| failed(error.to_string()))?;
        let text = serde_json::to_vec_pretty(&content).map_err(|error| failed(error.to_string()))?;
        zip.write_all(&text).map_err(|error| failed(error.to_string()))?;
    }
    Ok(zip.finish().map_err(|error| failed(error.to_string()))?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superset::assets::desired;
    use crate::superset::testing::sales;

    fn contents() -> Vec<Value> {
        desired(&sales()).unwrap().iter().map(content).collect()
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
        let packed = zip(&assets).unwrap();
        assert_eq!(packed, zip(&assets).unwrap());
        let names: Vec<String> = zip::ZipArchive::new(Cursor::new(packed)).unwrap().file_names().map(Into::into).collect();
        assert_eq!(names.len(), 8);
        assert!(names.contains(&"pipeline/metadata.yaml".to_owned()), "{names:?}");
    }
}
