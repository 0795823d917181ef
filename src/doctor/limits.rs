//! When a chart will have more rows than its query may bring. Pure.

use super::report::Verdict;
use crate::config::{Chart, Millis};
use crate::error::{Error, Kind};
use crate::superset::drawn::Cells;

const DAY_MS: f64 = 86_400_000.0;
const HOUR_MS: f64 = 3_600_000.0;
/// Superset brings no more rows than its SQL_MAX_ROW, which is this unless it is set.
const SQL_MAX_ROW: u64 = 100_000;
/// A chart that will be full sooner is worth a note.
const SOON_DAYS: f64 = 7.0;
/// The same, for charts that do not grow with time: the part of the limit that is used.
const NEARLY: f64 = 0.8;

/// What a chart's rows come to, held against its row limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outlook {
    /// Rows are missing now.
    Cut,
    /// It grows with time, and so many days are left.
    DaysLeft(f64),
    /// It has a time range that slides along: when that is full, there are so many rows.
    AtMost(u64),
    /// It does not grow with time.
    Still,
}

/// The outlook of a chart whose query brings this now.
pub(super) fn outlook(chart: &Chart, cells: Cells) -> Outlook {
    let limit = u64::from(chart.row_limit);
    if cells.rows >= limit || (limit > SQL_MAX_ROW && cells.rows == SQL_MAX_ROW) {
        return Outlook::Cut;
    }
    let (Some(grain), true) = (chart.grain, chart.kind.is_over_time() && cells.pivoted > 0) else { return Outlook::Still };
    let groups = cells.rows as f64 / cells.pivoted as f64;
    match chart.time_range {
        Some(range) => Outlook::AtMost((groups * (range.0 as f64 / grain.0 as f64).ceil()) as u64),
        None => Outlook::DaysLeft(days((limit - cells.rows) as f64, groups, grain)),
    }
}

/// How long it takes until so many more cells have come, days, if each bucket has one for each group.
fn days(cells: f64, groups: f64, grain: Millis) -> f64 {
    cells / (groups * DAY_MS / grain.0 as f64)
}

/// What to say of it.
pub(super) fn judge(chart: &Chart, cells: Cells) -> Verdict {
    let (rows, limit) = (cells.rows, chart.row_limit);
    let way_out = "raise its row_limit, set a time_range, or choose a longer grain; then `pipeline superset-bootstrap`";
    let left_out = "beyond, Superset leaves out the smallest";
    match outlook(chart, cells) {
        Outlook::Cut => {
            let which =
                if rows < u64::from(limit) { "Superset's SQL_MAX_ROW".to_owned() } else { format!("its row_limit of {limit}") };
            let message = format!("chart `{}` has reached {which} with {rows} rows: the smallest are left out", chart.title);
            Verdict::Failed(Error::new(Kind::Data, message).hint(way_out))
        }
        Outlook::DaysLeft(days) if days < SOON_DAYS => {
            Verdict::Note(format!("{rows} rows of {limit} at most; {} are left, {left_out}: {way_out}", told(days)))
        }
        Outlook::DaysLeft(days) => Verdict::Fine(format!("{rows} rows of {limit} at most; {} are left", told(days))),
        Outlook::AtMost(most) if most >= u64::from(limit) => Verdict::Note(format!(
            "{rows} rows of {limit} at most; when its time_range is full there will be {most}, and {left_out}: {way_out}"
        )),
        Outlook::Still if rows as f64 >= f64::from(limit) * NEARLY => {
            Verdict::Note(format!("{rows} rows of {limit} at most; {left_out}: {way_out}"))
        }
        Outlook::AtMost(_) | Outlook::Still => Verdict::Fine(format!("{rows} rows of {limit} at most")),
    }
}

fn told(days: f64) -> String {
    let (count, unit) = if days < 2.0 { ((days * DAY_MS / HOUR_MS) as u64, "hour") } else { (days as u64, "day") };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn chart(place: usize, time_range: Option<i64>) -> Chart {
        let config = config::load(None, &[]).unwrap();
        Chart { time_range: time_range.map(Millis), ..config.charts[place].clone() }
    }

    fn cells(rows: u64, pivoted: u64) -> Cells {
        Cells { rows, pivoted }
    }

    #[test]
    fn of_three_stores_by_the_minute_fifty_thousand_rows_are_eleven_and_a_half_days() {
        let Outlook::DaysLeft(days) = outlook(&chart(0, None), cells(3, 1)) else { panic!("it grows") };
        assert!((days - 49_997.0 / 4_320.0).abs() < 1e-9, "{days}");
        assert!(matches!(judge(&chart(0, None), cells(3, 1)), Verdict::Fine(told) if told.contains("11 days are left")));
        // Half the buckets lack a store.
        let Outlook::DaysLeft(days) = outlook(&chart(0, None), cells(2_500, 1_000)) else { panic!("it grows") };
        assert!((days - 47_500.0 / 3_600.0).abs() < 1e-9, "{days}");
    }

    #[test]
    fn near_its_limit_hours_are_told_and_at_it_that_rows_are_missing() {
        let near = judge(&chart(0, None), cells(49_100, 16_367));
        assert!(matches!(near, Verdict::Note(told) if told.contains("5 hours are left")));
        assert_eq!(outlook(&chart(0, None), cells(50_000, 16_667)), Outlook::Cut);
        assert!(matches!(judge(&chart(0, None), cells(50_000, 16_667)), Verdict::Failed(error) if error.kind == Kind::Data));
    }

    #[test]
    fn a_sliding_range_is_judged_as_if_it_were_full() {
        let hour = outlook(&chart(0, Some(3_600_000)), cells(6, 2));
        assert_eq!(hour, Outlook::AtMost(180));
        let month = judge(&chart(0, Some(30 * 86_400_000)), cells(6, 2));
        assert!(matches!(month, Verdict::Note(told) if told.contains("129600")));
    }

    #[test]
    fn what_does_not_grow_with_time_is_judged_by_what_there_is() {
        assert_eq!(outlook(&chart(2, None), cells(3, 3)), Outlook::Still);
        assert!(matches!(judge(&chart(2, None), cells(3, 3)), Verdict::Fine(_)));
        assert!(matches!(judge(&chart(2, None), cells(40_000, 40_000)), Verdict::Note(_)));
        assert_eq!(outlook(&chart(0, None), cells(0, 0)), Outlook::Still);
    }
}
