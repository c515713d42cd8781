//! What a server tells whoever counts: its connections, its workers and its requests.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use proto::ErrorCode;

use super::worker_pool::WorkerPool;

/// Counts what happens in a server. All threads of the server call it, in the middle of their work, so
/// it must not block. A method that is not implemented does nothing.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn event(&self, _event: NetEvent) {}

    /// There are `change` more of something, or fewer.
    fn changed(&self, _level: NetLevel, _change: i64) {}

    /// A request, or a transfer that goes on, has waited for a worker of the pool.
    fn queue_wait(&self, _lane: WorkerPool, _time: Duration) {}

    /// A request is over.
    fn request(&self, _end: &RequestEnd) {}
}

/// Counts nothing.
impl Observer for () {}

/// What happens to connections and requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetEvent {
    /// A connection was accepted; it may be refused then.
    Accepted,
    /// A connection, or a request, was refused for want of room.
    Refused,
    /// A connection was closed to make room.
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
    /// A reply was broken off because its source could not be read to its end.
    BrokenOff,
    /// Bytes came.
    Received(u64),
    /// Bytes went out.
    Sent(u64),
    /// Told at intervals: whether requests wait and no worker of the pool has come for one within
    /// `queue_timeout`.
    Stuck(WorkerPool, bool),
}

/// What there are more and fewer of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetLevel {
    /// Open connections.
    Open,
    /// Requests that wait for another server without a worker.
    Waiting,
    /// Workers of a pool.
    Workers(WorkerPool),
    /// Workers of a pool that are at work.
    Busy(WorkerPool),
    /// Connections that wait for a worker of a pool.
    Queued(WorkerPool),
}

/// What a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestName {
    /// A command of the wire, known to the service or not.
    Command(u8),
    /// A method of HTTP in lower case, `other` if it is not served or not understood.
    Method(&'static str),
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its client went away before the reply.
    Aborted,
    /// A success of the wire.
    Ok,
    /// A failure of the wire.
    Failed(ErrorCode),
    /// An answer of HTTP with this status.
    Status(u16),
    /// Serving it panicked.
    Panicked,
}

/// How a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Bytes that went to the kernel, heads among them.
    pub bytes: u64,
    /// Whether that was all of it.
    pub complete: bool,
}

/// A request that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestEnd {
    /// What it asked for.
    pub name: RequestName,
    /// How it ended.
    pub outcome: Outcome,
    /// From the whole request, without its content, until its reply was out.
    pub took: Duration,
    /// Content that was taken in, in bytes.
    pub received: u64,
    /// Content of the reply, as far as it was sent, in bytes: without heads, and nothing of a failure
    /// of the wire. Absent when no reply was begun.
    pub sent: Option<Sent>,
}

/// One request under way; its observer is told when it is dropped.
pub(crate) struct Tally {
    observer: Arc<dyn Observer>,
    name: RequestName,
    began: Instant,
    outcome: Outcome,
    /// What is behind this in the reply is content.
    content_start: u64,
    received: u64,
    is_told: bool,
}

impl Tally {
    /// A request that begins now.
    pub(crate) fn begin(observer: &Arc<dyn Observer>, name: RequestName) -> Tally {
        Tally {
            observer: Arc::clone(observer),
            name,
            began: Instant::now(),
            outcome: Outcome::Aborted,
            content_start: 0,
            received: 0,
            is_told: false,
        }
    }

    /// Its content, taken in so far.
    pub(crate) fn receive(&mut self, bytes: u64) {
        self.received += bytes;
    }

    /// It was served; behind so many bytes the reply is content.
    pub(crate) fn succeed(self, content_start: usize) -> Tally {
        self.decide(Outcome::Ok, content_start as u64)
    }

    /// It failed; what the reply says is not content.
    pub(crate) fn fail(self, code: ErrorCode) -> Tally {
        self.decide(Outcome::Failed(code), u64::MAX)
    }

    /// It is answered with this status; behind so many bytes, its head, the reply is content.
    pub(crate) fn answer(self, code: u16, content_start: usize) -> Tally {
        self.decide(Outcome::Status(code), content_start as u64)
    }

    fn decide(mut self, outcome: Outcome, content_start: u64) -> Tally {
        (self.outcome, self.content_start) = (outcome, content_start);
        self
    }

    /// Its reply is out, or was given up.
    pub(crate) fn end(mut self, sent: Sent) {
        self.tell(Some(sent));
        self.is_told = true;
    }

    fn tell(&self, sent: Option<Sent>) {
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
        if !self.is_told {
            self.tell(None);
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
