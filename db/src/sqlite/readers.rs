//! Connections for reads: opened on demand and kept, at most [`READERS_MAX`] at a time. The lock is
//! held only to take and return one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::Shared;
use crate::DbError;

/// Most connections that read at a time. Rows are in memory nearly always, so more connections than
/// processors gain nothing.
const READERS_MAX: usize = 8;
/// How long a read waits for a free connection.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Readers {
    shared: Arc<Shared>,
    pool: Mutex<Pool>,
    /// Signals a returned connection or the close.
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

    /// Runs `work` with a connection. The connection is not reused after an error, a panic, or an open
    /// transaction.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let idle = self.take(Instant::now() + READ_TIMEOUT)?;
        let mut permit = ReaderPermit {
            readers: self,
            connection: None,
        };
        let connection = match idle {
            Some(connection) => connection,
            None => self.shared.connect_reader()?,
        };
        let result = work(&connection);
        if result.is_ok() && connection.is_autocommit() {
            permit.connection = Some(connection);
        }
        result
    }

    /// Drops idle connections now, and the others when they are returned.
    pub(super) fn close(&self) {
        let idle = {
            let mut pool = self.pool.lock();
            pool.closed = true;
            std::mem::take(&mut pool.idle)
        };
        self.changed.notify_all();
        drop(idle);
    }

    /// Takes a permit, and an idle connection if there is one.
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

/// Returns the permit when dropped, also after a panic.
struct ReaderPermit<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for ReaderPermit<'_> {
    fn drop(&mut self) {
        self.readers.give_back(self.connection.take());
    }
}
