//! The parking thread: hands connections that have become ready to workers, as far as those do not
//! take them by themselves, and closes what is past its deadline.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use log::{debug, error};
use rustix::event::epoll::Event;

use super::connection::{Activity, Connection, Filled};
use super::lane::Lane;
use super::observer::NetEvent;
use super::park::Parked;
use super::protocol::{Protocol, Readiness};
use super::refuse::refuse_late;
use super::shared::Shared;
use super::wait::{Interest, read_now, ready};

/// How often deadlines are looked at: how late one may be noticed.
const SWEEP: Duration = Duration::from_millis(500);
/// How long workers that serve what becomes ready by themselves are left alone. Then one more
/// connection is handed over, and with it a worker woken: as long as it pays they become more.
const NAP: Duration = Duration::from_millis(1);
const EVENTS: usize = 512;
/// What is read of a peer that was answered for the last time, at once.
const SCRATCH: usize = 64 << 10;

/// What the thread remembers from round to round.
struct Watch {
    events: Vec<Event>,
    scratch: Vec<u8>,
    swept: Instant,
    /// Events that workers had taken at the last look.
    helped: u64,
}

/// The parking thread. Ends when the last connection is closed after a stop, or at its deadline.
pub(crate) fn run<P: Protocol>(shared: &Shared<P>) {
    let mut watch = Watch {
        events: Vec::with_capacity(EVENTS),
        scratch: vec![0; SCRATCH],
        swept: Instant::now(),
        helped: 0,
    };
    while !shared.is_over() {
        guard(|| watch.round(shared));
    }
    shared.parking.clear();
}

/// One connection must not cost all others their watchman.
pub(crate) fn guard<T>(work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    if done.is_err() {
        error!("watching a connection panicked, it is closed");
    }
    done.ok()
}

impl Watch {
    fn round<P: Protocol>(&mut self, shared: &Shared<P>) {
        let Watch {
            events, scratch, ..
        } = self;
        events.clear();
        let helped = shared.parking.helped();
        if std::mem::replace(&mut self.helped, helped) == helped {
            shared.parking.wait(events, SWEEP);
        } else {
            shared.parking.nap(NAP);
            events.extend(shared.parking.next(Duration::ZERO));
        }
        for event in events.iter() {
            guard(|| on_event(shared, event, scratch));
        }
        if shared.closes_idle() {
            close_idle(shared, scratch);
        }
        if self.swept.elapsed() >= SWEEP {
            self.swept = Instant::now();
            sweep(shared, self.swept);
            refuse_late_requests(shared);
        }
    }
}

/// A connection may have become ready.
fn on_event<P: Protocol>(shared: &Shared<P>, event: &Event, scratch: &mut [u8]) {
    if let Some(connection) = shared.parking.take(event)
        && let Some(connection) = advance(shared, connection, scratch)
    {
        shared.hand_over(connection);
    }
}

/// Answers the requests that have waited too long for a worker, also when none ever comes.
fn refuse_late_requests<P: Protocol>(shared: &Shared<P>) {
    for lane in [Lane::Slow, Lane::Fast] {
        for connection in shared.take_late(lane) {
            guard(|| refuse_late(shared, connection));
        }
    }
}

/// Something has come, or can be sent. What comes back is for a worker of its lane.
pub(crate) fn advance<P: Protocol>(
    shared: &Shared<P>,
    connection: Box<Connection<P>>,
    scratch: &mut [u8],
) -> Option<Box<Connection<P>>> {
    match connection.activity {
        Activity::Idle => read_request(shared, connection, scratch),
        Activity::Lingering { until } => {
            discard(shared, connection, until, scratch);
            None
        }
        Activity::Waiting(_) | Activity::Sending(_) if connection.waits_for_time() => {
            // Its socket is watched for its end only.
            let ended = ready(&connection.stream, Interest::Time, Duration::ZERO);
            (!ended).then_some(connection)
        }
        Activity::Waiting(_) | Activity::Receiving(_) | Activity::Sending(_) => Some(connection),
    }
}

fn read_request<P: Protocol>(
    shared: &Shared<P>,
    mut connection: Box<Connection<P>>,
    scratch: &mut [u8],
) -> Option<Box<Connection<P>>> {
    let readiness = match connection.fill_inbox(scratch) {
        Ok(Filled::Some(len)) => {
            shared.observer().event(NetEvent::Received(len as u64));
            shared.protocol.readiness(&mut connection.inbox)
        }
        Ok(Filled::Nothing) => Readiness::More,
        Ok(Filled::Eof) => {
            if !connection.inbox.is_empty() {
                debug!("#{}: closed by the peer within a request", connection.id);
            }
            return None;
        }
        Err(e) => {
            debug!("#{}: {e}", connection.id);
            return None;
        }
    };
    match readiness {
        Readiness::More => {
            shared.park(connection, Interest::Read);
            None
        }
        Readiness::Serve(lane) => {
            connection.lane = lane;
            Some(connection)
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
    for connection in shared.parking.take_if(Parked::is_idle) {
        guard(|| close_or_serve(shared, connection, scratch));
    }
}

fn close_or_serve<P: Protocol>(
    shared: &Shared<P>,
    mut connection: Box<Connection<P>>,
    scratch: &mut [u8],
) {
    let idle = matches!(connection.activity, Activity::Idle);
    if idle
        && let Ok(Filled::Some(len)) = connection.fill_inbox(scratch)
        && let Readiness::Serve(lane) = shared.protocol.readiness(&mut connection.inbox)
    {
        shared.observer().event(NetEvent::Received(len as u64));
        connection.lane = lane;
        shared.hand_over(connection);
    }
}

/// Closes what is past its deadline.
fn sweep<P: Protocol>(shared: &Shared<P>, now: Instant) {
    for connection in shared.parking.take_if(|parked| parked.deadline <= now) {
        guard(|| on_deadline(shared, connection));
    }
}

fn on_deadline<P: Protocol>(shared: &Shared<P>, mut connection: Box<Connection<P>>) {
    match &mut connection.activity {
        Activity::Idle if connection.inbox.is_empty() => {
            shared.observer().event(NetEvent::Idle);
            debug!("#{}: closed, idle for too long", connection.id);
        }
        Activity::Idle => {
            shared.observer().event(NetEvent::SlowHead);
            debug!("#{}: closed, request came too slowly", connection.id);
        }
        Activity::Lingering { .. } => {}
        Activity::Waiting(_) => shared.hand_over(connection),
        Activity::Sending(sending) if sending.starved_until().is_some() => {
            sending.abandon_source();
            shared.hand_over(connection);
        }
        Activity::Receiving(_) | Activity::Sending(_) => {
            // Back to a worker in any case: to go on measuring, or to drop what it holds.
            connection.ended = shared.is_stalled(&mut connection);
            shared.hand_over(connection);
        }
    }
}
