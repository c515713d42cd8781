//! A queue of the processes that write one database. SQLite's busy handler is no queue: a process that
//! has just committed locks again before sleeping processes retry, and starves them.
//!
//! Two locks in two files: the owner of `.queue` is next, the owner of `.lock` writes. A process
//! that has just written has to take `.queue` again, which is held by the one that waits for
//! `.lock`, so it cannot pass. The kernel drops both locks of a process that dies.
//!
//! `flock` has no time-out, and polling would be unfair. So a thread waits in the kernel for the
//! writer, which gives up at its deadline. The thread releases a lock that it gets after that at once.
//! A stopped process that holds the lock blocks only this thread.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use base::thread::{self, Thread};
use crossbeam_channel::{Receiver, Sender, select};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{BUSY_TIMEOUT, beside, unavailable};
use crate::DbError;

/// Mode of the lock files, less the umask: users that may write the database may lock it.
const LOCK_FILE_MODE: u32 = 0o660;
/// How long a writer waits for the lock: as long as a statement waits for a lock inside SQLite.
pub(super) const LOCK_TIMEOUT: Duration = if cfg!(test) {
    Duration::from_secs(6)
} else {
    BUSY_TIMEOUT
};
/// The same during a stop: the time that a healthy process holds the lock.
const LOCK_TIMEOUT_AT_STOP: Duration = Duration::from_secs(1);

/// Time for an idle thread to end.
const THREAD_END: Duration = Duration::from_secs(1);

/// The lock files of one database. They are never removed: a process that still has the old file
/// open would hold another lock.
#[derive(Debug)]
pub(super) struct FairLock {
    path: PathBuf,
    files: Arc<Files>,
    waiting: Arc<Mutex<Waiting>>,
    /// Makes the thread wait for both locks. Dropping it ends an idle thread.
    requests: Option<Sender<()>>,
    /// The thread has both locks, or failed.
    grants: Receiver<io::Result<()>>,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Files {
    queue: File,
    lock: File,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The thread waits for the locks.
    is_under_way: bool,
    /// The writer waits for the thread.
    is_wanted: bool,
}

/// The right to write, until it is dropped.
#[derive(Debug)]
pub(super) struct FairLockGuard<'a>(&'a Files);

impl FairLock {
    /// Opens the lock files beside `database`, making them when they are missing.
    pub(super) fn open(database: &Path) -> io::Result<FairLock> {
        let files = Arc::new(Files {
            queue: open(&beside(database, ".queue"))?,
            lock: open(&beside(database, ".lock"))?,
        });
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (requests, requested) = crossbeam_channel::bounded(1);
        let (grant, grants) = crossbeam_channel::bounded(1);
        let thread = thread::spawn("db-lock", {
            let (files, waiting) = (Arc::clone(&files), Arc::clone(&waiting));
            move || wait_for_locks(&files, &waiting, &requested, &grant)
        })?;
        Ok(FairLock {
            path: beside(database, ".lock"),
            files,
            waiting,
            requests: Some(requests),
            grants,
            thread: Some(thread),
        })
    }

    /// Waits for both locks. Only one thread of a process may call this at a time: the locks do not order
    /// the threads of one process.
    ///
    /// # Errors
    /// The lock is not acquired in time, or not soon after `stop` is tripped.
    pub(super) fn acquire(&self, stop: &Stop) -> Result<FairLockGuard<'_>, DbError> {
        let locked = self.lock(stop);
        locked.map_err(|e| unavailable("lock the database", e))?;
        Ok(FairLockGuard(&self.files))
    }

    fn lock(&self, stop: &Stop) -> io::Result<()> {
        {
            let mut waiting = self.waiting.lock();
            if !waiting.is_under_way {
                if self.files.try_lock()? {
                    return Ok(());
                }
                waiting.is_under_way = true;
                if let Some(requests) = &self.requests {
                    // There is room: the thread has taken all requests before.
                    let _ = requests.try_send(());
                }
            }
            waiting.is_wanted = true;
        }
        self.wait(stop).unwrap_or_else(|| {
            let mut waiting = self.waiting.lock();
            waiting.is_wanted = false;
            // The thread may have been quicker than this thread was here.
            self.grants.try_recv().unwrap_or_else(|_| Err(self.held()))
        })
    }

    /// The answer of the thread; none after the deadline.
    fn wait(&self, stop: &Stop) -> Option<io::Result<()>> {
        let began = Instant::now();
        if !stop.is_tripped() {
            select! {
                recv(self.grants) -> grant => return grant.ok(),
                recv(stop.channel()) -> _ => {}
                default(LOCK_TIMEOUT) => return None,
            }
        }
        let end = (began + LOCK_TIMEOUT).min(Instant::now() + LOCK_TIMEOUT_AT_STOP);
        self.grants.recv_deadline(end).ok()
    }

    fn held(&self) -> io::Error {
        let text = format!("another process holds {}", self.path.display());
        io::Error::new(io::ErrorKind::TimedOut, text)
    }
}

impl Drop for FairLock {
    fn drop(&mut self) {
        drop(self.requests.take());
        let now = Instant::now();
        let is_stuck = self.waiting.lock().is_under_way;
        let end = if is_stuck { now } else { now + THREAD_END };
        thread::join_or_leave(self.thread.take(), end);
    }
}

/// The work of the thread.
fn wait_for_locks(
    files: &Files,
    waiting: &Mutex<Waiting>,
    requested: &Receiver<()>,
    grant: &Sender<io::Result<()>>,
) {
    while requested.recv().is_ok() {
        let locked = files.lock();
        let mut waiting = waiting.lock();
        waiting.is_under_way = false;
        if std::mem::take(&mut waiting.is_wanted) {
            // The channel is empty: a waiting writer has taken all grants before.
            let _ = grant.try_send(locked);
        } else if locked.is_ok() {
            files.unlock();
        }
    }
}

impl Files {
    /// Takes both locks if they are free. If only the queue is free, it stays locked: this process is
    /// next.
    fn try_lock(&self) -> io::Result<bool> {
        if !try_set(&self.queue)? {
            return Ok(false);
        }
        let locked = try_set(&self.lock);
        if !matches!(locked, Ok(false)) {
            set(&self.queue, FlockOperation::Unlock)?;
        }
        locked
    }

    fn lock(&self) -> io::Result<()> {
        set(&self.queue, FlockOperation::LockExclusive)?;
        let locked = set(&self.lock, FlockOperation::LockExclusive);
        set(&self.queue, FlockOperation::Unlock)?;
        locked
    }

    fn unlock(&self) {
        if let Err(error) = set(&self.lock, FlockOperation::Unlock) {
            log::error!("cannot unlock the database for others: {error}");
        }
    }
}

impl Drop for FairLockGuard<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(LOCK_FILE_MODE)
        .open(path)
}

fn try_set(file: &File) -> io::Result<bool> {
    match set(file, FlockOperation::NonBlockingLockExclusive) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
        result => result.map(|()| true),
    }
}

fn set(file: &File, operation: FlockOperation) -> io::Result<()> {
    loop {
        match flock(file, operation) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}
