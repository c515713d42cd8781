//! A running server: its threads, and what they share.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use parking_lot::RwLock;
use rustix::event::{EventfdFlags, eventfd};

use super::connection::{Activity, Connection};
use super::evict::Evictor;
use super::limit::{ConnectionLimit, Connections, Limits};
use super::park::Parking;
use super::port::Port;
use super::protocol::{Lane, Protocol};
use super::queue::Queue;
use super::unsent::UnsentLimit;
use super::wait::Interest;
use super::worker::Worker;
use super::{listener, watch};
use crate::config::ServerConfig;
use crate::host;
use crate::logging::Seldom;
use crate::metrics::NetMetrics;
use crate::stop::Stop;
use crate::thread::{self, Thread};

/// After the deadline of a stop, how long threads get to notice.
const ABORT_TIME: Duration = Duration::from_secs(2);

/// Descriptors that are kept for all but connections and their requests: those of a status port, of
/// a pool of database connections, of the log and of the periodic jobs.
const RESERVED_DESCRIPTORS: usize = 192;

/// So many times as many requests as workers may wait for other servers without one.
const WAITING_PER_WORKER: i64 = 16;

/// A server that accepts connections until it is shut down.
pub struct Server {
    name: &'static str,
    addr: SocketAddr,
    control: Box<dyn Control>,
    accepter: Thread,
    threads: Vec<Thread>,
}

/// What [`Server`] does to its threads, whatever protocol they speak.
trait Control: Send + Sync {
    fn begin_stop(&self);
    fn wake(&self);
    fn wait_empty(&self, deadline: Instant) -> bool;
    fn end(&self);
    fn connections(&self) -> Connections;
    fn reload(&self, config: &ServerConfig);
    fn stop_timeout(&self) -> Duration;
}

impl Server {
    /// Binds `addr` (port 0: any free one) and starts the threads. When this returns, clients are
    /// served.
    ///
    /// # Errors
    /// The address cannot be bound, or a thread or descriptor is not to be had.
    pub fn start<P: Protocol>(
        name: &'static str,
        addr: SocketAddr,
        config: &ServerConfig,
        protocol: P,
    ) -> io::Result<Server> {
        Server::serve(name, Port::bind(addr)?, config, protocol)
    }

    /// [`Server::start`] on a port that was bound before.
    ///
    /// # Errors
    /// A thread or descriptor is not to be had, or another process listens on the port since.
    pub fn serve<P: Protocol>(
        name: &'static str,
        port: Port,
        config: &ServerConfig,
        protocol: P,
    ) -> io::Result<Server> {
        let addr = port.addr();
        let listener = port.listen()?;
        let shared = Arc::new(Shared::new(config, protocol)?);
        let threads = start_threads(&shared)?;
        let accepter = Arc::clone(&shared);
        let accepter = thread::spawn("accept", move || listener::run(&accepter, listener))?;
        info!("{name} serving on {addr}");
        Ok(Server {
            name,
            addr,
            control: Box::new(shared),
            accepter,
            threads,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections it has.
    pub fn connections(&self) -> Connections {
        self.control.connections()
    }

    /// Takes on the [`ServerConfig::RELOADED`] of `config`: all but the numbers of threads. More
    /// connections than a lowered limit allows stay until they end.
    pub fn reload(&self, config: &ServerConfig) {
        self.control.reload(config);
    }

    /// Stops accepting, closes idle connections, lets requests in flight finish until the
    /// configured `stop_timeout`, breaks off the rest and joins every thread.
    pub fn shutdown(self) {
        let deadline = Instant::now() + self.control.stop_timeout();
        self.control.begin_stop();
        // The accept thread lets in who is connected already: they are waited for below.
        let accept_end = Instant::now() + listener::HANDSHAKES + ABORT_TIME;
        let mut stuck = thread::join_until([self.accepter], accept_end);
        self.control.wake();
        if !self.control.wait_empty(deadline) {
            warn!(
                "{}: breaking off {} connections",
                self.name,
                self.control.connections().now()
            );
        }
        self.control.end();
        stuck.extend(thread::join_until(
            self.threads,
            Instant::now() + ABORT_TIME,
        ));
        for name in stuck {
            warn!("{}: thread {name} did not end", self.name);
        }
    }
}

fn start_threads<P: Protocol>(shared: &Arc<Shared<P>>) -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    let config = shared.config();
    let lanes = [
        (Lane::Slow, "worker", config.workers),
        (Lane::Fast, "fast", config.fast_workers),
    ];
    for (lane, name, count) in lanes {
        shared.metrics().lane(lane).workers.set(count.into());
        for i in 0..count {
            let worker = Worker::new(Arc::clone(shared), lane);
            threads.push(thread::spawn(&format!("{name}-{i}"), move || worker.run())?);
        }
    }
    let parker = Arc::clone(shared);
    threads.push(thread::spawn("park", move || watch::run(&parker))?);
    Ok(threads)
}

/// The limits of these settings. Connections and their requests get the descriptors that are left by
/// the rest of the process: the status port, the database, probes and logs must never want for one.
fn limits<P: Protocol>(config: &ServerConfig) -> Limits {
    let files = usize::try_from(host::open_files_max()).unwrap_or(usize::MAX);
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
    config: RwLock<ServerConfig>,
    pub(crate) parking: Parking<P>,
    /// Trips when the server begins to stop.
    pub(crate) stop: Stop,
    slow: LaneQueue<P>,
    fast: LaneQueue<P>,
    pub(crate) limit: Arc<ConnectionLimit>,
    pub(crate) evictor: Evictor,
    unsent: Arc<UnsentLimit>,
    /// Warnings that no descriptor was left.
    scarce: Seldom<()>,
    /// Readable from the stop on, for the accept thread.
    pub(crate) bell: OwnedFd,
    stop_began: OnceLock<Instant>,
    over: AtomicBool,
    /// Requests that waited too long for a worker.
    pub(crate) late: Seldom<()>,
    /// Replies whose content could not be had to its end.
    pub(crate) broken_off: Seldom<()>,
}

impl<P: Protocol> Shared<P> {
    fn new(config: &ServerConfig, protocol: P) -> io::Result<Shared<P>> {
        let limit = ConnectionLimit::new(protocol.metrics().open.clone());
        limit.set(limits::<P>(config));
        let unsent = Arc::new(UnsentLimit::default());
        unsent.set(config.connections_max);
        // A connection is in one place at a time: a lane never holds more than all there are, whose
        // number is limited.
        Ok(Shared {
            limit: Arc::new(limit),
            evictor: Evictor::default(),
            unsent,
            scarce: Seldom::default(),
            protocol,
            config: RwLock::new(config.clone()),
            parking: Parking::new()?,
            stop: Stop::new(),
            slow: Queue::new(),
            fast: Queue::new(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            stop_began: OnceLock::new(),
            over: AtomicBool::new(false),
            late: Seldom::default(),
            broken_off: Seldom::default(),
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

    /// Takes the descriptors that a request may need, if need be from a connection that is idle.
    pub(crate) fn may_open(&self, connection: &mut Connection<P>) -> bool {
        if connection.permit.hold(P::DESCRIPTORS) {
            return true;
        }
        while self.make_room(None) {
            if connection.permit.hold(P::DESCRIPTORS) {
                return true;
            }
        }
        self.metrics().refused.inc();
        if let Some(more) = self.scarce.due(()) {
            warn!(
                "{}: busy, no file descriptor is left for a request{more}",
                connection.peer
            );
        }
        false
    }

    pub(crate) fn metrics(&self) -> &NetMetrics {
        self.protocol.metrics()
    }

    /// Gives a connection to the workers of its lane.
    pub(crate) fn hand_over(&self, mut connection: Box<Connection<P>>) {
        connection.queued_at = Instant::now();
        self.metrics().lane(connection.lane).queued.inc();
        let is_new = matches!(connection.activity, Activity::Idle);
        let lane = connection.lane;
        self.queue(lane).push(connection, is_new);
    }

    /// Waits for the next connection of the lane; `None` ends its worker.
    pub(crate) fn next_work(&self, lane: Lane) -> Option<Box<Connection<P>>> {
        let connection = self.queue(lane).pop()?;
        self.metrics().lane(lane).queued.dec();
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
        let metrics = self.metrics().lane(lane);
        metrics.queued.sub(late.len() as i64);
        metrics.stuck.set(queue.is_stuck(limit).into());
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
        self.metrics().late.inc();
    }

    /// Takes note of what a reply that has to wait holds in memory; false when there is too much of
    /// that, and the connection is to be closed.
    pub(crate) fn may_wait(&self, connection: &mut Connection<P>) -> bool {
        let Activity::Sending(sending) = &mut connection.activity else {
            return true;
        };
        let may_wait = sending.hold(&self.unsent);
        if !may_wait {
            self.metrics().unsent.inc();
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
        let max = i64::from(self.config.read().workers) * WAITING_PER_WORKER;
        self.metrics().waiting.get() >= max
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
            self.metrics().stalled.inc();
            debug!("#{}: closed, moves too few bytes", connection.id);
        }
        is_stalled
    }

    fn queue(&self, lane: Lane) -> &LaneQueue<P> {
        match lane {
            Lane::Slow => &self.slow,
            Lane::Fast => &self.fast,
        }
    }
}

impl<P: Protocol> Control for Arc<Shared<P>> {
    fn begin_stop(&self) {
        let _ = self.stop_began.set(Instant::now());
        self.stop.trip();
        // The counter of an eventfd can only be full when it was rung before.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        self.parking.wake();
    }

    fn wake(&self) {
        self.parking.wake();
    }

    fn wait_empty(&self, deadline: Instant) -> bool {
        self.limit.wait_empty(deadline)
    }

    fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.parking.wake();
        let config = self.config();
        for (lane, count) in [
            (Lane::Slow, config.workers),
            (Lane::Fast, config.fast_workers),
        ] {
            self.queue(lane).halt(count);
        }
    }

    fn connections(&self) -> Connections {
        Connections(Arc::clone(&self.limit))
    }

    fn reload(&self, config: &ServerConfig) {
        let mut current = self.config.write();
        *current = ServerConfig {
            workers: current.workers,
            fast_workers: current.fast_workers,
            ..config.clone()
        };
        self.limit.set(limits::<P>(&current));
        self.unsent.set(current.connections_max);
    }

    fn stop_timeout(&self) -> Duration {
        self.config.read().stop_timeout.duration()
    }
}
