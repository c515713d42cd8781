//! A worker: takes connections from its lane and moves each as far as it goes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, error};

use super::connection::{Activity, Connection, Filled, LINGER};
use super::lane::Lane;
use super::observer::{NetEvent, NetLevel};
use super::peer::Peer;
use super::pipe::Pipe;
use super::protocol::{Action, Outgoing, Pending, Protocol, Readiness, Resumed, Then, Wake};
use super::receiving::Receiving;
use super::sending::Sending;
use super::shared::Shared;
use super::wait::{Interest, ready};
use super::waiting::Waiting;
use super::watch;

mod transfer;

/// Content is gathered to this size before it is written.
const BUFFER: usize = 256 << 10;
/// How long a worker that nobody waits for stays with a connection: handing it to the parking
/// thread and back costs a quarter of the throughput.
const STAY: Duration = Duration::from_millis(1);
/// A request that was decided after less than this waited for nothing but the processor.
/// Behind one a worker waits for any connection, not for the same one again: few workers that are
/// awake serve more than many that are woken for each request.
const QUICK: Duration = Duration::from_micros(200);
/// Requests of one connection before a worker looks whether others wait.
const REQUESTS_A_TURN: u32 = 32;

/// What to do with a connection next.
enum Step {
    /// The next step at once.
    Go,
    /// Wait for the peer.
    Wait(Interest),
    /// Behind the others of the lane.
    Yield,
    /// It is not for this lane.
    Move(Lane),
    Close,
}

pub(crate) struct Worker<P: Protocol> {
    shared: Arc<Shared<P>>,
    lane: Lane,
    buffer: Vec<u8>,
    pipe: Pipe,
    /// Its last request was [`QUICK`].
    quick: bool,
}

impl<P: Protocol> Worker<P> {
    pub(crate) fn new(shared: Arc<Shared<P>>, lane: Lane) -> Worker<P> {
        // Content goes to the slow lane only; the fast one needs room for a request.
        let len = if lane == Lane::Slow {
            BUFFER
        } else {
            P::REQUEST_MAX
        };
        Worker {
            shared,
            lane,
            buffer: vec![0; len],
            pipe: Pipe::default(),
            quick: false,
        }
    }

    /// Serves the lane until it is told to halt.
    pub(crate) fn run(mut self) {
        while let Some(connection) = self.next_connection() {
            let id = connection.id;
            let busy = NetLevel::Busy(self.lane);
            self.shared.observer().changed(busy, 1);
            // Requests that panic are answered further in; this is for what a connection drops.
            if catch_unwind(AssertUnwindSafe(|| self.drive(connection))).is_err() {
                error!("#{id}: closing it panicked");
            }
            self.shared.observer().changed(busy, -1);
        }
    }

    fn next_connection(&mut self) -> Option<Box<Connection<P>>> {
        if std::mem::take(&mut self.quick)
            && let Some(connection) = watch::guard(|| self.help()).flatten()
        {
            return Some(connection);
        }
        self.shared.next_work(self.lane)
    }

    /// Does the parking thread's work for a moment, unless somebody waits for this worker: finds a
    /// connection to serve.
    fn help(&mut self) -> Option<Box<Connection<P>>> {
        while !self.shared.is_stopping() && !self.shared.waiting(self.lane) {
            let connection = self.shared.parking.help(STAY)?;
            match watch::advance(&self.shared, connection, &mut self.buffer) {
                Some(mut connection) if connection.lane == self.lane => {
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
                Step::Wait(interest) if self.stay(&mut connection, interest) => {}
                Step::Wait(interest) => return self.shared.park(connection, interest),
                Step::Yield if !self.shared.may_wait(&mut connection) => return,
                Step::Yield => return self.shared.hand_over(connection),
                Step::Move(lane) => {
                    connection.lane = lane;
                    return self.shared.hand_over(connection);
                }
                Step::Close => return,
            }
        }
    }

    /// Answers 'busy' to a request that waited too long for a worker and that the parking thread has
    /// not noticed yet.
    fn refuse_if_late(&self, connection: &mut Connection<P>) {
        let waited = connection.queued_at.elapsed();
        self.shared.observer().queue_wait(self.lane, waited);
        let idle = matches!(connection.activity, Activity::Idle);
        if idle && waited > self.shared.config().queue_timeout.duration() {
            self.shared.note_late(connection);
            say_busy(&self.shared, connection);
        }
    }

    fn step(&mut self, connection: &mut Connection<P>, served: &mut u32) -> Step {
        match std::mem::replace(&mut connection.activity, Activity::Idle) {
            Activity::Idle => self.next_request(connection, served),
            Activity::Waiting(waiting) => self.resume(connection, waiting),
            Activity::Receiving(receiving) => self.receive(connection, receiving),
            Activity::Sending(sending) => self.send(connection, sending),
            Activity::Lingering { until } => {
                connection.activity = Activity::Lingering { until };
                Step::Wait(Interest::Read)
            }
        }
    }

    fn next_request(&mut self, connection: &mut Connection<P>, served: &mut u32) -> Step {
        match self.shared.protocol.readiness(&mut connection.inbox) {
            Readiness::Serve(lane) if lane != self.lane => return Step::Move(lane),
            Readiness::Serve(_) => {}
            Readiness::More => {
                let at_rest = connection.inbox.is_empty();
                return match connection.fill_inbox(&mut self.buffer) {
                    Ok(Filled::Some(len)) => {
                        self.shared.observer().event(NetEvent::Received(len as u64));
                        Step::Go
                    }
                    Ok(Filled::Nothing) if at_rest && self.shared.closes_idle() => Step::Close,
                    Ok(Filled::Nothing) => Step::Wait(Interest::Read),
                    Ok(Filled::Eof) => Step::Close,
                    Err(e) => close(connection, &e),
                };
            }
        }
        if *served >= REQUESTS_A_TURN && self.shared.waiting(self.lane) {
            return Step::Yield;
        }
        *served += 1;
        self.serve(connection)
    }

    fn serve(&mut self, connection: &mut Connection<P>) -> Step {
        if !self.shared.may_open(connection) {
            say_busy(&self.shared, connection);
            return Step::Go;
        }
        connection.owes_reply = true;
        connection.last_request = Instant::now();
        connection.moved = 0;
        let stopping = self.shared.is_stopping();
        let Connection {
            inbox,
            session,
            peer,
            stream,
            ..
        } = connection;
        let peer = Peer::new(*peer, stream);
        let action = self.shared.protocol.serve(inbox, session, peer, stopping);
        self.quick = connection.last_request.elapsed() < QUICK;
        match action {
            Action::Send(outgoing) => reply(connection, outgoing),
            Action::Receive { len, sink } => {
                self.quick = false;
                connection.activity = Activity::Receiving(Receiving::new(len, sink));
            }
            Action::Wait(pending) => return self.wait_for(connection, pending),
        }
        Step::Go
    }

    /// Has a request wait for another server; here, if too many wait elsewhere.
    fn wait_for(
        &self,
        connection: &mut Connection<P>,
        pending: Box<dyn Pending<Outgoing>>,
    ) -> Step {
        let crowded = self.shared.is_crowded();
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

    /// Another server has answered, or its time is over. Who was woken for anything else waits on.
    fn resume(&mut self, connection: &mut Connection<P>, waiting: Waiting) -> Step {
        let Some(silent) = waiting.outcome(Duration::ZERO) else {
            let interest = waiting.interest();
            connection.activity = Activity::Waiting(waiting);
            return interest.map_or(Step::Go, Step::Wait);
        };
        let began = Instant::now();
        let stopping = self.shared.is_stopping();
        let resumed = waiting.pending.resume(Wake { silent, stopping });
        self.quick = began.elapsed() < QUICK;
        match resumed {
            Resumed::Done(outgoing) => reply(connection, outgoing),
            Resumed::Again(pending) => return self.wait_for(connection, pending),
        }
        Step::Go
    }

    /// Waits a moment for the peer, unless somebody else waits for this worker or may come sooner.
    fn stay(&self, connection: &mut Connection<P>, interest: Interest) -> bool {
        let leave = match connection.activity {
            // A head that comes in pieces has a deadline, which the parking thread minds.
            Activity::Idle => self.quick || !connection.inbox.is_empty(),
            Activity::Waiting(_) | Activity::Lingering { .. } => true,
            Activity::Receiving(_) | Activity::Sending(_) => false,
        };
        let leave = leave || interest == Interest::Time;
        if leave || self.shared.is_stopping() || self.shared.waiting(self.lane) {
            return false;
        }
        let began = Instant::now();
        let is_ready = ready(connection.socket(interest), interest, STAY);
        if interest != Interest::Source {
            connection.pace.waited(began.elapsed());
        }
        is_ready
    }

    /// A panic costs the request, not the worker.
    fn after_panic(&self, connection: &mut Connection<P>) -> Step {
        self.shared.observer().event(NetEvent::Panicked);
        error!(
            "#{}: a request of {} panicked",
            connection.id, connection.peer
        );
        if !connection.owes_reply {
            return Step::Close;
        }
        // Whatever it was, it must not come here twice.
        connection.owes_reply = false;
        reply(connection, self.shared.protocol.panicked());
        Step::Go
    }
}

fn say_busy<P: Protocol>(shared: &Shared<P>, connection: &mut Connection<P>) {
    let busy = shared
        .protocol
        .busy(connection.peer, connection.inbox.bytes());
    reply(connection, busy);
}

fn reply<P: Protocol>(connection: &mut Connection<P>, outgoing: Outgoing) {
    connection.activity = Activity::Sending(Sending::new(outgoing));
}

fn after_reply<P: Protocol>(connection: &mut Connection<P>, then: Then) -> Step {
    connection.pace = Default::default();
    connection.permit.release();
    // What came behind a request begins the next one now, however long the reply took.
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
    // Who asks one thing after the other has not asked for the next one yet.
    if connection.inbox.is_empty() {
        Step::Wait(Interest::Read)
    } else {
        Step::Go
    }
}

/// A peer that leaves in mid-request is normal for a store behind players.
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
