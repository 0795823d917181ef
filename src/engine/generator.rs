//! Made-up events: when each happens, when it is due, and what it holds.
//!
//! The same fields, seed and schedule make the same events: the random numbers come from a named algorithm ([`Random`]), and
//! values are drawn in the order of the schema's fields. Times are microseconds since 1970, so that a thousand and more events a second keep their distance.

mod random;
mod schedule;

use std::fmt;

pub use random::Random;
pub use schedule::{Pace, Schedule, Unit};

/// What a field can hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Holds {
    /// True or false.
    Flag,
    /// Any text.
    Text,
    /// One of an enum's symbols.
    Symbol(Vec<String>),
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// Floating point of either size.
    Real,
    /// A time with a unit of its own.
    Time(Unit),
    /// Values of several types.
    Mixed,
    /// Something that is not made up here, by its Avro name.
    Other(String),
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "a boolean",
            Self::Text => "a string",
            Self::Symbol(_) => "an enum",
            Self::Int => "an int",
            Self::Long => "a long",
            Self::Real => "a floating-point number",
            Self::Time(_) => "a timestamp",
            Self::Mixed => "a union of several types",
            Self::Other(name) => return write!(f, "of type {name}"),
        })
    }
}

/// A field of the events, as the schema has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name; of a nested one the dotted path.
    pub name: String,
    /// What it can hold.
    pub holds: Holds,
    /// Whether it may be null, beside values in all other fields.
    pub nullable: bool,
    /// What stands there when nothing is said about the field: its default, or null if it may be null.
    pub left_out: Option<Fixed>,
}

/// A value that is always the same.
#[derive(Debug, Clone, PartialEq)]
pub enum Fixed {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A real number.
    Real(f64),
    /// A text, or an enum's symbol.
    Text(String),
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => flag.fmt(f),
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// How a field's values are made up, as the user says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The values; `None`: nothing is said but the nulls.
    pub values: Option<Values>,
    /// The share of events in which it is null, from 0 to 1.
    pub nulls: f64,
}

/// The values of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// One of these, each as likely as the others.
    OneOf(Vec<Fixed>),
    /// A number between these two, both included.
    Uniform(f64, f64),
}

/// Why a field cannot be made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What does not fit.
    pub what: String,
    /// What would.
    pub remedy: String,
}

impl Misfit {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// The value of one field in one event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Made<'a> {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A real number.
    Real(f64),
    /// A text, or an enum's symbol.
    Text(&'a str),
}

impl<'a> From<&'a Fixed> for Made<'a> {
    fn from(value: &'a Fixed) -> Self {
        match value {
            Fixed::Null => Self::Null,
            Fixed::Bool(flag) => Self::Bool(*flag),
            Fixed::Whole(number) => Self::Whole(*number),
            Fixed::Real(number) => Self::Real(*number),
            Fixed::Text(text) => Self::Text(text),
        }
    }
}

/// A field's rule, checked against what the field can hold.
#[derive(Debug, Clone, PartialEq)]
enum Maker {
    Time(Unit),
    OneOf(Vec<Fixed>),
    Whole(i64, i64),
    Real(f64, f64),
    Always(Fixed),
}

impl Maker {
    fn make(&self, time_us: i64, random: &mut Random) -> Made<'_> {
        match self {
            Self::Time(unit) => Made::Whole(unit.of_micros(time_us)),
            // As many values as fit in memory, and one at least: `fitting` has seen to it.
            Self::OneOf(values) => values.get(random.below(values.len() as u64) as usize).map_or(Made::Null, Made::from),
            Self::Whole(least, greatest) => Made::Whole(random.whole(*least, *greatest)),
            Self::Real(least, greatest) => Made::Real(random.real(*least, *greatest)),
            Self::Always(value) => value.into(),
        }
    }
}

/// What comes next in an event.
#[derive(Debug, Clone)]
enum Step {
    /// A field, null in this share of events.
    Field(Maker, f64),
    /// The next `fields` fields, all null together in this share of events.
    Record { fields: usize, nulls: f64 },
}

/// Makes events up, field by field.
#[derive(Debug, Clone, Default)]
pub struct Generator(Vec<Step>);

impl Generator {
    /// Adds the event's next field, made up by `rule`.
    pub fn field(&mut self, field: &Field, rule: Option<&Rule>) -> Result<(), Misfit> {
        self.0.push(match rule {
            Some(Rule { nulls, .. }) if *nulls > 0.0 && !field.nullable => {
                return Err(Misfit::new(format!("is {}, which may not be null", field.holds), "leave `nulls` away"));
            }
            Some(Rule { values: Some(values), nulls }) => Step::Field(fitting(&field.holds, values)?, *nulls),
            Some(Rule { values: None, .. }) => return Err(silent(field, "only nulls are made up for it")),
            None => Step::Field(
                Maker::Always(
                    field
                        .left_out
                        .clone()
                        .ok_or_else(|| silent(field, "it has no default, and nothing says how to make it up"))?,
                ),
                0.0,
            ),
        });
        Ok(())
    }

    /// Adds the event's next field, which holds the event time.
    pub fn time(&mut self, field: &Field) -> Result<(), Misfit> {
        let maker = match &field.holds {
            Holds::Time(unit) => Maker::Time(*unit),
            Holds::Long => Maker::Time(Unit::Millis),
            other => {
                let remedy = "the time field is a long: epoch milliseconds, or a timestamp logical type";
                return Err(Misfit::new(format!("is {other}, and cannot hold the event time"), remedy));
            }
        };
        self.0.push(Step::Field(maker, 0.0));
        Ok(())
    }

    /// Says that the next `fields` fields are a record, which is null in this share of events.
    pub fn record(&mut self, fields: usize, nulls: f64) {
        self.0.push(Step::Record { fields, nulls });
    }

    /// Makes the event that happens at this time: replaces what `values` holds by one value a field.
    pub fn make<'a>(&'a self, time_us: i64, random: &mut Random, values: &mut Vec<Made<'a>>) {
        values.clear();
        // How many fields are still to come of a record that is null.
        let mut in_null = 0;
        for step in &self.0 {
            match step {
                Step::Field(..) if in_null > 0 => {
                    in_null -= 1;
                    values.push(Made::Null);
                }
                Step::Field(_, nulls) if random.happens(*nulls) => values.push(Made::Null),
                Step::Field(maker, _) => values.push(maker.make(time_us, random)),
                Step::Record { .. } if in_null > 0 => {}
                Step::Record { fields, nulls } => in_null = if random.happens(*nulls) { *fields } else { 0 },
            }
        }
    }
}

fn silent(field: &Field, what: &str) -> Misfit {
    let remedy = |rule: &str| format!("add under [source.generate]: {} = {{ {rule} }}", key(&field.name));
    let remedy = match field.holds {
        Holds::Text | Holds::Symbol(_) | Holds::Mixed => remedy("one_of = [\"...\"]"),
        Holds::Flag => remedy("one_of = [true, false]"),
        Holds::Int | Holds::Long | Holds::Real => remedy("uniform = [1, 100]"),
        _ => "give the field a default in the schema, or make it nullable".into(),
    };
    Misfit::new(format!("is {}: {what}", field.holds), remedy)
}

/// A path as a key of TOML.
fn key(path: &str) -> String {
    if path.contains('.') { format!("\"{path}\"") } else { path.to_owned() }
}

fn fitting(holds: &Holds, values: &Values) -> Result<Maker, Misfit> {
    match (values, holds) {
        (Values::OneOf(values), _) => one_of(holds, values),
        (Values::Uniform(least, greatest), _) if !(least <= greatest && least.is_finite() && greatest.is_finite()) => {
            Err(Misfit::new("uniform has no number between its two", "write uniform = [least, greatest]"))
        }
        (Values::Uniform(least, greatest), Holds::Int) => whole(*least, *greatest, f64::from(i32::MIN), f64::from(i32::MAX)),
        // Beyond 2^53 a number of the pipeline file is no longer exact.
        (Values::Uniform(least, greatest), Holds::Long) => {
            whole(*least, *greatest, -9_007_199_254_740_992.0, 9_007_199_254_740_992.0)
        }
        (Values::Uniform(least, greatest), Holds::Real) => Ok(Maker::Real(*least, *greatest)),
        (Values::Uniform(..), other) => {
            Err(Misfit::new(format!("is {other}, and uniform makes numbers"), "use one_of for everything else"))
        }
    }
}

fn one_of(holds: &Holds, values: &[Fixed]) -> Result<Maker, Misfit> {
    if values.is_empty() {
        return Err(Misfit::new("one_of is empty", "name one value at least"));
    }
    let fits = |value: &Fixed| match (holds, value) {
        (Holds::Flag, Fixed::Bool(_))
        | (Holds::Text, Fixed::Text(_))
        | (Holds::Long, Fixed::Whole(_))
        | (Holds::Real, Fixed::Whole(_) | Fixed::Real(_))
        | (Holds::Mixed, _) => true,
        (Holds::Symbol(symbols), Fixed::Text(text)) => symbols.contains(text),
        (Holds::Int, Fixed::Whole(number)) => i32::try_from(*number).is_ok(),
        _ => false,
    };
    let Some(other) = values.iter().find(|value| !fits(value)) else { return Ok(Maker::OneOf(values.to_vec())) };
    Err(match holds {
        Holds::Symbol(symbols) => Misfit::new(
            format!("one_of has `{other}`, which the enum does not"),
            format!("its symbols are {}", symbols.join(", ")),
        ),
        Holds::Text => Misfit::new(format!("is {holds}, and one_of has {other}"), format!("write \"{other}\"")),
        Holds::Int | Holds::Long | Holds::Real => Misfit::new(
            format!("is {holds}, and one_of has `{other}`"),
            "name numbers that fit, without quotes, or write uniform = [least, greatest]",
        ),
        _ => Misfit::new(format!("is {holds}, and one_of has `{other}`"), "name values of the field's type"),
    })
}

fn whole(least: f64, greatest: f64, floor: f64, ceiling: f64) -> Result<Maker, Misfit> {
    if least.fract() != 0.0 || greatest.fract() != 0.0 || least < floor || greatest > ceiling {
        return Err(Misfit::new(
            format!("holds whole numbers, and uniform = [{least}, {greatest}] does not fit"),
            format!("write two whole numbers from {floor} to {ceiling}"),
        ));
    }
    Ok(Maker::Whole(least as i64, greatest as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, holds: Holds) -> Field {
        Field { name: name.into(), holds, nullable: false, left_out: None }
    }

    fn texts(texts: &[&str]) -> Values {
        Values::OneOf(texts.iter().map(|text| Fixed::Text((*text).into())).collect())
    }

    fn rule(values: Values) -> Rule {
        Rule { values: Some(values), nulls: 0.0 }
    }

    fn sales() -> Generator {
        let stores = rule(texts(&["ABC", "DEF", "GHI"]));
        let mut generator = Generator::default();
        generator.field(&field("store_id", Holds::Text), Some(&stores)).unwrap();
        generator.field(&field("sale_amount", Holds::Int), Some(&rule(Values::Uniform(100.0, 1000.0)))).unwrap();
        generator.time(&field("sale_ts", Holds::Long)).unwrap();
        generator
    }

    fn events(seed: u64, count: i64) -> String {
        let (generator, mut random, mut values) = (sales(), Random::new(seed), Vec::new());
        let mut lines = Vec::new();
        for number in 0..count {
            generator.make(number * 1_000_000, &mut random, &mut values);
            lines.push(format!("{values:?}"));
        }
        lines.join("\n")
    }

    #[test]
    fn a_seed_makes_the_same_events_for_ever() {
        insta::assert_snapshot!(events(7, 4), @r#"
        [Text("ABC"), Whole(251), Whole(0)]
        [Text("GHI"), Whole(754), Whole(1000)]
        [Text("DEF"), Whole(423), Whole(2000)]
        [Text("ABC"), Whole(865), Whole(3000)]
        "#);
        assert_ne!(events(7, 4), events(8, 4));
    }

    #[test]
    fn a_field_nobody_speaks_of_needs_a_default_or_null() {
        let mut generator = Generator::default();
        let misfit = generator.field(&field("customer", Holds::Text), None).unwrap_err();
        assert!(
            misfit.what.contains("a string: it has no default") && misfit.remedy.contains("customer = { one_of"),
            "{misfit:?}"
        );
        let optional = Field { left_out: Some(Fixed::Null), ..field("note", Holds::Text) };
        generator.field(&optional, None).unwrap();
        let mut values = Vec::new();
        generator.make(0, &mut Random::new(0), &mut values);
        assert_eq!(values, [Made::Null]);
    }

    #[test]
    fn a_rule_that_does_not_fit_is_refused() {
        let wrong = [
            (Holds::Int, texts(&["red"])),
            (Holds::Int, Values::OneOf(vec![Fixed::Whole(1 << 31)])),
            (Holds::Text, Values::OneOf(vec![Fixed::Whole(1)])),
            (Holds::Flag, texts(&["true"])),
            (Holds::Text, texts(&[])),
            (Holds::Symbol(vec!["blue".into()]), texts(&["red"])),
            (Holds::Text, Values::Uniform(1.0, 2.0)),
            (Holds::Mixed, Values::Uniform(1.0, 2.0)),
            (Holds::Int, Values::Uniform(1.5, 2.0)),
            (Holds::Int, Values::Uniform(0.0, 2_147_483_648.0)),
            (Holds::Long, Values::Uniform(0.0, 1e16)),
            (Holds::Real, Values::Uniform(2.0, 1.0)),
            (Holds::Real, Values::Uniform(f64::NEG_INFINITY, 1.0)),
            (Holds::Other("bytes".into()), Values::Uniform(0.0, 1.0)),
        ];
        for (holds, values) in wrong {
            assert!(fitting(&holds, &values).is_err(), "{holds:?} {values:?}");
        }
        assert!(Generator::default().time(&field("t", Holds::Int)).is_err());
        let nulls = Rule { nulls: 0.5, ..rule(texts(&["x"])) };
        assert!(Generator::default().field(&field("k", Holds::Text), Some(&nulls)).is_err());
        let misfit = Generator::default().field(&field("page.k", Holds::Flag), None).unwrap_err();
        assert!(misfit.remedy.ends_with(r#""page.k" = { one_of = [true, false] }"#), "{misfit:?}");
    }

    /// The shares of events in which each field of a generator is null, and in which a record of two is.
    #[test]
    fn nulls_come_in_their_share_and_records_whole() {
        let (mut generator, always) = (Generator::default(), rule(texts(&["x"])));
        let half = Rule { nulls: 0.5, ..always.clone() };
        let nullable = Field { nullable: true, ..field("a", Holds::Text) };
        generator.field(&nullable, Some(&half)).unwrap();
        generator.record(2, 0.2);
        generator.field(&field("r.b", Holds::Text), Some(&always)).unwrap();
        generator.field(&nullable, Some(&half)).unwrap();
        generator.field(&field("c", Holds::Text), Some(&always)).unwrap();
        let (mut random, mut values, mut nulls) = (Random::new(1), Vec::new(), [0; 4]);
        for _ in 0..10_000 {
            generator.make(0, &mut random, &mut values);
            for (count, value) in nulls.iter_mut().zip(&values) {
                *count += i32::from(*value == Made::Null);
            }
            assert!(values[1] != Made::Null || values[2] == Made::Null);
        }
        for (found, expected) in nulls.into_iter().zip([5_000_i32, 2_000, 6_000, 0]) {
            assert!((found - expected).abs() < 200, "{nulls:?}");
        }
    }
}
