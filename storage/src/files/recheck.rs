//! Checks again what requests found: damaged files, and uploads of unknown outcome.

use std::io;
use std::time::Duration;

use db::DbError;
use log::{info, warn};
use proto::FileKey;

use crate::disks::limiter::DiskCaller;
use crate::file;
use crate::globals::Globals;
use crate::state::damaged_files::DamagedFile;
use crate::state::unresolved_uploads::{UnresolvedUpload, UnresolvedUploads};

/// A file without a row is removed after this time. A statement on its way to a database server
/// arrives sooner, or never.
const MISSING_FOR: Duration = Duration::from_secs(600);

/// Checks the damaged files whose paths are chosen, while `go_on` says so, and forgets those that are
/// whole again or gone. May wait for their disk or the database.
pub(crate) fn recheck_damaged(
    globals: &Globals,
    is_chosen: &dyn Fn(&str) -> bool,
    go_on: &dyn Fn() -> bool,
) {
    let mut files = globals.damage.list();
    files.retain(|file| is_chosen(&file.path));
    for file in files.iter().take_while(|_| go_on()) {
        if is_good_or_gone(globals, file) {
            globals.damage.forget(&file.key);
        }
    }
}

/// Looks for the rows of the files whose paths are chosen, while `go_on` says so. A file without a row
/// is removed after [`MISSING_FOR`]. May wait for the database or the disk of these files.
pub(crate) fn recheck_unresolved(
    unresolved: &UnresolvedUploads,
    globals: &Globals,
    now: Duration,
    is_chosen: &dyn Fn(&str) -> bool,
    go_on: &dyn Fn() -> bool,
) {
    let uploads = unresolved.list(is_chosen).into_iter();
    let settled: Vec<_> = uploads
        .take_while(|_| go_on())
        .filter(|upload| is_settled(globals, upload, now))
        .collect();
    unresolved.forget(&settled);
}

fn is_good_or_gone(globals: &Globals, file: &DamagedFile) -> bool {
    let row = match globals.files.find(&file.key) {
        Ok(Some(row)) => row,
        Ok(None) => return true,
        Err(_) => return false,
    };
    if row.path != file.path {
        // Another file is stored under the same id.
        return true;
    }
    let look = || -> io::Result<bool> {
        let at = globals.paths.resolve(&row.path, DiskCaller::Background)?;
        let has_size = file::size(&at)? == row.size;
        if let Some(offset) = file.unreadable_at {
            file::read_byte(&at, offset)?;
        }
        Ok(has_size)
    };
    look().unwrap_or(false)
}

/// True if the row exists, or the file was removed for lack of one.
fn is_settled(globals: &Globals, upload: &UnresolvedUpload, now: Duration) -> bool {
    let Some(key) = upload.key() else {
        return true;
    };
    let path = &upload.path;
    match has_row(globals, &key, path) {
        Err(e) => {
            warn!(
                "not known whether {path} has a row: {:#}",
                anyhow::Error::from(e)
            );
            false
        }
        Ok(true) => true,
        Ok(false) if now.saturating_sub(upload.since) < MISSING_FOR => false,
        Ok(false) => match globals.remove_file(path, DiskCaller::Background) {
            Ok(_) => {
                info!("removed {path}: the row of {key} was never made");
                true
            }
            Err(e) => {
                warn!("{path} has no row and cannot be removed now: {e}");
                false
            }
        },
    }
}

fn has_row(globals: &Globals, key: &FileKey, path: &str) -> Result<bool, DbError> {
    // SQLite: this write waits until a hanging commit ends. It removes only a marked row at this
    // path.
    globals.files.end_delete(key, path)?;
    let row = globals.files.row_of(key)?;
    Ok(row.is_some_and(|row| row.file.path == path))
}

#[cfg(test)]
mod tests {
    mod damage;
    mod unresolved;
}
