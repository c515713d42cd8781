//! The files that storages of other machines sent whole, with the content of their checksum.

use std::time::{Duration, Instant};

use base::ExpiringMap;
use parking_lot::Mutex;
use proto::{Address, FileKey};

use crate::Stat;

/// How long a file counts as compared with its checksum. Bits that rot later are found after that.
pub(crate) const COMPARED_TIME: Duration = Duration::from_secs(600);
/// Limit on remembered files.
pub(crate) const COMPARED_MAX: usize = 10_000;

/// The files whose content was compared with the checksum, of each storage.
#[derive(Debug)]
pub(crate) struct ComparedFiles(Mutex<ExpiringMap<(FileKey, Address), Stat>>);

impl Default for ComparedFiles {
    fn default() -> ComparedFiles {
        ComparedFiles(Mutex::new(ExpiringMap::new(COMPARED_MAX)))
    }
}

impl ComparedFiles {
    /// Records that a storage sent exactly the content of this file.
    pub(crate) fn note(&self, key: &FileKey, storage: &Address, stat: Stat, now: Instant) {
        let copy = (key.clone(), storage.clone());
        self.0.lock().insert(copy, stat, COMPARED_TIME, now);
    }

    /// True if the storage sent exactly the content of this file lately.
    pub(crate) fn contains(
        &self,
        key: &FileKey,
        storage: &Address,
        stat: Stat,
        now: Instant,
    ) -> bool {
        let copy = (key.clone(), storage.clone());
        self.0.lock().get(&copy, now) == Some(&stat)
    }
}

#[cfg(test)]
mod tests {
    use proto::{AppId, FileId, UserId};

    use super::*;

    #[test]
    fn a_copy_counts_as_compared_for_its_time_and_its_content_only() {
        let key = FileKey {
            app: AppId::new("a").unwrap(),
            user: UserId::new("u").unwrap(),
            file: FileId::new("f").unwrap(),
        };
        let [here, there] = ["10.0.0.1:23000", "10.0.0.2:23000"].map(|text| text.parse().unwrap());
        let stat = |checksum| Stat {
            size: 1,
            modified: Some(2),
            checksum: Some(checksum),
            expires: false,
        };
        let (files, now) = (ComparedFiles::default(), Instant::now());
        files.note(&key, &here, stat(1), now);
        assert!(files.contains(&key, &here, stat(1), now));
        assert!(!files.contains(&key, &there, stat(1), now));
        // Another file has this name now.
        assert!(!files.contains(&key, &here, stat(2), now));
        assert!(!files.contains(&key, &here, stat(1), now + COMPARED_TIME));
    }
}
