//! The interface between the transport and a protocol.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::full::Full;
use super::observer::Observer;
use super::outgoing::Outgoing;
use super::peer::Peer;
use super::worker_pool::WorkerPool;

/// A protocol of connections. Called by many threads at once.
pub trait Protocol: Send + Sync + 'static {
    /// State between the requests of one connection.
    type Session: Default + Send + 'static;

    /// A parsed request without its content, or bytes that cannot become a request.
    type Request: Send + 'static;

    /// Most bytes of a head and its fixed part. At this length [`Protocol::parse`] must return a
    /// request.
    const REQUEST_MAX: usize;

    /// File descriptors that a request may need besides its connection's.
    const DESCRIPTORS: usize = 0;

    /// File descriptors that the protocol keeps open beyond requests.
    fn kept_descriptors(&self) -> usize {
        0
    }

    /// File descriptors that a worker needs.
    const WORKER_DESCRIPTORS: usize = 0;

    /// True if connections are accepted even when the process has almost no file descriptor left.
    const USES_LAST_DESCRIPTORS: bool = false;

    /// Without a setting, one client may have `connections_max` divided by this.
    const CLIENT_SHARE: usize = 1;

    /// How long a stop leaves idle connections open. A request within this time is served as the last one
    /// of its connection.
    const LAST_REQUEST: Duration = Duration::ZERO;

    /// Takes the next request off the inbox; `None` if it is incomplete. Called for each piece that
    /// arrives, so it must continue where it ended the previous time.
    fn parse(&self, inbox: &mut Inbox, peer: SocketAddr) -> Option<(Self::Request, WorkerPool)>;

    /// Serves a request, or answers bytes that cannot become one. Does not use the socket. `stopping` means that
    /// no further request of this connection will be served.
    fn serve(
        &self,
        request: Self::Request,
        session: &mut Self::Session,
        peer: Peer<'_>,
        stopping: bool,
    ) -> Action;

    /// The reply at a limit of connections, when no request was read, or to a request that waited too
    /// long for a worker.
    fn busy(&self, peer: SocketAddr, request: Option<&Self::Request>, full: Full) -> Outgoing;

    /// The reply when serving a request of the session panicked.
    fn panicked(&self, session: &Self::Session) -> Outgoing;

    /// True if the address is a proxy, which is exempt from the limit per client.
    fn is_proxy(&self, _peer: IpAddr) -> bool {
        false
    }

    /// True if no request of the connection has been allowed, and none will be before the peer proves who it is.
    /// The event loop closes such a connection `head_timeout` after its accept. At a limit, it is evicted first.
    fn is_stranger(&self, _session: &Self::Session, _peer: Peer<'_>) -> bool {
        false
    }

    /// Receives the events of the server.
    fn observer(&self) -> &Arc<dyn Observer>;
}

/// The next step for a request.
pub enum Action {
    /// Send a reply.
    Send(Outgoing),
    /// Receive content, then send the reply of [`Receive::finish`].
    Receive {
        /// Bytes of content still to come; those in the inbox are the first of them.
        len: u64,
        /// The receiver.
        sink: Box<dyn Receive>,
    },
    /// Wait until another server has answered, then send the reply that follows from it.
    Wait(Box<dyn Pending<Outgoing>>),
}

/// A reply, or the request to another server that it depends on.
pub enum Answer<T> {
    /// The reply.
    Now(T),
    /// Another server was asked.
    Later(Box<dyn Pending<T>>),
}

/// A request to another server, and how to use its answer.
pub trait Pending<T>: Send {
    /// The socket of the answer; absent if there is none to wait for.
    fn socket(&self) -> Option<&TcpStream>;

    /// Time-out of the answer.
    fn timeout(&self) -> Duration;

    /// Without a socket: time to wait before [`Pending::resume`]. It may be up to half a second longer.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }

    /// Continues when the answer begins or has timed out. May block, for a bounded time.
    fn resume(self: Box<Self>, wake: Wake) -> Answer<T>;
}

/// Why a pending request is resumed.
#[derive(Debug, Clone, Copy)]
pub struct Wake {
    /// The other server has timed out.
    pub silent: bool,
    /// No further request of this connection will be served.
    pub stopping: bool,
}

/// Receives content, piece by piece. Dropped without [`Receive::finish`] if the peer leaves.
pub trait Receive: Send {
    /// The next bytes, in order.
    ///
    /// # Errors
    /// The reply that ends the request; no more content is taken.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Outgoing>;

    /// Called after the last byte; returns the reply.
    fn finish(self: Box<Self>) -> Outgoing;
}

/// Bytes that are received and not taken yet.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    /// Number of [`Inbox::bytes`] that were searched for the end of a request.
    searched: usize,
}

impl Inbox {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Removes `len` bytes at the front. Frees the memory with the last byte, so that an idle connection
    /// holds none.
    ///
    /// # Panics
    /// There are fewer.
    pub fn consume(&mut self, len: usize) {
        self.start += len;
        self.searched = self.searched.saturating_sub(len);
        assert!(
            self.start <= self.bytes.len(),
            "consumed more than there is"
        );
        if self.is_empty() {
            *self = Inbox::default();
        }
    }

    /// Number of bytes that were searched and hold no end of a request.
    pub fn searched(&self) -> usize {
        self.searched
    }

    /// Records that no request ends in the present bytes.
    pub fn set_searched(&mut self) {
        self.searched = self.bytes().len();
    }

    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }
}
