//! Content that comes from another server while it is sent.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

/// Where the bytes of a reply come from, in order. They are read, or moved from the source's socket
/// to the peer's within the kernel where that is allowed.
pub trait Source: Send {
    /// Reads at least one byte; 0 means that there is no more. With a [socket](Source::socket) it
    /// does not wait for that: [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing for the peer
    /// has come. Without one it may block, for a bounded time.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind) if no server may be asked now: it is to be called again after
    /// [`Source::patience`]. Any other error: the bytes are not to be had, the reply is broken off.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// The socket the next bytes come from; absent when a read has bytes at hand or must find out
    /// where to go on, such as from another server.
    fn socket(&self) -> Option<&TcpStream>;

    /// True if bytes may be taken off the socket instead of being read: none is buffered here.
    fn may_splice(&self) -> bool;

    /// Takes note that `len` bytes were taken from the socket.
    fn taken(&mut self, len: usize);

    /// True if [`Source::inspect`] must see the bytes that are taken from the socket.
    fn inspects(&self) -> bool {
        false
    }

    /// Looks at the bytes that were taken last, before any of them is sent.
    ///
    /// # Errors
    /// The bytes must not be sent: the reply is broken off.
    fn inspect(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// The socket broke, or was silent for too long: a read finds out where to go on.
    fn abandon_socket(&mut self);

    /// How long the socket may be silent, or send less than 1 KiB for each second of it; if there is
    /// none, how long to wait before the next read.
    fn patience(&self) -> Duration;
}
