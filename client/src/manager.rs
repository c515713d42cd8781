//! The pools of all addresses, and which addresses did not answer lately.

mod exchange;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::{Address, DecodeError, ErrorCode};

use crate::lacking::Way;
use crate::pool::Pool;
use crate::turns::Peer;
use crate::{Connection, ConnectionConfig, Error, ErrorKind, PoolConfig};

/// How long an address that refused a connection is tried last: a try costs next to nothing.
const REFUSED_TIME: Duration = Duration::from_secs(2);
/// How long an address that was silent is tried last: each try costs a whole time-out.
const SILENT_TIME: Duration = Duration::from_secs(10);

/// Idle connections for any number of addresses, shared by any number of threads.
///
/// Invariants:
/// - A connection is owned either by the manager, idle, or by one caller; it comes back only when
///   every reply on it was read to its end, or but for a little that is thrown away; else it is
///   closed.
/// - The lock is never held while a connection is made, written or read.
/// - A request that broke on a reused connection before anything was heard is sent once more, on a
///   fresh one: the peer had closed it while it was idle. So requests made with
///   [`PoolManager::call`] must be safe to repeat.
/// - An address that refused a connection is tried last for 2 s, one that was silent for 10 s;
///   neither is left out. A silent one is forgiven when it answers, not when it accepts: the
///   system accepts for a process that hangs.
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

/// An address that did not answer lately.
#[derive(Debug)]
struct Failed {
    until: Instant,
    /// Whether a time-out told, so that a connection alone proves nothing.
    silent: bool,
}

impl PoolManager {
    /// A manager with no connections yet.
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

    /// Sends a request that is safe to repeat and returns what `decode` makes of the body of its
    /// reply, at most `body_max` bytes.
    ///
    /// # Errors
    /// [`Error::Fault`] when the server refused; else what kept it from answering, a body that
    /// `decode` refused among them.
    pub fn call<T>(
        &self,
        address: &Address,
        request: &[u8],
        reply_command: u8,
        body_max: usize,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, Error> {
        let peer = Peer::new(address, self.io_timeout());
        self.call_on(Way::Any, peer, request, reply_command, body_max, decode)
    }

    /// As [`PoolManager::call`], on a new connection if need be, within the limit of `peer`.
    pub(crate) fn call_on<T>(
        &self,
        way: Way,
        peer: Peer<'_>,
        request: &[u8],
        reply_command: u8,
        body_max: usize,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, Error> {
        let (connection, body_len) = self.exchange_by(way, peer, request, reply_command)?;
        self.finish(connection, body_len, body_max, decode)
    }

    /// A connection to `address`, idle or new. It is the caller's; to let others use it again,
    /// [give it back](PoolManager::put).
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

    /// Has `address` tried last for a while, if `error` means that nobody is there or nobody
    /// answers.
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

    /// How long a server may be silent.
    pub(crate) fn io_timeout(&self) -> Duration {
        self.connection.io_timeout
    }

    /// Keeps a connection for the next request to its address, or closes it: when more than a
    /// little of a reply is due, or when there are enough.
    pub fn put(&self, mut connection: Connection) {
        if !connection.is_nearly_usable() {
            return;
        }
        // Makes room for what has not come yet.
        connection.discard();
        let now = Instant::now();
        let address = connection.address().clone();
        let mut state = self.state.lock();
        // Its last request was answered.
        state.failed.remove(&address);
        state.sweep(now, self.pool.idle_time);
        let pool = state.pools.entry(address).or_default();
        let surplus = pool.put(connection, now, self.pool.idle_max);
        drop(state);
        drop(surplus);
    }

    /// The same addresses, those that could not be reached or were silent lately last.
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

    /// Reads and decodes the body of a reply and gives the connection back.
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

    /// Gives a connection back after `error` came on it, and remembers a silent peer. A C++ server
    /// closes the connection behind some of its failures, so one that met a failure without a kind
    /// is not kept.
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
            // Readable then means that the peer closed it, or sent what nobody asked for.
            if connection.discard() && !connection.is_readable() {
                return Some(connection);
            }
        }
    }
}

impl State {
    /// Forgives an address that could not be reached.
    fn connected(&mut self, address: &Address) {
        if self
            .failed
            .get(address)
            .is_some_and(|failed| !failed.silent)
        {
            self.failed.remove(address);
        }
    }

    /// Now and then closes what is idle at addresses nobody uses any more.
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
