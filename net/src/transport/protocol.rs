//! The interface between the transport and a protocol.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use proto::ErrorCode;
use rustix::io::Errno;

use super::observer::{Observer, Sent, Tally};
use super::peer::Peer;
use super::source::Source;
use super::worker_pool::WorkerPool;

/// Whether the received bytes are a complete request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet.
    More,
    /// A request, or bytes that cannot become one: [`Protocol::serve`] answers either.
    Serve(WorkerPool),
}

/// A protocol of connections. Called by many threads at once.
pub trait Protocol: Send + Sync + 'static {
    /// State between the requests of one connection.
    type Session: Default + Send + 'static;

    /// Most bytes of a head and its fixed part. At this length [`Protocol::readiness`] must be
    /// [`Readiness::Serve`].
    const REQUEST_MAX: usize;

    /// File descriptors that a request may need besides its connection's.
    const DESCRIPTORS: usize = 0;

    /// File descriptors that a worker needs.
    const WORKER_DESCRIPTORS: usize = 0;

    /// True if connections are accepted even when the process has almost no file descriptor left.
    const USES_LAST_DESCRIPTORS: bool = false;

    /// Without a setting, one client may have `connections_max` divided by this.
    const CLIENT_SHARE: usize = 1;

    /// How long a stop leaves idle connections open. A request within this time is served as the last one
    /// of its connection.
    const LAST_REQUEST: Duration = Duration::ZERO;

    /// Checks the bytes received since the previous request. May remove meaningless bytes at the front.
    /// Called for each piece that arrives, so it must continue where it ended the previous time.
    fn readiness(&self, inbox: &mut Inbox) -> Readiness;

    /// Takes one request off the inbox and serves it. Does not use the socket. `stopping` means that no
    /// further request of this connection will be served.
    fn serve(
        &self,
        inbox: &mut Inbox,
        session: &mut Self::Session,
        peer: Peer<'_>,
        stopping: bool,
    ) -> Action;

    /// The reply at the limit of connections, or when a request waited too long for a worker. `request`
    /// holds the bytes of the request that were read.
    fn busy(&self, peer: SocketAddr, request: &[u8]) -> Outgoing;

    /// The reply when serving a request panicked.
    fn panicked(&self) -> Outgoing;

    /// True if the address is a proxy, which is exempt from the limit per client.
    fn is_proxy(&self, _peer: IpAddr) -> bool {
        false
    }

    /// Receives the events of the server.
    fn observer(&self) -> &Arc<dyn Observer>;
}

/// What to do with a request.
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
    fn resume(self: Box<Self>, wake: Wake) -> Resumed<T>;
}

/// Why a pending request is resumed.
#[derive(Debug, Clone, Copy)]
pub struct Wake {
    /// The other server has timed out.
    pub silent: bool,
    /// No further request of this connection will be served.
    pub stopping: bool,
}

/// Result of [`Pending::resume`].
pub enum Resumed<T> {
    /// The result.
    Done(T),
    /// Another server was asked.
    Again(Box<dyn Pending<T>>),
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

/// A reply to send.
pub struct Outgoing {
    /// The pieces, in order.
    pub parts: Vec<Part>,
    /// What becomes of the connection.
    pub then: Then,
    /// Called once, when the reply is sent or aborted: writes the access log.
    pub report: Option<Box<dyn FnOnce(Sent) + Send>>,
    /// Counts the request when the reply is sent or aborted.
    pub(crate) tally: Option<Tally>,
}

impl Outgoing {
    /// A reply of bytes in memory.
    pub fn bytes(bytes: Vec<u8>, then: Then) -> Outgoing {
        Outgoing {
            parts: vec![Part::Bytes(bytes)],
            then,
            report: None,
            tally: None,
        }
    }
}

/// An open file whose disk may be unavailable.
pub trait OpenFile: Send {
    /// Calls `act` with the file.
    ///
    /// # Errors
    /// The disk is unavailable; `act` was not called.
    fn visit(&self, act: &mut dyn FnMut(&File)) -> io::Result<()>;

    /// Takes note that the file cannot be read at a byte, or ends before it
    /// ([`UnexpectedEof`](ErrorKind::UnexpectedEof)). The client gets a part of the content, or none.
    /// Returns what a client is told that has got nothing: [`ErrorCode::Damaged`] only if the error
    /// says that this content is lost. After any other error a later try may succeed.
    fn cannot_read(&self, _offset: u64, error: &io::Error) -> ErrorCode {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        if error.kind() == ErrorKind::UnexpectedEof || errno == Some(Errno::IO) {
            ErrorCode::Damaged
        } else {
            ErrorCode::Unavailable
        }
    }
}

impl OpenFile for File {
    fn visit(&self, act: &mut dyn FnMut(&File)) -> io::Result<()> {
        act(self);
        Ok(())
    }
}

/// A piece of a reply.
pub enum Part {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// Bytes in memory that several replies share without a copy.
    Shared(Arc<[u8]>),
    /// A range of a file, sent with sendfile(2). A file that ends early closes the connection: its length
    /// is sent already.
    File {
        /// The open file.
        file: Box<dyn OpenFile>,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
    },
    /// Bytes from another server.
    Stream {
        /// Where they come from.
        source: Box<dyn Source>,
        /// Number of bytes; an earlier end closes the connection.
        len: u64,
    },
}

impl Part {
    /// Bytes that are still to be sent.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::Shared(bytes) => bytes.len() as u64,
            Part::File { len, .. } | Part::Stream { len, .. } => *len,
        }
    }
}

/// What to do with the connection after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Serve the next request.
    Keep,
    /// Half-close, read for a moment (else the kernel would reset the connection and lose the reply), then
    /// close.
    Close,
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
