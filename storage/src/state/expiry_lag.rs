//! How far the deletion of expired files is behind.

use std::collections::HashMap;

use parking_lot::Mutex;

/// For each store path and table, how long ago the file expired that the job found first, in seconds.
#[derive(Debug, Default)]
pub(crate) struct ExpiryLag(Mutex<HashMap<(String, u8), i64>>);

impl ExpiryLag {
    pub(crate) fn note(&self, store_path: &str, table: u8, seconds: i64) {
        self.0
            .lock()
            .insert((store_path.to_owned(), table), seconds);
    }

    /// The longest one.
    pub(crate) fn seconds(&self) -> i64 {
        self.0.lock().values().copied().max().unwrap_or(0)
    }
}
