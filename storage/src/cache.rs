//! Rows of files asked for lately. Never loads itself; the service decides what goes in, and what
//! a row found here is worth.

use moka::sync::Cache;
use proto::FileKey;

use crate::config::CacheConfig;
use crate::db::FileRow;

pub(crate) struct Rows(Cache<FileKey, FileRow>);

impl Rows {
    pub(crate) fn new(config: &CacheConfig) -> Rows {
        let cache = Cache::builder()
            .max_capacity(config.entries)
            .time_to_live(config.ttl.duration());
        Rows(cache.build())
    }

    pub(crate) fn get(&self, key: &FileKey) -> Option<FileRow> {
        self.0.get(key)
    }

    /// How many there are, more or less.
    pub(crate) fn len(&self) -> u64 {
        self.0.entry_count()
    }

    pub(crate) fn put(&self, key: FileKey, row: FileRow) {
        self.0.insert(key, row);
    }

    pub(crate) fn forget(&self, key: &FileKey) {
        self.0.invalidate(key);
    }
}
