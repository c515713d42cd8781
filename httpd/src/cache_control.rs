//! The field Cache-Control: it tells caches which responses to keep, and for how long (RFC 9111; RFC 8246).

use base::config::ConfigError;
use proto::FileId;
use proto::file_id::is_made;
use serde::{Deserialize, Serialize};

/// Section `[cache_control]`: values of the field Cache-Control. Without a value there is no field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheControl {
    /// For files with an id that the client library made. Such an id is never used again.
    pub made_ids: String,
    /// For files with an id that the application chose. It may name another content later.
    pub names: String,
}

impl Default for CacheControl {
    fn default() -> CacheControl {
        CacheControl {
            made_ids: "public, max-age=31536000, immutable".to_owned(),
            names: "no-cache".to_owned(),
        }
    }
}

/// Seconds after which a response must not be used any more.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TimeLeft {
    /// Of the signature of the URL.
    pub(crate) signature: Option<u64>,
    /// Of a file that expires.
    pub(crate) file: Option<u64>,
}

impl CacheControl {
    /// The value for a file. `None` for no field.
    pub(crate) fn value(&self, file: &FileId, left: TimeLeft) -> Option<String> {
        let configured = match is_made(file) {
            true => &self.made_ids,
            false => &self.names,
        };
        let seconds = left.signature.into_iter().chain(left.file).min();
        match seconds {
            Some(seconds) => Some(limited(configured, seconds, left.signature.is_some())),
            None => (!configured.is_empty()).then(|| configured.clone()),
        }
    }

    /// # Errors
    /// A value that caches could read differently.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let values = [
            ("cache_control.made_ids", &self.made_ids),
            ("cache_control.names", &self.names),
        ];
        for (key, value) in values {
            let mut directives = value.split(", ").filter(|_| !value.is_empty());
            if !directives.all(is_directive) {
                let reason =
                    "must be directives such as \"public, max-age=60\", or \"\" for no field";
                return Err(ConfigError::invalid(key, reason));
            }
        }
        Ok(())
    }
}

/// A name, or a name and a number. Arguments in quotes are for fields that httpd does not send.
fn is_directive(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
    let (name, seconds) = match text.split_once('=') {
        Some((name, seconds)) => (name, Some(seconds)),
        None => (text, None),
    };
    let is_number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u32>().is_ok();
    !name.is_empty() && name.chars().all(is_name) && seconds.is_none_or(is_number)
}

/// The value for a response that must not be used after `seconds_left`. With `is_signed`, shared caches must not
/// keep it: they check no signature.
fn limited(configured: &str, seconds_left: u64, is_signed: bool) -> String {
    const FOR_SHARED_CACHES: [&str; 4] = ["public", "private", "s-maxage", "proxy-revalidate"];
    // A cache that is shared obeys max-age without s-maxage.
    const AFTER_THE_END: [&str; 3] = ["stale-while-revalidate", "stale-if-error", "s-maxage"];
    let mut directives: Vec<String> = is_signed
        .then(|| "private".to_owned())
        .into_iter()
        .collect();
    let mut is_limited = false;
    for directive in configured.split(", ").filter(|text| !text.is_empty()) {
        let name = directive.split('=').next().unwrap_or_default();
        let is_left_out = is_signed && FOR_SHARED_CACHES.contains(&name);
        if is_left_out || AFTER_THE_END.contains(&name) {
            continue;
        }
        is_limited |= matches!(name, "max-age" | "no-cache" | "no-store");
        let max_age = directive.strip_prefix("max-age=");
        directives.push(match max_age.and_then(|seconds| seconds.parse().ok()) {
            Some(seconds) => format!("max-age={}", seconds_left.min(seconds)),
            None => directive.to_owned(),
        });
    }
    if !is_limited {
        directives.push(format!("max-age={seconds_left}"));
    }
    directives.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_id_is_immutable_and_a_name_is_not() {
        let settings = CacheControl::default();
        let value = |id: &str, signature| {
            let left = TimeLeft {
                signature,
                file: None,
            };
            settings.value(&FileId::new(id).unwrap(), left).unwrap()
        };
        let made = "65f0a1b2000001a1b2c3d4e5f60718000142";
        assert_eq!(value(made, None), "public, max-age=31536000, immutable");
        assert_eq!(value("index.m3u8", None), "no-cache");
        assert_eq!(value(made, Some(60)), "private, max-age=60, immutable");
        assert_eq!(value("index.m3u8", Some(60)), "private, no-cache");
    }

    #[test]
    fn a_signature_limits_every_value() {
        for (configured, expected) in [
            ("", "private, max-age=60"),
            ("public", "private, max-age=60"),
            ("max-age=5", "private, max-age=5"),
            (
                "public, max-age=4000000000, s-maxage=9",
                "private, max-age=60",
            ),
            ("private, max-age=99", "private, max-age=60"),
            ("no-store", "private, no-store"),
            (
                "max-age=61, stale-while-revalidate=30, stale-if-error=30, must-revalidate",
                "private, max-age=60, must-revalidate",
            ),
        ] {
            assert_eq!(limited(configured, 60, true), expected, "{configured}");
        }
    }

    #[test]
    fn no_cache_keeps_a_file_longer_than_it_exists() {
        let settings = CacheControl {
            made_ids: "public, max-age=31536000, s-maxage=99, immutable".to_owned(),
            ..CacheControl::default()
        };
        let made = FileId::new("65f0a1b2000001a1b2c3d4e5f60718000142").unwrap();
        let value = |signature, file| settings.value(&made, TimeLeft { signature, file }).unwrap();
        assert_eq!(value(None, Some(60)), "public, max-age=60, immutable");
        assert_eq!(value(Some(30), Some(60)), "private, max-age=30, immutable");
        assert_eq!(value(Some(90), Some(60)), "private, max-age=60, immutable");
    }

    #[test]
    fn a_value_without_text_is_no_field() {
        let settings = CacheControl {
            names: String::new(),
            ..CacheControl::default()
        };
        assert_eq!(
            settings.value(&FileId::new("a").unwrap(), TimeLeft::default()),
            None
        );
        assert!(settings.check().is_ok());
    }

    #[test]
    fn only_plain_directives_are_taken() {
        let check = |names: &str| {
            let names = names.to_owned();
            let settings = CacheControl {
                names,
                ..CacheControl::default()
            };
            settings.check().map_err(|error| error.to_string())
        };
        for value in ["no-store", "public, max-age=60, s-maxage=600", "private"] {
            assert_eq!(check(value), Ok(()), "{value}");
        }
        for value in [
            " ",
            "public,max-age=1",
            "max-age=-1",
            "max-age=",
            "max-age=1 ",
            "max-age=99999999999",
            "Public",
            "private=\"Set-Cookie\"",
            "no-cache\r\nX: y",
        ] {
            let error = check(value).unwrap_err();
            assert!(error.contains("cache_control.names"), "{error}");
        }
    }
}
