//! What the reader of a dashboard can narrow it down by, as Superset's native filters. Pure.

use serde_json::{Value, json};

use super::ids::{self, Kind};
use crate::config::{Dashboard, Filter};

/// The dashboard's `native_filter_configuration`. Datasets are named by uuid, as in a file of an import.
pub fn configuration(pipeline: &str, dashboard: &Dashboard) -> Value {
    dashboard.filters.iter().map(|filter| one(pipeline, dashboard, filter)).collect()
}

fn one(pipeline: &str, dashboard: &Dashboard, filter: &Filter) -> Value {
    let (kind, target, controls) = match filter.datasource.as_deref().zip(filter.column.as_deref()) {
        Some((datasource, column)) => {
            let dataset = ids::stable(pipeline, Kind::Dataset, datasource);
            ("filter_select", json!({ "datasetUuid": dataset.to_string(), "column": { "name": column } }), select())
        }
        None => ("filter_time", json!({}), json!({ "enableEmptyFilter": false })),
    };
    json!({
        "id": format!("NATIVE_FILTER-{}", ids::filter(pipeline, &dashboard.slug, &filter.title)),
        "type": "NATIVE_FILTER",
        "name": filter.title,
        "filterType": kind,
        "targets": [target],
        "controlValues": controls,
        "defaultDataMask": { "extraFormData": {}, "filterState": {}, "ownState": {} },
        "cascadeParentIds": [],
        "scope": { "rootPath": ["ROOT_ID"], "excluded": [] },
        "description": "",
    })
}

fn select() -> Value {
    json!({
        "enableEmptyFilter": false,
        "defaultToFirstItem": false,
        "multiSelect": true,
        "searchAllOptions": false,
        "inverseSelection": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superset::testing::sales;

    #[test]
    fn a_column_is_chosen_from_and_the_time_is_a_range() {
        let mut dashboard = sales().dashboard.unwrap();
        dashboard.filters = vec![
            Filter { title: "Store".into(), datasource: Some("SALES".into()), column: Some("store_id".into()) },
            Filter { title: "When".into(), datasource: None, column: None },
        ];
        let filters = configuration("kafka-101", &dashboard);
        let told: Vec<String> = filters
            .as_array()
            .unwrap()
            .iter()
            .map(|one| format!("{} {} {}", one["id"], one["filterType"], one["targets"]))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        "NATIVE_FILTER-d31e7e89-56a4-5ef8-a91c-9036a22e0972" "filter_select" [{"column":{"name":"store_id"},"datasetUuid":"93fd6b33-8f24-5e5c-a34a-626ca929f685"}]
        "NATIVE_FILTER-19ae51d0-f055-5a88-baf5-ef1b90d929b1" "filter_time" [{}]
        "#);
    }
}
