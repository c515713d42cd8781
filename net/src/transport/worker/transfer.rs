//! Content on its way in or out: one step of a transfer, as far as it goes now.

use std::time::Duration;

use log::error;

use super::{Step, Worker, after_reply, close, reply};
use crate::transport::connection::{Activity, Connection};
use crate::transport::lane::Lane;
use crate::transport::observer::NetEvent;
use crate::transport::protocol::Protocol;
use crate::transport::receiving::{self, Receiving};
use crate::transport::sending::{self, SendError, Sending, Tools};
use crate::transport::shared::Shared;
use crate::transport::wait::Interest;

/// How long a worker stays with a transfer that is not ready: parking it costs a small write.
const STAY_FOR_CONTENT: Duration = Duration::from_millis(10);

impl<P: Protocol> Worker<P> {
    pub(super) fn receive(&mut self, connection: &mut Connection<P>, receiving: Receiving) -> Step {
        let (mut moved, mut waited) = (0, Duration::ZERO);
        let known = connection.inbox.bytes().len();
        let (shared, lane) = (&self.shared, self.lane);
        let patience = || patience(shared, lane);
        let progress = receiving.advance(
            &mut connection.inbox,
            &connection.stream,
            &mut self.buffer,
            patience,
            (&mut moved, &mut waited),
        );
        connection.moved(moved);
        connection.pace.waited(waited);
        // What lay in the inbox was counted when it came.
        let taken = (known - connection.inbox.bytes().len()) as u64;
        let received = NetEvent::Received(moved.saturating_sub(taken));
        shared.observer().event(received);
        match progress {
            Ok(receiving::Progress::Done(outgoing)) => {
                reply(connection, outgoing);
                Step::Go
            }
            Ok(receiving::Progress::Turn(receiving)) => {
                connection.activity = Activity::Receiving(receiving);
                self.turn()
            }
            Ok(receiving::Progress::Blocked(receiving)) => {
                connection.activity = Activity::Receiving(receiving);
                self.wait_for_peer(connection, Interest::Read)
            }
            Err(e) => close(connection, &e),
        }
    }

    pub(super) fn send(&mut self, connection: &mut Connection<P>, mut sending: Sending) -> Step {
        let before = sending.sent();
        // From here on a panic finds a part of the reply out: nothing can be said any more.
        connection.owes_reply = false;
        let (shared, lane) = (&self.shared, self.lane);
        let mut tools = Tools {
            scratch: &mut self.buffer,
            pipe: &mut self.pipe,
            at_once: connection.ahead.taken_at_once(),
            patience: &|| patience(shared, lane),
            waited: Duration::ZERO,
        };
        let progress = sending.advance(&connection.stream, &mut tools);
        connection.pace.waited(tools.waited);
        let moved = sending.sent() - before;
        connection.moved(moved);
        let source = sending.source_socket();
        connection.ahead.moved(moved, &connection.stream, source);
        self.shared.observer().event(NetEvent::Sent(moved));
        match progress {
            Ok(sending::Progress::Done) => after_reply(connection, sending.then),
            Ok(sending::Progress::Turn) => {
                connection.activity = Activity::Sending(sending);
                self.turn()
            }
            Ok(sending::Progress::Blocked) => {
                connection.activity = Activity::Sending(sending);
                self.wait_for_peer(connection, Interest::Write)
            }
            Ok(sending::Progress::Starved) => {
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

    /// Lets a transfer wait, unless it has moved too few bytes for the time that it was waited for.
    fn wait_for_peer(&self, connection: &mut Connection<P>, interest: Interest) -> Step {
        if self.shared.is_stalled(connection) {
            return Step::Close;
        }
        Step::Wait(interest)
    }

    fn turn(&self) -> Step {
        if self.shared.waiting(self.lane) {
            Step::Yield
        } else {
            Step::Go
        }
    }
}

/// How long a worker stays with a transfer that is not ready.
fn patience<P: Protocol>(shared: &Shared<P>, lane: Lane) -> Duration {
    if shared.waiting(lane) {
        Duration::ZERO
    } else {
        STAY_FOR_CONTENT
    }
}
