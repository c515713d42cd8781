//! The events that a server reports to its observer: of connections, workers and requests.

use std::time::Duration;

use proto::ErrorCode;

use super::full::Full;
use super::worker_pool::WorkerPool;

/// Receives the events of a server. All threads of the server call it, so it must not block. The default
/// methods do nothing.
pub trait Observer: Send + Sync + 'static {
    /// An event has happened.
    fn event(&self, _event: NetEvent) {}

    /// A level has changed by `change`.
    fn changed(&self, _level: NetGauge, _change: i64) {}

    /// A request, or a resumed transfer, has waited for a worker of the pool.
    fn queue_wait(&self, _lane: WorkerPool, _time: Duration) {}

    /// A request has ended.
    fn request(&self, _end: &RequestEnd) {}
}

/// Ignores everything.
impl Observer for () {}

/// An event of a connection or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetEvent {
    /// A connection was accepted; it may be refused afterwards.
    Accepted,
    /// A connection or a request was refused at this limit.
    Refused(Full),
    /// A connection was closed for another one.
    Evicted,
    /// A connection was closed because it was idle for too long.
    Idle,
    /// A connection was closed because a request came too slowly.
    SlowHead,
    /// A connection was closed because its peer did not prove in time who it is.
    Unproved,
    /// A connection was closed because its transfer moved too few bytes.
    Stalled,
    /// A connection was closed because too many replies waited in memory.
    Unsent,
    /// A request waited too long for a worker and was answered 'busy'.
    Late,
    /// A request panicked.
    Panicked,
    /// A reply was aborted because its source could not be read to its end.
    BrokenOff,
    /// Bytes were received.
    Received(u64),
    /// Bytes were sent.
    Sent(u64),
    /// Reported periodically: true if requests wait and no worker of the pool has taken one within
    /// `queue_timeout`.
    Stuck(WorkerPool, bool),
}

/// A quantity that goes up and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetGauge {
    /// Open connections.
    Open,
    /// Requests that wait for another server without a worker.
    Waiting,
    /// Workers of a pool.
    Workers(WorkerPool),
    /// Busy workers of a pool.
    Busy(WorkerPool),
    /// Connections that wait for a worker of a pool.
    Queued(WorkerPool),
}

/// The name of a request in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestName {
    /// A command of the wire protocol, known to the service or not.
    Command(u8),
    /// An HTTP method in lower case; `other` if it is not supported or not valid.
    Method(&'static str),
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The client left before the reply.
    Aborted,
    /// Success in the wire protocol.
    Ok,
    /// Failure in the wire protocol.
    Failed(ErrorCode),
    /// HTTP status.
    Status(u16),
    /// The service panicked.
    Panicked,
}

/// How a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Bytes that were handed to the kernel, including heads.
    pub bytes: u64,
    /// Bytes among them that were read from a file of this machine instead of another server.
    pub local: u64,
    /// True if the whole reply was sent.
    pub complete: bool,
}

/// A request that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestEnd {
    /// Its name.
    pub name: RequestName,
    /// How it ended.
    pub outcome: Outcome,
    /// From the complete head of the request until its reply was sent.
    pub took: Duration,
    /// Bytes of content received.
    pub received: u64,
    /// Bytes of content sent: without heads and failure replies. Absent if no reply was begun.
    pub sent: Option<Sent>,
}
