//! Reads the configuration file of a daemon, before any thread exists and again on SIGHUP, and prints
//! the effective settings.

use std::fs;
use std::path::Path;

use base::config::ConfigError;
use base::toml_error;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads the settings from a TOML file; the defaults without one.
///
/// # Errors
/// The file cannot be read, or is no valid `C`.
pub fn load<C: DeserializeOwned + Default>(path: Option<&Path>) -> Result<C, ConfigError> {
    let Some(path) = path else {
        return Ok(C::default());
    };
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|error| ConfigError::Parse {
        path: path.to_owned(),
        reason: toml_error(&text, error.message(), error.span()),
    })
}

/// The settings as TOML, defaults included: what `--check-config` prints.
///
/// # Errors
/// A value that TOML cannot express, such as a path that is not UTF-8.
pub fn effective<C: Serialize>(config: &C) -> Result<String, ConfigError> {
    toml::to_string(config).map_err(not_printed)
}

/// An error for settings that TOML cannot express.
pub(crate) fn not_printed(error: toml::ser::Error) -> ConfigError {
    ConfigError::Print(Box::new(error))
}

#[cfg(test)]
mod tests;
