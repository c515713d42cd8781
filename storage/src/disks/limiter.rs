//! Limits how many workers use a disk at the same time. A worker holds a permit while it uses a store
//! path. A quarter of the workers never gets one: when a disk hangs, these answer 'unavailable' and
//! serve the other store paths.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use net::{ServerConfig, WorkerPool};
use parking_lot::{Condvar, MappedMutexGuard, Mutex, MutexGuard};

/// Limit on files that wait for the closing thread. Beyond it the thread that drops a file closes it.
const CLOSING_MAX: usize = 65_536;

/// The kind of thread that uses a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskCaller {
    /// A worker, which needs a permit.
    Request(WorkerPool),
    /// A thread that serves no request. It is counted but not limited.
    Background,
}

/// The limiters of all store paths.
pub(crate) struct DiskLimiters {
    /// Limit on permits, by pool.
    limits: [usize; 2],
    /// Longest wait for a permit, and for a disk's answer to a probe.
    timeout: Duration,
    disks: Mutex<Vec<DiskState>>,
    /// Where workers wait for a permit, by store path and pool. All waiters of one condition wait for
    /// the same, so one of them is woken when a permit is returned.
    waiting: Vec<[Condvar; 2]>,
    /// Files that wait for the closing threads, by store path.
    to_close: Vec<(Sender<File>, Receiver<File>)>,
}

/// The callers of one store path.
#[derive(Default)]
struct DiskState {
    /// Permits of workers, by pool.
    in_use: [usize; 2],
    /// Workers that wait for a permit, by pool.
    waiting: [usize; 2],
    /// When each permit was given, by its id: the first is the oldest.
    acquired: BTreeMap<u64, Instant>,
    last_id: u64,
    /// Start of the probe that has not ended.
    probe_began: Option<Instant>,
    hangs: bool,
}

/// The limiter of one store path.
#[derive(Clone)]
pub(crate) struct DiskLimiter {
    limiters: Arc<DiskLimiters>,
    idx: usize,
}

/// Allows its holder to use the disk until it is dropped.
pub(crate) struct Permit {
    limiter: DiskLimiter,
    id: u64,
    caller: DiskCaller,
}

impl DiskLimiters {
    pub(crate) fn new(count: usize, server: &ServerConfig, timeout: Duration) -> Arc<DiskLimiters> {
        Arc::new(DiskLimiters {
            limits: [server.workers, server.fast_workers].map(permits_of),
            timeout,
            disks: Mutex::new((0..count).map(|_| DiskState::default()).collect()),
            waiting: (0..count).map(|_| Default::default()).collect(),
            to_close: (0..count).map(|_| bounded(CLOSING_MAX)).collect(),
        })
    }

    /// The limiter of a store path.
    pub(crate) fn limiter(self: &Arc<DiskLimiters>, idx: usize) -> DiskLimiter {
        DiskLimiter {
            limiters: Arc::clone(self),
            idx,
        }
    }

    /// True if one more worker may use the disk. One store path gets at most twice as many permits as
    /// stay for the others, so these continue when it hangs.
    fn has_permit(&self, disks: &[DiskState], idx: usize, pool: usize) -> bool {
        let in_use: usize = disks.iter().map(|disk| disk.in_use[pool]).sum();
        let left = self.limits[pool].saturating_sub(in_use);
        left > 0 && (disks.len() == 1 || disks[idx].in_use[pool] < 2 * left)
    }
}

/// The permits for a pool: three quarters of its workers, and all but one of a few.
fn permits_of(workers: u32) -> usize {
    let workers = workers as usize;
    (workers - (workers / 4).max(1).min(workers)).max(1)
}

fn index(pool: WorkerPool) -> usize {
    match pool {
        WorkerPool::Slow => 0,
        WorkerPool::Fast => 1,
    }
}

impl DiskLimiter {
    /// Gives a permit. A worker waits while all are in use.
    ///
    /// # Errors
    /// `TimedOut`: the disk hangs, or no permit was returned within the time-out.
    pub(crate) fn acquire(&self, caller: DiskCaller) -> io::Result<Permit> {
        self.acquire_until(caller, Instant::now() + self.limiters.timeout)
    }

    /// Gives a permit to a worker without waiting.
    fn try_acquire(&self, pool: WorkerPool) -> io::Result<Permit> {
        self.acquire_until(DiskCaller::Request(pool), Instant::now())
    }

    fn acquire_until(&self, caller: DiskCaller, deadline: Instant) -> io::Result<Permit> {
        let limiters = &self.limiters;
        let mut disks = limiters.disks.lock();
        loop {
            if disks[self.idx].hangs {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    "the disk does not answer",
                ));
            }
            match caller {
                DiskCaller::Request(pool)
                    if !limiters.has_permit(&disks, self.idx, index(pool)) =>
                {
                    let queue = &limiters.waiting[self.idx][index(pool)];
                    disks[self.idx].waiting[index(pool)] += 1;
                    let waited = queue.wait_until(&mut disks, deadline);
                    disks[self.idx].waiting[index(pool)] -= 1;
                    if waited.timed_out() {
                        let text = "the disk is too slow, too many requests wait for it";
                        return Err(io::Error::new(ErrorKind::TimedOut, text));
                    }
                }
                _ => break,
            }
        }
        let id = disks[self.idx].add_permit(caller);
        Ok(Permit {
            limiter: self.clone(),
            id,
            caller,
        })
    }

    fn disk(&self) -> MappedMutexGuard<'_, DiskState> {
        MutexGuard::map(self.limiters.disks.lock(), |disks| &mut disks[self.idx])
    }

    /// Whether the disk is known to hang.
    pub(crate) fn hangs(&self) -> bool {
        self.disk().hangs
    }

    /// Permits in use.
    pub(crate) fn n_permits(&self) -> usize {
        self.disk().acquired.len()
    }

    /// True if a permit has been in use for `time`. Then a write probe is worth waking a disk at rest.
    pub(crate) fn is_slow(&self, time: Duration) -> bool {
        let disk = self.disk();
        let oldest = disk.acquired.first_key_value();
        oldest.is_some_and(|(_, since)| since.elapsed() >= time)
    }

    pub(crate) fn begin_probe(&self) {
        self.disk().probe_began = Some(Instant::now());
    }

    /// Ends the probe, whatever its result. Returns true if the disk was known to hang.
    pub(crate) fn end_probe(&self) -> bool {
        let mut disk = self.disk();
        disk.probe_began = None;
        std::mem::take(&mut disk.hangs)
    }

    /// Checks the age of the probe. Returns true if the disk hangs since this call.
    pub(crate) fn check_timeout(&self) -> bool {
        let mut disk = self.disk();
        let is_late = disk
            .probe_began
            .is_some_and(|at| at.elapsed() >= self.limiters.timeout);
        if !is_late || disk.hangs {
            return false;
        }
        disk.hangs = true;
        drop(disk);
        // Waiters fail at once.
        for queue in &self.limiters.waiting[self.idx] {
            queue.notify_all();
        }
        true
    }

    /// Closes a file without waiting for the disk: some file systems write on close. Without a free
    /// permit the thread in [`DiskLimiter::close_files`] closes it.
    fn close(&self, file: File) {
        if let Ok(_permit) = self.try_acquire(WorkerPool::Slow) {
            drop(file);
            return;
        }
        // Without room in the channel this thread closes it.
        drop(self.limiters.to_close[self.idx].0.try_send(file));
    }

    /// Closes the files that were dropped without a permit until the stop, so that a busy disk does
    /// not collect descriptors.
    pub(crate) fn close_files(&self, stop: &Stop) {
        let (_, files) = &self.limiters.to_close[self.idx];
        loop {
            select! {
                recv(files) -> file => drop(file),
                recv(stop.channel()) -> _ => return,
            }
        }
    }
}

impl DiskState {
    fn add_permit(&mut self, caller: DiskCaller) -> u64 {
        self.last_id += 1;
        self.acquired.insert(self.last_id, Instant::now());
        if let DiskCaller::Request(pool) = caller {
            self.in_use[index(pool)] += 1;
        }
        self.last_id
    }
}

impl Permit {
    pub(crate) fn limiter(&self) -> &DiskLimiter {
        &self.limiter
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let limiters = &self.limiter.limiters;
        let mut disks = limiters.disks.lock();
        let disk = &mut disks[self.limiter.idx];
        disk.acquired.remove(&self.id);
        let DiskCaller::Request(pool) = self.caller else {
            return;
        };
        disk.in_use[index(pool)] -= 1;
        drop(disks);
        for queues in &limiters.waiting {
            queues[index(pool)].notify_one();
        }
    }
}

/// An open file whose use needs a permit.
pub(crate) struct LimitedFile {
    /// None when closed.
    file: Option<File>,
    limiter: DiskLimiter,
}

impl LimitedFile {
    pub(crate) fn new(file: File, limiter: DiskLimiter) -> LimitedFile {
        LimitedFile {
            file: Some(file),
            limiter,
        }
    }

    /// Gives a permit to a worker of the slow pool.
    ///
    /// # Errors
    /// As [`DiskLimiter::acquire`].
    pub(crate) fn acquire(&self) -> io::Result<Permit> {
        self.limiter.acquire(DiskCaller::Request(WorkerPool::Slow))
    }

    /// Gives a permit to a worker of the slow pool without waiting.
    ///
    /// # Errors
    /// As [`DiskLimiter::acquire`].
    pub(crate) fn try_acquire(&self) -> io::Result<Permit> {
        self.limiter.try_acquire(WorkerPool::Slow)
    }

    /// True until [`LimitedFile::close`].
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// The file. The caller holds a permit, and [`LimitedFile::close`] was not called.
    pub(crate) fn file(&self) -> &File {
        self.file.as_ref().expect("nobody has closed it")
    }

    /// Closes the file. The caller holds a permit.
    ///
    /// # Errors
    /// Written content may be lost. The file is closed in any case.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        match self.file.take() {
            Some(file) => Ok(nix::unistd::close(file)?),
            None => Ok(()),
        }
    }
}

impl Drop for LimitedFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.limiter.close(file);
        }
    }
}

#[cfg(test)]
mod tests;
