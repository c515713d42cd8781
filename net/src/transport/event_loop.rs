//! The event loop, on the thread `park`: hands ready connections to workers, unless polling workers
//! take them, and closes connections whose deadline has passed.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use log::{debug, error};
use rustix::event::epoll::Event;

use super::connection::{Activity, Connection, LINGER};
use super::full::Full;
use super::observer::NetEvent;
use super::outgoing::{Progress, Tools};
use super::parking::Parked;
use super::pipe::Pipe;
use super::processors::Processors;
use super::protocol::Protocol;
use super::shared::Shared;
use super::wait::{Interest, read_now, ready};
use super::worker_pool::WorkerPool;

/// Interval of the deadline check, and so the most that a deadline is exceeded.
const SWEEP: Duration = Duration::from_millis(500);
/// How long the event loop leaves ready connections to polling workers, before it looks whether they take them
/// and whether a processor is idle. A worker that is woken while none is competes with those that are awake, and
/// the request in its hands waits: with one more woken each millisecond, the 99th percentile of HTTP ranges is four
/// times as long (docs/performance.md, Hand-over to workers).
const BACKOFF: Duration = Duration::from_millis(1);
/// Limit on the times in a row that the workers took none: they may be blocked while others use the processors.
const BACKOFFS_MAX: u32 = 32;
const EVENTS: usize = 512;
/// Bytes read at once from a peer that is lingering.
const SCRATCH: usize = 64 << 10;

struct EventLoop {
    events: Vec<Event>,
    scratch: Vec<u8>,
    swept: Instant,
    /// Events that workers had taken at the previous round.
    taken_by_workers: u64,
    /// Rounds in a row in which the workers took none.
    backoffs: u32,
    processors: Processors,
}

/// Runs the event loop until the server has ended.
pub(crate) fn run<P: Protocol>(shared: &Shared<P>) {
    let mut event_loop = EventLoop {
        events: Vec::with_capacity(EVENTS),
        scratch: vec![0; SCRATCH],
        swept: Instant::now(),
        taken_by_workers: 0,
        backoffs: 0,
        processors: Processors::new(),
    };
    while !shared.is_over() {
        catch_panic(|| event_loop.round(shared));
    }
    shared.parking.clear();
}

/// Runs `work`; a panic ends the connection that it works on, not the event loop.
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    if done.is_err() {
        error!("watching a connection panicked, it is closed");
    }
    done.ok()
}

impl EventLoop {
    fn round<P: Protocol>(&mut self, shared: &Shared<P>) {
        let EventLoop {
            events, scratch, ..
        } = self;
        events.clear();
        let is_left_to_workers = shared.parking.has_pollers() && self.backoffs < BACKOFFS_MAX;
        if is_left_to_workers {
            shared.parking.backoff(BACKOFF);
        } else {
            shared.parking.wait(events, SWEEP);
        }
        let taken_by_workers = shared.parking.taken_by_workers();
        let has_progress =
            std::mem::replace(&mut self.taken_by_workers, taken_by_workers) != taken_by_workers;
        self.backoffs = if has_progress { 0 } else { self.backoffs + 1 };
        if is_left_to_workers && self.processors.is_one_idle() {
            if has_progress {
                events.extend(shared.parking.wait_one(Duration::ZERO));
            } else {
                self.backoffs = BACKOFFS_MAX;
            }
        }
        for event in events.iter() {
            catch_panic(|| on_event(shared, event, scratch));
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

fn on_event<P: Protocol>(shared: &Shared<P>, event: &Event, scratch: &mut [u8]) {
    if let Some(connection) = shared.parking.take(event)
        && let Some(connection) = on_ready(shared, connection, scratch)
    {
        shared.hand_over(connection);
    }
}

/// Answers requests that have waited too long for a worker, even when all workers hang.
fn refuse_late_requests<P: Protocol>(shared: &Shared<P>) {
    for pool in [WorkerPool::Slow, WorkerPool::Fast] {
        for connection in shared.take_late(pool) {
            catch_panic(|| refuse_late(shared, connection));
        }
    }
}

/// Answers a request that has waited too long for a worker.
fn refuse_late<P: Protocol>(shared: &Shared<P>, mut connection: Box<Connection<P>>) {
    shared.note_late(&connection);
    let Connection { stream, peer, .. } = &*connection;
    let is_out = say_busy(shared, stream, *peer, connection.request(), Full::Server);
    if !is_out || connection.stream.shutdown(Shutdown::Write).is_err() {
        debug!("#{}: closed, takes no reply", connection.id);
        return;
    }
    connection.activity = Activity::Lingering {
        until: Instant::now() + LINGER,
    };
    shared.park(connection, Interest::Read);
}

/// Sends 'busy' as far as the peer takes it at once; true if that was all of it. `request` is absent if
/// none was read.
pub(crate) fn say_busy<P: Protocol>(
    shared: &Shared<P>,
    stream: &TcpStream,
    peer: SocketAddr,
    request: Option<&P::Request>,
    full: Full,
) -> bool {
    let mut tools = Tools {
        scratch: &mut [],
        pipe: &mut Pipe::default(),
        take_max: 0,
        wait_max: &|| Duration::ZERO,
        waited: Duration::ZERO,
    };
    let mut busy = shared.protocol.busy(peer, request, full);
    let is_out = matches!(busy.advance(stream, &mut tools), Ok(Progress::Done));
    shared.observer().event(NetEvent::Sent(busy.sent()));
    is_out
}

/// Handles an event of a connection. Returns the connection when a worker of its pool has to serve it.
pub(crate) fn on_ready<P: Protocol>(
    shared: &Shared<P>,
    mut connection: Box<Connection<P>>,
    scratch: &mut [u8],
) -> Option<Box<Connection<P>>> {
    match connection.activity {
        Activity::Idle => match read_request(shared, &mut connection, scratch) {
            Read::Request => Some(connection),
            Read::Incomplete => {
                shared.park(connection, Interest::Read);
                None
            }
            Read::Closed => None,
        },
        Activity::Lingering { until } => {
            discard(shared, connection, until, scratch);
            None
        }
        Activity::Waiting(_) | Activity::Sending(_) if connection.waits_for_time() => {
            // Its socket is watched only for the end of the connection.
            let ended = ready(&connection.stream, Interest::Time, Duration::ZERO);
            (!ended).then_some(connection)
        }
        Activity::Requested(_)
        | Activity::Waiting(_)
        | Activity::Receiving(_)
        | Activity::Sending(_) => Some(connection),
    }
}

/// Result of [`read_request`].
pub(crate) enum Read {
    /// The request is complete: the connection has it.
    Request,
    /// More bytes must come.
    Incomplete,
    /// The peer is gone.
    Closed,
}

/// Takes the next request off the inbox, or reads bytes for it through `scratch`, without waiting.
pub(crate) fn read_request<P: Protocol>(
    shared: &Shared<P>,
    connection: &mut Connection<P>,
    scratch: &mut [u8],
) -> Read {
    if parse(shared, connection) {
        return Read::Request;
    }
    let room = P::REQUEST_MAX.saturating_sub(connection.inbox.bytes().len());
    let room = room.clamp(1, scratch.len());
    let id = connection.id;
    match read_now(&connection.stream, &mut scratch[..room]) {
        Ok(None) => return Read::Incomplete,
        Ok(Some(0)) if connection.inbox.is_empty() => return Read::Closed,
        Ok(Some(0)) => {
            debug!("#{id}: closed by the peer within a request");
            return Read::Closed;
        }
        Ok(Some(len)) => {
            shared.observer().event(NetEvent::Received(len as u64));
            connection.inbox.push(&scratch[..len]);
            connection.head_since.get_or_insert_with(Instant::now);
        }
        Err(e) => {
            debug!("#{id}: {}: {e}", connection.peer);
            return Read::Closed;
        }
    }
    if parse(shared, connection) {
        Read::Request
    } else {
        Read::Incomplete
    }
}

fn parse<P: Protocol>(shared: &Shared<P>, connection: &mut Connection<P>) -> bool {
    let Connection { inbox, peer, .. } = connection;
    let parsed = shared.protocol.parse(inbox, *peer);
    let is_request = parsed.is_some();
    if let Some((request, pool)) = parsed {
        connection.pool = pool;
        connection.activity = Activity::Requested(request);
    }
    is_request
}

/// Discards bytes that a peer sends after its last reply.
fn discard<P: Protocol>(
    shared: &Shared<P>,
    connection: Box<Connection<P>>,
    until: Instant,
    scratch: &mut [u8],
) {
    // One read per event: a peer that never stops sending must not hold the event loop.
    match read_now(&connection.stream, scratch) {
        Ok(Some(0)) | Err(_) => {}
        Ok(_) if Instant::now() < until => shared.park(connection, Interest::Read),
        Ok(_) => {}
    }
}

/// On a stop: closes connections without a request, after one more read.
fn close_idle<P: Protocol>(shared: &Shared<P>, scratch: &mut [u8]) {
    for connection in shared.parking.take_if(Parked::is_idle) {
        catch_panic(|| close_or_serve(shared, connection, scratch));
    }
}

fn close_or_serve<P: Protocol>(
    shared: &Shared<P>,
    mut connection: Box<Connection<P>>,
    scratch: &mut [u8],
) {
    let is_idle = matches!(connection.activity, Activity::Idle);
    if is_idle && let Read::Request = read_request(shared, &mut connection, scratch) {
        shared.hand_over(connection);
    }
}

/// Handles every connection whose deadline has passed.
fn sweep<P: Protocol>(shared: &Shared<P>, now: Instant) {
    for connection in shared.parking.take_if(|parked| parked.deadline <= now) {
        catch_panic(|| on_deadline(shared, connection));
    }
}

fn on_deadline<P: Protocol>(shared: &Shared<P>, mut connection: Box<Connection<P>>) {
    if shared.is_overdue(&connection) {
        // A stranger holds nothing whose drop blocks.
        return;
    }
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
        Activity::Requested(_) | Activity::Waiting(_) => shared.hand_over(connection),
        Activity::Sending(sending) if sending.source_deadline().is_some() => {
            sending.abandon_source();
            shared.hand_over(connection);
        }
        Activity::Receiving(_) | Activity::Sending(_) => {
            // A worker continues the transfer, or drops it: the drop may block on a file.
            connection.ended = shared.is_stalled(&connection);
            shared.hand_over(connection);
        }
    }
}
