//! The record of one request: how it ends is reported to the observer and to the access log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::observer::{Observer, Outcome, RequestEnd, RequestName, Sent};

/// One request in progress. It is reported once: at [`Record::end`], or when dropped without a reply.
pub(crate) struct Record {
    pub(crate) peer: SocketAddr,
    /// Absent for a request that is not counted.
    observer: Option<Arc<dyn Observer>>,
    /// Absent if no access log is written.
    line: Option<Box<dyn AccessLine>>,
    name: RequestName,
    began: Instant,
    outcome: Outcome,
    /// Offset of the content in the reply.
    content_start: u64,
    received: u64,
    sent: Option<Sent>,
    /// A permit that the request holds until it ends.
    _permit: Option<Box<dyn Send>>,
}

/// The line of a request in the access log of its protocol.
pub(crate) trait AccessLine: Send {
    /// The name of the request in other messages.
    fn request(&self) -> &str;

    /// Writes the line. `reply` counts the whole reply, with its head; absent if no reply was begun.
    fn write(&self, end: &RequestEnd, reply: Option<Sent>);
}

impl Record {
    pub(crate) fn begin(
        peer: SocketAddr,
        observer: Option<&Arc<dyn Observer>>,
        name: RequestName,
        line: Option<Box<dyn AccessLine>>,
    ) -> Record {
        Record {
            peer,
            observer: observer.map(Arc::clone),
            line,
            name,
            began: Instant::now(),
            outcome: Outcome::Aborted,
            content_start: 0,
            received: 0,
            sent: None,
            _permit: None,
        }
    }

    /// The name of the request in messages.
    pub(crate) fn request(&self) -> &str {
        self.line.as_ref().map_or("request", |line| line.request())
    }

    /// Keeps a permit until the request ends.
    pub(crate) fn hold(&mut self, permit: impl Send + 'static) {
        self._permit = Some(Box::new(permit));
    }

    /// Counts received content.
    pub(crate) fn receive(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// Records the outcome; the content of the reply begins at byte `content_start` of it.
    pub(crate) fn decide(mut self, outcome: Outcome, content_start: u64) -> Record {
        (self.outcome, self.content_start) = (outcome, content_start);
        self
    }

    /// Reports the request: its reply is sent or aborted.
    pub(crate) fn end(mut self, sent: Sent) {
        self.sent = Some(sent);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let content = |sent: Sent| Sent {
            bytes: sent.bytes.saturating_sub(self.content_start),
            ..sent
        };
        let end = RequestEnd {
            name: self.name,
            outcome: if thread::panicking() {
                Outcome::Panicked
            } else {
                self.outcome
            },
            took: self.began.elapsed(),
            received: self.received,
            sent: self.sent.map(content),
        };
        if let Some(observer) = &self.observer {
            observer.request(&end);
        }
        if let Some(line) = &self.line {
            line.write(&end, self.sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use parking_lot::Mutex;
    use proto::ErrorCode;

    use super::*;

    /// The ends of requests, as the observer and the access log learn them.
    #[derive(Clone, Default)]
    struct Ends(Arc<Mutex<Vec<RequestEnd>>>, Arc<Mutex<Vec<Option<Sent>>>>);

    impl Observer for Ends {
        fn request(&self, end: &RequestEnd) {
            self.0.lock().push(*end);
        }
    }

    impl AccessLine for Ends {
        fn request(&self) -> &str {
            "a request"
        }

        fn write(&self, end: &RequestEnd, reply: Option<Sent>) {
            assert_eq!(self.0.lock()[..], [*end]);
            self.1.lock().push(reply);
        }
    }

    /// How the one request ends that `work` is done to.
    fn end_of(work: impl FnOnce(Record)) -> (Outcome, u64, Option<(u64, bool)>) {
        let ends = Ends::default();
        let observer: Arc<dyn Observer> = Arc::new(ends.clone());
        let name = RequestName::Command(7);
        let peer = ([127, 0, 0, 1], 1).into();
        work(Record::begin(
            peer,
            Some(&observer),
            name,
            Some(Box::new(ends.clone())),
        ));
        assert_eq!(ends.1.lock().len(), 1);
        let ends = ends.0.lock();
        let [end] = ends[..] else {
            panic!("told {} times", ends.len())
        };
        assert_eq!(end.name, name);
        let sent = end.sent.map(|sent| (sent.bytes, sent.complete));
        (end.outcome, end.received, sent)
    }

    fn sent(bytes: u64, complete: bool) -> Sent {
        Sent {
            bytes,
            local: 0,
            complete,
        }
    }

    #[test]
    fn a_request_is_told_once_by_how_it_ended() {
        let ok = end_of(|record| record.decide(Outcome::Ok, 10).end(sent(18, true)));
        assert_eq!(ok, (Outcome::Ok, 0, Some((8, true))));
        let cut = end_of(|record| record.decide(Outcome::Ok, 10).end(sent(9, false)));
        assert_eq!(cut, (Outcome::Ok, 0, Some((0, false))));
        let busy = Outcome::Failed(ErrorCode::Busy);
        let failed = end_of(|record| record.decide(busy, u64::MAX).end(sent(40, true)));
        assert_eq!(failed, (busy, 0, Some((0, true))));
        let partial = Outcome::Status(206);
        let answered = end_of(|record| record.decide(partial, 200).end(sent(1200, true)));
        assert_eq!(answered, (partial, 0, Some((1000, true))));
        let content = end_of(|mut record| {
            record.receive(100);
            record.receive(20);
        });
        assert_eq!(content, (Outcome::Aborted, 120, None));
    }

    #[test]
    fn a_panic_is_told() {
        let panicked = end_of(|record| {
            let serve = AssertUnwindSafe(|| {
                let _record = record.decide(Outcome::Ok, 0);
                panic!("as the test wants it");
            });
            catch_unwind(serve).unwrap_err();
        });
        assert_eq!(panicked, (Outcome::Panicked, 0, None));
    }
}
