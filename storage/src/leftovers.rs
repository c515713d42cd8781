//! Files that failed uploads may have left, because the volume took no writes any more. They have
//! no rows; nobody reads them, but they take space.

use std::sync::Arc;

use log::warn;
use parking_lot::Mutex;

/// More are left to the sweep, which finds those with temporary names.
const LEFTOVERS_MAX: usize = 10_000;
/// A file that is not there may yet come: a brick that was alone when it was made brings it back
/// when it is healed. So it is looked for this often.
const LOOKS_MAX: u32 = 30;

/// Their paths, spelled as in rows, each with the number of looks that did not find it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leftovers(Arc<Mutex<Vec<(String, u32)>>>);

impl Leftovers {
    /// Takes note of one.
    pub(crate) fn keep(&self, path: String) {
        self.push(path, 0);
    }

    /// Tries to remove each below `store_path`: `remove` tells whether it was there.
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
        if paths.len() < LEFTOVERS_MAX {
            paths.push((path, looks));
        } else {
            warn!("{path} stays: too many files wait to be removed");
        }
    }
}
