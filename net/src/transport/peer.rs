//! The peer of a request.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Weak};

use proto::peer_proof::UNIX_SOCKET;

use super::wait::has_left;

/// The peer that sent a request.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// Its address.
    pub addr: SocketAddr,
    stream: &'a Arc<TcpStream>,
}

impl<'a> Peer<'a> {
    /// The peer of `stream`.
    pub fn new(addr: SocketAddr, stream: &'a Arc<TcpStream>) -> Peer<'a> {
        Peer { addr, stream }
    }

    /// True if it is connected to the Unix socket: a process of this machine, of the same user or of root.
    pub fn is_local(&self) -> bool {
        self.addr == UNIX_SOCKET
    }

    /// The address of this end. A connection that has ended has no address any more; no request of it
    /// gets a reply.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        if self.is_local() {
            return UNIX_SOCKET;
        }
        let unspecified = SocketAddr::new([0; 4].into(), 0);
        self.stream.local_addr().unwrap_or(unspecified)
    }

    /// A probe that tells later whether the peer is still connected.
    pub fn probe(&self) -> PeerProbe {
        PeerProbe(Arc::downgrade(self.stream))
    }
}

/// Tells whether the peer of a request is still connected. Does not keep the connection open.
/// The default is the probe of a connection that has ended.
#[derive(Debug, Clone, Default)]
pub struct PeerProbe(Weak<TcpStream>);

impl PeerProbe {
    /// True if the peer is connected, as far as this host's kernel knows. Does not wait.
    ///
    /// A peer that has closed its sending side counts as gone: the kernel does not distinguish it from a
    /// closed connection. A client must keep both directions open until the reply.
    pub fn is_connected(&self) -> bool {
        self.0.upgrade().is_some_and(|stream| !has_left(&stream))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener};

    use test_support::until;

    use super::*;

    fn pair() -> (TcpStream, Arc<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        (peer, Arc::new(stream))
    }

    #[test]
    fn a_peer_that_leaves_is_noticed_behind_bytes_that_nobody_has_read() {
        let leave: [fn(TcpStream) -> Option<TcpStream>; 2] = [
            |peer| {
                drop(peer);
                None
            },
            |peer| {
                peer.shutdown(Shutdown::Write).unwrap();
                Some(peer)
            },
        ];
        for leave in leave {
            let (mut peer, stream) = pair();
            let probe = Peer::new(peer.local_addr().unwrap(), &stream).probe();
            assert!(probe.is_connected());
            peer.write_all(b"the next request").unwrap();
            assert!(probe.is_connected());
            let _half = leave(peer);
            until("the end is seen", || !probe.is_connected());
        }
    }

    #[test]
    fn a_probe_does_not_keep_a_connection_open() {
        let (_peer, stream) = pair();
        let probe = Peer::new(stream.peer_addr().unwrap(), &stream).probe();
        drop(stream);
        assert!(!probe.is_connected());
        assert!(!PeerProbe::default().is_connected());
    }
}
