//! The periodic jobs: looking after the store paths, finishing deletions that a crash cut short,
//! looking again at damaged files and at uploads of unknown outcome, probing idservers, asking again
//! for numbers that were not to be had, asking GlusterFS what it has to heal, and removing what dead
//! uploads left.
//!
//! Each store path has a thread of its own, which its disk may catch, and one thread, which goes to
//! no disk, watches them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use daemon::Stop;
use daemon::thread::Thread;
use daemon::ticker::Ticker;
use log::{info, warn};

use crate::clock::boot_time;
use crate::due::Due;
use crate::gate::Visitor;
use crate::globals::Globals;
use crate::heal::Round;
use crate::store_path::StorePath;
use crate::sweep;

const PROBE_INTERVAL: Duration = Duration::from_secs(2);
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// Time between two looks at files that are damaged, or whose rows may be missing.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// After deletions that could not be finished, and numbers that were not to be had: the first wait.
const RETRY_FIRST: Duration = Duration::from_secs(5);
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
        let [watched, finished, swept, numbered, healed, checked] =
            std::array::from_fn(|_| Arc::clone(globals));
        let [going_on, deleting, asking] = std::array::from_fn(|_| stop.clone());
        let config = &globals.config;
        let heal_interval = config.gluster.heal_interval.duration();
        let folders = globals.paths.iter().map(|path| path.text.clone());
        let mut round = Round::new(&config.gluster, folders.collect());
        let mut due = Due::at(Instant::now(), RETRY_FIRST, SWEEP_INTERVAL);
        let mut tickers = vec![
            Ticker::start("watch", WATCH_INTERVAL, stop.clone(), move || {
                watched.paths.iter().for_each(|path| path.watch());
            })?,
            Ticker::start("deletions", RETRY_FIRST, stop.clone(), move || {
                if finished.half_deleted.take() || due.is_now(Instant::now()) {
                    let is_done = finish_deletes(&finished, &deleting);
                    due.done(Instant::now(), is_done);
                }
            })?,
            Ticker::start("numbers", RETRY_FIRST, stop.clone(), move || {
                numbered.numbers.probe();
                numbered.numbers.retry();
            })?,
            Ticker::start("checks", CHECK_INTERVAL, stop.clone(), move || {
                check(&checked)
            })?,
            Ticker::start("heal", heal_interval, stop.clone(), move || {
                round.go(&healed.heal, &asking);
                healed.warnings.set("gluster", healed.heal.warning());
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

fn check(globals: &Globals) {
    globals.foreign.forget_old(globals, Instant::now());
    globals.damage.look_again(globals);
    globals.unresolved.look_again(globals, boot_time());
}

fn sweep_all(globals: &Globals, stop: &Stop) {
    for store_path in globals.paths.iter() {
        let go_on = || !stop.is_tripped() && !store_path.hangs();
        sweep::sweep(Path::new(&store_path.text), SystemTime::now(), &go_on);
    }
}

/// Tells whether nothing is left to be done.
fn finish_deletes(globals: &Globals, stop: &Stop) -> bool {
    let unfinished = match globals
        .files
        .unfinished_deletes(&globals.config.group, DELETES_MAX)
    {
        Ok(unfinished) => unfinished,
        Err(e) => {
            warn!("deletions not looked at: {:#}", anyhow::Error::from(e));
            return false;
        }
    };
    let mut is_done = true;
    for (key, path) in unfinished {
        if stop.is_tripped() {
            return false;
        }
        let removed = globals
            .paths
            .find(&path, Visitor::Chore)
            .and_then(|place| globals.writer.remove(&place));
        let ended = removed.map_err(anyhow::Error::from);
        match ended.and_then(|()| Ok(globals.files.end_delete(&key, &path)?)) {
            Ok(()) => info!("finished the deletion of {key}"),
            Err(e) => {
                warn!("deletion of {key} not finished: {e:#}");
                is_done = false;
            }
        }
    }
    is_done
}
