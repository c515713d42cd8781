//! Limits the threads that read from a local disk, so that a disk that hangs costs a bounded number of them.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A disk whose oldest read lasts longer is not read here: its storage is asked over TCP.
const SLOW: Duration = Duration::from_millis(500);

/// The reads in progress, by the device number of their disk.
#[derive(Debug)]
pub(crate) struct DiskReaders {
    /// Limit on reads of one disk at a time.
    per_disk: usize,
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
    pub(crate) fn new(per_disk: usize) -> DiskReaders {
        DiskReaders {
            per_disk,
            disks: Mutex::default(),
        }
    }

    /// Permits a use of a disk, unless the disk is slow. One that may wait for the disk (`may_wait`) is also refused
    /// at the limit.
    pub(crate) fn begin(
        &self,
        device: u64,
        may_wait: bool,
        now: Instant,
    ) -> Option<ReadPermit<'_>> {
        let mut disks = self.disks.lock();
        let reads = disks.entry(device).or_default();
        let oldest = reads.began.first_key_value();
        let is_slow = oldest.is_some_and(|(_, &began)| now.duration_since(began) >= SLOW);
        if is_slow || (may_wait && reads.began.len() >= self.per_disk) {
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

    #[test]
    fn a_disk_at_its_limit_or_slow_is_not_read_and_the_others_are() {
        let (readers, now) = (DiskReaders::new(2), Instant::now());
        let first = readers.begin(1, true, now).unwrap();
        let second = readers.begin(1, true, now).unwrap();
        assert!(readers.begin(1, true, now).is_none());
        assert!(readers.begin(1, false, now).is_some());
        assert!(readers.begin(2, true, now).is_some());
        drop(second);
        assert!(readers.begin(1, true, now).is_some());
        assert!(readers.begin(1, false, now + SLOW).is_none());
        drop(first);
        assert!(readers.begin(1, true, now + SLOW).is_some());
    }
}
