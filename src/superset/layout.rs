//! The dashboard's page: rows of charts on a grid twelve wide. Pure.

use serde_json::{Value, json};
use uuid::Uuid;

use super::ids::{self, Kind};
use crate::config::{Cell, ChartKind, Config, Dashboard};

/// The height of a chart, in Superset's units of 8 pixels.
const HEIGHT: u32 = 50;
/// The height of a row that has numbers and nothing else.
const LOW: u32 = 20;

/// Superset's `position`: every part by its id, each naming its children.
pub fn position(config: &Config, dashboard: &Dashboard) -> Value {
    let row_ids: Vec<String> = (1..=dashboard.rows.len()).map(|n| format!("ROW-{n}")).collect();
    let mut position = json!({
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": { "type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"] },
        "GRID_ID": { "type": "GRID", "id": "GRID_ID", "children": row_ids, "parents": ["ROOT_ID"] },
        "HEADER_ID": { "type": "HEADER", "id": "HEADER_ID", "meta": { "text": dashboard.title } },
    });
    for (row_id, cells) in row_ids.iter().zip(&dashboard.rows) {
        let chart_ids: Vec<String> = (1..=cells.len()).map(|n| format!("CHART-{row_id}-{n}")).collect();
        position[row_id] = row(row_id, &chart_ids);
        let height = height(config, cells);
        for (chart_id, cell) in chart_ids.iter().zip(cells) {
            position[chart_id] = chart(chart_id, row_id, cell, height, ids::stable(&config.name, Kind::Chart, &cell.chart));
        }
    }
    position
}

fn row(id: &str, charts: &[String]) -> Value {
    json!({
        "type": "ROW",
        "id": id,
        "children": charts,
        "parents": ["ROOT_ID", "GRID_ID"],
        "meta": { "background": "BACKGROUND_TRANSPARENT" },
    })
}

fn height(config: &Config, row: &[Cell]) -> u32 {
    let is_number = |cell: &Cell| config.chart(&cell.chart).is_some_and(|chart| chart.kind == ChartKind::BigNumber);
    if row.iter().all(is_number) { LOW } else { HEIGHT }
}

fn chart(id: &str, row: &str, cell: &Cell, height: u32, uuid: Uuid) -> Value {
    json!({
        "type": "CHART",
        "id": id,
        "children": [],
        "parents": ["ROOT_ID", "GRID_ID", row],
        "meta": { "uuid": uuid.to_string(), "sliceName": cell.chart, "width": cell.width, "height": height },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superset::testing::sales;

    #[test]
    fn rows_and_widths_are_those_of_the_file() {
        let config = sales();
        let position = position(&config, config.dashboard.as_ref().unwrap());
        assert_eq!(position["GRID_ID"]["children"], json!(["ROW-1", "ROW-2"]));
        let places = ["CHART-ROW-1-1", "CHART-ROW-1-2", "CHART-ROW-2-1"].map(|id| {
            let meta = &position[id]["meta"];
            format!("{} {}", meta["sliceName"].as_str().unwrap(), meta["width"])
        });
        assert_eq!(places, ["Superset aggregated sales 9", "stores_shares_sales 3", "Flink Aggregated Sales 9"]);
    }
    #[test]
    fn a_row_of_numbers_is_low() {
        let mut config = sales();
        config.charts[1].kind = ChartKind::BigNumber;
        let position = position(&config, config.dashboard.as_ref().unwrap());
        assert_eq!(["CHART-ROW-1-1", "CHART-ROW-2-1"].map(|id| position[id]["meta"]["height"].as_u64()), [Some(50), Some(20)]);
    }
}
