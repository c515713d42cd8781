//! The response to a request: for an opened file, or for a failure.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use base::LogThrottle;
use client::{ByteRange, Download, Error, ErrorKind, RangeSpec};
use log::{debug, error, warn};
use net::http::{Method, Request, Response, status};
use proto::GroupName;
use proto::storage::Attributes;

use crate::body::{Content, Multipart, content_range};
use crate::cache_control::TimeLeft;
use crate::entity::{self, Entity};
use crate::file_name;
use crate::globals::{CurrentGlobals, Globals};
use crate::limiter::{Limiter, OverLimit, Servers};
use crate::media_type::Display;
use crate::precondition::{self, Precondition};
use crate::protection::{Expiry, seconds_until};
use crate::range::{self, Ranges};
use crate::target::Target;

/// Forbids scripts, forms and requests to a document that a browser shows nevertheless.
const SANDBOX: &str = "sandbox; default-src 'none'";

/// Limit on requests that wait for storages: 16 per worker. It bounds the load on a slow group.
const REQUESTS_PER_WORKER: usize = 16;
/// A group is slow if its oldest request waits for longer.
const SLOW: Duration = Duration::from_millis(250);
/// How long a worker waits for another one to finish with the servers of the same group.
const WORKER_WAIT_MAX: Duration = Duration::from_millis(50);

/// The state that all requests share.
pub(crate) struct Service {
    pub(crate) globals: CurrentGlobals,
    /// Generates boundaries that the content of a file cannot predict.
    boundaries: RandomState,
    pub(crate) limits: Limits,
    /// Limits the log: while storages are down every request fails.
    log: LogThrottle<u16>,
}

/// Limits on the resources that wait for one group.
pub(crate) struct Limits {
    /// Workers that wait for a server.
    pub(crate) workers: Arc<Limiter>,
    /// Requests that wait for a storage, without a worker.
    pub(crate) requests: Arc<Limiter>,
}

/// A file that a storage opened.
pub(crate) struct OpenedFile {
    pub(crate) group: GroupName,
    pub(crate) entity: Entity,
    pub(crate) attributes: Attributes,
    /// The content of the response, or the first bytes of the file.
    pub(crate) opened: Download,
}

impl Service {
    /// `workers` is the number of threads that serve requests.
    pub(crate) fn new(globals: CurrentGlobals, workers: u32) -> Service {
        let workers = workers as usize;
        let requests = workers * REQUESTS_PER_WORKER;
        let limits = Limits {
            workers: Limiter::new(workers, OverLimit::Wait(WORKER_WAIT_MAX)),
            requests: Limiter::new(requests, OverLimit::AdmitBelow(SLOW)),
        };
        Service {
            globals,
            limits,
            boundaries: RandomState::new(),
            log: LogThrottle::default(),
        }
    }

    /// The range that the response will contain, if it contains one range.
    pub(crate) fn content(&self, request: &Request, entity: &Entity) -> Option<RangeSpec> {
        let is_sent = request.method == Method::Get && entity.stat.size > 0;
        if !is_sent || precondition::evaluate(request, entity) != Precondition::Met {
            return None;
        }
        match ranges(request, entity) {
            Ranges::Whole => Some(RangeSpec::WHOLE),
            Ranges::Some(ranges) => match ranges[..] {
                [range] => Some(range.into()),
                _ => None,
            },
            Ranges::Unsatisfiable => None,
        }
    }

    /// The response to a request for an opened file.
    ///
    /// # Errors
    /// No storage sends the content that is missing.
    pub(crate) fn answer(
        &self,
        request: &Request,
        target: &Target,
        found: OpenedFile,
    ) -> Result<Response, Error> {
        let OpenedFile {
            group,
            entity,
            attributes,
            mut opened,
        } = found;
        let globals = self.globals.get();
        let Some(media_type) = entity::media_type(&globals, target, &entity, &mut opened)? else {
            return Ok(Response::text(status::NOT_FOUND, "not found"));
        };
        let file = File {
            globals: &globals,
            limiter: &self.limits.workers,
            target,
            group,
            entity: &entity,
            attributes,
            media_type,
        };
        // Preconditions apply only to a request that succeeds without them (RFC 9110, 13.2.1).
        match precondition::evaluate(request, &entity) {
            Precondition::Met => {}
            Precondition::NotModified => return Ok(file.not_modified()),
            Precondition::Failed => {
                let text = "precondition failed";
                return Ok(Response::text(status::PRECONDITION_FAILED, text));
            }
        }
        match ranges(request, &entity) {
            Ranges::Unsatisfiable => Ok(unsatisfiable(&entity)),
            Ranges::Some(ranges) => match ranges[..] {
                [range] => {
                    let response = file
                        .describe(status::PARTIAL_CONTENT, media_type)
                        .with("Content-Range", content_range(range, entity.stat.size));
                    file.with_content(response, range, opened)
                }
                _ => Ok(self.several(&file, &ranges)),
            },
            Ranges::Whole => {
                let mut response = file.describe(status::OK, media_type);
                let (offset, len) = (0, entity.stat.size);
                if request.method == Method::Head {
                    response.length = len;
                    return Ok(response);
                }
                file.with_content(response, ByteRange { offset, len }, opened)
            }
        }
    }

    fn several(&self, file: &File<'_>, ranges: &[ByteRange]) -> Response {
        let key = &file.target.key;
        let boundary = format!("{:016x}", self.boundaries.hash_one((key, ranges)));
        let form = Multipart {
            boundary: &boundary,
            content_type: file.media_type,
            size: file.entity.stat.size,
        };
        let (parts, length) = file.content().multipart(ranges, &form);
        let content_type = format!("multipart/byteranges; boundary={boundary}");
        let mut response = file.describe(status::PARTIAL_CONTENT, content_type);
        response.length = length;
        response.body = parts;
        response
    }

    /// The response to a request that a limit delayed for too long.
    pub(crate) fn busy(&self, target: &Target) -> Response {
        if let Some(more) = self.log.due(0) {
            let key = &target.key;
            warn!("{key}: busy, too many requests wait for the storages of its group{more}");
        }
        Response::text(status::UNAVAILABLE, "busy").with("Retry-After", "2")
    }

    /// The response to a failed request. An unknown application, user and file all are 'not found'.
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
        if let Some(more) = self.log.due(status) {
            error!("{key}: {status}: {}{more}", error.chain());
        }
        let response = Response::text(status, text);
        match status {
            status::UNAVAILABLE => response.with("Retry-After", "2"),
            _ => response,
        }
    }
}

/// The requested ranges. The field is ignored for other methods than GET (RFC 9110, 14.2).
fn ranges(request: &Request, entity: &Entity) -> Ranges {
    let field = request
        .header("range")
        .filter(|_| request.method == Method::Get)
        .filter(|_| precondition::range_applies(request, entity));
    field.map_or(Ranges::Whole, |field| range::parse(field, entity.stat.size))
}

/// The file of a response.
struct File<'a> {
    globals: &'a Globals,
    limiter: &'a Arc<Limiter>,
    target: &'a Target,
    group: GroupName,
    entity: &'a Entity,
    attributes: Attributes,
    media_type: &'static str,
}

impl File<'_> {
    fn content(&self) -> Content<'_> {
        Content {
            globals: self.globals,
            key: &self.target.key,
            entity: self.entity,
            servers: Servers::Storages(self.group.clone()),
            limiter: self.limiter,
        }
    }

    /// The response with a range of the file as its body.
    fn with_content(
        &self,
        mut response: Response,
        range: ByteRange,
        opened: Download,
    ) -> Result<Response, Error> {
        response.length = range.len;
        if range.len > 0 {
            response.body = vec![self.content().range(range, opened)?];
        }
        Ok(response)
    }

    /// The head of a response with content.
    fn describe(&self, status: u16, content_type: impl Into<Cow<'static, str>>) -> Response {
        let response = validated(status, self.entity).with("Content-Type", content_type);
        self.restrict(self.cached(response))
    }

    /// A cache copies the fields of a 304 into its stored response (RFC 9111, 3.2). The restrictions
    /// are among them, because the stored response may be older than they are.
    fn not_modified(&self) -> Response {
        let response = Response {
            length: self.entity.stat.size,
            ..validated(status::NOT_MODIFIED, self.entity)
        };
        self.restrict(self.cached(response))
    }

    fn cached(&self, response: Response) -> Response {
        let Target { key, expiry, .. } = self.target;
        let left = TimeLeft {
            signature: expiry.map(Expiry::seconds_left),
            file: self.attributes.expires.map(seconds_until),
        };
        match self.globals.cache_control.value(&key.file, left) {
            Some(value) => response.with("Cache-Control", value),
            None => response,
        }
    }

    /// Adds the fields that restrict a browser. The file may come from anybody, so a browser must not
    /// run it with the rights of this site, whatever its type.
    fn restrict(&self, response: Response) -> Response {
        // A browser must not guess another type.
        let mut response = response.with("X-Content-Type-Options", "nosniff");
        let original = self.attributes.name.as_ref();
        let original = original.and_then(|name| file_name::clean(name.as_str()));
        let name = self.target.name.as_deref().or(original.as_deref());
        let (kind, csp) = match Display::of(self.media_type) {
            Display::Inline => ("inline", None),
            Display::Sandboxed => ("inline", Some(SANDBOX)),
            Display::Attachment => ("attachment", Some(SANDBOX)),
        };
        let kind = match self.target.is_attachment {
            true => "attachment",
            false => kind,
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
        response = response.with("ETag", tag.clone());
    }
    if let Some(modified) = entity.modified {
        response = response.with("Last-Modified", httpdate::fmt_http_date(modified));
    }
    response
}

fn unsatisfiable(entity: &Entity) -> Response {
    Response::text(status::RANGE_NOT_SATISFIABLE, "range not satisfiable")
        .with("Accept-Ranges", "bytes")
        .with("Content-Range", format!("bytes */{}", entity.stat.size))
}
