//! Whether a clock goes as ours does. Pure.

use std::time::{Duration, SystemTime};

use super::report::Verdict;
use crate::config::Millis;
use crate::error::{Error, Kind};

/// Below this nothing is said: answers take time, and HTTP tells whole seconds.
const NOTEWORTHY: Duration = Duration::from_secs(5);
/// From here on windows close, and charts of the last hour end, at visibly other times.
const WRONG: Duration = Duration::from_secs(60);

/// What a server's clock says, held against ours.
pub(super) fn compare(server: &str, theirs: SystemTime, ours: SystemTime) -> Verdict {
    let (apart, direction) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let told = format!("the clock of {server} is {} {direction} this machine's", seconds(apart));
    if apart < NOTEWORTHY {
        Verdict::Fine(format!("within {} s of this machine's", NOTEWORTHY.as_secs()))
    } else if apart < WRONG {
        Verdict::Note(told)
    } else {
        let hint = "set both clocks by NTP; what is shown of the last hour, and when silent windows close, depends on them";
        Verdict::Failed(Error::new(Kind::Failed, told).hint(hint))
    }
}

/// The newest record of a topic, written by a clock that may be ahead of ours; `None`: it is not.
pub(super) fn record(topic: &str, newest_ms: i64, now_ms: i64) -> Option<Verdict> {
    let ahead = Duration::from_millis(u64::try_from(newest_ms.saturating_sub(now_ms)).unwrap_or(0));
    (ahead >= NOTEWORTHY).then(|| {
        Verdict::Note(format!(
            "the newest record of topic {topic} has a Kafka timestamp {} ahead of this machine's clock: who wrote it, or this machine, \
             has a clock that is wrong",
            seconds(ahead)
        ))
    })
}

fn seconds(time: Duration) -> Millis {
    Millis(i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 1_000) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off_either_way() {
        let now = SystemTime::now();
        let of = |theirs| compare("Druid", theirs, now);
        assert!(matches!(of(now + Duration::from_secs(4)), Verdict::Fine(_)));
        assert!(matches!(of(now - Duration::from_secs(6)), Verdict::Note(told) if told.contains("6s behind")));
        let Verdict::Failed(error) = of(now + Duration::from_secs(3_600)) else { panic!("an hour is too much") };
        assert!(error.message.contains("the clock of Druid is 1h ahead of"), "{error}");
    }

    #[test]
    fn a_record_of_the_past_says_nothing_and_one_of_the_future_does() {
        assert!(record("T", 0, 1_000_000).is_none() && record("T", 1_004_000, 1_000_000).is_none());
        assert!(matches!(record("T", 1_030_000, 1_000_000), Some(Verdict::Note(told)) if told.contains("30s ahead")));
    }
}
