//! The idle connections to one address.

use std::time::{Duration, Instant};

use crate::Connection;

/// Idle connections to one address, the latest used one on top. The caller holds a lock and passes the
/// time: nothing here waits, and the only i/o is the closing of sockets.
///
/// Invariants: every connection is usable, or will be when a short rest of a reply has arrived and was
/// discarded. At most `idle_max` connections. Under light load the lower ones expire.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Vec<(Instant, Connection)>,
}

impl Pool {
    /// The latest used connection. The peer may have closed it.
    pub(crate) fn take(&mut self, now: Instant, idle_time: Duration) -> Option<Connection> {
        self.expire(now, idle_time);
        let (_, mut connection) = self.idle.pop()?;
        connection.reused = true;
        Some(connection)
    }

    /// Keeps a connection. Returns it at the limit: the caller closes it without the lock.
    pub(crate) fn put(
        &mut self,
        connection: Connection,
        now: Instant,
        idle_max: usize,
    ) -> Option<Connection> {
        if self.idle.len() >= idle_max {
            return Some(connection);
        }
        self.idle.push((now, connection));
        None
    }

    /// Closes connections that were idle for too long.
    pub(crate) fn expire(&mut self, now: Instant, idle_time: Duration) {
        let fresh = |since: Instant| now.saturating_duration_since(since) < idle_time;
        let n_expired = self.idle.partition_point(|(since, _)| !fresh(*since));
        self.idle.drain(..n_expired);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.idle.is_empty()
    }
}
