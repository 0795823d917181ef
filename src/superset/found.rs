//! What Superset's answers say, in the form of [`super::assets`], so that the two can be compared. Pure.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::address;
use super::assets::{Asset, LINKED};
use super::ids::Kind;
use crate::http::one_line;

/// An object as it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its number in Superset.
    pub id: u64,
    /// Its settings, under the names that [`super::assets`] gives them.
    pub settings: Value,
    /// Of a dataset: what its users added, which an import would else remove.
    pub added: Added,
}

/// What the users of a dataset added to it, as a file of an import has it.
#[derive(Debug, Clone, Default)]
pub struct Added {
    /// Saved metrics.
    pub metrics: Vec<Value>,
    /// Columns, calculated ones among them.
    pub columns: Vec<Value>,
}

/// A line of a list of Superset's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listed {
    /// Its number.
    pub id: u64,
    /// Its uuid.
    pub uuid: Uuid,
    /// Of a chart: its title.
    #[serde(default)]
    pub slice_name: String,
    /// Of a dataset: the table.
    #[serde(default)]
    pub table_name: String,
    /// Of a dataset: the table's schema.
    pub schema: Option<String>,
    /// Of a dataset: its connection.
    pub database: Option<Numbered>,
    /// Of a chart: its dataset.
    pub datasource_id: Option<u64>,
    /// Of a chart: the dashboards that it belongs to.
    #[serde(default)]
    pub dashboards: Vec<Numbered>,
}

/// What a list tells of an object beside.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Numbered {
    /// Its number.
    pub id: u64,
}

/// What Superset says of one object.
#[derive(Debug, Deserialize)]
pub struct Answer {
    /// Its fields.
    pub result: Value,
}

/// An object of this kind, from what Superset says of it. `None`: it has no number, so it is none.
pub fn read(kind: Kind, said: &Value) -> Option<Found> {
    let settings = match kind {
        Kind::Database => database(said),
        Kind::Dataset => dataset(said),
        Kind::Chart => chart(said),
        Kind::Dashboard => dashboard(said),
    };
    let added = if kind == Kind::Dataset { added(said) } else { Added::default() };
    Some(Found { id: said["id"].as_u64()?, settings, added })
}

fn added(said: &Value) -> Added {
    const METRIC: [&str; 7] =
        ["metric_name", "verbose_name", "metric_type", "expression", "description", "d3format", "warning_text"];
    const COLUMN: [&str; 9] = [
        "column_name",
        "verbose_name",
        "is_dttm",
        "type",
        "groupby",
        "filterable",
        "expression",
        "description",
        "python_date_format",
    ];
    Added { metrics: picked(&said["metrics"], &METRIC), columns: picked(&said["columns"], &COLUMN) }
}

fn picked(said: &Value, keys: &[&str]) -> Vec<Value> {
    let one = |said: &Value| {
        keys.iter().filter(|key| !said[**key].is_null()).map(|key| ((*key).to_owned(), said[*key].clone())).collect()
    };
    said.as_array().into_iter().flatten().map(one).collect()
}

/// Notes what Superset says elsewhere or in numbers: which charts belong to a dashboard, and which dataset a filter is of.
pub fn complete(assets: &[Asset], found: &mut [Option<Found>], charts: &[Listed]) {
    let datasets: Vec<(u64, Uuid)> = assets
        .iter()
        .zip(found.iter())
        .filter(|(asset, _)| asset.kind == Kind::Dataset)
        .filter_map(|(asset, found)| Some((found.as_ref()?.id, asset.uuid)))
        .collect();
    let dashboards = assets.iter().zip(found).filter(|(asset, _)| asset.kind == Kind::Dashboard);
    for found in dashboards.filter_map(|(_, found)| found.as_mut()) {
        let linked = charts.iter().filter(|chart| chart.dashboards.iter().any(|one| one.id == found.id));
        let linked: Map<String, Value> = linked.map(|chart| (title(assets, chart), json!(LINKED))).collect();
        found.settings["charts"] = linked.into();
        for target in targets(&mut found.settings["metadata"]) {
            name_dataset(target, &datasets);
        }
    }
}

/// A chart's title; one that is not the file's has its number beside it, for it may be called the same.
fn title(assets: &[Asset], chart: &Listed) -> String {
    let ours = assets.iter().find(|asset| asset.uuid == chart.uuid);
    ours.map_or_else(|| format!("{} (number {})", one_line(&chart.slice_name), chart.id), |asset| asset.name.clone())
}

fn targets(metadata: &mut Value) -> impl Iterator<Item = &mut Value> {
    let filters = metadata.get_mut("native_filter_configuration").and_then(Value::as_array_mut);
    filters.into_iter().flatten().filter_map(|filter| filter.get_mut("targets")?.as_array_mut()).flatten()
}

fn name_dataset(target: &mut Value, datasets: &[(u64, Uuid)]) {
    let uuid = datasets.iter().find(|(id, _)| target["datasetId"] == json!(id)).map(|(_, uuid)| uuid.to_string());
    if let (Value::Object(target), Some(uuid)) = (target, uuid) {
        target.insert("datasetUuid".into(), uuid.into());
    }
}

fn database(said: &Value) -> Value {
    json!({
        "database_name": said["database_name"],
        "sqlalchemy_uri": said["sqlalchemy_uri"].as_str().map(address::respelled),
        "allow_file_upload": said["allow_file_upload"],
        "extra": unfolded(&said["extra"]),
    })
}

fn dataset(said: &Value) -> Value {
    let columns = said["columns"].as_array().into_iter().flatten();
    let columns: Map<String, Value> =
        columns.filter_map(|said| Some((said["column_name"].as_str()?.to_owned(), column(said)))).collect();
    json!({
        "table_name": said["table_name"],
        "schema": said["schema"],
        "main_dttm_col": said["main_dttm_col"],
        "database_uuid": said["database"]["uuid"],
        "columns": columns,
    })
}

fn column(said: &Value) -> Value {
    json!({
        "type": respelled_type(&said["type"], said["is_dttm"] == true),
        "is_dttm": said["is_dttm"],
        "groupby": said["groupby"],
        "filterable": said["filterable"],
    })
}

/// Superset's "sync columns from source" writes the types in words of its own.
fn respelled_type(said: &Value, is_time: bool) -> Value {
    match (said.as_str(), is_time) {
        (Some("STRING"), _) => json!("VARCHAR"),
        (Some("LONG" | "BIGINT"), true) => json!("TIMESTAMP"),
        (Some("BIGINT"), false) => json!("LONG"),
        (Some("FLOAT"), _) => json!("DOUBLE"),
        _ => said.clone(),
    }
}

fn chart(said: &Value) -> Value {
    json!({
        "slice_name": said["slice_name"],
        "viz_type": said["viz_type"],
        "dataset_uuid": said["datasource_uuid"],
        "params": unfolded(&said["params"]),
        "query_context": unfolded(&said["query_context"]),
    })
}

fn dashboard(said: &Value) -> Value {
    let mut metadata = unfolded(&said["json_metadata"]);
    if let Value::Object(metadata) = &mut metadata {
        metadata.entry("native_filter_configuration").or_insert_with(|| json!([]));
    }
    json!({
        "dashboard_title": said["dashboard_title"],
        "slug": said["slug"],
        "published": said["published"],
        "position": unfolded(&said["position_json"]),
        "metadata": metadata,
    })
}

/// JSON within a string; null if it is none.
fn unfolded(text: &Value) -> Value {
    text.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superset::assets::desired;
    use crate::superset::diff::changes;
    use crate::superset::testing::sales;

    #[test]
    fn a_synchronised_dataset_is_as_it_should_be() {
        let asset = &desired(&sales()).unwrap()[1];
        let column = |name, kind, is_dttm| json!({"column_name": name, "type": kind, "is_dttm": is_dttm, "groupby": true, "filterable": true});
        let said = json!({
            "id": 4, "table_name": "SALES", "schema": "druid", "main_dttm_col": "__time",
            "database": {"uuid": asset.settings["database_uuid"]},
            "columns": [column("sale_amount", "BIGINT", false), column("__time", "LONG", true), column("store_id", "STRING", false),
                column("another", "COMPLEX", false)],
        });
        assert_eq!(changes(&asset.settings, &read(Kind::Dataset, &said).unwrap().settings), []);
    }

    fn listed(id: u64, uuid: Uuid, title: &str, dashboard: u64) -> Listed {
        serde_json::from_value(json!({"id": id, "uuid": uuid, "slice_name": title, "dashboards": [{"id": dashboard}]})).unwrap()
    }

    #[test]
    fn a_dashboard_knows_the_charts_that_name_it() {
        let assets = desired(&sales()).unwrap();
        let mut found = vec![None, None, None, None, None, None, read(Kind::Dashboard, &json!({"id": 9}))];
        let charts = [
            listed(1, assets[3].uuid, "renamed", 9),
            listed(2, assets[4].uuid, "elsewhere", 8),
            listed(3, Uuid::nil(), "stores_shares_sales", 9),
        ];
        complete(&assets, &mut found, &charts);
        assert_eq!(
            found[6].as_ref().unwrap().settings["charts"],
            json!({"Superset aggregated sales": LINKED, "stores_shares_sales (number 3)": LINKED})
        );
    }

    #[test]
    fn a_filters_dataset_is_known_by_its_number() {
        let mut config = sales();
        let filter =
            crate::config::Filter { title: "Store".into(), datasource: Some("SALES".into()), column: Some("store_id".into()) };
        config.dashboard.as_mut().unwrap().filters.push(filter);
        let assets = desired(&config).unwrap();
        let mut metadata = assets[6].settings["metadata"].clone();
        metadata["native_filter_configuration"][0]["targets"] = json!([{"datasetId": 4, "column": {"name": "store_id"}}]);
        metadata["native_filter_configuration"][0]["chartsInScope"] = json!([1]);
        let dataset = read(Kind::Dataset, &json!({"id": 4}));
        let dashboard = read(Kind::Dashboard, &json!({"id": 9, "json_metadata": metadata.to_string()}));
        let mut found = vec![None, dataset, None, None, None, None, dashboard];
        complete(&assets, &mut found, &[]);
        assert_eq!(changes(&assets[6].settings["metadata"], &found[6].as_ref().unwrap().settings["metadata"]), []);
    }

    #[test]
    fn broken_json_within_json_is_a_difference_and_no_more() {
        let settings = read(Kind::Chart, &json!({"id": 1, "params": "{", "query_context": null})).unwrap().settings;
        assert_eq!(settings["params"], Value::Null);
        assert!(read(Kind::Chart, &json!({"message": "x"})).is_none());
    }
}
