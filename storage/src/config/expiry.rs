//! How fast expired files are deleted.

use base::config::{ConfigError, check_nonzero};
use base::units::Period;
use serde::{Deserialize, Serialize};

/// Section `[expiry]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpiryConfig {
    /// Interval of looking for expired files.
    pub interval: Period,
    /// Limit on deletions of each store path.
    pub files_per_second: u32,
}

impl Default for ExpiryConfig {
    fn default() -> ExpiryConfig {
        ExpiryConfig {
            interval: Period::from_secs(60),
            files_per_second: 200,
        }
    }
}

impl ExpiryConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check_nonzero("expiry.interval", self.interval.is_zero())?;
        check_nonzero("expiry.files_per_second", self.files_per_second == 0)
    }
}
