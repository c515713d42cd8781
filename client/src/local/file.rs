//! An open file of a storage on this machine.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use base::ExpiringMap;
use base::link_check::{LinkCheck, look_in_memory};
use parking_lot::Mutex;
use proto::Address;
use proto::storage::PassedFile;
use rustix::fs::{FileType, Statx};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::closer::Closer;
use super::disk_readers::{DiskPermit, DiskReaders};
use crate::Stat;
use crate::compared_files::{COMPARED_MAX, COMPARED_TIME};
use crate::content_check::ContentCheck;

/// Distance of the bytes that [`is_in_memory`] checks. The kernel reads ahead in steps of this size.
const CHECK_STEP: u64 = 128 << 10;
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
    link: LinkCheck,
    /// True if the kernel tells what it has of the file in memory, which local disks do, except for ZFS and tmpfs.
    tells_memory: bool,
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
    changed: (i64, u32),
}

impl Identity {
    fn of(file: &Statx) -> Identity {
        Identity {
            device: u64::from(file.stx_dev_major) << 32 | u64::from(file.stx_dev_minor),
            inode: file.stx_ino,
            changed: (file.stx_ctime.tv_sec, file.stx_ctime.tv_nsec),
        }
    }
}

impl Shared {
    /// Limits the threads that read at a time to `threads`.
    pub(crate) fn new(threads: usize) -> Shared {
        Shared {
            readers: DiskReaders::new(threads),
            verified: Mutex::new(ExpiringMap::new(COMPARED_MAX)),
            closer: Arc::default(),
        }
    }
}

impl LocalFile {
    /// A file that a storage has passed. Does not wait for its disk.
    ///
    /// # Errors
    /// There is no descriptor, it is not of a regular file of the size in `passed`, or its disk is slow.
    pub(crate) fn new(
        file: Option<File>,
        passed: &PassedFile,
        storage: Address,
        shared: &Arc<Shared>,
    ) -> Result<LocalFile, &'static str> {
        let file = file.ok_or("it passed no descriptor")?;
        let found = look_in_memory(&file).map_err(|_| "its descriptor is invalid")?;
        // From now on a drop closes the file without waiting.
        let file = LocalFile {
            identity: Identity::of(&found),
            link: LinkCheck::of_passed(&found, passed.links),
            tells_memory: read_if_in_memory(&file, 0) != Err(Errno::OPNOTSUPP),
            file: Some(file),
            stat: passed.stat.into(),
            storage,
            shared: Arc::clone(shared),
        };
        let kind = FileType::from_raw_mode(found.stx_mode.into());
        if kind != FileType::RegularFile || found.stx_size != passed.stat.size {
            return Err("its descriptor is not of the file");
        }
        let device = file.identity.device;
        if shared.readers.is_slow(device, Instant::now()) || shared.closer.is_full(device) {
            return Err("its disk is slow");
        }
        Ok(file)
    }

    /// True unless the file was changed or deleted. Also false if the look at it has no permit and might wait for the
    /// disk.
    pub(crate) fn exists(&self) -> bool {
        match self.link.is_local() {
            true => self.has_name(),
            false => self.begin().is_some_and(|_permit| self.has_name()),
        }
    }

    fn has_name(&self) -> bool {
        let file = self.file.as_ref();
        let size = file.and_then(|file| self.link.size(file, Instant::now()).ok()?);
        size == Some(self.stat.size)
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
        verified.insert(self.identity, (), COMPARED_TIME, Instant::now());
    }

    /// Reads bytes, at least one. `None` if the storage has to be asked for them.
    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> Option<usize> {
        let mut read = None;
        self.visit(offset, buf.len() as u64, |file| {
            read = file.read_at(buf, offset).ok();
        });
        read.filter(|&n| n > 0)
    }

    /// Calls `act` with the file, unless the kernel tells that it does not have `len` bytes at `offset` in memory. The
    /// caller may wait for the disk, if the kernel does not tell that or drops the bytes just then; [`DiskReaders`]
    /// limits such threads.
    pub(crate) fn visit(&self, offset: u64, len: u64, act: impl FnOnce(&File)) {
        if let Some(file) = &self.file
            && (!self.tells_memory || is_in_memory(file, offset, len))
            && let Some(_permit) = self.begin()
        {
            act(file);
        }
    }

    fn begin(&self) -> Option<DiskPermit<'_>> {
        self.shared
            .readers
            .begin(self.identity.device, Instant::now())
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let asks = !self.tells_memory;
            self.shared.closer.close(self.identity.device, file, asks);
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
