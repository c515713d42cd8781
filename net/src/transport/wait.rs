//! Waiting for one socket, for a bounded time.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The event that a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// The peer sends.
    Read,
    /// The peer takes bytes.
    Write,
    /// The source of a reply sends.
    Source,
    /// A deadline, or the end of the connection.
    Time,
}

impl Interest {
    fn flags(self) -> PollFlags {
        match self {
            Interest::Read | Interest::Source => PollFlags::IN,
            Interest::Write => PollFlags::OUT,
            Interest::Time => PollFlags::empty(),
        }
    }
}

/// The events of the socket; waits for one for up to `time`.
fn events(stream: &TcpStream, flags: PollFlags, time: Duration) -> io::Result<PollFlags> {
    let mut fds = [PollFd::new(stream, flags)];
    poll(&mut fds, Some(&timespec(time)))?;
    Ok(fds[0].revents())
}

/// The time for a system call.
pub(crate) fn timespec(time: Duration) -> Timespec {
    // Longer than any deadline.
    const MAX: Timespec = Timespec {
        tv_sec: 1 << 30,
        tv_nsec: 0,
    };
    time.try_into().unwrap_or(MAX)
}

/// True if the socket becomes ready within `time`, or breaks, which the next read or write reports.
pub(crate) fn ready(stream: &TcpStream, interest: Interest, time: Duration) -> bool {
    let events = events(stream, interest.flags(), time);
    events.is_ok_and(|events| !events.is_empty())
}

/// True if the peer has closed or reset the connection, or has closed its sending side, even if
/// unread bytes are left.
pub(crate) fn has_left(stream: &TcpStream) -> bool {
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    match events(stream, PollFlags::RDHUP, Duration::ZERO) {
        Ok(events) => events.intersects(gone),
        Err(_) => true,
    }
}

/// True if the peer takes bytes now.
///
/// # Errors
/// The peer is gone.
pub(crate) fn is_writable(stream: &TcpStream) -> io::Result<bool> {
    let events = events(stream, PollFlags::OUT, Duration::ZERO)?;
    if events.intersects(PollFlags::ERR | PollFlags::HUP) {
        return Err(ErrorKind::ConnectionReset.into());
    }
    Ok(events.contains(PollFlags::OUT))
}

/// Reads without waiting: `None` when no bytes are available, 0 at the end of the stream.
pub(crate) fn read_now(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.read(buffer) {
            Ok(len) => return Ok(Some(len)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
