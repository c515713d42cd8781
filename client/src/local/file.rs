//! An open file of a storage on this machine.

use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::ExpiringMap;
use parking_lot::Mutex;
use proto::Address;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::disk_readers::{DiskReaders, ReadPermit};
use crate::Stat;

/// Distance of the bytes that [`LocalFile::is_in_memory`] checks. The kernel reads ahead in steps of this size.
const CHECK_STEP: u64 = 128 << 10;

/// How long a file counts as compared with its checksum. Bits that rot later are found after that.
const VERIFIED_TIME: Duration = Duration::from_secs(600);
/// Limit on files that are known to be good.
const VERIFIED_MAX: usize = 10_000;

/// An open file of a storage on this machine. Stored files never change; they are only deleted.
#[derive(Debug)]
pub(crate) struct LocalFile {
    file: File,
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
        }
    }
}

impl LocalFile {
    /// A file that a storage has passed. It does not block: the storage has just opened it.
    ///
    /// # Errors
    /// There is no descriptor, or it is not of a regular file of the size in `stat`.
    pub(crate) fn new(
        file: Option<File>,
        stat: Stat,
        storage: Address,
        shared: Arc<Shared>,
    ) -> Result<LocalFile, &'static str> {
        let file = file.ok_or("it passed no descriptor")?;
        let metadata = file.metadata().map_err(|_| "its descriptor is invalid")?;
        if !metadata.is_file() || metadata.len() != stat.size {
            return Err("its descriptor is not of the file");
        }
        Ok(LocalFile {
            identity: Identity::of(&metadata),
            file,
            stat,
            storage,
            shared,
        })
    }

    /// True unless the file was deleted. Network file systems tell that about a second late.
    pub(crate) fn exists(&self) -> bool {
        let Some(_permit) = self.begin() else {
            return false;
        };
        self.file.metadata().is_ok_and(|file| file.nlink() > 0)
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
    pub(crate) fn visit(&self, offset: u64, len: u64, act: impl FnOnce(&File)) -> bool {
        let permit = self.begin();
        let is_ready = permit.is_some() && self.is_in_memory(offset, len);
        if is_ready {
            act(&self.file);
        }
        is_ready
    }

    fn begin(&self) -> Option<ReadPermit<'_>> {
        let Identity { device, .. } = self.identity;
        self.shared.readers.begin(device, Instant::now())
    }

    /// True if the kernel has the bytes in memory, or does not tell. Checks some of them: the kernel reads and
    /// forgets many at a time.
    fn is_in_memory(&self, offset: u64, len: u64) -> bool {
        let last = offset + len.saturating_sub(1);
        let checked = (offset..last).step_by(CHECK_STEP as usize).chain([last]);
        for at in checked {
            match self.read_if_in_memory(at) {
                Err(Errno::OPNOTSUPP) => return true,
                Err(Errno::AGAIN) => return false,
                _ => {}
            }
        }
        true
    }

    fn read_if_in_memory(&self, offset: u64) -> Result<usize, Errno> {
        let mut byte = [0];
        let mut buf = [io::IoSliceMut::new(&mut byte)];
        preadv2(&self.file, &mut buf, offset, ReadWriteFlags::NOWAIT)
    }
}
