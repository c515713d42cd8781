//! Files without rows that failed uploads could not remove, because the volume took no writes.

use std::sync::Arc;

use log::warn;
use parking_lot::Mutex;

use crate::disks::folder_id::FolderId;

/// Limit on noted files. The cleanup finds further ones by their temporary names.
const FILES_MAX: usize = 10_000;
/// Attempts that find no file before it is forgotten. A brick that was alone when the file was created
/// brings it back when it is healed.
const LOOKS_MAX: u32 = 30;

/// The files that are to be removed.
#[derive(Debug, Clone, Default)]
pub(crate) struct StaleTempFiles(Arc<Mutex<Vec<StaleFile>>>);

/// A file that is to be removed.
#[derive(Debug)]
pub(crate) struct StaleFile {
    /// Spelled as in rows.
    pub(crate) path: String,
    /// The file's identity. Absent for a temporary file, whose name no other file gets.
    pub(crate) id: Option<FolderId>,
    /// Attempts that found no file.
    looks: u32,
}

impl StaleTempFiles {
    /// Notes a file with a temporary name, or with its identity one that may have its final name:
    /// another upload may get that name.
    pub(crate) fn add(&self, path: String, id: Option<FolderId>) {
        self.push(StaleFile { path, id, looks: 0 });
    }

    /// Removes the files below `store_path`. `remove` returns whether the file was there.
    pub(crate) fn remove(
        &self,
        store_path: &str,
        remove: impl Fn(&StaleFile) -> std::io::Result<bool>,
    ) {
        let is_below = |file: &mut StaleFile| {
            let below = file.path.strip_prefix(store_path);
            below.is_some_and(|rest| rest.starts_with('/'))
        };
        let files: Vec<_> = self.0.lock().extract_if(.., is_below).collect();
        for mut file in files {
            match remove(&file) {
                Ok(true) => log::info!("removed {}, left by a failed upload", file.path),
                Ok(false) if file.looks < LOOKS_MAX => {
                    file.looks += 1;
                    self.push(file);
                }
                Ok(false) => {}
                Err(_) => self.push(file),
            }
        }
    }

    fn push(&self, file: StaleFile) {
        let mut files = self.0.lock();
        if files.len() < FILES_MAX {
            files.push(file);
        } else {
            warn!("{} stays: too many files wait to be removed", file.path);
        }
    }
}
