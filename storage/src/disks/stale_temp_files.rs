//! Files without rows that failed uploads could not remove, because the volume took no writes.

use std::sync::Arc;

use log::warn;
use parking_lot::Mutex;

/// Limit on noted files. The cleanup finds further ones by their temporary names.
const FILES_MAX: usize = 10_000;
/// Attempts that find no file before it is forgotten. A brick that was alone when the file was created
/// brings it back when it is healed.
const LOOKS_MAX: u32 = 30;

/// Paths, spelled as in rows, each with the number of attempts that found no file.
#[derive(Debug, Clone, Default)]
pub(crate) struct StaleTempFiles(Arc<Mutex<Vec<(String, u32)>>>);

impl StaleTempFiles {
    pub(crate) fn add(&self, path: String) {
        self.push(path, 0);
    }

    /// Removes the files below `store_path`. `remove` returns whether the file was there.
    pub(crate) fn remove(&self, store_path: &str, remove: impl Fn(&str) -> std::io::Result<bool>) {
        let is_below = |(path, _): &mut (String, u32)| {
            path.strip_prefix(store_path)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let paths: Vec<_> = self.0.lock().extract_if(.., is_below).collect();
        for (path, looks) in paths {
            match remove(&path) {
                Ok(true) => log::info!("removed {path}, left by a failed upload"),
                Ok(false) if looks < LOOKS_MAX => self.push(path, looks + 1),
                Ok(false) => {}
                Err(_) => self.push(path, looks),
            }
        }
    }

    fn push(&self, path: String, looks: u32) {
        let mut paths = self.0.lock();
        if paths.len() < FILES_MAX {
            paths.push((path, looks));
        } else {
            warn!("{path} stays: too many files wait to be removed");
        }
    }
}
