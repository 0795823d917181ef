//! When each event happens, and when it is due to be written.

/// What a time field counts since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl Unit {
    /// A time in this unit.
    pub fn of_micros(self, time_us: i64) -> i64 {
        match self {
            Self::Millis => time_us.div_euclid(1_000),
            Self::Micros => time_us,
            Self::Nanos => time_us.saturating_mul(1_000),
        }
    }
}

/// When events happen: the event time of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// When they are made.
    Now,
    /// Evenly from a start on, whatever the clock says.
    Even {
        /// The first event's time.
        start_us: i64,
        /// How many happen in a second.
        per_second: f64,
    },
    /// Evenly from a start in the past on until the clock is reached, and never ahead of it.
    CatchUp {
        /// The first event's time.
        start_us: i64,
        /// How many happen in a second.
        per_second: f64,
    },
}

impl Schedule {
    /// The time of the event with this number (the first is 0), made at `now_us`.
    pub fn time_us(&self, number: u64, now_us: i64) -> i64 {
        match *self {
            Self::Now => now_us,
            Self::Even { start_us, per_second } => start_us.saturating_add(after_us(number, per_second)),
            Self::CatchUp { start_us, per_second } => start_us.saturating_add(after_us(number, per_second)).min(now_us),
        }
    }
}

/// How long after the first one an event comes, to the nearest microsecond.
fn after_us(number: u64, per_second: f64) -> i64 {
    (number as f64 * 1e6 / per_second).round() as i64
}

/// How far events may fall behind the clock before the rest is forgiven: a stall is not followed by a flood.
const FORGIVEN_US: i64 = 1_000_000;

/// When events are due to be written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    start_us: i64,
    per_second: f64,
    forgiving: bool,
}

impl Pace {
    /// At an even rate from now on. What could not be written in time, by a second and more, is not made up for.
    pub fn even(now_us: i64, per_second: f64) -> Self {
        Self { start_us: now_us, per_second, forgiving: true }
    }

    /// As [`Schedule::CatchUp`] has it: when they happen, and at once as long as that has passed.
    pub fn catch_up(start_us: i64, per_second: f64) -> Self {
        Self { start_us, per_second, forgiving: false }
    }

    /// How long to wait before writing the event with this number; 0 if it is due.
    pub fn wait_us(&mut self, number: u64, now_us: i64) -> i64 {
        let due_us = self.start_us.saturating_add(after_us(number, self.per_second));
        let behind_us = now_us.saturating_sub(due_us);
        let step_us = after_us(1, self.per_second);
        // The clock may also have been set back.
        let ahead = behind_us.saturating_neg() > step_us.saturating_add(FORGIVEN_US);
        if self.forgiving && (behind_us > FORGIVEN_US || ahead) {
            self.start_us = self.start_us.saturating_add(behind_us);
            return 0;
        }
        behind_us.saturating_neg().max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_fields_unit() {
        assert_eq!([Unit::Millis, Unit::Micros, Unit::Nanos].map(|unit| unit.of_micros(1_999)), [1, 1_999, 1_999_000]);
        assert_eq!(Unit::Millis.of_micros(-1), -1);
    }

    #[test]
    fn an_even_schedule_does_not_look_at_the_clock() {
        let schedule = Schedule::Even { start_us: 5_000_000, per_second: 3.0 };
        let times: Vec<i64> = (0..4).map(|number| schedule.time_us(number, 99)).collect();
        assert_eq!(times, [5_000_000, 5_333_333, 5_666_667, 6_000_000]);
        // A rate that binary fractions cannot say exactly still hits whole seconds.
        let slow = Schedule::Even { start_us: 0, per_second: 0.1 };
        assert!((0..100_000).all(|number| slow.time_us(number, 0) == number.cast_signed() * 10_000_000));
    }

    #[test]
    fn catching_up_never_runs_ahead_of_the_clock() {
        let schedule = Schedule::CatchUp { start_us: 0, per_second: 1.0 };
        assert_eq!(schedule.time_us(3, 10_000_000), 3_000_000);
        assert_eq!(schedule.time_us(11, 10_000_000), 10_000_000);
        let mut pace = Pace::catch_up(0, 1.0);
        assert_eq!(pace.wait_us(3, 10_000_000), 0);
        assert_eq!(pace.wait_us(11, 10_000_000), 1_000_000);
        assert_eq!(pace.wait_us(11, 60_000_000), 0);
        assert_eq!(pace.wait_us(12, 60_000_000), 0);
    }

    #[test]
    fn a_stall_is_not_followed_by_a_flood() {
        let mut pace = Pace::even(0, 10.0);
        assert_eq!(pace.wait_us(1, 40_000), 60_000);
        assert_eq!(pace.wait_us(2, 500_000), 0);
        assert_eq!(pace.wait_us(3, 500_000), 0);
        assert_eq!(pace.wait_us(6, 60_000_000), 0);
        assert_eq!(pace.wait_us(7, 60_000_000), 100_000);
        // The clock is set back by an hour.
        assert_eq!(pace.wait_us(8, -3_540_000_000), 0);
        assert_eq!(pace.wait_us(9, -3_540_000_000), 100_000);
    }
}
