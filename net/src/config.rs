//! Section `[server]`.

use base::config::{ConfigError, check_nonzero};
use base::units::{ByteSize, Period};
use serde::{Deserialize, Serialize};

/// Most threads in one pool.
pub const WORKERS_MAX: u32 = 1024;

/// Most connections to one server.
pub const CONNECTIONS_MAX: u32 = 1_000_000;

/// Section `[server]`: threads, connections and their deadlines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Threads that serve requests, 1 to [`WORKERS_MAX`].
    pub workers: u32,
    /// Threads kept for small requests, 1 to [`WORKERS_MAX`].
    pub fast_workers: u32,
    /// Most connections at a time; at the limit one of the address with the most is closed.
    pub connections_max: u32,
    /// Most connections of one address (of IPv6, of one network of 64 bits) at a time; absent: the
    /// protocol's share of `connections_max`, and no limit for this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_address: Option<u32>,
    /// Time from the first byte of a request until its head and fixed part are complete.
    pub head_timeout: Period,
    /// How long a connection may be idle.
    pub idle_timeout: Period,
    /// A request that waits longer for a worker gets the reply 'busy'.
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
    /// The settings after a reload of `new`: all but the numbers of threads change.
    #[must_use]
    pub fn reloaded(&self, new: &ServerConfig) -> ServerConfig {
        ServerConfig {
            workers: self.workers,
            fast_workers: self.fast_workers,
            ..new.clone()
        }
    }

    /// Refuses unusable values.
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

fn check_threads(key: &str, count: u32) -> Result<(), ConfigError> {
    if !(1..=WORKERS_MAX).contains(&count) {
        let reason = format!("{count} is not between 1 and {WORKERS_MAX}");
        return Err(ConfigError::invalid(key, reason));
    }
    Ok(())
}
