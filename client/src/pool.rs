//! The idle connections to one address.

use std::time::{Duration, Instant};

use crate::Connection;

/// Idle connections to one address, the latest used on top. The owner of the lock around it passes
/// the time in; nothing here waits, and of i/o there is only the closing of sockets.
///
/// Invariants: every connection in it is usable, or will be when the little that is due of a reply
/// has come and was thrown away; the one on
/// top was put in last, so that under light load the rest grows old and is closed; there are never
/// more than `idle_max`.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Vec<(Instant, Connection)>,
}

impl Pool {
    /// The connection used last. The peer may have closed it meanwhile.
    pub(crate) fn take(&mut self, now: Instant, idle_time: Duration) -> Option<Connection> {
        self.expire(now, idle_time);
        let (_, mut connection) = self.idle.pop()?;
        connection.reused = true;
        Some(connection)
    }

    /// Keeps a connection; one over the limit is returned, to be closed by the caller.
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

    /// Closes what has been idle for too long.
    pub(crate) fn expire(&mut self, now: Instant, idle_time: Duration) {
        let fresh = |since: Instant| now.saturating_duration_since(since) < idle_time;
        let n_expired = self.idle.partition_point(|(since, _)| !fresh(*since));
        self.idle.drain(..n_expired);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.idle.is_empty()
    }
}
