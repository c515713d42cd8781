//! Sizes and times with units.

use std::time::Duration;

use base::units::{ByteSize, Period, UnitError};

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
}
