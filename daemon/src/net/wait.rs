//! Waiting for one socket, for a bounded time.

use std::net::TcpStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// The peer to send.
    Read,
    /// The peer to take.
    Write,
    /// The server behind a reply to send.
    Source,
}

/// Whether the socket becomes ready (or breaks, which the next read or write tells) within `time`.
pub(crate) fn ready(stream: &TcpStream, interest: Interest, time: Duration) -> bool {
    let flags = match interest {
        Interest::Read | Interest::Source => PollFlags::IN,
        Interest::Write => PollFlags::OUT,
    };
    let timeout = Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    };
    let mut fds = [PollFd::new(stream, flags)];
    matches!(poll(&mut fds, Some(&timeout)), Ok(n) if n > 0)
}
