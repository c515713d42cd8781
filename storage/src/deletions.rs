//! Finishes deletions that were begun and not ended: a crash cut them short, or a disk refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use db::DbError;
use log::{info, warn};
use proto::FileKey;

use crate::due::Due;
use crate::gate::Visitor;
use crate::globals::Globals;
use crate::store_path::StorePath;

/// Deletions finished in one go.
const DELETES_MAX: u32 = 10_000;

/// The deletions of the files on one store path.
pub(crate) struct Deletions {
    path: Arc<StorePath>,
    /// Whether files below no store path are told of, too: one of all does that.
    tells_strays: bool,
    due: Due,
    /// How many half deletions had been met at the latest look.
    seen: u64,
}

impl Deletions {
    /// Looked at first at once, then every `interval`; after a failure `wait_first` and then less
    /// and less often.
    pub(crate) fn new(
        path: &Arc<StorePath>,
        tells_strays: bool,
        wait_first: Duration,
        interval: Duration,
    ) -> Deletions {
        Deletions {
            path: Arc::clone(path),
            tells_strays,
            due: Due::at(Instant::now(), wait_first, interval),
            seen: 0,
        }
    }

    /// Finishes them if that is due, or if somebody has met one.
    pub(crate) fn run(&mut self, globals: &Globals, stop: &Stop) {
        if !globals.half_deleted.is_new(&mut self.seen) && !self.due.is_now(Instant::now()) {
            return;
        }
        let finished = self.finish(globals, stop).unwrap_or_else(|e| {
            warn!("deletions not looked at: {:#}", anyhow::Error::from(e));
            false
        });
        self.due.done(Instant::now(), finished);
    }

    /// Tells whether nothing is left to be done.
    fn finish(&self, globals: &Globals, stop: &Stop) -> Result<bool, DbError> {
        let group = &globals.config.group;
        let mut is_done = true;
        let rows = globals
            .files
            .unfinished_deletes(group, &self.path.text, DELETES_MAX)?;
        for (key, path) in rows {
            if stop.is_tripped() || !self.path.serves_downloads() {
                return Ok(false);
            }
            if globals.paths.is_below(&path, &self.path) {
                is_done &= finish_one(globals, &key, &path);
            }
        }
        if self.tells_strays {
            let all = globals.files.unfinished_deletes(group, "", DELETES_MAX)?;
            for (key, path) in all {
                if !globals.paths.is_below_any(&path) {
                    warn!("deletion of {key} not finished: {path} is below no store path");
                }
            }
        }
        Ok(is_done)
    }
}

fn finish_one(globals: &Globals, key: &FileKey, path: &str) -> bool {
    let removed = globals
        .paths
        .find(path, Visitor::Chore)
        .and_then(|place| globals.writer.remove(&place));
    let ended = removed.map_err(anyhow::Error::from);
    match ended.and_then(|()| Ok(globals.files.end_delete(key, path)?)) {
        Ok(()) => {
            info!("finished the deletion of {key}");
            true
        }
        Err(e) => {
            warn!("deletion of {key} not finished: {e:#}");
            false
        }
    }
}
