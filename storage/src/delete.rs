//! Removing a file. The row is marked first, then the file is unlinked, then the row goes: see the
//! crate's description.

use db::DbError;
use log::error;
use net::WorkerPool;
use proto::{ErrorCode, Fault, FileKey};

use crate::db::{Change, Deletion, StoredRow};
use crate::file;
use crate::gate::Visitor;
use crate::globals::Globals;
use crate::requester::{Requester, not_wanted};
use crate::service::{damaged, not_found};
use crate::upload;

const WORKER: Visitor = Visitor::Worker(WorkerPool::Slow);

/// Removes a file, or finishes a deletion that was cut short.
///
/// # Errors
/// There is no such file, it belongs to another group, or it is not to be reached. Unavailable also
/// when the row is marked and the file cannot be unlinked: a peer that remembers the row may serve
/// the file until the sweep has removed it.
pub(crate) fn delete(globals: &Globals, key: &FileKey, requester: Requester) -> Result<(), Fault> {
    let row = globals.files.holder(key)?.filter(|row| row.is_of(key));
    let row = row.ok_or_else(|| not_found(key))?;
    globals.foreign.check(globals, key, row.group.as_deref())?;
    if !row.is_deleting {
        check_place(globals, key, &row)?;
        mark(globals, key, &row, requester)?;
    }
    globals.rows.forget(key);
    globals.damage.forget(globals, key);
    unlink(globals, key, &row.path)?;
    if let Err(e) = globals.files.end_delete(key, &row.path) {
        globals.half_deleted.note();
        if let Some(more) = globals.half_deleted.log.due(()) {
            let e = anyhow::Error::from(e);
            error!("row of {key} cannot be removed now: {e:#}{more}");
        }
    }
    Ok(())
}

/// A volume that is away must be found out before the row is touched, and a folder in the place of
/// the file cannot be unlinked. The place is not kept: no worker is at a disk while a database
/// answers.
fn check_place(globals: &Globals, key: &FileKey, row: &StoredRow) -> Result<(), Fault> {
    let place = globals.paths.find(&row.path, WORKER);
    let place = place.map_err(|e| upload::disk_fault(&row.path, &e))?;
    match file::size(&place) {
        Err(e) if e.kind() == std::io::ErrorKind::IsADirectory => {
            let what = format!("{}: {e}", row.path);
            Err(damaged(globals, key, &row.path, &what))
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
        path: row.path.clone(),
        group: globals.config.group.clone(),
    };
    let marked = globals
        .files
        .begin_delete(deletion, requester.into_question());
    if let Err(DbError::UnknownOutcome { .. }) = &marked {
        // The row may be marked: then no storage serves the file any more, and the sweep ends this.
        globals.rows.forget(key);
        globals.half_deleted.note();
    }
    match marked? {
        Change::Done => Ok(()),
        Change::NotWanted => {
            globals.metrics.late_requests.inc();
            Err(not_wanted())
        }
        // Somebody else has deleted it. A file that was stored since under the same id stays.
        Change::NoRow => Err(not_found(key)),
    }
}

fn unlink(globals: &Globals, key: &FileKey, path: &str) -> Result<(), Fault> {
    let removed = globals
        .paths
        .find(path, WORKER)
        .and_then(|place| globals.writer.remove(&place));
    removed.map_err(|e| {
        globals.half_deleted.note();
        if let Some(more) = globals.half_deleted.log.due(()) {
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
