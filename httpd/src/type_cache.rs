//! Cache of media types that were detected in the first bytes of files. Detection costs a request to
//! a storage.

use client::Error;
use daemon::metrics::CacheMetrics;
use moka::sync::Cache;
use proto::FileKey;

const ENTRIES_MAX: u64 = 100_000;

/// Identifies content.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum TypeKey {
    /// The checksum of the content.
    Content(u128),
    /// A file and its entity tag: a new file of the same id has another tag.
    File(FileKey, String),
}

pub(crate) struct TypeCache {
    cache: Cache<TypeKey, &'static str>,
    counts: CacheMetrics,
}

impl TypeCache {
    pub(crate) fn new(counts: CacheMetrics) -> TypeCache {
        TypeCache {
            cache: Cache::new(ENTRIES_MAX),
            counts,
        }
    }

    /// The cached type, or the one that `detect` finds. Without a key nothing is cached.
    ///
    /// # Errors
    /// Those of `detect`.
    pub(crate) fn get_or_insert(
        &self,
        key: Option<TypeKey>,
        detect: impl FnOnce() -> Result<&'static str, Error>,
    ) -> Result<&'static str, Error> {
        let Some(key) = key else {
            return detect();
        };
        let found = self.cache.get(&key);
        self.counts.count(found.is_some());
        if let Some(found) = found {
            return Ok(found);
        }
        let found = detect()?;
        self.cache.insert(key, found);
        Ok(found)
    }
}
