//! Decodes requests and encodes replies.

use std::net::SocketAddr;
use std::sync::Arc;

use proto::peer_proof::{AUTHENTICATE_LEN, Authenticate, PROVE_LEN};
use proto::shared_key::Signature;
use proto::{DecodeError, ErrorCode, FIXED_MAX, Fault, HEAD_LEN, Head, Request};

use super::access;
use super::reply_encoder::{ReplyEncoder, failed};
use super::service::{Caller, Content, Reply, Service};
use crate::access_control::{AccessControl, Ends, Proof};
use crate::transport::{
    AccessLine, Action, Full, Inbox, Observer, Outcome, Outgoing, Part, Peer, Protocol, Receive,
    Record, RequestName, Then, WorkerPool,
};

/// A refused upload of at most this many bytes is read to its end, which keeps the connection; a larger
/// one closes it.
const DISCARD_MAX: u64 = 64 << 10;
/// The tnv protocol for a service.
pub struct Wire<S> {
    service: S,
    access: Arc<AccessControl>,
    replies: Arc<ReplyEncoder>,
    observer: Arc<dyn Observer>,
}

impl<S: Service> Wire<S> {
    /// Serves requests of this machine with `service`. Failure replies begin with `[hostname]`.
    pub fn new(service: S, hostname: &str, observer: Arc<impl Observer>) -> Wire<S> {
        Wire {
            service,
            access: Arc::new(AccessControl::this_machine(S::Request::SERVER)),
            observer,
            replies: Arc::new(ReplyEncoder::new(S::Request::SERVER.reply(), hostname)),
        }
    }

    /// Serves the requests that `access` allows.
    pub fn allowing(self, access: Arc<AccessControl>) -> Wire<S> {
        Wire { access, ..self }
    }

    fn record(&self, peer: SocketAddr, head: &Head, line: Option<Box<dyn AccessLine>>) -> Record {
        let name = RequestName::Command(head.command);
        Record::begin(peer, Some(&self.observer), name, line)
    }

    /// The reply to a request; `None` for a right proof, which has no reply.
    fn call(
        &self,
        request: FrameRequest<S::Request>,
        session: &mut Session<S::Session>,
        peer: Peer<'_>,
    ) -> Result<Option<Reply>, Fault> {
        let ends = session.ends(peer);
        let Session {
            proof, is_known, ..
        } = session;
        match request {
            FrameRequest::Authenticate(request) => {
                let body = self.access.authenticate(proof, &request, ends)?;
                Ok(Some(Reply::bytes(body)))
            }
            FrameRequest::Prove(signature) => {
                self.access.prove(proof, &signature, ends)?;
                *is_known = true;
                Ok(None)
            }
            FrameRequest::OfService(request) => {
                self.access
                    .check_request(proof, request.permission(), ends)?;
                *is_known = true;
                let mut caller = Caller {
                    peer: peer.addr,
                    local: ends.local,
                    is_local: peer.is_local(),
                    probe: peer.probe(),
                    session: &mut session.of_service,
                };
                self.service.call(request, &mut caller).map(Some)
            }
        }
    }

    /// Sends the answer of the service, or receives the content first.
    fn answer(&self, answer: Result<Reply, Fault>, content_len: u64, record: Record) -> Action {
        let replies = &self.replies;
        let reply = match answer {
            Ok(Reply::Content(content)) => {
                let sink = ContentReceiver {
                    content,
                    replies: Arc::clone(replies),
                    record: Some(record),
                };
                return Action::Receive {
                    len: content_len,
                    sink: Box::new(sink),
                };
            }
            Ok(Reply::Body(body)) => replies.success(body, record),
            // The rest of the content is not read, so the start of the next request is unknown.
            Err(fault) if content_len > DISCARD_MAX => replies.failure(&fault, Then::Close, record),
            Err(fault) => replies.failure(&fault, Then::Keep, record),
        };
        if content_len == 0 || reply.then == Then::Close {
            return Action::Send(reply);
        }
        Action::Receive {
            len: content_len,
            sink: Box::new(ContentDiscarder(reply)),
        }
    }
}

/// A request whose head and fixed part are complete.
pub struct Frame<R> {
    head: Head,
    request: Result<FrameRequest<R>, Fault>,
    /// Bytes of content that follow. [`u64::MAX`] after an invalid head: the length of the request is
    /// unknown.
    content_len: u64,
}

/// A request to the service, or a part of the proof of a key.
enum FrameRequest<R> {
    OfService(R),
    Authenticate(Authenticate),
    Prove(Signature),
}

impl<R: Request> FrameRequest<R> {
    fn fixed_len(head: &Head) -> Result<usize, DecodeError> {
        let (len, expected) = match head.command {
            command if command == R::SERVER.authenticate() => (AUTHENTICATE_LEN, "88"),
            command if command == R::SERVER.prove() => (PROVE_LEN, "32"),
            _ => return R::fixed_len(head),
        };
        if head.body_len == len as i64 {
            return Ok(len);
        }
        Err(DecodeError::BodyLength {
            command: head.command,
            actual: head.body_len,
            expected,
        })
    }

    fn decode(head: &Head, fixed: &[u8]) -> Result<FrameRequest<R>, DecodeError> {
        if head.command == R::SERVER.authenticate() {
            return Authenticate::decode(fixed).map(FrameRequest::Authenticate);
        }
        match fixed.try_into() {
            Ok(signature) if head.command == R::SERVER.prove() => {
                Ok(FrameRequest::Prove(signature))
            }
            _ => R::decode(head, fixed).map(FrameRequest::OfService),
        }
    }
}

/// The state of one connection.
#[derive(Default)]
pub struct Session<S> {
    proof: Proof,
    /// True once a request was allowed or a key proved.
    is_known: bool,
    /// The address that the client connected to, once it is known.
    local: Option<SocketAddr>,
    of_service: S,
}

impl<S> Session<S> {
    fn ends(&mut self, peer: Peer<'_>) -> Ends {
        Ends {
            peer: peer.addr,
            local: *self.local.get_or_insert_with(|| peer.local_addr()),
        }
    }
}

impl<S: Service> Protocol for Wire<S> {
    type Session = Session<S::Session>;

    type Request = Frame<S::Request>;

    const REQUEST_MAX: usize = HEAD_LEN + FIXED_MAX;

    const DESCRIPTORS: usize = S::DESCRIPTORS;

    fn kept_descriptors(&self) -> usize {
        self.service.kept_descriptors()
    }

    fn parse(
        &self,
        inbox: &mut Inbox,
        _peer: SocketAddr,
    ) -> Option<(Frame<S::Request>, WorkerPool)> {
        let (head, body) = inbox.bytes().split_first_chunk::<HEAD_LEN>()?;
        let head = Head::decode(head);
        let fixed_len = match FrameRequest::<S::Request>::fixed_len(&head) {
            Ok(len) => len,
            Err(e) => {
                let frame = Frame {
                    head,
                    request: Err(e.into()),
                    content_len: u64::MAX,
                };
                return Some((frame, WorkerPool::Fast));
            }
        };
        let request = FrameRequest::decode(&head, body.get(..fixed_len)?);
        inbox.consume(HEAD_LEN + fixed_len);
        let pool = match request {
            Ok(FrameRequest::OfService(_)) => self.service.pool(head.command),
            _ => WorkerPool::Fast,
        };
        let frame = Frame {
            content_len: head.body_len as u64 - fixed_len as u64,
            request: request.map_err(Fault::from),
            head,
        };
        Some((frame, pool))
    }

    fn serve(
        &self,
        frame: Frame<S::Request>,
        session: &mut Session<S::Session>,
        peer: Peer<'_>,
        _stopping: bool,
    ) -> Action {
        let Frame { head, request, .. } = frame;
        let line = match &request {
            Ok(FrameRequest::OfService(request)) => access::line(peer.addr, request),
            _ => access::line_of_command(peer.addr, S::Request::SERVER, Some(head.command)),
        };
        let record = self.record(peer.addr, &head, line);
        let is_proof = matches!(request, Ok(FrameRequest::Prove(_)));
        let answer = request.and_then(|request| self.call(request, session, peer));
        match answer {
            // The client has sent its first request behind the proof, and takes the failure for its reply.
            Err(fault) if is_proof => {
                Action::Send(self.replies.failure(&fault, Then::Close, record))
            }
            Ok(None) => {
                let record = record.decide(Outcome::Ok, u64::MAX);
                Action::Send(Outgoing::new(vec![], Then::Keep, Some(record)))
            }
            Ok(Some(reply)) => self.answer(Ok(reply), frame.content_len, record),
            Err(fault) => self.answer(Err(fault), frame.content_len, record),
        }
    }

    /// The request is not counted.
    fn busy(&self, peer: SocketAddr, frame: Option<&Frame<S::Request>>, full: Full) -> Outgoing {
        let text = match full {
            Full::Client => "too many connections of this address, try again",
            Full::Server => "too many requests, try again",
        };
        let fault = Fault::new(ErrorCode::Busy, text);
        let command = frame.map(|frame| frame.head.command);
        let line = access::line_of_command(peer, S::Request::SERVER, command);
        let name = RequestName::Command(command.unwrap_or_default());
        let record = Record::begin(peer, None, name, line);
        self.replies
            .encode(&fault, Then::Close, Some(failed(record, &fault)))
    }

    fn panicked(&self, _session: &Session<S::Session>) -> Outgoing {
        let fault = Fault::new(ErrorCode::Unknown, "internal error");
        self.replies.encode(&fault, Then::Close, None)
    }

    fn is_stranger(&self, session: &Session<S::Session>, peer: Peer<'_>) -> bool {
        let ends = || Ends {
            peer: peer.addr,
            local: session.local.unwrap_or_else(|| peer.local_addr()),
        };
        !session.is_known && self.access.refuses_unproved(ends())
    }

    fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }
}

/// Passes content on to the service.
struct ContentReceiver {
    content: Box<dyn Content>,
    replies: Arc<ReplyEncoder>,
    /// Absent after the reply.
    record: Option<Record>,
}

impl Receive for ContentReceiver {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Outgoing> {
        if let Some(record) = &mut self.record {
            record.receive(bytes.len());
        }
        self.content.write(bytes).map_err(|fault| {
            let record = self.record.take().expect("a reply ends the request");
            self.replies.failure(&fault, Then::Close, record)
        })
    }

    fn finish(mut self: Box<Self>) -> Outgoing {
        let record = self.record.take().expect("a reply ends the request");
        match self.content.finish() {
            Ok(body) => self.replies.success(vec![Part::Bytes(body)], record),
            Err(fault) => self.replies.failure(&fault, Then::Keep, record),
        }
    }
}

/// Discards content, then returns a reply that is made already.
struct ContentDiscarder(Outgoing);

impl Receive for ContentDiscarder {
    fn take(&mut self, _bytes: &[u8]) -> Result<(), Outgoing> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Outgoing {
        self.0
    }
}
