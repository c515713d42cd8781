//! Section `[log]`.

use serde::{Deserialize, Serialize};

use super::target::LogTarget;

/// Section `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The least important lines that are written. The environment's `RUST_LOG` has precedence.
    pub level: Level,
    /// Where lines go; absent: to the standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<LogTarget>,
    /// Where the line of each request goes; absent: beside the main log, to a file whose name ends
    /// in `-access`, or where the main log goes if that is no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_file: Option<LogTarget>,
}

impl LogConfig {
    /// Whether lines go to the standard error.
    pub fn is_stderr(&self) -> bool {
        self.file.is_none()
    }

    /// Where the line of each request goes; nothing stands for the standard error.
    pub fn access_target(&self) -> Option<LogTarget> {
        let beside = || self.file.as_ref().map(LogTarget::of_access);
        self.access_file.clone().or_else(beside)
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    Off,
    /// Faults of this daemon.
    Error,
    /// What an operator should look at.
    Warn,
    /// The life cycle.
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
