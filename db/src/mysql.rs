//! MySQL, MariaDB and Galera: one database on one or several servers, shared by the threads of this
//! process. A monitor thread chooses the server: the first of the list that takes writes, else the first
//! that takes reads. A bounded pool holds connections to it. Without a server every call fails at once.
//!
//! Every statement commits by itself. There are no transactions across statements, so an error of the
//! server means that the whole statement is undone.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Availability, DbError, MysqlUrl};

use base::Stop;
use connect::Connector;
use disk_full::DiskFull;
use failure::Kind;
use pool::Pool;
use server_monitor::ServerMonitor;

mod connect;
mod dial;
mod disk_full;
mod failure;
mod pool;
mod schema;
mod server_monitor;
mod session;
mod settings;

pub use failure::Failure;
pub use schema::{Schema, Table};
pub use session::{ClockLead, Done, Session};
pub use settings::{MysqlConfig, Tls};

/// Most tries of a statement that the server undoes because of a conflict with others.
const TRIES_MAX: u32 = 10;
/// Most connections that one call may lose.
const LOSSES_MAX: u32 = 3;
/// Longest wait before the first retry of a statement; doubles with each retry.
const WAIT_FIRST: Duration = Duration::from_millis(4);
const WAIT_MAX: Duration = Duration::from_millis(200);

/// The effect of a call on the rows, and so whether it may be done again after a connection was lost
/// in the middle of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing is changed.
    Read,
    /// Doing it twice is doing it once, whatever others do in between.
    Idempotent,
    /// Doing it twice is an error: one statement, never sent again.
    Once,
}

/// A database. All threads share it; `close` it before the process ends.
pub struct Mysql {
    pool: Arc<Pool>,
    disk_full: DiskFull,
    monitor: ServerMonitor,
    /// Longest time for retries of a call that the server undoes.
    retry_time: Duration,
    closing: Stop,
}

impl Mysql {
    /// Starts to search for a server, without waiting for one. The tables must exist: see [`Mysql::init`].
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn open(
        url: &MysqlUrl,
        config: &MysqlConfig,
        schema: &'static Schema,
    ) -> Result<Mysql, DbError> {
        let connector = Arc::new(Connector::new(url, config));
        let pool = Arc::new(Pool::new(Arc::clone(&connector)));
        let closing = Stop::new();
        let monitor = ServerMonitor::start(Arc::clone(&pool), connector, schema, closing.clone())?;
        Ok(Mysql {
            pool,
            disk_full: DiskFull::default(),
            monitor,
            retry_time: config.read_timeout.duration(),
            closing,
        })
    }

    /// Makes missing tables and columns. Returns a line for each change.
    ///
    /// # Errors
    /// No server of the list can be used, or it refuses.
    pub fn init(
        url: &MysqlUrl,
        config: &MysqlConfig,
        schema: &Schema,
    ) -> Result<Vec<String>, DbError> {
        schema::init(&Connector::new(url, config), schema)
    }

    /// Runs `work` with a connection. Retries if the server has undone it because of a conflict, and, as far
    /// as `effect` allows, after a lost connection. `what` is a verb for errors.
    ///
    /// # Errors
    /// Those of `work`; [`DbError::UnknownOutcome`] if a change may or may not have been made, also
    /// instead of a conflict after a lost try (see [`Failure::with_another_row`]); [`DbError::Away`] or
    /// [`DbError::Closed`].
    pub fn run<T>(
        &self,
        what: &'static str,
        effect: Effect,
        mut work: impl FnMut(&mut Session) -> Result<T, Failure>,
    ) -> Result<T, DbError> {
        let mut call = Call {
            what,
            effect,
            tries: 0,
            losses: 0,
            is_unknown: false,
            until: Instant::now() + self.retry_time,
        };
        loop {
            let failure = match self.pool.with_session(effect, &mut work) {
                Ok(value) => {
                    if effect != Effect::Read {
                        self.disk_full.note_written();
                    }
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            let is_full = failure.is_full();
            let wait = call.after(failure).inspect_err(|error| {
                if is_full {
                    self.disk_full.note_full(error);
                }
            })?;
            if self.closing.wait(wait) {
                return Err(call.end(DbError::Closed));
            }
        }
    }

    /// Whether the database can be used, as the monitor knows it. Does not access a server.
    pub fn availability(&self) -> Availability {
        let found = self.pool.availability();
        Availability {
            reads: found.reads,
            writes: found.writes.and_then(|()| self.disk_full.check()),
        }
    }

    /// Stops the monitor and closes every connection when its call is done. Later calls fail with
    /// [`DbError::Closed`]. Closing again does nothing.
    pub fn close(&self) {
        self.closing.trip();
        self.pool.close();
        self.monitor.join();
    }
}

impl Drop for Mysql {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Mysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mysql").finish_non_exhaustive()
    }
}

/// The tries of one call of [`Mysql::run`].
struct Call {
    what: &'static str,
    effect: Effect,
    tries: u32,
    losses: u32,
    /// A connection was lost after a change had been sent.
    is_unknown: bool,
    /// The latest time of a retry.
    until: Instant,
}

impl Call {
    /// The wait before the next try, or the error of the call.
    fn after(&mut self, failure: Failure) -> Result<Duration, DbError> {
        self.tries += 1;
        let (is_over, wait) = match failure.kind {
            Kind::Undone => {
                let is_over = self.tries >= TRIES_MAX || Instant::now() >= self.until;
                (is_over, self.jittered_wait())
            }
            Kind::Refused => (self.lose(), Duration::ZERO),
            Kind::Lost => {
                self.is_unknown |= self.effect != Effect::Read;
                (self.lose() || self.effect == Effect::Once, Duration::ZERO)
            }
            _ => (true, Duration::ZERO),
        };
        if !is_over {
            return Ok(wait);
        }
        let is_certain = matches!(failure.kind, Kind::ConflictWithAnother);
        let error = failure.into_error(self.what);
        Err(if is_certain { error } else { self.end(error) })
    }

    fn lose(&mut self) -> bool {
        self.losses += 1;
        self.losses >= LOSSES_MAX
    }

    /// Random, so that calls that were undone together do not retry together.
    fn jittered_wait(&self) -> Duration {
        let most = WAIT_MAX.min(WAIT_FIRST * 2u32.pow(self.tries.min(16)));
        most.mul_f64(rand::random_range(0.1..1.0))
    }

    /// The error of the call. A lost try may have changed rows, so a later failure must not claim that
    /// nothing was changed. A conflict may be with the row of the lost try.
    fn end(&self, error: DbError) -> DbError {
        match error {
            DbError::UnknownOutcome { .. } => error,
            error if self.is_unknown => DbError::UnknownOutcome {
                source: Some(Arc::new(error)),
            },
            error => error,
        }
    }
}

#[cfg(test)]
mod tests;
