//! What a server reports to its observer: connections, workers and requests.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use proto::ErrorCode;

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
    /// A connection or a request was refused at a limit.
    Refused,
    /// A connection was closed for another one.
    Evicted,
    /// A connection was closed because it was idle for too long.
    Idle,
    /// A connection was closed because a request came too slowly.
    SlowHead,
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

/// What a request asked for.
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
    /// True if the whole reply was sent.
    pub complete: bool,
}

/// A request that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestEnd {
    /// What it asked for.
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

/// One request in progress. It is reported at [`Tally::end`], or when dropped.
pub(crate) struct Tally {
    observer: Arc<dyn Observer>,
    name: RequestName,
    began: Instant,
    outcome: Outcome,
    /// Offset of the content in the reply.
    content_start: u64,
    received: u64,
    is_reported: bool,
}

impl Tally {
    pub(crate) fn begin(observer: &Arc<dyn Observer>, name: RequestName) -> Tally {
        Tally {
            observer: Arc::clone(observer),
            name,
            began: Instant::now(),
            outcome: Outcome::Aborted,
            content_start: 0,
            received: 0,
            is_reported: false,
        }
    }

    /// Counts received content.
    pub(crate) fn receive(&mut self, bytes: u64) {
        self.received += bytes;
    }

    /// Records success; the content of the reply begins at `content_start`.
    pub(crate) fn succeed(self, content_start: usize) -> Tally {
        self.decide(Outcome::Ok, content_start as u64)
    }

    /// Records a failure, whose reply has no content.
    pub(crate) fn fail(self, code: ErrorCode) -> Tally {
        self.decide(Outcome::Failed(code), u64::MAX)
    }

    /// Records an HTTP status; the content of the reply begins at `content_start`.
    pub(crate) fn answer(self, code: u16, content_start: usize) -> Tally {
        self.decide(Outcome::Status(code), content_start as u64)
    }

    fn decide(mut self, outcome: Outcome, content_start: u64) -> Tally {
        (self.outcome, self.content_start) = (outcome, content_start);
        self
    }

    /// Reports the request: its reply is sent or aborted.
    pub(crate) fn end(mut self, sent: Sent) {
        self.report(Some(sent));
        self.is_reported = true;
    }

    fn report(&self, sent: Option<Sent>) {
        let outcome = if thread::panicking() {
            Outcome::Panicked
        } else {
            self.outcome
        };
        let content = |sent: Sent| Sent {
            bytes: sent.bytes.saturating_sub(self.content_start),
            ..sent
        };
        self.observer.request(&RequestEnd {
            name: self.name,
            outcome,
            took: self.began.elapsed(),
            received: self.received,
            sent: sent.map(content),
        });
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if !self.is_reported {
            self.report(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Ends(Mutex<Vec<RequestEnd>>);

    impl Observer for Ends {
        fn request(&self, end: &RequestEnd) {
            self.0.lock().push(*end);
        }
    }

    /// How the one request ends that `work` is done to.
    fn end_of(work: impl FnOnce(Tally)) -> (Outcome, u64, Option<(u64, bool)>) {
        let ends = Arc::new(Ends::default());
        let observer: Arc<dyn Observer> = ends.clone();
        work(Tally::begin(&observer, RequestName::Command(7)));
        let ends = ends.0.lock();
        let [end] = ends[..] else {
            panic!("told {} times", ends.len())
        };
        assert_eq!(end.name, RequestName::Command(7));
        let sent = end.sent.map(|sent| (sent.bytes, sent.complete));
        (end.outcome, end.received, sent)
    }

    fn sent(bytes: u64, complete: bool) -> Sent {
        Sent { bytes, complete }
    }

    #[test]
    fn a_request_is_told_once_by_how_it_ended() {
        let ok = end_of(|tally| tally.succeed(10).end(sent(18, true)));
        assert_eq!(ok, (Outcome::Ok, 0, Some((8, true))));
        let cut = end_of(|tally| tally.succeed(10).end(sent(9, false)));
        assert_eq!(cut, (Outcome::Ok, 0, Some((0, false))));
        let busy = Outcome::Failed(ErrorCode::Busy);
        let failed = end_of(|tally| tally.fail(ErrorCode::Busy).end(sent(40, true)));
        assert_eq!(failed, (busy, 0, Some((0, true))));
        let answered = end_of(|tally| tally.answer(206, 200).end(sent(1200, true)));
        assert_eq!(answered, (Outcome::Status(206), 0, Some((1000, true))));
        let content = end_of(|mut tally| {
            tally.receive(100);
            tally.receive(20);
        });
        assert_eq!(content, (Outcome::Aborted, 120, None));
    }

    #[test]
    fn a_panic_is_told() {
        let panicked = end_of(|tally| {
            let serve = AssertUnwindSafe(|| {
                let _tally = tally.succeed(0);
                panic!("as the test wants it");
            });
            catch_unwind(serve).unwrap_err();
        });
        assert_eq!(panicked, (Outcome::Panicked, 0, None));
    }
}
