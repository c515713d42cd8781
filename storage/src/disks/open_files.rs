//! Keeps recently read files of a store path open, so that a read needs no open, no close and, on a
//! network file system, no journey to other hosts. Content never changes, but a peer of the group may
//! delete the file: a kept file is served only if a check shows that it still has a name.
//!
//! See [`LinkCheck`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base::link_check::LinkCheck;
use lru::LruCache;
use parking_lot::Mutex;
use rustix::fs::Statx;

use crate::disks::limiter::LimitedFile;
use crate::disks::root::Root;

/// A file that nobody has read for this long is closed, within a probe's interval: open files block an
/// unmount.
const IDLE: Duration = Duration::from_secs(3);
/// A kept file is opened anew after this time, also if it is read all the time: a check does not show
/// that an administrator has moved it.
const KEEP: Duration = Duration::from_secs(10);

/// The files of one store path that are kept open.
pub(crate) struct OpenFiles {
    /// By path relative to the store path.
    files: Mutex<LruCache<String, KeptFile>>,
    max: AtomicUsize,
}

struct KeptFile {
    file: Arc<StoredFile>,
    used: Instant,
}

/// A stored file that is open for reading. Several requests read it at once.
pub(crate) struct StoredFile {
    file: LimitedFile,
    /// The folder of the store path that it was opened in.
    root: Arc<Root>,
    opened: Instant,
    check: LinkCheck,
}

impl OpenFiles {
    /// Keeps at most `max` files open.
    pub(crate) fn new(max: usize) -> OpenFiles {
        OpenFiles {
            files: Mutex::new(LruCache::unbounded()),
            max: AtomicUsize::new(max),
        }
    }

    pub(crate) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
        self.close_surplus();
    }

    /// A kept file of this folder, and its size. None if it is not kept, or has no name any more. The
    /// caller holds a permit of the disk.
    pub(crate) fn get(&self, root: &Arc<Root>, path: &str) -> Option<(Arc<StoredFile>, u64)> {
        let now = Instant::now();
        let kept = {
            let mut files = self.files.lock();
            let kept = files.get_mut(path)?;
            kept.used = now;
            Arc::clone(&kept.file)
        };
        let is_current = Arc::ptr_eq(&kept.root, root) && now - kept.opened < KEEP;
        let size = is_current
            .then(|| kept.check.size(kept.file.file(), now))
            .and_then(Result::ok);
        match size.flatten() {
            Some(size) => Some((kept, size)),
            None => {
                self.forget_this(path, &kept);
                None
            }
        }
    }

    /// Keeps a file open. `file` was opened after `began`, and a look at it `found` this.
    pub(crate) fn keep(
        &self,
        root: &Arc<Root>,
        path: &str,
        file: LimitedFile,
        (began, found): (Instant, &Statx),
    ) -> Arc<StoredFile> {
        let file = Arc::new(StoredFile {
            check: LinkCheck::new(root.is_shared(), found, began),
            file,
            root: Arc::clone(root),
            opened: began,
        });
        let kept = KeptFile {
            file: Arc::clone(&file),
            used: began,
        };
        let replaced = self.files.lock().put(path.to_owned(), kept);
        drop(replaced);
        self.close_surplus();
        file
    }

    /// Keeps a file no longer: it was removed, or cannot be read.
    pub(crate) fn forget(&self, path: &str) {
        let kept = self.files.lock().pop(path);
        drop(kept);
    }

    /// Keeps none of the files. Those that are being sent are closed afterwards.
    pub(crate) fn clear(&self) {
        // Closing a file may wait for the disk.
        let all = std::mem::replace(&mut *self.files.lock(), LruCache::unbounded());
        drop(all);
    }

    /// Closes files that nobody has read for a while.
    pub(crate) fn close_idle(&self, now: Instant) {
        self.close_oldest_while(|_, used| now.saturating_duration_since(used) >= IDLE);
    }

    fn close_surplus(&self) {
        let max = self.max.load(Ordering::Relaxed);
        self.close_oldest_while(|len, _| len > max);
    }

    /// Closes the file that was not used for longest, while `is_over` is true for the number of files
    /// and its time of use.
    fn close_oldest_while(&self, is_over: impl Fn(usize, Instant) -> bool) {
        loop {
            let mut files = self.files.lock();
            let len = files.len();
            let oldest = files.peek_lru().map(|(_, kept)| kept.used);
            let closed = match oldest {
                Some(used) if is_over(len, used) => files.pop_lru(),
                _ => return,
            };
            // Closing a file may wait for the disk.
            drop(files);
            drop(closed);
        }
    }

    fn forget_this(&self, path: &str, file: &Arc<StoredFile>) {
        let mut files = self.files.lock();
        // Another request may have opened it anew.
        let is_this = files
            .peek(path)
            .is_some_and(|kept| Arc::ptr_eq(&kept.file, file));
        let closed = is_this.then(|| files.pop(path));
        drop(files);
        drop(closed);
    }

    /// Limit on files that are kept open.
    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }
}

impl StoredFile {
    pub(crate) fn file(&self) -> &LimitedFile {
        &self.file
    }

    /// Number of its links when it was opened.
    pub(crate) fn links(&self) -> u32 {
        self.check.links()
    }
}

#[cfg(test)]
mod tests;
