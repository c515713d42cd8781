//! Strict parser of request heads: refuses heads that two parsers could read differently (RFC 9112,
//! sections 2.2, 3.2 and 6).

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use compact_str::CompactString;
use tiny_http::Method;

use super::response::status;

/// Most bytes of a head.
pub(crate) const HEAD_MAX: usize = 16 << 10;
/// Most header fields of a head.
const HEADERS_MAX: usize = 100;

/// Header fields, their names in lower case. Most names and values are short and need no memory of their own.
type Fields = Vec<(CompactString, CompactString)>;

/// A request without a body.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The target as received, in origin form (`/path?query`).
    pub target: String,
    /// 0 or 1, of `HTTP/1.x`.
    pub minor_version: u8,
    /// The address of the peer.
    pub peer: SocketAddr,
    /// The address of the client, which is not the peer behind a trusted proxy.
    pub client: IpAddr,
    /// True if the connection stays open after this request.
    pub keep_alive: bool,
    /// True if a body may follow, which is not read.
    pub(crate) body_follows: bool,
    headers: Fields,
}

/// The response to a refused head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: &'static str,
}

impl Refusal {
    pub(crate) const MALFORMED: Refusal = refusal(status::BAD_REQUEST, "malformed request");
}

impl Request {
    /// The value of a header field by its name in lower case; the first of several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The path of the target, still percent-encoded, without the query.
    pub fn path(&self) -> &str {
        self.target.split(['?', '#']).next().unwrap_or_default()
    }

    /// The query of the target, still encoded.
    pub fn query(&self) -> Option<&str> {
        let target = self.target.split('#').next()?;
        target.split_once('?').map(|(_, query)| query)
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Parses a head at the front of `bytes`. Returns the request and the length of the head, `None` for an
/// incomplete head.
pub(crate) fn parse(bytes: &[u8], peer: SocketAddr) -> Result<Option<(Request, usize)>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    let len = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len <= HEAD_MAX => len,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => return Ok(None),
        Ok(_) => return Err(too_large(bytes)),
        Err(httparse::Error::Version) if let Some(known) = as_known_version(bytes) => {
            return parse(&known, peer);
        }
        Err(e) => return Err(malformed(e)),
    };
    if has_bare_line_ends(&bytes[..len]) {
        return Err(refusal(status::BAD_REQUEST, "line ends must be CR LF"));
    }
    let request = from_parsed(&parsed, peer)?;
    Ok(Some((request, len)))
}

/// Refuses a head above [`HEAD_MAX`]; the status depends on whether its first line is too long (RFC 9112,
/// 3).
fn too_large(head: &[u8]) -> Refusal {
    let head = head[..head.len().min(HEAD_MAX)].trim_ascii_start();
    let is_in_first_line = !head.contains(&b'\n');
    if is_in_first_line {
        refusal(status::URI_TOO_LONG, "request target too long")
    } else {
        refusal(status::HEAD_TOO_LARGE, "request head too large")
    }
}

/// The head as HTTP/1.1, if it has a later minor version: a server treats it as the highest version that
/// it knows (RFC 9110, 2.5).
fn as_known_version(head: &[u8]) -> Option<Vec<u8>> {
    const NAME: &[u8] = b" HTTP/1.";
    let start = head
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let end = start + head[start..].iter().position(|byte| *byte == b'\r')?;
    let (line, digit) = head[start..end].split_at_checked(end - start - 1)?;
    let is_later = line.ends_with(NAME) && matches!(digit, [b'2'..=b'9']);
    is_later.then(|| {
        let mut known = head.to_vec();
        known[end - 1] = b'1';
        known
    })
}

fn from_parsed(parsed: &httparse::Request<'_, '_>, peer: SocketAddr) -> Result<Request, Refusal> {
    let (Some(method), Some(target), Some(minor_version)) =
        (parsed.method, parsed.path, parsed.version)
    else {
        return Err(refusal(status::BAD_REQUEST, "malformed request line"));
    };
    let headers = parsed.headers.iter().map(|field| {
        let mut name = CompactString::from(field.name);
        name.make_ascii_lowercase();
        (name, value_of(field.value))
    });
    let headers = join_lists(headers.collect());
    let mut request = Request {
        method: Method::from_str(method).unwrap_or(Method::Get),
        target: match method {
            // The target is a host and a port; the method is refused later.
            "CONNECT" => target.to_owned(),
            _ => origin_form(target)?,
        },
        minor_version,
        peer,
        client: peer.ip().to_canonical(),
        keep_alive: false,
        body_follows: false,
        headers,
    };
    check_host(&request)?;
    check_body(&mut request)?;
    request.keep_alive = wants_keep_alive(&request) && !request.body_follows;
    Ok(request)
}

/// The text of a field. Bytes beyond ASCII are opaque (RFC 9110, 5.5): a value that is not UTF-8 is read
/// as Latin-1, which loses no byte.
fn value_of(value: &[u8]) -> CompactString {
    // httparse leaves no other white space at the ends (RFC 9110, 5.6.3).
    let value = value.trim_ascii();
    match std::str::from_utf8(value) {
        Ok(text) => text.into(),
        Err(_) => value.iter().copied().map(char::from).collect(),
    }
}

/// Joins lists that span several fields (RFC 9110, 5.3).
fn join_lists(fields: Fields) -> Fields {
    const LISTS: [&str; 5] = [
        "connection",
        "forwarded",
        "if-match",
        "if-none-match",
        "x-forwarded-for",
    ];
    let mut joined = Fields::with_capacity(fields.len());
    for (name, value) in fields {
        let before = joined.iter_mut().find(|(known, _)| *known == name);
        match before.filter(|_| LISTS.contains(&name.as_str())) {
            Some((_, list)) => {
                list.push_str(", ");
                list.push_str(&value);
            }
            None => joined.push((name, value)),
        }
    }
    joined
}

/// RFC 9112, 3.2: exactly one Host in HTTP/1.1, at most one in HTTP/1.0, and no invalid one.
fn check_host(request: &Request) -> Result<(), Refusal> {
    let mut hosts = request.values("host");
    match (request.minor_version, hosts.next(), hosts.next()) {
        (0, None, None) => Ok(()),
        (_, Some(host), None) if is_host(host) => Ok(()),
        (_, Some(_), None) => Err(refusal(status::BAD_REQUEST, "invalid Host")),
        _ => Err(refusal(status::BAD_REQUEST, "exactly one Host is required")),
    }
}

/// True for a host, which may be empty, with an optional port (RFC 9110, 7.2; RFC 3986, 3.2.2).
fn is_host(value: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
    let is_literal = |byte: u8| is_name(byte) || byte == b':';
    let (is_valid, rest) = match value.strip_prefix('[') {
        Some(literal) => {
            let Some((address, rest)) = literal.split_once(']') else {
                return false;
            };
            (address.bytes().all(is_literal), rest)
        }
        None => {
            let end = value.find(':').unwrap_or(value.len());
            let (name, rest) = value.split_at(end);
            (name.bytes().all(is_name), rest)
        }
    };
    let port = match rest {
        "" => Some(""),
        rest => rest.strip_prefix(':'),
    };
    is_valid && port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// RFC 9112, 6: refuses an ambiguous length, and a body of GET or HEAD.
fn check_body(request: &mut Request) -> Result<(), Refusal> {
    let bodiless = matches!(request.method, Method::Get | Method::Head);
    let is_chunked = request.values("transfer-encoding").next().is_some();
    if is_chunked && bodiless {
        return Err(refusal(
            status::BAD_REQUEST,
            "Transfer-Encoding is not taken",
        ));
    }
    let lengths: Vec<&str> = request.values("content-length").collect();
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if lengths.len() > 1 || !lengths.iter().all(digits) {
        return Err(refusal(status::BAD_REQUEST, "invalid Content-Length"));
    }
    let has_body = lengths.iter().any(|text| text.bytes().any(|b| b != b'0'));
    if has_body && bodiless {
        return Err(refusal(status::BAD_REQUEST, "a body is not taken"));
    }
    request.body_follows = has_body || is_chunked;
    Ok(())
}

/// RFC 9112, 9.3.
fn wants_keep_alive(request: &Request) -> bool {
    let mut options = request
        .values("connection")
        .flat_map(|value| value.split(','));
    let mut has = |wanted: &str| options.any(|option| option.trim().eq_ignore_ascii_case(wanted));
    if request.minor_version == 0 {
        has("keep-alive")
    } else {
        !has("close")
    }
}

/// The path and query of a target; removes the authority of the absolute form (RFC 9112, 3.2.2).
fn origin_form(target: &str) -> Result<String, Refusal> {
    if target.starts_with('/') || target == "*" {
        return Ok(target.to_owned());
    }
    let malformed = || refusal(status::BAD_REQUEST, "malformed request target");
    let (scheme, rest) = target.split_once("://").ok_or_else(malformed)?;
    let is_http = ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    // The authority ends where the path, the query or the fragment begins (RFC 3986, 3.2).
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !is_http || authority.is_empty() {
        return Err(malformed());
    }
    match path.starts_with('/') {
        true => Ok(path.to_owned()),
        false => Ok(format!("/{path}")),
    }
}

fn has_bare_line_ends(head: &[u8]) -> bool {
    let lone_lf = |i: usize| head[i] == b'\n' && (i == 0 || head[i - 1] != b'\r');
    let lone_cr = |i: usize| head[i] == b'\r' && head.get(i + 1) != Some(&b'\n');
    (0..head.len()).any(|i| lone_lf(i) || lone_cr(i))
}

fn malformed(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => refusal(status::HEAD_TOO_LARGE, "too many headers"),
        httparse::Error::Version => refusal(status::VERSION, "HTTP version not supported"),
        _ => Refusal::MALFORMED,
    }
}

const fn refusal(status: u16, message: &'static str) -> Refusal {
    Refusal { status, message }
}
