//! Damaged files that requests found. Each is reported until it is deleted or found whole.

use std::sync::Arc;

use daemon::metrics::IntCounter;
use log::{error, info};
use parking_lot::Mutex;
use proto::{ErrorCode, Fault, FileKey};

use crate::state::warnings::Warnings;

/// Limit on remembered files. At the limit the warning says so.
const FILES_MAX: usize = 100;

/// The damaged files that are known.
pub(crate) struct DamagedFiles {
    /// In the order in which they were found.
    files: Mutex<Vec<DamagedFile>>,
    /// Counts requests that found a damaged file.
    found: IntCounter,
    warnings: Arc<Warnings>,
}

#[derive(Debug, Clone)]
pub(crate) struct DamagedFile {
    pub(crate) key: FileKey,
    /// Spelled as in its row.
    pub(crate) path: String,
    what: String,
    /// The offset of a byte that could not be read. The size of such a file proves nothing.
    pub(crate) unreadable_at: Option<u64>,
}

impl DamagedFiles {
    pub(crate) fn new(found: IntCounter, warnings: Arc<Warnings>) -> DamagedFiles {
        DamagedFiles {
            files: Mutex::default(),
            found,
            warnings,
        }
    }

    /// Notes a damaged file, and gives the fault for the client.
    pub(crate) fn fault(&self, key: &FileKey, path: &str, what: &str) -> Fault {
        self.note(key, path, what, None);
        let text = format!("stored file is damaged, fileid: {}: {what}", key.file);
        Fault::new(ErrorCode::Damaged, text)
    }

    /// Notes a file that is missing, of a wrong size, no regular file, or unreadable at an offset. The
    /// log has it once.
    pub(crate) fn note(&self, key: &FileKey, path: &str, what: &str, unreadable_at: Option<u64>) {
        self.found.inc();
        let mut files = self.files.lock();
        if files.len() >= FILES_MAX || files.iter().any(|file| file.key == *key) {
            return;
        }
        error!("{key} is damaged: {what}");
        files.push(DamagedFile {
            key: key.clone(),
            path: path.to_owned(),
            what: what.to_owned(),
            unreadable_at,
        });
        self.warnings.set("damage", warning(&files));
    }

    /// Forgets a file that is whole or gone.
    pub(crate) fn forget(&self, key: &FileKey) {
        self.remove(|file| file.key == *key);
    }

    /// Forgets a file of the right size, unless a byte was unreadable.
    pub(crate) fn forget_size(&self, key: &FileKey) {
        self.remove(|file| file.key == *key && file.unreadable_at.is_none());
    }

    fn remove(&self, is_good: impl Fn(&DamagedFile) -> bool) {
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
            self.warnings.set("damage", warning(&files));
        }
    }

    /// The damaged files, in the order in which they were found.
    pub(crate) fn list(&self) -> Vec<DamagedFile> {
        self.files.lock().clone()
    }

    /// How many files are known to be damaged.
    pub(crate) fn len(&self) -> usize {
        self.files.lock().len()
    }
}

/// The warning for these files.
fn warning(files: &[DamagedFile]) -> Option<String> {
    let DamagedFile { key, what, .. } = files.first()?;
    Some(match files.len() {
        1 => format!("a file is damaged: {key}: {what}"),
        FILES_MAX => format!("{FILES_MAX} files or more are damaged, such as {key}: {what}"),
        n => format!("{n} files are damaged, such as {key}: {what}"),
    })
}
