//! What a chart asks of the records of its topic.
//!
//! Charts name the columns of their datasource. What becomes of a record's fields on the way to a column is done here in reverse: a
//! nested field is found again by its column's name, and a metric over a rolled-up column is put to the records themselves.

use super::rows::to_float;
use crate::avro::{FieldKind, Plan, Scalar, outline};
use crate::config::{Chart, ChartKind, Datasource, Function, Metric, Rollup, column_name};

/// A day.
pub const DAY_MS: i64 = 24 * 3_600_000;
/// A week.
pub const WEEK_MS: i64 = 7 * DAY_MS;
/// The first Monday of 1970.
pub const MONDAY_MS: i64 = 4 * DAY_MS;

/// Metrics over the records of a topic.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is computed: a function of a column or field; of none: of the records themselves.
    metrics: Vec<(Function, Option<String>)>,
    /// The columns that records are told apart by.
    pub dimensions: Vec<String>,
    /// The field of the event time.
    time: String,
    /// Rows that are added up as they come have no finer time than this, ms.
    rolled_up_to: Option<i64>,
}

/// What a record says to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Event time, ms.
    pub time_ms: i64,
    /// The value of each dimension.
    pub group: Vec<String>,
    /// The value that each metric is over; `None`: it is null, which no metric counts.
    pub values: Vec<Option<f64>>,
}

impl Question {
    /// The question of a chart; the error says why the topic cannot answer it.
    pub fn of_chart(chart: &Chart, datasource: &Datasource) -> Result<Self, String> {
        let dimensions = if chart.kind == ChartKind::BigNumber { Vec::new() } else { chart.group_by.clone() };
        Self::new(std::slice::from_ref(&chart.metric), dimensions, datasource)
    }

    /// A question about the columns of a datasource; the error says why the topic cannot answer it.
    pub fn new(metrics: &[Metric], dimensions: Vec<String>, datasource: &Datasource) -> Result<Self, String> {
        let of_records = |metric: &Metric| match &datasource.rollup {
            Some(rollup) => of_records(metric, rollup),
            None => Ok((metric.function, metric.field.clone())),
        };
        let metrics: Result<Vec<_>, String> = metrics.iter().map(of_records).collect();
        let rolled_up_to = datasource.rollup.as_ref().map(|rollup| rollup.grain.0);
        Ok(Self { metrics: metrics?, dimensions, time: datasource.time.clone(), rolled_up_to })
    }

    /// What each metric computes of the records.
    pub fn functions(&self) -> impl Iterator<Item = Function> {
        self.metrics.iter().map(|(function, _)| *function)
    }

    /// How to read the answer of records of this schema (JSON); the error says why they have none.
    pub fn plan(&self, schema: &str) -> Result<Plan, String> {
        let outlined = outline(schema).map_err(|error| error.to_string())?;
        let known = |path: &&str| outlined.iter().any(|field| field.path == *path);
        let path = |column: &str| {
            let nested = || outlined.iter().find(|field| column_name(&field.path) == column);
            Some(column).filter(known).or_else(|| nested().map(|field| field.path.as_str())).unwrap_or(column).to_owned()
        };
        let mut wanted = vec![self.time.clone()];
        wanted.extend(self.dimensions.iter().map(|column| path(column)));
        // A count of records asks for the time once more, which every record has.
        wanted.extend(self.metrics.iter().map(|(_, field)| field.as_deref().map_or_else(|| self.time.clone(), path)));
        let plan = Plan::compile(schema, &wanted).map_err(|error| error.to_string())?;
        let time = plan.kind(0);
        if !matches!(time, FieldKind::Long | FieldKind::TimestampMillis | FieldKind::TimestampMicros) {
            return Err(format!("its time `{}` is of type {time}, which is no timestamp", self.time));
        }
        for (place, (function, field)) in self.metrics.iter().enumerate() {
            let kind = plan.kind(1 + self.dimensions.len() + place);
            if *function != Function::Count && !is_number(kind) {
                let field = field.as_deref().unwrap_or_default();
                return Err(format!("there is no {} of `{field}`, which is of type {kind}", function.sql()));
            }
        }
        Ok(plan)
    }

    /// The answer of a record; `None`: it cannot be read.
    pub fn ask(&self, plan: &Plan, datum: &[u8]) -> Option<Answer> {
        let mut slots = vec![Scalar::Null; plan.fields().len()];
        plan.decode(datum, &mut slots).ok()?;
        let time_ms = slots[0].event_time(plan.kind(0))?;
        let time_ms = self.rolled_up_to.map_or(time_ms, |grain| floor(time_ms, grain));
        let (group, metrics) = slots[1..].split_at(self.dimensions.len());
        let value = |((function, _), slot): (&(Function, _), &Scalar<'_>)| match function {
            Function::Count => (*slot != Scalar::Null).then_some(1.0),
            _ => to_float(*slot),
        };
        let values = self.metrics.iter().zip(metrics).map(value).collect();
        Some(Answer { time_ms, group: group.iter().map(Scalar::to_string).collect(), values })
    }
}

/// The start of the bucket of this length that a time is in, both ms.
pub fn floor(time_ms: i64, grain: i64) -> i64 {
    let grain = grain.max(1);
    time_ms.div_euclid(grain).saturating_mul(grain)
}

/// The same of a chart's buckets. Weeks begin on a Monday, as Druid's do; the first one of 1970 was its fifth day.
pub fn bucket(time_ms: i64, grain: i64) -> i64 {
    let shift = if grain == WEEK_MS { MONDAY_MS } else { 0 };
    floor(time_ms.saturating_sub(shift), grain).saturating_add(shift)
}

/// The function and field that give of records what a metric gives of rows that were added up.
fn of_records(metric: &Metric, rollup: &Rollup) -> Result<(Function, Option<String>), String> {
    let (asked, label) = (metric.function, metric.label());
    let Some(field) = &metric.field else {
        return Err(format!("{label} counts rows that Druid has added up, and the topic has none of them"));
    };
    match (asked, rollup.measures.iter().find(|measure| measure.name == *field)) {
        (Function::Sum, Some(measure)) if matches!(measure.function, Function::Sum | Function::Count) => {
            Ok((measure.function, measure.field.clone()))
        }
        (Function::Min | Function::Max, Some(measure)) if measure.function == asked => Ok((asked, measure.field.clone())),
        // A dimension: it is the same in all records of a row.
        (Function::Min | Function::Max, None) => Ok((asked, Some(field.clone()))),
        _ => Err(format!("{label} is over rows that Druid has added up, and the topic has none of them")),
    }
}

fn is_number(kind: FieldKind) -> bool {
    !matches!(
        kind,
        FieldKind::Null
            | FieldKind::Bool
            | FieldKind::Str
            | FieldKind::Bytes
            | FieldKind::Fixed(_)
            | FieldKind::Enum
            | FieldKind::Uuid
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::Encoder;
    use crate::config::{self, Config, Measure, Millis};

    const CLICK: &str = r#"{"type":"record","name":"Click","fields":[
        {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"page","type":["null",{"type":"record","name":"Page","fields":[{"name":"section","type":"string"}]}]},
        {"name":"bytes","type":["null","long"]}, {"name":"agent_name","type":"string"}]}"#;

    fn case() -> (Chart, Datasource) {
        let config: Config = config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap();
        let (mut chart, mut datasource) = (config.charts[0].clone(), config.datasources[0].clone());
        datasource.time = "at".into();
        chart.group_by = vec!["page_section".into(), "agent_name".into()];
        chart.metric = Metric { function: Function::Sum, field: Some("bytes".into()) };
        (chart, datasource)
    }

    fn asked(chart: &Chart, datasource: &Datasource, datum: &[u8]) -> Option<Answer> {
        let question = Question::of_chart(chart, datasource).unwrap();
        question.ask(&question.plan(CLICK).unwrap(), datum)
    }

    /// A click: at 61,001 ms, of section `news` or of none, of so many bytes or null.
    fn click(section: Option<&str>, bytes: Option<i64>) -> Vec<u8> {
        let flat = r#"{"type":"record","name":"C","fields":[{"name":"at","type":"long"},{"name":"s","type":["null","string"]},
            {"name":"b","type":["null","long"]},{"name":"a","type":"string"}]}"#;
        let slots = [
            Scalar::Long(61_001),
            section.map_or(Scalar::Null, Scalar::Str),
            bytes.map_or(Scalar::Null, Scalar::Long),
            Scalar::Str("curl"),
        ];
        let mut datum = Vec::new();
        Encoder::compile(flat).unwrap().encode(&slots, &mut datum).unwrap();
        datum
    }

    #[test]
    fn a_nested_field_is_found_by_its_column() {
        let (mut chart, datasource) = case();
        let answer = |group: [&str; 2], value| {
            Some(Answer { time_ms: 61_001, group: group.map(str::to_owned).to_vec(), values: vec![value] })
        };
        assert_eq!(asked(&chart, &datasource, &click(Some("news"), Some(5))), answer(["news", "curl"], Some(5.0)));
        assert_eq!(asked(&chart, &datasource, &click(None, None)), answer(["null", "curl"], None));
        // A count of records counts those whose fields are null too, a count of a column does not.
        chart.metric = Metric { function: Function::Count, field: None };
        assert_eq!(asked(&chart, &datasource, &click(None, None)), answer(["null", "curl"], Some(1.0)));
        chart.metric.field = Some("page_section".into());
        assert_eq!(asked(&chart, &datasource, &click(None, Some(5))), answer(["null", "curl"], None));
        chart.kind = ChartKind::BigNumber;
        assert_eq!(asked(&chart, &datasource, &click(Some("news"), None)).unwrap().group, Vec::<String>::new());
    }

    #[test]
    fn what_a_schema_cannot_answer_is_named() {
        let (mut chart, mut datasource) = case();
        let why = |chart: &Chart, datasource: &Datasource| {
            Question::of_chart(chart, datasource).and_then(|question| question.plan(CLICK)).unwrap_err()
        };
        chart.metric.field = Some("agent_name".into());
        assert_eq!(why(&chart, &datasource), "there is no SUM of `agent_name`, which is of type string");
        chart.metric.field = Some("weight".into());
        assert_eq!(why(&chart, &datasource), "Click has no field `weight`; its fields are at, page, bytes, agent_name");
        datasource.time = "agent_name".into();
        chart.metric.field = None;
        assert_eq!(why(&chart, &datasource), "its time `agent_name` is of type string, which is no timestamp");
    }

    #[test]
    fn a_metric_over_a_rolled_up_column_is_put_to_the_records_or_named() {
        use Function::{Avg, Count, Max, Min, Sum};
        let (mut chart, mut datasource) = case();
        let measure =
            |name: &str, function, field: Option<&str>| Measure { name: name.into(), function, field: field.map(str::to_owned) };
        let measures = vec![
            measure("clicks", Count, None),
            measure("bytes_sum", Sum, Some("bytes")),
            measure("bytes_max", Max, Some("bytes")),
            measure("sections", Count, Some("page.section")),
        ];
        datasource.rollup = Some(Rollup { grain: Millis(60_000), measures });
        for (function, field, expected) in [
            (Sum, Some("bytes_sum"), Ok(Some(5.0))),
            (Sum, Some("clicks"), Ok(Some(1.0))),
            (Sum, Some("sections"), Ok(None)),
            (Max, Some("bytes_max"), Ok(Some(5.0))),
            (Count, None, Err("COUNT(*) counts rows that Druid has added up, and the topic has none of them")),
            (Min, Some("bytes_max"), Err("MIN(bytes_max) is over rows that Druid has added up, and the topic has none of them")),
            (Avg, Some("bytes_sum"), Err("AVG(bytes_sum) is over rows that Druid has added up, and the topic has none of them")),
            (Sum, Some("at"), Err("SUM(at) is over rows that Druid has added up, and the topic has none of them")),
        ] {
            chart.metric = Metric { function, field: field.map(str::to_owned) };
            match (Question::of_chart(&chart, &datasource), expected) {
                (Ok(question), Ok(value)) => {
                    let answer = question.ask(&question.plan(CLICK).unwrap(), &click(None, Some(5))).unwrap();
                    assert_eq!((answer.time_ms, answer.values), (60_000, vec![value]), "{field:?}");
                }
                (Err(why), Err(expected)) => assert_eq!(why, expected),
                (found, expected) => panic!("{found:?}, not {expected:?}"),
            }
        }
    }
}
