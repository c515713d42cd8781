//! What all requests share, built anew when the settings change.

use std::sync::Arc;

use client::{Client, ClientConfig, ConnectionConfig};
use parking_lot::RwLock;
use proto::{Address, AppId, UserId};

use crate::cache::Types;
use crate::config::Config;
use crate::metrics::HttpMetrics;

pub(crate) struct Globals {
    pub(crate) client: Client,
    pub(crate) trackers: Vec<Address>,
    pub(crate) types: Types,
    /// Whose file `/files/ID` is.
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
            types: Types::new(metrics.types.clone()),
            app: config.app.clone(),
            user: config.user.clone(),
            metrics,
        }
    }
}

/// What requests share now. Clones show the same; who has taken a look keeps what it saw.
#[derive(Clone)]
pub(crate) struct Current(Arc<RwLock<Arc<Globals>>>);

impl Current {
    pub(crate) fn new(config: &Config, metrics: Arc<HttpMetrics>) -> Current {
        let globals = Arc::new(Globals::new(config, metrics));
        Current(Arc::new(RwLock::new(globals)))
    }

    pub(crate) fn look(&self) -> Arc<Globals> {
        Arc::clone(&self.0.read())
    }

    pub(crate) fn change(&self, config: &Config) {
        let metrics = Arc::clone(&self.look().metrics);
        *self.0.write() = Arc::new(Globals::new(config, metrics));
    }
}
