//! Waiting for a socket: for a reply until a deadline, for content by a least rate.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Bytes of content for each second of waiting for the peer, at the least. A film at this rate is
/// of no use to anybody; a peer below it is as good as silent.
const RATE_MIN: u64 = 1024;

/// How long a request and its whole reply may take: from connecting to the last byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// For messages.
    pub(crate) time: Duration,
    until: Instant,
}

impl Limit {
    /// `time` from now on.
    pub(crate) fn new(time: Duration) -> Limit {
        Limit {
            time,
            until: Instant::now() + time,
        }
    }

    /// What is left of it.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// Tells a peer that stalls from one whose content is not asked for: only the time in which the
/// peer is waited for counts.
#[derive(Debug)]
pub(crate) struct Pace {
    timeout: Duration,
    waited: Duration,
    moved: u64,
}

impl Pace {
    /// For a peer that may move less than the least rate for `timeout`.
    pub(crate) fn new(timeout: Duration) -> Pace {
        Pace {
            timeout,
            waited: Duration::ZERO,
            moved: 0,
        }
    }

    /// Takes note of bytes that moved. The measure starts anew when enough of them did.
    pub(crate) fn moved(&mut self, n: u64) {
        self.moved += n;
        if self.moved >= self.bytes_min() {
            self.restart();
        }
    }

    /// Starts the measure anew.
    pub(crate) fn restart(&mut self) {
        (self.waited, self.moved) = (Duration::ZERO, 0);
    }

    /// Waits until the peer is ready.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when it moved too little for the whole time-out.
    pub(crate) fn wait(&mut self, stream: &TcpStream, flags: PollFlags) -> io::Result<()> {
        let began = Instant::now();
        let ready = wait(stream, flags, self.timeout.saturating_sub(self.waited));
        self.waited += began.elapsed();
        ready
    }

    fn bytes_min(&self) -> u64 {
        let bytes = u128::from(RATE_MIN) * self.timeout.as_millis() / 1000;
        u64::try_from(bytes).unwrap_or(u64::MAX).max(1)
    }
}

/// Waits until a socket is ready, or broken, which the next read or write tells. With no time left
/// it looks once.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`], or what the system says of the socket.
pub(crate) fn wait(stream: &TcpStream, flags: PollFlags, time: Duration) -> io::Result<()> {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(stream, flags)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(200);

    #[test]
    fn a_peer_below_the_least_rate_stalls() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut pace = Pace::new(TIMEOUT);
        let began = Instant::now();
        // Single bytes do not prolong the wait.
        while pace.wait(&stream, PollFlags::OUT).is_ok() && began.elapsed() < TIMEOUT / 2 {
            pace.moved(1);
        }
        pace.waited = TIMEOUT;
        let error = pace.wait(&stream, PollFlags::IN).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // The least rate does.
        pace.moved(RATE_MIN);
        assert_eq!((pace.waited, pace.moved), (Duration::ZERO, 0));
    }
}
