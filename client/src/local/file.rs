//! An open file of a storage on this machine.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::ExpiringMap;
use base::link_check::{CHECK_HOLDS, LinkCheck, is_shared};
use parking_lot::Mutex;
use proto::Address;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::disk_readers::{DiskReaders, ReadPermit};
use crate::Stat;

/// Distance of the bytes that [`is_in_memory`] checks. The kernel reads ahead in steps of this size.
const CHECK_STEP: u64 = 128 << 10;
/// How long a file counts as compared with its checksum. Bits that rot later are found after that.
const VERIFIED_TIME: Duration = Duration::from_secs(600);
/// Limit on files that are known to be good.
const VERIFIED_MAX: usize = 10_000;

/// An open file of a storage on this machine. Stored files never change; they are only deleted. Each use of its
/// disk has a permit, to close it too.
#[derive(Debug)]
pub(crate) struct LocalFile {
    /// Present until it is dropped.
    file: Option<File>,
    pub(crate) stat: Stat,
    pub(crate) storage: Address,
    identity: Identity,
    link: LinkCheck,
    shared: Arc<Shared>,
}

/// The state that all open files of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    readers: DiskReaders,
    /// The files whose content was compared with the checksum.
    verified: Mutex<ExpiringMap<Identity, ()>>,
    /// Files, with their device, that were dropped while their disk was slow.
    unclosed: Mutex<Vec<(u64, File)>>,
}

/// Identifies a file and its content: the time of the latest change is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Identity {
    fn of(file: &Metadata) -> Identity {
        Identity {
            device: file.dev(),
            inode: file.ino(),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

impl Shared {
    /// Permits so many reads of one disk at a time.
    pub(crate) fn new(per_disk: usize) -> Shared {
        Shared {
            readers: DiskReaders::new(per_disk),
            verified: Mutex::new(ExpiringMap::new(VERIFIED_MAX)),
            unclosed: Mutex::default(),
        }
    }

    fn begin(&self, device: u64, may_wait: bool) -> Option<ReadPermit<'_>> {
        self.readers.begin(device, may_wait, Instant::now())
    }

    /// Closes the files whose disk is not slow any more.
    pub(crate) fn close_dropped(&self) {
        let dropped = std::mem::take(&mut *self.unclosed.lock());
        for (device, file) in dropped {
            self.close(device, file);
        }
    }

    fn close(&self, device: u64, file: File) {
        // Not counted against the limit: open files must not pile up while other threads read.
        match self.begin(device, false) {
            Some(_permit) => drop(file),
            None => self.unclosed.lock().push((device, file)),
        }
    }
}

impl LocalFile {
    /// A file that a storage has passed.
    ///
    /// # Errors
    /// There is no descriptor, it is not of a regular file of the size in `stat`, or its disk is slow.
    pub(crate) fn new(
        file: Option<File>,
        stat: Stat,
        storage: Address,
        shared: &Arc<Shared>,
    ) -> Result<LocalFile, &'static str> {
        let began = Instant::now();
        let file = file.ok_or("it passed no descriptor")?;
        let invalid = |_| "its descriptor is invalid";
        let metadata = file.metadata().map_err(invalid)?;
        let permit = shared.begin(metadata.dev(), true);
        let _permit = permit.ok_or("its disk is slow")?;
        if !metadata.is_file() || metadata.len() != stat.size {
            return Err("its descriptor is not of the file");
        }
        let is_shared = is_shared(&file).map_err(invalid)?;
        Ok(LocalFile {
            identity: Identity::of(&metadata),
            // The check of the storage may be older than the descriptor, so the first use checks.
            link: LinkCheck::new(is_shared, began - CHECK_HOLDS, stat.size),
            file: Some(file),
            stat,
            storage,
            shared: Arc::clone(shared),
        })
    }

    /// True unless the file was deleted, or its disk is slow.
    pub(crate) fn exists(&self) -> bool {
        let (Some(file), Some(_permit)) = (&self.file, self.begin(true)) else {
            return false;
        };
        let size = self.link.size(file, Instant::now());
        size.is_ok_and(|size| size == Some(self.stat.size))
    }

    /// True if the content was compared with the checksum.
    pub(crate) fn is_verified(&self) -> bool {
        let verified = self.shared.verified.lock();
        verified.get(&self.identity, Instant::now()).is_some()
    }

    pub(crate) fn set_verified(&self) {
        let mut verified = self.shared.verified.lock();
        verified.insert(self.identity, (), VERIFIED_TIME, Instant::now());
    }

    /// Reads bytes, at least one. `None` if the storage has to be asked for them.
    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> Option<usize> {
        let mut read = None;
        self.visit(offset, buf.len() as u64, |file| {
            read = file.read_at(buf, offset).ok();
        });
        read.filter(|&n| n > 0)
    }

    /// Calls `act` with the file, if `len` bytes at `offset` can be read without waiting for the disk. Some
    /// file systems, such as FUSE, do not tell that; the number of threads that read from them is limited.
    pub(crate) fn visit(&self, offset: u64, len: u64, act: impl FnOnce(&File)) {
        let Some(file) = &self.file else {
            return;
        };
        let may_wait = match is_in_memory(file, offset, len) {
            Some(true) => false,
            Some(false) => return,
            None => true,
        };
        if let Some(_permit) = self.begin(may_wait) {
            act(file);
        }
    }

    fn begin(&self, may_wait: bool) -> Option<ReadPermit<'_>> {
        self.shared.begin(self.identity.device, may_wait)
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.shared.close(self.identity.device, file);
        }
    }
}

/// Whether the kernel has the bytes in memory; `None` if it does not tell. Does not wait. Checks some of the bytes:
/// the kernel reads and forgets many at a time.
fn is_in_memory(file: &File, offset: u64, len: u64) -> Option<bool> {
    let last = offset + len.saturating_sub(1);
    let checked = (offset..last).step_by(CHECK_STEP as usize).chain([last]);
    for at in checked {
        match read_if_in_memory(file, at) {
            Err(Errno::OPNOTSUPP) => return None,
            Err(Errno::AGAIN) => return Some(false),
            _ => {}
        }
    }
    Some(true)
}

fn read_if_in_memory(file: &File, offset: u64) -> Result<usize, Errno> {
    let mut byte = [0];
    let mut buf = [io::IoSliceMut::new(&mut byte)];
    preadv2(file, &mut buf, offset, ReadWriteFlags::NOWAIT)
}
