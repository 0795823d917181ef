//! What Superset's answers say, in the form of [`super::assets`], so that the two can be compared. Pure.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::address;
use super::assets::{Asset, LINKED};
use super::ids::Kind;

/// An object as it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its number in Superset.
    pub id: u64,
    /// Its settings, under the names that [`super::assets`] gives them.
    pub settings: Value,
    /// Of a chart: the numbers of the dashboards that it belongs to.
    dashboards: Vec<u64>,
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
    let dashboards = said["dashboards"].as_array().into_iter().flatten().filter_map(|one| one["id"].as_u64()).collect();
    Some(Found { id: said["id"].as_u64()?, settings, dashboards })
}

/// Notes in the dashboards which charts belong to them: Superset says so only of the charts.
pub fn link(assets: &[Asset], found: &mut [Option<Found>]) {
    let owners: Vec<(&str, Vec<u64>)> = assets
        .iter()
        .zip(found.iter())
        .filter(|(asset, _)| asset.kind == Kind::Chart)
        .filter_map(|(asset, found)| Some((asset.name.as_str(), found.as_ref()?.dashboards.clone())))
        .collect();
    let dashboards = assets.iter().zip(found).filter(|(asset, _)| asset.kind == Kind::Dashboard);
    for found in dashboards.filter_map(|(_, found)| found.as_mut()) {
        let linked = owners.iter().filter(|(_, dashboards)| dashboards.contains(&found.id));
        let charts: Map<String, Value> = linked.map(|(chart, _)| ((*chart).to_owned(), json!(LINKED))).collect();
        found.settings["charts"] = charts.into();
    }
}

fn database(said: &Value) -> Value {
    json!({
        "database_name": said["database_name"],
        "sqlalchemy_uri": said["sqlalchemy_uri"].as_str().map(address::respelled),
        "allow_file_upload": said["allow_file_upload"],
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
    json!({
        "dashboard_title": said["dashboard_title"],
        "slug": said["slug"],
        "published": said["published"],
        "position": unfolded(&said["position_json"]),
        "metadata": unfolded(&said["json_metadata"]),
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

    #[test]
    fn a_dashboard_knows_the_charts_that_name_it() {
        let assets = desired(&sales()).unwrap();
        let chart = |dashboard| read(Kind::Chart, &json!({"id": 3, "dashboards": [{"id": dashboard}]}));
        let dashboard = read(Kind::Dashboard, &json!({"id": 9}));
        let mut found = vec![None, None, None, chart(9), chart(8), None, dashboard];
        link(&assets, &mut found);
        assert_eq!(found[6].as_ref().unwrap().settings["charts"], json!({"Superset aggregated sales": LINKED}));
    }

    #[test]
    fn broken_json_within_json_is_a_difference_and_no_more() {
        let settings = read(Kind::Chart, &json!({"id": 1, "params": "{", "query_context": null})).unwrap().settings;
        assert_eq!(settings["params"], Value::Null);
        assert!(read(Kind::Chart, &json!({"message": "x"})).is_none());
    }
}
