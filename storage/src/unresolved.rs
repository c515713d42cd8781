//! Files whose rows may or may not have been made: the outcome of the commit is not known. The rows
//! are looked for again, also after a restart, and a file without one is removed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::{info, warn};
use parking_lot::Mutex;
use proto::FileKey;
use serde::{Deserialize, Serialize};

use crate::clock::boot_time;
use crate::gate::Visitor;
use crate::globals::Globals;

/// A file without a row is removed after this time: a statement that is still on its way to a
/// database server arrives sooner, or never.
const MISSING_FOR: Duration = Duration::from_secs(600);
/// Most files remembered. Further ones stay on the disk until `--list-orphans` finds them.
const FILES_MAX: usize = 1000;
/// Longest record that is read, in bytes.
const LEN_MAX: u64 = 4 << 20;

/// The files, kept in a file beside the state file too.
#[derive(Debug)]
pub(crate) struct Unresolved {
    record: PathBuf,
    files: Mutex<Vec<Pending>>,
    /// Held while the record is written.
    writing: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Pending {
    file: StoredFile,
    /// Since when the row may be missing, by [`boot_time`].
    since: Duration,
}

/// One line of the record, JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredFile {
    app: String,
    user: String,
    id: String,
    path: String,
}

impl StoredFile {
    fn key(&self) -> Option<FileKey> {
        Some(FileKey {
            app: self.app.parse().ok()?,
            user: self.user.parse().ok()?,
            file: self.id.parse().ok()?,
        })
    }
}

impl Unresolved {
    /// Reads what an earlier process has recorded beside its state file. A record that cannot be
    /// read is told of and left behind: its files are orphans.
    pub(crate) fn open(state_file: &Path) -> Unresolved {
        let mut record = state_file.as_os_str().to_owned();
        record.push(".unresolved");
        let record = PathBuf::from(record);
        let files = read(&record).unwrap_or_else(|e| {
            warn!("the record {} is not read: {e}", record.display());
            Vec::new()
        });
        let since = boot_time();
        let pending = files.into_iter().map(|file| Pending { file, since });
        Unresolved {
            files: Mutex::new(pending.collect()),
            record,
            writing: Mutex::default(),
        }
    }

    /// Takes note of a file whose row may be missing.
    pub(crate) fn note(&self, key: &FileKey, path: &str) {
        let file = StoredFile {
            app: key.app.to_string(),
            user: key.user.to_string(),
            id: key.file.to_string(),
            path: path.to_owned(),
        };
        let since = boot_time();
        {
            let mut files = self.files.lock();
            if files.len() >= FILES_MAX {
                warn!("{path} may have no row, and too many files like that are looked after");
                return;
            }
            files.push(Pending { file, since });
        }
        self.write();
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.files.lock().len()
    }

    /// Looks for the rows of the files whose paths are chosen, while `go_on` says so. May wait for
    /// the database or the disk of these files.
    pub(crate) fn look_again(
        &self,
        globals: &Globals,
        now: Duration,
        is_chosen: &dyn Fn(&str) -> bool,
        go_on: &dyn Fn() -> bool,
    ) {
        let mut pending = self.files.lock().clone();
        pending.retain(|pending| is_chosen(&pending.file.path));
        let settled: Vec<StoredFile> = pending
            .into_iter()
            .take_while(|_| go_on())
            .filter(|pending| is_settled(globals, pending, now))
            .map(|pending| pending.file)
            .collect();
        if settled.is_empty() {
            return;
        }
        let is_open = |pending: &Pending| !settled.contains(&pending.file);
        self.files.lock().retain(is_open);
        self.write();
    }

    /// Writes the record anew. Without it a restart forgets the files.
    fn write(&self) {
        let _alone = self.writing.lock();
        let files = self.files.lock().clone();
        if let Err(e) = write(&self.record, &files) {
            warn!("the record {} is not written: {e}", self.record.display());
        }
    }
}

/// Whether the row is there, or the file is gone for want of one.
fn is_settled(globals: &Globals, pending: &Pending, now: Duration) -> bool {
    let Some(key) = pending.file.key() else {
        return true;
    };
    let path = &pending.file.path;
    match has_row(globals, &key, path) {
        Err(e) => {
            warn!(
                "not known whether {path} has a row: {:#}",
                anyhow::Error::from(e)
            );
            false
        }
        Ok(true) => true,
        Ok(false) if now.saturating_sub(pending.since) < MISSING_FOR => false,
        Ok(false) => {
            let place = globals.paths.find(path, Visitor::Chore);
            match place.and_then(|place| globals.writer.remove(&place)) {
                Ok(()) => {
                    info!("removed {path}: the row of {key} was never made");
                    true
                }
                Err(e) => {
                    warn!("{path} has no row and cannot be removed now: {e}");
                    false
                }
            }
        }
    }
}

fn has_row(globals: &Globals, key: &FileKey, path: &str) -> Result<bool, db::DbError> {
    // SQLite: this write waits for the end of a commit that hangs. It changes nothing but a row at
    // this path whose deletion is under way.
    globals.files.end_delete(key, path)?;
    let row = globals.files.holder(key)?;
    Ok(row.is_some_and(|row| row.path == path))
}

fn read(record: &Path) -> io::Result<Vec<StoredFile>> {
    let file = match File::open(record) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let text = io::read_to_string(io::Read::take(file, LEN_MAX))?;
    let mut files = Vec::new();
    for line in text.lines().take(FILES_MAX) {
        files.push(serde_json::from_str(line)?);
    }
    Ok(files)
}

/// Replaces the record, durably; an empty one is removed.
fn write(record: &Path, files: &[Pending]) -> io::Result<()> {
    if files.is_empty() {
        return match fs::remove_file(record) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
    }
    let mut new = record.as_os_str().to_owned();
    new.push(".new");
    let mut file = File::create(&new)?;
    for pending in files {
        let line = serde_json::to_string(&pending.file)?;
        writeln!(file, "{line}")?;
    }
    file.sync_all()?;
    fs::rename(&new, record)?;
    base::folders::sync_holder(record)
}

#[cfg(test)]
mod tests;
