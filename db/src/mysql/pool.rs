//! The pool of connections to the server in use. While no server serves, calls fail at once instead of
//! waiting for time-outs one after the other. The lock is never held while connecting or closing a
//! connection.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::{Condvar, Mutex};

use super::Effect;
use super::connect::Connector;
use super::failure::Failure;
use super::session::Session;
use crate::{Availability, DbError};

/// How long a call waits for a free connection.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(3);
/// How long a call waits for the monitor to find another server.
const SEARCH_WAIT_MAX: Duration = Duration::from_secs(1);
/// A connection that was idle for longer is pinged before a statement that must not be sent twice: the
/// server may have closed it.
const TRUSTED_FOR: Duration = Duration::from_millis(500);
/// Connections that were idle for longer are replaced: firewalls drop them silently.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// The server in use. The generation distinguishes old connections from current ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) host: usize,
    pub(super) generation: u64,
}

#[derive(Debug)]
pub(super) enum ServerStatus {
    /// The monitor is looking for a server.
    Searching,
    Open(Chosen),
    /// No server can be used; the error of all calls.
    Unavailable(DbError),
    Closed,
}

pub(super) struct Pool {
    connector: Arc<Connector>,
    state: Mutex<State>,
    /// Signals a changed status or a returned connection.
    changed: Condvar,
    /// Wakes the monitor; disconnected by closing.
    wake: Mutex<Option<Sender<()>>>,
    woken: Receiver<()>,
}

struct State {
    status: ServerStatus,
    /// Why the server in use takes no writes, if it takes none.
    reads_only: Option<DbError>,
    generation: u64,
    idle: Vec<Idle>,
    lent: usize,
}

struct Idle {
    session: Session,
    since: Instant,
}

impl Pool {
    pub(super) fn new(connector: Arc<Connector>) -> Pool {
        let (wake, woken) = crossbeam_channel::bounded(1);
        let state = State {
            status: ServerStatus::Searching,
            reads_only: None,
            generation: 0,
            idle: Vec::new(),
            lent: 0,
        };
        Pool {
            connector,
            state: Mutex::new(state),
            changed: Condvar::new(),
            wake: Mutex::new(Some(wake)),
            woken,
        }
    }

    /// Runs `work` with a connection, an idle one or a new one. The connection is not reused after a
    /// failure of the server or a panic.
    pub(super) fn with_session<T>(
        &self,
        effect: Effect,
        work: impl FnOnce(&mut Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (chosen, idle) = self.take(effect)?;
        let mut permit = ConnectionPermit {
            pool: self,
            generation: chosen.generation,
            session: None,
        };
        let mut session = self
            .ready(chosen, idle, effect)
            .inspect_err(|e| self.note(chosen, e))?;
        let result = work(&mut session);
        match &result {
            Err(failure) if failure.is_of_the_server(effect) => self.note(chosen, failure),
            _ => permit.session = Some(session),
        }
        result
    }

    /// The idle connection, if it is alive, or a new one.
    fn ready(
        &self,
        chosen: Chosen,
        idle: Option<Idle>,
        effect: Effect,
    ) -> Result<Session, Failure> {
        if let Some(mut idle) = idle {
            let age = idle.since.elapsed();
            let is_sound = age < IDLE_MAX
                && (effect != Effect::Once || age < TRUSTED_FOR || idle.session.0.ping().is_ok());
            if is_sound {
                return Ok(idle.session);
            }
        }
        let connected = self.connector.connect(chosen.host);
        connected.map_err(Failure::while_connecting)
    }

    /// Records that a server failed, and wakes the monitor to choose another.
    fn note(&self, chosen: Chosen, failure: &Failure) {
        let mut state = self.state.lock();
        if !matches!(state.status, ServerStatus::Open(now) if now == chosen) {
            return;
        }
        let host = &self.connector.hosts()[chosen.host];
        log::debug!("database server {host} failed: {failure}");
        state.status = ServerStatus::Searching;
        state.reads_only = None;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
        self.wake();
    }

    fn wake(&self) {
        if let Some(wake) = &*self.wake.lock() {
            // A full channel means that the monitor will wake anyway.
            let _ = wake.try_send(());
        }
    }

    /// Wakes the monitor.
    pub(super) fn woken(&self) -> &Receiver<()> {
        &self.woken
    }

    /// Applies `look` to the status.
    pub(super) fn look<T>(&self, look: impl FnOnce(&ServerStatus) -> T) -> T {
        look(&self.state.lock().status)
    }

    pub(super) fn availability(&self) -> Availability {
        let state = self.state.lock();
        Availability::of_both(match &state.status {
            ServerStatus::Open(_) => {
                return Availability {
                    reads: Ok(()),
                    writes: state.reads_only.clone().map_or(Ok(()), Err),
                };
            }
            ServerStatus::Searching => Err(still_searching()),
            ServerStatus::Unavailable(error) => Err(error.clone()),
            ServerStatus::Closed => Err(DbError::Closed),
        })
    }

    /// True if no call has used a connection for `time`, so that a failed server may be unnoticed.
    pub(super) fn is_unused_for(&self, time: Duration) -> bool {
        let state = self.state.lock();
        state.lent == 0 && state.idle.iter().all(|idle| idle.since.elapsed() >= time)
    }

    /// The host in use, and whether it takes reads only.
    pub(super) fn in_use(&self) -> Option<(usize, bool)> {
        let state = self.state.lock();
        match state.status {
            ServerStatus::Open(chosen) => Some((chosen.host, state.reads_only.is_some())),
            _ => None,
        }
    }

    /// Uses `host` from now on; writes fail if `reads_only` is set. Connections to other hosts are dropped.
    pub(super) fn open(&self, host: usize, reads_only: Option<DbError>) {
        {
            let mut state = self.state.lock();
            let is_same = matches!(state.status, ServerStatus::Open(now) if now.host == host);
            if is_same && state.reads_only.is_some() && reads_only.is_some() {
                state.reads_only = reads_only;
                return;
            }
        }
        self.set(reads_only, |generation| {
            ServerStatus::Open(Chosen { host, generation })
        });
    }

    /// Fails calls with `error` from now on.
    pub(super) fn shut(&self, error: DbError) {
        self.set(None, |_| ServerStatus::Unavailable(error));
    }

    /// Fails all calls from now on.
    pub(super) fn close(&self) {
        self.set(None, |_| ServerStatus::Closed);
        drop(self.wake.lock().take());
    }

    fn set(&self, reads_only: Option<DbError>, status: impl FnOnce(u64) -> ServerStatus) {
        let mut state = self.state.lock();
        if matches!(state.status, ServerStatus::Closed) {
            return;
        }
        state.generation += 1;
        state.status = status(state.generation);
        state.reads_only = reads_only;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        self.changed.notify_all();
        drop(idle);
    }

    /// Takes a permit for the server in use, and an idle connection if there is one.
    fn take(&self, effect: Effect) -> Result<(Chosen, Option<Idle>), Failure> {
        let began = Instant::now();
        let mut state = self.state.lock();
        loop {
            let chosen = match &state.status {
                ServerStatus::Closed => return Err(DbError::Closed.into()),
                ServerStatus::Unavailable(error) => return Err(error.clone().into()),
                ServerStatus::Searching => None,
                ServerStatus::Open(chosen) => Some(*chosen),
            };
            if let (Some(why), true) = (&state.reads_only, effect != Effect::Read) {
                return Err(why.clone().into());
            }
            let (wait_max, error) = match chosen {
                Some(chosen) if state.lent < self.connector.connections_max() => {
                    state.lent += 1;
                    return Ok((chosen, state.idle.pop()));
                }
                Some(_) => (CONNECTION_WAIT_MAX, no_connection()),
                None => (SEARCH_WAIT_MAX, still_searching()),
            };
            if self
                .changed
                .wait_until(&mut state, began + wait_max)
                .timed_out()
            {
                return Err(error.into());
            }
        }
    }

    fn give_back(&self, session: Option<Session>, generation: u64) {
        let mut state = self.state.lock();
        state.lent -= 1;
        let is_current =
            matches!(state.status, ServerStatus::Open(now) if now.generation == generation);
        let mut stale = session;
        if is_current && let Some(session) = stale.take() {
            state.idle.push(Idle {
                session,
                since: Instant::now(),
            });
        }
        drop(state);
        self.changed.notify_one();
        drop(stale);
    }
}

fn no_connection() -> DbError {
    DbError::TimedOut {
        what: "waiting for a connection",
    }
}

fn still_searching() -> DbError {
    DbError::Away {
        source: Arc::new(io::Error::other("no server found yet")),
    }
}

/// Returns the permit when dropped, also after a panic.
struct ConnectionPermit<'a> {
    pool: &'a Pool,
    generation: u64,
    session: Option<Session>,
}

impl Drop for ConnectionPermit<'_> {
    fn drop(&mut self) {
        self.pool.give_back(self.session.take(), self.generation);
    }
}
