//! Decodes requests and encodes replies.

use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use proto::{ErrorCode, FIXED_MAX, Fault, HEAD_LEN, Head, Request};

use super::access::{Access, FaultLog, Status};
use super::service::{Caller, Content, Reply, Service};
use crate::transport::{
    Action, Inbox, Observer, OpenFile, Outgoing, Part, Peer, Protocol, Readiness, Receive,
    RequestName, Sent, Tally, Then, WorkerPool,
};

/// A refused upload of at most this many bytes is read to its end, which keeps the connection; a larger
/// one closes it.
const DISCARD_MAX: u64 = 64 << 10;
/// A range of a file of at most this size is sent in one write with its head; sendfile(2) is cheaper for
/// larger ones.
const SMALL: u64 = 32 << 10;

/// The tnv protocol for a service.
pub struct Wire<S> {
    service: S,
    replies: Arc<ReplyEncoder>,
    observer: Arc<dyn Observer>,
}

struct ReplyEncoder {
    reply_command: u8,
    hostname: String,
    faults: FaultLog,
}

impl<S: Service> Wire<S> {
    /// Serves requests with `service`. Failure replies begin with `[hostname]`.
    pub fn new(service: S, hostname: &str, observer: Arc<impl Observer>) -> Wire<S> {
        let reply_command = S::Request::REPLY;
        Wire {
            service,
            observer,
            replies: Arc::new(ReplyEncoder {
                reply_command,
                hostname: hostname.to_owned(),
                faults: FaultLog::default(),
            }),
        }
    }

    fn head(bytes: &[u8]) -> Option<Head> {
        bytes.first_chunk::<HEAD_LEN>().map(Head::decode)
    }

    /// Closes the connection: after an invalid head the length of the request is unknown.
    fn refuse(&self, head: &Head, fault: &Fault, peer: SocketAddr) -> Action {
        let access = self.unread(head, peer);
        Action::Send(self.replies.failure(fault, Then::Close, access))
    }

    fn call(
        &self,
        head: &Head,
        fixed: &[u8],
        session: &mut S::Session,
        peer: Peer<'_>,
    ) -> (Result<Reply, Fault>, Access) {
        match S::Request::decode(head, fixed) {
            Ok(request) => {
                let tally = self.tally(head);
                let access = Access::begin(peer.addr, tally, &request);
                let mut caller = Caller {
                    peer: peer.addr,
                    probe: peer.probe(),
                    session,
                };
                (self.service.call(request, &mut caller), access)
            }
            Err(e) => (Err(e.into()), self.unread(head, peer.addr)),
        }
    }

    fn tally(&self, head: &Head) -> Tally {
        Tally::begin(&self.observer, RequestName::Command(head.command))
    }

    fn unread(&self, head: &Head, peer: SocketAddr) -> Access {
        let tally = self.tally(head);
        Access::begin_unknown(peer, tally, head.command)
    }

    /// Sends the answer of the service, or receives the content first.
    fn answer(&self, answer: Result<Reply, Fault>, content_len: u64, access: Access) -> Action {
        let replies = &self.replies;
        let reply = match answer {
            Ok(Reply::Content(content)) => {
                let sink = ContentReceiver {
                    content,
                    replies: Arc::clone(replies),
                    access,
                };
                return Action::Receive {
                    len: content_len,
                    sink: Box::new(sink),
                };
            }
            Ok(Reply::Body(body)) => replies.body(&body, access),
            Ok(Reply::Shared(body)) => replies.shared(body, access),
            Ok(Reply::File {
                file,
                offset,
                len,
                before,
            }) if len <= SMALL => {
                let mut bytes = replies.head(&before, len);
                let start = bytes.len();
                match read(&*file, offset, len as usize, &mut bytes) {
                    Ok(()) => replies.success(vec![Part::Bytes(bytes)], start, access),
                    Err(fault) => replies.failure(&fault, Then::Keep, access),
                }
            }
            Ok(Reply::File {
                file,
                offset,
                len,
                before,
            }) => {
                let head = replies.head(&before, len);
                let start = head.len();
                let parts = vec![Part::Bytes(head), Part::File { file, offset, len }];
                replies.success(parts, start, access)
            }
            Err(fault) if content_len > DISCARD_MAX => replies.failure(&fault, Then::Close, access),
            Err(fault) => replies.failure(&fault, Then::Keep, access),
        };
        if content_len == 0 || reply.then == Then::Close {
            return Action::Send(reply);
        }
        Action::Receive {
            len: content_len,
            sink: Box::new(ContentDiscarder(Some(reply))),
        }
    }
}

impl<S: Service> Protocol for Wire<S> {
    type Session = S::Session;

    const REQUEST_MAX: usize = HEAD_LEN + FIXED_MAX;

    const DESCRIPTORS: usize = S::DESCRIPTORS;

    fn readiness(&self, inbox: &mut Inbox) -> Readiness {
        let bytes = inbox.bytes();
        let Some(head) = Self::head(bytes) else {
            return Readiness::More;
        };
        match S::Request::fixed_len(&head) {
            Ok(len) if bytes.len() < HEAD_LEN + len => Readiness::More,
            Ok(_) => Readiness::Serve(self.service.pool(head.command)),
            Err(_) => Readiness::Serve(WorkerPool::Fast),
        }
    }

    fn serve(
        &self,
        inbox: &mut Inbox,
        session: &mut S::Session,
        peer: Peer<'_>,
        _stopping: bool,
    ) -> Action {
        let bytes = inbox.bytes();
        let head = Self::head(bytes).expect("readiness saw a whole head");
        let fixed_len = match S::Request::fixed_len(&head) {
            Ok(len) => len,
            Err(e) => return self.refuse(&head, &e.into(), peer.addr),
        };
        let fixed = &bytes[HEAD_LEN..HEAD_LEN + fixed_len];
        let (answer, access) = self.call(&head, fixed, session, peer);
        inbox.consume(HEAD_LEN + fixed_len);
        self.answer(answer, head.body_len as u64 - fixed_len as u64, access)
    }

    fn busy(&self, peer: SocketAddr, request: &[u8]) -> Outgoing {
        let fault = Fault::new(ErrorCode::Busy, "too many requests, try again");
        let command = Self::head(request).map(|head| head.command);
        let mut reply = self.replies.encode(&fault, Then::Close);
        reply.report = Access::begin_unread(peer, command).end(Status::Error(fault.code));
        reply
    }

    fn panicked(&self) -> Outgoing {
        let fault = Fault::new(ErrorCode::Unknown, "internal error");
        self.replies.encode(&fault, Then::Close)
    }

    fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }
}

impl ReplyEncoder {
    /// The head of a reply and the first bytes of its body; `more` bytes follow.
    fn head(&self, body: &[u8], more: u64) -> Vec<u8> {
        let len = body.len() as u64 + more;
        let room = HEAD_LEN + body.len() + if more <= SMALL { more as usize } else { 0 };
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(&Head::reply(self.reply_command, len).encode());
        bytes.extend_from_slice(body);
        bytes
    }

    fn body(&self, body: &[u8], access: Access) -> Outgoing {
        let bytes = self.head(body, 0);
        let end = bytes.len();
        self.success(vec![Part::Bytes(bytes)], end, access)
    }

    /// A long body follows its head without a copy; a short one is copied, so that one write sends both.
    fn shared(&self, body: Arc<[u8]>, access: Access) -> Outgoing {
        if body.len() as u64 <= SMALL {
            return self.body(&body, access);
        }
        let len = body.len() as u64;
        let mut head = Vec::with_capacity(HEAD_LEN);
        head.extend_from_slice(&Head::reply(self.reply_command, len).encode());
        let end = head.len() + body.len();
        self.success(vec![Part::Bytes(head), Part::Shared(body)], end, access)
    }

    /// A reply whose content begins at byte `start`.
    fn success(&self, parts: Vec<Part>, start: usize, mut access: Access) -> Outgoing {
        Outgoing {
            parts,
            then: Then::Keep,
            tally: access.tally.take().map(|tally| tally.succeed(start)),
            report: access.end(Status::Ok),
        }
    }

    fn failure(&self, fault: &Fault, then: Then, mut access: Access) -> Outgoing {
        self.faults.note(&access, fault);
        let mut reply = self.encode(fault, then);
        reply.tally = access.tally.take().map(|tally| tally.fail(fault.code));
        reply.report = access.end(Status::Error(fault.code));
        reply
    }

    fn encode(&self, fault: &Fault, then: Then) -> Outgoing {
        Outgoing::bytes(fault.encode(self.reply_command, &self.hostname), then)
    }
}

/// Passes content on to the service.
struct ContentReceiver {
    content: Box<dyn Content>,
    replies: Arc<ReplyEncoder>,
    access: Access,
}

impl Receive for ContentReceiver {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Outgoing> {
        self.access.received(bytes.len());
        let written = self.content.write(bytes);
        written.map_err(|fault| {
            self.replies
                .failure(&fault, Then::Close, self.access.take())
        })
    }

    fn finish(self: Box<Self>) -> Outgoing {
        match self.content.finish() {
            Ok(body) => self.replies.body(&body, self.access),
            Err(fault) => self.replies.failure(&fault, Then::Keep, self.access),
        }
    }
}

/// Discards content, then returns a reply that is made already.
struct ContentDiscarder(Option<Outgoing>);

impl Receive for ContentDiscarder {
    fn take(&mut self, _bytes: &[u8]) -> Result<(), Outgoing> {
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Outgoing {
        self.0.take().expect("it is taken here only")
    }
}

impl Drop for ContentDiscarder {
    /// Writes the access log line if the client left before the end of the content.
    fn drop(&mut self) {
        if let Some(report) = self.0.take().and_then(|reply| reply.report) {
            report(Sent {
                bytes: 0,
                complete: false,
            });
        }
    }
}

/// Appends a range of a file to `bytes`.
fn read(file: &dyn OpenFile, offset: u64, len: usize, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    let start = bytes.len();
    bytes.resize(start + len, 0);
    let mut read = Ok(());
    let visited = file.visit(&mut |file| read = file.read_exact_at(&mut bytes[start..], offset));
    let fault = |code, e| Fault::new(code, format!("stored file cannot be read: {e}"));
    visited.map_err(|e| fault(ErrorCode::Unavailable, e))?;
    read.map_err(|e| fault(file.cannot_read(offset, &e), e))
}
