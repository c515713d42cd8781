//! The HTTP protocol for a handler.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use log::debug;
use tiny_http::Method;

use super::access::Access;
use super::proxies::TrustedProxies;
use super::request::{HEAD_MAX, Parsed, Refusal, Request, parse};
use super::response::{Response, status};
use crate::transport::{
    Action, Inbox, Observer, Outgoing, Part, Peer, Pending, Protocol, Readiness, RequestName,
    Resumed, Tally, Then, Wake, WorkerPool,
};

/// Answers the requests of a daemon. Called on many worker threads at once.
pub trait Handler: Send + Sync + 'static {
    /// File descriptors that a request may need besides its connection's.
    const DESCRIPTORS: usize = 0;

    /// True if connections are accepted even when the process has almost no file descriptor left.
    const USES_LAST_DESCRIPTORS: bool = false;

    /// Answers one request.
    fn handle(&self, request: Request) -> Answer;
}

/// The result of a request.
pub enum Answer {
    /// The response.
    Now(Response),
    /// A response that depends on another server.
    Later(Box<dyn Pending<Response>>),
}

/// HTTP for a handler.
pub struct Http<H> {
    handler: H,
    proxies: TrustedProxies,
    observer: Arc<dyn Observer>,
}

impl<H: Handler> Http<H> {
    /// Answers requests with `handler`.
    pub fn new(handler: H, observer: Arc<impl Observer>) -> Http<H> {
        Http {
            handler,
            proxies: TrustedProxies::default(),
            observer,
        }
    }

    /// Trusts these proxies: the access log names the clients behind them, and they are exempt from the
    /// limit of connections per client.
    pub fn behind(mut self, proxies: TrustedProxies) -> Http<H> {
        self.proxies = proxies;
        self
    }

    fn refuse(&self, refusal: &Refusal, peer: SocketAddr, head: &[u8]) -> Action {
        debug!("{peer}: {}", refusal.message);
        let response = Response::text(refusal.status, refusal.message);
        Action::Send(self.send_unread(response, peer, head))
    }

    /// The response to a request that was not read or is not valid. It closes the connection: the start of
    /// the next request is unknown.
    fn send_unread(&self, response: Response, peer: SocketAddr, head: &[u8]) -> Outgoing {
        let exchange = Exchange {
            minor_version: 1,
            keep_alive: false,
            wants_body: true,
            tally: self.tally(None),
            access: Access::of_unread(peer, head),
        };
        exchange.end(response)
    }
}

impl<H: Handler> Protocol for Http<H> {
    type Session = ();

    const REQUEST_MAX: usize = HEAD_MAX;

    const DESCRIPTORS: usize = H::DESCRIPTORS;

    /// A pipe and /dev/null.
    const WORKER_DESCRIPTORS: usize = 3;

    const USES_LAST_DESCRIPTORS: bool = H::USES_LAST_DESCRIPTORS;

    /// HTTP faces the internet: one client gets at most half of the connections.
    const CLIENT_SHARE: usize = 2;

    /// A request that crosses the close of its connection is lost, and many clients do not retry. In this
    /// time active clients see `Connection: close` and reconnect elsewhere.
    const LAST_REQUEST: Duration = Duration::from_secs(2);

    fn readiness(&self, inbox: &mut Inbox) -> Readiness {
        skip_empty_lines(inbox);
        let bytes = inbox.bytes();
        // The end may have begun in the bytes that were searched before.
        let from = inbox.searched().saturating_sub(END_MAX - 1);
        if bytes.len() >= HEAD_MAX || is_foreign(bytes) || has_end(&bytes[from..]) {
            return Readiness::Serve(WorkerPool::Slow);
        }
        inbox.set_searched();
        Readiness::More
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
                    tally: self.tally(Some(&request.method)),
                    access: Access::of(&request, self.client(&request)),
                };
                match self.handler.handle(request) {
                    Answer::Now(response) => Action::Send(exchange.end(response)),
                    Answer::Later(pending) => {
                        Action::Wait(Box::new(PendingAnswer { exchange, pending }))
                    }
                }
            }
            // `readiness` saw the end of the head: more bytes cannot complete it.
            Ok(Parsed::Partial) => self.refuse(&Refusal::MALFORMED, peer.addr, inbox.bytes()),
            Err(refusal) => self.refuse(&refusal, peer.addr, inbox.bytes()),
        }
    }

    fn busy(&self, peer: SocketAddr, request: &[u8]) -> Outgoing {
        let response = Response::text(status::UNAVAILABLE, "busy").with("Retry-After", "1");
        self.send_unread(response, peer, request)
    }

    /// The request is counted and logged already, while the panic unwound.
    fn panicked(&self) -> Outgoing {
        alone(Response::text(status::INTERNAL_ERROR, "internal error"))
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.has(peer)
    }

    fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }
}

impl<H: Handler> Http<H> {
    /// Begins to count a request; without a method if it is not valid.
    fn tally(&self, method: Option<&Method>) -> Tally {
        let name = match method {
            Some(Method::Get) => "get",
            Some(Method::Head) => "head",
            _ => "other",
        };
        Tally::begin(&self.observer, RequestName::Method(name))
    }

    fn client(&self, request: &Request) -> IpAddr {
        let forwarded = request.header("x-forwarded-for");
        self.proxies.client(request.peer.ip(), forwarded)
    }
}

/// The state of a request until its response.
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

/// A request whose response depends on another server.
struct PendingAnswer {
    exchange: Exchange,
    pending: Box<dyn Pending<Response>>,
}

impl Pending<Outgoing> for PendingAnswer {
    fn socket(&self) -> Option<&TcpStream> {
        self.pending.socket()
    }

    fn timeout(&self) -> Duration {
        self.pending.timeout()
    }

    fn pause(&self) -> Duration {
        self.pending.pause()
    }

    fn resume(self: Box<Self>, wake: Wake) -> Resumed<Outgoing> {
        let PendingAnswer {
            mut exchange,
            pending,
        } = *self;
        match pending.resume(wake) {
            Resumed::Done(response) => {
                exchange.keep_alive &= !wake.stopping;
                Resumed::Done(exchange.end(response))
            }
            Resumed::Again(pending) => {
                Resumed::Again(Box::new(PendingAnswer { exchange, pending }))
            }
        }
    }
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

/// True if no HTTP request begins like this. A client of another protocol would wait for ever: the end
/// of its head never comes. A line feed may follow a carriage return.
fn is_foreign(bytes: &[u8]) -> bool {
    let first = bytes.first().filter(|byte| **byte != b'\r');
    first.is_some_and(|byte| !byte.is_ascii_graphic())
}

/// Removes empty lines before a request (RFC 9112, 2.2).
fn skip_empty_lines(inbox: &mut Inbox) {
    let lines = inbox.bytes().chunks_exact(2);
    let len = 2 * lines.take_while(|line| line == b"\r\n").count();
    if len > 0 {
        inbox.consume(len);
    }
}

/// Length of the longest end of a head.
const END_MAX: usize = b"\n\r\n".len();

/// True if the bytes hold the end of a line and of an empty line after it, with LF or CR LF.
fn has_end(bytes: &[u8]) -> bool {
    #[cfg(test)]
    LOOKED_AT.with(|looked_at| looked_at.set(looked_at.get() + bytes.len()));
    let mut line_ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    line_ends.any(|(at, _)| {
        let rest = &bytes[at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}

#[cfg(test)]
thread_local! {
    /// Bytes that this thread has searched for the end of a head.
    pub(super) static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
