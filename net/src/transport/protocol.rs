//! What a protocol tells the frame: when a request is whole, and what to do with it.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::observer::{Observer, Sent, Tally};
use super::peer::Peer;
use super::source::Source;
use super::worker_pool::WorkerPool;

/// Whether the bytes that came make a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet.
    More,
    /// A request, or bytes that can never become one: [`Protocol::serve`] answers either.
    Serve(WorkerPool),
}

/// A language spoken on connections. Called by many threads at once.
pub trait Protocol: Send + Sync + 'static {
    /// What is remembered between the requests of one connection.
    type Session: Default + Send + 'static;

    /// Most bytes of a head and its fixed part. At this length [`Protocol::readiness`] must be
    /// [`Readiness::Serve`].
    const REQUEST_MAX: usize;

    /// File descriptors that a request may need besides its connection's.
    const DESCRIPTORS: usize = 0;

    /// File descriptors that a worker needs.
    const WORKER_DESCRIPTORS: usize = 0;

    /// Whether connections are let in while the process has hardly a file descriptor left.
    const USES_LAST_DESCRIPTORS: bool = false;

    /// Without a setting one client may have one of so many connections.
    const CLIENT_SHARE: usize = 1;

    /// How long a stop leaves connections open that have no request in hand. Who asks within this
    /// time is served and told that it was the last time.
    const LAST_REQUEST: Duration = Duration::ZERO;

    /// Looks at the bytes that have come since the last request. May take bytes off the front that
    /// mean nothing. Called for each piece that comes, so it goes on where it ended the last time.
    fn readiness(&self, inbox: &mut Inbox) -> Readiness;

    /// Takes one request off the inbox and acts on it. Never touches the socket.
    /// `stopping` tells that no further request of this connection will be served.
    fn serve(
        &self,
        inbox: &mut Inbox,
        session: &mut Self::Session,
        peer: Peer<'_>,
        stopping: bool,
    ) -> Action;

    /// The reply when there are too many connections, or a request waited too long for a worker.
    /// `request` is what has come of it.
    fn busy(&self, peer: SocketAddr, request: &[u8]) -> Outgoing;

    /// The reply when serving a request panicked.
    fn panicked(&self) -> Outgoing;

    /// Whether many clients connect from this address: it may have as many connections as there may
    /// be at all.
    fn is_proxy(&self, _peer: IpAddr) -> bool {
        false
    }

    /// Who counts connections, workers and queues.
    fn observer(&self) -> &Arc<dyn Observer>;
}

/// What to do about a request.
pub enum Action {
    /// Send a reply.
    Send(Outgoing),
    /// Take content in, then send the reply that [`Receive`] makes of it.
    Receive {
        /// Bytes of content still to come; those in the inbox are the first of them.
        len: u64,
        /// Where they go.
        sink: Box<dyn Receive>,
    },
    /// Wait until another server has answered, then send the reply that comes of it.
    Wait(Box<dyn Pending<Outgoing>>),
}

/// A question that went to another server, and what is to be made of its answer.
pub trait Pending<T>: Send {
    /// Where the answer comes from; absent when there is nothing to wait for.
    fn socket(&self) -> Option<&TcpStream>;

    /// How long the answer may take.
    fn patience(&self) -> Duration;

    /// How long to wait before [`Pending::resume`] while there is no socket to wait for. Up to half
    /// a second longer is possible.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }

    /// The answer begins to come, or none did in time. May block, for a bounded time.
    fn resume(self: Box<Self>, wake: Wake) -> Resumed<T>;
}

/// How a question goes on.
#[derive(Debug, Clone, Copy)]
pub struct Wake {
    /// The other server has said nothing in time.
    pub silent: bool,
    /// No further request of this connection will be served.
    pub stopping: bool,
}

/// What became of a question.
pub enum Resumed<T> {
    /// It is answered.
    Done(T),
    /// Another server was asked.
    Again(Box<dyn Pending<T>>),
}

/// Takes content in, piece by piece. Dropped without [`Receive::finish`] when the peer goes away.
pub trait Receive: Send {
    /// The next bytes, in order.
    ///
    /// # Errors
    /// The reply that ends the request; what is still to come is not taken any more.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Outgoing>;

    /// All bytes have come.
    fn finish(self: Box<Self>) -> Outgoing;
}

/// A reply on its way out.
pub struct Outgoing {
    /// The pieces, in order.
    pub parts: Vec<Part>,
    /// What becomes of the connection.
    pub then: Then,
    /// Told once, when the reply is out or was given up: the access log.
    pub report: Option<Box<dyn FnOnce(Sent) + Send>>,
    /// Counts the request when the reply is out or was given up.
    pub(crate) tally: Option<Tally>,
}

impl Outgoing {
    /// A reply that is in memory.
    pub fn bytes(bytes: Vec<u8>, then: Then) -> Outgoing {
        Outgoing {
            parts: vec![Part::Bytes(bytes)],
            then,
            report: None,
            tally: None,
        }
    }
}

/// A file that may have to be asked for at its disk.
pub trait OpenFile: Send {
    /// Goes to the file and does something there.
    ///
    /// # Errors
    /// The disk is not to be had now; nothing was done.
    fn visit(&self, act: &mut dyn FnMut(&File)) -> io::Result<()>;

    /// Hears that the file cannot be read at a byte, or ends before it. The client gets a part of
    /// the content, or none.
    fn cannot_read(&self, _offset: u64, _error: &io::Error) {}
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
    /// Bytes in memory that many replies share: each costs a pointer, not a copy.
    Shared(Arc<[u8]>),
    /// A stretch of a file, sent with sendfile. A file that ends early breaks the connection: its
    /// length is out already.
    File {
        /// The open file.
        file: Box<dyn OpenFile>,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
    },
    /// Bytes from another server, taken as they are sent.
    Stream {
        /// Where they come from.
        source: Box<dyn Source>,
        /// Number of bytes; an end before that breaks the connection.
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

/// What becomes of a connection after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The next request.
    Keep,
    /// Half-close, take in what is still coming for a moment (so that the kernel does not reset the
    /// connection and lose the reply), then close.
    Close,
}

/// Bytes that came and were not taken yet.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    /// As many of [`Inbox::bytes`] were searched for the end of a request.
    searched: usize,
}

impl Inbox {
    /// The bytes, in order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Takes `len` bytes off the front. Memory is given back when the last one goes: an idle
    /// connection holds none.
    ///
    /// # Panics
    /// When there are fewer.
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

    /// How many of the bytes were searched before, and are not the end of a request.
    pub fn searched(&self) -> usize {
        self.searched
    }

    /// Takes note that no request ends in the bytes that are here.
    pub fn set_searched(&mut self) {
        self.searched = self.bytes().len();
    }

    /// Appends bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }
}
