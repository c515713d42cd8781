//! Folders of a store path that refuse files while others take them.

use std::io;

use parking_lot::Mutex;

use crate::disk_error::may_be_of_the_folder;

/// Folders that are avoided at a time; one more that refuses counts as the store path's own failure.
const AVOIDED_MAX: usize = 2;

/// Folders that uploads pass over, relative to the store path, each with the reason.
#[derive(Debug, Default)]
pub(crate) struct AvoidedFolders(Mutex<Vec<(String, String)>>);

impl AvoidedFolders {
    pub(crate) fn contains(&self, folder: &str) -> bool {
        self.0.lock().iter().any(|(avoided, _)| avoided == folder)
    }

    /// Adds a folder that alone may be to blame for an error. Tells whether it did: not when the
    /// folder was in it before, or when too many are.
    pub(crate) fn add(&self, folder: &str, error: &io::Error) -> bool {
        let mut avoided = self.0.lock();
        let is_known = avoided.iter().any(|(known, _)| known == folder);
        if is_known || avoided.len() >= AVOIDED_MAX || !may_be_of_the_folder(error) {
            return false;
        }
        avoided.push((folder.to_owned(), error.to_string()));
        true
    }

    pub(crate) fn remove(&self, folder: &str) {
        self.0.lock().retain(|(avoided, _)| avoided != folder);
    }

    /// All of them.
    pub(crate) fn folders(&self) -> Vec<String> {
        let avoided = self.0.lock();
        avoided.iter().map(|(folder, _)| folder.clone()).collect()
    }

    /// The folders and reasons for people; empty when there are none.
    pub(crate) fn describe(&self) -> String {
        let avoided = self.0.lock();
        let texts = avoided
            .iter()
            .map(|(folder, why)| format!("folder {folder} takes no files: {why}"));
        texts.collect::<Vec<_>>().join("; ")
    }
}
