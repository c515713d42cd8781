//! State that the threads of one server share; hands connections to workers or parks them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use base::{LogThrottle, Stop};
use log::{debug, warn};
use parking_lot::RwLock;
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, getrlimit};

use super::connection::{Activity, Connection};
use super::connection_limit::{ConnectionLimit, Limits};
use super::evict::Evictor;
use super::observer::{NetEvent, NetGauge, Observer};
use super::parking::Parking;
use super::protocol::Protocol;
use super::queue::Queue;
use super::reply_memory::ReplyMemory;
use super::wait::Interest;
use super::waiting::WaitingCount;
use super::worker_pool::WorkerPool;
use crate::config::ServerConfig;

/// File descriptors reserved for the status port, database connections, the log and periodic jobs.
const RESERVED_DESCRIPTORS: usize = 192;

/// Limit on requests that wait for another server: 16 per worker.
const WAITING_PER_WORKER: usize = 16;

/// The limits that follow from the settings. Connections and requests get the descriptors that are not
/// reserved.
pub(crate) fn limits<P: Protocol>(config: &ServerConfig, protocol: &P) -> Limits {
    let files = open_files_max();
    let workers = (config.workers + config.fast_workers) as usize;
    let of_workers = workers * P::WORKER_DESCRIPTORS;
    let reserved = RESERVED_DESCRIPTORS + of_workers + protocol.kept_descriptors();
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

type PoolQueue<P> = Queue<Box<Connection<P>>>;

pub(crate) struct Shared<P: Protocol> {
    pub(crate) protocol: P,
    /// A reload changes all but the numbers of threads.
    pub(crate) config: RwLock<ServerConfig>,
    pub(crate) parking: Parking<P>,
    /// Trips when the server begins to stop.
    pub(crate) stop: Stop,
    slow: PoolQueue<P>,
    fast: PoolQueue<P>,
    pub(crate) limit: Arc<ConnectionLimit>,
    pub(crate) evictor: Evictor,
    pub(crate) unsent: Arc<ReplyMemory>,
    /// Number of requests that wait for other servers.
    pub(crate) upstream: Arc<WaitingCount>,
    /// Limits warnings that no descriptor is left.
    pub(crate) scarce: LogThrottle<()>,
    /// Readable after a stop; wakes the accept thread.
    pub(crate) stop_event: OwnedFd,
    pub(crate) stop_began: OnceLock<Instant>,
    pub(crate) over: AtomicBool,
    /// The id of the next connection.
    pub(crate) next_id: AtomicU64,
    /// Limits warnings of requests that waited too long for a worker.
    pub(crate) late: LogThrottle<()>,
    /// Limits errors of replies whose content cannot be read to its end.
    pub(crate) broken_off: LogThrottle<()>,
}

impl<P: Protocol> Shared<P> {
    pub(crate) fn new(config: &ServerConfig, protocol: P) -> io::Result<Shared<P>> {
        let limit = ConnectionLimit::new(Arc::clone(protocol.observer()));
        limit.set(limits(config, &protocol));
        let unsent = Arc::new(ReplyMemory::default());
        unsent.set(config.connections_max);
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
            stop_event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            stop_began: OnceLock::new(),
            over: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            late: LogThrottle::default(),
            broken_off: LogThrottle::default(),
        })
    }

    /// The current settings.
    pub(crate) fn config(&self) -> ServerConfig {
        self.config.read().clone()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_tripped()
    }

    /// True if connections without a request are closed: the server stops, and the time for a last
    /// request ([`Protocol::LAST_REQUEST`]) is over.
    pub(crate) fn closes_idle(&self) -> bool {
        let began = self.stop_began.get();
        self.is_stopping() && began.is_none_or(|began| began.elapsed() >= P::LAST_REQUEST)
    }

    /// True if all connections are to be dropped at once.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        self.protocol.observer().as_ref()
    }

    /// Queues a connection for a worker of its pool.
    pub(crate) fn hand_over(&self, mut connection: Box<Connection<P>>) {
        connection.queued_at = Instant::now();
        let queued = NetGauge::Queued(connection.pool);
        self.observer().changed(queued, 1);
        let is_new = matches!(connection.activity, Activity::Requested(_));
        let pool = connection.pool;
        self.queue(pool).push(connection, is_new);
    }

    /// Waits for the next connection of the pool; `None` ends the worker.
    pub(crate) fn next_work(&self, pool: WorkerPool) -> Option<Box<Connection<P>>> {
        let connection = self.queue(pool).pop()?;
        self.observer().changed(NetGauge::Queued(pool), -1);
        Some(connection)
    }

    /// True if a connection waits for a worker of the pool.
    pub(crate) fn waiting(&self, pool: WorkerPool) -> bool {
        !self.queue(pool).is_empty()
    }

    /// Takes out requests that have waited `queue_timeout` for a worker of the pool, and reports whether
    /// the pool is stuck.
    pub(crate) fn take_late(&self, pool: WorkerPool) -> Vec<Box<Connection<P>>> {
        let limit = self.config.read().queue_timeout.duration();
        let queue = self.queue(pool);
        let late = queue.expire(limit);
        let observer = self.observer();
        observer.changed(NetGauge::Queued(pool), -(late.len() as i64));
        observer.event(NetEvent::Stuck(pool, queue.is_stuck(limit)));
        late
    }

    /// Logs and counts a request that is answered 'busy' because it waited too long for a worker.
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

    /// Counts the memory of a reply that has to wait; false at the limit, then the connection is to be
    /// closed.
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

    /// Parks a connection until the deadline of its activity.
    pub(crate) fn park(&self, mut connection: Box<Connection<P>>, interest: Interest) {
        if !self.may_wait(&mut connection) {
            return;
        }
        if interest == Interest::Write {
            connection.throttle();
        }
        connection.is_stranger = self
            .protocol
            .is_stranger(&connection.session, connection.peer());
        // The event loop looks at parked connections only: one that asks all the time may never be among them.
        let is_lingering = matches!(connection.activity, Activity::Lingering { .. });
        if !is_lingering && self.is_overdue(&connection) {
            return;
        }
        let (now, config) = (Instant::now(), self.config());
        let mut deadline = match &connection.activity {
            Activity::Sending(sending) if matches!(interest, Interest::Source | Interest::Time) => {
                sending.source_deadline().unwrap_or(now)
            }
            Activity::Requested(_) => now,
            Activity::Idle => match connection.head_since {
                Some(since) => since + config.head_timeout.duration(),
                None => now + config.idle_timeout.duration(),
            },
            Activity::Lingering { until } => *until,
            Activity::Waiting(waiting) => waiting.until(),
            Activity::Receiving(_) | Activity::Sending(_) => {
                now + connection.stall.time_left(config.stall_timeout.duration())
            }
        };
        if connection.is_stranger && !is_lingering {
            deadline = deadline.min(connection.accepted + config.head_timeout.duration());
        }
        self.parking.park(connection, interest, deadline);
        if self.is_stopping() {
            // The event loop may have closed the idle connections just before.
            self.parking.wake();
        }
    }

    /// True at the limit of parked upstream requests. Further ones block their worker, which bounds the
    /// load on a slow server.
    pub(crate) fn is_upstream_full(&self) -> bool {
        let max = self.config.read().workers as usize * WAITING_PER_WORKER;
        self.upstream.now() >= max
    }

    /// Counts bytes that the request of a connection has moved.
    pub(crate) fn note_moved(&self, connection: &mut Connection<P>, bytes: u64) {
        connection.moved += bytes;
        let config = self.config.read();
        let timeout = config.stall_timeout.duration();
        connection
            .stall
            .moved(bytes, config.min_rate.bytes(), timeout);
    }

    /// True if a transfer is below `min_rate` and is to be closed.
    pub(crate) fn is_stalled(&self, connection: &Connection<P>) -> bool {
        let timeout = self.config.read().stall_timeout.duration();
        let is_stalled = connection.stall.is_over(timeout);
        if is_stalled {
            self.observer().event(NetEvent::Stalled);
            debug!("#{}: closed, moves too few bytes", connection.id);
        }
        is_stalled
    }

    /// True if the peer has not proved who it is within `head_timeout`; then the connection is to be closed.
    pub(crate) fn is_overdue(&self, connection: &Connection<P>) -> bool {
        let timeout = self.config.read().head_timeout.duration();
        let is_overdue = connection.is_stranger && connection.accepted.elapsed() >= timeout;
        if is_overdue {
            self.observer().event(NetEvent::Unproved);
            debug!("#{}: closed, not allowed any request", connection.id);
        }
        is_overdue
    }

    pub(crate) fn queue(&self, pool: WorkerPool) -> &PoolQueue<P> {
        match pool {
            WorkerPool::Slow => &self.slow,
            WorkerPool::Fast => &self.fast,
        }
    }
}

/// The limit of open files of this process.
fn open_files_max() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit
        .and_then(|limit| limit.try_into().ok())
        .unwrap_or(usize::MAX)
}

/// Limit on files that a server keeps open for later requests: `wanted`, or an eighth of the files that the process
/// may have open.
pub fn kept_files_max(wanted: usize) -> usize {
    wanted.min(open_files_max() / 8)
}
