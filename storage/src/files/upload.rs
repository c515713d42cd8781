//! Stores a file: checks, temporary file, sync, rename, and then the row.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use db::DbError;
use log::warn;
use net::WorkerPool;
use net::wire::Content;
use proto::storage::{Attributes, Store, Upload};
use proto::storage_path::storage_path;
use proto::{ErrorCode, Fault, FileKey};
use twox_hash::XxHash3_128;

use crate::admin;
use crate::clock::epoch_secs;
use crate::db::{Change, NewRow};
use crate::disks::disk_error::{DiskError, disk_fault, may_concern_folder_only};
use crate::disks::folder_id::FolderId;
use crate::disks::limiter::DiskCaller;
use crate::disks::store_path::StorePath;
use crate::disks::writer::{NewFile, WriteError};
use crate::files::faults::{conflict, conflict_with};
use crate::files::requester::{Requester, client_left};
use crate::globals::Globals;
use crate::numbers::Refusal;
use crate::state::quotas::QuotaHold;
use crate::state::upload_blocks::User;

/// Smaller uploads look for an existing row only when they insert theirs, in bytes: an earlier
/// look costs more than it saves.
const EXISTENCE_CHECK_MIN: u64 = 64 << 10;
/// Limit on paths tried for a file.
const PATHS_MAX: usize = 16;
const CALLER: DiskCaller = DiskCaller::Request(WorkerPool::Slow);

/// An upload in progress. Dropping it before the end removes what was written.
pub(crate) struct IncomingFile {
    globals: Arc<Globals>,
    key: FileKey,
    size: u64,
    attributes: Attributes,
    requester: Requester,
    store_path: Arc<StorePath>,
    path: String,
    file: NewFile,
    quota: QuotaHold,
    hash: Box<XxHash3_128>,
}

/// Checks everything that needs no content, and creates the temporary file.
///
/// # Errors
/// The file exists, there is no space, or the database, the idservers or the disk do not answer.
pub(crate) fn begin(
    globals: &Arc<Globals>,
    Store { upload, attributes }: Store,
    requester: Requester,
) -> Result<IncomingFile, Fault> {
    let Upload { key, size } = upload;
    if let Some(expires) = attributes
        .expires
        .filter(|expires| *expires <= epoch_secs())
    {
        let text = format!("the file would expire in the past, at {expires} seconds since 1970");
        return Err(Fault::new(ErrorCode::BadRequest, text));
    }
    admin::check_uploads(globals)?;
    globals
        .upload_blocks
        .check(&user_of(&key), Instant::now())?;
    // Without this check the content would be received in vain.
    if let Err(e) = globals.files.availability().writes
        && e.refuses_writes()
    {
        return Err(e.into());
    }
    if size > EXISTENCE_CHECK_MIN
        && let Some(row) = globals.files.conflicting_row(&key)?
    {
        return Err(conflict_with(globals, &key, &row));
    }
    let quota = globals.quotas.begin(&key, size, Instant::now())?;
    let (store_path, path, file) = begin_file(globals, size, requester.address())?;
    let globals = Arc::clone(globals);
    Ok(IncomingFile {
        globals,
        key,
        size,
        attributes,
        requester,
        store_path,
        path,
        file,
        quota,
        hash: Box::new(XxHash3_128::new()),
    })
}

/// Begins a file on the first store path that takes it. Each store path has numbers of its own. After
/// a long wait for idservers the other store paths use only the numbers that they have left.
fn begin_file(
    globals: &Globals,
    size: u64,
    address: IpAddr,
) -> Result<(Arc<StorePath>, String, NewFile), Fault> {
    let mut refusals = Vec::new();
    let mut may_ask = true;
    for store_path in globals.paths.round_robin() {
        let number = || globals.numbers.next(&store_path.key, may_ask);
        match begin_on(globals, store_path, &number, size, address) {
            Ok((path, file)) => return Ok((Arc::clone(store_path), path, file)),
            Err(Refusal { fault, has_waited }) => {
                may_ask &= !has_waited;
                refusals.push(fault);
            }
        }
    }
    // Prefer a no-space error: it is the one an operator can act on.
    let is_space = |refusal: &Fault| refusal.code == ErrorCode::NoSpace;
    let idx = refusals.iter().position(is_space).unwrap_or(0);
    Err(refusals.swap_remove(idx))
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal {
            fault,
            has_waited: false,
        }
    }
}

/// Begins a file on a store path, in the first folder that takes it.
fn begin_on(
    globals: &Globals,
    store_path: &StorePath,
    number: &dyn Fn() -> Result<u64, Refusal>,
    size: u64,
    address: IpAddr,
) -> Result<(String, NewFile), Refusal> {
    loop {
        store_path.check_uploads(size)?;
        let path = next_path(store_path, number)?;
        // One permit for the space and the file; none while an idserver answers.
        let (at, reservation) = store_path.reserve(&path, size, address)?;
        match globals.writer.create(at, reservation) {
            Ok(file) => return Ok((path, file)),
            // The limit on avoided folders ends this loop.
            Err(WriteError::Refused(e)) if store_path.avoid(&path, &e) => {}
            Err(e) => return Err(write_fault(store_path, &path, &e).into()),
        }
    }
}

/// The path of a new file. Numbers in avoided folders are skipped.
fn next_path(
    store_path: &StorePath,
    number: &dyn Fn() -> Result<u64, Refusal>,
) -> Result<String, Refusal> {
    loop {
        let path = storage_path(&store_path.text, number()?, epoch_secs().cast_unsigned());
        if !store_path.avoids(&path) {
            return Ok(path);
        }
    }
}

impl Content for IncomingFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.requester.touch();
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

impl IncomingFile {
    /// Makes the complete file final, and inserts its row.
    fn store(self) -> Result<(), Fault> {
        let IncomingFile {
            globals,
            key,
            size,
            attributes,
            requester,
            store_path,
            file,
            quota,
            hash,
            ..
        } = self;
        let _storing = globals
            .upload_blocks
            .begin_store(user_of(&key), Instant::now())?;
        let (path, id) = make_final(&globals, &store_path, file)?;
        let row = NewRow {
            key: key.clone(),
            group: globals.config.group.clone(),
            path: path.clone(),
            size,
            checksum: hash.finish_128(),
            attributes,
        };
        match globals.files.insert(row, requester.into_check()) {
            Ok(Change::Done) => {
                quota.stored();
                Ok(())
            }
            Ok(_) => {
                discard(&globals, &path, id);
                globals.metrics.late_requests.inc();
                Err(client_left())
            }
            // The row may exist, so the file stays. The client's next attempt finds out.
            Err(e @ DbError::UnknownOutcome { .. }) => {
                globals.unresolved.note(&key, &path);
                Err(e.into())
            }
            Err(e) => {
                discard(&globals, &path, id);
                Err(if e.is_conflict() {
                    conflict(&globals, &key)
                } else {
                    e.into()
                })
            }
        }
    }
}

/// Makes a complete file final and returns its path and its id. If the path is taken, the next number gives
/// another one: an idserver or a clock that was set back repeats paths.
fn make_final(
    globals: &Globals,
    store_path: &StorePath,
    mut file: NewFile,
) -> Result<(String, FolderId), Fault> {
    let writer = &globals.writer;
    let fault = |file: &NewFile, e| write_fault(store_path, &file.path(), &e);
    let done = |file: &NewFile| (file.path(), file.id());
    for _ in 1..PATHS_MAX {
        match writer.make_final(&mut file) {
            Err(WriteError::Refused(e)) if e.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|()| done(&file)).map_err(|e| fault(&file, e)),
        }
        let number = || globals.numbers.next(&store_path.key, true);
        let next = next_path(store_path, &number).map_err(|refusal| refusal.fault)?;
        globals.metrics.taken_paths.inc();
        if let Some(more) = globals.taken_paths_log.due(()) {
            let taken = file.path();
            warn!(
                "a new file is stored as {next}: its path {taken} is taken, so a number was given \
                 twice or the clock was set back{more}"
            );
        }
        match writer.check_folder(&file, &next) {
            Err(WriteError::Refused(e)) if store_path.avoid(&next, &e) => continue,
            checked => checked.map_err(|e| write_fault(store_path, &next, &e))?,
        }
        writer
            .move_to(&mut file, &next)
            .map_err(|e| fault(&file, e))?;
    }
    let made = writer.make_final(&mut file);
    made.map(|()| done(&file)).map_err(|e| fault(&file, e))
}

fn user_of(key: &FileKey) -> User {
    (key.app.clone(), key.user.clone())
}

/// Removes a file that has no row.
fn discard(globals: &Globals, path: &str, id: FolderId) {
    if let Err(e) = globals.remove_file(path, CALLER) {
        warn!("{path} has no row and cannot be removed now: {e}");
        globals.writer.remove_later(path.to_owned(), id);
    }
}

fn write_fault(store_path: &StorePath, path: &str, error: &WriteError) -> Fault {
    match error {
        WriteError::Sync(e) => {
            store_path.note_failed_sync(path, e);
            let code = match DiskError::of(e) {
                DiskError::NoSpace => ErrorCode::NoSpace,
                DiskError::ProcessLimit => ErrorCode::Busy,
                DiskError::Volume | DiskError::File => ErrorCode::ReadOnly,
            };
            Fault::new(code, format!("cannot sync {path}: {e}"))
        }
        WriteError::Refused(e) => {
            if !store_path.avoid(path, e) {
                store_path.note_failure(path, e);
            }
            if may_concern_folder_only(e) {
                return Fault::new(ErrorCode::ReadOnly, format!("{path}: {e}"));
            }
            disk_fault(path, e)
        }
    }
}

#[cfg(test)]
mod tests;
