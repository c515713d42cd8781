//! Time limits of a socket: a deadline for a reply, a minimum rate for content.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Minimum rate of content, in bytes for each second of waiting for the peer. A slower peer counts
/// as silent.
const RATE_MIN: u64 = 1024;

/// The deadline of a request and its reply, from connecting to the last byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLimit {
    /// The whole time, for messages.
    pub(crate) time: Duration,
    until: Instant,
}

impl RequestLimit {
    /// `time` from now on.
    pub(crate) fn new(time: Duration) -> RequestLimit {
        RequestLimit {
            time,
            until: Instant::now() + time,
        }
    }

    /// Time left.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// Detects a peer that moves content below the minimum rate. Only time spent waiting for the peer
/// counts.
#[derive(Debug)]
pub(crate) struct StallDetector {
    timeout: Duration,
    waited: Duration,
    moved: u64,
}

impl StallDetector {
    /// `timeout` is how long the peer may stay below the minimum rate.
    pub(crate) fn new(timeout: Duration) -> StallDetector {
        StallDetector {
            timeout,
            waited: Duration::ZERO,
            moved: 0,
        }
    }

    /// Records bytes that moved. Enough of them restart the measurement.
    pub(crate) fn moved(&mut self, n: u64) {
        self.moved += n;
        if self.moved >= self.bytes_min() {
            self.restart();
        }
    }

    /// Restarts the measurement.
    pub(crate) fn restart(&mut self) {
        (self.waited, self.moved) = (Duration::ZERO, 0);
    }

    /// Waits until the peer is ready.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if it was below the minimum rate for the whole timeout.
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

/// Waits until a socket is ready, or broken: the next read or write tells. With no time left it polls
/// once.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`], or the socket's error.
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
    fn a_peer_below_the_minimum_rate_stalls() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut stall = StallDetector::new(TIMEOUT);
        let began = Instant::now();
        // Single bytes do not prolong the wait.
        while stall.wait(&stream, PollFlags::OUT).is_ok() && began.elapsed() < TIMEOUT / 2 {
            stall.moved(1);
        }
        stall.waited = TIMEOUT;
        let error = stall.wait(&stream, PollFlags::IN).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // The minimum rate does.
        stall.moved(RATE_MIN);
        assert_eq!((stall.waited, stall.moved), (Duration::ZERO, 0));
    }
}
