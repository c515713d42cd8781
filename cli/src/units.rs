//! Sizes and times with units.

use std::time::Duration;

/// Parses a size in bytes: digits with KiB, MiB, GiB, TiB (powers of 1024), KB, MB, GB, TB (powers of
/// 1000) or no unit.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "TiB" | "T" => 1 << 40,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(format!("{text:?} is no size such as 4096, 64KiB or 2GiB")),
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .filter(|&size| i64::try_from(size).is_ok())
        .ok_or_else(|| format!("{text:?} is no size such as 4096, 64KiB or 2GiB"))
}

/// Parses a time that is not zero: digits with ms, s, m or h.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    match parse_duration_or_zero(text)? {
        Duration::ZERO => Err(format!("{text:?} is zero")),
        time => Ok(time),
    }
}

/// Parses a time that may be zero.
pub(super) fn parse_duration_or_zero(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let millis_per_unit = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    let millis = number
        .zip(millis_per_unit)
        .and_then(|(n, per)| n.checked_mul(per));
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is no time such as 500ms, 30s or 2m"))
}

fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let sizes = ["0", "10", "64KiB", "1 MiB", "2GB"].map(|text| parse_size(text).unwrap());
        assert_eq!(sizes, [0, 10, 65_536, 1 << 20, 2_000_000_000]);
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
        for bad in ["", "30", "0s", "s", "1d", "-1s"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }
}
