//! Limits the threads that read from a local disk, so that a disk that hangs costs a bounded number of them.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A disk whose oldest read lasts longer is not read here: its storage is asked over TCP.
const SLOW: Duration = Duration::from_millis(500);

/// The reads in progress, by the device number of their disk.
#[derive(Debug)]
pub(crate) struct DiskReaders {
    /// Threads of which some always stay free: one disk gets at most half of what the others leave.
    threads: usize,
    disks: Mutex<HashMap<u64, Reads>>,
}

#[derive(Debug, Default)]
struct Reads {
    last_id: u64,
    began: BTreeMap<u64, Instant>,
}

/// One read; it ends when the permit is dropped.
pub(crate) struct ReadPermit<'a> {
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

    /// Permits a read, unless the disk is slow or has its share of the threads. One read of a disk always has room.
    pub(crate) fn begin(&self, device: u64, now: Instant) -> Option<ReadPermit<'_>> {
        let mut disks = self.disks.lock();
        let total: usize = disks.values().map(|disk| disk.began.len()).sum();
        let reads = disks.entry(device).or_default();
        let own = reads.began.len();
        let left = self.threads.saturating_sub(total - own);
        let oldest = reads.began.first_key_value();
        let is_slow = oldest.is_some_and(|(_, &began)| now.duration_since(began) >= SLOW);
        if is_slow || (own > 0 && 2 * (own + 1) > left) {
            return None;
        }
        reads.last_id += 1;
        let id = reads.last_id;
        reads.began.insert(id, now);
        Some(ReadPermit {
            readers: self,
            device,
            id,
        })
    }
}

impl Drop for ReadPermit<'_> {
    fn drop(&mut self) {
        let mut disks = self.readers.disks.lock();
        if let Some(reads) = disks.get_mut(&self.device) {
            reads.began.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin_all(readers: &DiskReaders, device: u64, now: Instant) -> Vec<ReadPermit<'_>> {
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
    fn a_slow_disk_is_not_read_and_the_others_are() {
        let (readers, now) = (DiskReaders::new(64), Instant::now());
        let first = readers.begin(1, now).unwrap();
        assert!(readers.begin(1, now).is_some());
        assert!(readers.begin(1, now + SLOW).is_none());
        assert!(readers.begin(2, now + SLOW).is_some());
        drop(first);
        assert!(readers.begin(1, now + SLOW).is_some());
    }
}
