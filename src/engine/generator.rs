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
    /// Something that is not made up here, by its Avro name.
    Other(String),
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a string",
            Self::Symbol(_) => "an enum",
            Self::Int => "an int",
            Self::Long => "a long",
            Self::Real => "a floating-point number",
            Self::Time(_) => "a timestamp",
            Self::Other(name) => return write!(f, "of type {name}"),
        })
    }
}

/// A field of the events, as the schema has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it can hold.
    pub holds: Holds,
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

/// How a field's values are made up, as the user says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule<'a> {
    /// One of these, each as likely as the others.
    OneOf(&'a [String]),
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

/// A field's rule, checked against what the field can hold.
#[derive(Debug, Clone, PartialEq)]
enum Maker {
    Time(Unit),
    OneOf(Vec<String>),
    Whole(i64, i64),
    Real(f64, f64),
    Always(Fixed),
}

impl Maker {
    fn make(&self, time_us: i64, random: &mut Random) -> Made<'_> {
        match self {
            Self::Time(unit) => Made::Whole(unit.of_micros(time_us)),
            // As many texts as fit in memory, and one at least: `fitting` has seen to it.
            Self::OneOf(texts) => {
                texts.get(random.below(texts.len() as u64) as usize).map_or(Made::Null, |text| Made::Text(text))
            }
            Self::Whole(least, greatest) => Made::Whole(random.whole(*least, *greatest)),
            Self::Real(least, greatest) => Made::Real(random.real(*least, *greatest)),
            Self::Always(Fixed::Null) => Made::Null,
            Self::Always(Fixed::Bool(flag)) => Made::Bool(*flag),
            Self::Always(Fixed::Whole(number)) => Made::Whole(*number),
            Self::Always(Fixed::Real(number)) => Made::Real(*number),
            Self::Always(Fixed::Text(text)) => Made::Text(text),
        }
    }
}

/// Makes events up, field by field.
#[derive(Debug, Clone, Default)]
pub struct Generator(Vec<Maker>);

impl Generator {
    /// Adds the event's next field, made up by `rule`.
    pub fn field(&mut self, field: &Field, rule: Option<Rule<'_>>) -> Result<(), Misfit> {
        self.0.push(match rule {
            Some(rule) => fitting(&field.holds, rule)?,
            None => Maker::Always(field.left_out.clone().ok_or_else(|| silent(field))?),
        });
        Ok(())
    }

    /// Adds the event's next field, which holds the event time.
    pub fn time(&mut self, field: &Field) -> Result<(), Misfit> {
        self.0.push(match &field.holds {
            Holds::Time(unit) => Maker::Time(*unit),
            Holds::Long => Maker::Time(Unit::Millis),
            other => {
                let remedy = "the time field is a long: epoch milliseconds, or a timestamp logical type";
                return Err(Misfit::new(format!("is {other}, and cannot hold the event time"), remedy));
            }
        });
        Ok(())
    }

    /// Makes the event that happens at this time: replaces what `values` holds by one value a field.
    pub fn make<'a>(&'a self, time_us: i64, random: &mut Random, values: &mut Vec<Made<'a>>) {
        values.clear();
        values.extend(self.0.iter().map(|maker| maker.make(time_us, random)));
    }
}

fn silent(field: &Field) -> Misfit {
    let remedy = match field.holds {
        Holds::Text | Holds::Symbol(_) => format!("add under [source.generate]: {} = {{ one_of = [\"...\"] }}", field.name),
        Holds::Int | Holds::Long | Holds::Real => {
            format!("add under [source.generate]: {} = {{ uniform = [1, 100] }}", field.name)
        }
        _ => "give the field a default in the schema, or make it nullable".into(),
    };
    Misfit::new(format!("is {}, has no default, and nothing says how to make it up", field.holds), remedy)
}

fn fitting(holds: &Holds, rule: Rule<'_>) -> Result<Maker, Misfit> {
    match (rule, holds) {
        (Rule::OneOf([]), _) => Err(Misfit::new("one_of is empty", "name one value at least")),
        (Rule::OneOf(texts), Holds::Text) => Ok(Maker::OneOf(texts.to_vec())),
        (Rule::OneOf(texts), Holds::Symbol(symbols)) => match texts.iter().find(|text| !symbols.contains(text)) {
            Some(other) => Err(Misfit::new(
                format!("one_of has `{other}`, which the enum does not"),
                format!("its symbols are {}", symbols.join(", ")),
            )),
            None => Ok(Maker::OneOf(texts.to_vec())),
        },
        (Rule::OneOf(_), other) => Err(Misfit::new(format!("is {other}, and one_of makes strings"), "use uniform for numbers")),
        (Rule::Uniform(least, greatest), _) if !(least <= greatest && least.is_finite() && greatest.is_finite()) => {
            Err(Misfit::new("uniform has no number between its two", "write uniform = [least, greatest]"))
        }
        (Rule::Uniform(least, greatest), Holds::Int) => whole(least, greatest, f64::from(i32::MIN), f64::from(i32::MAX)),
        // Beyond 2^53 a number of the pipeline file is no longer exact.
        (Rule::Uniform(least, greatest), Holds::Long) => {
            whole(least, greatest, -9_007_199_254_740_992.0, 9_007_199_254_740_992.0)
        }
        (Rule::Uniform(least, greatest), Holds::Real) => Ok(Maker::Real(least, greatest)),
        (Rule::Uniform(..), other) => {
            Err(Misfit::new(format!("is {other}, and uniform makes numbers"), "use one_of for strings and enums"))
        }
    }
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
        Field { name: name.into(), holds, left_out: None }
    }

    fn sales() -> Generator {
        let stores: Vec<String> = ["ABC", "DEF", "GHI"].map(String::from).into();
        let mut generator = Generator::default();
        generator.field(&field("store_id", Holds::Text), Some(Rule::OneOf(&stores))).unwrap();
        generator.field(&field("sale_amount", Holds::Int), Some(Rule::Uniform(100.0, 1000.0))).unwrap();
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
        assert!(misfit.what.contains("a string, has no default") && misfit.remedy.contains("customer = { one_of"), "{misfit:?}");
        let optional = Field { left_out: Some(Fixed::Null), ..field("note", Holds::Text) };
        generator.field(&optional, None).unwrap();
        let mut values = Vec::new();
        generator.make(0, &mut Random::new(0), &mut values);
        assert_eq!(values, [Made::Null]);
    }

    #[test]
    fn a_rule_that_does_not_fit_is_refused() {
        let red = ["red".to_owned()];
        let wrong = [
            (Holds::Int, Rule::OneOf(&red)),
            (Holds::Text, Rule::OneOf(&[])),
            (Holds::Symbol(vec!["blue".into()]), Rule::OneOf(&red)),
            (Holds::Text, Rule::Uniform(1.0, 2.0)),
            (Holds::Int, Rule::Uniform(1.5, 2.0)),
            (Holds::Int, Rule::Uniform(0.0, 2_147_483_648.0)),
            (Holds::Long, Rule::Uniform(0.0, 1e16)),
            (Holds::Real, Rule::Uniform(2.0, 1.0)),
            (Holds::Real, Rule::Uniform(f64::NEG_INFINITY, 1.0)),
            (Holds::Other("boolean".into()), Rule::Uniform(0.0, 1.0)),
        ];
        for (holds, rule) in wrong {
            assert!(fitting(&holds, rule).is_err(), "{holds:?} {rule:?}");
        }
        assert!(Generator::default().time(&field("t", Holds::Int)).is_err());
    }
}
