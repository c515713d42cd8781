//! MySQL, MariaDB and Galera: one database on one or several servers, shared by the threads of
//! this process. A bounded pool of connections to the server chosen, and a monitor thread that
//! chooses it: the first of the list that takes writes, else the first that can be read. While there
//! is none every call fails at once.
//!
//! Every statement commits by itself: there are no transactions across statements, so an error
//! that the server reports has undone the whole of what was asked.

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
pub use session::{Done, Session};
pub use settings::{MysqlConfig, Tls};

/// Most times a statement runs that the server undid for another's sake.
const TRIES_MAX: u32 = 10;
/// Most connections lost by one call.
const LOSSES_MAX: u32 = 3;
/// The first wait before a statement is repeated is shorter than this, each next up to twice as
/// long.
const WAIT_FIRST: Duration = Duration::from_millis(4);
const WAIT_MAX: Duration = Duration::from_millis(200);

/// What a call does to the rows, and so whether it may be done again after a connection was lost
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
    /// Longest time in which a call is repeated that the server undid.
    retry_time: Duration,
    closing: Stop,
}

impl Mysql {
    /// Begins to look for the database and returns without waiting for it. The tables have to be
    /// there already: see [`Mysql::init`].
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

    /// Makes what is missing of the tables and tells what it did, a line for each.
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

    /// Runs `work` with a connection of its own, once or several times: again when the server
    /// undid it for the sake of others, and as far as `effect` allows after a lost connection.
    /// `what` is a verb for errors.
    ///
    /// # Errors
    /// Those of `work`; [`DbError::UnknownOutcome`] when a change may or may not have been made,
    /// also instead of a conflict after a lost try (see [`Failure::with_another_row`]); one that
    /// says so when the database is away or closed.
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

    /// Tells from memory whether a server serves, as far as is known.
    pub fn availability(&self) -> Availability {
        let found = self.pool.availability();
        Availability {
            reads: found.reads,
            writes: found.writes.and_then(|()| self.disk_full.check()),
        }
    }

    /// Ends the looking and closes every connection as soon as its user is done. Calls that come
    /// later fail with [`DbError::Closed`]. Closing again does nothing.
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
    /// A connection was lost after something had been sent that changes rows.
    is_unknown: bool,
    /// No repetition of what the server undid begins later.
    until: Instant,
}

impl Call {
    /// How long to wait before the next try, or how the call ends.
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

    /// Others that were undone at the same moment should not come back at the same moment.
    fn jittered_wait(&self) -> Duration {
        let most = WAIT_MAX.min(WAIT_FIRST * 2u32.pow(self.tries.min(16)));
        most.mul_f64(rand::random_range(0.1..1.0))
    }

    /// A lost try may have changed something: then no later failure may tell the caller that nothing
    /// was changed. A conflict may be with the row that the lost try has made.
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
