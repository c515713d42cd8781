//! Deletes a file: marks its row, unlinks the file, removes the row.

use std::time::Instant;

use crossbeam_channel::at;
use db::DbError;
use log::error;
use net::WorkerPool;
use proto::{ErrorCode, Fault, FileKey};

use crate::db::{Change, Deletion, StoredRow};
use crate::disks::disk_error::disk_fault;
use crate::disks::limiter::DiskCaller;
use crate::file;
use crate::files::faults::not_found;
use crate::files::requester::{Requester, client_left};
use crate::globals::Globals;
use base::link_check::CHECK_HOLDS;

const CALLER: DiskCaller = DiskCaller::Request(WorkerPool::Slow);

/// Deletes a file, or finishes an interrupted deletion.
///
/// # Errors
/// The file does not exist, belongs to another group, or cannot be reached. Unavailable also when
/// the row is marked and the file cannot be unlinked: a peer with a cached row may serve the file
/// until the deletion job has removed it.
pub(crate) fn delete(globals: &Globals, key: &FileKey, requester: Requester) -> Result<(), Fault> {
    let row = globals.files.row_of(key)?.ok_or_else(|| not_found(key))?;
    globals.foreign.check(key, row.file.group.as_deref())?;
    if !row.is_deleting {
        check_path(globals, key, &row)?;
        mark(globals, key, &row, requester)?;
    }
    globals.rows.forget(key);
    globals.damage.forget(key);
    let is_shared = unlink(globals, key, &row.file.path)?;
    let unlinked = Instant::now();
    globals.quotas.removed(key, row.file.size);
    if let Err(e) = globals.files.end_delete(key, &row.file.path) {
        globals.pending_deletes.note();
        if let Some(more) = globals.pending_deletes.log.due(()) {
            let e = anyhow::Error::from(e);
            error!("row of {key} cannot be removed now: {e:#}{more}");
        }
    }
    if is_shared {
        // No peer may serve the file after the reply, and one may have checked it just before.
        let _ = at(unlinked + CHECK_HOLDS).recv();
    }
    Ok(())
}

/// Checks before the row is marked that the volume is there and the path is no folder. The permit
/// is returned, so no worker holds a disk while the database answers.
fn check_path(globals: &Globals, key: &FileKey, row: &StoredRow) -> Result<(), Fault> {
    let at = globals.paths.resolve(&row.file.path, CALLER);
    let at = at.map_err(|e| disk_fault(&row.file.path, &e))?;
    match file::size(&at) {
        Err(e) if e.kind() == std::io::ErrorKind::IsADirectory => {
            let what = format!("{}: {e}", row.file.path);
            Err(globals.damage.fault(key, &row.file.path, &what))
        }
        _ => Ok(()),
    }
}

fn mark(
    globals: &Globals,
    key: &FileKey,
    row: &StoredRow,
    requester: Requester,
) -> Result<(), Fault> {
    let deletion = Deletion {
        key: key.clone(),
        path: row.file.path.clone(),
        group: globals.config.group.clone(),
    };
    let marked = globals.files.begin_delete(deletion, requester.into_check());
    if let Err(DbError::UnknownOutcome { .. }) = &marked {
        // The row may be marked; then no storage serves the file, and the deletion job finishes
        // this.
        globals.rows.forget(key);
        globals.pending_deletes.note();
    }
    match marked? {
        Change::Done => Ok(()),
        Change::NotWanted => {
            globals.metrics.late_requests.inc();
            Err(client_left())
        }
        // Another storage deleted it. A file stored since then under the same id stays.
        Change::NoRow => Err(not_found(key)),
    }
}

/// Returns true if peers may serve the file for [`CHECK_HOLDS`].
fn unlink(globals: &Globals, key: &FileKey, path: &str) -> Result<bool, Fault> {
    globals.remove_file(path, CALLER).map_err(|e| {
        globals.pending_deletes.note();
        if let Some(more) = globals.pending_deletes.log.due(()) {
            error!("{path} of {key} cannot be removed now: {e}{more}");
        }
        let text = format!(
            "the file is marked as deleted, but cannot be removed now and will be later, \
             fileid: {}: {path}: {e}",
            key.file
        );
        Fault::new(ErrorCode::Unavailable, text)
    })
}
