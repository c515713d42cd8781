//! What an httpd does with each request.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use client::{Download, Error, ErrorKind};
use daemon::http::{Answer, Handler, Method, Request, Response, status};
use daemon::logging::Seldom;
use log::{debug, error};

use crate::body::{Frame, Origin, content_range};
use crate::conditional::{self, Verdict};
use crate::entity::{self, Entity};
use crate::globals::{Current, Globals};
use crate::query::{Looked, Query};
use crate::range::{self, Ranges, Stretch};
use crate::target::{self, Target};

pub(crate) struct HttpService(Arc<Service>);

/// What all requests share.
pub(crate) struct Service {
    pub(crate) globals: Current,
    /// Makes boundaries that no file can foresee, the same for HEAD and GET.
    boundaries: RandomState,
    /// Failures in the log, in bounds: while storages are away every request fails.
    faults: Seldom<u16>,
}

impl Handler for HttpService {
    fn handle(&self, request: Request) -> Answer {
        if !matches!(request.method, Method::Get | Method::Head) {
            let refusal = Response::text(status::METHOD_NOT_ALLOWED, "method not allowed");
            return Answer::Now(refusal.with("Allow", "GET, HEAD"));
        }
        let HttpService(service) = self;
        let globals = service.globals.look();
        let Globals { app, user, .. } = &*globals;
        let Some(target) = target::parse(request.path(), app, user.as_ref()) else {
            return Answer::Now(Response::text(status::NOT_FOUND, "not found"));
        };
        Query::new(Arc::clone(service), request, target).begin()
    }
}

impl HttpService {
    pub(crate) fn new(globals: Current) -> HttpService {
        HttpService(Arc::new(Service {
            globals,
            boundaries: RandomState::new(),
            faults: Seldom::default(),
        }))
    }
}

impl Service {
    /// The answer to a request for a file of which so much is known.
    ///
    /// # Errors
    /// No storage sends what is missing.
    pub(crate) fn answer(
        &self,
        request: &Request,
        target: &Target,
        (entity, opened): Looked,
    ) -> Result<Response, Error> {
        match conditional::judge(request, &entity) {
            Verdict::Proceed => {}
            Verdict::NotModified => return Ok(not_modified(&entity)),
            Verdict::Failed => {
                return Ok(Response::text(
                    status::PRECONDITION_FAILED,
                    "precondition failed",
                ));
            }
        }
        let field = request
            .header("range")
            .filter(|_| conditional::range_counts(request, &entity));
        let ranges = field.map_or(Ranges::Whole, |field| range::parse(field, entity.size));
        let send = request.method == Method::Get;
        match ranges {
            Ranges::Unsatisfiable => Ok(unsatisfiable(&entity)),
            Ranges::Whole => {
                let whole = Stretch {
                    offset: 0,
                    len: entity.size,
                };
                let response = self.describe(status::OK, target, &entity)?;
                self.with_content(response, target, &entity, whole, send.then_some(opened))
            }
            Ranges::Some(stretches) => match stretches[..] {
                [stretch] => {
                    let response = self
                        .describe(status::PARTIAL_CONTENT, target, &entity)?
                        .with("Content-Range", content_range(stretch, entity.size));
                    self.with_content(response, target, &entity, stretch, send.then_some(opened))
                }
                _ => self.several(target, &entity, &stretches, send),
            },
        }
    }

    /// The response with a stretch of the file as its body, which is sent if `send` holds what was
    /// opened of it.
    fn with_content(
        &self,
        mut response: Response,
        target: &Target,
        entity: &Entity,
        stretch: Stretch,
        send: Option<Option<Download>>,
    ) -> Result<Response, Error> {
        response.length = stretch.len;
        if let Some(opened) = send
            && stretch.len > 0
        {
            let globals = self.globals.look();
            let origin = Origin {
                client: &globals.client,
                key: &target.key,
                entity,
            };
            response.body = origin.stretch(stretch, opened)?;
        }
        Ok(response)
    }

    fn several(
        &self,
        target: &Target,
        entity: &Entity,
        stretches: &[Stretch],
        send: bool,
    ) -> Result<Response, Error> {
        let globals = self.globals.look();
        let client = &globals.client;
        let content_type = entity::content_type(client, &globals.types, target, entity)?;
        let boundary = format!(
            "{:016x}",
            self.boundaries.hash_one((&target.key, stretches))
        );
        let frame = Frame {
            boundary: &boundary,
            content_type: &content_type,
            size: entity.size,
        };
        let origin = Origin {
            client,
            key: &target.key,
            entity,
        };
        let (parts, length) = origin.multipart(stretches, &frame);
        let content_type = format!("multipart/byteranges; boundary={boundary}");
        let mut response = described(status::PARTIAL_CONTENT, target, entity, content_type);
        response.length = length;
        if send {
            response.body = parts;
        }
        Ok(response)
    }

    fn describe(&self, status: u16, target: &Target, entity: &Entity) -> Result<Response, Error> {
        let globals = self.globals.look();
        let Globals { client, types, .. } = &*globals;
        let content_type = entity::content_type(client, types, target, entity)?;
        Ok(described(status, target, entity, content_type))
    }

    /// An application, user or file that is not served is not found, whichever of them it is.
    pub(crate) fn failure(&self, target: &Target, error: &Error) -> Response {
        let key = &target.key;
        let (status, text) = match error.kind() {
            ErrorKind::NotFound | ErrorKind::BadRequest | ErrorKind::Forbidden => {
                debug!("{key}: {}", error.chain());
                return Response::text(status::NOT_FOUND, "not found");
            }
            kind if kind.is_transient() => (status::UNAVAILABLE, "temporarily unavailable"),
            _ => (status::BAD_GATEWAY, "stored file cannot be read"),
        };
        if let Some(more) = self.faults.due(status) {
            error!("{key}: {status}: {}{more}", error.chain());
        }
        let response = Response::text(status, text);
        match status {
            status::UNAVAILABLE => response.with("Retry-After", "2"),
            _ => response,
        }
    }
}

/// The fields of an answer that carries content.
fn described(status: u16, target: &Target, entity: &Entity, content_type: String) -> Response {
    let mut response = validated(status, entity)
        .with("Content-Type", content_type)
        // The type above is all there is to know: no browser is to guess another.
        .with("X-Content-Type-Options", "nosniff");
    if let Some(name) = &target.name {
        response = response.with("Content-Disposition", entity::disposition(name));
    }
    response
}

fn validated(status: u16, entity: &Entity) -> Response {
    let mut response = Response::empty(status).with("Accept-Ranges", "bytes");
    if let Some(tag) = &entity.tag {
        response = response.with("ETag", tag);
    }
    if let Some(modified) = entity.modified {
        response = response.with("Last-Modified", httpdate::fmt_http_date(modified));
    }
    response
}

fn not_modified(entity: &Entity) -> Response {
    Response {
        length: entity.size,
        ..validated(status::NOT_MODIFIED, entity)
    }
}

fn unsatisfiable(entity: &Entity) -> Response {
    Response::text(status::RANGE_NOT_SATISFIABLE, "range not satisfiable")
        .with("Accept-Ranges", "bytes")
        .with("Content-Range", format!("bytes */{}", entity.size))
}
