//! Folders of a store path that refuse files while others take them.

use std::io;

use parking_lot::Mutex;

use crate::disks::disk_error::may_concern_folder_only;

/// Limit on avoided folders. A failure in a further folder counts as one of the store path.
const AVOIDED_MAX: usize = 2;

/// Folders that uploads avoid, relative to the store path, each with the reason.
#[derive(Debug, Default)]
pub(crate) struct AvoidedFolders(Mutex<Vec<(String, String)>>);

/// Whether a folder that refused a file is avoided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// From now on.
    Now,
    /// Already: another upload met the error first.
    Before,
    /// No: the error does not concern the folder alone, or too many folders are avoided.
    No,
}

impl AvoidedFolders {
    pub(crate) fn contains(&self, folder: &str) -> bool {
        self.0.lock().iter().any(|(avoided, _)| avoided == folder)
    }

    /// Adds a folder if the error may concern it alone.
    pub(crate) fn add(&self, folder: &str, error: &io::Error) -> Added {
        if !may_concern_folder_only(error) {
            return Added::No;
        }
        let mut avoided = self.0.lock();
        if avoided.iter().any(|(known, _)| known == folder) {
            return Added::Before;
        }
        if avoided.len() >= AVOIDED_MAX {
            return Added::No;
        }
        avoided.push((folder.to_owned(), error.to_string()));
        Added::Now
    }

    pub(crate) fn remove(&self, folder: &str) {
        self.0.lock().retain(|(avoided, _)| avoided != folder);
    }

    pub(crate) fn folders(&self) -> Vec<String> {
        let avoided = self.0.lock();
        avoided.iter().map(|(folder, _)| folder.clone()).collect()
    }

    /// The folders and reasons as text; empty without any.
    pub(crate) fn describe(&self) -> String {
        let avoided = self.0.lock();
        let texts = avoided
            .iter()
            .map(|(folder, why)| format!("folder {folder} takes no files: {why}"));
        texts.collect::<Vec<_>>().join("; ")
    }
}
