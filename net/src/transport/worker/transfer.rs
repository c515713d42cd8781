//! One step of a transfer, in or out.

use std::time::Duration;

use log::error;

use super::{Step, Worker, after_reply, close};
use crate::transport::connection::{Activity, Connection};
use crate::transport::observer::NetEvent;
use crate::transport::outgoing::{self, Outgoing, SendError, Tools};
use crate::transport::protocol::Protocol;
use crate::transport::receiving::{self, Receiving};

use crate::transport::shared::Shared;
use crate::transport::wait::Interest;
use crate::transport::worker_pool::WorkerPool;

/// How long a worker waits for a transfer before parking it; a parked upload has to write a partial
/// buffer.
const STAY_FOR_CONTENT: Duration = Duration::from_millis(10);

impl<P: Protocol> Worker<P> {
    pub(super) fn receive(&mut self, connection: &mut Connection<P>, receiving: Receiving) -> Step {
        let (mut moved, mut waited) = (0, Duration::ZERO);
        let known = connection.inbox.bytes().len();
        let (shared, pool) = (&self.shared, self.pool);
        let wait_max = || wait_max(shared, pool);
        let progress = receiving.advance(
            &mut connection.inbox,
            &connection.stream,
            &mut self.buffer,
            wait_max,
            (&mut moved, &mut waited),
        );
        shared.note_moved(connection, moved);
        connection.stall.waited(waited);
        // The bytes of the inbox were counted when they were read.
        let taken = (known - connection.inbox.bytes().len()) as u64;
        let received = NetEvent::Received(moved.saturating_sub(taken));
        shared.observer().event(received);
        match progress {
            Ok(receiving::Progress::Done(outgoing)) => {
                connection.activity = Activity::Sending(outgoing);
                Step::Go
            }
            Ok(receiving::Progress::Yield(receiving)) => {
                connection.activity = Activity::Receiving(receiving);
                self.yield_or_go()
            }
            Ok(receiving::Progress::Blocked(receiving)) => {
                connection.activity = Activity::Receiving(receiving);
                self.wait_for_peer(connection, Interest::Read)
            }
            Err(e) => close(connection, &e),
        }
    }

    pub(super) fn send(&mut self, connection: &mut Connection<P>, mut sending: Outgoing) -> Step {
        let before = sending.sent();
        // A panic from here on may find a part of the reply sent: no other reply can follow.
        connection.owes_reply = false;
        let (shared, pool) = (&self.shared, self.pool);
        let mut tools = Tools {
            scratch: &mut self.buffer,
            pipe: &mut self.pipe,
            take_max: connection.buffers.take_max(),
            wait_max: &|| wait_max(shared, pool),
            waited: Duration::ZERO,
        };
        let progress = sending.advance(&connection.stream, &mut tools);
        connection.stall.waited(tools.waited);
        let moved = sending.sent() - before;
        shared.note_moved(connection, moved);
        let source = sending.source_socket();
        connection.buffers.moved(moved, &connection.stream, source);
        self.shared.observer().event(NetEvent::Sent(moved));
        match progress {
            Ok(outgoing::Progress::Done) => after_reply(connection, sending.then),
            Ok(outgoing::Progress::Yield) => {
                connection.activity = Activity::Sending(sending);
                self.yield_or_go()
            }
            Ok(outgoing::Progress::Blocked) => {
                connection.activity = Activity::Sending(sending);
                self.wait_for_peer(connection, Interest::Write)
            }
            Ok(outgoing::Progress::SourceBlocked) => {
                let interest = match sending.source_socket() {
                    Some(_) => Interest::Source,
                    None => Interest::Time,
                };
                connection.activity = Activity::Sending(sending);
                Step::Wait(interest)
            }
            Err(SendError::Peer(e)) => close(connection, &e),
            Err(SendError::Source(e)) => {
                self.shared.observer().event(NetEvent::BrokenOff);
                if let Some(more) = self.shared.broken_off.due(()) {
                    error!(
                        "#{}: {}: reply broken off: {e}{more}",
                        connection.id, connection.peer
                    );
                }
                Step::Close
            }
        }
    }

    /// Parks a transfer, or closes it if it has stalled.
    fn wait_for_peer(&self, connection: &mut Connection<P>, interest: Interest) -> Step {
        if self.shared.is_stalled(connection) {
            return Step::Close;
        }
        Step::Wait(interest)
    }

    fn yield_or_go(&self) -> Step {
        if self.shared.waiting(self.pool) {
            Step::Yield
        } else {
            Step::Go
        }
    }
}

/// How long a worker waits for a transfer that is not ready.
fn wait_max<P: Protocol>(shared: &Shared<P>, pool: WorkerPool) -> Duration {
    if shared.waiting(pool) {
        Duration::ZERO
    } else {
        STAY_FOR_CONTENT
    }
}
