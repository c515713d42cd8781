//! Answers the requests of clients: one function per command.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use net::admin::{Challenge, OrderVerifier};
use net::wire::{Caller, Reply, Service};
use net::{Part, WorkerPool};
use proto::storage::{
    ADMIN, Attributes, ByteRange, DELETE, DOWNLOAD, Download, FileStat, LIST, OPEN, Open,
    PassedFile, READ, Read, STORE, StorageRequest, Store, UPLOAD, USAGE, encode_file_size,
};
use proto::{ErrorCode, Fault, FileKey};

use crate::clock::epoch_secs;
use crate::db::FileRow;
use crate::disks::disk_error::{DiskError, disk_fault};
use crate::disks::limiter::DiskCaller;
use crate::disks::open_files::StoredFile;
use crate::disks::store_path::ResolvedPath;
use crate::file::OpenedFile;
use crate::files::delete::delete;
use crate::files::faults::not_found;
use crate::files::listing;
use crate::files::requester::Requester;
use crate::files::sent_file::SentFile;
use crate::files::upload;
use crate::globals::Globals;
use crate::{admin, file};

pub(crate) struct StorageService {
    globals: Arc<Globals>,
}

impl StorageService {
    pub(crate) fn new(globals: Arc<Globals>) -> StorageService {
        StorageService { globals }
    }

    fn serve(&self, request: StorageRequest, requester: Requester) -> Result<Reply, Fault> {
        match request {
            StorageRequest::Upload(upload) => {
                let attributes = Attributes::default();
                let incoming =
                    upload::begin(&self.globals, Store { upload, attributes }, requester)?;
                Ok(Reply::Content(Box::new(incoming)))
            }
            StorageRequest::Store(store) => {
                let incoming = upload::begin(&self.globals, *store, requester)?;
                Ok(Reply::Content(Box::new(incoming)))
            }
            StorageRequest::Attributes(key) => Ok(Reply::bytes(self.attributes(&key)?.encode())),
            StorageRequest::FileSize(key) => {
                let stat = self.stat(&key)?;
                Ok(Reply::bytes(encode_file_size(stat.size)))
            }
            StorageRequest::Download(download) => self.download(&download),
            StorageRequest::Read(read) => self.read(&read),
            StorageRequest::Delete(key) => {
                delete(&self.globals, &key, requester)?;
                Ok(Reply::bytes(Vec::new()))
            }
            StorageRequest::Stat(key) => Ok(Reply::bytes(self.stat(&key)?.encode())),
            StorageRequest::List(wanted) => {
                let list = listing::list(&self.globals, &wanted)?;
                Ok(Reply::bytes(list.encode()))
            }
            StorageRequest::Usage(wanted) => {
                let usage = listing::usage(&self.globals, &wanted)?;
                Ok(Reply::bytes(usage.encode()))
            }
            StorageRequest::Challenge
            | StorageRequest::Admin(_)
            | StorageRequest::LocalSocket
            | StorageRequest::Open(_) => unreachable!("these are answered before"),
        }
    }

    /// A length of 0 asks for everything up to the end, also in an empty file.
    fn download(&self, download: &Download) -> Result<Reply, Fault> {
        let (row, size, file) = self.open(&download.key)?;
        let file = self.sent(file, &download.key, row);
        let Download {
            offset,
            size: wanted,
            ..
        } = *download;
        let Some(rest) = size.checked_sub(offset) else {
            return Err(out_of_range("offset", offset, size));
        };
        if wanted > rest {
            return Err(out_of_range("size", wanted, rest));
        }
        let len = if wanted == 0 { rest } else { wanted };
        Ok(send(file, offset, len, Vec::new()))
    }

    fn read(&self, Read { key, range }: &Read) -> Result<Reply, Fault> {
        let (row, size, file) = self.open(key)?;
        let ByteRange { offset, len } = range.within(size);
        let stat = stat_of(&row, size).encode();
        Ok(send(self.sent(file, key, row), offset, len, stat))
    }

    /// Opens a file that has the size of its row.
    fn open(&self, key: &FileKey) -> Result<(FileRow, u64, Arc<StoredFile>), Fault> {
        let (row, opened) = self.with_file(key, WorkerPool::Slow, file::open)?;
        let OpenedFile {
            file,
            size,
            was_kept,
        } = opened;
        self.globals.metrics.open_files.count(was_kept);
        self.check_size(key, &row, size)?;
        Ok((row, size, file))
    }

    /// Passes a descriptor of the file to a client on the Unix socket.
    fn pass(&self, key: &FileKey) -> Result<Reply, Fault> {
        let (row, size, file) = self.open(key)?;
        let passed = PassedFile {
            stat: stat_of(&row, size),
            links: file.links(),
        };
        let bytes = passed.encode();
        let file = Box::new(self.sent(file, key, row));
        Ok(Reply::Body(vec![Part::WithDescriptor { bytes, file }]))
    }

    fn sent(&self, file: Arc<StoredFile>, key: &FileKey, row: FileRow) -> SentFile {
        SentFile {
            globals: Arc::clone(&self.globals),
            file,
            key: key.clone(),
            path: row.path,
        }
    }

    fn stat(&self, key: &FileKey) -> Result<FileStat, Fault> {
        let (row, size) = self.with_file(key, WorkerPool::Fast, file::size)?;
        self.check_size(key, &row, size)?;
        Ok(stat_of(&row, size))
    }

    fn attributes(&self, key: &FileKey) -> Result<Attributes, Fault> {
        let row = match self.globals.rows.get(key) {
            Some(row) if !row.is_expired(epoch_secs()) => row,
            _ => self.find(key)?,
        };
        Ok(Attributes {
            expires: row.expires,
            // Another program may have written one that is none.
            name: row.name.and_then(|name| name.parse().ok()),
        })
    }

    /// Finds a file's row and calls `act` with its path. A cached row may be outdated, and a peer
    /// may remove the file at this moment: a file is missing only if a row read after the attempt
    /// still names it.
    fn with_file<T>(
        &self,
        key: &FileKey,
        pool: WorkerPool,
        act: impl Fn(&ResolvedPath) -> io::Result<T>,
    ) -> Result<(FileRow, T), Fault> {
        let act = |path: &str| match self.globals.paths.resolve(path, DiskCaller::Request(pool)) {
            Ok(at) => act(&at),
            Err(e) if is_known(&e) => Err(e),
            // Without its volume the file is not missing but out of reach.
            Err(e) => Err(io::Error::new(ErrorKind::NotConnected, e)),
        };
        let remembered = self.globals.rows.get(key);
        let remembered = remembered.filter(|row| !row.is_expired(epoch_secs()));
        self.globals.metrics.rows.count(remembered.is_some());
        if let Some(row) = remembered {
            match act(&row.path) {
                Ok(value) => return Ok((row, value)),
                // The disk hangs; another row would not help.
                Err(e) if e.kind() == ErrorKind::TimedOut => {
                    return Err(disk_fault(&row.path, &e));
                }
                Err(_) => self.globals.rows.forget(key),
            }
        }
        let mut row = self.find(key)?;
        let mut result = act(&row.path);
        if result.as_ref().err().is_some_and(file::is_missing) {
            row = self.find(key)?;
            result = act(&row.path);
        }
        match result {
            Ok(value) => {
                self.globals.rows.put(key.clone(), row.clone());
                Ok((row, value))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let what = format!("{} is missing", row.path);
                Err(self.globals.damage.fault(key, &row.path, &what))
            }
            Err(e) if file::is_not_a_file(&e) => {
                let what = format!("{}: {e}", row.path);
                Err(self.globals.damage.fault(key, &row.path, &what))
            }
            Err(e) => Err(disk_fault(&row.path, &e)),
        }
    }

    /// The row of a file of this storage's group.
    fn find(&self, key: &FileKey) -> Result<FileRow, Fault> {
        let globals = &self.globals;
        let found = globals.files.find(key)?;
        let Some(row) = found.filter(|row| !row.is_expired(epoch_secs())) else {
            globals.damage.forget(key);
            return Err(not_found(key));
        };
        globals.foreign.check(key, row.group.as_deref())?;
        Ok(row)
    }

    fn check_size(&self, key: &FileKey, row: &FileRow, actual: u64) -> Result<(), Fault> {
        if row.size == actual {
            self.globals.damage.forget_size(key);
            return Ok(());
        }
        let what = format!("{} has {actual} bytes, not {}", row.path, row.size);
        Err(self.globals.damage.fault(key, &row.path, &what))
    }
}

impl Service for StorageService {
    type Request = StorageRequest;
    type Session = Challenge;

    /// A file and its folder.
    const DESCRIPTORS: usize = 2;

    fn kept_descriptors(&self) -> usize {
        self.globals.paths.open_files_max()
    }

    fn pool(&self, command: u8) -> WorkerPool {
        match command {
            UPLOAD | STORE | DOWNLOAD | DELETE | READ | OPEN | ADMIN | LIST | USAGE => {
                WorkerPool::Slow
            }
            _ => WorkerPool::Fast,
        }
    }

    fn call(
        &self,
        request: StorageRequest,
        caller: &mut Caller<'_, Challenge>,
    ) -> Result<Reply, Fault> {
        let reply = match request {
            StorageRequest::Challenge => {
                let nonce = OrderVerifier::challenge(caller.session);
                Ok(Reply::bytes(nonce.to_vec()))
            }
            StorageRequest::Admin(signed) => {
                let (globals, peer) = (&self.globals, caller.peer);
                let node = globals.identity.node.clone();
                let names = [node.digest(), node];
                let work = |order| admin::execute(globals, order, peer);
                let reply = globals
                    .guard
                    .execute(&signed, &names, caller.session, peer, work);
                reply.map(Reply::bytes)
            }
            StorageRequest::LocalSocket => Ok(Reply::bytes(self.globals.socket_reply())),
            StorageRequest::Open(Open { key, socket }) => {
                let checked = self.globals.check_socket(caller.is_local, &socket);
                checked.and_then(|()| self.pass(&key))
            }
            request => self.serve(
                request,
                Requester::new(
                    caller.probe.clone(),
                    caller.peer.ip(),
                    &self.globals.arrivals,
                ),
            ),
        };
        if let Err(fault) = &reply {
            self.globals.errors.note(fault, epoch_secs());
        }
        reply
    }
}

fn send(file: SentFile, offset: u64, len: u64, before: Vec<u8>) -> Reply {
    let file = Box::new(file);
    Reply::Body(vec![Part::Bytes(before), Part::File { file, offset, len }])
}

fn stat_of(row: &FileRow, size: u64) -> FileStat {
    FileStat {
        size,
        modified: row.created,
        checksum: row.checksum,
        expires: row.expires.is_some(),
    }
}

/// True if the error itself says what is wrong: the disk hangs, this process has no descriptors,
/// or the row's path is invalid.
fn is_known(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::InvalidData)
        || DiskError::of(error) == DiskError::ProcessLimit
}

/// The text is that of the C++ storage.
fn out_of_range(what: &str, value: u64, max: u64) -> Fault {
    let text = format!("invalid {what}, {value} is not between 0 and {max}");
    Fault::new(ErrorCode::BadRequest, text)
}
