//! Content that comes from another server while it is sent.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

/// Where the bytes of a reply come from, in order. Most are moved from its socket to the peer's
/// within the kernel; what that cannot do, such as going on from another server, is a read.
pub trait Source: Send {
    /// Reads what has come, at least one byte; 0 means that there is no more. May block, for a
    /// bounded time.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind) if no server may be asked now: it is to be called again after
    /// [`Source::patience`]. Any other error: the bytes are not to be had, the reply is broken off.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// The socket the next bytes come from, none of which is buffered here; absent when they have
    /// to be [read](Source::read).
    fn socket(&self) -> Option<&TcpStream>;

    /// Takes note that `len` bytes were taken from the socket.
    fn taken(&mut self, len: usize);

    /// The socket broke, or was silent for too long: a read finds out where to go on.
    fn abandon_socket(&mut self);

    /// How long the socket may be silent; if there is none, how long to wait before the next read.
    fn patience(&self) -> Duration;
}
