//! The periodic jobs: looking after the store paths, finishing deletions that a crash cut short,
//! looking again at damaged files and at uploads of unknown outcome, probing idservers, asking again
//! for numbers that were not to be had, and removing what dead
//! uploads left.
//!
//! What goes to a disk has threads of its own for each store path: a disk that hangs holds these and
//! no others. One thread, which goes to no disk, watches them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::thread::{self, Thread};
use base::{Stop, Ticker};

use crate::clock::boot_time;
use crate::deletions::Deletions;
use crate::gate::Visitor;
use crate::globals::Globals;
use crate::store_path::StorePath;
use crate::sweep::Sweep;

const PROBE_INTERVAL: Duration = Duration::from_secs(2);
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// Time between two looks at files that are damaged, or whose rows may be missing.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// After numbers that were not to be had, and deletions that could not be finished: the first wait.
const RETRY_FIRST: Duration = Duration::from_secs(5);

/// The jobs, each on its thread: a sweep may take hours, a probe must not wait for it.
pub(crate) struct Jobs {
    stop: Stop,
    globals: Arc<Globals>,
    threads: Vec<Thread>,
}

impl Jobs {
    /// Starts them, each at once and then at its interval.
    pub(crate) fn start(globals: &Arc<Globals>) -> std::io::Result<Jobs> {
        let mut jobs = Jobs {
            stop: Stop::new(),
            globals: Arc::clone(globals),
            threads: Vec::new(),
        };
        jobs.start_common()?;
        for (idx, path) in globals.paths.every().enumerate() {
            jobs.start_for(idx, path)?;
        }
        Ok(jobs)
    }

    /// Those that go to no disk of ours.
    fn start_common(&mut self) -> std::io::Result<()> {
        let [watched, numbered, checked] = std::array::from_fn(|_| Arc::clone(&self.globals));
        self.repeat("watch", WATCH_INTERVAL, move || watch(&watched))?;
        self.repeat("numbers", RETRY_FIRST, move || {
            numbered.numbers.probe();
            numbered.numbers.retry();
        })?;
        let checking = self.stop.clone();
        self.repeat("checks", CHECK_INTERVAL, move || {
            checked.foreign.forget_old(&checked, Instant::now());
            // Below no store path: no disk is asked for these.
            let is_stray = |path: &str| !checked.paths.is_below_any(path);
            check(&checked, &is_stray, &|| !checking.is_tripped());
        })
    }

    /// Those of one store path.
    fn start_for(&mut self, idx: usize, path: &Arc<StorePath>) -> std::io::Result<()> {
        let [looked, finished, checked] = std::array::from_fn(|_| Arc::clone(&self.globals));
        let [disk, closed, swept, held] = std::array::from_fn(|_| Arc::clone(path));
        let mut deletions = Deletions::new(path, idx == 0, RETRY_FIRST, SWEEP_INTERVAL);
        let [deleting, sweeping, checking] = std::array::from_fn(|_| self.stop.clone());
        self.repeat(&format!("disk-{idx}"), PROBE_INTERVAL, move || {
            look_after(&looked, &disk);
        })?;
        self.repeat(&format!("deletions-{idx}"), RETRY_FIRST, move || {
            deletions.run(&finished, &deleting);
        })?;
        self.repeat(&format!("checks-{idx}"), CHECK_INTERVAL, move || {
            let is_held = |path: &str| checked.paths.is_below(path, &held);
            let go_on = || !checking.is_tripped() && !held.hangs();
            check(&checked, &is_held, &go_on);
        })?;
        let mut sweep = Sweep::default();
        self.repeat(&format!("sweep-{idx}"), SWEEP_INTERVAL, move || {
            let go_on = || !sweeping.is_tripped() && !swept.hangs();
            sweep.run(&swept, Instant::now(), &go_on);
        })?;
        let closing = thread::spawn(&format!("close-{idx}"), move || closed.close_files())?;
        self.threads.push(closing);
        Ok(())
    }

    fn repeat(
        &mut self,
        name: &str,
        interval: Duration,
        work: impl FnMut() + Send + 'static,
    ) -> std::io::Result<()> {
        let ticker = Ticker::start(name, interval, self.stop.clone(), work)?;
        self.threads.push(ticker.into_thread());
        Ok(())
    }

    /// Ends them; gives their threads back, which a disk that hangs may hold.
    pub(crate) fn stop(self) -> Vec<Thread> {
        self.stop.trip();
        self.globals
            .paths
            .every()
            .for_each(|path| path.end_closing());
        self.threads
    }
}

/// Goes to no disk: tells what the threads of the store paths have seen, or that they see nothing.
fn watch(globals: &Globals) {
    let warn = |kind, text: &dyn Fn(&StorePath) -> Option<String>| {
        let texts: Vec<String> = globals.paths.iter().filter_map(|path| text(path)).collect();
        let text = (!texts.is_empty()).then(|| texts.join("; "));
        globals.warnings.set(kind, text);
    };
    globals.paths.every().for_each(|path| path.watch());
    warn("folders", &StorePath::folder_warning);
    warn("promises", &StorePath::promise_warning);
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

/// Looks again at files that are damaged, or whose rows may be missing.
fn check(globals: &Globals, is_chosen: &dyn Fn(&str) -> bool, go_on: &dyn Fn() -> bool) {
    globals.damage.look_again(globals, is_chosen, go_on);
    let unresolved = &globals.unresolved;
    unresolved.look_again(globals, boot_time(), is_chosen, go_on);
}
