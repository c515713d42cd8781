//! A worker: takes connections from the queue of its pool and serves each until it has to wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, error};

use super::connection::{Activity, Connection, LINGER};
use super::event_loop::{self, Read, read_request};
use super::full::Full;
use super::observer::{NetEvent, NetGauge};
use super::outgoing::{Outgoing, Then};
use super::peer::Peer;
use super::pipe::Pipe;
use super::protocol::{Action, Answer, Pending, Protocol, Wake};
use super::receiving::Receiving;
use super::shared::Shared;
use super::wait::{Interest, ready};
use super::waiting::Waiting;
use super::worker_pool::WorkerPool;

mod transfer;

/// Size of the buffer that content is read into, and so of a write.
const BUFFER: usize = 256 << 10;
/// How long a worker waits for a connection before parking it, while the queue is empty: parking each
/// time costs a quarter of the throughput.
const POLL_TIME: Duration = Duration::from_millis(1);
/// A request that was served in less than this did not block. After one the worker polls for any
/// connection and not for the same one: few workers that stay awake serve more requests than many that
/// are woken for each. Without this, HTTP ranges lose a quarter of their rate and cost half as much processor
/// time again (docs/performance.md, Hand-over to workers).
const SHORT_REQUEST: Duration = Duration::from_micros(200);
/// Requests of one connection that a worker serves before it yields to queued connections.
const REQUESTS_BEFORE_YIELD: u32 = 32;

/// The next step of a worker with a connection.
enum Step {
    /// Take the next step at once.
    Go,
    /// Wait for an event.
    Wait(Interest),
    /// Queue behind the other connections of the pool.
    Yield,
    /// Hand over to the pool of the connection.
    Move,
    Close,
}

pub(crate) struct Worker<P: Protocol> {
    shared: Arc<Shared<P>>,
    pool: WorkerPool,
    buffer: Vec<u8>,
    pipe: Pipe,
    /// Its latest request took less than [`SHORT_REQUEST`].
    was_short: bool,
    /// It polls, or serves a connection that it polled for.
    is_poller: bool,
}

impl<P: Protocol> Worker<P> {
    pub(crate) fn new(shared: Arc<Shared<P>>, pool: WorkerPool) -> Worker<P> {
        // Only the slow pool moves content.
        let len = if pool == WorkerPool::Slow {
            BUFFER
        } else {
            P::REQUEST_MAX
        };
        Worker {
            shared,
            pool,
            buffer: vec![0; len],
            pipe: Pipe::default(),
            was_short: false,
            is_poller: false,
        }
    }

    /// Serves connections until the queue is halted.
    pub(crate) fn run(mut self) {
        while let Some(connection) = self.next_connection() {
            let id = connection.id;
            let busy = NetGauge::Busy(self.pool);
            self.shared.observer().changed(busy, 1);
            // `drive` answers requests that panic; this catches panics in destructors.
            if catch_unwind(AssertUnwindSafe(|| self.drive(connection))).is_err() {
                error!("#{id}: closing it panicked");
            }
            self.shared.observer().changed(busy, -1);
        }
    }

    fn next_connection(&mut self) -> Option<Box<Connection<P>>> {
        if std::mem::take(&mut self.was_short) {
            if !std::mem::replace(&mut self.is_poller, true) {
                self.shared.parking.begin_polling();
            }
            let polled = event_loop::catch_panic(|| self.poll_for_work());
            if let Some(connection) = polled.flatten() {
                return Some(connection);
            }
        }
        if std::mem::take(&mut self.is_poller) {
            self.shared.parking.end_polling();
        }
        self.shared.next_work(self.pool)
    }

    /// Polls for a ready connection on behalf of the event loop. `None` when a queued connection needs
    /// this worker, or none is ready in time.
    fn poll_for_work(&mut self) -> Option<Box<Connection<P>>> {
        while !self.shared.is_stopping() && !self.shared.waiting(self.pool) {
            let connection = self.shared.parking.poll_from_worker(POLL_TIME)?;
            match event_loop::on_ready(&self.shared, connection, &mut self.buffer) {
                Some(mut connection) if connection.pool == self.pool => {
                    connection.queued_at = Instant::now();
                    return Some(connection);
                }
                Some(connection) => self.shared.hand_over(connection),
                None => {}
            }
        }
        None
    }

    fn drive(&mut self, mut connection: Box<Connection<P>>) {
        let mut served = 0;
        if connection.ended {
            return;
        }
        self.refuse_if_late(&mut connection);
        loop {
            if self.shared.is_over() {
                return;
            }
            let step = catch_unwind(AssertUnwindSafe(|| self.step(&mut connection, &mut served)))
                .unwrap_or_else(|_| self.after_panic(&mut connection));
            match step {
                Step::Go => {}
                Step::Wait(interest) if self.wait_briefly(&mut connection, interest) => {}
                Step::Wait(interest) => return self.shared.park(connection, interest),
                Step::Yield if !self.shared.may_wait(&mut connection) => return,
                Step::Yield => return self.shared.hand_over(connection),
                Step::Move => return self.shared.hand_over(connection),
                Step::Close => return,
            }
        }
    }

    /// Answers 'busy' to a request that waited too long for a worker, unless the event loop did so
    /// already.
    fn refuse_if_late(&self, connection: &mut Connection<P>) {
        let waited = connection.queued_at.elapsed();
        self.shared.observer().queue_wait(self.pool, waited);
        let is_new = connection.request().is_some();
        if is_new && waited > self.shared.config().queue_timeout.duration() {
            self.shared.note_late(connection);
            say_busy(&self.shared, connection);
        }
    }

    fn step(&mut self, connection: &mut Connection<P>, served: &mut u32) -> Step {
        match std::mem::replace(&mut connection.activity, Activity::Idle) {
            Activity::Idle => self.next_request(connection),
            Activity::Requested(request) => self.begin(connection, request, served),
            Activity::Waiting(waiting) => self.resume(connection, waiting),
            Activity::Receiving(receiving) => self.receive(connection, receiving),
            Activity::Sending(sending) => self.send(connection, sending),
            Activity::Lingering { until } => {
                connection.activity = Activity::Lingering { until };
                Step::Wait(Interest::Read)
            }
        }
    }

    fn next_request(&mut self, connection: &mut Connection<P>) -> Step {
        let is_at_rest = connection.inbox.is_empty();
        match read_request(&self.shared, connection, &mut self.buffer) {
            Read::Request => Step::Go,
            Read::Incomplete if is_at_rest && self.shared.closes_idle() => Step::Close,
            Read::Incomplete => Step::Wait(Interest::Read),
            Read::Closed => Step::Close,
        }
    }

    /// Serves a request, unless another pool or another connection is due.
    fn begin(
        &mut self,
        connection: &mut Connection<P>,
        request: P::Request,
        served: &mut u32,
    ) -> Step {
        let step = if connection.pool != self.pool {
            Step::Move
        } else if *served >= REQUESTS_BEFORE_YIELD && self.shared.waiting(self.pool) {
            Step::Yield
        } else {
            *served += 1;
            return self.serve(connection, request);
        };
        connection.activity = Activity::Requested(request);
        step
    }

    fn serve(&mut self, connection: &mut Connection<P>, request: P::Request) -> Step {
        if !self.shared.may_open(connection) {
            connection.activity = Activity::Requested(request);
            say_busy(&self.shared, connection);
            return Step::Go;
        }
        connection.owes_reply = true;
        connection.last_request = Instant::now();
        connection.moved = 0;
        let stopping = self.shared.is_stopping();
        let Connection {
            session,
            peer,
            stream,
            ..
        } = connection;
        let peer = Peer::new(*peer, stream);
        let action = self.shared.protocol.serve(request, session, peer, stopping);
        self.was_short = connection.last_request.elapsed() < SHORT_REQUEST;
        match action {
            Action::Send(outgoing) => connection.activity = Activity::Sending(outgoing),
            Action::Receive { len, sink } => {
                self.was_short = false;
                connection.activity = Activity::Receiving(Receiving::new(len, sink));
            }
            Action::Wait(pending) => return self.wait_for(connection, pending),
        }
        Step::Go
    }

    /// Parks a request until another server answers. At the limit of parked requests the worker waits
    /// here.
    fn wait_for(
        &self,
        connection: &mut Connection<P>,
        pending: Box<dyn Pending<Outgoing>>,
    ) -> Step {
        let crowded = self.shared.is_upstream_full();
        let waiting = Waiting::new(pending, &self.shared.upstream);
        let step = match waiting.interest() {
            None => Step::Go,
            Some(Interest::Source) if crowded => {
                waiting.outcome(Duration::MAX);
                Step::Go
            }
            Some(interest) => Step::Wait(interest),
        };
        connection.activity = Activity::Waiting(waiting);
        step
    }

    /// Resumes a request when another server has answered or has timed out; any other event is ignored.
    fn resume(&mut self, connection: &mut Connection<P>, waiting: Waiting) -> Step {
        let Some(silent) = waiting.outcome(Duration::ZERO) else {
            let interest = waiting.interest();
            connection.activity = Activity::Waiting(waiting);
            return interest.map_or(Step::Go, Step::Wait);
        };
        let began = Instant::now();
        let stopping = self.shared.is_stopping();
        let resumed = waiting.pending.resume(Wake { silent, stopping });
        self.was_short = began.elapsed() < SHORT_REQUEST;
        match resumed {
            Answer::Now(outgoing) => connection.activity = Activity::Sending(outgoing),
            Answer::Later(pending) => return self.wait_for(connection, pending),
        }
        Step::Go
    }

    /// Waits up to [`POLL_TIME`] for an event of this connection. False when it must be parked.
    fn wait_briefly(&self, connection: &mut Connection<P>, interest: Interest) -> bool {
        let leave = match connection.activity {
            // Only the event loop checks the deadline of a partial head.
            Activity::Idle => self.was_short || !connection.inbox.is_empty(),
            Activity::Requested(_) | Activity::Waiting(_) | Activity::Lingering { .. } => true,
            Activity::Receiving(_) | Activity::Sending(_) => false,
        };
        let leave = leave || interest == Interest::Time;
        if leave || self.shared.is_stopping() || self.shared.waiting(self.pool) {
            return false;
        }
        let began = Instant::now();
        let is_ready = ready(connection.socket(interest), interest, POLL_TIME);
        if interest != Interest::Source {
            connection.stall.waited(began.elapsed());
        }
        is_ready
    }

    /// Answers a request whose service panicked.
    fn after_panic(&self, connection: &mut Connection<P>) -> Step {
        self.shared.observer().event(NetEvent::Panicked);
        error!(
            "#{}: a request of {} panicked",
            connection.id, connection.peer
        );
        if !connection.owes_reply {
            return Step::Close;
        }
        // A second panic closes the connection.
        connection.owes_reply = false;
        let reply = self.shared.protocol.panicked(&connection.session);
        connection.activity = Activity::Sending(reply);
        Step::Go
    }
}

fn say_busy<P: Protocol>(shared: &Shared<P>, connection: &mut Connection<P>) {
    let request = connection.request();
    let busy = shared.protocol.busy(connection.peer, request, Full::Server);
    connection.activity = Activity::Sending(busy);
}

fn after_reply<P: Protocol>(connection: &mut Connection<P>, then: Then) -> Step {
    connection.stall = Default::default();
    connection.permit.release();
    // The deadline of a pipelined request starts now, however long the reply took.
    connection.head_since = (!connection.inbox.is_empty()).then(Instant::now);
    if then == Then::Close {
        if connection
            .stream
            .shutdown(std::net::Shutdown::Write)
            .is_err()
        {
            return Step::Close;
        }
        connection.activity = Activity::Lingering {
            until: Instant::now() + LINGER,
        };
    }
    // A client without pipelining has not sent its next request yet: a read would find nothing.
    if connection.inbox.is_empty() {
        Step::Wait(Interest::Read)
    } else {
        Step::Go
    }
}

/// Logs at debug: players often close a connection in the middle of a transfer.
fn close<P: Protocol>(connection: &Connection<P>, error: &std::io::Error) -> Step {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        debug!(
            "#{}: {}: ended within a request or reply: {error}",
            connection.id, connection.peer
        );
    } else {
        debug!("#{}: {}: {error}", connection.id, connection.peer);
    }
    Step::Close
}
