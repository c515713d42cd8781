//! Content types found by looking at the first bytes of files: they cost a request to a storage.
//! Never loads itself.

use moka::sync::Cache;
use proto::FileKey;

const ENTRIES_MAX: u64 = 100_000;

/// A file under its id with its entity tag: a new file of the same id is another one.
type Key = (FileKey, String);

pub(crate) struct Types(Cache<Key, &'static str>);

impl Default for Types {
    fn default() -> Types {
        Types(Cache::new(ENTRIES_MAX))
    }
}

impl Types {
    pub(crate) fn get(&self, key: &Key) -> Option<&'static str> {
        self.0.get(key)
    }

    pub(crate) fn put(&self, key: Key, content_type: &'static str) {
        self.0.insert(key, content_type);
    }
}
