//! The cache of rows. It never loads rows itself: the service decides what is cached.

use moka::sync::Cache;
use parking_lot::RwLock;
use proto::FileKey;

use crate::config::CacheConfig;
use crate::db::FileRow;

pub(crate) struct Rows(RwLock<Bounded>);

/// A cache, with the settings it was made from.
struct Bounded {
    config: CacheConfig,
    rows: Cache<FileKey, FileRow>,
}

impl Bounded {
    fn new(config: &CacheConfig) -> Bounded {
        let rows = Cache::builder()
            .max_capacity(config.entries)
            .time_to_live(config.ttl.duration());
        Bounded {
            config: config.clone(),
            rows: rows.build(),
        }
    }
}

impl Rows {
    pub(crate) fn new(config: &CacheConfig) -> Rows {
        Rows(RwLock::new(Bounded::new(config)))
    }

    /// Applies other settings, with an empty cache.
    pub(crate) fn reload(&self, config: &CacheConfig) {
        if self.0.read().config != *config {
            *self.0.write() = Bounded::new(config);
        }
    }

    pub(crate) fn get(&self, key: &FileKey) -> Option<FileRow> {
        self.0.read().rows.get(key)
    }

    /// The approximate number of rows.
    pub(crate) fn len(&self) -> u64 {
        self.0.read().rows.entry_count()
    }

    pub(crate) fn put(&self, key: FileKey, row: FileRow) {
        self.0.read().rows.insert(key, row);
    }

    pub(crate) fn forget(&self, key: &FileKey) {
        self.0.read().rows.invalidate(key);
    }
}
