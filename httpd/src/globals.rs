//! The state that all requests share. A reload replaces it.

use std::sync::Arc;

use base::config::ConfigError;
use client::{Client, ClientConfig, ConnectionConfig};
use parking_lot::RwLock;
use proto::{Address, AppId, UserId};

use crate::config::Config;
use crate::metrics::HttpMetrics;
use crate::protection::Protection;
use crate::type_cache::TypeCache;

pub(crate) struct Globals {
    pub(crate) client: Client,
    pub(crate) protection: Protection,
    pub(crate) trackers: Vec<Address>,
    pub(crate) types: TypeCache,
    /// The application and the user of `/files/ID`.
    pub(crate) app: AppId,
    pub(crate) user: Option<UserId>,
    pub(crate) metrics: Arc<HttpMetrics>,
}

impl Globals {
    /// # Errors
    /// A key file cannot be used.
    fn new(config: &Config, metrics: Arc<HttpMetrics>) -> Result<Globals, ConfigError> {
        let connection = ConnectionConfig {
            connect_timeout: config.connect_timeout.duration(),
            io_timeout: config.storage_timeout.duration(),
            keys: config.peer_keys()?.map(Arc::new),
            ..ConnectionConfig::default()
        };
        let client = Client::new(ClientConfig {
            connection,
            storage_cache: config.storage_cache.duration(),
            ..ClientConfig::new(config.trackers.clone())
        });
        Ok(Globals {
            client,
            protection: Protection::new(config.url_keys()?, config.protect.clone()),
            trackers: config.trackers.clone(),
            types: TypeCache::new(metrics.types.clone()),
            app: config.app.clone(),
            user: config.user.clone(),
            metrics,
        })
    }
}

/// The current globals. A request uses those it got when it began, also after a reload.
#[derive(Clone)]
pub(crate) struct CurrentGlobals(Arc<RwLock<Arc<Globals>>>);

impl CurrentGlobals {
    /// # Errors
    /// A key file cannot be used.
    pub(crate) fn new(
        config: &Config,
        metrics: Arc<HttpMetrics>,
    ) -> Result<CurrentGlobals, ConfigError> {
        let globals = Arc::new(Globals::new(config, metrics)?);
        Ok(CurrentGlobals(Arc::new(RwLock::new(globals))))
    }

    pub(crate) fn get(&self) -> Arc<Globals> {
        Arc::clone(&self.0.read())
    }

    /// # Errors
    /// A key file cannot be used; the globals stay.
    pub(crate) fn replace(&self, config: &Config) -> Result<(), ConfigError> {
        let metrics = Arc::clone(&self.get().metrics);
        *self.0.write() = Arc::new(Globals::new(config, metrics)?);
        Ok(())
    }
}
