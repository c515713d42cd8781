//! The pools of all addresses, and which addresses did not answer lately.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::{Address, DecodeError, ErrorCode};

use crate::lacking::Way;
use crate::pool::Pool;
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

/// What became of one request up to the head of its reply.
pub(crate) struct Exchange {
    /// The connection and the length of the body that is to be read from it.
    pub(crate) result: Result<(Connection, u64), Error>,
    /// Whether the request went out twice, so that the peer may have carried it out twice.
    pub(crate) repeated: bool,
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
        self.call_on(Way::Any, address, request, reply_command, body_max, decode)
    }

    /// As [`PoolManager::call`], on a new connection if need be.
    pub(crate) fn call_on<T>(
        &self,
        way: Way,
        address: &Address,
        request: &[u8],
        reply_command: u8,
        body_max: usize,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, Error> {
        let (connection, body_len) = self.exchange_by(way, address, request, reply_command)?;
        self.finish(connection, body_len, body_max, decode)
    }

    /// As [`PoolManager::exchange`], on a new connection if need be.
    pub(crate) fn exchange_by(
        &self,
        way: Way,
        address: &Address,
        request: &[u8],
        reply_command: u8,
    ) -> Result<(Connection, u64), Error> {
        match way {
            Way::Any => self.exchange(address, request, reply_command).result,
            Way::Fresh => self.exchange_fresh(address, request, reply_command),
        }
    }

    fn exchange_fresh(
        &self,
        address: &Address,
        request: &[u8],
        reply_command: u8,
    ) -> Result<(Connection, u64), Error> {
        let connection = self.connect(address)?;
        self.exchange_on(connection, request, reply_command)
            .map_err(|(error, _)| error)
    }

    /// A connection to `address`, idle or new. It is the caller's; to let others use it again,
    /// [give it back](PoolManager::put).
    ///
    /// # Errors
    /// [`Error::Resolve`] or [`Error::Connect`].
    pub fn get(&self, address: &Address) -> Result<Connection, Error> {
        if let Some(connection) = self.take_idle(address) {
            return Ok(connection);
        }
        self.connect(address)
    }

    /// A new connection to `address`.
    ///
    /// # Errors
    /// [`Error::Resolve`] or [`Error::Connect`].
    pub fn connect(&self, address: &Address) -> Result<Connection, Error> {
        let result = Connection::connect(address, &self.connection);
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

    /// Sends a request and reads the head of its reply, on a fresh connection if a reused one
    /// turns out to be closed.
    pub(crate) fn exchange(
        &self,
        address: &Address,
        request: &[u8],
        reply_command: u8,
    ) -> Exchange {
        let connection = match self.get(address) {
            Ok(connection) => connection,
            Err(error) => return Exchange::new(Err(error)),
        };
        match self.exchange_on(connection, request, reply_command) {
            Ok(done) => Exchange::new(Ok(done)),
            Err((error, false)) => Exchange::new(Err(error)),
            Err((error, true)) => {
                log::debug!("{address}: an idle connection was closed ({error}), trying a new one");
                Exchange {
                    result: self.exchange_fresh(address, request, reply_command),
                    repeated: true,
                }
            }
        }
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

    /// Sends a request on a connection that is idle or new, and does not wait for the reply.
    pub(crate) fn begin(&self, address: &Address, request: &[u8]) -> Result<Connection, Error> {
        let connection = self.get(address)?;
        match self.send_on(connection, request) {
            Ok(connection) => Ok(connection),
            Err((_, true)) => {
                let fresh = self.connect(address)?;
                self.send_on(fresh, request).map_err(|(error, _)| error)
            }
            Err((error, false)) => Err(error),
        }
    }

    /// Reads the head of the reply to a request that was [begun](PoolManager::begin); on a fresh
    /// connection if that one turns out to be closed.
    pub(crate) fn resume(
        &self,
        connection: Connection,
        request: &[u8],
        reply_command: u8,
    ) -> Result<(Connection, u64), Error> {
        let address = connection.address().clone();
        match self.receive_on(connection, reply_command) {
            Ok(done) => Ok(done),
            Err((_, true)) => self.exchange_fresh(&address, request, reply_command),
            Err((error, false)) => Err(error),
        }
    }

    /// One attempt. With the error comes whether to try again on a fresh connection.
    fn exchange_on(
        &self,
        connection: Connection,
        request: &[u8],
        reply_command: u8,
    ) -> Result<(Connection, u64), (Error, bool)> {
        let connection = self.send_on(connection, request)?;
        self.receive_on(connection, reply_command)
    }

    fn send_on(
        &self,
        mut connection: Connection,
        request: &[u8],
    ) -> Result<Connection, (Error, bool)> {
        connection.begin();
        match connection.send(request, "sending the request") {
            Ok(()) => Ok(connection),
            Err(error) => Err(self.give_up(connection, error)),
        }
    }

    fn receive_on(
        &self,
        mut connection: Connection,
        reply_command: u8,
    ) -> Result<(Connection, u64), (Error, bool)> {
        match connection.read_head(reply_command) {
            Ok(body_len) => Ok((connection, body_len)),
            Err(error) => Err(self.give_up(connection, error)),
        }
    }

    fn give_up(&self, connection: Connection, error: Error) -> (Error, bool) {
        let stale = connection.is_stale(&error);
        self.put_after(connection, &error);
        (error, stale)
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

impl Exchange {
    fn new(result: Result<(Connection, u64), Error>) -> Exchange {
        Exchange {
            result,
            repeated: false,
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
