//! An open file of a storage on this machine.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::ExpiringMap;
use parking_lot::Mutex;
use proto::Address;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::closer::Closer;
use super::disk_readers::DiskReaders;
use crate::Stat;
use crate::content_check::ContentCheck;

/// Distance of the bytes that [`is_in_memory`] checks. The kernel reads ahead in steps of this size.
const CHECK_STEP: u64 = 128 << 10;
/// How long a file counts as compared with its checksum. Bits that rot later are found after that.
const VERIFIED_TIME: Duration = Duration::from_secs(600);
/// Limit on files that are known to be good.
const VERIFIED_MAX: usize = 10_000;
/// Bytes that are read at a time to be compared with the checksum.
const CHECK_BUFFER: usize = 256 << 10;

/// An open file of a storage on this machine. Stored files never change; they are only deleted.
#[derive(Debug)]
pub(crate) struct LocalFile {
    /// Present until it is dropped.
    file: Option<File>,
    pub(crate) stat: Stat,
    pub(crate) storage: Address,
    identity: Identity,
    shared: Arc<Shared>,
}

/// The state that all open files of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    readers: DiskReaders,
    /// The files whose content was compared with the checksum.
    verified: Mutex<ExpiringMap<Identity, ()>>,
    closer: Arc<Closer>,
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
    /// Limits the threads that read at a time to `threads`.
    pub(crate) fn new(threads: usize) -> Shared {
        Shared {
            readers: DiskReaders::new(threads),
            verified: Mutex::new(ExpiringMap::new(VERIFIED_MAX)),
            closer: Arc::default(),
        }
    }
}

impl LocalFile {
    /// A file that a storage has passed.
    ///
    /// # Errors
    /// There is no descriptor, it is not of a regular file of the size in `stat`, or the kernel does not tell what it
    /// has of the file in memory.
    pub(crate) fn new(
        file: Option<File>,
        stat: Stat,
        storage: Address,
        shared: &Arc<Shared>,
    ) -> Result<LocalFile, &'static str> {
        let file = file.ok_or("it passed no descriptor")?;
        // First: a look at the file may wait on other file systems, such as FUSE.
        if read_if_in_memory(&file, 0) == Err(Errno::OPNOTSUPP) {
            return Err("its file system does not tell what is in memory");
        }
        let metadata = file.metadata();
        let metadata = metadata.map_err(|_| "its descriptor is invalid")?;
        if !metadata.is_file() || metadata.len() != stat.size {
            return Err("its descriptor is not of the file");
        }
        Ok(LocalFile {
            identity: Identity::of(&metadata),
            file: Some(file),
            stat,
            storage,
            shared: Arc::clone(shared),
        })
    }

    /// True unless the file was changed or deleted. Does not wait for the disk. A deletion also changes a file that has
    /// another name: its time of change.
    pub(crate) fn exists(&self) -> bool {
        let metadata = self.file.as_ref().map(File::metadata);
        metadata.is_some_and(|found| {
            found.is_ok_and(|found| found.nlink() > 0 && Identity::of(&found) == self.identity)
        })
    }

    /// The comparison of the content with the checksum, after the first `len` bytes. `None` without a checksum, or if
    /// the storage has to be asked for them.
    pub(crate) fn check_of_start(&self, len: u64) -> Option<ContentCheck> {
        let mut check = ContentCheck::new(self.stat.checksum?);
        let mut buf = vec![0; CHECK_BUFFER.min(len as usize)];
        let mut offset = 0;
        while offset < len {
            let left = usize::try_from(len - offset).map_or(buf.len(), |left| left.min(buf.len()));
            let n = self.read_at(&mut buf[..left], offset)?;
            check.update(&buf[..n]);
            offset += n as u64;
        }
        Some(check)
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

    /// Calls `act` with the file, if the kernel has `len` bytes at `offset` in memory. If it drops them just then, the
    /// caller waits for the disk; [`DiskReaders`] limits such threads.
    pub(crate) fn visit(&self, offset: u64, len: u64, act: impl FnOnce(&File)) {
        if let Some(file) = &self.file
            && is_in_memory(file, offset, len)
            && let Some(_permit) = self
                .shared
                .readers
                .begin(self.identity.device, Instant::now())
        {
            act(file);
        }
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.shared.closer.close(self.identity.device, file);
        }
    }
}

/// True if the kernel has the bytes in memory. Does not wait. Checks some of the bytes: the kernel reads and forgets
/// many at a time.
fn is_in_memory(file: &File, offset: u64, len: u64) -> bool {
    let last = offset + len.saturating_sub(1);
    let mut checked = (offset..last).step_by(CHECK_STEP as usize).chain([last]);
    checked.all(|at| read_if_in_memory(file, at) != Err(Errno::AGAIN))
}

fn read_if_in_memory(file: &File, offset: u64) -> Result<usize, Errno> {
    let mut byte = [0];
    let mut buf = [io::IoSliceMut::new(&mut byte)];
    preadv2(file, &mut buf, offset, ReadWriteFlags::NOWAIT)
}
