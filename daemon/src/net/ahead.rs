//! How far the kernel may be ahead of a peer: what it has taken from us and the network or the peer
//! has not taken from it.

use std::net::TcpStream;

use socket2::SockRef;

/// For a peer that is waited for. It wants more when half are gone; without this it takes megabytes
/// for each slow player, and for each that has jumped away, and runs out of memory at some hundred.
pub(crate) const LITTLE: u32 = 128 << 10;
/// As much as the system likes: it takes fewer calls.
const PLENTY: u32 = 0;
/// Who has taken so much without being waited for is quick.
const QUICK: u64 = 8 << 20;

/// What a peer is allowed, by how it took what was sent so far: [`LITTLE`] at first.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    plenty: bool,
    in_a_row: u64,
}

impl Ahead {
    /// The peer took so many bytes.
    pub(crate) fn moved(&mut self, stream: &TcpStream, bytes: u64) {
        self.in_a_row = self.in_a_row.saturating_add(bytes);
        if !self.plenty && self.in_a_row >= QUICK {
            self.plenty = true;
            allow(stream, PLENTY);
        }
    }

    /// The peer takes no more for now, and nobody stays with it.
    pub(crate) fn waited_for(&mut self, stream: &TcpStream) {
        self.in_a_row = 0;
        if std::mem::take(&mut self.plenty) {
            allow(stream, LITTLE);
        }
    }
}

fn allow(stream: &TcpStream, bytes: u32) {
    // Of no effect on a socket that broke, which is noticed elsewhere.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(bytes);
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write};
    use std::net::Ipv4Addr;

    use super::*;
    use crate::net::listener::bind;

    /// A peer, and the connection to it, not blocking.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        (peer, stream)
    }

    fn allowed(stream: &TcpStream) -> u32 {
        SockRef::from(stream).tcp_notsent_lowat().unwrap()
    }

    #[test]
    fn a_peer_that_reads_nothing_does_not_fill_the_kernel() {
        const MAX: usize = 1 << 20;
        let (_peer, mut stream) = pair();
        let mut taken = 0;
        let end = loop {
            match stream.write(&[1; 4096]) {
                Ok(n) => taken += n,
                Err(e) => break e.kind(),
            }
            assert!(taken < MAX, "the kernel takes more and more");
        };
        assert_eq!(end, ErrorKind::WouldBlock);
    }

    #[test]
    fn who_is_quick_is_allowed_more_until_it_is_waited_for() {
        let (_peer, stream) = pair();
        assert!(stream.nodelay().unwrap());
        let mut ahead = Ahead::default();
        ahead.moved(&stream, QUICK - 1);
        assert_eq!(allowed(&stream), LITTLE);
        ahead.moved(&stream, 1);
        assert_eq!(allowed(&stream), PLENTY);
        ahead.waited_for(&stream);
        assert_eq!(allowed(&stream), LITTLE);
        ahead.moved(&stream, QUICK - 1);
        assert_eq!(allowed(&stream), LITTLE);
    }
}
