//! Times and durations as a person writes them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in whole milliseconds, written `250ms`, `5s`, `1m`, `2h`, `1d` or a sum of those (`1h 30m`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub i64);

impl Millis {
    /// As the standard library's type; a negative one cannot exist.
    pub fn to_std(self) -> Duration {
        Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

impl FromStr for Millis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text)
            .map_err(|error| format!("`{text}` is not a duration ({error}); write for example 250ms, 5s, 1m or 2h"))?;
        if duration.subsec_nanos() % 1_000_000 != 0 {
            return Err(format!("`{text}` is finer than a millisecond"));
        }
        i64::try_from(duration.as_millis()).map(Self).map_err(|_| format!("`{text}` is too long"))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.to_std()))
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Millis {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration: a number and a unit, or a sum of those.",
            "examples": ["250ms", "5s", "1m", "1h 30m", "7d"]
        })
    }
}

/// A point in time in milliseconds since 1970-01-01T00:00:00Z, written in RFC 3339 or as that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub i64);

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ms) = text.parse() {
            return Ok(Self(ms));
        }
        chrono::DateTime::parse_from_rfc3339(text)
            .map(|time| Self(time.timestamp_millis()))
            .map_err(|_| format!("`{text}` is not a time; write for example 2026-01-31T12:00:00Z, or epoch milliseconds"))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match chrono::DateTime::from_timestamp_millis(self.0) {
            Some(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.3fZ")),
            None => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!("1m".parse(), Ok(Millis(60_000)));
        assert_eq!("1h 30m".parse(), Ok(Millis(5_400_000)));
        assert_eq!("250ms".parse(), Ok(Millis(250)));
        for wrong in ["", "5", "-5s", "10us", "1 fortnight"] {
            assert!(wrong.parse::<Millis>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!("2023-05-09T12:58:00Z".parse(), Ok(Instant(1_683_637_080_000)));
        assert_eq!("2023-05-09T14:58:00+02:00".parse(), Ok(Instant(1_683_637_080_000)));
        assert_eq!("-1".parse(), Ok(Instant(-1)));
        assert!("yesterday".parse::<Instant>().is_err());
        assert_eq!(Instant(1_683_637_080_123).to_string(), "2023-05-09T12:58:00.123Z");
    }
}
