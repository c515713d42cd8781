//! Where connections wait that nobody works on.
//!
//! One thread on epoll. A connection stays registered from accept to close, armed for one event at
//! a time (`EPOLLONESHOT`); any thread may park one, only this thread takes one out.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use log::{debug, error};
use parking_lot::Mutex;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use super::connection::{Activity, Connection, Filled, read_now};
use super::protocol::{Protocol, Readiness};
use super::server::Shared;
use super::wait::Interest;

/// How often deadlines are looked at: how late one may be noticed.
const SWEEP: Duration = Duration::from_millis(500);
const EVENTS: usize = 512;
const WAKE: u64 = u64::MAX;
/// What is read of a peer that was answered for the last time, at once.
const SCRATCH: usize = 64 << 10;

pub(crate) struct Parking<P: Protocol> {
    epoll: OwnedFd,
    wake: OwnedFd,
    parked: Mutex<HashMap<u64, Parked<P>>>,
}

struct Parked<P: Protocol> {
    connection: Box<Connection<P>>,
    interest: Interest,
    since: Instant,
    deadline: Instant,
}

impl<P: Protocol> Parked<P> {
    /// The connection, with the time that it waited for its peer.
    fn take(mut self) -> Box<Connection<P>> {
        if self.interest != Interest::Source {
            self.connection.pace.waited(self.since.elapsed());
        }
        self.connection
    }
}

impl<P: Protocol> Parking<P> {
    pub(crate) fn new() -> io::Result<Parking<P>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Parking {
            epoll,
            wake,
            parked: Mutex::new(HashMap::new()),
        })
    }

    /// Makes a new connection known, without waiting for anything yet.
    pub(crate) fn register(&self, connection: &Connection<P>) -> io::Result<()> {
        let data = EventData::new_u64(connection.id);
        epoll::add(&self.epoll, &connection.stream, data, EventFlags::ONESHOT)?;
        Ok(())
    }

    /// Lets a connection wait until it is ready or its deadline has passed.
    pub(crate) fn park(
        &self,
        connection: Box<Connection<P>>,
        interest: Interest,
        deadline: Instant,
    ) {
        let id = connection.id;
        let flags = EventFlags::ONESHOT
            | match interest {
                Interest::Read | Interest::Source => EventFlags::IN | EventFlags::RDHUP,
                Interest::Write => EventFlags::OUT,
            };
        let parked = Parked {
            connection,
            interest,
            since: Instant::now(),
            deadline,
        };
        // Armed under the lock: the event must not come before the connection is in the map.
        let mut map = self.parked.lock();
        let armed = self.arm(parked.connection.socket(interest), id, flags);
        match armed {
            Ok(()) => drop(map.insert(id, parked)),
            Err(e) => {
                drop(map);
                debug!("#{id}: closed, cannot be watched: {e}");
            }
        }
    }

    /// Watches a socket for one event. That of a source may be known from an earlier connection,
    /// or not at all.
    fn arm(&self, socket: &TcpStream, id: u64, flags: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(id);
        match epoll::modify(&self.epoll, socket, data, flags) {
            Err(Errno::NOENT) => Ok(epoll::add(&self.epoll, socket, data, flags)?),
            armed => Ok(armed?),
        }
    }

    /// Ends the wait of the parking thread.
    pub(crate) fn wake(&self) {
        // The counter of an eventfd can only be full when a wake-up is due anyway.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Closes the connection that has been idle for longest; false when none is.
    pub(crate) fn evict_idle(&self) -> bool {
        let mut map = self.parked.lock();
        let is_idle = |p: &&Parked<P>| matches!(p.connection.activity, Activity::Idle);
        let idle = map.values().filter(is_idle);
        let oldest = idle.min_by_key(|p| p.connection.last_request);
        let evicted = oldest
            .map(|p| p.connection.id)
            .and_then(|id| map.remove(&id));
        drop(map);
        evicted.is_some_and(|parked| {
            debug!(
                "#{}: closed, idle longest of too many connections",
                parked.connection.id
            );
            true
        })
    }

    fn take(&self, id: u64) -> Option<Box<Connection<P>>> {
        self.parked.lock().remove(&id).map(Parked::take)
    }

    fn take_if(&self, wanted: impl Fn(&Parked<P>) -> bool) -> Vec<Box<Connection<P>>> {
        let mut map = self.parked.lock();
        let ids: Vec<u64> = map
            .iter()
            .filter(|(_, p)| wanted(p))
            .map(|(&id, _)| id)
            .collect();
        let parked: Vec<_> = ids.iter().filter_map(|id| map.remove(id)).collect();
        drop(map);
        parked.into_iter().map(Parked::take).collect()
    }
}

/// The parking thread. Ends when the last connection is closed after a stop, or at its deadline.
pub(crate) fn run<P: Protocol>(shared: &Shared<P>) {
    let mut events = Vec::with_capacity(EVENTS);
    let mut scratch = vec![0; SCRATCH];
    let mut swept = Instant::now();
    while !shared.is_over() {
        // One connection must not cost all others their watchman.
        let round = || round(shared, &mut events, &mut scratch, &mut swept);
        if catch_unwind(AssertUnwindSafe(round)).is_err() {
            error!("watching a connection panicked, it is closed");
        }
    }
    shared.parking.parked.lock().clear();
}

fn round<P: Protocol>(
    shared: &Shared<P>,
    events: &mut Vec<Event>,
    scratch: &mut [u8],
    swept: &mut Instant,
) {
    events.clear();
    wait_events(shared, events);
    for event in events.iter() {
        let id = event.data.u64();
        if id == WAKE {
            drain(&shared.parking.wake);
        } else if let Some(connection) = shared.parking.take(id) {
            advance(shared, connection, scratch);
        }
    }
    if shared.closes_idle() {
        close_idle(shared, scratch);
    }
    if swept.elapsed() >= SWEEP {
        *swept = Instant::now();
        sweep(shared, *swept);
    }
}

fn wait_events<P: Protocol>(shared: &Shared<P>, events: &mut Vec<Event>) {
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: SWEEP.subsec_nanos().into(),
    };
    let buffer = rustix::buffer::spare_capacity(events);
    match epoll::wait(&shared.parking.epoll, buffer, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(e) => error!("epoll: {e}"),
    }
}

/// Something has come, or can be sent.
fn advance<P: Protocol>(shared: &Shared<P>, connection: Box<Connection<P>>, scratch: &mut [u8]) {
    match connection.activity {
        Activity::Idle => read_request(shared, connection, scratch),
        Activity::Lingering { until } => discard(shared, connection, until, scratch),
        Activity::Receiving(_) | Activity::Sending(_) => shared.hand_over(connection),
    }
}

fn read_request<P: Protocol>(
    shared: &Shared<P>,
    mut connection: Box<Connection<P>>,
    scratch: &mut [u8],
) {
    match connection.fill_inbox(scratch) {
        Ok(Filled::Some(len)) => shared.metrics().received.inc_by(len as u64),
        Ok(Filled::Nothing) => return shared.park(connection, Interest::Read),
        Ok(Filled::Eof) => {
            if !connection.inbox.is_empty() {
                debug!("#{}: closed by the peer within a request", connection.id);
            }
            return;
        }
        Err(e) => return debug!("#{}: {e}", connection.id),
    }
    match shared.protocol.readiness(connection.inbox.bytes()) {
        Readiness::More => shared.park(connection, Interest::Read),
        Readiness::Serve(lane) => {
            connection.lane = lane;
            shared.hand_over(connection);
        }
    }
}

/// Throws away what a peer still sends after its last reply.
fn discard<P: Protocol>(
    shared: &Shared<P>,
    connection: Box<Connection<P>>,
    until: Instant,
    scratch: &mut [u8],
) {
    // A peer that never stops sending has until `until`, and this thread other work: one read.
    match read_now(&connection.stream, scratch) {
        Ok(Some(0)) | Err(_) => {}
        Ok(_) if Instant::now() < until => shared.park(connection, Interest::Read),
        Ok(_) => {}
    }
}

/// On a stop: connections without a request in hand are closed, after a last look for one.
fn close_idle<P: Protocol>(shared: &Shared<P>, scratch: &mut [u8]) {
    let at_rest = |parked: &Parked<P>| {
        matches!(
            parked.connection.activity,
            Activity::Idle | Activity::Lingering { .. }
        )
    };
    for mut connection in shared.parking.take_if(at_rest) {
        let idle = matches!(connection.activity, Activity::Idle);
        if idle
            && let Ok(Filled::Some(len)) = connection.fill_inbox(scratch)
            && let Readiness::Serve(lane) = shared.protocol.readiness(connection.inbox.bytes())
        {
            shared.metrics().received.inc_by(len as u64);
            connection.lane = lane;
            shared.hand_over(connection);
        }
    }
}

/// Closes what is past its deadline.
fn sweep<P: Protocol>(shared: &Shared<P>, now: Instant) {
    for mut connection in shared.parking.take_if(|parked| parked.deadline <= now) {
        match &mut connection.activity {
            Activity::Idle if connection.inbox.is_empty() => {
                shared.metrics().idle.inc();
                debug!("#{}: closed, idle for too long", connection.id);
            }
            Activity::Idle => {
                shared.metrics().slow_head.inc();
                debug!("#{}: closed, request came too slowly", connection.id);
            }
            Activity::Lingering { .. } => {}
            Activity::Sending(sending) if sending.starved_until().is_some() => {
                sending.abandon_source();
                shared.hand_over(connection);
            }
            Activity::Receiving(_) | Activity::Sending(_) => {
                // Back to a worker in any case: to go on measuring, or to drop what it holds.
                connection.expired = shared.too_slow(&mut connection.pace);
                shared.hand_over(connection);
            }
        }
    }
}

fn drain(wake: &OwnedFd) {
    let mut counter = [0; 8];
    let _ = rustix::io::read(wake, &mut counter);
}
