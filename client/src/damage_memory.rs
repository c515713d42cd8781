//! The storages that sent damaged content, for each file.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::{Address, FileKey};

/// How long a storage that sent damaged content of a file is asked last for it. It may be repaired
/// meanwhile.
const REMEMBER_TIME: Duration = Duration::from_secs(600);
/// Limit on remembered files.
const FILES_MAX: usize = 10_000;

/// For each file, the storages and the time of the latest report.
#[derive(Debug, Default)]
pub(crate) struct DamageMemory {
    files: Mutex<HashMap<FileKey, (Instant, Vec<Address>)>>,
}

impl DamageMemory {
    /// Records that one of these storages sent damaged content of a file.
    pub(crate) fn note(&self, key: &FileKey, storages: &[Address], now: Instant) {
        let mut files = self.files.lock();
        if files.len() >= FILES_MAX {
            files.retain(|_, (since, _)| is_fresh(*since, now));
        }
        if files.len() >= FILES_MAX {
            files.clear();
        }
        let (since, known) = files.entry(key.clone()).or_insert((now, Vec::new()));
        *since = now;
        for storage in storages {
            if !known.contains(storage) {
                known.push(storage.clone());
            }
        }
    }

    /// Moves the storages that sent damaged content of this file to the end.
    pub(crate) fn last(
        &self,
        key: &FileKey,
        mut storages: Vec<Address>,
        now: Instant,
    ) -> Vec<Address> {
        let files = self.files.lock();
        if let Some((since, known)) = files.get(key)
            && is_fresh(*since, now)
        {
            storages.sort_by_key(|storage| known.contains(storage));
        }
        storages
    }
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < REMEMBER_TIME
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
    }

    #[test]
    fn the_number_of_files_is_bounded() {
        let damage = DamageMemory::default();
        let now = Instant::now();
        for n in 0..FILES_MAX + 5 {
            damage.note(&key(&n.to_string()), &addresses(&[1]), now);
        }
        assert!(damage.files.lock().len() <= FILES_MAX);
    }
}
