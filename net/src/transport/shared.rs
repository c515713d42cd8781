//! What the threads of one server share, and where connections go next: to a worker, or to wait.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use base::{LogThrottle, Stop};
use log::{debug, warn};
use parking_lot::RwLock;
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, getrlimit};

use super::connection::{Activity, Connection};
use super::evict::Evictor;
use super::lane::Lane;
use super::limit::{ConnectionLimit, Limits};
use super::observer::{NetEvent, NetLevel, Observer};
use super::park::Parking;
use super::protocol::Protocol;
use super::queue::Queue;
use super::unsent::UnsentLimit;
use super::wait::Interest;
use super::waiting::WaitingCount;
use crate::config::ServerConfig;

/// Descriptors that are kept for all but connections and their requests: those of a status port, of
/// a pool of database connections, of the log and of the periodic jobs.
const RESERVED_DESCRIPTORS: usize = 192;

/// Limit on requests that wait for another server: 16 per worker.
const WAITING_PER_WORKER: usize = 16;

/// The limits of these settings. Connections and their requests get the descriptors that are left by
/// the rest of the process: the status port, the database, probes and logs must never want for one.
pub(crate) fn limits<P: Protocol>(config: &ServerConfig) -> Limits {
    let files = usize::try_from(open_files_max()).unwrap_or(usize::MAX);
    let workers = (config.workers + config.fast_workers) as usize;
    let reserved = RESERVED_DESCRIPTORS + workers * P::WORKER_DESCRIPTORS;
    let descriptors = files.saturating_sub(reserved).max(files / 4).max(1);
    let wanted = config.connections_max as usize;
    let connections = wanted.min(descriptors);
    if connections < wanted {
        warn!("connections_max is {connections}, not {wanted}: only {files} files may be open");
    }
    let per_client = config.connections_per_address.map(|max| max as usize);
    Limits {
        connections,
        per_client: per_client.unwrap_or(connections.div_ceil(P::CLIENT_SHARE)),
        loopback: per_client.unwrap_or(connections),
        descriptors,
        last_descriptors: if P::USES_LAST_DESCRIPTORS {
            usize::MAX
        } else {
            files - (RESERVED_DESCRIPTORS / 2).min(files / 8)
        },
    }
}

type LaneQueue<P> = Queue<Box<Connection<P>>>;

/// What the threads of one server share.
pub(crate) struct Shared<P: Protocol> {
    pub(crate) protocol: P,
    /// All but the numbers of threads may change.
    pub(crate) config: RwLock<ServerConfig>,
    pub(crate) parking: Parking<P>,
    /// Trips when the server begins to stop.
    pub(crate) stop: Stop,
    slow: LaneQueue<P>,
    fast: LaneQueue<P>,
    pub(crate) limit: Arc<ConnectionLimit>,
    pub(crate) evictor: Evictor,
    pub(crate) unsent: Arc<UnsentLimit>,
    /// Requests that wait for other servers.
    pub(crate) upstream: Arc<WaitingCount>,
    /// Warnings that no descriptor was left.
    pub(crate) scarce: LogThrottle<()>,
    /// Readable from the stop on, for the accept thread.
    pub(crate) bell: OwnedFd,
    pub(crate) stop_began: OnceLock<Instant>,
    pub(crate) over: AtomicBool,
    /// Requests that waited too long for a worker.
    pub(crate) late: LogThrottle<()>,
    /// Replies whose content could not be had to its end.
    pub(crate) broken_off: LogThrottle<()>,
}

impl<P: Protocol> Shared<P> {
    pub(crate) fn new(config: &ServerConfig, protocol: P) -> io::Result<Shared<P>> {
        let limit = ConnectionLimit::new(Arc::clone(protocol.observer()));
        limit.set(limits::<P>(config));
        let unsent = Arc::new(UnsentLimit::default());
        unsent.set(config.connections_max);
        // A connection is in one place at a time: a lane never holds more than all there are, whose
        // number is limited.
        Ok(Shared {
            limit: Arc::new(limit),
            evictor: Evictor::default(),
            unsent,
            upstream: WaitingCount::new(Arc::clone(protocol.observer())),
            scarce: LogThrottle::default(),
            protocol,
            config: RwLock::new(config.clone()),
            parking: Parking::new()?,
            stop: Stop::new(),
            slow: Queue::new(),
            fast: Queue::new(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            stop_began: OnceLock::new(),
            over: AtomicBool::new(false),
            late: LogThrottle::default(),
            broken_off: LogThrottle::default(),
        })
    }

    /// The settings as they are now.
    pub(crate) fn config(&self) -> ServerConfig {
        self.config.read().clone()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_tripped()
    }

    /// Whether connections without a request are closed: the server stops, and they have had the
    /// time to send one more that the protocol leaves them.
    pub(crate) fn closes_idle(&self) -> bool {
        let began = self.stop_began.get();
        self.is_stopping() && began.is_none_or(|began| began.elapsed() >= P::LAST_REQUEST)
    }

    /// Whether everything is to be dropped at once.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        self.protocol.observer().as_ref()
    }

    /// Gives a connection to the workers of its lane.
    pub(crate) fn hand_over(&self, mut connection: Box<Connection<P>>) {
        connection.queued_at = Instant::now();
        let queued = NetLevel::Queued(connection.lane);
        self.observer().changed(queued, 1);
        let is_new = matches!(connection.activity, Activity::Idle);
        let lane = connection.lane;
        self.queue(lane).push(connection, is_new);
    }

    /// Waits for the next connection of the lane; `None` ends its worker.
    pub(crate) fn next_work(&self, lane: Lane) -> Option<Box<Connection<P>>> {
        let connection = self.queue(lane).pop()?;
        self.observer().changed(NetLevel::Queued(lane), -1);
        Some(connection)
    }

    /// Whether a connection waits for a worker of the lane.
    pub(crate) fn waiting(&self, lane: Lane) -> bool {
        !self.queue(lane).is_empty()
    }

    /// Takes out the requests that have waited `queue_timeout` for a worker of the lane, and notes
    /// whether its workers move at all.
    pub(crate) fn take_late(&self, lane: Lane) -> Vec<Box<Connection<P>>> {
        let limit = self.config.read().queue_timeout.duration();
        let queue = self.queue(lane);
        let late = queue.expire(limit);
        let observer = self.observer();
        observer.changed(NetLevel::Queued(lane), -(late.len() as i64));
        observer.event(NetEvent::Stuck(lane, queue.is_stuck(limit)));
        late
    }

    /// Counts a request that is answered 'busy' because it has waited too long for a worker.
    pub(crate) fn note_late(&self, connection: &Connection<P>) {
        let waited = connection.queued_at.elapsed();
        if let Some(more) = self.late.due(()) {
            warn!(
                "{}: busy, waited {waited:?} for a worker{more}",
                connection.peer
            );
        }
        self.observer().event(NetEvent::Late);
    }

    /// Takes note of what a reply that has to wait holds in memory; false when there is too much of
    /// that, and the connection is to be closed.
    pub(crate) fn may_wait(&self, connection: &mut Connection<P>) -> bool {
        let Activity::Sending(sending) = &mut connection.activity else {
            return true;
        };
        let may_wait = sending.hold(&self.unsent);
        if !may_wait {
            self.observer().event(NetEvent::Unsent);
            debug!(
                "#{}: closed, too many replies wait in memory",
                connection.id
            );
        }
        may_wait
    }

    /// Lets a connection wait, for as long as what it is at allows.
    pub(crate) fn park(&self, mut connection: Box<Connection<P>>, interest: Interest) {
        if !self.may_wait(&mut connection) {
            return;
        }
        if interest == Interest::Write {
            connection.slow_down();
        }
        let (now, config) = (Instant::now(), self.config());
        let deadline = match &connection.activity {
            Activity::Sending(sending) if matches!(interest, Interest::Source | Interest::Time) => {
                sending.starved_until().unwrap_or(now)
            }
            Activity::Idle => match connection.head_since {
                Some(since) => since + config.head_timeout.duration(),
                None => now + config.idle_timeout.duration(),
            },
            Activity::Lingering { until } => *until,
            Activity::Waiting(waiting) => waiting.until(),
            Activity::Receiving(_) | Activity::Sending(_) => {
                now + connection.pace.patience(config.stall_timeout.duration())
            }
        };
        self.parking.park(connection, interest, deadline);
        if self.is_stopping() {
            // The parking thread may have looked for idle connections just before.
            self.parking.wake();
        }
    }

    /// Whether so many requests wait for other servers that one more is to hold its worker: what a
    /// slow server has been asked must not grow without bound.
    pub(crate) fn is_crowded(&self) -> bool {
        let max = self.config.read().workers as usize * WAITING_PER_WORKER;
        self.upstream.now() >= max
    }

    /// Whether a transfer has moved too few bytes for the time that its peer was waited for: it is to
    /// be closed.
    pub(crate) fn is_stalled(&self, connection: &mut Connection<P>) -> bool {
        let config = self.config();
        let stall_timeout = config.stall_timeout.duration();
        let rate = u128::from(config.min_rate.bytes());
        let bytes_min = rate * stall_timeout.as_millis() / 1000;
        let bytes_min = u64::try_from(bytes_min).unwrap_or(u64::MAX).max(1);
        let is_stalled = connection.pace.too_slow(stall_timeout, bytes_min);
        if is_stalled {
            self.observer().event(NetEvent::Stalled);
            debug!("#{}: closed, moves too few bytes", connection.id);
        }
        is_stalled
    }

    pub(crate) fn queue(&self, lane: Lane) -> &LaneQueue<P> {
        match lane {
            Lane::Slow => &self.slow,
            Lane::Fast => &self.fast,
        }
    }
}

/// How many files this process may have open at a time.
fn open_files_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
