//! What an httpd does with each request.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use base::LogThrottle;
use client::{Download, Error, ErrorKind};
use log::{debug, error, warn};
use net::Part;
use net::http::{Answer, Handler, Method, Request, Response, status};
use proto::GroupName;
use proto::storage::Span;

use crate::body::{Frame, Origin, content_range};
use crate::conditional::{self, Verdict};
use crate::entity::{self, Beginning, Entity};
use crate::file_name;
use crate::globals::{Current, Globals};
use crate::limited_source;
use crate::limiter::{Excess, Limiter, Servers};
use crate::media_type::Display;
use crate::query::Query;
use crate::range::{self, Ranges, Stretch};
use crate::target::{self, Target};

/// What a browser that shows a document all the same may do with it: nothing.
const SANDBOX: &str = "sandbox; default-src 'none'";

/// As many questions of one worker may be out: what a slow group has been asked must not grow
/// without bound.
const QUESTIONS_PER_WORKER: usize = 16;
/// A group is slow that has let a question wait for longer.
const SLOW: Duration = Duration::from_millis(250);
/// How long a worker waits for others to be done with the servers of a group.
const BRIEFLY: Duration = Duration::from_millis(50);

pub(crate) struct HttpService(Arc<Service>);

/// What all requests share.
pub(crate) struct Service {
    pub(crate) globals: Current,
    /// Makes boundaries that no file can foresee.
    boundaries: RandomState,
    pub(crate) limits: Limits,
    /// Failures in the log, in bounds: while storages are away every request fails.
    faults: LogThrottle<u16>,
}

/// What one group may take of an httpd.
pub(crate) struct Limits {
    /// Workers that wait for a server.
    pub(crate) workers: Arc<Limiter>,
    /// Questions that are out.
    pub(crate) questions: Arc<Limiter>,
}

/// What storages said of a file.
pub(crate) struct Found {
    pub(crate) group: GroupName,
    pub(crate) entity: Entity,
    /// Its first bytes, which tell its type, if they were asked for.
    pub(crate) first: Option<Download>,
    /// The first of the part that is to be sent, if it was asked for.
    pub(crate) content: Option<Download>,
}

impl Handler for HttpService {
    /// The connection to a storage.
    const DESCRIPTORS: usize = 1;

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
    /// `workers` is how many threads serve requests.
    pub(crate) fn new(globals: Current, workers: u32) -> HttpService {
        let workers = workers as usize;
        let questions = workers * QUESTIONS_PER_WORKER;
        let limits = Limits {
            workers: Limiter::new(workers, Excess::Waits(BRIEFLY)),
            questions: Limiter::new(questions, Excess::IsAdmittedBelow(SLOW)),
        };
        HttpService(Arc::new(Service {
            globals,
            limits,
            boundaries: RandomState::new(),
            faults: LogThrottle::default(),
        }))
    }
}

impl Service {
    /// The part of a file that the answer is going to hold, if it is one part with bytes in it.
    pub(crate) fn content(&self, request: &Request, entity: &Entity) -> Option<Span> {
        let sends = request.method == Method::Get && entity.size > 0;
        if !sends || conditional::judge(request, entity) != Verdict::Proceed {
            return None;
        }
        match ranges(request, entity) {
            Ranges::Whole => Some(Span::WHOLE),
            Ranges::Some(stretches) => match stretches[..] {
                [stretch] => Some(stretch.span()),
                _ => None,
            },
            Ranges::Unsatisfiable => None,
        }
    }

    /// The answer to a request for a file of which so much is known.
    ///
    /// # Errors
    /// No storage sends what is missing.
    pub(crate) fn answer(
        &self,
        request: &Request,
        target: &Target,
        found: Found,
    ) -> Result<Response, Error> {
        let Found {
            group,
            entity,
            first,
            content,
        } = found;
        let globals = self.globals.look();
        let Globals { client, types, .. } = &*globals;
        let beginning = Beginning {
            first,
            content: content.as_ref(),
        };
        let Some(media_type) = entity::media_type(client, types, target, &entity, beginning)?
        else {
            return Ok(Response::text(status::NOT_FOUND, "not found"));
        };
        let file = File {
            target,
            group,
            entity: &entity,
            media_type,
        };
        // Preconditions only count for what would succeed without them (RFC 9110, 13.2.1).
        match conditional::judge(request, &entity) {
            Verdict::Proceed => {}
            Verdict::NotModified => return Ok(file.not_modified()),
            Verdict::Failed => {
                return Ok(Response::text(
                    status::PRECONDITION_FAILED,
                    "precondition failed",
                ));
            }
        }
        let ranges = ranges(request, &entity);
        if ranges == Ranges::Unsatisfiable {
            return Ok(unsatisfiable(&entity));
        }
        match ranges {
            Ranges::Some(stretches) => match stretches[..] {
                [stretch] => {
                    let response = file
                        .describe(status::PARTIAL_CONTENT, media_type)
                        .with("Content-Range", content_range(stretch, entity.size));
                    self.with_content(response, &file, stretch, content)
                }
                _ => Ok(self.several(&file, &stretches)),
            },
            Ranges::Whole | Ranges::Unsatisfiable => {
                let whole = Stretch {
                    offset: 0,
                    len: entity.size,
                };
                let mut response = file.describe(status::OK, media_type);
                if request.method == Method::Head {
                    response.length = entity.size;
                    return Ok(response);
                }
                self.with_content(response, &file, whole, content)
            }
        }
    }

    /// The response with a stretch of the file as its body, the first of which may be `opened`.
    fn with_content(
        &self,
        mut response: Response,
        file: &File<'_>,
        stretch: Stretch,
        opened: Option<Download>,
    ) -> Result<Response, Error> {
        response.length = stretch.len;
        if stretch.len > 0 {
            let globals = self.globals.look();
            let parts = file.origin(&globals).stretch(stretch, opened)?;
            response.body = self.limit(parts, file);
        }
        Ok(response)
    }

    fn several(&self, file: &File<'_>, stretches: &[Stretch]) -> Response {
        let key = &file.target.key;
        let boundary = format!("{:016x}", self.boundaries.hash_one((key, stretches)));
        let frame = Frame {
            boundary: &boundary,
            content_type: file.media_type,
            size: file.entity.size,
        };
        let globals = self.globals.look();
        let (parts, length) = file.origin(&globals).multipart(stretches, &frame);
        let content_type = format!("multipart/byteranges; boundary={boundary}");
        let mut response = file.describe(status::PARTIAL_CONTENT, content_type);
        response.length = length;
        response.body = self.limit(parts, file);
        response
    }

    fn limit(&self, parts: Vec<Part>, file: &File<'_>) -> Vec<Part> {
        let servers = Servers::Storages(file.group.clone());
        limited_source::limit(parts, &self.limits.workers, &servers)
    }

    /// The answer when a limit held up a request for too long.
    pub(crate) fn busy(&self, target: &Target) -> Response {
        if let Some(more) = self.faults.due(0) {
            let key = &target.key;
            warn!("{key}: busy, too many requests wait for the storages of its group{more}");
        }
        Response::text(status::UNAVAILABLE, "busy").with("Retry-After", "2")
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

/// The ranges that a request asks for. Of other methods than GET the field is ignored (RFC 9110,
/// 14.2).
fn ranges(request: &Request, entity: &Entity) -> Ranges {
    let field = request
        .header("range")
        .filter(|_| request.method == Method::Get)
        .filter(|_| conditional::range_counts(request, entity));
    field.map_or(Ranges::Whole, |field| range::parse(field, entity.size))
}

/// A file that an answer is about.
struct File<'a> {
    target: &'a Target,
    group: GroupName,
    entity: &'a Entity,
    media_type: &'static str,
}

impl File<'_> {
    fn origin<'a>(&'a self, globals: &'a Globals) -> Origin<'a> {
        Origin {
            globals,
            key: &self.target.key,
            entity: self.entity,
        }
    }

    /// The head of an answer that carries content.
    fn describe(&self, status: u16, content_type: impl Into<String>) -> Response {
        let response = validated(status, self.entity).with("Content-Type", content_type);
        self.restrict(response)
    }

    /// A cache that holds an answer takes the fields of a 304 over into it (RFC 9111, 3.2): the
    /// restrictions are among them, because the answer may be older than they are.
    fn not_modified(&self) -> Response {
        let response = Response {
            length: self.entity.size,
            ..validated(status::NOT_MODIFIED, self.entity)
        };
        self.restrict(response)
    }

    /// The response with the fields that tell a browser what not to do. Anybody may have stored the
    /// file, so a browser must not run it in the name of this site, whatever type the answer has.
    fn restrict(&self, response: Response) -> Response {
        // The type is all there is to know: no browser is to guess another.
        let mut response = response.with("X-Content-Type-Options", "nosniff");
        let name = self.target.name.as_deref();
        let (kind, csp) = match Display::of(self.media_type) {
            Display::Inline => ("inline", None),
            Display::Sandboxed => ("inline", Some(SANDBOX)),
            Display::Attachment => ("attachment", Some(SANDBOX)),
        };
        if name.is_some() || kind == "attachment" {
            response = response.with("Content-Disposition", file_name::disposition(kind, name));
        }
        match csp {
            Some(csp) => response.with("Content-Security-Policy", csp),
            None => response,
        }
    }
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

fn unsatisfiable(entity: &Entity) -> Response {
    Response::text(status::RANGE_NOT_SATISFIABLE, "range not satisfiable")
        .with("Accept-Ranges", "bytes")
        .with("Content-Range", format!("bytes */{}", entity.size))
}
