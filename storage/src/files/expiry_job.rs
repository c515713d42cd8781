//! Deletes files that have expired. Readers are told from that second on that they do not exist.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{LogThrottle, Stop};
use log::warn;
use proto::FileKey;
use rand::seq::SliceRandom;

use crate::clock::epoch_secs;
use crate::db::{Change, Deletion, FileRow, TABLES};
use crate::disks::limiter::DiskCaller;
use crate::disks::store_path::StorePath;
use crate::globals::Globals;

/// Limit on rows per statement.
const PAGE_MAX: u32 = if cfg!(test) { 2 } else { 500 };

/// Deletes expired files of one store path. Every storage of the group has this job: a file that two of them delete
/// at once is deleted once, and may be counted by both.
pub(crate) struct ExpiryJob {
    path: Arc<StorePath>,
    /// The least time from one deletion to the next.
    pause: Duration,
    log: LogThrottle<()>,
}

impl ExpiryJob {
    /// Deletes at most `files_per_second`, which is not 0.
    pub(crate) fn new(path: &Arc<StorePath>, files_per_second: u32) -> ExpiryJob {
        ExpiryJob {
            path: Arc::clone(path),
            pause: Duration::from_secs(1) / files_per_second,
            log: LogThrottle::default(),
        }
    }

    /// Deletes all files that have expired, until the stop, a failure of the database, or a store path that serves
    /// nothing.
    pub(crate) fn run(&self, globals: &Globals, stop: &Stop) {
        for table in TABLES {
            while let Some(n_rows) = self.delete_page(globals, table, stop) {
                if n_rows < PAGE_MAX as usize {
                    break;
                }
            }
        }
    }

    /// Deletes the files that expired first. Returns the number of rows, or `None` at a reason to end the run.
    fn delete_page(&self, globals: &Globals, table: u8, stop: &Stop) -> Option<usize> {
        let (prefix, now) = (format!("{}/", self.path.text), epoch_secs());
        let of = (&globals.config.group, prefix.as_str());
        let mut rows = match globals.files.expired(table, of, now, PAGE_MAX) {
            Ok(rows) => rows,
            Err(error) => {
                if let Some(more) = self.log.due(()) {
                    let error = anyhow::Error::from(error);
                    warn!("expired files not looked for: {error:#}{more}");
                }
                return None;
            }
        };
        let oldest = rows.first().and_then(|row| row.file.expires);
        let lag = oldest.map_or(0, |expires| now.saturating_sub(expires));
        globals.expiry_lag.note(&self.path.text, table, lag);
        // Each storage of the group deletes in its own order, so they share the work.
        rows.shuffle(&mut rand::rng());
        let mut n_deleted = 0;
        for row in &rows {
            let began = Instant::now();
            if stop.is_tripped() || !self.path.serves_downloads() {
                return None;
            }
            // Of nested store paths the inner one has the file; the database may ignore case.
            if let Some(key) = row.key()
                && globals.paths.is_below(&row.file.path, &self.path)
            {
                match delete_expired(globals, &key, &row.file) {
                    Ok(is_ours) => {
                        n_deleted += 1;
                        if !is_ours {
                            continue;
                        }
                    }
                    Err(error) => {
                        if let Some(more) = self.log.due(()) {
                            warn!("{key} has expired and stays for now: {error:#}{more}");
                        }
                    }
                }
            }
            stop.wait(self.pause.saturating_sub(began.elapsed()));
        }
        // Without progress the same rows would come again.
        (n_deleted > 0 || rows.is_empty()).then_some(rows.len())
    }
}

/// Marks the row, removes the file and the row. False if another storage has done so. After a failure the deletion job
/// finishes it.
fn delete_expired(globals: &Globals, key: &FileKey, file: &FileRow) -> anyhow::Result<bool> {
    let path = file.path.as_str();
    let deletion = Deletion {
        key: key.clone(),
        path: path.to_owned(),
        group: globals.config.group.clone(),
    };
    let marked = globals.files.begin_delete(deletion, Arc::new(|| true))?;
    globals.rows.forget(key);
    globals.damage.forget(key);
    if marked == Change::NoRow {
        return Ok(false);
    }
    let removed = globals.remove_file(path, DiskCaller::Background);
    let ended = removed.map_err(anyhow::Error::from);
    let ended = ended.and_then(|_| Ok(globals.files.end_delete(key, path)?));
    if ended.is_err() {
        globals.pending_deletes.note();
    }
    ended?;
    globals.quotas.removed(key, file.size);
    globals.metrics.expired_files.inc();
    Ok(true)
}

#[cfg(test)]
mod tests;
