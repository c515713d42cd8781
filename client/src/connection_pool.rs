//! The idle connections to all addresses, and the addresses that failed lately.

mod exchange;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::ExpiringMap;
use parking_lot::Mutex;
use proto::{Address, ErrorCode};

use crate::call::{Call, Decode};
use crate::local::LocalSockets;
use crate::server_queue::Peer;
use crate::unsupported::ConnectionChoice;
use crate::{Connection, ConnectionConfig, Error, ErrorKind, PoolConfig};

/// How long an address that refused a connection is tried last. An attempt costs next to nothing.
const REFUSED_TIME: Duration = Duration::from_secs(2);
/// How long an address that was silent is tried last. Each attempt costs a whole timeout.
const SILENT_TIME: Duration = Duration::from_secs(10);
/// Limit on remembered addresses that failed.
const FAILED_MAX: usize = 10_000;

/// Idle connections for any number of addresses, shared by any number of threads.
///
/// Invariants:
/// - A connection belongs either to the pool, idle, or to one caller. It returns only if every reply
///   on it was read to its end, except for a short rest that is discarded. Else it is closed.
/// - No lock is held during i/o.
/// - If a pooled connection breaks before the peer sent anything, the peer closed it while it was idle,
///   and the request is repeated on a new one. So requests of [`ConnectionPool::call`] must be safe to
///   repeat.
/// - An address that refused a connection is tried last for 2 s, a silent one for 10 s. Neither is left
///   out. A silent one is forgiven when it answers, not when it accepts a connection: the system
///   accepts for a process that hangs.
#[derive(Debug)]
pub struct ConnectionPool {
    connection: ConnectionConfig,
    limits: PoolConfig,
    /// Present if it connects to Unix sockets.
    sockets: Option<Arc<LocalSockets>>,
    idle: Mutex<IdleConnections>,
    failed: Mutex<ExpiringMap<Address, FailureKind>>,
}

/// Idle connections by address, the latest used one of each last. Under light load the first ones
/// expire.
#[derive(Debug)]
struct IdleConnections {
    by_address: HashMap<Address, Vec<(Instant, Connection)>>,
    /// When the connections to all addresses were checked for expiry.
    checked: Instant,
}

/// How an address failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureKind {
    Refused,
    Silent,
}

impl ConnectionPool {
    /// A pool without connections.
    pub fn new(connection: ConnectionConfig, limits: PoolConfig) -> ConnectionPool {
        ConnectionPool {
            connection,
            limits,
            sockets: None,
            idle: Mutex::new(IdleConnections {
                by_address: HashMap::new(),
                checked: Instant::now(),
            }),
            failed: Mutex::new(ExpiringMap::new(FAILED_MAX)),
        }
    }

    /// The pool that connects to the Unix sockets of storages. [`Error::Connect`] if a storage has none.
    pub(crate) fn at_sockets(self, sockets: Arc<LocalSockets>) -> ConnectionPool {
        ConnectionPool {
            sockets: Some(sockets),
            ..self
        }
    }

    /// True if connections prove the key of an application, not one of nodes.
    pub(crate) fn has_key_of_app(&self) -> bool {
        let keys = self.connection.keys.as_ref();
        keys.is_some_and(|keys| keys.signing().app().is_some())
    }

    /// Sends a request that is safe to repeat and decodes the body of its reply, which has `body_max`
    /// bytes at most.
    ///
    /// # Errors
    /// [`Error::Fault`] if the server refused; else why there is no valid reply.
    pub fn call<T>(
        &self,
        address: &Address,
        request: &[u8],
        reply_command: u8,
        body_max: usize,
        decode: Decode<T>,
    ) -> Result<T, Error> {
        let call = Call {
            request: request.to_vec(),
            reply_command,
            body_max,
            decode,
        };
        let peer = Peer::new(address, self.io_timeout());
        self.call_on(ConnectionChoice::Any, peer, &call)
    }

    /// As [`ConnectionPool::call`], within the time limit of `peer`.
    pub(crate) fn call_on<T>(
        &self,
        choice: ConnectionChoice,
        peer: Peer<'_>,
        call: &Call<T>,
    ) -> Result<T, Error> {
        let exchange = self.exchange(choice, peer, &call.request, call.reply_command);
        let (connection, body_len) = exchange.result?;
        self.finish(connection, body_len, call)
    }

    /// A connection to `address`, idle or new. [`ConnectionPool::put`] returns it to the pool.
    ///
    /// # Errors
    /// [`Error::Resolve`] or [`Error::Connect`].
    pub fn get(&self, address: &Address) -> Result<Connection, Error> {
        self.get_within(Peer::new(address, self.connection.connect_timeout))
    }

    pub(crate) fn get_within(&self, peer: Peer<'_>) -> Result<Connection, Error> {
        match self.take_idle(peer.address) {
            Some(connection) => Ok(connection),
            None => self.connect_within(peer),
        }
    }

    /// A new connection to `address`.
    ///
    /// # Errors
    /// [`Error::Resolve`] or [`Error::Connect`].
    pub fn connect(&self, address: &Address) -> Result<Connection, Error> {
        self.connect_within(Peer::new(address, self.connection.connect_timeout))
    }

    fn connect_within(&self, Peer { address, limit }: Peer<'_>) -> Result<Connection, Error> {
        let config = ConnectionConfig {
            connect_timeout: self.connection.connect_timeout.min(limit.left()),
            ..self.connection.clone()
        };
        let result = match &self.sockets {
            None => Connection::connect(address, &config),
            Some(sockets) => {
                let path = sockets.path(address).unwrap_or_default();
                Connection::connect_locally(address, &path, &config)
            }
        };
        match &result {
            Ok(_) => self.forgive_refusal(address),
            Err(error) => self.note_failure(address, error),
        }
        result
    }

    fn forgive_refusal(&self, address: &Address) {
        let mut failed = self.failed.lock();
        if failed.get(address, Instant::now()) == Some(&FailureKind::Refused) {
            failed.remove(address);
        }
    }

    /// Makes `address` the last choice for a while, if `error` is a timeout or a refused connection.
    pub(crate) fn note_failure(&self, address: &Address, error: &Error) {
        let (kind, time) = match error {
            _ if error.kind() == ErrorKind::Timeout => (FailureKind::Silent, SILENT_TIME),
            Error::Resolve { .. } | Error::Connect { .. } => (FailureKind::Refused, REFUSED_TIME),
            _ => return,
        };
        let mut failed = self.failed.lock();
        failed.insert(address.clone(), kind, time, Instant::now());
    }

    /// Limit on the silence of a server.
    pub(crate) fn io_timeout(&self) -> Duration {
        self.connection.io_timeout
    }

    /// Keeps a connection for the next request. Closes it if a long rest of a reply is pending, or at
    /// the limit on idle connections.
    pub fn put(&self, mut connection: Connection) {
        if !connection.is_nearly_usable() {
            return;
        }
        // Frees space in the socket's buffer for the rest.
        connection.discard();
        // It answered its latest request.
        self.failed.lock().remove(connection.address());
        let now = Instant::now();
        let mut idle = self.idle.lock();
        idle.close_expired(now, self.limits.idle_time);
        let address = connection.address().clone();
        let of_address = idle.by_address.entry(address).or_default();
        if of_address.len() < self.limits.idle_max {
            of_address.push((now, connection));
            return;
        }
        // The surplus connection is closed without the lock.
        drop(idle);
        drop(connection);
    }

    /// Moves the addresses that failed lately to the end.
    pub fn order(&self, addresses: &[Address]) -> Vec<Address> {
        let now = Instant::now();
        let failed = self.failed.lock();
        let mut ordered = addresses.to_vec();
        ordered.sort_by_key(|address| failed.get(address, now).is_some());
        ordered
    }

    /// Reads and decodes the body of a reply and returns the connection to the pool.
    pub(crate) fn finish<T>(
        &self,
        mut connection: Connection,
        body_len: u64,
        call: &Call<T>,
    ) -> Result<T, Error> {
        let body = connection
            .read_body(body_len, call.body_max)
            .inspect_err(|error| self.note_failure(connection.address(), error))?;
        match (call.decode)(&body) {
            Ok(value) => {
                self.put(connection);
                Ok(value)
            }
            Err(error) => Err(connection.protocol_error(error.into())),
        }
    }

    /// Returns a connection to the pool after an error, and remembers a silent peer. After a failure of
    /// code Unknown the connection is closed: a C++ server closes it after some of its failures.
    pub(crate) fn put_after(&self, connection: Connection, error: &Error) {
        self.note_failure(connection.address(), error);
        if error.fault_code() != Some(ErrorCode::Unknown) {
            self.put(connection);
        }
    }

    fn take_idle(&self, address: &Address) -> Option<Connection> {
        loop {
            let mut idle = self.idle.lock();
            let of_address = idle.by_address.get_mut(address)?;
            close_expired(of_address, Instant::now(), self.limits.idle_time);
            let (_, mut connection) = of_address.pop()?;
            drop(idle);
            connection.reused = true;
            // A readable idle connection was closed by the peer, or has unexpected bytes.
            if connection.discard() && !connection.is_readable() {
                return Some(connection);
            }
        }
    }
}

impl IdleConnections {
    /// Once per idle time, closes expired connections to addresses that are not in use.
    fn close_expired(&mut self, now: Instant, idle_time: Duration) {
        if now.saturating_duration_since(self.checked) < idle_time {
            return;
        }
        self.checked = now;
        self.by_address.retain(|_, of_address| {
            close_expired(of_address, now, idle_time);
            !of_address.is_empty()
        });
    }
}

/// Closes the connections to one address that were idle for too long.
fn close_expired(of_address: &mut Vec<(Instant, Connection)>, now: Instant, idle_time: Duration) {
    let is_expired = |since: Instant| now.saturating_duration_since(since) >= idle_time;
    let n_expired = of_address.partition_point(|(since, _)| is_expired(*since));
    of_address.drain(..n_expired);
}
