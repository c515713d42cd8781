//! Requests in, answers out.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use log::debug;
use tiny_http::Method;

use super::access::Access;
use super::request::{HEAD_MAX, Parsed, Refusal, Request, parse};
use super::response::{Response, status};
use crate::metrics::{Metrics, NetMetrics, Tally};
use crate::net::{
    Action, Inbox, Lane, Outgoing, Part, Peer, Pending, Protocol, Readiness, Resumed, Then, Wake,
};

/// What a daemon does with its requests. Called on worker threads, many at a time.
pub trait Handler: Send + Sync + 'static {
    /// File descriptors that a request may need besides its connection's.
    const DESCRIPTORS: usize = 0;

    /// Whether it is served while the process has hardly a file descriptor left.
    const USES_LAST_DESCRIPTORS: bool = false;

    /// Answers one request.
    fn handle(&self, request: Request) -> Answer;
}

/// What becomes of a request.
pub enum Answer {
    /// This.
    Now(Response),
    /// What is made of another server's answer.
    Later(Box<dyn Pending<Response>>),
}

/// HTTP, spoken for a handler.
pub struct Http<H> {
    handler: H,
    metrics: Arc<Metrics>,
}

impl<H: Handler> Http<H> {
    /// Speaks for `handler`. Requests and connections are counted in `metrics`.
    pub fn new(handler: H, metrics: Arc<Metrics>) -> Http<H> {
        Http { handler, metrics }
    }

    fn refuse(&self, refusal: &Refusal, peer: SocketAddr) -> Action {
        debug!("{peer}: {}", refusal.message);
        let tally = self.metrics.requests.begin_http(None);
        Action::Send(refuse(refusal, Access::of_refused(peer), tally))
    }
}

impl<H: Handler> Protocol for Http<H> {
    type Session = ();

    const REQUEST_MAX: usize = HEAD_MAX;

    const DESCRIPTORS: usize = H::DESCRIPTORS;

    /// Of a pipe, and of what takes the bytes that nobody wants.
    const WORKER_DESCRIPTORS: usize = 3;

    const USES_LAST_DESCRIPTORS: bool = H::USES_LAST_DESCRIPTORS;

    /// HTTP faces the world: half of the connections are kept from any single client.
    const CLIENT_SHARE: usize = 2;

    /// A request that crosses the closing of its connection is lost, and many clients do not try
    /// again. Those that ask often learn in time to go elsewhere (`Connection: close`).
    const LAST_REQUEST: Duration = Duration::from_secs(2);

    fn readiness(&self, bytes: &[u8]) -> Readiness {
        if bytes.len() < HEAD_MAX && !has_head(bytes) && !is_foreign(bytes) {
            Readiness::More
        } else {
            Readiness::Serve(Lane::Slow)
        }
    }

    fn serve(
        &self,
        inbox: &mut Inbox,
        _session: &mut (),
        peer: Peer<'_>,
        stopping: bool,
    ) -> Action {
        match parse(inbox.bytes(), peer.addr) {
            Ok(Parsed::Head(mut request, len)) => {
                inbox.consume(len);
                request.keep_alive &= !stopping;
                let exchange = Exchange {
                    minor_version: request.minor_version,
                    keep_alive: request.keep_alive,
                    wants_body: request.method != Method::Head,
                    tally: self.metrics.requests.begin_http(Some(&request.method)),
                    access: Access::of(&request),
                };
                match self.handler.handle(request) {
                    Answer::Now(response) => Action::Send(exchange.end(response)),
                    Answer::Later(pending) => Action::Wait(Box::new(Asked { exchange, pending })),
                }
            }
            // Readiness saw its end: nothing that follows makes it whole.
            Ok(Parsed::Partial) => self.refuse(&Refusal::MALFORMED, peer.addr),
            Err(refusal) => self.refuse(&refusal, peer.addr),
        }
    }

    fn busy(&self) -> Outgoing {
        let response = Response::text(status::UNAVAILABLE, "busy").with("Retry-After", "1");
        let head_len = response.head(1, false).len();
        let tally = self.metrics.requests.begin_http(None);
        Outgoing {
            tally: Some(tally.answer(status::UNAVAILABLE, head_len)),
            ..alone(response)
        }
    }

    /// The request was counted and written down when what it panicked in was left.
    fn panicked(&self) -> Outgoing {
        alone(Response::text(status::INTERNAL_ERROR, "internal error"))
    }

    fn metrics(&self) -> &NetMetrics {
        &self.metrics.net
    }
}

/// What is remembered of a request until it is answered.
struct Exchange {
    minor_version: u8,
    keep_alive: bool,
    wants_body: bool,
    tally: Tally,
    access: Access,
}

impl Exchange {
    fn end(self, response: Response) -> Outgoing {
        let head = response.head(self.minor_version, self.keep_alive);
        let report = self.access.report(response.status, head.len() as u64);
        let tally = self.tally.answer(response.status, head.len());
        let mut parts = vec![Part::Bytes(head)];
        if self.wants_body {
            parts.extend(response.body);
        }
        let then = if self.keep_alive {
            Then::Keep
        } else {
            Then::Close
        };
        Outgoing {
            parts,
            then,
            report,
            tally: Some(tally),
        }
    }
}

/// A request whose answer depends on another server's.
struct Asked {
    exchange: Exchange,
    pending: Box<dyn Pending<Response>>,
}

impl Pending<Outgoing> for Asked {
    fn socket(&self) -> Option<&TcpStream> {
        self.pending.socket()
    }

    fn patience(&self) -> Duration {
        self.pending.patience()
    }

    fn pause(&self) -> Duration {
        self.pending.pause()
    }

    fn resume(self: Box<Self>, wake: Wake) -> Resumed<Outgoing> {
        let Asked {
            mut exchange,
            pending,
        } = *self;
        match pending.resume(wake) {
            Resumed::Done(response) => {
                exchange.keep_alive &= !wake.stopping;
                Resumed::Done(exchange.end(response))
            }
            Resumed::Again(pending) => Resumed::Again(Box::new(Asked { exchange, pending })),
        }
    }
}

/// After a head that was not understood nothing that follows can be either.
fn refuse(refusal: &Refusal, access: Access, tally: Tally) -> Outgoing {
    let response = Response::text(refusal.status, refusal.message);
    let head_len = response.head(1, false).len();
    let mut outgoing = alone(response);
    outgoing.report = access.report(refusal.status, 0);
    outgoing.tally = Some(tally.answer(refusal.status, head_len));
    outgoing
}

fn alone(response: Response) -> Outgoing {
    let mut parts = vec![Part::Bytes(response.head(1, false))];
    parts.extend(response.body);
    Outgoing {
        parts,
        then: Then::Close,
        report: None,
        tally: None,
    }
}

/// Whether no request begins like this: the request of another protocol, which would wait for the
/// end of a head that never comes.
fn is_foreign(bytes: &[u8]) -> bool {
    let mut bytes = bytes.iter();
    let first = bytes.find(|byte| !matches!(byte, b'\r' | b'\n'));
    first.is_some_and(|byte| !byte.is_ascii_graphic())
}

/// Whether there is an empty line behind others, however lines end: a whole head, or none that can
/// become one. Empty lines in front are passed over (RFC 9112, 2.2).
fn has_head(bytes: &[u8]) -> bool {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = bytes.iter().position(|byte| !is_line_end(byte));
    let bytes = &bytes[start.unwrap_or(bytes.len())..];
    let mut line_ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    line_ends.any(|(at, _)| {
        let rest = &bytes[at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}
