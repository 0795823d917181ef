//! Rows of a sink, as they were written and as they should be: both in the columns of the sink's schema. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crate::aggregate::Layout;
use crate::avro::{Encoder, Field, Plan, PlanError, Scalar, wire};
use crate::engine::{Number, Row};

/// A row of the sink.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Window start, ms.
    pub start_ms: i64,
    /// The group, encoded as the layout does it.
    pub group: Box<[u8]>,
    /// The measures.
    pub values: Vec<Scalar<'static>>,
}

/// Reads a sink's rows, whoever wrote them.
#[derive(Debug)]
pub struct Rows {
    layout: Arc<Layout>,
    names: Vec<String>,
    /// Of the schema that we write.
    own: Plan,
    /// By writer schema; `None`: no row can be read by it.
    plans: HashMap<u32, Option<Plan>>,
}

impl Rows {
    /// A reader of the rows of this layout.
    pub fn new(layout: Arc<Layout>) -> Result<Self, PlanError> {
        let encoder = Encoder::compile(&layout.value_schema)?;
        let names: Vec<String> = encoder.fields().iter().map(|field| field.name.clone()).collect();
        let own = Plan::compile(&layout.value_schema, &names)?;
        Ok(Self { layout, names, own, plans: HashMap::new() })
    }

    /// The columns of the measures.
    pub fn measures(&self) -> &[Field] {
        &self.own.fields()[self.groups() + 2..]
    }

    fn groups(&self) -> usize {
        self.layout.group_kinds.len()
    }

    /// Takes note of what the registry says of an id.
    pub fn learn(&mut self, id: u32, schema: Option<&str>) {
        let plan = schema.and_then(|schema| Plan::resolve(schema, &self.layout.value_schema, &self.names).ok());
        self.plans.insert(id, plan);
    }

    /// The row that a record holds; `None`: it holds none.
    pub fn read(&self, value: Option<&[u8]>) -> Option<Found> {
        let (id, datum) = wire::split(value?).ok()?;
        let plan = self.plans.get(&id)?.as_ref()?;
        let mut slots = vec![Scalar::Null; self.names.len()];
        plan.decode(datum, &mut slots).ok()?;
        let mut group = Vec::new();
        self.layout.encode_group(&slots[..self.groups()], &mut group).ok()?;
        let (Scalar::Long(start_ms), Scalar::Long(end_ms)) = (slots[self.groups()], slots[self.groups() + 1]) else {
            return None;
        };
        if end_ms - start_ms != self.layout.definition.window_ms {
            return None;
        }
        Some(Found { start_ms, group: group.into(), values: owned(&slots[self.groups() + 2..]) })
    }

    /// The measures of a row with these results; `None`: they do not fit their types, so there is no row.
    pub fn expected(&self, start_ms: i64, group: &[u8], values: Vec<Option<Number>>) -> Option<Vec<Scalar<'static>>> {
        let end_ms = start_ms + self.layout.definition.window_ms;
        let row = Row { start_ms, end_ms, group: group.into(), values };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        self.layout.encode_row(&row, &mut key, &mut value).ok()?;
        let mut slots = vec![Scalar::Null; self.names.len()];
        self.own.decode(&value, &mut slots).ok()?;
        Some(owned(&slots[self.groups() + 2..]))
    }
}

/// Measures are numbers, which borrow nothing.
fn owned(values: &[Scalar<'_>]) -> Vec<Scalar<'static>> {
    let number = |value: &Scalar<'_>| match *value {
        Scalar::Int(value) => Scalar::Int(value),
        Scalar::Long(value) => Scalar::Long(value),
        Scalar::Float(value) => Scalar::Float(value),
        Scalar::Double(value) => Scalar::Double(value),
        Scalar::Decimal { unscaled, scale } => Scalar::Decimal { unscaled, scale },
        _ => Scalar::Null,
    };
    values.iter().map(number).collect()
}

/// Whether two results are the same, whatever type they were written as: floats to the ninth digit, since a sum may depend on the
/// order.
pub fn is_same(a: &[Scalar<'_>], b: &[Scalar<'_>]) -> bool {
    let same = |(a, b): (&Scalar<'_>, &Scalar<'_>)| match (number(*a), number(*b)) {
        (Some(Value::Exact(a)), Some(Value::Exact(b))) => a == b,
        (Some(a), Some(b)) => {
            let (a, b) = (a.float(), b.float());
            a.total_cmp(&b).is_eq() || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
        }
        (a, b) => a.is_none() && b.is_none(),
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// A measure's value.
enum Value {
    /// Digits and how many of them are behind the point, without zeros at the end.
    Exact((i128, u32)),
    Float(f64),
}

impl Value {
    fn float(&self) -> f64 {
        match *self {
            Self::Exact((digits, scale)) => digits as f64 / 10_f64.powi(i32::try_from(scale).unwrap_or(i32::MAX)),
            Self::Float(value) => value,
        }
    }
}

/// A number's nearest float; `None`: it is none.
pub fn to_float(value: Scalar<'_>) -> Option<f64> {
    number(value).map(|value| value.float())
}

fn number(value: Scalar<'_>) -> Option<Value> {
    Some(match value {
        Scalar::Int(value) => Value::Exact((value.into(), 0)),
        Scalar::Long(value) => Value::Exact((value.into(), 0)),
        Scalar::Decimal { mut unscaled, mut scale } => {
            while scale > 0 && unscaled % 10 == 0 {
                (unscaled, scale) = (unscaled / 10, scale - 1);
            }
            Value::Exact((unscaled, scale))
        }
        Scalar::Float(value) => Value::Float(value.into()),
        Scalar::Double(value) => Value::Float(value),
        _ => return None,
    })
}

/// Adds the rows of a cell up, as a reader does with late = "delta".
pub fn add_up(rows: &[Vec<Scalar<'static>>]) -> Option<Vec<Scalar<'static>>> {
    let (first, rest) = rows.split_first()?;
    Some(rest.iter().fold(first.clone(), |sums, row| sums.iter().zip(row).map(|(a, b)| add(*a, *b)).collect()))
}

fn add(a: Scalar<'static>, b: Scalar<'static>) -> Scalar<'static> {
    match (a, b) {
        (Scalar::Null, one) | (one, Scalar::Null) => one,
        (Scalar::Int(a), Scalar::Int(b)) => Scalar::Int(a.wrapping_add(b)),
        (Scalar::Long(a), Scalar::Long(b)) => Scalar::Long(a.wrapping_add(b)),
        (Scalar::Double(a), Scalar::Double(b)) => Scalar::Double(a + b),
        (Scalar::Decimal { unscaled: a, scale }, Scalar::Decimal { unscaled: b, .. }) => {
            Scalar::Decimal { unscaled: a.wrapping_add(b), scale }
        }
        (a, _) => a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_the_same_by_value() {
        let decimal = |unscaled, scale| Scalar::Decimal { unscaled, scale };
        for (a, b, same) in [
            (Scalar::Int(5), Scalar::Long(5), true),
            (Scalar::Int(5), Scalar::Long(6), false),
            (decimal(500, 2), decimal(5, 0), true),
            (decimal(501, 2), Scalar::Int(5), false),
            (Scalar::Double(0.1 + 0.2), Scalar::Double(0.3), true),
            (Scalar::Double(f64::NAN), Scalar::Double(f64::NAN), true),
            (Scalar::Double(1.0), Scalar::Double(1.000_001), false),
            (Scalar::Null, Scalar::Null, true),
            (Scalar::Null, Scalar::Int(0), false),
        ] {
            assert_eq!(is_same(&[a], &[b]), same, "{a} {b}");
        }
        assert!(!is_same(&[Scalar::Int(1)], &[]));
    }

    #[test]
    fn deltas_add_up() {
        let rows = [vec![Scalar::Int(1), Scalar::Null], vec![Scalar::Int(2), Scalar::Long(3)]];
        assert_eq!(add_up(&rows), Some(vec![Scalar::Int(3), Scalar::Long(3)]));
        assert_eq!(add_up(&[]), None);
    }
}
