//! How far kernels may be ahead of a peer: with what ours has taken from us and the network has not
//! taken from it, and with what has come from the server behind a reply and was not read.

use std::net::TcpStream;

use socket2::SockRef;

/// Bytes that are not sent yet, for a peer that is waited for. It wants more when half are gone;
/// without this the kernel takes megabytes for each slow player, and for each that has jumped away,
/// and runs out of memory at some hundred.
pub(crate) const LITTLE: u32 = 128 << 10;
/// As many as the system likes: it takes fewer calls.
const PLENTY: u32 = 0;
/// Bytes that have come for a peer that is waited for, or about twice as many as the kernel counts.
const LITTLE_UNREAD: usize = 192 << 10;
const PLENTY_UNREAD: usize = 1 << 20;
/// Who has taken so much without being waited for is quick.
const QUICK: u64 = 8 << 20;

/// What a peer is allowed, by how it took what was sent so far: [`LITTLE`] at first.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    in_a_row: u64,
    /// It is allowed [`PLENTY`].
    quick: bool,
}

impl Ahead {
    /// The peer took so many bytes, which came from `source` if there is one.
    pub(crate) fn moved(&mut self, bytes: u64, peer: &TcpStream, source: Option<&TcpStream>) {
        self.in_a_row = self.in_a_row.saturating_add(bytes);
        if self.in_a_row >= QUICK {
            self.in_a_row = 0;
            self.allow(true, peer);
            let _ = source.map(|source| SockRef::from(source).set_recv_buffer_size(PLENTY_UNREAD));
        }
    }

    /// The peer takes no more for now, and nobody stays with it.
    pub(crate) fn waited_for(&mut self, peer: &TcpStream, source: Option<&TcpStream>) {
        self.in_a_row = 0;
        self.allow(false, peer);
        // It may be another one each time.
        let _ = source.map(|source| SockRef::from(source).set_recv_buffer_size(LITTLE_UNREAD));
    }

    /// Bytes that the peer takes at once when it takes any: what was taken off a source and finds no
    /// room would have to be kept.
    pub(crate) fn taken_at_once(&self) -> u64 {
        if self.quick {
            u64::MAX
        } else {
            u64::from(LITTLE / 2)
        }
    }

    fn allow(&mut self, quick: bool, peer: &TcpStream) {
        if std::mem::replace(&mut self.quick, quick) != quick {
            let unsent = if quick { PLENTY } else { LITTLE };
            // Of no effect on a socket that broke, which is noticed elsewhere.
            let _ = SockRef::from(peer).set_tcp_notsent_lowat(unsent);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write};
    use std::net::Ipv4Addr;

    use super::*;
    use crate::transport::Port;

    /// A peer, and the connection to it, not blocking.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = Port::bind((Ipv4Addr::LOCALHOST, 0).into())
            .and_then(Port::listen)
            .unwrap();
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
        let (_server, source) = pair();
        let unread = || SockRef::from(&source).recv_buffer_size().unwrap();
        let mut ahead = Ahead::default();
        ahead.moved(QUICK - 1, &stream, Some(&source));
        assert_eq!(allowed(&stream), LITTLE);
        ahead.moved(1, &stream, Some(&source));
        assert_eq!(allowed(&stream), PLENTY);
        assert_eq!(ahead.taken_at_once(), u64::MAX);
        let much = unread();
        ahead.waited_for(&stream, Some(&source));
        assert_eq!(allowed(&stream), LITTLE);
        assert!(unread() < much, "{much}");
        ahead.moved(QUICK - 1, &stream, Some(&source));
        assert_eq!(allowed(&stream), LITTLE);
    }
}
