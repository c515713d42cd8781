//! The settings of an httpd (`etc/httpd.toml` explains each).

use std::net::SocketAddr;

use base::config::{ConfigError, check_nonzero};
use base::units::Period;
use daemon::logging::LogConfig;
use daemon::status::StatusConfig;
use daemon::{DaemonConfig, ProcessConfig};
use net::ServerConfig;
use net::allowed::Network;
use proto::{Address, AppId, UserId};
use serde::{Deserialize, Serialize};

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The listen address for HTTP clients.
    #[serde(deserialize_with = "net::listen::deserialize")]
    pub listen: SocketAddr,
    /// Proxies whose X-Forwarded-For names the client in the access log.
    pub trusted_proxies: Vec<Network>,
    /// The trackers.
    pub trackers: Vec<Address>,
    /// The application of `/files/ID`.
    pub app: AppId,
    /// The user of `/files/ID`. Without one such a URL is not found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Limit on the time for a connection to a tracker or storage, with name resolution.
    pub connect_timeout: Period,
    /// Limit on the silence of a storage. Then another one is tried.
    pub storage_timeout: Period,
    /// How long the storages of a user are cached.
    pub storage_cache: Period,
    /// Threads and connections.
    pub server: ServerConfig,
    /// The status port.
    pub status: StatusConfig<8081>,
    /// The log.
    pub log: LogConfig,
    /// User, group and PID file of the process.
    pub process: ProcessConfig,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: ([0, 0, 0, 0], 8080).into(),
            trusted_proxies: Vec::new(),
            trackers: vec!["127.0.0.1:21000".parse().expect("an address")],
            app: "tnvideo".parse().expect("an app id"),
            user: None,
            connect_timeout: Period::from_secs(3),
            storage_timeout: Period::from_secs(5),
            storage_cache: Period::from_secs(1),
            server: ServerConfig::default(),
            status: StatusConfig::default(),
            log: LogConfig::default(),
            process: ProcessConfig::default(),
        }
    }
}

impl DaemonConfig for Config {
    fn reloaded(&self, new: &Config) -> Config {
        Config {
            trusted_proxies: new.trusted_proxies.clone(),
            trackers: new.trackers.clone(),
            app: new.app.clone(),
            user: new.user.clone(),
            connect_timeout: new.connect_timeout,
            storage_timeout: new.storage_timeout,
            storage_cache: new.storage_cache,
            server: self.server.reloaded(&new.server),
            log: new.log.clone(),
            ..self.clone()
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.server.check()?;
        check_nonzero("connect_timeout", self.connect_timeout.is_zero())?;
        check_nonzero("storage_timeout", self.storage_timeout.is_zero())?;
        if self.trackers.is_empty() {
            return Err(ConfigError::invalid("trackers", "at least one is needed"));
        }
        Ok(())
    }

    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn log(&self) -> &LogConfig {
        &self.log
    }

    fn process(&self) -> &ProcessConfig {
        &self.process
    }
}
