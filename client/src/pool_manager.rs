//! The connection pools of all addresses, and the addresses that failed lately.

mod exchange;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::{Address, DecodeError, ErrorCode};

use crate::pool::Pool;
use crate::server_queue::Peer;
use crate::unsupported::ConnectionChoice;
use crate::{Connection, ConnectionConfig, Error, ErrorKind, PoolConfig};

/// How long an address that refused a connection is tried last. An attempt costs next to nothing.
const REFUSED_TIME: Duration = Duration::from_secs(2);
/// How long an address that was silent is tried last. Each attempt costs a whole timeout.
const SILENT_TIME: Duration = Duration::from_secs(10);

/// Idle connections for any number of addresses, shared by any number of threads.
///
/// Invariants:
/// - A connection belongs either to the manager, idle, or to one caller. It returns only if every reply
///   on it was read to its end, except for a short rest that is discarded. Else it is closed.
/// - The lock is never held during i/o.
/// - If a pooled connection breaks before the peer sent anything, the peer closed it while it was idle,
///   and the request is repeated on a new one. So requests of [`PoolManager::call`] must be safe to
///   repeat.
/// - An address that refused a connection is tried last for 2 s, a silent one for 10 s. Neither is left
///   out. A silent one is forgiven when it answers, not when it accepts a connection: the system
///   accepts for a process that hangs.
#[derive(Debug)]
pub struct PoolManager {
    connection: ConnectionConfig,
    pool: PoolConfig,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pools: HashMap<Address, Pool>,
    failed: HashMap<Address, Failed>,
    swept: Instant,
}

/// An address that failed lately.
#[derive(Debug)]
struct Failed {
    until: Instant,
    /// True after a timeout: an accepted connection does not clear it.
    silent: bool,
}

impl PoolManager {
    /// A manager without connections.
    pub fn new(connection: ConnectionConfig, pool: PoolConfig) -> PoolManager {
        PoolManager {
            connection,
            pool,
            state: Mutex::new(State {
                pools: HashMap::new(),
                failed: HashMap::new(),
                swept: Instant::now(),
            }),
        }
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
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, Error> {
        let peer = Peer::new(address, self.io_timeout());
        self.call_on(
            ConnectionChoice::Any,
            peer,
            request,
            reply_command,
            body_max,
            decode,
        )
    }

    /// As [`PoolManager::call`], within the time limit of `peer`.
    pub(crate) fn call_on<T>(
        &self,
        choice: ConnectionChoice,
        peer: Peer<'_>,
        request: &[u8],
        reply_command: u8,
        body_max: usize,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, Error> {
        let exchange = self.exchange(choice, peer, request, reply_command);
        let (connection, body_len) = exchange.result?;
        self.finish(connection, body_len, body_max, decode)
    }

    /// A connection to `address`, idle or new. [`PoolManager::put`] returns it to the pool.
    ///
    /// # Errors
    /// [`Error::Resolve`] or [`Error::Connect`].
    pub fn get(&self, address: &Address) -> Result<Connection, Error> {
        match self.take_idle(address) {
            Some(connection) => Ok(connection),
            None => self.connect(address),
        }
    }

    fn get_within(&self, peer: Peer<'_>) -> Result<Connection, Error> {
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
        self.connect_by(address, &self.connection)
    }

    fn connect_within(&self, peer: Peer<'_>) -> Result<Connection, Error> {
        let left = peer.limit.left();
        if left >= self.connection.connect_timeout {
            return self.connect(peer.address);
        }
        let config = ConnectionConfig {
            connect_timeout: left,
            ..self.connection.clone()
        };
        self.connect_by(peer.address, &config)
    }

    fn connect_by(
        &self,
        address: &Address,
        config: &ConnectionConfig,
    ) -> Result<Connection, Error> {
        let result = Connection::connect(address, config);
        match &result {
            Ok(_) => self.state.lock().connected(address),
            Err(error) => self.note_failure(address, error),
        }
        result
    }

    /// Makes `address` the last choice for a while, if `error` is a timeout or a refused connection.
    pub(crate) fn note_failure(&self, address: &Address, error: &Error) {
        let silent = error.kind() == ErrorKind::Timeout;
        let time = match error {
            _ if silent => SILENT_TIME,
            Error::Resolve { .. } | Error::Connect { .. } => REFUSED_TIME,
            _ => return,
        };
        let now = Instant::now();
        let until = now + time;
        let mut state = self.state.lock();
        state.failed.retain(|_, failed| now < failed.until);
        state
            .failed
            .insert(address.clone(), Failed { until, silent });
    }

    /// Limit on the silence of a server.
    pub(crate) fn io_timeout(&self) -> Duration {
        self.connection.io_timeout
    }

    /// Keeps a connection for the next request. Closes it if a long rest of a reply is pending, or if
    /// the pool is full.
    pub fn put(&self, mut connection: Connection) {
        if !connection.is_nearly_usable() {
            return;
        }
        // Frees space in the socket's buffer for the rest.
        connection.discard();
        let now = Instant::now();
        let address = connection.address().clone();
        let mut state = self.state.lock();
        // It answered its latest request.
        state.failed.remove(&address);
        state.sweep(now, self.pool.idle_time);
        let pool = state.pools.entry(address).or_default();
        let surplus = pool.put(connection, now, self.pool.idle_max);
        drop(state);
        drop(surplus);
    }

    /// Moves the addresses that failed lately to the end.
    pub fn order(&self, addresses: &[Address]) -> Vec<Address> {
        let now = Instant::now();
        let state = self.state.lock();
        let failed = |address: &&Address| {
            let failed = state.failed.get(*address);
            failed.is_some_and(|failed| now < failed.until)
        };
        let (last, first): (Vec<&Address>, Vec<&Address>) = addresses.iter().partition(failed);
        first.into_iter().chain(last).cloned().collect()
    }

    /// Reads and decodes the body of a reply and returns the connection to the pool.
    pub(crate) fn finish<T>(
        &self,
        mut connection: Connection,
        body_len: u64,
        body_max: usize,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, Error> {
        let body = connection
            .read_body(body_len, body_max)
            .inspect_err(|error| self.note_failure(connection.address(), error))?;
        match decode(&body) {
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
            let mut state = self.state.lock();
            let pool = state.pools.get_mut(address)?;
            let mut connection = pool.take(Instant::now(), self.pool.idle_time)?;
            drop(state);
            // A readable idle connection was closed by the peer, or has unexpected bytes.
            if connection.discard() && !connection.is_readable() {
                return Some(connection);
            }
        }
    }
}

impl State {
    /// Forgives an address that had refused a connection.
    fn connected(&mut self, address: &Address) {
        if self
            .failed
            .get(address)
            .is_some_and(|failed| !failed.silent)
        {
            self.failed.remove(address);
        }
    }

    /// Once per idle time, closes expired connections to addresses that are not in use.
    fn sweep(&mut self, now: Instant, idle_time: Duration) {
        if now.saturating_duration_since(self.swept) < idle_time {
            return;
        }
        self.swept = now;
        self.pools.retain(|_, pool| {
            pool.expire(now, idle_time);
            !pool.is_empty()
        });
    }
}
