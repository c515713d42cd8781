//! One client's connection and what it is at.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ahead::Ahead;
use super::lane::Lane;
use super::limit::Permit;
use super::protocol::{Inbox, Protocol};
use super::receiving::Receiving;
use super::sending::Sending;
use super::wait::{Interest, read_now};
use super::waiting::Waiting;

/// How long a peer that was answered for the last time may take to close.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

pub(crate) struct Connection<P: Protocol> {
    /// Non-blocking; waiting is the parking thread's work. Shared with the probes of its requests.
    pub(crate) stream: Arc<TcpStream>,
    pub(crate) peer: SocketAddr,
    /// Names the connection in the log and in epoll; never used twice.
    pub(crate) id: u64,
    pub(crate) inbox: Inbox,
    pub(crate) session: P::Session,
    pub(crate) activity: Activity,
    pub(crate) lane: Lane,
    /// When the first byte of an unfinished request came.
    pub(crate) head_since: Option<Instant>,
    /// When its last request was whole, or it was accepted.
    pub(crate) last_request: Instant,
    /// When the connection was handed to a lane.
    pub(crate) queued_at: Instant,
    /// A request was taken and nothing of its reply is out.
    pub(crate) owes_reply: bool,
    /// Is to be closed by a worker: what it holds, such as a file, may take long to drop.
    pub(crate) ended: bool,
    pub(crate) pace: Pace,
    pub(crate) ahead: Ahead,
    /// Bytes of content and reply that its last request has moved.
    pub(crate) moved: u64,
    pub(crate) permit: Permit,
}

pub(crate) enum Activity {
    /// Waits for a request.
    Idle,
    /// Waits for another server.
    Waiting(Waiting),
    /// Takes content in.
    Receiving(Receiving),
    /// Sends a reply.
    Sending(Sending),
    /// Was answered for the last time; see [`super::Then::Close`].
    Lingering { until: Instant },
}

/// How the reading of what has come ended.
pub(crate) enum Filled {
    /// So many bytes.
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
            lane: Lane::Slow,
            head_since: None,
            last_request: Instant::now(),
            queued_at: Instant::now(),
            owes_reply: false,
            ended: false,
            pace: Pace::default(),
            ahead: Ahead::default(),
            moved: 0,
            permit,
        }
    }

    /// The socket that is waited for.
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

    /// Its request has moved so many bytes more.
    pub(crate) fn moved(&mut self, bytes: u64) {
        self.moved += bytes;
        self.pace.moved(bytes);
    }

    /// True if the request or the reply goes on after a time, whatever becomes ready before.
    pub(crate) fn waits_for_time(&self) -> bool {
        match &self.activity {
            Activity::Waiting(waiting) => waiting.interest() == Some(Interest::Time),
            Activity::Sending(sending) => {
                sending.starved_until().is_some() && sending.source_socket().is_none()
            }
            _ => false,
        }
    }

    /// The peer is waited for: kernels are not to be far ahead of it.
    pub(crate) fn slow_down(&mut self) {
        let source = match &self.activity {
            Activity::Sending(sending) => sending.source_socket(),
            _ => None,
        };
        self.ahead.waited_for(&self.stream, source);
    }

    /// Reads what has come into the inbox, through `scratch`, without waiting.
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

/// Tells a slow peer from a slow disk: only time spent waiting for the peer counts.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    waited: Duration,
    moved: u64,
}

impl Pace {
    pub(crate) fn moved(&mut self, bytes: u64) {
        self.moved += bytes;
    }

    pub(crate) fn waited(&mut self, time: Duration) {
        self.waited += time;
    }

    /// How much longer to wait before judging.
    pub(crate) fn patience(&self, stall_timeout: Duration) -> Duration {
        stall_timeout.saturating_sub(self.waited)
    }

    /// Whether fewer than `bytes_min` moved in a whole `stall_timeout` of waiting. Starts the next
    /// measure when enough did.
    pub(crate) fn too_slow(&mut self, stall_timeout: Duration, bytes_min: u64) -> bool {
        if self.waited < stall_timeout {
            return false;
        }
        if self.moved < bytes_min {
            return true;
        }
        *self = Pace::default();
        false
    }
}
