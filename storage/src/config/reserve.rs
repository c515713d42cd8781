//! The space that stays free: a size, or a share of the file system.

use std::fmt;
use std::str::FromStr;

use base::units::{ByteSize, UnitError};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const EXPECTED: &str =
    r#"a size such as "20GiB", or a share of the file system from "0%" to "99%", a whole number"#;
/// With all of it reserved no upload would be accepted.
const PERCENT_MAX: u8 = 99;

/// Reads `"20GiB"`, plain integers (bytes) and `"10%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// A size.
    Bytes(ByteSize),
    /// Hundredths of the file system's size.
    Percent(u8),
}

impl Reserve {
    /// The reserve on a file system of `total` bytes, in bytes.
    pub(crate) fn of(self, total: u64) -> u64 {
        match self {
            Reserve::Bytes(size) => size.bytes(),
            // Exact for every total, without overflow.
            Reserve::Percent(share) => {
                (u128::from(total) * u128::from(share) / 100).min(total.into()) as u64
            }
        }
    }
}

impl FromStr for Reserve {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Reserve, UnitError> {
        let Some(share) = text.trim().strip_suffix('%') else {
            return text.parse().map(Reserve::Bytes);
        };
        match share.trim_end().parse() {
            Ok(share) if share <= PERCENT_MAX => Ok(Reserve::Percent(share)),
            _ => Err(UnitError::Invalid {
                value: text.to_owned(),
                expected: EXPECTED,
            }),
        }
    }
}

impl fmt::Display for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reserve::Bytes(size) => size.fmt(f),
            Reserve::Percent(share) => write!(f, "{share}%"),
        }
    }
}

impl Serialize for Reserve {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reserve {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Reserve, D::Error> {
        deserializer.deserialize_any(ReserveVisitor)
    }
}

struct ReserveVisitor;

impl Visitor<'_> for ReserveVisitor {
    type Value = Reserve;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Reserve, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Reserve, E> {
        Ok(Reserve::Bytes(ByteSize::new(bytes)))
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<Reserve, E> {
        let bytes =
            u64::try_from(bytes).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))?;
        self.visit_u64(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, Serialize)]
    struct Settings {
        reserve: Reserve,
    }

    fn read(value: &str) -> Result<Reserve, String> {
        let settings: Result<Settings, _> = toml::from_str(&format!("reserve = {value}"));
        settings
            .map(|settings| settings.reserve)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn sizes_and_shares_are_read_and_printed() {
        let bytes = |bytes| Reserve::Bytes(ByteSize::new(bytes));
        assert_eq!(read("\"1GiB\""), Ok(bytes(1 << 30)));
        assert_eq!(read("4096"), Ok(bytes(4096)));
        assert_eq!(read("\"10%\""), Ok(Reserve::Percent(10)));
        assert_eq!(read("\"0 %\""), Ok(Reserve::Percent(0)));
        for reserve in [bytes(3 << 20), Reserve::Percent(99)] {
            assert_eq!(reserve.to_string().parse(), Ok(reserve));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for value in ["\"100%\"", "\"-1%\"", "\"1.5%\"", "\"%\"", "\"ten\"", "-5"] {
            let error = read(value).unwrap_err();
            assert!(error.contains("a size such as"), "{value}: {error}");
        }
    }

    #[test]
    fn a_share_is_of_the_whole_file_system() {
        assert_eq!(Reserve::Percent(10).of(1000), 100);
        assert_eq!(Reserve::Percent(99).of(u64::MAX), u64::MAX / 100 * 99 + 14);
        assert_eq!(Reserve::Bytes(ByteSize::new(7)).of(1), 7);
    }
}
