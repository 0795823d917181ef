//! Each function against the oracle: integers of every size, decimals as integers, floats that are hardly numbers, nulls.

use proptest::prelude::*;

use super::super::*;
use super::{definition, same};

fn integer() -> impl Strategy<Value = Number> {
    let extreme = prop_oneof![Just(i128::MAX), Just(i128::MIN), Just(10_i128.pow(38) - 1), Just(1 - 10_i128.pow(38))];
    prop_oneof![2 => any::<i64>().prop_map(i128::from), 2 => any::<i128>(), 1 => extreme, 1 => -3i128..3].prop_map(Number::Int)
}

/// Sums of these are exact in whatever order: the few digits of each lie close together.
fn float() -> impl Strategy<Value = Number> {
    let strange = prop_oneof![
        Just(f64::NAN),
        Just(-f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-0.0),
        Just(0.0),
        Just(1.5 * 2_f64.powi(1023)),
        Just(-1.5 * 2_f64.powi(1023)),
    ];
    let plain = (-1000i32..1000).prop_map(|value| f64::from(value) / 8.0);
    prop_oneof![12 => plain, 1 => strange].prop_map(Number::Float)
}

fn check(values: &[Option<Number>]) -> Result<(), TestCaseError> {
    let definition = definition(0);
    let of_all = |value: &Option<Number>| vec![*value; definition.functions.len()];
    let mut engine = Engine::new(definition.clone(), [(0, 0, Progress::starting_at(0))]);
    for (offset, value) in values.iter().enumerate() {
        let event =
            Event { partition: 0, offset: offset as i64, time_ms: 3, kafka_time_ms: None, group: &[], values: &of_all(value) };
        engine.observe(&event);
    }
    engine.close_all();
    let observed = values.iter().map(|value| Observed { time_ms: 3, group: Box::new([]), values: of_all(value) });
    let expected = recompute(&definition, observed).into_values().next();
    let found = engine.take_rows().pop().map(|row| row.values);
    let equal = |a: &[Option<Number>], b: &[Option<Number>]| a.iter().zip(b).all(|(a, b)| same(*a, *b));
    match (&found, &expected) {
        (Some(found), Some(expected)) => prop_assert!(equal(found, expected), "{found:?}, not {expected:?}, of {values:?}"),
        (found, expected) => prop_assert_eq!(found, expected),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_integers(values in prop::collection::vec(prop::option::weighted(0.9, integer()), 0..12)) {
        check(&values)?;
    }

    #[test]
    fn of_floats(values in prop::collection::vec(prop::option::weighted(0.9, float()), 0..12)) {
        check(&values)?;
    }
}
