//! Waiting for one socket, for a bounded time.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a connection waits for.
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

/// True if the socket becomes ready within `time`, or breaks, which the next read or write reports.
pub(crate) fn ready(stream: &TcpStream, interest: Interest, time: Duration) -> bool {
    let flags = match interest {
        Interest::Read | Interest::Source => PollFlags::IN,
        Interest::Write => PollFlags::OUT,
        Interest::Time => PollFlags::empty(),
    };
    let timeout = Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    };
    let mut fds = [PollFd::new(stream, flags)];
    matches!(poll(&mut fds, Some(&timeout)), Ok(n) if n > 0)
}

/// True if the peer has closed or reset the connection, or has closed its sending side, even if
/// unread bytes are left.
pub(crate) fn has_left(stream: &TcpStream) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
    poll(&mut fds, Some(&now)).is_err() || fds[0].revents().intersects(gone)
}

/// True if the peer takes bytes now.
///
/// # Errors
/// The peer is gone.
pub(crate) fn is_writable(stream: &TcpStream) -> io::Result<bool> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut fds = [PollFd::new(stream, PollFlags::OUT)];
    poll(&mut fds, Some(&now))?;
    let events = fds[0].revents();
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
