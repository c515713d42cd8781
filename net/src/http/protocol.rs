//! The HTTP protocol for a handler.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use log::debug;
use tiny_http::Method;

use super::access;
use super::proxies::{ForwardedFor, RequestPermit, TrustedProxies};
use super::request::{HEAD_MAX, Refusal, Request, parse};
use super::response::{Field, Response, status};
use crate::transport::{
    Action, Answer, Full, Inbox, NetEvent, Observer, Outcome, Outgoing, Part, Peer, Pending,
    Protocol, Record, RequestName, Then, Wake, WorkerPool,
};

/// Answers the requests of a daemon. Called on many worker threads at once.
pub trait Handler: Send + Sync + 'static {
    /// File descriptors that a request may need besides its connection's.
    const DESCRIPTORS: usize = 0;

    /// File descriptors that the handler keeps open beyond requests.
    fn kept_descriptors(&self) -> usize {
        0
    }

    /// True if connections are accepted even when the process has almost no file descriptor left.
    const USES_LAST_DESCRIPTORS: bool = false;

    /// Header fields of every response to a request with this Origin field, also of the refusals that the
    /// protocol sends itself. `origin` is absent if the request has no such field or was not read.
    fn common_fields(&self, _origin: Option<&str>) -> Vec<Field> {
        Vec::new()
    }

    /// Answers one request.
    fn handle(&self, request: Request) -> Answer<Response>;
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

    /// Trusts these proxies: the access log names the clients behind them. The limit of connections per
    /// client does not apply to the proxies, but to the requests of the clients behind them.
    pub fn behind(mut self, proxies: TrustedProxies) -> Http<H> {
        self.proxies = proxies;
        self
    }

    fn exchange(&self, request: &Request) -> Exchange {
        let name = match request.method {
            Method::Get => "get",
            Method::Head => "head",
            _ => OTHER,
        };
        let line = access::line(request);
        let name = RequestName::Method(name);
        Exchange {
            minor_version: request.minor_version,
            keep_alive: request.keep_alive,
            wants_body: request.method != Method::Head,
            fields: self.handler.common_fields(request.header("origin")),
            record: Some(Record::begin(
                request.peer,
                Some(&self.observer),
                name,
                line,
            )),
        }
    }

    /// The exchange for a request that is not valid.
    fn exchange_of_refused(&self, peer: SocketAddr, refused: &RefusedHead) -> Exchange {
        self.exchange_of_unread(peer, &refused.excerpt, refused.origin.as_deref())
    }

    /// The exchange for a request that was not read or is not valid.
    fn exchange_of_unread(
        &self,
        peer: SocketAddr,
        excerpt: &str,
        origin: Option<&str>,
    ) -> Exchange {
        let line = access::line_of_unread(peer, excerpt);
        let name = RequestName::Method(OTHER);
        let record = Record::begin(peer, Some(&self.observer), name, line);
        Exchange::last(Some(record), self.handler.common_fields(origin))
    }

    /// The refusal of a request whose client is at its limit, or a permit, which a request through a proxy
    /// needs: the connections of a proxy are of many clients.
    fn enter(&self, request: &Request) -> Result<Option<RequestPermit>, Response> {
        if !ForwardedFor::of(request).is_present() || !self.proxies.has(request.peer.ip()) {
            return Ok(None);
        }
        let permit = self.proxies.enter(request.client);
        permit.map(Some).ok_or_else(|| {
            self.observer.event(NetEvent::Refused(Full::Client));
            too_busy(Full::Client)
        })
    }
}

/// The response at a limit.
fn too_busy(full: Full) -> Response {
    let response = match full {
        Full::Client => Response::text(
            status::TOO_MANY_REQUESTS,
            "too many requests of this client",
        ),
        Full::Server => Response::text(status::UNAVAILABLE, "busy"),
    };
    response.with("Retry-After", "1")
}

/// The method of a request that is not supported or not valid.
const OTHER: &str = "other";

/// A head that cannot become a request.
pub struct RefusedHead {
    refusal: Refusal,
    /// The start of its first line.
    excerpt: String,
    /// Its Origin field, if one can be found.
    origin: Option<String>,
}

impl<H: Handler> Protocol for Http<H> {
    /// The Origin field of the latest request, for the response to a panic.
    type Session = Option<String>;

    type Request = Result<Request, RefusedHead>;

    const REQUEST_MAX: usize = HEAD_MAX;

    const DESCRIPTORS: usize = H::DESCRIPTORS;

    fn kept_descriptors(&self) -> usize {
        self.handler.kept_descriptors()
    }

    /// A pipe and /dev/null.
    const WORKER_DESCRIPTORS: usize = 3;

    const USES_LAST_DESCRIPTORS: bool = H::USES_LAST_DESCRIPTORS;

    /// HTTP faces the internet: one client gets at most half of the connections.
    const CLIENT_SHARE: usize = 2;

    /// A request that crosses the close of its connection is lost, and many clients do not retry. In this
    /// time active clients see `Connection: close` and reconnect elsewhere.
    const LAST_REQUEST: Duration = Duration::from_secs(2);

    fn parse(
        &self,
        inbox: &mut Inbox,
        peer: SocketAddr,
    ) -> Option<(Result<Request, RefusedHead>, WorkerPool)> {
        skip_empty_lines(inbox);
        let bytes = inbox.bytes();
        // The end may have begun in the bytes that were searched before.
        let from = inbox.searched().saturating_sub(END_MAX - 1);
        if bytes.len() < HEAD_MAX && !is_foreign(bytes) && !has_end(&bytes[from..]) {
            inbox.set_searched();
            return None;
        }
        let request = match parse(bytes, peer) {
            Ok(Some((mut request, len))) => {
                inbox.consume(len);
                let forwarded = ForwardedFor::of(&request);
                request.client = self.proxies.client(peer.ip(), forwarded);
                Ok(request)
            }
            // The head has an end or is foreign: more bytes cannot complete it.
            Ok(None) => Err(Refusal::MALFORMED),
            Err(refusal) => Err(refusal),
        };
        let refused = |refusal| RefusedHead {
            refusal,
            excerpt: access::excerpt(inbox.bytes()),
            origin: origin_of_refused(inbox.bytes()),
        };
        Some((request.map_err(refused), WorkerPool::Slow))
    }

    fn serve(
        &self,
        request: Result<Request, RefusedHead>,
        origin: &mut Option<String>,
        peer: Peer<'_>,
        stopping: bool,
    ) -> Action {
        let mut request = match request {
            Ok(request) => request,
            Err(refused) => {
                let Refusal { status, message } = refused.refusal;
                debug!("{}: {message}", peer.addr);
                let exchange = self.exchange_of_refused(peer.addr, &refused);
                return Action::Send(exchange.end(Response::text(status, message)));
            }
        };
        *origin = request.header("origin").map(str::to_owned);
        request.keep_alive &= !stopping;
        let mut exchange = self.exchange(&request);
        match self.enter(&request) {
            Ok(permit) => exchange.hold(permit),
            Err(response) => return Action::Send(exchange.end(response)),
        }
        match self.handler.handle(request) {
            Answer::Now(response) => Action::Send(exchange.end(response)),
            Answer::Later(pending) => Action::Wait(Box::new(PendingAnswer { exchange, pending })),
        }
    }

    fn busy(
        &self,
        peer: SocketAddr,
        request: Option<&Result<Request, RefusedHead>>,
        full: Full,
    ) -> Outgoing {
        let exchange = match request {
            Some(Ok(request)) => Exchange {
                keep_alive: false,
                ..self.exchange(request)
            },
            Some(Err(refused)) => self.exchange_of_refused(peer, refused),
            None => self.exchange_of_unread(peer, "-", None),
        };
        exchange.end(too_busy(full))
    }

    /// The request is counted and logged already, while the panic unwound.
    fn panicked(&self, origin: &Option<String>) -> Outgoing {
        let exchange = Exchange::last(None, self.handler.common_fields(origin.as_deref()));
        exchange.end(Response::text(status::INTERNAL_ERROR, "internal error"))
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.has(peer)
    }

    fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }
}

/// The state of a request until its response.
struct Exchange {
    minor_version: u8,
    keep_alive: bool,
    wants_body: bool,
    /// See [`Handler::common_fields`].
    fields: Vec<Field>,
    /// Absent if the request is reported already.
    record: Option<Record>,
}

impl Exchange {
    /// The last exchange of a connection: the start of the next request is unknown.
    fn last(record: Option<Record>, fields: Vec<Field>) -> Exchange {
        Exchange {
            minor_version: 1,
            keep_alive: false,
            wants_body: true,
            fields,
            record,
        }
    }

    /// Keeps the permit until the response is sent.
    fn hold(&mut self, permit: Option<RequestPermit>) {
        if let (Some(record), Some(permit)) = (&mut self.record, permit) {
            record.hold(permit);
        }
    }

    fn end(self, mut response: Response) -> Outgoing {
        response.headers.extend(self.fields);
        let head = response.head(self.minor_version, self.keep_alive);
        let (outcome, content_start) = (Outcome::Status(response.status), head.len() as u64);
        let mut parts = vec![Part::Bytes(head)];
        if self.wants_body {
            parts.extend(response.body);
        }
        let then = if self.keep_alive {
            Then::Keep
        } else {
            Then::Close
        };
        let record = self.record;
        let record = record.map(|record| record.decide(outcome, content_start));
        Outgoing::new(parts, then, record)
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

    fn resume(self: Box<Self>, wake: Wake) -> Answer<Outgoing> {
        let PendingAnswer {
            mut exchange,
            pending,
        } = *self;
        match pending.resume(wake) {
            Answer::Now(response) => {
                exchange.keep_alive &= !wake.stopping;
                Answer::Now(exchange.end(response))
            }
            Answer::Later(pending) => Answer::Later(Box::new(PendingAnswer { exchange, pending })),
        }
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

/// The Origin field of a head that is not valid or too large: a page may then read the refusal.
fn origin_of_refused(head: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"origin:";
    let lines = head[..head.len().min(HEAD_MAX)].split(|byte| *byte == b'\n');
    let mut values = lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    });
    let value = std::str::from_utf8(values.next()?).ok()?;
    Some(value.trim().to_owned())
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
