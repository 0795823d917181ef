//! The columns of a datasource, as far as the pipeline file and its schemas know them. Pure.
//!
//! They are declared to Superset instead of being looked up by it, so that datasets can be made before Druid has a row.

use apache_avro::Schema;

use crate::config::{Aggregate, Config, Datasource, Function, Measure, Source};
use crate::error::{Error, Kind, Result};

/// Druid's time column.
pub const TIME: &str = "__time";
/// The columns that a window row has besides its group-by fields and measures.
const WINDOW: [&str; 2] = ["window_start", "window_end"];

/// What a column holds, in the words of Superset's Druid dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Text.
    Varchar,
    /// A whole number.
    Long,
    /// A number.
    Double,
    /// A point in time.
    Timestamp,
}

impl Type {
    /// Its name in Superset.
    pub fn word(self) -> &'static str {
        match self {
            Self::Varchar => "VARCHAR",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::Timestamp => "TIMESTAMP",
        }
    }
}

/// A column of a datasource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub holds: Type,
}

/// The columns of a datasource: the time, then what its topic brings, then what charts ask for beyond that.
pub fn of(config: &Config, datasource: &Datasource) -> Result<Vec<Column>> {
    let mut columns = vec![column(TIME, Type::Timestamp)];
    let from_topic = if let Some(source) = config.sources.iter().find(|source| source.topic == datasource.topic) {
        fields(source)?
    } else if let Some(aggregate) = config.aggregates.iter().find(|aggregate| aggregate.sink == datasource.topic) {
        window_row(aggregate, &fields(config.source(Some(&aggregate.source))?)?)
    } else {
        Vec::new()
    };
    columns.extend(from_topic.into_iter().filter(|column| column.name != datasource.time));
    for column in asked_for(config, datasource) {
        if columns.iter().all(|known| known.name != column.name) {
            columns.push(column);
        }
    }
    Ok(columns)
}

fn column(name: impl Into<String>, holds: Type) -> Column {
    Column { name: name.into(), holds }
}

/// The fields of a source's schema that make a column; nested ones do not.
fn fields(source: &Source) -> Result<Vec<Column>> {
    let place = format!("{}, the schema of source `{}`", source.schema.display(), source.topic);
    match Schema::parse_str(&source.schema_text) {
        Ok(Schema::Record(record)) => {
            Ok(record.fields.iter().filter_map(|field| Some(column(&field.name, holds(&field.schema)?))).collect())
        }
        Ok(_) => Err(Error::new(Kind::Config, format!("{place}: is not a record schema"))),
        Err(error) => Err(Error::new(Kind::Config, format!("{place}: is not an Avro schema: {error}"))),
    }
}

/// What Druid makes of an Avro type; `None`: no plain column.
fn holds(schema: &Schema) -> Option<Type> {
    match schema {
        Schema::Null | Schema::Array(_) | Schema::Map(_) | Schema::Record(_) | Schema::Ref { .. } => None,
        Schema::Union(union) => {
            let mut rest = union.variants().iter().filter(|variant| !matches!(variant, Schema::Null));
            rest.next().filter(|_| rest.next().is_none()).and_then(holds)
        }
        Schema::Float | Schema::Double | Schema::Decimal(_) | Schema::BigDecimal => Some(Type::Double),
        Schema::String | Schema::Bytes | Schema::Enum(_) | Schema::Fixed(_) | Schema::Uuid(_) | Schema::Duration(_) => {
            Some(Type::Varchar)
        }
        // Whole numbers, truth values, and the times that Avro writes as whole numbers.
        _ => Some(Type::Long),
    }
}

fn window_row(aggregate: &Aggregate, fields: &[Column]) -> Vec<Column> {
    let type_of = |name: &str, otherwise| fields.iter().find(|field| field.name == name).map_or(otherwise, |field| field.holds);
    let groups = aggregate.group_by.iter().map(|name| column(name, type_of(name, Type::Varchar)));
    let window = WINDOW.iter().map(|name| column(*name, Type::Long));
    let result = |measure: &Measure| match (measure.function, &measure.field) {
        (Function::Count, _) => Type::Long,
        (Function::Avg, _) | (_, None) => Type::Double,
        (_, Some(field)) => type_of(field, Type::Double),
    };
    let measures = aggregate.measures.iter().map(|measure| column(&measure.name, result(measure)));
    groups.chain(window).chain(measures).collect()
}

fn asked_for<'a>(config: &'a Config, datasource: &'a Datasource) -> impl Iterator<Item = Column> + 'a {
    config.charts.iter().filter(|chart| chart.datasource == datasource.name).flat_map(|chart| {
        let groups = chart.group_by.iter().map(|name| column(name, Type::Varchar));
        groups.chain(chart.metric.field.iter().map(|name| column(name, Type::Double)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superset::testing::sales;

    fn listed(config: &Config, name: &str) -> String {
        let columns = of(config, config.datasource(name).unwrap()).unwrap();
        columns.iter().map(|column| format!("{} {}", column.name, column.holds.word())).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_event_time_becomes_the_time_column() {
        assert_eq!(listed(&sales(), "SALES"), "__time TIMESTAMP, store_id VARCHAR, sale_amount LONG");
    }

    #[test]
    fn a_window_row_has_groups_window_and_measures() {
        assert_eq!(
            listed(&sales(), "SALES_AGGREGATE"),
            "__time TIMESTAMP, store_id VARCHAR, window_end LONG, aggregated_sales LONG"
        );
    }

    #[test]
    fn a_topic_from_elsewhere_has_the_columns_that_charts_ask_for() {
        let mut config = sales();
        config.datasources[0].topic = "ELSEWHERE".into();
        assert_eq!(listed(&config, "SALES"), "__time TIMESTAMP, store_id VARCHAR, sale_amount DOUBLE");
    }

    #[test]
    fn avro_types_become_druids() {
        let mut config = sales();
        config.sources[0].schema_text = r#"{"type": "record", "name": "R", "fields": [
            {"name": "sale_ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "store_id", "type": ["null", "string"]}, {"name": "sale_amount", "type": "double"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}, {"name": "paid", "type": "boolean"},
            {"name": "either", "type": ["null", "int", "string"]}, {"name": "list", "type": {"type": "array", "items": "int"}}]}"#
            .into();
        assert_eq!(listed(&config, "SALES"), "__time TIMESTAMP, store_id VARCHAR, sale_amount DOUBLE, at LONG, paid LONG");
    }
}
