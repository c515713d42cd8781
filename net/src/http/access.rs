//! The access log of HTTP: the combined format, the seconds the request took, and `local` if content was read
//! from a file of this machine.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use chrono::{DateTime, Local};
use log::{Level, info, log_enabled};

use super::request::Request;
use super::response::status;
use crate::access_log::{ACCESS_TARGET, LastSecond, with_second};
use crate::transport::{AccessLine, Outcome, RequestEnd, Sent};

thread_local! {
    static LAST_SECOND: LastSecond = const { LastSecond::new() };
}

/// Longest field of a line that a client can choose, in bytes.
const FIELD_MAX: usize = 2 << 10;
/// Longest excerpt of an invalid head in its line, in bytes.
const EXCERPT_MAX: usize = 512;
/// The status of a request whose client left before the response, as in nginx.
const CLIENT_LEFT: u16 = 499;

/// One request's line.
struct Line {
    client: IpAddr,
    request: String,
    referer: String,
    agent: String,
    time: SystemTime,
}

/// The line of a request; absent if no access log is written.
pub(super) fn line(request: &Request) -> Option<Box<dyn AccessLine>> {
    let quoted = |name: &str| field(request.header(name).unwrap_or("-").as_bytes());
    let Request {
        method,
        target,
        minor_version,
        ..
    } = request;
    of(request.client, || {
        let text = format!("{method} {target} HTTP/1.{minor_version}");
        let request = field(text.as_bytes());
        (request, quoted("referer"), quoted("user-agent"))
    })
}

/// The line of a request that was not read or is not valid: shows an [`excerpt`].
pub(super) fn line_of_unread(peer: SocketAddr, excerpt: &str) -> Option<Box<dyn AccessLine>> {
    let unknown = || "-".to_owned();
    of(peer.ip().to_canonical(), || {
        (excerpt.to_owned(), unknown(), unknown())
    })
}

fn of(
    client: IpAddr,
    texts: impl FnOnce() -> (String, String, String),
) -> Option<Box<dyn AccessLine>> {
    let wanted = log_enabled!(target: ACCESS_TARGET, Level::Info);
    wanted.then(|| -> Box<dyn AccessLine> {
        let (request, referer, agent) = texts();
        Box::new(Line {
            client,
            request,
            referer,
            agent,
            time: SystemTime::now(),
        })
    })
}

impl AccessLine for Line {
    fn request(&self) -> &str {
        &self.request
    }

    fn write(&self, end: &RequestEnd, _reply: Option<Sent>) {
        let Line {
            client,
            request,
            referer,
            agent,
            ..
        } = self;
        let status = match end.outcome {
            Outcome::Panicked => status::INTERNAL_ERROR,
            Outcome::Status(status) if end.sent.is_some() => status,
            _ => CLIENT_LEFT,
        };
        let body = end.sent.map_or(0, |sent| sent.bytes);
        let is_local = end.sent.is_some_and(|sent| sent.local > 0);
        let source = if is_local { "local" } else { "-" };
        let millis = (end.took.as_micros() + 500) / 1000;
        let (secs, millis) = (millis / 1000, millis % 1000);
        with_second(&LAST_SECOND, self.time, clock_text, |time| {
            info!(
                target: ACCESS_TARGET,
                "{client} - - [{time}] \"{request}\" {status} {body} \"{referer}\" \"{agent}\" {secs}.{millis:03} {source}"
            );
        });
    }
}

fn clock_text(time: SystemTime) -> String {
    let local = DateTime::<Local>::from(time);
    local.format("%d/%b/%Y:%H:%M:%S %z").to_string()
}

/// The start of the first line of a head, which may hold any bytes.
pub(super) fn excerpt(head: &[u8]) -> String {
    let head = head.trim_ascii_start();
    let end = head.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let line = &head[..end.unwrap_or(head.len()).min(EXCERPT_MAX)];
    if line.is_empty() {
        return "-".to_owned();
    }
    field(line)
}

/// A text for a quoted field, of at most [`FIELD_MAX`] bytes: a longer one ends in `...`.
fn field(text: &[u8]) -> String {
    const CUT: &str = "...";
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'"';
    if text.len() <= FIELD_MAX - CUT.len()
        && text.iter().all(is_plain)
        && let Ok(text) = std::str::from_utf8(text)
    {
        return text.to_owned();
    }
    let mut field = String::new();
    let chunks = text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid().chars().map(Ok);
        valid.chain(chunk.invalid().iter().copied().map(Err))
    });
    for piece in chunks {
        let len = field.len();
        // Writing to a String cannot fail.
        let _ = match piece {
            Ok('"') => field.write_str("%22"),
            Ok(c) if c.is_control() => write!(field, "{}", c.escape_default()),
            Ok(c) => field.write_char(c),
            Err(byte) => write!(field, "\\x{byte:02x}"),
        };
        if field.len() > FIELD_MAX - CUT.len() {
            field.truncate(len);
            field.push_str(CUT);
            break;
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_short_and_cannot_end_its_quotes_or_its_line() {
        assert_eq!(field(b"a \"b\"\xc3\xbc\xfc"), "a %22b%22\u{fc}\\xfc");
        assert_eq!(
            field("a\n\u{85}\u{1b}[0m".as_bytes()),
            "a\\n\\u{85}\\u{1b}[0m"
        );
        for text in ["\"", "\u{1}", "a", "影", "\u{85}"] {
            let field = field(text.repeat(16 << 10).as_bytes());
            assert!(
                field.len() <= FIELD_MAX && field.len() > FIELD_MAX - 16,
                "{text:?}"
            );
            assert!(field.ends_with("..."));
        }
        assert_eq!(field(&[0xff; 4096]).len(), FIELD_MAX - 1);
    }

    #[test]
    fn a_head_that_was_not_understood_is_told_by_its_beginning() {
        assert_eq!(excerpt(b"\r\nBREW /pot\r\nHost: a\r\n\r\n"), "BREW /pot");
        assert_eq!(
            excerpt(b"\x16\x03\x01\x02\xfe"),
            "\\u{16}\\u{3}\\u{1}\\u{2}\\xfe"
        );
        assert_eq!(excerpt(&[b'a'; 9999]).len(), EXCERPT_MAX);
        assert_eq!(excerpt(b""), "-");
    }
}
