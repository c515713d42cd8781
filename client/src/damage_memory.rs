//! The storages that sent damaged content, for each file.

use std::time::{Duration, Instant};

use base::ExpiringMap;
use parking_lot::Mutex;
use proto::{Address, FileKey};

/// How long a storage that sent damaged content of a file is asked last for it. It may be repaired
/// meanwhile.
const REMEMBER_TIME: Duration = Duration::from_secs(600);
/// Limit on remembered files.
const FILES_MAX: usize = 10_000;

/// The storages that sent damaged content of a file.
#[derive(Debug)]
pub(crate) struct DamageMemory(Mutex<ExpiringMap<FileKey, Vec<Address>>>);

impl Default for DamageMemory {
    fn default() -> DamageMemory {
        DamageMemory(Mutex::new(ExpiringMap::new(FILES_MAX)))
    }
}

impl DamageMemory {
    /// Records that one of these storages sent damaged content of a file.
    pub(crate) fn note(&self, key: &FileKey, storages: &[Address], now: Instant) {
        let mut files = self.0.lock();
        let mut known = files.get(key, now).cloned().unwrap_or_default();
        for storage in storages {
            if !known.contains(storage) {
                known.push(storage.clone());
            }
        }
        files.insert(key.clone(), known, REMEMBER_TIME, now);
    }

    /// Moves the storages that sent damaged content of this file to the end.
    pub(crate) fn last(
        &self,
        key: &FileKey,
        mut storages: Vec<Address>,
        now: Instant,
    ) -> Vec<Address> {
        if let Some(known) = self.0.lock().get(key, now) {
            storages.sort_by_key(|storage| known.contains(storage));
        }
        storages
    }
}

#[cfg(test)]
mod tests {
    use proto::{AppId, FileId, UserId};

    use super::*;

    fn key(file: &str) -> FileKey {
        FileKey {
            app: AppId::new("a").unwrap(),
            user: UserId::new("u").unwrap(),
            file: FileId::new(file).unwrap(),
        }
    }

    fn addresses(numbers: &[u8]) -> Vec<Address> {
        let address = |n| format!("127.0.0.{n}:1").parse().unwrap();
        numbers.iter().map(address).collect()
    }

    #[test]
    fn a_damaged_source_comes_last_for_its_file_and_for_a_while() {
        let damage = DamageMemory::default();
        let now = Instant::now();
        damage.note(&key("f"), &addresses(&[1]), now);
        let order = |file, now| damage.last(&key(file), addresses(&[1, 2, 3]), now);
        assert_eq!(order("f", now), addresses(&[2, 3, 1]));
        assert_eq!(order("g", now), addresses(&[1, 2, 3]));
        assert_eq!(order("f", now + REMEMBER_TIME), addresses(&[1, 2, 3]));
        damage.note(&key("f"), &addresses(&[2]), now);
        assert_eq!(order("f", now), addresses(&[3, 1, 2]));
    }
}
