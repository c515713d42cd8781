//! The service of a daemon: the interface that the wire protocol calls.

use std::net::SocketAddr;

use proto::{Fault, Request};

use crate::transport::{Part, PeerProbe, WorkerPool};

/// Serves the requests of a daemon. Called on many worker threads at once.
pub trait Service: Send + Sync + 'static {
    /// The requests it takes.
    type Request: Request + Send + 'static;
    /// State between the requests of one connection.
    type Session: Default + Send + 'static;

    /// File descriptors that a request may need besides its connection's.
    const DESCRIPTORS: usize = 0;

    /// File descriptors that it keeps open beyond requests.
    fn kept_descriptors(&self) -> usize {
        0
    }

    /// The pool that serves a command.
    fn pool(&self, _command: u8) -> WorkerPool {
        WorkerPool::Slow
    }

    /// Serves one request. The result becomes exactly one reply.
    ///
    /// # Errors
    /// Becomes a failure reply; the connection stays open.
    fn call(
        &self,
        request: Self::Request,
        caller: &mut Caller<'_, Self::Session>,
    ) -> Result<Reply, Fault>;
}

/// The client of a request.
pub struct Caller<'a, S> {
    /// Its address.
    pub peer: SocketAddr,
    /// The address that it connected to.
    pub local: SocketAddr,
    /// True if it came by the Unix socket, which passes descriptors.
    pub is_local: bool,
    /// Tells whether the client is still connected.
    pub probe: PeerProbe,
    /// The state of the connection.
    pub session: &'a mut S,
}

/// The answer of a service that succeeded.
pub enum Reply {
    /// The pieces of the body, in order; none for an empty body. A range of a file must not exceed it.
    Body(Vec<Part>),
    /// The content of the request has to be taken in first.
    Content(Box<dyn Content>),
}

impl Reply {
    /// A body of these bytes.
    pub fn bytes(bytes: Vec<u8>) -> Reply {
        Reply::Body(vec![Part::Bytes(bytes)])
    }
}

/// Takes the content of a request. Dropped without [`Content::finish`] when the client goes away in
/// the middle: undo everything then.
pub trait Content: Send {
    /// The next bytes, in order; usually a mebibyte.
    ///
    /// # Errors
    /// Ends the request: the client gets the fault, the rest of the content is not taken.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault>;

    /// All content is there: the reply's body.
    ///
    /// # Errors
    /// Goes to the client as a failure reply; the connection stays open.
    fn finish(self: Box<Self>) -> Result<Vec<u8>, Fault>;
}
