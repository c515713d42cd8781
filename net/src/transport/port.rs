//! A port that is bound before the server starts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Socket, TcpKeepalive, Type};

use super::kernel_buffers;

/// Connections the kernel completes before they are accepted.
const BACKLOG: i32 = 4096;
/// Keepalive probes detect a vanished peer after about two minutes.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// A socket that is bound but does not listen yet: the kernel refuses connections to it.
#[derive(Debug)]
pub struct Port {
    socket: Socket,
    addr: SocketAddr,
}

impl Port {
    /// Binds `addr` (port 0: any free one). Accepted connections inherit every option set here except
    /// SO_REUSEADDR and O_NONBLOCK (tcp(7)).
    ///
    /// # Errors
    /// Another socket listens there, or the address is not local or not permitted.
    pub fn bind(addr: SocketAddr) -> io::Result<Port> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_AFTER)
            .with_interval(KEEPALIVE_EVERY);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_notsent_lowat(kernel_buffers::UNSENT_SLOW)?;
        socket.bind(&addr.into())?;
        let addr = socket.local_addr()?.as_socket();
        let addr = addr.ok_or_else(|| io::Error::other("the socket has no IP address"))?;
        Ok(Port { socket, addr })
    }

    /// The bound address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// True if only one of the two can listen: SO_REUSEADDR lets both be bound (socket(7)).
    pub fn excludes(&self, other: &Port) -> bool {
        let (a, b) = (self.addr.ip(), other.addr.ip());
        let is_any = a.is_unspecified() || b.is_unspecified();
        self.addr.port() == other.addr.port() && (a == b || is_any)
    }

    /// Starts to listen. The listener does not block.
    ///
    /// # Errors
    /// Another process has started to listen on the port.
    pub fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(BACKLOG)?;
        Ok(self.socket.into())
    }
}
