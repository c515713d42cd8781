//! One write for the writer thread, and its result.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::thread::panic_text;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
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
pub(super) struct PendingWrite<T> {
    claimed: Arc<AtomicBool>,
    reply: Receiver<Result<T, DbError>>,
}

struct TypedJob<T, F> {
    work: Option<F>,
    result: Result<T, DbError>,
    /// Set by the writer when it begins, or by the caller when it gives up, whichever is first.
    claimed: Arc<AtomicBool>,
    reply: Sender<Result<T, DbError>>,
}

/// The two ends of `work`.
pub(super) fn job<T, F>(work: F) -> (Box<dyn Job>, PendingWrite<T>)
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
{
    let (sender, reply) = crossbeam_channel::bounded(1);
    let claimed = Arc::new(AtomicBool::new(false));
    let job = TypedJob {
        work: Some(work),
        result: Err(TIMED_OUT),
        claimed: Arc::clone(&claimed),
        reply: sender,
    };
    (Box::new(job), PendingWrite { claimed, reply })
}

const TIMED_OUT: DbError = DbError::TimedOut {
    what: "waiting to write",
};

impl<T> PendingWrite<T> {
    /// Waits for the commit. Gives up a job that does not begin in time, for example because another
    /// process holds the lock.
    pub(super) fn wait(self) -> Result<T, DbError> {
        if let Some(result) = self.wait_once() {
            return result;
        }
        if !self.claimed.swap(true, Ordering::AcqRel) {
            return Err(TIMED_OUT);
        }
        self.wait_once()
            .unwrap_or(Err(DbError::UnknownOutcome { source: None }))
    }

    fn wait_once(&self) -> Option<Result<T, DbError>> {
        match self.reply.recv_timeout(WRITE_TIMEOUT) {
            Ok(result) => Some(result),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Err(DbError::UnknownOutcome { source: None }))
            }
        }
    }
}

impl<T, F> Job for TypedJob<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, DbError> + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<bool, DbError> {
        if self.claimed.swap(true, Ordering::AcqRel) {
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
        let answer = commit.and(self.result);
        // A caller that gave up has dropped the receiver.
        drop(self.reply.send(answer));
    }
}
