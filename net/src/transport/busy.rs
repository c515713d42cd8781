//! 'Busy' replies, sent by threads that must not wait for a peer.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use log::debug;

use super::connection::{Activity, Connection, LINGER};
use super::observer::NetEvent;
use super::pipe::Pipe;
use super::protocol::Protocol;
use super::sending::{Progress, Sending, Tools};
use super::shared::Shared;
use super::wait::Interest;

/// Sends 'busy' as far as the peer takes it at once; true if that was all of it. `request` holds the
/// bytes of the request that were read.
pub(crate) fn say_busy<P: Protocol>(
    shared: &Shared<P>,
    stream: &TcpStream,
    peer: SocketAddr,
    request: &[u8],
) -> bool {
    let mut tools = Tools {
        scratch: &mut [],
        pipe: &mut Pipe::default(),
        take_max: 0,
        wait_max: &|| Duration::ZERO,
        waited: Duration::ZERO,
    };
    let mut busy = Sending::new(shared.protocol.busy(peer, request));
    let is_out = matches!(busy.advance(stream, &mut tools), Ok(Progress::Done));
    shared.observer().event(NetEvent::Sent(busy.sent()));
    is_out
}

/// Answers a request that has waited too long for a worker.
pub(crate) fn refuse_late<P: Protocol>(shared: &Shared<P>, mut connection: Box<Connection<P>>) {
    shared.note_late(&connection);
    let Connection {
        stream,
        peer,
        inbox,
        ..
    } = &*connection;
    let is_out = say_busy(shared, stream, *peer, inbox.bytes());
    if !is_out || connection.stream.shutdown(Shutdown::Write).is_err() {
        debug!("#{}: closed, takes no reply", connection.id);
        return;
    }
    connection.activity = Activity::Lingering {
        until: Instant::now() + LINGER,
    };
    shared.park(connection, Interest::Read);
}
