//! Files that are not what their rows say, as far as requests have met them. Each is told of until
//! it is deleted or found good again.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{error, info};
use parking_lot::Mutex;
use proto::FileKey;

use crate::file;
use crate::gate::Visitor;
use crate::globals::Globals;

/// Most files remembered; a warning says that there are more.
const FILES_MAX: usize = 100;

/// The damaged files that are known.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// In the order in which they were found.
    files: Mutex<Vec<DamagedFile>>,
    /// Whether there are any: nearly every request asks.
    is_any: AtomicBool,
}

#[derive(Debug, Clone)]
struct DamagedFile {
    key: FileKey,
    /// Spelled as in its row.
    path: String,
    what: String,
    /// A byte that could not be read. The size of such a file tells nothing.
    unreadable_at: Option<u64>,
}

impl Damage {
    /// Takes note of a file that is missing, no file, or of a wrong size; the log is told once.
    pub(crate) fn note(&self, globals: &Globals, key: &FileKey, path: &str, what: &str) {
        self.add(globals, key, path, what, None);
    }

    /// Takes note of a file whose content cannot be read at a byte; the log is told once.
    pub(crate) fn note_unreadable(
        &self,
        globals: &Globals,
        key: &FileKey,
        path: &str,
        what: &str,
        offset: u64,
    ) {
        self.add(globals, key, path, what, Some(offset));
    }

    fn add(&self, globals: &Globals, key: &FileKey, path: &str, what: &str, at: Option<u64>) {
        globals.metrics.damage_found.inc();
        let mut files = self.files.lock();
        if files.len() >= FILES_MAX || files.iter().any(|file| file.key == *key) {
            return;
        }
        error!("{key} is damaged: {what}");
        files.push(DamagedFile {
            key: key.clone(),
            path: path.to_owned(),
            what: what.to_owned(),
            unreadable_at: at,
        });
        self.is_any.store(true, Ordering::Relaxed);
        globals.warnings.set("damage", warning(&files));
    }

    /// The file is good, or gone.
    pub(crate) fn forget(&self, globals: &Globals, key: &FileKey) {
        self.remove(globals, |file| file.key == *key);
    }

    /// The file has the right size. Whether its content can be read is not known by that.
    pub(crate) fn forget_size(&self, globals: &Globals, key: &FileKey) {
        self.remove(globals, |file| {
            file.key == *key && file.unreadable_at.is_none()
        });
    }

    fn remove(&self, globals: &Globals, is_good: impl Fn(&DamagedFile) -> bool) {
        if !self.is_any.load(Ordering::Relaxed) {
            return;
        }
        let mut files = self.files.lock();
        let len = files.len();
        files.retain(|file| {
            let is_good = is_good(file);
            if is_good {
                info!("{} is not damaged any more, or deleted", file.key);
            }
            !is_good
        });
        if files.len() < len {
            self.is_any.store(!files.is_empty(), Ordering::Relaxed);
            globals.warnings.set("damage", warning(&files));
        }
    }

    /// How many files are known to be damaged.
    pub(crate) fn len(&self) -> usize {
        self.files.lock().len()
    }

    /// Looks again at the damaged files whose paths are chosen, while `go_on` says so. May wait for
    /// their disk or the database.
    pub(crate) fn look_again(
        &self,
        globals: &Globals,
        is_chosen: &dyn Fn(&str) -> bool,
        go_on: &dyn Fn() -> bool,
    ) {
        let mut files = self.files.lock().clone();
        files.retain(|file| is_chosen(&file.path));
        for file in files.iter().take_while(|_| go_on()) {
            if is_good_or_gone(globals, file) {
                self.forget(globals, &file.key);
            }
        }
    }
}

/// What operators are told of these files.
fn warning(files: &[DamagedFile]) -> Option<String> {
    let DamagedFile { key, what, .. } = files.first()?;
    Some(match files.len() {
        1 => format!("a file is damaged: {key}: {what}"),
        FILES_MAX => format!("{FILES_MAX} files or more are damaged, such as {key}: {what}"),
        n => format!("{n} files are damaged, such as {key}: {what}"),
    })
}

fn is_good_or_gone(globals: &Globals, file: &DamagedFile) -> bool {
    let row = match globals.files.find(&file.key) {
        Ok(Some(row)) => row,
        Ok(None) => return true,
        Err(_) => return false,
    };
    if row.path != file.path {
        // Another file has been stored under the same id.
        return true;
    }
    let look = || -> io::Result<bool> {
        let place = globals.paths.find(&row.path, Visitor::Chore)?;
        let has_size = file::size(&place)? == row.size;
        if let Some(offset) = file.unreadable_at {
            file::read_byte(&place, offset)?;
        }
        Ok(has_size)
    };
    look().unwrap_or(false)
}

#[cfg(test)]
mod tests;
