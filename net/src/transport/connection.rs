//! One client connection and its current activity.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection_limit::Permit;
use super::kernel_buffers::KernelBuffers;
use super::outgoing::Outgoing;
use super::peer::Peer;
use super::protocol::{Inbox, Protocol};
use super::receiving::Receiving;
use super::stall::StallDetector;
use super::wait::Interest;
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
    pub(crate) activity: Activity<P>,
    pub(crate) pool: WorkerPool,
    /// When the first byte of an unfinished request came.
    pub(crate) head_since: Option<Instant>,
    pub(crate) accepted: Instant,
    /// [`Protocol::is_stranger`] when the connection was parked.
    pub(crate) is_stranger: bool,
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

pub(crate) enum Activity<P: Protocol> {
    /// Waits for a request.
    Idle,
    /// Has a request, which waits for a worker.
    Requested(P::Request),
    /// Waits for another server.
    Waiting(Waiting),
    /// Receives content.
    Receiving(Receiving),
    /// Sends a reply.
    Sending(Outgoing),
    /// The last reply is sent; see [`super::Then::Close`].
    Lingering { until: Instant },
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
            accepted: Instant::now(),
            is_stranger: false,
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

    /// The request that waits for a worker.
    pub(crate) fn request(&self) -> Option<&P::Request> {
        match &self.activity {
            Activity::Requested(request) => Some(request),
            _ => None,
        }
    }

    /// The client.
    pub(crate) fn peer(&self) -> Peer<'_> {
        Peer::new(self.peer, &self.stream)
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
}
