//! Limits how much the kernel buffers for one peer: bytes that are not sent yet, and bytes from the
//! server behind a reply that are not read yet.

use std::net::TcpStream;

use socket2::SockRef;

/// Unsent bytes (TCP_NOTSENT_LOWAT) for a slow peer. The socket is writable again when half are sent.
/// Without this limit the kernel buffers megabytes per slow player and runs out of TCP memory at some
/// hundred of them.
pub(crate) const UNSENT_SLOW: u32 = 128 << 10;
/// For a fast peer: the limit of the system, which needs fewer system calls.
const UNSENT_FAST: u32 = 0;
/// Receive buffer of the source of a slow peer; the kernel doubles it for its own needs.
const UNREAD_SLOW: usize = 192 << 10;
const UNREAD_FAST: usize = 1 << 20;
/// A peer that takes this many bytes without a wait is fast.
const FAST_AFTER: u64 = 8 << 20;

/// The buffers of one connection. A peer counts as slow at first.
///
/// Without these switches, with [`UNSENT_SLOW`] for all and receive buffers that the system sizes, a thousand
/// slow readers hold 13 % more of the kernel's memory, and 100 MiB over HTTP cost 12 % more processor time. A
/// small receive buffer for all costs more still (docs/performance.md, slow readers).
#[derive(Debug, Default)]
pub(crate) struct KernelBuffers {
    in_a_row: u64,
    is_fast: bool,
}

impl KernelBuffers {
    /// Records that the peer took `bytes`, which came from `source` if there is one.
    pub(crate) fn moved(&mut self, bytes: u64, peer: &TcpStream, source: Option<&TcpStream>) {
        self.in_a_row = self.in_a_row.saturating_add(bytes);
        if self.in_a_row >= FAST_AFTER {
            self.in_a_row = 0;
            self.allow(true, peer);
            let _ = source.map(|source| SockRef::from(source).set_recv_buffer_size(UNREAD_FAST));
        }
    }

    /// Shrinks the buffers: the peer takes no more for now and the connection is parked.
    pub(crate) fn throttle(&mut self, peer: &TcpStream, source: Option<&TcpStream>) {
        self.in_a_row = 0;
        self.allow(false, peer);
        // The source may be another one each time.
        let _ = source.map(|source| SockRef::from(source).set_recv_buffer_size(UNREAD_SLOW));
    }

    /// Bytes to take off a source in one step: bytes that the socket does not take have to be kept in
    /// memory.
    pub(crate) fn take_max(&self) -> u64 {
        if self.is_fast {
            u64::MAX
        } else {
            u64::from(UNSENT_SLOW / 2)
        }
    }

    fn allow(&mut self, is_fast: bool, peer: &TcpStream) {
        if std::mem::replace(&mut self.is_fast, is_fast) != is_fast {
            let unsent = if is_fast { UNSENT_FAST } else { UNSENT_SLOW };
            // Fails on a broken socket, which the next write reports.
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
        let mut ahead = KernelBuffers::default();
        ahead.moved(FAST_AFTER - 1, &stream, Some(&source));
        assert_eq!(allowed(&stream), UNSENT_SLOW);
        ahead.moved(1, &stream, Some(&source));
        assert_eq!(allowed(&stream), UNSENT_FAST);
        assert_eq!(ahead.take_max(), u64::MAX);
        let much = unread();
        ahead.throttle(&stream, Some(&source));
        assert_eq!(allowed(&stream), UNSENT_SLOW);
        assert!(unread() < much, "{much}");
        ahead.moved(FAST_AFTER - 1, &stream, Some(&source));
        assert_eq!(allowed(&stream), UNSENT_SLOW);
    }
}
