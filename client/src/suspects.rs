//! Which storages sent damaged content of which files.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::{Address, FileKey};

/// How long a storage that sent damaged content of a file is asked last for it: it may be repaired.
const SUSPECT_TIME: Duration = Duration::from_secs(600);
/// Most files remembered.
const FILES_MAX: usize = 10_000;

/// The storages that sent damaged content, for each file, and since when that is known.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    files: Mutex<HashMap<FileKey, (Instant, Vec<Address>)>>,
}

impl Suspects {
    /// Remembers that one of these storages sent damaged content of a file.
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

    /// The same storages, those that sent damaged content of this file last.
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
    now.saturating_duration_since(since) < SUSPECT_TIME
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
    fn a_suspect_comes_last_for_its_file_and_for_a_while() {
        let suspects = Suspects::default();
        let now = Instant::now();
        suspects.note(&key("f"), &addresses(&[1]), now);
        let order = |file, now| suspects.last(&key(file), addresses(&[1, 2, 3]), now);
        assert_eq!(order("f", now), addresses(&[2, 3, 1]));
        assert_eq!(order("g", now), addresses(&[1, 2, 3]));
        assert_eq!(order("f", now + SUSPECT_TIME), addresses(&[1, 2, 3]));
    }

    #[test]
    fn the_number_of_files_is_bounded() {
        let suspects = Suspects::default();
        let now = Instant::now();
        for n in 0..FILES_MAX + 5 {
            suspects.note(&key(&n.to_string()), &addresses(&[1]), now);
        }
        assert!(suspects.files.lock().len() <= FILES_MAX);
    }
}
