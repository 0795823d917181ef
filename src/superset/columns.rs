//! The columns of a datasource, as far as the pipeline file and its schemas know them. Pure.
//!
//! They are declared to Superset instead of being looked up by it, so that datasets can be made before Druid has a row.

use crate::avro::{FieldKind, outline};
use crate::config::{Aggregate, Config, Datasource, Function, Measure, Source, TIME_COLUMN, WINDOW_FIELDS, column_name};
use crate::error::{Error, Kind, Result};

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
    let from_topic = if let Some(source) = config.sources.iter().find(|source| source.topic == datasource.topic) {
        fields(source)?
    } else if let Some(aggregate) = config.aggregates.iter().find(|aggregate| aggregate.sink == datasource.topic) {
        window_row(aggregate, &fields(config.source(Some(&aggregate.source))?)?)
    } else {
        Vec::new()
    };
    let mut columns = vec![column(TIME_COLUMN, Type::Timestamp)];
    let asked_for = asked_for(config, datasource);
    for column in ingested(datasource, &from_topic).into_iter().chain(asked_for) {
        if columns.iter().all(|known| known.name != column.name) {
            columns.push(column);
        }
    }
    Ok(columns)
}

fn column(name: impl Into<String>, holds: Type) -> Column {
    Column { name: name.into(), holds }
}

/// A field of a topic; `None`: Druid makes no column of it.
type Field = (String, Option<Type>);

/// What Druid takes of a topic's fields: the columns that the file names, or all that can be one; with a rollup, its measures.
fn ingested(datasource: &Datasource, fields: &[Field]) -> Vec<Column> {
    let measures = datasource.rollup.as_ref().map_or(&[][..], |rollup| &rollup.measures);
    let named = |name: &str| match &datasource.columns {
        Some(columns) => columns.iter().any(|column| column_name(column) == name),
        None => measures.iter().all(|measure| measure.field.as_deref().map(column_name).as_deref() != Some(name)),
    };
    let time = column_name(&datasource.time);
    let dimensions = fields.iter().filter(|(name, _)| *name != time && named(name));
    let dimensions = dimensions.filter_map(|(name, holds)| Some(column(name, (*holds)?)));
    let measured = measures.iter().filter_map(|measure| Some(column(&measure.name, result(measure, fields)?)));
    dimensions.chain(measured).collect()
}

/// The fields of a source's schema, nested ones by the name of the column that they become.
fn fields(source: &Source) -> Result<Vec<Field>> {
    let outlined = outline(&source.schema_text).map_err(|error| {
        let place = format!("{}, the schema of source `{}`", source.schema.display(), source.topic);
        Error::new(Kind::Config, format!("{place}: {error}"))
    })?;
    Ok(outlined.iter().map(|field| (column_name(&field.path), field.kind.and_then(holds))).collect())
}

/// What Druid makes of a value.
fn holds(kind: FieldKind) -> Option<Type> {
    match kind {
        FieldKind::Bool | FieldKind::Str | FieldKind::Enum | FieldKind::Uuid => Some(Type::Varchar),
        FieldKind::Float | FieldKind::Double => Some(Type::Double),
        FieldKind::Int
        | FieldKind::Long
        | FieldKind::Date
        | FieldKind::TimeMillis
        | FieldKind::TimeMicros
        | FieldKind::TimestampMillis
        | FieldKind::TimestampMicros
        | FieldKind::TimestampNanos
        | FieldKind::LocalTimestampMillis
        | FieldKind::LocalTimestampMicros
        | FieldKind::LocalTimestampNanos => Some(Type::Long),
        FieldKind::Null | FieldKind::Bytes | FieldKind::Fixed(_) | FieldKind::Decimal { .. } | FieldKind::Union => None,
    }
}

fn window_row(aggregate: &Aggregate, fields: &[Field]) -> Vec<Field> {
    let group = |name: &String| (column_name(name), type_of(name, fields, Type::Varchar));
    let window = WINDOW_FIELDS.iter().map(|name| ((*name).to_owned(), Some(Type::Long)));
    let measures = aggregate.measures.iter().map(|measure| (measure.name.clone(), result(measure, fields)));
    aggregate.group_by.iter().map(group).chain(window).chain(measures).collect()
}

/// What a sum, count and so on of fields holds.
fn result(measure: &Measure, fields: &[Field]) -> Option<Type> {
    match (measure.function, &measure.field) {
        (Function::Count, _) => Some(Type::Long),
        (Function::Avg, _) | (_, None) => Some(Type::Double),
        (_, Some(field)) => type_of(field, fields, Type::Double),
    }
}

/// What a field holds; `otherwise` if there is no such field.
fn type_of(path: &str, fields: &[Field], otherwise: Type) -> Option<Type> {
    let name = column_name(path);
    fields.iter().find(|(field, _)| *field == name).map_or(Some(otherwise), |(_, holds)| *holds)
}

fn asked_for<'a>(config: &'a Config, datasource: &'a Datasource) -> impl Iterator<Item = Column> + 'a {
    let charts = config.charts.iter().filter(|chart| chart.datasource == datasource.name).flat_map(|chart| {
        let groups = chart.group_by.iter().map(|name| column(name, Type::Varchar));
        groups.chain(chart.metric.field.iter().map(|name| column(name, Type::Double)))
    });
    let filters = config.dashboard.iter().flat_map(|dashboard| &dashboard.filters);
    let filters = filters.filter(|filter| filter.datasource.as_ref() == Some(&datasource.name));
    charts.chain(filters.filter_map(|filter| Some(column(filter.column.as_ref()?, Type::Varchar))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Millis, Rollup};
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

    /// SALES with fields of many types.
    fn varied() -> Config {
        let mut config = sales();
        config.sources[0].schema_text = r#"{"type": "record", "name": "R", "fields": [
            {"name": "sale_ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "store_id", "type": ["null", "string"]}, {"name": "sale_amount", "type": "double"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}, {"name": "paid", "type": "boolean"},
            {"name": "page", "type": ["null", {"type": "record", "name": "P", "fields": [
                {"name": "section", "type": {"type": "enum", "name": "S", "symbols": ["A"]}}, {"name": "n", "type": "int"}]}]},
            {"name": "either", "type": ["null", "int", "string"]}, {"name": "list", "type": {"type": "array", "items": "int"}},
            {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}]}"#
            .into();
        config
    }

    #[test]
    fn avro_types_become_druids() {
        assert_eq!(
            listed(&varied(), "SALES"),
            "__time TIMESTAMP, store_id VARCHAR, sale_amount DOUBLE, at LONG, paid VARCHAR, page_section VARCHAR, page_n LONG"
        );
    }

    #[test]
    fn the_files_columns_are_all_there_is_and_a_rollup_brings_its_measures() {
        let mut config = varied();
        config.charts.clear();
        config.datasources[0].columns = Some(vec!["page.section".into(), "store_id".into()]);
        assert_eq!(listed(&config, "SALES"), "__time TIMESTAMP, store_id VARCHAR, page_section VARCHAR");
        let measure =
            |name: &str, function, field: Option<&str>| Measure { name: name.into(), function, field: field.map(Into::into) };
        let measures = vec![measure("events", Function::Count, None), measure("most", Function::Max, Some("page.n"))];
        config.datasources[0].rollup = Some(Rollup { grain: Millis(60_000), measures });
        assert_eq!(listed(&config, "SALES"), "__time TIMESTAMP, store_id VARCHAR, page_section VARCHAR, events LONG, most LONG");
        config.datasources[0].columns = None;
        let all = listed(&config, "SALES");
        assert!(all.ends_with("paid VARCHAR, page_section VARCHAR, events LONG, most LONG"), "{all}");
    }

    #[test]
    fn a_window_row_of_nested_fields_has_their_columns_names() {
        let mut config = varied();
        config.charts.clear();
        config.aggregates[0].group_by = vec!["page.section".into()];
        config.aggregates[0].measures[0].field = Some("price".into());
        assert_eq!(listed(&config, "SALES_AGGREGATE"), "__time TIMESTAMP, page_section VARCHAR, window_end LONG");
    }
}
