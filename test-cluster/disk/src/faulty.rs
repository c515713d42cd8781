//! A FUSE file system of this process that hangs or fails on demand.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use parking_lot::Mutex;
use rustix::mount::{UnmountFlags, unmount};

use crate::faults::{Faults, Operation};
use crate::files::{BLOCK, Files};

/// The kernel caches nothing, so every operation on the disk gets here.
const REMEMBERED: Duration = Duration::ZERO;
const HANDLE: FileHandle = FileHandle(0);

/// A mounted disk in memory; unmounted when dropped.
#[derive(Debug)]
pub struct FaultyDisk {
    at: PathBuf,
    faults: Arc<Faults>,
    files: Arc<Mutex<Files>>,
    session: Option<BackgroundSession>,
}

impl FaultyDisk {
    /// Mounts an empty disk of `size` bytes at a folder. It works until a fault is set.
    ///
    /// # Errors
    /// The system refuses: only root may mount.
    pub fn mount(at: &Path, size: u64) -> anyhow::Result<FaultyDisk> {
        let faults = Arc::new(Faults::default());
        let files = Arc::new(Mutex::new(Files::new(size)));
        let served = Served {
            faults: Arc::clone(&faults),
            files: Arc::clone(&files),
        };
        let session = fuser::spawn_mount(served, at, &Config::default()).with_context(|| {
            let at = at.display();
            format!("cannot mount a disk at {at}, which takes root and /dev/fuse")
        })?;
        Ok(FaultyDisk {
            at: at.to_owned(),
            faults,
            files,
            session: Some(session),
        })
    }

    /// Stops to answer: operations wait.
    pub fn hang(&self) {
        self.faults.set_hanging(true);
    }

    /// Answers again, waiting operations first.
    pub fn answer(&self) {
        self.faults.set_hanging(false);
    }

    /// Loses everything that was not synced, like a power cut. The disk must not be in use.
    pub fn cut_power(&self) {
        self.files.lock().lose_unsynced();
    }

    /// Sets the delay of its clock behind that of the machine.
    pub fn set_behind(&self, behind: Duration) {
        self.files.lock().set_behind(behind);
    }

    /// Makes exactly these operations fail, with these error numbers.
    pub fn fail(&self, failing: &[(Operation, i32)]) {
        let failing = failing.iter();
        let failing = failing.map(|(operation, errno)| (*operation, Errno::from_i32(*errno)));
        self.faults.set_failing(failing.collect());
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        self.answer();
        // Open files stay open. A failure cannot be handled here.
        let _ = unmount(&self.at, UnmountFlags::DETACH);
        drop(self.session.take());
    }
}

struct Served {
    faults: Arc<Faults>,
    files: Arc<Mutex<Files>>,
}

impl Served {
    fn read<T>(&self, act: impl FnOnce(&Files) -> Result<T, Errno>) -> Result<T, Errno> {
        self.faults.pass(Operation::Read)?;
        act(&self.files.lock())
    }

    fn write<T>(&self, act: impl FnOnce(&mut Files) -> Result<T, Errno>) -> Result<T, Errno> {
        self.faults.pass(Operation::Write)?;
        act(&mut self.files.lock())
    }

    fn sync(&self, ino: INodeNo) -> Result<(), Errno> {
        self.faults.pass(Operation::Sync)?;
        self.files.lock().sync(ino.0)
    }

    /// Creates a folder or an empty file.
    fn make(&self, at: (INodeNo, &OsStr), mode: u32, folder: bool) -> Result<FileAttr, Errno> {
        self.write(|files| {
            let ino = files.make(at.0.0, at.1, (mode & 0o777) as u16, folder)?;
            files.attr(ino)
        })
    }
}

fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(e) => reply.error(e),
    }
}

fn enter(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attr) => reply.entry(&REMEMBERED, &attr, Generation(0)),
        Err(e) => reply.error(e),
    }
}

fn describe(reply: ReplyAttr, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attr) => reply.attr(&REMEMBERED, &attr),
        Err(e) => reply.error(e),
    }
}

fn open(reply: ReplyOpen, result: Result<FileAttr, Errno>) {
    match result {
        Ok(_) => reply.opened(HANDLE, FopenFlags::empty()),
        Err(e) => reply.error(e),
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        enter(
            reply,
            self.read(|files| files.attr(files.find(parent.0, name)?)),
        );
    }

    fn forget(&self, _: &Request, ino: INodeNo, _: u64) {
        self.files.lock().forget(ino.0);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        describe(reply, self.read(|files| files.attr(ino.0)));
    }

    /// Changes nothing: no test changes attributes, only the kernel does.
    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        describe(reply, self.write(|files| files.attr(ino.0)));
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        enter(reply, self.make((parent, name), mode, true));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.write(|files| files.unlink(parent.0, name)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        let (from, to) = ((parent.0, name), (new_parent.0, new_name));
        answer(reply, self.write(|files| files.rename(from, to, replace)));
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        open(reply, self.read(|files| files.attr(ino.0)));
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let passed = self.faults.pass(Operation::Content);
        let read = || self.read(|files| files.read(ino.0, offset, size).map(<[u8]>::to_vec));
        match passed.and_then(|()| read()) {
            Ok(bytes) => reply.data(&bytes),
            Err(e) => reply.error(e),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write(|files| files.write(ino.0, offset, data)) {
            Ok(()) => reply.written(data.len() as u32),
            Err(e) => reply.error(e),
        }
    }

    /// Called by the close of a file, which waits for the reply.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        answer(reply, self.faults.pass(Operation::Close));
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.sync(ino));
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        open(reply, self.read(|files| files.attr(ino.0)));
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = match self.read(|files| files.list(ino.0)) {
            Ok(entries) => entries,
            Err(e) => return reply.error(e),
        };
        for (idx, (ino, kind, name)) in entries.iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(*ino), idx as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.sync(ino));
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match self.read(|files| Ok((files.size() / BLOCK, files.free() / BLOCK))) {
            Ok((size, free)) => reply.statfs(size, free, free, 0, 0, BLOCK as u32, 255, 0),
            Err(e) => reply.error(e),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.make((parent, name), mode, false) {
            Ok(attr) => {
                let (generation, flags) = (Generation(0), FopenFlags::empty());
                reply.created(&REMEMBERED, &attr, generation, HANDLE, flags);
            }
            Err(e) => reply.error(e),
        }
    }
}
