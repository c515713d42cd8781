//! The state that all requests share. A reload replaces it.

use std::sync::Arc;

use client::{Client, ClientConfig, ConnectionConfig};
use parking_lot::RwLock;
use proto::{Address, AppId, UserId};

use crate::config::Config;
use crate::metrics::HttpMetrics;
use crate::type_cache::TypeCache;

pub(crate) struct Globals {
    pub(crate) client: Client,
    pub(crate) trackers: Vec<Address>,
    pub(crate) types: TypeCache,
    /// The application and the user of `/files/ID`.
    pub(crate) app: AppId,
    pub(crate) user: Option<UserId>,
    pub(crate) metrics: Arc<HttpMetrics>,
}

impl Globals {
    pub(crate) fn new(config: &Config, metrics: Arc<HttpMetrics>) -> Globals {
        let connection = ConnectionConfig {
            connect_timeout: config.connect_timeout.duration(),
            io_timeout: config.storage_timeout.duration(),
            ..ConnectionConfig::default()
        };
        let client = Client::new(ClientConfig {
            connection,
            storage_cache: config.storage_cache.duration(),
            ..ClientConfig::new(config.trackers.clone())
        });
        Globals {
            client,
            trackers: config.trackers.clone(),
            types: TypeCache::new(metrics.types.clone()),
            app: config.app.clone(),
            user: config.user.clone(),
            metrics,
        }
    }
}

/// The current globals. A request uses those it got when it began, also after a reload.
#[derive(Clone)]
pub(crate) struct CurrentGlobals(Arc<RwLock<Arc<Globals>>>);

impl CurrentGlobals {
    pub(crate) fn new(config: &Config, metrics: Arc<HttpMetrics>) -> CurrentGlobals {
        let globals = Arc::new(Globals::new(config, metrics));
        CurrentGlobals(Arc::new(RwLock::new(globals)))
    }

    pub(crate) fn get(&self) -> Arc<Globals> {
        Arc::clone(&self.0.read())
    }

    pub(crate) fn replace(&self, config: &Config) {
        let metrics = Arc::clone(&self.get().metrics);
        *self.0.write() = Arc::new(Globals::new(config, metrics));
    }
}
