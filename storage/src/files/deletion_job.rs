//! Finishes interrupted deletions, after a crash or an error of a disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{LogThrottle, Stop};
use db::DbError;
use log::{info, warn};
use proto::FileKey;

use crate::db::{Position, rows_in_pages};
use crate::disks::limiter::DiskCaller;
use crate::disks::store_path::StorePath;
use crate::files::retry_schedule::RetrySchedule;
use crate::globals::Globals;

/// Limit on rows per statement.
const PAGE_MAX: u32 = if cfg!(test) { 2 } else { 1000 };

/// Finishes deletions on one store path.
pub(crate) struct DeletionJob {
    path: Arc<StorePath>,
    /// True for one of all jobs, which also logs files below no store path.
    logs_strays: bool,
    schedule: RetrySchedule,
    /// The count of [`PendingDeletes`](crate::state::pending_deletes::PendingDeletes) at the
    /// latest run.
    seen: u64,
    /// Bounds the log lines: each deletion of a run may cause one while the disk or the database
    /// refuses.
    log: LogThrottle<LogKind>,
}

/// The kinds of lines that are throttled.
#[derive(PartialEq)]
enum LogKind {
    NotFinished,
    Stray,
}

impl DeletionJob {
    /// Due at once, then every `interval`. After failures the wait begins with `wait_first` and
    /// doubles.
    pub(crate) fn new(
        path: &Arc<StorePath>,
        logs_strays: bool,
        wait_first: Duration,
        interval: Duration,
    ) -> DeletionJob {
        DeletionJob {
            path: Arc::clone(path),
            logs_strays,
            schedule: RetrySchedule::new(Instant::now(), wait_first, interval),
            seen: 0,
            log: LogThrottle::default(),
        }
    }

    /// Runs if it is due, or if a request met an unfinished deletion.
    pub(crate) fn run(&mut self, globals: &Globals, stop: &Stop) {
        if !globals.pending_deletes.is_new(&mut self.seen) && !self.schedule.is_due(Instant::now())
        {
            return;
        }
        let finished = self.finish(globals, stop).unwrap_or_else(|e| {
            warn!("deletions not looked at: {:#}", anyhow::Error::from(e));
            false
        });
        self.schedule.record(Instant::now(), finished);
    }

    /// Returns true if no deletion is left. Goes on behind deletions that fail: those must not hide
    /// the others.
    fn finish(&self, globals: &Globals, stop: &Stop) -> Result<bool, DbError> {
        let mut is_done = true;
        let prefix = format!("{}/", self.path.text);
        for row in unfinished(globals, &prefix) {
            let (key, path) = row?;
            if stop.is_tripped() || !self.path.serves_downloads() {
                return Ok(false);
            }
            // Of nested store paths the inner one has the file; the database may ignore case.
            if globals.paths.is_below(&path, &self.path) {
                is_done &= self.finish_one(globals, &key, &path);
            }
        }
        if self.logs_strays {
            self.log_strays(globals, stop)?;
        }
        Ok(is_done)
    }

    fn finish_one(&self, globals: &Globals, key: &FileKey, path: &str) -> bool {
        let removed = globals.remove_file(path, DiskCaller::Background);
        let removed = removed.map_err(anyhow::Error::from);
        match removed.and_then(|_| Ok(globals.files.end_delete(key, path)?)) {
            Ok(()) => {
                info!("finished the deletion of {key}");
                true
            }
            Err(e) => {
                if let Some(more) = self.log.due(LogKind::NotFinished) {
                    warn!("deletion of {key} not finished: {e:#}{more}");
                }
                false
            }
        }
    }

    fn log_strays(&self, globals: &Globals, stop: &Stop) -> Result<(), DbError> {
        for row in unfinished(globals, "") {
            let (key, path) = row?;
            if stop.is_tripped() {
                break;
            }
            if !globals.paths.is_below_any(&path)
                && let Some(more) = self.log.due(LogKind::Stray)
            {
                warn!("deletion of {key} not finished: {path} is below no store path{more}");
            }
        }
        Ok(())
    }
}

/// The unfinished deletions of files whose paths begin with `prefix`, read in pages. Rows with names
/// that tnv does not allow belong to another program.
fn unfinished(
    globals: &Globals,
    prefix: &str,
) -> impl Iterator<Item = Result<(FileKey, String), DbError>> {
    let of = (&globals.config.group, prefix);
    let page =
        move |table, after: &Position| globals.files.unfinished_deletes(table, of, after, PAGE_MAX);
    rows_in_pages(page).filter_map(|row| match row {
        Ok(row) => Some(Ok((row.key()?, row.file.path))),
        Err(e) => Some(Err(e)),
    })
}

#[cfg(test)]
mod tests;
