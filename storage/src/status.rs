//! The periodic jobs: probes of store paths and idservers, counting files for quotas, deleting expired files, finishing deletions, checking damaged
//! files and uploads of unknown outcome, removing temporary files of dead uploads.
//!
//! Each store path has its own threads, so a disk that hangs holds no others. One thread uses no
//! disk and checks whether the disks answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::thread::{self, Thread};
use base::{Stop, Ticker};

use crate::clock::boot_time;
use crate::config::ExpiryConfig;
use crate::disks::limiter::DiskCaller;
use crate::disks::store_path::StorePath;
use crate::files::deletion_job::DeletionJob;
use crate::files::expiry_job::ExpiryJob;
use crate::files::quota_count::count_due;
use crate::files::recheck::{recheck_damaged, recheck_unresolved};
use crate::files::temp_file_cleanup::Cleanup;
use crate::globals::Globals;

const PROBE_INTERVAL: Duration = Duration::from_secs(2);
const HANG_CHECK_INTERVAL: Duration = Duration::from_millis(250);
const CLEANUP_INTERVAL: Duration = Duration::from_secs(3600);
/// Interval of checks of damaged files and unresolved uploads.
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);
/// Interval of looking whether a use of a quota has to be counted.
const QUOTA_INTERVAL: Duration = Duration::from_secs(1);
/// First wait after a failed request for numbers or a failed deletion.
const RETRY_FIRST: Duration = Duration::from_secs(5);

/// The jobs, each on its own thread: a cleanup may take hours.
pub(crate) struct Jobs {
    stop: Stop,
    threads: Vec<Thread>,
}

impl Jobs {
    /// Starts all jobs. Each runs at once and then at its interval.
    pub(crate) fn start(globals: &Arc<Globals>) -> std::io::Result<Jobs> {
        let mut jobs = Jobs {
            stop: Stop::new(),
            threads: Vec::new(),
        };
        jobs.start_common(globals)?;
        for (idx, path) in globals.paths.every().enumerate() {
            jobs.start_for(globals, idx, path)?;
        }
        Ok(jobs)
    }

    /// Starts the jobs that use no disk.
    fn start_common(&mut self, globals: &Arc<Globals>) -> std::io::Result<()> {
        let [watched, numbered, checked] = std::array::from_fn(|_| Arc::clone(globals));
        self.repeat("watch", HANG_CHECK_INTERVAL, move || check_disks(&watched))?;
        self.repeat("numbers", RETRY_FIRST, move || {
            numbered.numbers.probe();
            numbered.numbers.retry();
        })?;
        let (counted, counting) = (Arc::clone(globals), self.stop.clone());
        self.repeat("quotas", QUOTA_INTERVAL, move || {
            count_due(&counted, &counting)
        })?;
        let checking = self.stop.clone();
        self.repeat("checks", RECHECK_INTERVAL, move || {
            checked.foreign.forget_old(Instant::now());
            checked.remember_folders();
            // Files below no store path need no disk.
            let is_stray = |path: &str| !checked.paths.is_below_any(path);
            recheck(&checked, &is_stray, &|| !checking.is_tripped());
        })
    }

    /// Starts the jobs of one store path.
    fn start_for(
        &mut self,
        globals: &Arc<Globals>,
        idx: usize,
        path: &Arc<StorePath>,
    ) -> std::io::Result<()> {
        let [looked, finished, checked] = std::array::from_fn(|_| Arc::clone(globals));
        let [disk, closed, cleaned, held] = std::array::from_fn(|_| Arc::clone(path));
        let mut deletions = DeletionJob::new(path, idx == 0, RETRY_FIRST, CLEANUP_INTERVAL);
        let [deleting, cleaning, checking, closing] = std::array::from_fn(|_| self.stop.clone());
        self.start_expiry(globals, idx, path)?;
        self.repeat(&format!("disk-{idx}"), PROBE_INTERVAL, move || {
            probe_disk(&looked, &disk);
        })?;
        self.repeat(&format!("deletions-{idx}"), RETRY_FIRST, move || {
            deletions.run(&finished, &deleting);
        })?;
        self.repeat(&format!("checks-{idx}"), RECHECK_INTERVAL, move || {
            let is_held = |path: &str| checked.paths.is_below(path, &held);
            let go_on = || !checking.is_tripped() && !held.hangs();
            recheck(&checked, &is_held, &go_on);
        })?;
        let mut cleanup = Cleanup::default();
        self.repeat(&format!("cleanup-{idx}"), CLEANUP_INTERVAL, move || {
            let go_on = || !cleaning.is_tripped() && !cleaned.hangs();
            cleanup.run(&cleaned, Instant::now(), &go_on);
        })?;
        let closer = thread::spawn(&format!("close-{idx}"), move || {
            closed.close_files(&closing)
        })?;
        self.threads.push(closer);
        Ok(())
    }

    fn start_expiry(
        &mut self,
        globals: &Arc<Globals>,
        idx: usize,
        path: &Arc<StorePath>,
    ) -> std::io::Result<()> {
        let ExpiryConfig {
            interval,
            files_per_second,
        } = globals.config.expiry;
        let job = ExpiryJob::new(path, files_per_second);
        let (globals, stop) = (Arc::clone(globals), self.stop.clone());
        self.repeat(&format!("expiry-{idx}"), interval.duration(), move || {
            job.run(&globals, &stop);
        })
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

    /// Ends the jobs. Returns their threads, which a hanging disk may hold.
    pub(crate) fn stop(self) -> Vec<Thread> {
        self.stop.trip();
        self.threads
    }
}

/// Sets the warnings about store paths, and notices disks that hang.
fn check_disks(globals: &Globals) {
    let warn = |kind, text: &dyn Fn(&StorePath) -> Option<String>| {
        let texts: Vec<String> = globals.paths.iter().filter_map(|path| text(path)).collect();
        let text = (!texts.is_empty()).then(|| texts.join("; "));
        globals.warnings.set(kind, text);
    };
    globals.arrivals.beat(boot_time());
    globals.paths.every().for_each(|path| path.check_hang());
    warn("folders", &StorePath::folder_warning);
    warn("tags", &StorePath::tag_warning);
    warn("promises", &StorePath::claims_warning);
}

fn probe_disk(globals: &Globals, path: &StorePath) {
    let was_tagged = path.tag().is_some();
    path.run_probe();
    path.monitored(|_| path.open_files().close_idle(Instant::now()));
    if !was_tagged && path.tag().is_some() {
        globals.remember_folders();
    }
    path.monitored(|next| {
        globals.writer.remove_stale_files(&path.text, |stale| {
            next();
            globals.paths.resolve(stale, DiskCaller::Background)
        });
    });
}

/// Checks damaged files and unresolved uploads again.
fn recheck(globals: &Globals, is_chosen: &dyn Fn(&str) -> bool, go_on: &dyn Fn() -> bool) {
    recheck_damaged(globals, is_chosen, go_on);
    let unresolved = &globals.unresolved;
    recheck_unresolved(unresolved, globals, boot_time(), is_chosen, go_on);
}

#[cfg(test)]
mod tests;
