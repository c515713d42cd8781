//! A request for a file on its way: the question to a storage, and what comes of its answer.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use client::{Download, Error, Opening};
use daemon::http::{Answer, Method, Request, Response};
use daemon::net::{Pending, Resumed, Wake};
use proto::storage::Span;

use crate::body::FIRST_PIECE;
use crate::conditional;
use crate::entity::Entity;
use crate::range;
use crate::service::Service;
use crate::target::Target;

/// A request for a file.
pub(crate) struct Query {
    service: Arc<Service>,
    request: Request,
    target: Target,
}

impl Query {
    pub(crate) fn new(service: Arc<Service>, request: Request, target: Target) -> Query {
        Query {
            service,
            request,
            target,
        }
    }

    /// Asks a storage. If the question is one for the content, nobody waits for the answer here.
    pub(crate) fn begin(self) -> Answer {
        match self.ask() {
            Ok(Some(opening)) => Answer::Later(Box::new(Asked {
                query: self,
                opening,
            })),
            Ok(None) => Answer::Now(self.end(self.stat())),
            Err(e) => Answer::Now(self.end(Err(e))),
        }
    }

    /// Asks for what is known of a file and for the first of its content, if that is likely to be
    /// sent: one question to a storage costs half of two.
    fn ask(&self) -> Result<Option<Opening>, Error> {
        let Query {
            service,
            request,
            target,
        } = self;
        let likely = request.method == Method::Get && !conditional::is_conditional(request);
        let span = match request.header("range") {
            _ if !likely => None,
            None => Some(Span::WHOLE),
            Some(field) => range::span(field),
        };
        let client = &service.globals.look().client;
        span.map(|span| client.begin_open(&target.key, at_first(span)))
            .transpose()
    }

    fn stat(&self) -> Result<Looked, Error> {
        let client = &self.service.globals.look().client;
        Ok((client.stat(&self.target.key)?.into(), None))
    }

    fn end(&self, looked: Result<Looked, Error>) -> Response {
        let Query {
            service,
            request,
            target,
        } = self;
        looked
            .and_then(|looked| service.answer(request, target, looked))
            .unwrap_or_else(|e| service.failure(target, &e))
    }
}

/// What is known of a file, and the first of its content if it was asked for.
pub(crate) type Looked = (Entity, Option<Download>);

/// A query whose answer is on its way.
struct Asked {
    query: Query,
    opening: Opening,
}

impl Pending<Response> for Asked {
    fn socket(&self) -> Option<&TcpStream> {
        self.opening.stream()
    }

    fn patience(&self) -> Duration {
        self.opening.io_timeout()
    }

    fn resume(mut self: Box<Self>, wake: Wake) -> Resumed<Response> {
        if wake.silent {
            self.opening.abandon_stream();
            if self.opening.stream().is_some() {
                return Resumed::Again(self);
            }
        }
        Resumed::Done(self.query.end(opened(self.opening)))
    }
}

fn opened(opening: Opening) -> Result<Looked, Error> {
    let (stat, download) = opening.finish()?;
    Ok((stat.into(), Some(download)))
}

/// As much of a span as is asked for at once.
fn at_first(span: Span) -> Span {
    let size = match span.size {
        0 => FIRST_PIECE,
        size => size.min(FIRST_PIECE),
    };
    Span { size, ..span }
}
