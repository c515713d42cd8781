//! What all parts of a running idserver share, built once.

use std::sync::Arc;

use anyhow::Context;

use crate::config::Config;
use crate::db::{self, Ids};
use crate::keys::Keys;
use crate::metrics::IdMetrics;

pub(crate) struct Globals {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) ids: Box<dyn Ids>,
    pub(crate) metrics: IdMetrics,
}

impl Globals {
    /// Opens the database.
    pub(crate) fn open(config: Config) -> anyhow::Result<Arc<Globals>> {
        let ids = db::open(&config).context("cannot open the database")?;
        Ok(Arc::new(Globals {
            keys: Keys::new(config.keys_max),
            ids,
            metrics: IdMetrics::default(),
            config,
        }))
    }
}
