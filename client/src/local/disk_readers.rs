//! Limits the threads that use a disk of this machine, so that a disk that hangs costs a bounded number of them.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A disk whose oldest use lasts longer is not used here: its storage is asked over TCP.
const SLOW: Duration = Duration::from_millis(500);

/// The uses in progress, by the device number of their disk. A use reads a file, or looks at it.
#[derive(Debug)]
pub(crate) struct DiskReaders {
    /// Threads of which some always stay free: one disk gets at most half of what the others leave.
    threads: usize,
    disks: Mutex<HashMap<u64, Uses>>,
}

#[derive(Debug, Default)]
struct Uses {
    last_id: u64,
    began: BTreeMap<u64, Instant>,
}

/// One use; it ends when the permit is dropped.
pub(crate) struct DiskPermit<'a> {
    readers: &'a DiskReaders,
    device: u64,
    id: u64,
}

impl DiskReaders {
    pub(crate) fn new(threads: usize) -> DiskReaders {
        DiskReaders {
            threads,
            disks: Mutex::default(),
        }
    }

    /// Permits a use, unless the disk is slow or has its share of the threads. One use of a disk always has room.
    pub(crate) fn begin(&self, device: u64, now: Instant) -> Option<DiskPermit<'_>> {
        let mut disks = self.disks.lock();
        let total: usize = disks.values().map(|disk| disk.began.len()).sum();
        let uses = disks.entry(device).or_default();
        let own = uses.began.len();
        let left = self.threads.saturating_sub(total - own);
        if uses.is_slow(now) || (own > 0 && 2 * (own + 1) > left) {
            return None;
        }
        uses.last_id += 1;
        let id = uses.last_id;
        uses.began.insert(id, now);
        Some(DiskPermit {
            readers: self,
            device,
            id,
        })
    }

    /// True if the disk gets no further use.
    pub(crate) fn is_slow(&self, device: u64, now: Instant) -> bool {
        let disks = self.disks.lock();
        disks.get(&device).is_some_and(|uses| uses.is_slow(now))
    }
}

impl Uses {
    fn is_slow(&self, now: Instant) -> bool {
        let oldest = self.began.first_key_value();
        oldest.is_some_and(|(_, &began)| now.saturating_duration_since(began) >= SLOW)
    }
}

impl Drop for DiskPermit<'_> {
    fn drop(&mut self) {
        let mut disks = self.readers.disks.lock();
        if let Some(uses) = disks.get_mut(&self.device) {
            uses.began.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin_all(readers: &DiskReaders, device: u64, now: Instant) -> Vec<DiskPermit<'_>> {
        std::iter::from_fn(|| readers.begin(device, now)).collect()
    }

    #[test]
    fn a_disk_gets_half_of_what_the_others_leave() {
        let (readers, now) = (DiskReaders::new(64), Instant::now());
        let first = begin_all(&readers, 1, now);
        let second = begin_all(&readers, 2, now);
        let third = begin_all(&readers, 3, now);
        assert_eq!([first.len(), second.len(), third.len()], [32, 16, 8]);
        drop(first);
        assert!(readers.begin(2, now).is_some());
    }

    #[test]
    fn a_slow_disk_is_not_used_and_the_others_are() {
        let (readers, now) = (DiskReaders::new(64), Instant::now());
        let first = readers.begin(1, now).unwrap();
        assert!(readers.begin(1, now).is_some());
        assert!(readers.begin(1, now + SLOW).is_none());
        assert!(readers.is_slow(1, now + SLOW) && !readers.is_slow(2, now + SLOW));
        assert!(readers.begin(2, now + SLOW).is_some());
        drop(first);
        assert!(readers.begin(1, now + SLOW).is_some());
    }
}
