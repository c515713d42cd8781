//! What all parts of a running idserver share, built once.

use std::sync::Arc;

use anyhow::Context;
use net::allowed::AllowedHosts;

use crate::config::Config;
use crate::db::{self, Ids};
use crate::keys::Keys;
use crate::metrics::IdMetrics;
use crate::newcomers::Newcomers;

pub(crate) struct Globals {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) allowed: AllowedHosts,
    pub(crate) newcomers: Newcomers,
    pub(crate) ids: Box<dyn Ids>,
    pub(crate) metrics: IdMetrics,
}

impl Globals {
    /// Opens the database.
    pub(crate) fn open(config: Config) -> anyhow::Result<Arc<Globals>> {
        let ids = db::open(&config).context("cannot open the database")?;
        Ok(Arc::new(Globals::new(config, ids)))
    }

    /// Puts the parts together.
    pub(crate) fn new(config: Config, ids: Box<dyn Ids>) -> Globals {
        Globals {
            keys: Keys::new(config.keys_max),
            allowed: AllowedHosts::new(config.allow_hosts.clone()),
            newcomers: Newcomers::new(&config),
            ids,
            metrics: IdMetrics::default(),
            config,
        }
    }

    /// Takes on the settings that a running one can.
    pub(crate) fn reload(&self, config: &Config) {
        self.allowed.reload(&config.allow_hosts);
        self.newcomers.reload(config);
    }
}
