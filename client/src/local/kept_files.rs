//! The open files that are kept for the next request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use proto::FileKey;

use super::file::LocalFile;

/// How long an open file is used without asking its storage again.
const KEEP_TIME: Duration = Duration::from_secs(5);

/// Open files, and when they were opened. A file is closed without the lock: that may wait for its disk.
#[derive(Debug)]
pub(crate) struct KeptFiles {
    max: usize,
    files: Mutex<LruCache<FileKey, (Instant, Arc<LocalFile>)>>,
}

impl KeptFiles {
    /// Keeps at most `max` files.
    pub(crate) fn new(max: usize) -> KeptFiles {
        KeptFiles {
            max,
            files: Mutex::new(LruCache::unbounded()),
        }
    }

    /// A file that is kept.
    pub(crate) fn get(&self, key: &FileKey, now: Instant) -> Option<Arc<LocalFile>> {
        let mut files = self.files.lock();
        let (opened, file) = files.get(key)?;
        (now.saturating_duration_since(*opened) < KEEP_TIME).then(|| Arc::clone(file))
    }

    /// Keeps a file that was opened now.
    pub(crate) fn keep(&self, key: &FileKey, file: &Arc<LocalFile>, now: Instant) {
        if self.max == 0 {
            return;
        }
        let mut files = self.files.lock();
        let replaced = files.put(key.clone(), (now, Arc::clone(file)));
        let surplus = (files.len() > self.max).then(|| files.pop_lru());
        drop(files);
        drop((replaced, surplus));
    }

    /// Closes a file, unless it is in use.
    pub(crate) fn forget(&self, key: &FileKey) {
        let forgotten = self.files.lock().pop(key);
        drop(forgotten);
    }

    /// Closes the files whose time is over.
    pub(crate) fn close_expired(&self, now: Instant) {
        let is_over = |opened: Instant| now.saturating_duration_since(opened) >= KEEP_TIME;
        let mut files = self.files.lock();
        let expired = files.iter().filter(|(_, (opened, _))| is_over(*opened));
        let expired: Vec<FileKey> = expired.map(|(key, _)| key.clone()).collect();
        let expired: Vec<_> = expired.iter().filter_map(|key| files.pop(key)).collect();
        drop(files);
        drop(expired);
    }
}
