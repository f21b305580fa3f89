//! Dates of the Gregorian calendar and times of day in UTC, of Unix milliseconds.
//!
//! Both directions follow H. Hinnant, "chrono-compatible low-level date algorithms": years begin in March, so that a leap day is
//! the last day of its year, and every era of 400 years has the same number of days.

/// A second, a minute, an hour, a day and a week, in milliseconds.
pub(crate) const SECOND_MS: i64 = 1_000;
pub(crate) const MINUTE_MS: i64 = 60 * SECOND_MS;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
pub(crate) const WEEK_MS: i64 = 7 * DAY_MS;

/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_BEFORE_1970: i64 = 719_468;
/// Days of 400 years.
const DAYS_OF_ERA: i64 = 146_097;

/// A date of the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CivilDate {
    /// The year 0 is 1 BC.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
}

impl CivilDate {
    /// The date that lies `days` after 1 January 1970.
    pub fn after_1970(days: i64) -> Self {
        let days = days + DAYS_BEFORE_1970;
        let (era, day_of_era) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
    }

    /// Days from 1 January 1970 to this date, negative before it.
    pub fn days_since_1970(self) -> i64 {
        let Self { year, month, day } = self;
        let year = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * DAYS_OF_ERA + day_of_era - DAYS_BEFORE_1970
    }

    /// The calendar has this date: a month of 1 to 12, and a day that the month has in this year.
    pub(crate) fn exists(self) -> bool {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let last_day = match self.month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return false,
        };
        (1..=last_day).contains(&self.day)
    }
}

/// The day in UTC: `2026-11-22`.
pub fn date(ms: i64) -> String {
    let CivilDate { year, month, day } = CivilDate::after_1970(ms.div_euclid(DAY_MS));
    format!("{year:04}-{month:02}-{day:02}")
}

/// The time of day in UTC: `14:03:10`.
pub fn clock(ms: i64) -> String {
    let seconds = ms.div_euclid(1_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day() {
        assert_eq!(clock(1_699_999_990_000), "22:13:10");
    }

    #[test]
    fn every_day_of_eight_centuries_there_and_back() {
        assert_eq!(CivilDate::after_1970(0), CivilDate { year: 1970, month: 1, day: 1 });
        let mut before = CivilDate::after_1970(-DAYS_OF_ERA - 1);
        for days in -DAYS_OF_ERA..=DAYS_OF_ERA {
            let date = CivilDate::after_1970(days);
            assert!(date.exists() && date.days_since_1970() == days, "{date:?}");
            let next_day = CivilDate { day: before.day + 1, ..before };
            assert!(next_day == date || (date.day == 1 && !next_day.exists()), "{before:?} {date:?}");
            before = date;
        }
    }

    #[test]
    fn dates_that_no_calendar_has() {
        for (year, month, day) in
            [(2026, 2, 29), (1900, 2, 29), (2026, 4, 31), (2026, 13, 1), (2026, 0, 1), (2026, 1, 0)]
        {
            assert!(!CivilDate { year, month, day }.exists(), "{year}-{month}-{day}");
        }
        assert!(CivilDate { year: 2000, month: 2, day: 29 }.exists());
    }
}
