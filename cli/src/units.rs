//! Sizes and times with units.

use std::time::Duration;

use base::units::{ByteSize, Period, UnitError};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

/// Parses a size in bytes: digits with KiB, MiB, GiB, TiB (powers of 1024), KB, MB, GB, TB (powers of
/// 1000) or no unit. K, M, G and T are KiB and so on.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let suffix = match text.ends_with(['K', 'M', 'G', 'T']) {
        true => "iB",
        false => "",
    };
    let size: Result<ByteSize, UnitError> = format!("{text}{suffix}").parse();
    let bytes = size.map_err(|error| error.to_string())?.bytes();
    match i64::try_from(bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(format!("{text:?} is too large")),
    }
}

/// Parses a time that is not zero: digits with ms, s, m, h or d.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    match parse_duration_or_zero(text)? {
        Duration::ZERO => Err(format!("{text:?} is zero")),
        time => Ok(time),
    }
}

/// Parses a time that may be zero.
pub(super) fn parse_duration_or_zero(text: &str) -> Result<Duration, String> {
    let period: Result<Period, UnitError> = text.parse();
    Ok(period.map_err(|error| error.to_string())?.duration())
}

/// Parses the beginning of a period: how long ago it was, a day, or a moment. Returns seconds since the epoch.
pub(super) fn parse_since(text: &str) -> Result<i64, String> {
    if let Ok(time) = parse_duration(text) {
        let time = TimeDelta::from_std(time).map_err(|error| error.to_string())?;
        return Ok((Utc::now() - time).timestamp());
    }
    parse_moment(text)
}

/// Parses the end of a period: how long it lasts from now on, a day, or a moment to come. Returns seconds since the
/// epoch.
pub(super) fn parse_expiry(text: &str) -> Result<i64, String> {
    let now = Utc::now();
    let end = match parse_duration(text) {
        Ok(time) => TimeDelta::from_std(time)
            .ok()
            .and_then(|time| now.checked_add_signed(time))
            .map(|end| end.timestamp())
            .ok_or_else(|| format!("{text:?} is too long"))?,
        Err(_) => parse_moment(text)?,
    };
    match end > now.timestamp() {
        true => Ok(end),
        false => Err(format!("{text:?} has passed")),
    }
}

/// Parses a day or a moment. Returns seconds since the epoch.
fn parse_moment(text: &str) -> Result<i64, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc().timestamp());
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(time.timestamp()),
        Err(_) => Err(format!(
            "{text:?} is no time such as 24h, 2026-11-30 or 2026-11-30T18:00:00Z"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let sizes = ["0", "10", "64KiB", "1 MiB", "2GB", "64K", "1 M"]
            .map(|text| parse_size(text).unwrap());
        let expected = [0, 10, 65_536, 1 << 20, 2_000_000_000, 65_536, 1 << 20];
        assert_eq!(sizes, expected);
        for bad in [
            "",
            "KiB",
            "-1",
            "1.5MiB",
            "1XB",
            "9000000TiB",
            "18446744073709551615",
        ] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_have_units_and_are_not_zero() {
        let times = ["500ms", "30s", "2m"].map(|text| parse_duration(text).unwrap().as_millis());
        assert_eq!(times, [500, 30_000, 120_000]);
        for bad in ["", "30", "0s", "s", "1w", "-1s"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn files_expire_after_some_time_or_at_a_moment_to_come() {
        let left = parse_expiry("30d").unwrap() - Utc::now().timestamp();
        assert!((2_591_940..=2_592_000).contains(&left), "{left}");
        assert_eq!(parse_expiry("2100-01-01"), Ok(4_102_444_800));
        for bad in ["", "tomorrow", "0s", "2020-01-01", "999999999999d"] {
            assert!(parse_expiry(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn periods_begin_some_time_ago_or_at_a_moment() {
        let day = 1_796_083_200;
        assert_eq!(parse_since("2026-12-01"), Ok(day));
        assert_eq!(parse_since("2026-12-01T01:00:00Z"), Ok(day + 3600));
        assert_eq!(parse_since("2026-12-01T01:00:00+01:00"), Ok(day));
        let ago = Utc::now().timestamp() - parse_since("2h").unwrap();
        assert!((7200..7260).contains(&ago), "{ago}");
        for bad in ["", "yesterday", "2026-13-01", "0s", "999999999999d"] {
            assert!(parse_since(bad).is_err(), "{bad:?}");
        }
    }
}
