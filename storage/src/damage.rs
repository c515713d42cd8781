//! Files that are not what their rows say, as far as requests have met them. Each is told of until
//! it is deleted or found good again.

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
    /// Each with what is wrong, in the order in which they were found.
    files: Mutex<Vec<(FileKey, String)>>,
    /// Whether there are any: nearly every request asks.
    is_any: AtomicBool,
}

impl Damage {
    /// Takes note of a damaged file; the log is told once.
    pub(crate) fn note(&self, globals: &Globals, key: &FileKey, what: &str) {
        globals.metrics.damage_found.inc();
        let mut files = self.files.lock();
        if files.len() >= FILES_MAX || files.iter().any(|(other, _)| other == key) {
            return;
        }
        error!("{key} is damaged: {what}");
        files.push((key.clone(), what.to_owned()));
        self.is_any.store(true, Ordering::Relaxed);
        globals.warnings.set("damage", warning(&files));
    }

    /// The file is good, or gone.
    pub(crate) fn forget(&self, globals: &Globals, key: &FileKey) {
        if !self.is_any.load(Ordering::Relaxed) {
            return;
        }
        let mut files = self.files.lock();
        let len = files.len();
        files.retain(|(other, _)| other != key);
        if files.len() < len {
            info!("{key} is not damaged any more, or deleted");
            self.is_any.store(!files.is_empty(), Ordering::Relaxed);
            globals.warnings.set("damage", warning(&files));
        }
    }

    /// How many files are known to be damaged.
    pub(crate) fn len(&self) -> usize {
        self.files.lock().len()
    }

    /// Looks at the damaged files again. May wait for a disk or the database.
    pub(crate) fn look_again(&self, globals: &Globals) {
        let keys: Vec<FileKey> = {
            let files = self.files.lock();
            files.iter().map(|(key, _)| key.clone()).collect()
        };
        for key in keys {
            if is_good_or_gone(globals, &key) {
                self.forget(globals, &key);
            }
        }
    }
}

/// What operators are told of these files.
fn warning(files: &[(FileKey, String)]) -> Option<String> {
    let (key, what) = files.first()?;
    Some(match files.len() {
        1 => format!("a file is damaged: {key}: {what}"),
        FILES_MAX => format!("{FILES_MAX} files or more are damaged, such as {key}: {what}"),
        n => format!("{n} files are damaged, such as {key}: {what}"),
    })
}

fn is_good_or_gone(globals: &Globals, key: &FileKey) -> bool {
    let row = match globals.files.find(key) {
        Ok(Some(row)) => row,
        Ok(None) => return true,
        Err(_) => return false,
    };
    let place = globals.paths.find(&row.path, Visitor::Chore);
    let size = place.and_then(|place| file::size(&place));
    size.is_ok_and(|size| size == row.size)
}
