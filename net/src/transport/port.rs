//! A port that this process has, before it serves there.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Socket, TcpKeepalive, Type};

use super::ahead;

/// Connections the kernel completes before they are accepted.
const BACKLOG: i32 = 4096;
/// A peer that vanished without a word is noticed after about two minutes.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// A socket that is bound and does not listen: the kernel refuses connections to it.
#[derive(Debug)]
pub struct Port {
    socket: Socket,
    addr: SocketAddr,
}

impl Port {
    /// Binds `addr` (port 0: any free one). All that is set here but the first two the connections
    /// inherit (tcp(7)).
    ///
    /// # Errors
    /// Another socket listens there, or the address is not one of this machine or not permitted.
    pub fn bind(addr: SocketAddr) -> io::Result<Port> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_AFTER)
            .with_interval(KEEPALIVE_EVERY);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_notsent_lowat(ahead::LITTLE)?;
        socket.bind(&addr.into())?;
        let addr = socket.local_addr()?.as_socket();
        let addr = addr.ok_or_else(|| io::Error::other("the socket has no IP address"))?;
        Ok(Port { socket, addr })
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether only one of the two can listen: SO_REUSEADDR lets both be bound (socket(7)).
    pub fn excludes(&self, other: &Port) -> bool {
        let (a, b) = (self.addr.ip(), other.addr.ip());
        let is_any = a.is_unspecified() || b.is_unspecified();
        self.addr.port() == other.addr.port() && (a == b || is_any)
    }

    /// Listens: the kernel lets connections in. The listener does not block.
    ///
    /// # Errors
    /// Another process listens on the port since it was bound.
    pub fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(BACKLOG)?;
        Ok(self.socket.into())
    }
}
