//! The state that all requests share. A reload replaces it.

use std::sync::Arc;

use base::config::ConfigError;
use client::{Client, ClientConfig, ConnectionConfig, LocalReads};
use parking_lot::RwLock;
use proto::{Address, AppId, UserId};

use crate::cache_control::CacheControl;
use crate::config::Config;
use crate::cors::Cors;
use crate::metrics::HttpMetrics;
use crate::protection::Protection;
use crate::type_cache::TypeCache;

/// Wanted limit on open files that are kept for the next request.
const KEPT_FILES_MAX: usize = 1024;

pub(crate) struct Globals {
    pub(crate) client: Client,
    pub(crate) protection: Protection,
    pub(crate) trackers: Vec<Address>,
    pub(crate) types: TypeCache,
    pub(crate) cors: Cors,
    pub(crate) cache_control: CacheControl,
    /// The application and the user of `/files/ID`.
    pub(crate) app: AppId,
    pub(crate) user: Option<UserId>,
    pub(crate) metrics: Arc<HttpMetrics>,
}

impl Globals {
    /// # Errors
    /// A key file cannot be used.
    fn new(
        config: &Config,
        metrics: Arc<HttpMetrics>,
        earlier: Option<&Globals>,
    ) -> Result<Globals, ConfigError> {
        let connection = ConnectionConfig {
            connect_timeout: config.connect_timeout.duration(),
            io_timeout: config.storage_timeout.duration(),
            keys: config.peer_keys()?.map(Arc::new),
            ..ConnectionConfig::default()
        };
        let settings = ClientConfig {
            connection,
            storage_cache: config.storage_cache.duration(),
            local_reads: local_reads(config),
            ..ClientConfig::new(config.trackers.clone())
        };
        let client = match earlier {
            Some(earlier) => earlier.client.with_settings(settings),
            None => Client::new(settings),
        };
        Ok(Globals {
            client,
            protection: Protection::new(config.url_keys()?, config.protect.clone()),
            trackers: config.trackers.clone(),
            types: TypeCache::new(metrics.types.clone()),
            cors: config.cors.clone(),
            cache_control: config.cache_control.clone(),
            app: config.app.clone(),
            user: config.user.clone(),
            metrics,
        })
    }
}

/// Limit on open files that are kept for the next request.
pub(crate) fn kept_files() -> usize {
    net::kept_files_max(KEPT_FILES_MAX)
}

/// Half of the workers may use disks. The rest is left to requests that wait for storages, such as those of a disk that
/// hangs.
fn local_reads(config: &Config) -> LocalReads {
    LocalReads {
        is_on: config.local_reads,
        threads: config.server.workers as usize / 2,
        kept_files: kept_files(),
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
        let globals = Arc::new(Globals::new(config, metrics, None)?);
        Ok(CurrentGlobals(Arc::new(RwLock::new(globals))))
    }

    pub(crate) fn get(&self) -> Arc<Globals> {
        Arc::clone(&self.0.read())
    }

    /// # Errors
    /// A key file cannot be used; the globals stay.
    pub(crate) fn replace(&self, config: &Config) -> Result<(), ConfigError> {
        let earlier = self.get();
        let metrics = Arc::clone(&earlier.metrics);
        let new = Arc::new(Globals::new(config, metrics, Some(&earlier))?);
        *self.0.write() = new;
        Ok(())
    }
}
