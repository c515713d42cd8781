//! The periodic jobs: looking after the store paths, finishing deletions that a crash cut short,
//! and removing what dead uploads left.
//!
//! Each store path has a thread of its own, which its disk may catch, and one thread, which goes to
//! no disk, watches them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::Stop;
use daemon::thread::Thread;
use daemon::ticker::Ticker;
use log::{info, warn};

use crate::gate::Visitor;
use crate::globals::Globals;
use crate::store_path::StorePath;
use crate::sweep;

const PROBE_INTERVAL: Duration = Duration::from_secs(2);
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// Deletions finished in one go.
const DELETES_MAX: u32 = 10_000;

/// The jobs, each on its thread: a sweep may take hours, a probe must not wait for it.
pub(crate) struct Jobs {
    stop: Stop,
    tickers: Vec<Ticker>,
}

impl Jobs {
    /// Starts them, each at once and then at its interval.
    pub(crate) fn start(globals: &Arc<Globals>) -> std::io::Result<Jobs> {
        let stop = Stop::new();
        let (watched, swept) = (Arc::clone(globals), Arc::clone(globals));
        let going_on = stop.clone();
        let mut tickers = vec![
            Ticker::start("watch", WATCH_INTERVAL, stop.clone(), move || {
                watched.paths.iter().for_each(|path| path.watch());
            })?,
            Ticker::start("sweep", SWEEP_INTERVAL, stop.clone(), move || {
                sweep_all(&swept, &going_on)
            })?,
        ];
        for (idx, path) in globals.paths.iter().enumerate() {
            let (globals, path) = (Arc::clone(globals), Arc::clone(path));
            let name = format!("disk-{idx}");
            tickers.push(Ticker::start(
                &name,
                PROBE_INTERVAL,
                stop.clone(),
                move || look_after(&globals, &path),
            )?);
        }
        Ok(Jobs { stop, tickers })
    }

    /// Ends them; gives their threads back, which a disk that hangs may hold.
    pub(crate) fn stop(self) -> Vec<Thread> {
        self.stop.trip();
        self.tickers.into_iter().map(Ticker::into_thread).collect()
    }
}

fn look_after(globals: &Globals, path: &StorePath) {
    path.look_after();
    path.at_disk(|next| {
        globals.writer.remove_leftovers(&path.text, |leftover| {
            next();
            globals.paths.find(leftover, Visitor::Chore)
        });
    });
}

fn sweep_all(globals: &Globals, stop: &Stop) {
    finish_deletes(globals, stop);
    for store_path in globals.paths.iter() {
        let go_on = || !stop.is_tripped() && !store_path.hangs();
        sweep::sweep(Path::new(&store_path.text), SystemTime::now(), &go_on);
    }
}

fn finish_deletes(globals: &Globals, stop: &Stop) {
    let unfinished = match globals
        .files
        .unfinished_deletes(&globals.config.group, DELETES_MAX)
    {
        Ok(unfinished) => unfinished,
        Err(e) => return warn!("deletions not looked at: {:#}", anyhow::Error::from(e)),
    };
    for (key, path) in unfinished {
        if stop.is_tripped() {
            return;
        }
        let removed = globals
            .paths
            .find(&path, Visitor::Chore)
            .and_then(|place| globals.writer.remove(&place));
        let ended = removed.map_err(anyhow::Error::from);
        match ended.and_then(|()| Ok(globals.files.end_delete(&key)?)) {
            Ok(()) => info!("finished the deletion of {key}"),
            Err(e) => warn!("deletion of {key} not finished: {e:#}"),
        }
    }
}
