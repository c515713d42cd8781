//! Responses.

use std::borrow::Cow;
use std::io::Write;
use std::time::SystemTime;

use log::error;
use tiny_http::StatusCode;

use crate::access_log::{LastSecond, with_second};
use crate::transport::Part;

/// Status codes that this server sends (RFC 9110, 15).
#[allow(missing_docs)]
pub mod status {
    pub const OK: u16 = 200;
    pub const PARTIAL_CONTENT: u16 = 206;
    pub const NOT_MODIFIED: u16 = 304;
    pub const BAD_REQUEST: u16 = 400;
    pub const FORBIDDEN: u16 = 403;
    pub const NOT_FOUND: u16 = 404;
    pub const METHOD_NOT_ALLOWED: u16 = 405;
    pub const PRECONDITION_FAILED: u16 = 412;
    pub const URI_TOO_LONG: u16 = 414;
    pub const RANGE_NOT_SATISFIABLE: u16 = 416;
    pub const TOO_MANY_REQUESTS: u16 = 429;
    pub const HEAD_TOO_LARGE: u16 = 431;
    pub const INTERNAL_ERROR: u16 = 500;
    pub const BAD_GATEWAY: u16 = 502;
    pub const UNAVAILABLE: u16 = 503;
    pub const VERSION: u16 = 505;

    /// All status codes.
    pub const ALL: [u16; 16] = [
        OK,
        PARTIAL_CONTENT,
        NOT_MODIFIED,
        BAD_REQUEST,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        PRECONDITION_FAILED,
        URI_TOO_LONG,
        RANGE_NOT_SATISFIABLE,
        TOO_MANY_REQUESTS,
        HEAD_TOO_LARGE,
        INTERNAL_ERROR,
        BAD_GATEWAY,
        UNAVAILABLE,
        VERSION,
    ];
}

/// The Server field of every response.
const SERVER: &str = concat!("tnv/", env!("CARGO_PKG_VERSION"));

/// The name and the value of a header field.
pub type Field = (&'static str, Cow<'static, str>);

/// Capacity for the header fields of a usual response.
const HEADERS_USUAL: usize = 8;
/// Capacity for its head, in bytes.
const HEAD_USUAL: usize = 512;

thread_local! {
    static LAST_SECOND: LastSecond = const { LastSecond::new() };
}

/// A response: head and body. The body may be absent (HEAD, 304) even if its length is given.
pub struct Response {
    /// See [`status`].
    pub status: u16,
    /// Header fields besides Server, Date, Connection and Content-Length, which are added.
    pub headers: Vec<Field>,
    /// Length of the body in bytes, whether it is sent or not.
    pub length: u64,
    /// The body, or nothing.
    pub body: Vec<Part>,
}

impl Response {
    /// A response without a body.
    pub fn empty(status: u16) -> Response {
        Response {
            status,
            headers: Vec::with_capacity(HEADERS_USUAL),
            length: 0,
            body: Vec::new(),
        }
    }

    /// A line of plain text. No cache keeps that of an error: the next request may succeed.
    pub fn text(status: u16, text: &str) -> Response {
        let body = format!("{text}\n").into_bytes();
        let response = Response {
            length: body.len() as u64,
            body: vec![Part::Bytes(body)],
            ..Response::empty(status)
        };
        let response = response
            .with("Content-Type", "text/plain; charset=utf-8")
            .with("X-Content-Type-Options", "nosniff");
        match status {
            ..status::BAD_REQUEST => response,
            status::BAD_REQUEST.. => response.with("Cache-Control", "no-store"),
        }
    }

    /// Adds a header field.
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// The bytes of the head. The length is sent even if the body is not (RFC 9110, 8.6).
    pub(crate) fn head(&self, minor_version: u8, keep_alive: bool) -> Vec<u8> {
        let status = StatusCode(self.status);
        let (reason, length) = (status.default_reason_phrase(), self.length);
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let mut head = Vec::with_capacity(HEAD_USUAL);
        let written = with_second(
            &LAST_SECOND,
            SystemTime::now(),
            httpdate::fmt_http_date,
            |date| {
                write!(
                    head,
                    "HTTP/1.{minor_version} {} {reason}\r\nServer: {SERVER}\r\nDate: {date}\r\n",
                    self.status
                )
            },
        );
        written.expect("a Vec takes every write");
        let fields = self.headers.iter();
        for (name, value) in fields.filter(|(name, value)| is_fit(name, value)) {
            for piece in [name, ": ", value, "\r\n"] {
                head.extend_from_slice(piece.as_bytes());
            }
        }
        write!(
            head,
            "Content-Length: {length}\r\nConnection: {connection}\r\n\r\n"
        )
        .expect("a Vec takes every write");
        head
    }
}

/// True unless the value could end the line, which would be a header injection.
fn is_fit(name: &str, value: &str) -> bool {
    let is_fit = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !is_fit {
        error!("header {name} left out, its value is not fit to send: {value:?}");
    }
    is_fit
}
