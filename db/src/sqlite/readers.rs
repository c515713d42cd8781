//! The connections that rows are read with: opened when needed, kept, never more than
//! [`READERS_MAX`] at a time. The lock is held to take and to give back only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::Shared;
use crate::DbError;

/// Most connections that read at a time. Rows come from memory nearly always: more connections
/// than processors gain nothing.
const READERS_MAX: usize = 8;
/// How long a read waits for a free connection.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Readers {
    shared: Arc<Shared>,
    pool: Mutex<Pool>,
    /// A connection came back, or the pool was closed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Connection>,
    lent: usize,
    closed: bool,
}

impl Readers {
    pub(super) fn new(shared: Arc<Shared>) -> Readers {
        Readers {
            shared,
            pool: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Runs `work` with a connection of its own. A connection is not used again after an error of
    /// the database, a panic, or a transaction left open.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let idle = self.take(Instant::now() + READ_TIMEOUT)?;
        let mut place = Place {
            readers: self,
            connection: None,
        };
        let connection = match idle {
            Some(connection) => connection,
            None => self.shared.connect_reader()?,
        };
        let result = work(&connection);
        if result.is_ok() && connection.is_autocommit() {
            place.connection = Some(connection);
        }
        result
    }

    /// Drops the idle connections now, the others when they come back.
    pub(super) fn close(&self) {
        let idle = {
            let mut pool = self.pool.lock();
            pool.closed = true;
            std::mem::take(&mut pool.idle)
        };
        self.changed.notify_all();
        drop(idle);
    }

    /// The right to a connection, and the connection if there is an idle one.
    fn take(&self, deadline: Instant) -> Result<Option<Connection>, DbError> {
        let mut pool = self.pool.lock();
        loop {
            if pool.closed {
                return Err(DbError::Closed);
            }
            if pool.lent < READERS_MAX {
                pool.lent += 1;
                return Ok(pool.idle.pop());
            }
            if self.changed.wait_until(&mut pool, deadline).timed_out() {
                return Err(DbError::TimedOut {
                    what: "waiting to read",
                });
            }
        }
    }

    fn give_back(&self, connection: Option<Connection>) {
        let mut pool = self.pool.lock();
        pool.lent -= 1;
        if pool.closed {
            drop(pool);
            drop(connection);
        } else {
            pool.idle.extend(connection);
            drop(pool);
        }
        self.changed.notify_one();
    }
}

/// Gives the right to a connection back, also after a panic.
struct Place<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.readers.give_back(self.connection.take());
    }
}
