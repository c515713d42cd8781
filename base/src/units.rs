//! Sizes and periods of a configuration: a whole number and its unit. The printed form is exact and can be
//! parsed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
    ("", 1),
];

/// In milliseconds.
const PERIOD_UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const SIZE_EXPECTED: &str = r#"a size such as "512KiB" or "20GiB": a whole number of bytes, or one followed by B, KiB, MiB, GiB, TiB, kB, MB, GB or TB"#;
const PERIOD_EXPECTED: &str =
    r#"a period such as "30s" or "5m": a whole number followed by ms, s, m, h or d"#;

/// A size or period that cannot be read. The message names what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a whole number with a unit of its kind.
    #[error("invalid value {value:?}, expected {expected}")]
    Invalid {
        /// The text.
        value: String,
        /// The expected form.
        expected: &'static str,
    },
    /// More than 64 bits hold.
    #[error("{value:?} is too large")]
    TooLarge {
        /// The text as it came.
        value: String,
    },
}

/// A number of bytes. Reads `"512KiB"` (powers of 1024), `"1MB"` (powers of 1000) and plain
/// integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

impl ByteSize {
    /// A number of bytes.
    pub const fn new(bytes: u64) -> ByteSize {
        ByteSize(bytes)
    }

    /// A number of KiB; saturates at 2^64 - 1 bytes.
    pub const fn from_kib(kib: u64) -> ByteSize {
        ByteSize(kib.saturating_mul(1 << 10))
    }

    /// A number of MiB; saturates at 2^64 - 1 bytes.
    pub const fn from_mib(mib: u64) -> ByteSize {
        ByteSize(mib.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// A length of time in whole milliseconds. Reads `"30s"`, `"500ms"`, `"5m"`, `"2h"`, `"1d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Period(Duration);

impl Period {
    /// A number of milliseconds.
    pub const fn from_millis(millis: u64) -> Period {
        Period(Duration::from_millis(millis))
    }

    /// A number of seconds; saturates at 2^64 - 1 milliseconds.
    pub const fn from_secs(secs: u64) -> Period {
        Period::from_millis(secs.saturating_mul(1_000))
    }

    /// The period as the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// Whether it has no length.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<ByteSize, UnitError> {
        parse(text, SIZE_UNITS, SIZE_EXPECTED).map(ByteSize)
    }
}

impl FromStr for Period {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Period, UnitError> {
        parse(text, PERIOD_UNITS, PERIOD_EXPECTED).map(Period::from_millis)
    }
}

/// Digits, perhaps a space, and a unit of `units`.
fn parse(text: &str, units: &[(&str, u64)], expected: &'static str) -> Result<u64, UnitError> {
    let invalid = || UnitError::Invalid {
        value: text.to_owned(),
        expected,
    };
    let too_large = || UnitError::TooLarge {
        value: text.to_owned(),
    };
    let text = text.trim();
    let digits_len = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_len);
    if digits.is_empty() {
        return Err(invalid());
    }
    let unit = unit.trim_start();
    let &(_, factor) = units
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(invalid)?;
    // Digits only: too many of them is all that can be wrong.
    let number: u64 = digits.parse().map_err(|_| too_large())?;
    number.checked_mul(factor).ok_or_else(too_large)
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SIZE_UNITS
            .iter()
            .filter(|(name, factor)| !name.is_empty() && factor.is_power_of_two());
        print(self.0, binary, "B", f)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.millis(), PERIOD_UNITS.iter(), "s", f)
    }
}

/// The number in the largest of `units` (largest first) that divides it evenly; zero in `zero`.
fn print<'a>(
    value: u64,
    mut units: impl Iterator<Item = &'a (&'a str, u64)>,
    zero: &str,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let fits = |&&(_, factor): &&(&str, u64)| value != 0 && value.is_multiple_of(factor);
    match units.find(fits) {
        Some((name, factor)) => write!(f, "{}{name}", value / factor),
        None => write!(f, "{value}{zero}"),
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        deserializer.deserialize_any(ByteSizeVisitor)
    }
}

struct ByteSizeVisitor;

impl Visitor<'_> for ByteSizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SIZE_EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<ByteSize, E> {
        u64::try_from(bytes)
            .map(ByteSize)
            .map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
        deserializer.deserialize_any(PeriodVisitor)
    }
}

/// Takes a text only: a number without a unit is refused by the visitor's defaults.
struct PeriodVisitor;

impl Visitor<'_> for PeriodVisitor {
    type Value = Period;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PERIOD_EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Period, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests;
