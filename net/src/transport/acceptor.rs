//! The accept thread.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base::LogThrottle;
use log::{debug, error, warn};
use proto::peer_proof::UNIX_SOCKET;
use rustix::event::{PollFd, PollFlags, poll};

use super::connection::Connection;
use super::connection_limit::Client;
use super::event_loop::{self, say_busy};
use super::full::Full;
use super::local_port::LocalPort;
use super::observer::NetEvent;
use super::protocol::Protocol;
use super::shared::Shared;

/// Limit on accepting the backlog after a stop: a flood of connections must not delay the stop.
pub(crate) const BACKLOG_TIME: Duration = Duration::from_millis(250);
/// Wait after accept(2) has run out of descriptors or memory.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(100);

/// The socket of an accept thread.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Local(LocalPort),
}

impl Listener {
    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Listener::Tcp(listener) => listener.accept(),
            Listener::Local(port) => Ok((port.accept()?, UNIX_SOCKET)),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Local(port) => port.listener().as_fd(),
        }
    }
}

/// Accepts connections until the server stops, then those in the backlog, and closes the listener.
pub(crate) fn run<P: Protocol>(shared: &Arc<Shared<P>>, listener: Listener) {
    let mut acceptor = Acceptor {
        shared,
        listener,
        scratch: vec![0; P::REQUEST_MAX],
        throttle: LogThrottle::default(),
    };
    while !shared.is_stopping() {
        wait(&acceptor.listener, shared.stop_event.as_fd());
        acceptor.accept_until(|| shared.is_stopping());
    }
    acceptor.drain();
}

/// Waits until a client connects or the server stops.
fn wait(listener: &Listener, stop_event: BorrowedFd<'_>) {
    let mut fds = [
        PollFd::new(listener, PollFlags::IN),
        PollFd::from_borrowed_fd(stop_event, PollFlags::IN),
    ];
    // The next accept reports an error of the listener; a signal is not an error.
    let _ = poll(&mut fds, None);
}

struct Acceptor<'a, P: Protocol> {
    shared: &'a Arc<Shared<P>>,
    listener: Listener,
    /// Holds one request.
    scratch: Vec<u8>,
    throttle: LogThrottle<&'static str>,
}

impl<P: Protocol> Acceptor<'_, P> {
    /// Accepts until the backlog is empty or `is_over`, which is checked before each connection: a
    /// flood of connections never leaves the backlog empty.
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
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        match admit(self.shared, stream, peer, id) {
            Ok(connection) => self.begin(connection),
            Err(e) => {
                if let Some(more) = self.throttle.due("crowded") {
                    warn!("{peer}: not admitted: {e}{more}");
                }
            }
        }
    }

    /// Reads the first request, which most clients have sent by now: then the event loop need not be
    /// woken.
    fn begin(&mut self, connection: Box<Connection<P>>) {
        let advanced = event_loop::catch_panic(|| {
            event_loop::on_ready(self.shared, connection, &mut self.scratch)
        });
        if let Some(connection) = advanced.flatten() {
            self.shared.hand_over(connection);
        }
    }

    /// Frees descriptors or memory by closing an idle connection, or waits.
    fn make_room(&self, error: &io::Error) {
        if let Some(more) = self.throttle.due("exhausted") {
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

/// True if the error belongs to the new connection and not to this process (accept(2)).
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied | TimedOut
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
    let entered = match has_room {
        true => shared.enter(peer),
        false => Err(Full::Server),
    };
    let permit = entered.map_err(|full| {
        shared.observer().event(NetEvent::Refused(full));
        say_busy(shared, &stream, peer, None, full);
        io::Error::other(match full {
            Full::Client => "too many connections of this address, see connections_per_address",
            Full::Server => "too many connections",
        })
    })?;
    Ok(Box::new(Connection::new(stream, peer, id, permit)))
}
