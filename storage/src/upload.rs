//! A file on its way in: checked, written aside, synced, named, and last its row.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use db::DbError;
use log::warn;
use net::WorkerPool;
use net::wire::Content;
use proto::storage::Upload;
use proto::storage_path::storage_path;
use proto::{ErrorCode, Fault, FileKey};
use twox_hash::XxHash3_128;

use crate::admin;
use crate::barred::User;
use crate::clock::epoch_secs;
use crate::conflict::{conflict, in_the_way};
use crate::db::{Change, NewRow};
use crate::disk_error::{DiskError, may_be_of_the_folder};
use crate::gate::Visitor;
use crate::globals::Globals;
use crate::requester::{Requester, not_wanted};
use crate::store_path::StorePath;
use crate::writer::{NewFile, WriteError};

/// Whether an upload of at most this many bytes is of a file that exists is found out when its row
/// is written: looking before saves less than it costs.
const SMALL: u64 = 64 << 10;
/// Most paths that are tried for a file.
const PATHS_MAX: usize = 16;
const WORKER: Visitor = Visitor::Worker(WorkerPool::Slow);

/// Content that comes in. Dropping it before the end removes what was written.
pub(crate) struct Incoming {
    globals: Arc<Globals>,
    key: FileKey,
    size: u64,
    requester: Requester,
    store_path: Arc<StorePath>,
    path: String,
    file: NewFile,
    hash: Box<XxHash3_128>,
}

/// Checks all that can be checked before the first byte, and begins the file.
///
/// # Errors
/// The file exists, there is no room, or the database, the idservers or the disk do not answer.
pub(crate) fn begin(
    globals: &Arc<Globals>,
    upload: Upload,
    requester: Requester,
) -> Result<Incoming, Fault> {
    let Upload { key, size } = upload;
    admin::check_uploads(globals)?;
    globals.barred.check(&user_of(&key), Instant::now())?;
    // Content whose row cannot be made would be taken in for nothing.
    if let Err(e) = globals.files.availability().writes
        && e.refuses_writes()
    {
        return Err(e.into());
    }
    if size > SMALL
        && let Some(row) = globals.files.holder(&key)?
    {
        return Err(in_the_way(globals, &key, &row));
    }
    let (store_path, path, file) = begin_file(globals, size, requester.address())?;
    let globals = Arc::clone(globals);
    Ok(Incoming {
        globals,
        key,
        size,
        requester,
        store_path,
        path,
        file,
        hash: Box::new(XxHash3_128::new()),
    })
}

/// Begins a file on the first store path that takes it.
fn begin_file(
    globals: &Globals,
    size: u64,
    address: IpAddr,
) -> Result<(Arc<StorePath>, String, NewFile), Fault> {
    let mut refusals = Vec::new();
    for store_path in globals.paths.in_turn() {
        match begin_on(globals, store_path, size, address) {
            Ok((path, file)) => return Ok((Arc::clone(store_path), path, file)),
            Err(Refusal::OfPath(fault)) => refusals.push(fault),
            Err(Refusal::OfAll(fault)) => return Err(fault),
        }
    }
    // To hear of space helps an operator most.
    let is_space = |refusal: &Fault| refusal.code == ErrorCode::NoSpace;
    let idx = refusals.iter().position(is_space).unwrap_or(0);
    Err(refusals.swap_remove(idx))
}

/// Why a store path does not take a file.
enum Refusal {
    /// Another one may.
    OfPath(Fault),
    /// No other would.
    OfAll(Fault),
}

/// Begins a file on a store path, in the first folder that takes it.
fn begin_on(
    globals: &Globals,
    store_path: &StorePath,
    size: u64,
    address: IpAddr,
) -> Result<(String, NewFile), Refusal> {
    loop {
        let promise = store_path.promise(size, address).map_err(Refusal::OfPath)?;
        let path = next_path(globals, store_path).map_err(Refusal::OfAll)?;
        let create = || {
            let place = globals.paths.find(&path, WORKER)?;
            globals.writer.create(place, promise)
        };
        match create() {
            Ok(file) => return Ok((path, file)),
            // Few folders are avoided at a time, so this ends.
            Err(WriteError::Refused(e)) if store_path.avoid(&path, &e) => {}
            Err(e) => return Err(Refusal::OfPath(write_fault(store_path, &path, &e))),
        }
    }
}

/// The path of a new file, in a folder that is not avoided: numbers for those are skipped.
fn next_path(globals: &Globals, store_path: &StorePath) -> Result<String, Fault> {
    loop {
        let number = globals.numbers.next(&store_path.key)?;
        let path = storage_path(&store_path.text, number, epoch_secs().cast_unsigned());
        if !store_path.avoids(&path) {
            return Ok(path);
        }
    }
}

impl Content for Incoming {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.requester.hear();
        self.hash.write(bytes);
        let written = self.file.write(bytes);
        written.map_err(|e| {
            let fault = write_fault(&self.store_path, &self.path, &e);
            self.globals.errors.note(&fault, epoch_secs());
            fault
        })
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, Fault> {
        let globals = Arc::clone(&self.globals);
        let stored = self.store();
        let stored = stored.inspect_err(|fault| globals.errors.note(fault, epoch_secs()));
        stored.map(|()| Vec::new())
    }
}

impl Incoming {
    /// All content is there: the file becomes final, then its row is made.
    fn store(self) -> Result<(), Fault> {
        let Incoming {
            globals,
            key,
            size,
            requester,
            store_path,
            file,
            hash,
            ..
        } = self;
        let _storing = globals.barred.store(user_of(&key), Instant::now())?;
        let path = make_final(&globals, &store_path, file)?;
        let row = NewRow {
            key: key.clone(),
            group: globals.config.group.clone(),
            path: path.clone(),
            size,
            checksum: hash.finish_128(),
        };
        match globals.files.insert(row, requester.into_question()) {
            Ok(Change::Done) => Ok(()),
            Ok(_) => {
                discard(&globals, &path);
                globals.metrics.late_requests.inc();
                Err(not_wanted())
            }
            // The row may be there: then the file must be, too. The client's next try finds out.
            Err(e @ DbError::UnknownOutcome { .. }) => {
                globals.unresolved.note(&key, &path);
                Err(e.into())
            }
            Err(e) => {
                discard(&globals, &path);
                Err(if e.is_conflict() {
                    conflict(&globals, &key)
                } else {
                    e.into()
                })
            }
        }
    }
}

/// Makes a whole file final; tells its path. A path that is taken is passed over for that of the next
/// number: an idserver that was set back, or a clock, gives paths again.
fn make_final(
    globals: &Globals,
    store_path: &StorePath,
    mut file: NewFile,
) -> Result<String, Fault> {
    let writer = &globals.writer;
    let fault = |file: &NewFile, e| write_fault(store_path, &file.path(), &e);
    writer.end_content(&mut file).map_err(|e| fault(&file, e))?;
    for _ in 1..PATHS_MAX {
        match writer.make_final(&mut file) {
            Err(WriteError::Refused(e)) if e.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|()| file.path()).map_err(|e| fault(&file, e)),
        }
        let next = next_path(globals, store_path)?;
        globals
            .taken_paths
            .note(&globals.metrics, &file.path(), &next);
        writer
            .redirect(&mut file, &next)
            .map_err(|e| fault(&file, e))?;
    }
    let made = writer.make_final(&mut file);
    made.map(|()| file.path()).map_err(|e| fault(&file, e))
}

fn user_of(key: &FileKey) -> User {
    (key.app.clone(), key.user.clone())
}

/// Removes a file that has no row.
fn discard(globals: &Globals, path: &str) {
    let removed = globals
        .paths
        .find(path, WORKER)
        .and_then(|place| globals.writer.remove(&place));
    if let Err(e) = removed {
        warn!("{path} has no row and cannot be removed now: {e}");
        globals.writer.discard(path.to_owned());
    }
}

fn write_fault(store_path: &StorePath, path: &str, error: &WriteError) -> Fault {
    match error {
        WriteError::Sync(e) => {
            store_path.note_failed_sync(path, e);
            let code = match DiskError::of(e) {
                DiskError::NoRoom => ErrorCode::NoSpace,
                DiskError::Exhausted => ErrorCode::Busy,
                DiskError::Volume | DiskError::File => ErrorCode::ReadOnly,
            };
            Fault::new(code, format!("cannot sync {path}: {e}"))
        }
        WriteError::Refused(e) => {
            store_path.note_failure(path, e);
            if may_be_of_the_folder(e) {
                return Fault::new(ErrorCode::ReadOnly, format!("{path}: {e}"));
            }
            disk_fault(path, e)
        }
    }
}

/// What a client is told when the disk refuses.
pub(crate) fn disk_fault(path: &str, error: &io::Error) -> Fault {
    let code = match (DiskError::of(error), error.kind()) {
        (DiskError::NoRoom, _) | (_, ErrorKind::FileTooLarge) => ErrorCode::NoSpace,
        (DiskError::Exhausted, _) => ErrorCode::Busy,
        (_, ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => ErrorCode::ReadOnly,
        (_, ErrorKind::InvalidData) => ErrorCode::Damaged,
        _ => ErrorCode::Unavailable,
    };
    Fault::new(code, format!("{path}: {error}"))
}
