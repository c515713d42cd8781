//! The accept thread.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use log::{debug, error, warn};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};

use super::connection::Connection;
use super::pipe::Pipe;
use super::protocol::Protocol;
use super::sending::{Sending, Tools};
use super::server::Shared;
use super::wait::Interest;
use crate::logging::Seldom;

/// Connections the kernel completes before they are accepted.
const BACKLOG: i32 = 4096;
/// A peer that vanished without a word is noticed after about two minutes.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
/// Wait after running out of descriptors or memory.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(100);

/// A listening socket; the port may be 0 for any free one.
pub(crate) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Ends a blocked `accept`: on Linux it returns an error once the socket is shut down.
pub(crate) fn interrupt(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).shutdown(std::net::Shutdown::Both)
}

/// Accepts until the server stops.
pub(crate) fn run<P: Protocol>(shared: &Arc<Shared<P>>, listener: &TcpListener) {
    let seldom = Seldom::default();
    for id in 1.. {
        let accepted = listener.accept();
        if shared.is_stopping() {
            return;
        }
        match accepted {
            Ok((stream, peer)) => {
                if let Err(e) = admit(shared, stream, peer, id)
                    && let Some(more) = seldom.due("crowded")
                {
                    warn!("{peer}: not admitted: {e}{more}");
                }
            }
            Err(e) if is_of_the_connection(&e) => debug!("accept: {e}"),
            Err(e) => {
                if let Some(more) = seldom.due("exhausted") {
                    error!("accept: {e}{more}");
                }
                // Somebody who only sits there may have what is missing.
                if !shared.parking.evict_idle() {
                    shared.stop.wait(EXHAUSTED_WAIT);
                }
            }
        }
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
) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    let Some(slot) = shared.enter() else {
        refuse(shared, &stream);
        return Err(io::Error::other("too many connections"));
    };
    let connection = Box::new(Connection::new(stream, peer, id, slot));
    shared.parking.register(&connection)?;
    shared.park(connection, Interest::Read);
    Ok(())
}

/// Says 'busy' as far as that goes without waiting.
fn refuse<P: Protocol>(shared: &Shared<P>, stream: &TcpStream) {
    let mut tools = Tools {
        scratch: &mut [],
        pipe: &mut Pipe::default(),
        patience: &|| Duration::ZERO,
    };
    let _ = Sending::new(shared.protocol.busy()).advance(stream, &mut tools);
}
