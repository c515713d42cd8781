//! The writer thread: takes the waiting jobs, runs them in one transaction, each in its own savepoint,
//! and answers them after the commit. One commit waits for the disk once, however many rows it has.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::Stop;
use base::thread::{self, Thread};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender};
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};

use super::Shared;
use super::fair_lock::FairLock;
use super::job::{Job, PendingWrite, WRITE_TIMEOUT, job};
use super::{engine_error, unavailable};
use crate::DbError;

/// Most jobs in one commit; bounds the time and the log of one transaction.
const BATCH_MAX: usize = 64;
/// Length of the queue; callers wait while it is full.
const QUEUE_MAX: usize = 1024;

/// How long a check for damage is valid. A check costs as much as opening a connection.
const CHECK_AGE_MAX: Duration = if cfg!(test) {
    Duration::ZERO
} else {
    Duration::from_millis(100)
};

#[derive(Debug)]
pub(super) struct Writer {
    /// Absent after the close; the thread ends when the queue is empty.
    jobs: Mutex<Option<Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<Thread>>,
    commits: Arc<AtomicU64>,
    /// The error of every write, if the database takes no writes until it is opened again.
    refusal: Option<DbError>,
}

impl Writer {
    /// A writer without a thread, which refuses every write.
    pub(super) fn refusing(refusal: DbError) -> Writer {
        Writer {
            jobs: Mutex::default(),
            thread: Mutex::default(),
            commits: Arc::default(),
            refusal: Some(refusal),
        }
    }

    pub(super) fn start(
        connection: Connection,
        lock: FairLock,
        shared: Arc<Shared>,
        closing: Stop,
    ) -> Result<Writer, DbError> {
        let (sender, receiver) = crossbeam_channel::bounded(QUEUE_MAX);
        let commits = Arc::new(AtomicU64::new(0));
        let state = State {
            connection,
            lock,
            shared,
            closing,
            checked_at: Cell::new(Instant::now()),
            commits: Arc::clone(&commits),
        };
        let thread = thread::spawn("db-writer", move || state.run(&receiver))
            .map_err(|e| unavailable("start its writer thread", e))?;
        Ok(Writer {
            jobs: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            commits,
            refusal: None,
        })
    }

    /// Queues `work`; waits only while the queue is full.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<PendingWrite<T>, DbError> {
        let refused = || self.refusal.clone().unwrap_or(DbError::Closed);
        let sender = self.jobs.lock().clone().ok_or_else(refused)?;
        let (job, pending) = job(work);
        match sender.send_timeout(job, WRITE_TIMEOUT) {
            Ok(()) => Ok(pending),
            Err(SendTimeoutError::Timeout(_)) => Err(DbError::TimedOut {
                what: "waiting to write",
            }),
            Err(SendTimeoutError::Disconnected(_)) => Err(DbError::Closed),
        }
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// How many jobs wait in the queue.
    #[cfg(test)]
    pub(super) fn n_waiting(&self) -> usize {
        self.jobs.lock().as_ref().map_or(0, Sender::len)
    }

    /// Finishes the queued jobs and joins the thread until `end`. Jobs that are not committed by then are
    /// not acknowledged.
    pub(super) fn close(&self, end: Instant) {
        drop(self.jobs.lock().take());
        // The lock is held while joining, so that a second closer returns after the end too.
        let mut thread = self.thread.lock();
        thread::join_or_leave(thread.take(), end);
    }
}

/// State of the thread.
struct State {
    connection: Connection,
    lock: FairLock,
    shared: Arc<Shared>,
    closing: Stop,
    /// When the file was last checked for damage.
    checked_at: Cell<Instant>,
    commits: Arc<AtomicU64>,
}

impl State {
    fn run(self, jobs: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = jobs.recv() {
            let mut batch = vec![first];
            let result = self.write(&mut batch, jobs);
            for job in batch {
                job.answer(result.clone());
            }
        }
        self.checkpoint();
    }

    /// Runs the batch, and the jobs that are queued by the time the lock is acquired, in one transaction.
    /// An error fails every job, since a job may have read the changes of another.
    fn write(
        &self,
        batch: &mut Vec<Box<dyn Job>>,
        jobs: &Receiver<Box<dyn Job>>,
    ) -> Result<(), DbError> {
        let _guard = self.lock.acquire(&self.closing).inspect_err(|_| {
            // Fail the queued jobs, too: each would wait for the lock as long again.
            batch.extend(jobs.try_iter());
        })?;
        batch.extend(jobs.try_iter().take(BATCH_MAX - batch.len()));
        let result = self.transact(batch);
        self.note_damage(&result);
        if result.is_err() && !self.connection.is_autocommit() {
            self.roll_back();
        }
        result
    }

    /// Damage that any job finds stops all later jobs.
    fn note_damage(&self, result: &Result<(), DbError>) {
        if let Err(error @ DbError::Damaged { .. }) = result {
            self.shared.outcomes.note_damage(error);
        }
    }

    fn transact(&self, batch: &mut [Box<dyn Job>]) -> Result<(), DbError> {
        let Shared {
            outcomes, files, ..
        } = &*self.shared;
        outcomes.check_damage().and_then(|()| files.check())?;
        self.check_for_damage()?;
        self.execute("begin immediate")
            .map_err(|e| engine_error("begin a transaction", e))?;
        for job in batch {
            self.run_one(job.as_mut())?;
        }
        self.execute("commit").map_err(commit_error)?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        // The rows may have gone to a file that was removed meanwhile.
        files.check().map_err(|error| DbError::UnknownOutcome {
            source: Some(Arc::new(error)),
        })
    }

    /// Checks the file for damage, at most every [`CHECK_AGE_MAX`]. The connection of this thread has
    /// cached pages and would not notice it.
    fn check_for_damage(&self) -> Result<(), DbError> {
        if self.checked_at.get().elapsed() < CHECK_AGE_MAX {
            return Ok(());
        }
        self.checked_at.set(Instant::now());
        match self.shared.read_afresh() {
            Err(error @ DbError::Damaged { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Runs a job. An error of the job undoes its own changes; an error returned here fails the whole
    /// transaction.
    fn run_one(&self, job: &mut dyn Job) -> Result<(), DbError> {
        let statement = |sql| {
            self.execute(sql)
                .map_err(|e| engine_error("go on with a transaction", e))
        };
        statement("savepoint job")?;
        let done = job.run(&self.connection)?;
        if self.connection.is_autocommit() {
            return Err(undone());
        }
        if !done {
            statement("rollback to job")?;
        }
        statement("release job")
    }

    /// Runs a statement that returns nothing; it is compiled once.
    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn roll_back(&self) {
        if let Err(error) = self.connection.execute_batch("rollback") {
            log::error!("cannot roll a transaction back: {error}");
        }
    }

    /// Moves rows from the log to the database file, as far as no reader needs them.
    fn checkpoint(&self) {
        let pragma = self
            .connection
            .query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()));
        if let Err(error) = pragma {
            log::warn!("cannot move the written rows into the database file: {error}");
        }
    }
}

/// Some errors inside a job, such as a full disk, make SQLite undo the whole transaction.
fn undone() -> DbError {
    DbError::Unavailable {
        what: "go on with a transaction",
        source: Arc::new(io::Error::other("it was undone, the disk may be full")),
    }
}

/// A commit that failed while writing to the disk may be there after a restart; any other error
/// leaves the transaction as it was.
fn commit_error(error: rusqlite::Error) -> DbError {
    if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
        return DbError::UnknownOutcome {
            source: Some(Arc::new(error)),
        };
    }
    engine_error("commit", error)
}
