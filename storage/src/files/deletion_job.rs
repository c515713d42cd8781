//! Finishes interrupted deletions, after a crash or an error of a disk.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{LogThrottle, Stop};
use db::DbError;
use log::{info, warn};
use proto::FileKey;

use crate::db::TABLES;
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
        let visited = each_unfinished(globals, &prefix, |key, path| {
            if stop.is_tripped() || !self.path.serves_downloads() {
                return ControlFlow::Break(());
            }
            // Of nested store paths the inner one has the file; the database may ignore case.
            if globals.paths.is_below(path, &self.path) {
                is_done &= self.finish_one(globals, key, path);
            }
            ControlFlow::Continue(())
        })?;
        if visited.is_break() {
            return Ok(false);
        }
        if self.logs_strays {
            self.log_strays(globals, stop)?;
        }
        Ok(is_done)
    }

    fn finish_one(&self, globals: &Globals, key: &FileKey, path: &str) -> bool {
        let removed = globals
            .paths
            .resolve(path, DiskCaller::Background)
            .and_then(|place| globals.writer.remove(&place));
        let ended = removed.map_err(anyhow::Error::from);
        match ended.and_then(|()| Ok(globals.files.end_delete(key, path)?)) {
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
        let visited = each_unfinished(globals, "", |key, path| {
            if !globals.paths.is_below_any(path)
                && let Some(more) = self.log.due(LogKind::Stray)
            {
                warn!("deletion of {key} not finished: {path} is below no store path{more}");
            }
            if stop.is_tripped() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        visited.map(drop)
    }
}

/// Visits all unfinished deletions with paths that begin with `prefix`, a page at a time.
fn each_unfinished(
    globals: &Globals,
    prefix: &str,
    mut visit: impl FnMut(&FileKey, &str) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, DbError> {
    let of = (&globals.config.group, prefix);
    for table in TABLES {
        let mut after = Some(String::new());
        while let Some(id) = after {
            let page = globals.files.unfinished_deletes(table, of, &id, PAGE_MAX)?;
            for (key, path) in &page.files {
                if visit(key, path).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            after = page.next;
        }
    }
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests;
