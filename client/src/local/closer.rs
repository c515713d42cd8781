//! Closes open files so that no other thread waits for their disk.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use base::link_check::look_in_memory;
use base::thread;
use parking_lot::Mutex;

/// Limit on files of a disk that wait, beside those that are in use.
const WAITING_MAX: usize = 256;

/// The files that wait to be closed, by the device number of their disk. A disk has an entry while a thread
/// closes its files: one that hangs keeps no file of another disk open.
#[derive(Debug, Default)]
pub(crate) struct Closer(Mutex<HashMap<u64, Vec<File>>>);

impl Closer {
    /// Closes a file. A thread does it if it may wait for the disk: on file systems whose close asks a process or other
    /// hosts (`asks`), and the last close of a deleted file, which frees its space.
    pub(crate) fn close(self: &Arc<Closer>, device: u64, file: File, asks: bool) {
        let is_deleted = || look_in_memory(&file).is_ok_and(|file| file.stx_nlink == 0);
        if (asks || is_deleted()) && self.queue(device, file) {
            let closer = Arc::clone(self);
            match thread::spawn("close", move || closer.close_all(device)) {
                Ok(thread) => drop(thread),
                Err(_) => self.close_all(device),
            }
        }
    }

    /// True if no further file of this disk may be opened: too many wait.
    pub(crate) fn is_full(&self, device: u64) -> bool {
        let waiting = self.0.lock();
        let files = waiting.get(&device);
        files.is_some_and(|files| files.len() >= WAITING_MAX)
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
        assert!(!closer.is_full(1));
        // A temporary file has no name.
        closer.close(2, file(), false);
        test_support::until("the file of disk 2 is closed", || {
            !closer.0.lock().contains_key(&2)
        });
        assert_eq!(closer.0.lock()[&1].len(), 2);
        for _ in 2..WAITING_MAX {
            closer.close(1, file(), true);
        }
        assert!(closer.is_full(1));
        closer.close_all(1);
        assert!(closer.0.lock().is_empty());
    }
}
