//! Section `[log]`.

use base::config::ConfigError;
use serde::{Deserialize, Serialize};

use super::target::LogTarget;

/// Section `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The least important lines that are written. The environment's `RUST_LOG` has precedence.
    pub level: Level,
    /// Destination of the main log; absent: the standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<LogTarget>,
    /// Destination of the access log; absent: a file beside the main log whose name ends in `-access`, or
    /// the destination of the main log if that is no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_file: Option<LogTarget>,
}

impl LogConfig {
    /// Refuses the standard error as the log of a background process.
    ///
    /// # Errors
    /// The file is missing; the error names the key.
    pub(crate) fn check(&self, is_background: bool) -> Result<(), ConfigError> {
        if is_background && self.is_stderr() {
            let reason = "is needed with --daemon, which leaves the standard error";
            return Err(ConfigError::invalid("log.file", reason));
        }
        Ok(())
    }

    /// True if the main log goes to the standard error.
    pub fn is_stderr(&self) -> bool {
        self.file.is_none()
    }

    /// Destination of the access log; `None` is the standard error.
    pub fn access_target(&self) -> Option<LogTarget> {
        let beside = || self.file.as_ref().map(LogTarget::of_access);
        self.access_file.clone().or_else(beside)
    }
}

/// Levels of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    Off,
    /// Faults of this daemon.
    Error,
    /// Problems for an operator.
    Warn,
    /// Start, stop and changes of state.
    #[default]
    Info,
    /// Requests, and faults of clients.
    Debug,
    /// Everything.
    Trace,
}

impl From<Level> for log::LevelFilter {
    fn from(level: Level) -> log::LevelFilter {
        match level {
            Level::Off => log::LevelFilter::Off,
            Level::Error => log::LevelFilter::Error,
            Level::Warn => log::LevelFilter::Warn,
            Level::Info => log::LevelFilter::Info,
            Level::Debug => log::LevelFilter::Debug,
            Level::Trace => log::LevelFilter::Trace,
        }
    }
}
