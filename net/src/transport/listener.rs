//! The accept thread.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::RangeFrom;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::LogThrottle;
use log::{debug, error, warn};
use rustix::event::{PollFd, PollFlags, poll};

use super::connection::Connection;
use super::limit::Client;
use super::observer::NetEvent;
use super::protocol::Protocol;
use super::refuse::say_busy;
use super::shared::Shared;
use super::watch;

/// Limit on accepting the backlog after a stop: a flood of connections must not delay the stop.
pub(crate) const BACKLOG_TIME: Duration = Duration::from_millis(250);
/// Wait after running out of descriptors or memory.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(100);

/// Accepts until the server stops; then those who are connected already, and closes the door.
pub(crate) fn run<P: Protocol>(shared: &Arc<Shared<P>>, listener: TcpListener) {
    let mut desk = Desk {
        shared,
        listener,
        ids: 1..,
        scratch: vec![0; P::REQUEST_MAX],
        seldom: LogThrottle::default(),
    };
    while !shared.is_stopping() {
        wait(&desk.listener, shared.bell.as_fd());
        desk.accept_until(|| shared.is_stopping());
    }
    desk.drain();
}

/// Waits until a client connects or the server stops.
fn wait(listener: &TcpListener, bell: BorrowedFd<'_>) {
    let mut fds = [
        PollFd::new(listener, PollFlags::IN),
        PollFd::from_borrowed_fd(bell, PollFlags::IN),
    ];
    // The next accept reports an error of the listener; a signal is not an error.
    let _ = poll(&mut fds, None);
}

struct Desk<'a, P: Protocol> {
    shared: &'a Arc<Shared<P>>,
    listener: TcpListener,
    ids: RangeFrom<u64>,
    /// Room for a request.
    scratch: Vec<u8>,
    seldom: LogThrottle<&'static str>,
}

impl<P: Protocol> Desk<'_, P> {
    /// Accepts whoever is connected. In a flood there is always somebody: `is_over` is asked before
    /// each.
    fn accept_until(&mut self, is_over: impl Fn() -> bool) {
        while !is_over() {
            match self.listener.accept() {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if is_of_the_connection(&e) => debug!("accept: {e}"),
                Err(e) => return self.make_room(&e),
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        self.shared.observer().event(NetEvent::Accepted);
        let id = self.ids.next().unwrap_or(u64::MAX);
        match admit(self.shared, stream, peer, id) {
            Ok(connection) => self.begin(connection),
            Err(e) => {
                if let Some(more) = self.seldom.due("crowded") {
                    warn!("{peer}: not admitted: {e}{more}");
                }
            }
        }
    }

    /// Most clients ask at once: their first request is there when they are accepted, and need not
    /// wake the parking thread.
    fn begin(&mut self, connection: Box<Connection<P>>) {
        let advanced = watch::guard(|| watch::advance(self.shared, connection, &mut self.scratch));
        if let Some(connection) = advanced.flatten() {
            self.shared.hand_over(connection);
        }
    }

    /// Descriptors or memory have run out. Somebody who only sits there may have what is missing.
    fn make_room(&self, error: &io::Error) {
        if let Some(more) = self.seldom.due("exhausted") {
            error!("accept: {error}{more}");
        }
        if !self.shared.make_room(None) {
            self.shared.stop.wait(EXHAUSTED_WAIT);
        }
    }

    /// Accepts the connections in the backlog, then closes the listener. The kernel resets a
    /// connection that it completes in between; its client then asks another server, as it does
    /// after a refusal.
    fn drain(mut self) {
        let end = Instant::now() + BACKLOG_TIME;
        self.accept_until(|| Instant::now() >= end);
    }
}

/// The error is of the connection that was to be accepted, not of this process (accept(2)).
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, TimedOut};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | TimedOut
    )
}

fn admit<P: Protocol>(
    shared: &Arc<Shared<P>>,
    stream: TcpStream,
    peer: SocketAddr,
    id: u64,
) -> io::Result<Box<Connection<P>>> {
    stream.set_nonblocking(true)?;
    let has_room = !shared.limit.is_last(&stream) || shared.make_room(Some(Client::of(peer)));
    let Some(permit) = has_room.then(|| shared.enter(peer)).flatten() else {
        shared.observer().event(NetEvent::Refused);
        say_busy(shared, &stream, peer, &[]);
        return Err(io::Error::other("too many connections"));
    };
    Ok(Box::new(Connection::new(stream, peer, id, permit)))
}
