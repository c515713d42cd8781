//! Closes open files so that no other thread waits for their disk.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use base::thread;
use parking_lot::Mutex;

/// The deleted files that wait to be closed, by the device number of their disk. A disk has an entry while a thread
/// closes its files: one that hangs keeps no file of another disk open.
#[derive(Debug, Default)]
pub(crate) struct Closer(Mutex<HashMap<u64, Vec<File>>>);

impl Closer {
    /// Closes a file. The last close of a deleted file frees its space, which may wait for the disk: a thread does it.
    pub(crate) fn close(self: &Arc<Closer>, device: u64, file: File) {
        let is_deleted = file.metadata().is_ok_and(|file| file.nlink() == 0);
        if is_deleted && self.queue(device, file) {
            let closer = Arc::clone(self);
            match thread::spawn("close", move || closer.close_all(device)) {
                Ok(thread) => drop(thread),
                Err(_) => self.close_all(device),
            }
        }
    }

    /// True if no thread closes files of this disk.
    fn queue(&self, device: u64, file: File) -> bool {
        let mut waiting = self.0.lock();
        let is_first = !waiting.contains_key(&device);
        waiting.entry(device).or_default().push(file);
        is_first
    }

    fn close_all(&self, device: u64) {
        while let Some(files) = self.take(device) {
            drop(files);
        }
    }

    /// The files of this disk that wait. `None` ends the thread.
    fn take(&self, device: u64) -> Option<Vec<File>> {
        let mut waiting = self.0.lock();
        let files = std::mem::take(waiting.get_mut(&device)?);
        if files.is_empty() {
            waiting.remove(&device);
            return None;
        }
        Some(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_whose_closes_hang_keeps_no_file_of_another_open() {
        let closer = Arc::new(Closer::default());
        let file = || tempfile::tempfile().unwrap();
        // As if the thread of disk 1 never came back.
        assert!(closer.queue(1, file()));
        assert!(!closer.queue(1, file()));
        closer.close(2, file());
        test_support::until("the file of disk 2 is closed", || {
            !closer.0.lock().contains_key(&2)
        });
        assert_eq!(closer.0.lock()[&1].len(), 2);
        closer.close_all(1);
        assert!(closer.0.lock().is_empty());
    }
}
