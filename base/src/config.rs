//! Errors of configurations.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// Why a configuration cannot be used. The messages name the file, and the line or the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("invalid configuration {}: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line and what was expected there, on one line.
        reason: String,
    },
    /// An unusable value.
    #[error("invalid setting {key}: {reason}")]
    Invalid {
        /// The key with its section, as in `server.workers`.
        key: String,
        /// The reason why the value is refused.
        reason: String,
    },
    /// Settings that TOML cannot express.
    #[error("cannot print the settings")]
    Print(#[source] Box<dyn Error + Send + Sync>),
}

impl ConfigError {
    /// The value of `key` (with its section) cannot be used.
    pub fn invalid(key: impl Into<String>, reason: impl Into<String>) -> ConfigError {
        ConfigError::Invalid {
            key: key.into(),
            reason: reason.into(),
        }
    }
}

/// Refuses a value of `key` that `is_zero`.
///
/// # Errors
/// It is zero.
pub fn check_nonzero(key: &str, is_zero: bool) -> Result<(), ConfigError> {
    if is_zero {
        return Err(ConfigError::invalid(key, "must not be zero"));
    }
    Ok(())
}
