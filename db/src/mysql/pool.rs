//! The connections, and the gate in front of them: open while a server serves, shut while none
//! does, so that calls fail at once instead of waiting for time-outs one after the other. The lock
//! is held for an instant only, never while connecting or closing a connection.

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
const PLACE_PATIENCE: Duration = Duration::from_secs(3);
/// How long a call waits for the watcher to find a server in place of one just lost.
const SEARCH_PATIENCE: Duration = Duration::from_secs(1);
/// An idle connection may have been closed by the server. A statement that must not be sent twice
/// asks one that was idle for longer than this whether it is alive.
const TRUSTED_FOR: Duration = Duration::from_millis(500);
/// Connections idle for longer are replaced: firewalls forget them without telling anybody.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// The server in use. The generation tells connections of earlier times from those of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) host: usize,
    pub(super) generation: u64,
}

#[derive(Debug)]
pub(super) enum Gate {
    /// The watcher looks for a server; it will be known soon.
    Searching,
    Open(Chosen),
    /// No server can be used; this is what calls are told.
    Shut(DbError),
    Closed,
}

pub(super) struct Pool {
    connector: Arc<Connector>,
    state: Mutex<State>,
    /// The gate moved, or a place came free.
    changed: Condvar,
    /// Wakes the watcher; disconnected by closing.
    wake: Mutex<Option<Sender<()>>>,
    woken: Receiver<()>,
}

struct State {
    gate: Gate,
    /// Why the server in use takes no writes; none when it does.
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
            gate: Gate::Searching,
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

    /// Runs `work` with a connection, an idle one or a new one. A connection that failed is not
    /// used again, nor is one of a panic.
    pub(super) fn with_session<T>(
        &self,
        effect: Effect,
        work: impl FnOnce(&mut Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (chosen, idle) = self.take(effect)?;
        let mut place = Place {
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
            _ => place.session = Some(session),
        }
        result
    }

    /// The idle connection, if it can be relied upon, or a new one.
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

    /// A server failed: unless that is known already, the watcher looks which one serves now.
    fn note(&self, chosen: Chosen, failure: &Failure) {
        let mut state = self.state.lock();
        if !matches!(state.gate, Gate::Open(now) if now == chosen) {
            return;
        }
        let host = &self.connector.hosts()[chosen.host];
        log::debug!("database server {host} failed: {failure}");
        state.gate = Gate::Searching;
        state.reads_only = None;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
        self.wake();
    }

    fn wake(&self) {
        if let Some(wake) = &*self.wake.lock() {
            // One message that waits is enough.
            let _ = wake.try_send(());
        }
    }

    /// Where the watcher is woken.
    pub(super) fn woken(&self) -> &Receiver<()> {
        &self.woken
    }

    /// Runs `look` on the gate.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Gate) -> T) -> T {
        look(&self.state.lock().gate)
    }

    /// What the gate lets through.
    pub(super) fn availability(&self) -> Availability {
        let state = self.state.lock();
        Availability::of_both(match &state.gate {
            Gate::Open(_) => {
                return Availability {
                    reads: Ok(()),
                    writes: state.reads_only.clone().map_or(Ok(()), Err),
                };
            }
            Gate::Searching => Err(still_searching()),
            Gate::Shut(error) => Err(error.clone()),
            Gate::Closed => Err(DbError::Closed),
        })
    }

    /// Whether no call has used a connection for so long: nobody knows then whether the server
    /// still serves.
    pub(super) fn is_unused_for(&self, time: Duration) -> bool {
        let state = self.state.lock();
        state.lent == 0 && state.idle.iter().all(|idle| idle.since.elapsed() >= time)
    }

    /// The host in use, and whether it takes reads only.
    pub(super) fn in_use(&self) -> Option<(usize, bool)> {
        let state = self.state.lock();
        match state.gate {
            Gate::Open(chosen) => Some((chosen.host, state.reads_only.is_some())),
            _ => None,
        }
    }

    /// Lets calls through to `host`, those that write only if there is no reason against it;
    /// connections to others are dropped.
    pub(super) fn open(&self, host: usize, reads_only: Option<DbError>) {
        {
            let mut state = self.state.lock();
            let is_same = matches!(state.gate, Gate::Open(now) if now.host == host);
            if is_same && state.reads_only.is_some() && reads_only.is_some() {
                state.reads_only = reads_only;
                return;
            }
        }
        self.set(reads_only, |generation| {
            Gate::Open(Chosen { host, generation })
        });
    }

    /// Fails calls with `error` from now on.
    pub(super) fn shut(&self, error: DbError) {
        self.set(None, |_| Gate::Shut(error));
    }

    /// Fails calls for good.
    pub(super) fn close(&self) {
        self.set(None, |_| Gate::Closed);
        drop(self.wake.lock().take());
    }

    fn set(&self, reads_only: Option<DbError>, gate: impl FnOnce(u64) -> Gate) {
        let mut state = self.state.lock();
        if matches!(state.gate, Gate::Closed) {
            return;
        }
        state.generation += 1;
        state.gate = gate(state.generation);
        state.reads_only = reads_only;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        self.changed.notify_all();
        drop(idle);
    }

    /// The server in use, the right to a connection, and the connection if there is an idle one.
    fn take(&self, effect: Effect) -> Result<(Chosen, Option<Idle>), Failure> {
        let began = Instant::now();
        let mut state = self.state.lock();
        loop {
            let chosen = match &state.gate {
                Gate::Closed => return Err(DbError::Closed.into()),
                Gate::Shut(error) => return Err(error.clone().into()),
                Gate::Searching => None,
                Gate::Open(chosen) => Some(*chosen),
            };
            if let (Some(why), true) = (&state.reads_only, effect != Effect::Read) {
                return Err(why.clone().into());
            }
            let (patience, error) = match chosen {
                Some(chosen) if state.lent < self.connector.connections_max() => {
                    state.lent += 1;
                    return Ok((chosen, state.idle.pop()));
                }
                Some(_) => (PLACE_PATIENCE, no_place()),
                None => (SEARCH_PATIENCE, still_searching()),
            };
            if self
                .changed
                .wait_until(&mut state, began + patience)
                .timed_out()
            {
                return Err(error.into());
            }
        }
    }

    fn give_back(&self, session: Option<Session>, generation: u64) {
        let mut state = self.state.lock();
        state.lent -= 1;
        let is_current = matches!(state.gate, Gate::Open(now) if now.generation == generation);
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

fn no_place() -> DbError {
    DbError::TimedOut {
        what: "waiting for a connection",
    }
}

fn still_searching() -> DbError {
    DbError::Away {
        source: Arc::new(io::Error::other("no server found yet")),
    }
}

/// Gives the right to a connection back, also after a panic.
struct Place<'a> {
    pool: &'a Pool,
    generation: u64,
    session: Option<Session>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool.give_back(self.session.take(), self.generation);
    }
}
