//! Content types found by looking at the first bytes of files: they cost a request to a storage.
//! Never loads itself.

use daemon::metrics::CacheMetrics;
use moka::sync::Cache;
use proto::FileKey;

const ENTRIES_MAX: u64 = 100_000;

/// What the type of is known.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// Content, by its checksum.
    Content(u128),
    /// A file with its entity tag: a new file of the same id is another one.
    File(FileKey, String),
}

pub(crate) struct Types {
    cache: Cache<Key, &'static str>,
    counts: CacheMetrics,
}

impl Types {
    pub(crate) fn new(counts: CacheMetrics) -> Types {
        Types {
            cache: Cache::new(ENTRIES_MAX),
            counts,
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&'static str> {
        let found = self.cache.get(key);
        self.counts.count(found.is_some());
        found
    }

    pub(crate) fn put(&self, key: Key, content_type: &'static str) {
        self.cache.insert(key, content_type);
    }
}
