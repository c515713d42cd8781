//! The state that all threads of an idserver share.

use std::sync::Arc;

use anyhow::Context;

use crate::config::Config;
use crate::db::{self, Ids};
use crate::keys::Keys;
use crate::metrics::IdMetrics;
use crate::new_keys::NewKeys;
use crate::wait_limit::WaitLimit;

pub(crate) struct Globals {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) wait_limit: WaitLimit,
    pub(crate) new_keys: NewKeys,
    pub(crate) ids: Box<dyn Ids>,
    pub(crate) metrics: IdMetrics,
}

impl Globals {
    /// Opens the database.
    pub(crate) fn open(config: Config) -> anyhow::Result<Arc<Globals>> {
        let ids = db::open(&config.database, &config.mysql, config.cpp_step)
            .context("cannot open the database")?;
        Ok(Arc::new(Globals::new(config, ids)))
    }

    /// Builds the shared parts.
    pub(crate) fn new(config: Config, ids: Box<dyn Ids>) -> Globals {
        Globals {
            keys: Keys::new(config.keys_max),
            wait_limit: WaitLimit::new(config.server.workers),
            new_keys: NewKeys::new(&config),
            ids,
            metrics: IdMetrics::default(),
            config,
        }
    }

    /// Applies the settings that need no restart.
    pub(crate) fn reload(&self, config: &Config) {
        self.new_keys.reload(config);
    }
}
