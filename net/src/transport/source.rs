//! Content that is read from another server while it is sent.

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

/// The source of the bytes of a reply. They are read, or moved from the source's socket to the peer's
/// within the kernel.
pub trait Source: Send {
    /// Reads at least one byte; 0 at the end. With a [socket](Source::socket) it does not wait for that:
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if no byte is available. Without one it may block, for a
    /// bounded time.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind) if no server may be asked now: call again after
    /// [`Source::timeout`]. Any other error aborts the reply.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Calls `act` with the open file of the next bytes and their offset, if this machine has the file and can
    /// send `len` bytes of it now. [`Source::taken`] follows if bytes were sent, [`Source::abandon`] if the file
    /// cannot be read.
    fn visit_file(&mut self, _len: u64, _act: &mut dyn FnMut(&File, u64)) {}

    /// True if the next bytes come from a file of this machine.
    fn is_local(&self) -> bool {
        false
    }

    /// The socket of the next bytes; absent if a read has buffered bytes or must connect first.
    fn socket(&self) -> Option<&TcpStream>;

    /// True if bytes may be taken off the socket instead of being read: none is buffered.
    fn may_splice(&self) -> bool;

    /// Records that `len` bytes were taken from the socket or the file.
    fn taken(&mut self, len: usize);

    /// True if [`Source::inspect`] must see the bytes that are taken from the socket.
    fn inspects(&self) -> bool {
        false
    }

    /// Checks the bytes that were taken latest, before any of them is sent.
    ///
    /// # Errors
    /// The bytes must not be sent: the reply is aborted.
    fn inspect(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// Drops the socket, which broke or timed out, or the file, which cannot be read: the next read connects
    /// anew.
    fn abandon(&mut self);

    /// How long the socket may send less than 1 KiB per second; without a socket, time to wait before the
    /// next read.
    fn timeout(&self) -> Duration;
}
