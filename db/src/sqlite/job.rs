//! One write for the writer thread, and its result.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base::thread::panic_text;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use crate::DbError;

/// How long a caller waits for the writer to begin, and then once more for its answer.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A write. The writer thread runs it once, then answers it once.
pub(super) trait Job: Send {
    /// Runs the work; false if its changes have to be undone.
    ///
    /// # Errors
    /// The database is damaged: nothing of the whole transaction may be committed.
    fn run(&mut self, connection: &Connection) -> Result<bool, DbError>;

    /// Sends the caller the result of the work, or the error of the commit.
    fn answer(self: Box<Self>, commit: Result<(), DbError>);
}

/// The caller's end of a job.
#[derive(Debug)]
pub(super) struct PendingWrite<T>(Arc<Reply<T>>);

struct TypedJob<T, F> {
    work: Option<F>,
    result: Result<T, DbError>,
    reply: WriterEnd<T>,
}

/// The writer's end of a job. Dropped without an answer, it answers that the outcome is unknown.
struct WriterEnd<T>(Arc<Reply<T>>);

impl<T> Drop for WriterEnd<T> {
    fn drop(&mut self) {
        let mut answer = self.0.answer.lock();
        answer.get_or_insert(Err(DbError::UnknownOutcome { source: None }));
        drop(answer);
        self.0.answered.notify_one();
    }
}

/// The answer to one job. A caller waits for a commit, so it sleeps at once: a crossbeam channel in
/// its place yields the processor three times before, and these are a third of the context switches of
/// a durable upload.
#[derive(Debug)]
struct Reply<T> {
    /// Set by the writer when it begins, or by the caller when it gives up, whichever is first.
    claimed: AtomicBool,
    answer: Mutex<Option<Result<T, DbError>>>,
    answered: Condvar,
}

impl<T> Reply<T> {
    /// Waits for the answer; none after [`WRITE_TIMEOUT`].
    fn wait(&self) -> Option<Result<T, DbError>> {
        let deadline = Instant::now() + WRITE_TIMEOUT;
        let mut answer = self.answer.lock();
        while answer.is_none() {
            if self.answered.wait_until(&mut answer, deadline).timed_out() {
                break;
            }
        }
        answer.take()
    }
}

/// The two ends of `work`.
pub(super) fn job<T, F>(work: F) -> (Box<dyn Job>, PendingWrite<T>)
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
{
    let reply = Arc::new(Reply {
        claimed: AtomicBool::new(false),
        answer: Mutex::new(None),
        answered: Condvar::new(),
    });
    let job = TypedJob {
        work: Some(work),
        result: Err(TIMED_OUT),
        reply: WriterEnd(Arc::clone(&reply)),
    };
    (Box::new(job), PendingWrite(reply))
}

const TIMED_OUT: DbError = DbError::TimedOut {
    what: "waiting to write",
};

impl<T> PendingWrite<T> {
    /// Waits for the commit. Gives up a job that does not begin in time, for example because another
    /// process holds the lock.
    pub(super) fn wait(self) -> Result<T, DbError> {
        let PendingWrite(reply) = self;
        if let Some(result) = reply.wait() {
            return result;
        }
        if !reply.claimed.swap(true, Ordering::AcqRel) {
            return Err(TIMED_OUT);
        }
        let result = reply.wait();
        result.unwrap_or(Err(DbError::UnknownOutcome { source: None }))
    }
}

impl<T, F> Job for TypedJob<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, DbError> + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<bool, DbError> {
        if self.reply.0.claimed.swap(true, Ordering::AcqRel) {
            return Ok(false);
        }
        let Some(work) = self.work.take() else {
            return Ok(false);
        };
        self.result = catch_unwind(AssertUnwindSafe(|| work(connection))).unwrap_or_else(|panic| {
            log::error!("a database write panicked: {}", panic_text(panic.as_ref()));
            Err(DbError::Panicked)
        });
        match &self.result {
            Err(error @ DbError::Damaged { .. }) => Err(error.clone()),
            result => Ok(result.is_ok()),
        }
    }

    fn answer(self: Box<Self>, commit: Result<(), DbError>) {
        let TypedJob { result, reply, .. } = *self;
        // Dropping the end wakes the caller.
        *reply.0.answer.lock() = Some(commit.and(result));
    }
}
