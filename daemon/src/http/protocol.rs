//! Requests in, answers out.

use std::net::SocketAddr;
use std::time::Duration;

use log::debug;
use tiny_http::Method;

use super::access::Access;
use super::request::{HEAD_MAX, Parsed, Refusal, Request, parse};
use super::response::{Response, status};
use crate::net::{Action, Inbox, Lane, Outgoing, Part, Protocol, Readiness, Then};

/// What a daemon does with its requests. Called on worker threads, many at a time.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn handle(&self, request: &Request) -> Response;
}

/// HTTP, spoken for a handler.
pub struct Http<H> {
    handler: H,
}

impl<H: Handler> Http<H> {
    /// Speaks for `handler`.
    pub fn new(handler: H) -> Http<H> {
        Http { handler }
    }
}

impl<H: Handler> Protocol for Http<H> {
    type Session = ();

    const REQUEST_MAX: usize = HEAD_MAX;

    /// A request that crosses the closing of its connection is lost, and many clients do not try
    /// again. Those that ask often learn in time to go elsewhere (`Connection: close`).
    const LAST_REQUEST: Duration = Duration::from_secs(2);

    fn readiness(&self, bytes: &[u8]) -> Readiness {
        // A head that comes in many small pieces is parsed when its end may have come.
        if bytes.len() < HEAD_MAX && !has_empty_line(bytes) {
            return Readiness::More;
        }
        // Who asks does not matter to whether it is whole.
        match parse(bytes, ([0, 0, 0, 0], 0).into()) {
            Ok(Parsed::Partial) => Readiness::More,
            Ok(Parsed::Head(..)) | Err(_) => Readiness::Serve(Lane::Slow),
        }
    }

    fn serve(
        &self,
        inbox: &mut Inbox,
        _session: &mut (),
        peer: SocketAddr,
        stopping: bool,
    ) -> Action {
        match parse(inbox.bytes(), peer) {
            Ok(Parsed::Head(mut request, len)) => {
                inbox.consume(len);
                request.keep_alive &= !stopping;
                let access = Access::of(&request);
                let response = self.handler.handle(&request);
                Action::Send(outgoing(&request, response, access))
            }
            Ok(Parsed::Partial) => unreachable!("readiness saw a whole head"),
            Err(refusal) => {
                debug!("{peer}: {}", refusal.message);
                Action::Send(refuse(&refusal, Access::of_refused(peer)))
            }
        }
    }

    fn busy(&self) -> Outgoing {
        let response = Response::text(status::UNAVAILABLE, "busy").with("Retry-After", "1");
        alone(response)
    }

    fn panicked(&self) -> Outgoing {
        alone(Response::text(status::INTERNAL_ERROR, "internal error"))
    }
}

fn outgoing(request: &Request, response: Response, access: Access) -> Outgoing {
    let head = response.head(request.minor_version, request.keep_alive);
    let report = access.report(response.status, head.len() as u64);
    let mut parts = vec![Part::Bytes(head)];
    if request.method != Method::Head {
        parts.extend(response.body);
    }
    let then = if request.keep_alive {
        Then::Keep
    } else {
        Then::Close
    };
    Outgoing {
        parts,
        then,
        report,
    }
}

/// After a head that was not understood nothing that follows can be either.
fn refuse(refusal: &Refusal, access: Access) -> Outgoing {
    let mut outgoing = alone(Response::text(refusal.status, refusal.message));
    outgoing.report = access.report(refusal.status, 0);
    outgoing
}

fn alone(response: Response) -> Outgoing {
    let mut parts = vec![Part::Bytes(response.head(1, false))];
    parts.extend(response.body);
    Outgoing {
        parts,
        then: Then::Close,
        report: None,
    }
}

/// Whether a line is empty, however lines end: a head may be whole.
fn has_empty_line(bytes: &[u8]) -> bool {
    let mut line_ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    line_ends.any(|(at, _)| {
        let rest = &bytes[at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}
