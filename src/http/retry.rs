//! Whether, and when, a request is sent again. Pure.

use std::time::Duration;

use reqwest::Method;

/// How often an idempotent request is sent, the first time included.
const ATTEMPTS: u32 = 3;
/// The pause before the second attempt; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// The longest `Retry-After` that is waited for: a user waits for us. Who asks for more is not asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// No pause begins later than this after the first attempt: with the usual time limit a user hears of a dead server within 15 s.
const PATIENCE: Duration = Duration::from_secs(4);

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// Refused, reset, or no answer in time.
    NoAnswer,
    /// A status, and the pause that its `Retry-After` asks for.
    Status(u16, Option<Duration>),
}

/// The attempts at one request.
#[derive(Debug)]
pub struct Retry {
    idempotent: bool,
    made: u32,
}

impl Retry {
    /// For a request of this method. Only those whose repetition changes nothing are repeated (RFC 9110, 9.2.2).
    pub fn new(method: &Method) -> Self {
        Self { idempotent: method.is_idempotent(), made: 0 }
    }

    /// The pause before the next attempt, after `elapsed` since the first began; `None`: that was the last.
    pub fn after(&mut self, outcome: Outcome, elapsed: Duration) -> Option<Duration> {
        self.made += 1;
        if !self.idempotent || self.made >= ATTEMPTS || elapsed >= PATIENCE {
            return None;
        }
        let backoff = FIRST_PAUSE * 2u32.pow(self.made - 1);
        match outcome {
            Outcome::NoAnswer => Some(backoff),
            Outcome::Status(429 | 502..=504, asked) => Some(asked.unwrap_or(backoff)).filter(|pause| *pause <= LONGEST_PAUSE),
            Outcome::Status(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    #[test]
    fn only_idempotent_requests_are_repeated_and_not_for_ever() {
        let mut get = Retry::new(&Method::GET);
        assert_eq!(get.after(Outcome::NoAnswer, AT_ONCE), Some(Duration::from_millis(300)));
        assert_eq!(get.after(Outcome::Status(503, None), AT_ONCE), Some(Duration::from_millis(600)));
        assert_eq!(get.after(Outcome::NoAnswer, AT_ONCE), None);
        assert_eq!(Retry::new(&Method::POST).after(Outcome::Status(503, None), AT_ONCE), None);
        assert_eq!(Retry::new(&Method::GET).after(Outcome::NoAnswer, PATIENCE), None);
    }

    #[test]
    fn retry_after_is_honoured_within_reason() {
        let pause = |status, asked| Retry::new(&Method::GET).after(Outcome::Status(status, asked), AT_ONCE);
        assert_eq!(pause(429, Some(Duration::from_secs(2))), Some(Duration::from_secs(2)));
        assert_eq!(pause(429, Some(Duration::from_secs(3600))), None);
        assert_eq!(pause(503, Some(LONGEST_PAUSE)), Some(LONGEST_PAUSE));
        assert_eq!(pause(404, None), None);
    }
}
