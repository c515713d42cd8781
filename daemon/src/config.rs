//! The configuration file of a daemon: how it is read, the sections that every daemon has, and
//! how the effective settings are printed. Read before any thread exists, and again on SIGHUP.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use proto::settings_mistake;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::logging::LogTarget;
use crate::units::{ByteSize, Period};

/// Most threads in one pool.
pub const WORKERS_MAX: u32 = 1024;

/// Most connections to one server.
pub const CONNECTIONS_MAX: u32 = 1_000_000;

/// Why a configuration cannot be used. The messages name the file, and the line or the key.
#[derive(Debug, Error)]
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
    /// A value that can be read but not used.
    #[error("invalid setting {key}: {reason}")]
    Invalid {
        /// The key with its section, as in `server.workers`.
        key: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// Settings that cannot be printed as TOML.
    #[error("cannot print the settings")]
    Print(#[from] toml::ser::Error),
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

/// Reads the settings from a TOML file; without one they are the defaults.
///
/// # Errors
/// The file cannot be read, or does not hold what `C` expects.
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
        reason: settings_mistake(&text, error.message(), error.span()),
    })
}

/// The settings as TOML, defaults included: what `--check-config` prints.
///
/// # Errors
/// A value that TOML cannot express, such as a path that is not UTF-8.
pub fn effective<C: Serialize>(config: &C) -> Result<String, ConfigError> {
    Ok(toml::to_string(config)?)
}

/// Section `[server]`: threads, connections and their deadlines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Threads that serve requests, 1 to [`WORKERS_MAX`].
    pub workers: u32,
    /// Threads kept for small requests, 1 to [`WORKERS_MAX`].
    pub fast_workers: u32,
    /// Most connections at a time; at the limit those of the address that has most make room.
    pub connections_max: u32,
    /// Most connections of one address (of IPv6, of one network of 64 bits) at a time; absent: the
    /// protocol's share of `connections_max`, and no limit for this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_address: Option<u32>,
    /// From the first byte of a request until its head and fixed part are whole.
    pub head_timeout: Period,
    /// How long a connection may stay without a request.
    pub idle_timeout: Period,
    /// A request that waited longer for a worker is answered that the server is busy.
    pub queue_timeout: Period,
    /// A transfer that moves less than `min_rate` times this within this time is dropped.
    pub stall_timeout: Period,
    /// Slowest transfer, in bytes a second.
    pub min_rate: ByteSize,
    /// How long a stop waits for requests in flight.
    pub stop_timeout: Period,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            workers: 64,
            fast_workers: 4,
            connections_max: 16_000,
            connections_per_address: None,
            head_timeout: Period::from_secs(10),
            idle_timeout: Period::from_secs(300),
            queue_timeout: Period::from_secs(10),
            stall_timeout: Period::from_secs(60),
            min_rate: ByteSize::from_kib(1),
            stop_timeout: Period::from_secs(30),
        }
    }
}

impl ServerConfig {
    /// What [`crate::net::Server::reload`] takes on.
    pub const RELOADED: &'static [&'static str] = &[
        "connections_max",
        "connections_per_address",
        "head_timeout",
        "idle_timeout",
        "queue_timeout",
        "stall_timeout",
        "min_rate",
        "stop_timeout",
    ];

    /// Refuses what could not serve.
    ///
    /// # Errors
    /// A zero, or a number of threads out of range; the error names the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_threads("server.workers", self.workers)?;
        check_threads("server.fast_workers", self.fast_workers)?;
        let periods = [
            ("server.head_timeout", self.head_timeout),
            ("server.idle_timeout", self.idle_timeout),
            ("server.queue_timeout", self.queue_timeout),
            ("server.stall_timeout", self.stall_timeout),
            ("server.stop_timeout", self.stop_timeout),
        ];
        for (key, period) in periods {
            check_nonzero(key, period.is_zero())?;
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections_max) {
            let reason = format!(
                "{} is not between 1 and {CONNECTIONS_MAX}",
                self.connections_max
            );
            return Err(ConfigError::invalid("server.connections_max", reason));
        }
        let no_connection = self.connections_per_address == Some(0);
        check_nonzero("server.connections_per_address", no_connection)?;
        check_nonzero("server.min_rate", self.min_rate.bytes() == 0)
    }
}

/// Refuses the value of `key` when it `is_zero`.
///
/// # Errors
/// It is zero.
pub fn check_nonzero(key: &str, is_zero: bool) -> Result<(), ConfigError> {
    if is_zero {
        return Err(ConfigError::invalid(key, "must not be zero"));
    }
    Ok(())
}

fn check_threads(key: &str, count: u32) -> Result<(), ConfigError> {
    if !(1..=WORKERS_MAX).contains(&count) {
        let reason = format!("{count} is not between 1 and {WORKERS_MAX}");
        return Err(ConfigError::invalid(key, reason));
    }
    Ok(())
}

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

/// A text that no log, error or printed configuration shows.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// Longest file of a secret that is read, in bytes.
const SECRET_MAX: u64 = 4096;

/// The first line of a file that nobody but its owner may use.
///
/// # Errors
/// It cannot be read, others may use it, or it is too long for a secret.
pub fn read_secret(path: &Path) -> io::Result<Secret> {
    let metadata = fs::metadata(path)?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(io::Error::other(format!(
            "its mode {mode:03o} lets others than its owner use it: run chmod 600 {}",
            path.display()
        )));
    }
    if metadata.len() > SECRET_MAX {
        return Err(io::Error::other("too long for a secret"));
    }
    let text = fs::read_to_string(path)?;
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}

/// What is shown in place of a secret.
const MASK: &str = "********";

impl Secret {
    /// Keeps `text` from view.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for whoever needs it to prove something.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

#[cfg(test)]
mod tests;
