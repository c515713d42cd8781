//! One client connection and its current activity.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection_limit::Permit;
use super::kernel_buffers::KernelBuffers;
use super::protocol::{Inbox, Protocol};
use super::receiving::Receiving;
use super::sending::Sending;
use super::wait::{Interest, read_now};
use super::waiting::Waiting;
use super::worker_pool::WorkerPool;

/// How long a peer may take to close after its last reply.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

pub(crate) struct Connection<P: Protocol> {
    /// Non-blocking: the event loop waits for it. Shared with the probes of its requests.
    pub(crate) stream: Arc<TcpStream>,
    pub(crate) peer: SocketAddr,
    /// Identifies the connection in the log and in epoll; never reused.
    pub(crate) id: u64,
    pub(crate) inbox: Inbox,
    pub(crate) session: P::Session,
    pub(crate) activity: Activity,
    pub(crate) pool: WorkerPool,
    /// When the first byte of an unfinished request came.
    pub(crate) head_since: Option<Instant>,
    /// When its latest request was whole, or when it was accepted.
    pub(crate) last_request: Instant,
    /// When the connection was queued for a worker.
    pub(crate) queued_at: Instant,
    /// True if a request was taken and no byte of its reply is sent.
    pub(crate) owes_reply: bool,
    /// True if a worker is to close it: dropping what it holds, such as a file, may block.
    pub(crate) ended: bool,
    pub(crate) stall: StallDetector,
    pub(crate) buffers: KernelBuffers,
    /// Bytes of content and reply that its latest request has moved.
    pub(crate) moved: u64,
    pub(crate) permit: Permit,
}

pub(crate) enum Activity {
    /// Waits for a request.
    Idle,
    /// Waits for another server.
    Waiting(Waiting),
    /// Receives content.
    Receiving(Receiving),
    /// Sends a reply.
    Sending(Sending),
    /// The last reply is sent; see [`super::Then::Close`].
    Lingering { until: Instant },
}

/// Result of [`Connection::fill_inbox`].
pub(crate) enum Filled {
    /// Number of bytes read.
    Some(usize),
    Nothing,
    Eof,
}

impl<P: Protocol> Connection<P> {
    pub(crate) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        id: u64,
        permit: Permit,
    ) -> Connection<P> {
        Connection {
            stream: Arc::new(stream),
            peer,
            id,
            inbox: Inbox::default(),
            session: P::Session::default(),
            activity: Activity::Idle,
            pool: WorkerPool::Slow,
            head_since: None,
            last_request: Instant::now(),
            queued_at: Instant::now(),
            owes_reply: false,
            ended: false,
            stall: StallDetector::default(),
            buffers: KernelBuffers::default(),
            moved: 0,
            permit,
        }
    }

    /// The socket to wait for.
    pub(crate) fn socket(&self, interest: Interest) -> &TcpStream {
        match (&self.activity, interest) {
            (Activity::Waiting(waiting), Interest::Source) => {
                waiting.socket().unwrap_or(&self.stream)
            }
            (Activity::Sending(sending), Interest::Source) => {
                sending.source_socket().unwrap_or(&self.stream)
            }
            _ => &self.stream,
        }
    }

    /// Counts bytes that its request has moved.
    pub(crate) fn moved(&mut self, bytes: u64) {
        self.moved += bytes;
        self.stall.moved(bytes);
    }

    /// True if the request or the reply continues at a time and not at an event.
    pub(crate) fn waits_for_time(&self) -> bool {
        match &self.activity {
            Activity::Waiting(waiting) => waiting.interest() == Some(Interest::Time),
            Activity::Sending(sending) => {
                sending.source_deadline().is_some() && sending.source_socket().is_none()
            }
            _ => false,
        }
    }

    /// Shrinks the kernel's buffers, because the peer is slow.
    pub(crate) fn throttle(&mut self) {
        let source = match &self.activity {
            Activity::Sending(sending) => sending.source_socket(),
            _ => None,
        };
        self.buffers.throttle(&self.stream, source);
    }

    /// Reads available bytes into the inbox, through `scratch`, without waiting.
    pub(crate) fn fill_inbox(&mut self, scratch: &mut [u8]) -> io::Result<Filled> {
        let room = P::REQUEST_MAX
            .saturating_sub(self.inbox.bytes().len())
            .max(1);
        let room = room.min(scratch.len());
        match read_now(&self.stream, &mut scratch[..room])? {
            None => Ok(Filled::Nothing),
            Some(0) => Ok(Filled::Eof),
            Some(len) => {
                self.inbox.push(&scratch[..len]);
                self.head_since.get_or_insert_with(Instant::now);
                Ok(Filled::Some(len))
            }
        }
    }
}

/// Detects a stalled peer. Only time spent waiting for the peer counts, not that of a slow disk.
#[derive(Debug, Default)]
pub(crate) struct StallDetector {
    waited: Duration,
    moved: u64,
}

impl StallDetector {
    pub(crate) fn moved(&mut self, bytes: u64) {
        self.moved += bytes;
    }

    pub(crate) fn waited(&mut self, time: Duration) {
        self.waited += time;
    }

    /// Time until the next measurement is due.
    pub(crate) fn time_left(&self, stall_timeout: Duration) -> Duration {
        stall_timeout.saturating_sub(self.waited)
    }

    /// True if fewer than `bytes_min` moved within `stall_timeout` of waiting. Otherwise starts the next
    /// measurement.
    pub(crate) fn too_slow(&mut self, stall_timeout: Duration, bytes_min: u64) -> bool {
        if self.waited < stall_timeout {
            return false;
        }
        if self.moved < bytes_min {
            return true;
        }
        *self = StallDetector::default();
        false
    }
}
