//! What should be in Superset: config -> desired objects. Pure.
//!
//! An object's settings are JSON in the words of Superset's export files, except that columns are keyed by their names and a
//! chart's query is not yet a string: this is the form in which [`super::diff`] compares and names them. [`super::bundle`]
//! turns it into the files of an import.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::address::Address;
use super::chart;
use super::columns::{self, Column, Type};
use super::filters;
use super::ids::{self, Kind};
use super::layout;
use crate::config::{Chart, Config, Dashboard, Datasource, TIME_COLUMN};
use crate::error::{self, Error, Result};
use crate::plan;

/// Druid's schema of datasources.
pub const SCHEMA: &str = "druid";
/// A chart that belongs to the dashboard.
pub const LINKED: &str = "linked";

/// An object as it should be.
#[derive(Debug, Clone)]
pub struct Asset {
    /// What it is.
    pub kind: Kind,
    /// What a person calls it.
    pub name: String,
    /// What makes it ours.
    pub uuid: Uuid,
    /// The settings that we set; all others are Superset's or its users'.
    pub settings: Value,
}

/// The objects that a pipeline file describes, each after those it needs.
pub fn desired(config: &Config) -> Result<Vec<Asset>> {
    if config.datasources.is_empty() {
        return Err(Error::new(error::Kind::Config, "the pipeline file has no [[datasource]], so there is nothing to show"));
    }
    let mut assets = vec![database(config)?];
    for datasource in &config.datasources {
        assets.push(dataset(config, datasource)?);
    }
    for chart in &config.charts {
        assets.push(self::chart(config, chart)?);
    }
    assets.extend(config.dashboard.iter().map(|one| dashboard(config, one)));
    assets.iter().try_for_each(fits)?;
    Ok(assets)
}

/// The same objects without their settings: what makes them ours is enough to remove them.
pub fn bare(config: &Config) -> Vec<Asset> {
    let asset = |kind, key: &str, name: String| Asset { kind, name, uuid: uuid_of(config, kind, key), settings: Value::Null };
    let datasets = config.datasources.iter().map(|one| asset(Kind::Dataset, &one.name, dataset_name(&one.name)));
    let charts = config.charts.iter().map(|one| asset(Kind::Chart, &one.title, one.title.clone()));
    let dashboards = config.dashboard.iter().map(|one| asset(Kind::Dashboard, &one.slug, one.title.clone()));
    let database = asset(Kind::Database, SCHEMA, database_name(config));
    std::iter::once(database).chain(datasets).chain(charts).chain(dashboards).collect()
}

/// Superset says of a name that is too long only that the import failed.
fn fits(asset: &Asset) -> Result<()> {
    for (setting, longest) in
        [("database_name", 250), ("table_name", 250), ("slice_name", 250), ("slug", 255), ("dashboard_title", 500)]
    {
        let length = asset.settings[setting].as_str().map_or(0, |text| text.chars().count());
        if length > longest {
            let what = format!("the {} `{}` has a {setting} of {length} characters", asset.kind, plan::shown(&json!(asset.name)));
            return Err(Error::new(error::Kind::Config, format!("{what}; Superset takes {longest} at most")));
        }
    }
    Ok(())
}

/// A dataset as a person calls it.
pub fn dataset_name(table: &str) -> String {
    format!("{SCHEMA}.{table}")
}

/// The name of the connection to Druid. The pipeline's name is in it, so that nobody else's connection is in the way.
fn database_name(config: &Config) -> String {
    format!("Druid ({})", config.name)
}

fn uuid_of(config: &Config, kind: Kind, name: &str) -> Uuid {
    ids::stable(&config.name, kind, name)
}

fn database(config: &Config) -> Result<Asset> {
    let name = database_name(config);
    let settings = json!({
        "database_name": name,
        "sqlalchemy_uri": Address::of(config)?.masked(),
        "allow_file_upload": false,
    });
    // Not the connection's name, which may change with a version of this program.
    Ok(Asset { kind: Kind::Database, uuid: uuid_of(config, Kind::Database, SCHEMA), name, settings })
}

fn dataset(config: &Config, datasource: &Datasource) -> Result<Asset> {
    let columns: Map<String, Value> = columns::of(config, datasource)?.iter().map(column).collect();
    let settings = json!({
        "table_name": datasource.name,
        "schema": SCHEMA,
        "main_dttm_col": TIME_COLUMN,
        "database_uuid": uuid_of(config, Kind::Database, SCHEMA).to_string(),
        "columns": columns,
    });
    Ok(Asset {
        kind: Kind::Dataset,
        name: dataset_name(&datasource.name),
        uuid: uuid_of(config, Kind::Dataset, &datasource.name),
        settings,
    })
}

fn column(column: &Column) -> (String, Value) {
    let settings = json!({
        "type": column.holds.word(),
        "is_dttm": column.holds == Type::Timestamp,
        "groupby": true,
        "filterable": true,
    });
    (column.name.clone(), settings)
}

fn chart(config: &Config, chart: &Chart) -> Result<Asset> {
    let settings = json!({
        "slice_name": chart.title,
        "viz_type": chart::viz_type(chart.kind),
        "dataset_uuid": uuid_of(config, Kind::Dataset, &chart.datasource).to_string(),
        "params": chart::params(chart)?,
        "query_context": chart::query_context(chart)?,
    });
    Ok(Asset { kind: Kind::Chart, name: chart.title.clone(), uuid: uuid_of(config, Kind::Chart, &chart.title), settings })
}

fn dashboard(config: &Config, dashboard: &Dashboard) -> Asset {
    let settings = json!({
        "dashboard_title": dashboard.title,
        "slug": dashboard.slug,
        "published": true,
        "charts": charts_on(dashboard),
        "position": layout::position(config, dashboard),
        "metadata": {
            "refresh_frequency": dashboard.refresh.0 / 1000,
            // All charts at once: twins that are refreshed one after the other differ for a moment.
            "stagger_refresh": false,
            "color_scheme": chart::PALETTE,
            "label_colors": dashboard.colors,
            "native_filter_configuration": filters::configuration(&config.name, dashboard),
        },
    });
    Asset {
        kind: Kind::Dashboard,
        name: dashboard.title.clone(),
        uuid: uuid_of(config, Kind::Dashboard, &dashboard.slug),
        settings,
    }
}

/// A chart in the dashboard's layout that Superset does not also know as the dashboard's shows nothing to most users.
fn charts_on(dashboard: &Dashboard) -> Map<String, Value> {
    dashboard.rows.iter().flatten().map(|cell| (cell.chart.clone(), json!(LINKED))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superset::testing::sales;

    #[test]
    fn the_sales_case_is_seven_objects_with_ids_that_stay() {
        let listed: Vec<String> =
            desired(&sales()).unwrap().iter().map(|asset| format!("{} {} {}", asset.uuid, asset.kind, asset.name)).collect();
        insta::assert_snapshot!(listed.join("\n"), @r#"
        08a8dfb1-6adc-59cc-b6b1-388609050813 database Druid (kafka-101)
        93fd6b33-8f24-5e5c-a34a-626ca929f685 dataset druid.SALES
        7c100fba-ec1c-5909-bbdf-51b2590143da dataset druid.SALES_AGGREGATE
        91466126-a634-5086-9475-cf52278049a0 chart Superset aggregated sales
        ba23b06c-30e0-5a04-ba32-e05817735a06 chart Flink Aggregated Sales
        f269133a-ac7b-5da9-999c-1e5be3498d5d chart stores_shares_sales
        536f3d57-440e-5205-aa73-f37f27a58c5a dashboard Kafka 101 Tutorial
        "#);
    }

    #[test]
    fn the_dashboard_is_live_and_its_colours_are_the_files() {
        let dashboard = desired(&sales()).unwrap().pop().unwrap().settings;
        assert_eq!(
            dashboard["metadata"],
            json!({
                "refresh_frequency": 10, "stagger_refresh": false, "color_scheme": "supersetColors",
                "label_colors": { "ABC": "#FF5A5F", "DEF": "#7B0051", "GHI": "#007A87" },
                "native_filter_configuration": [],
            })
        );
        assert_eq!(dashboard["charts"].as_object().unwrap().len(), 3);
    }

    #[test]
    fn no_object_holds_a_password() {
        let mut config = sales();
        config.druid.password = Some(crate::config::Secret::new("canary"));
        config.superset.password = Some(crate::config::Secret::new("canary"));
        assert!(!format!("{:?}", desired(&config).unwrap()).contains("canary"));
    }
}
