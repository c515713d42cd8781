//! Where connections wait that nobody works on: in an epoll set, watched by the parking thread
//! ([`super::watch`]) and by workers that have nothing else to do.
//!
//! A socket stays registered from the first time to its close, armed for one event at a time
//! (`EPOLLONESHOT`): whoever gets the event takes the connection out. The socket of another server
//! may have served several connections: an event may be of an earlier wait.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use log::{debug, error};
use parking_lot::Mutex;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::connection::{Activity, Connection};
use super::protocol::Protocol;
use super::wait::Interest;

/// So many threads park and take out at a time.
const MAPS: usize = 16;
/// Stands for no connection: whoever waits shall look around.
const WAKE: u64 = u64::MAX;

type Map<P> = Mutex<HashMap<u64, Parked<P>>>;

pub(crate) struct Parking<P: Protocol> {
    epoll: OwnedFd,
    wake: OwnedFd,
    /// By their ids, in several maps: each is locked while a connection of it is armed.
    parked: [Map<P>; MAPS],
    /// Workers that wait for events now.
    helpers: AtomicUsize,
    /// More of them than processors would only wake each other.
    helpers_max: usize,
    /// Events that workers took.
    helped: AtomicU64,
}

pub(crate) struct Parked<P: Protocol> {
    pub(crate) connection: Box<Connection<P>>,
    interest: Interest,
    since: Instant,
    pub(crate) deadline: Instant,
}

impl<P: Protocol> Parked<P> {
    /// Whether it has no request in hand.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(
            self.connection.activity,
            Activity::Idle | Activity::Lingering { .. }
        )
    }

    /// The connection, with the time that it waited for its peer.
    pub(crate) fn take(mut self) -> Box<Connection<P>> {
        if matches!(self.interest, Interest::Read | Interest::Write) {
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
            parked: Default::default(),
            helpers: AtomicUsize::new(0),
            helpers_max: available_parallelism().map_or(1, usize::from),
            helped: AtomicU64::new(0),
        })
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
                // The end of a connection is told whether it is asked for or not.
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

    /// Watches a socket for one event. It may be known or not, that of a source from an earlier
    /// connection.
    fn arm(&self, socket: &TcpStream, id: u64, flags: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(id);
        match epoll::modify(&self.epoll, socket, data, flags) {
            Err(Errno::NOENT) => Ok(epoll::add(&self.epoll, socket, data, flags)?),
            armed => Ok(armed?),
        }
    }

    /// Waits for events, as many as `events` has room for.
    pub(crate) fn wait(&self, events: &mut Vec<Event>, time: Duration) {
        let buffer = rustix::buffer::spare_capacity(events);
        match epoll::wait(&self.epoll, buffer, Some(&timespec(time))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => error!("epoll: {e}"),
        }
    }

    /// Waits for one event.
    pub(crate) fn next(&self, time: Duration) -> Option<Event> {
        let mut buffer = [MaybeUninit::uninit()];
        let events = epoll::wait(&self.epoll, &mut buffer, Some(&timespec(time)));
        events.ok()?.0.first().copied()
    }

    /// The connection that has this event, if it still waits. A wake-up has none.
    pub(crate) fn take(&self, event: &Event) -> Option<Box<Connection<P>>> {
        let id = event.data.u64();
        if id == WAKE {
            drain(&self.wake);
        }
        self.remove(id).map(Parked::take)
    }

    /// Waits as one of a few workers for a connection that becomes ready; `None` when there are
    /// enough of them, or none became ready in this time. Of all who wait the kernel wakes the one
    /// that came last: the parking thread gets what comes while no worker waits.
    pub(crate) fn help(&self, time: Duration) -> Option<Box<Connection<P>>> {
        let place = self.helpers.fetch_add(1, Ordering::Relaxed);
        let event = (place < self.helpers_max).then(|| self.next(time));
        self.helpers.fetch_sub(1, Ordering::Relaxed);
        let id = event??.data.u64();
        // A wake-up is for the parking thread, and comes again until that has seen it.
        self.helped.fetch_add(1, Ordering::Relaxed);
        self.remove(id).map(Parked::take)
    }

    /// How many events workers took so far.
    pub(crate) fn helped(&self) -> u64 {
        self.helped.load(Ordering::Relaxed)
    }

    /// Waits until it is woken, but for no connection.
    pub(crate) fn nap(&self, time: Duration) {
        let mut fds = [PollFd::new(&self.wake, PollFlags::IN)];
        // A signal ends it early.
        let _ = poll(&mut fds, Some(&timespec(time)));
    }

    /// Ends the wait of the parking thread.
    pub(crate) fn wake(&self) {
        // The counter of an eventfd can only be full when a wake-up is due anyway.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Looks at all that wait, and gathers what `look` makes of them.
    pub(crate) fn find<T>(&self, look: impl Fn(&Parked<P>) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        for map in &self.parked {
            found.extend(map.lock().values().filter_map(&look));
        }
        found
    }

    /// Takes a connection out if it still waits and is as wanted.
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

    /// Takes out all that are wanted.
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

    /// Closes all.
    pub(crate) fn clear(&self) {
        drop(self.take_if(|_| true));
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().cast_signed(),
        tv_nsec: time.subsec_nanos().into(),
    }
}

fn drain(wake: &OwnedFd) {
    let mut counter = [0; 8];
    let _ = rustix::io::read(wake, &mut counter);
}
