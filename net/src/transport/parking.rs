//! Connections that wait for an event, in an epoll set. The event loop ([`super::event_loop`]) and idle
//! workers poll it.
//!
//! A socket stays registered until it is closed, armed for one event at a time (`EPOLLONESHOT`): the
//! thread that gets the event takes the connection out. The socket of another server may serve several
//! connections in turn, so an event may belong to an earlier wait.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use log::{debug, error};
use parking_lot::Mutex;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::connection::{Activity, Connection};
use super::processors;
use super::protocol::Protocol;
use super::wait::{Interest, timespec};

/// Number of maps, and so of threads that park and take out at the same time.
const MAPS: usize = 16;
/// The event of `wake_event`, which belongs to no connection.
const WAKE: u64 = u64::MAX;

type Map<P> = Mutex<HashMap<u64, Parked<P>>>;

pub(crate) struct Parking<P: Protocol> {
    epoll: OwnedFd,
    wake_event: OwnedFd,
    /// Connections by id. A map is locked while one of its connections is armed.
    parked: [Map<P>; MAPS],
    /// Workers that poll now, or serve a connection that they polled for.
    pollers: AtomicUsize,
    /// Workers that poll now.
    polling: AtomicUsize,
    /// Number of processors: more pollers would only wake each other.
    pollers_max: usize,
    /// Events that workers took.
    taken_by_workers: AtomicU64,
}

pub(crate) struct Parked<P: Protocol> {
    pub(crate) connection: Box<Connection<P>>,
    interest: Interest,
    since: Instant,
    pub(crate) deadline: Instant,
}

impl<P: Protocol> Parked<P> {
    /// True if the connection has no request.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(
            self.connection.activity,
            Activity::Idle | Activity::Lingering { .. }
        )
    }

    /// Returns the connection, and adds to it the time that it waited for its peer.
    pub(crate) fn take(mut self) -> Box<Connection<P>> {
        if matches!(self.interest, Interest::Read | Interest::Write) {
            self.connection.stall.waited(self.since.elapsed());
        }
        self.connection
    }
}

impl<P: Protocol> Parking<P> {
    pub(crate) fn new() -> io::Result<Parking<P>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake_event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(
            &epoll,
            &wake_event,
            EventData::new_u64(WAKE),
            EventFlags::IN,
        )?;
        Ok(Parking {
            epoll,
            wake_event,
            parked: Default::default(),
            pollers: AtomicUsize::new(0),
            polling: AtomicUsize::new(0),
            pollers_max: processors::count(),
            taken_by_workers: AtomicU64::new(0),
        })
    }

    /// Parks a connection until it is ready or its deadline has passed.
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
                // epoll reports the end of a connection without being asked.
                Interest::Time => EventFlags::empty(),
            };
        let parked = Parked {
            connection,
            interest,
            since: Instant::now(),
            deadline,
        };
        // Armed under the lock: the event must not come before the connection is in the map.
        let mut map = self.map(id).lock();
        let armed = self.arm(parked.connection.socket(interest), id, flags);
        match armed {
            Ok(()) => drop(map.insert(id, parked)),
            Err(e) => {
                drop(map);
                debug!("#{id}: closed, cannot be watched: {e}");
            }
        }
    }

    /// Arms a socket for one event. The socket of a source may be registered already.
    fn arm(&self, socket: &TcpStream, id: u64, flags: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(id);
        match epoll::modify(&self.epoll, socket, data, flags) {
            Err(Errno::NOENT) => Ok(epoll::add(&self.epoll, socket, data, flags)?),
            armed => Ok(armed?),
        }
    }

    /// Waits for events, at most as many as `events` has capacity for.
    pub(crate) fn wait(&self, events: &mut Vec<Event>, time: Duration) {
        let buffer = rustix::buffer::spare_capacity(events);
        match epoll::wait(&self.epoll, buffer, Some(&timespec(time))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => error!("epoll: {e}"),
        }
    }

    pub(crate) fn wait_one(&self, time: Duration) -> Option<Event> {
        let mut buffer = [MaybeUninit::uninit()];
        let events = epoll::wait(&self.epoll, &mut buffer, Some(&timespec(time)));
        events.ok()?.0.first().copied()
    }

    /// Takes out the connection of an event, if it is still parked.
    pub(crate) fn take(&self, event: &Event) -> Option<Box<Connection<P>>> {
        let id = event.data.u64();
        if id == WAKE {
            drain(&self.wake_event);
        }
        self.remove(id).map(Parked::take)
    }

    /// Polls for a ready connection on a worker. `None` when enough workers poll already, or no
    /// connection becomes ready within `time`. The kernel wakes the latest poller, so the event loop
    /// gets an event only while no worker polls.
    pub(crate) fn poll_from_worker(&self, time: Duration) -> Option<Box<Connection<P>>> {
        let place = self.polling.fetch_add(1, Ordering::Relaxed);
        let event = (place < self.pollers_max).then(|| self.wait_one(time));
        self.polling.fetch_sub(1, Ordering::Relaxed);
        let id = event??.data.u64();
        // A wake-up is level-triggered: the event loop still gets it.
        self.taken_by_workers.fetch_add(1, Ordering::Relaxed);
        self.remove(id).map(Parked::take)
    }

    /// Records that a worker begins to poll.
    pub(crate) fn begin_polling(&self) {
        self.pollers.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that a worker polls no longer.
    pub(crate) fn end_polling(&self) {
        self.pollers.fetch_sub(1, Ordering::Relaxed);
    }

    /// True while workers poll, or serve connections that they polled for.
    pub(crate) fn has_pollers(&self) -> bool {
        self.pollers.load(Ordering::Relaxed) > 0
    }

    /// Number of events that workers have taken so far.
    pub(crate) fn taken_by_workers(&self) -> u64 {
        self.taken_by_workers.load(Ordering::Relaxed)
    }

    /// Waits for `time` or a wake-up, and for no connection.
    pub(crate) fn backoff(&self, time: Duration) {
        let mut fds = [PollFd::new(&self.wake_event, PollFlags::IN)];
        // A signal ends it early.
        let _ = poll(&mut fds, Some(&timespec(time)));
    }

    /// Wakes the event loop.
    pub(crate) fn wake(&self) {
        // A full counter means that a wake-up is pending anyway.
        let _ = rustix::io::write(&self.wake_event, &1u64.to_ne_bytes());
    }

    /// Applies `look` to all parked connections and collects the results.
    pub(crate) fn find<T>(&self, look: impl Fn(&Parked<P>) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        for map in &self.parked {
            found.extend(map.lock().values().filter_map(&look));
        }
        found
    }

    /// Takes out one connection if it is still parked and `is_wanted`.
    pub(crate) fn remove_if(
        &self,
        id: u64,
        is_wanted: impl Fn(&Parked<P>) -> bool,
    ) -> Option<Parked<P>> {
        let mut map = self.map(id).lock();
        let is_wanted = map.get(&id).is_some_and(is_wanted);
        is_wanted.then(|| map.remove(&id)).flatten()
    }

    fn map(&self, id: u64) -> &Map<P> {
        &self.parked[id as usize % MAPS]
    }

    fn remove(&self, id: u64) -> Option<Parked<P>> {
        self.map(id).lock().remove(&id)
    }

    /// Takes out all connections that are `wanted`.
    pub(crate) fn take_if(&self, wanted: impl Fn(&Parked<P>) -> bool) -> Vec<Box<Connection<P>>> {
        let wanted = |_: &u64, parked: &mut Parked<P>| wanted(parked);
        let of_map = |map: &Map<P>| {
            let mut map = map.lock();
            map.extract_if(wanted)
                .map(|(_, parked)| parked)
                .collect::<Vec<_>>()
        };
        let parked = self.parked.iter().flat_map(of_map);
        parked.map(Parked::take).collect()
    }

    /// Closes all parked connections.
    pub(crate) fn clear(&self) {
        drop(self.take_if(|_| true));
    }
}

fn drain(wake: &OwnedFd) {
    let mut counter = [0; 8];
    let _ = rustix::io::read(wake, &mut counter);
}
