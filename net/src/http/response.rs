//! Responses.

use std::io;

use log::error;
use tiny_http::{HTTPVersion, Header, StatusCode};

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
pub type Field = (&'static str, String);

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
            headers: Vec::new(),
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
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// The bytes of the head. tiny_http writes all of it but `Connection`, which it rejects.
    pub(crate) fn head(&self, minor_version: u8, keep_alive: bool) -> Vec<u8> {
        let headers = std::iter::once(("Server", SERVER))
            .chain(
                self.headers
                    .iter()
                    .map(|(name, value)| (*name, value.as_str())),
            )
            .filter_map(|(name, value)| header(name, value))
            .collect();
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let response = tiny_http::Response::new(
            StatusCode(self.status),
            headers,
            io::empty(),
            Some(length),
            None,
        )
        .with_chunked_threshold(usize::MAX);
        let mut head = Vec::with_capacity(512);
        response
            .raw_print(&mut head, HTTPVersion(1, minor_version), &[], true, None)
            .expect("a Vec takes every write");
        head.truncate(head.len() - 2);
        let connection = if keep_alive { "keep-alive" } else { "close" };
        head.extend_from_slice(format!("Connection: {connection}\r\n\r\n").as_bytes());
        head
    }
}

/// A header field; `None` if its value could end the line, which would be a header injection.
fn header(name: &str, value: &str) -> Option<Header> {
    let clean = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let header = clean
        .then(|| Header::from_bytes(name, value).ok())
        .flatten();
    if header.is_none() {
        error!("header {name} left out, its value is not fit to send: {value:?}");
    }
    header
}
