//! Heads that must and must not pass, and how answers look.

use std::sync::Arc;

use parking_lot::Mutex;

use super::protocol::{Handler, Http, LOOKED_AT};
use super::request::{HEAD_MAX, Request, parse};
use super::response::{Response, status};
use crate::transport::{Answer, Full, Inbox, Observer, Outcome, Protocol, RequestEnd, RequestName};

fn read(head: &str) -> Result<Option<Request>, u16> {
    match parse(head.as_bytes(), ([127, 0, 0, 1], 1).into()) {
        Ok(Some((request, len))) => {
            assert_eq!(len, head.len());
            Ok(Some(request))
        }
        Ok(None) => Ok(None),
        Err(refusal) => Err(refusal.status),
    }
}

fn whole(head: &str) -> Request {
    read(head).unwrap().unwrap()
}

#[test]
fn a_head_is_whole_at_its_empty_line() {
    let head = "GET /files/x?y=1 HTTP/1.1\r\nHost: a\r\nRange:  bytes=0-1 \r\n\r\n";
    for len in 0..head.len() {
        assert!(read(&head[..len]).unwrap().is_none(), "{len}");
    }
    let request = whole(head);
    assert_eq!(
        (request.path(), request.header("range")),
        ("/files/x", Some("bytes=0-1"))
    );
    assert!(request.keep_alive);
}

#[test]
fn keep_alive_follows_the_version_and_the_connection_field() {
    let keeps = |head: &str| whole(head).keep_alive;
    assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
    assert!(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    assert!(!keeps(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n"
    ));
    assert!(!keeps(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    ));
}

#[test]
fn what_two_parsers_could_read_differently_is_refused() {
    let refused = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "GET files HTTP/1.1\r\nHost: a\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
    ];
    for head in refused {
        assert_eq!(read(head).unwrap_err(), 400, "{head:?}");
    }
    assert_eq!(read("GET / HTTP/2.0\r\nHost: a\r\n\r\n").unwrap_err(), 505);
    assert!(read("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").is_ok());
}

/// RFC 9112, 3.2.
#[test]
fn an_invalid_host_is_refused() {
    let with_host = |host: &str| read(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for host in [
        "",
        "a",
        "a:",
        "a_b.c.:80",
        "127.0.0.1:8080",
        "[::1]",
        "[fe80::1%25eth0]:80",
        "%41",
    ] {
        assert!(with_host(host).is_ok(), "{host}");
    }
    for host in [
        "a b", "u@a", "a:b", "a:1:2", "a/b", "a?b", "http://a", "[::1", "[::1]a", "[/]", "\u{e4}",
        "a, b:1",
    ] {
        assert_eq!(with_host(host).unwrap_err(), 400, "{host}");
    }
    assert_eq!(
        read("GET / HTTP/1.0\r\nHost: a b\r\n\r\n").unwrap_err(),
        400
    );
}

#[test]
fn a_head_without_end_is_refused_at_its_limit() {
    let head = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(HEAD_MAX));
    assert_eq!(read(&head).unwrap_err(), 431);
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(200)
    );
    assert_eq!(read(&many).unwrap_err(), 431);
    // RFC 9112, 3: the target alone is too long.
    for start in ["GET /", "\r\nGET /files/"] {
        let target = format!("{start}{}", "y".repeat(HEAD_MAX));
        assert_eq!(read(&target).unwrap_err(), 414);
        let whole = format!("{target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(read(&whole).unwrap_err(), 414);
    }
}

#[test]
fn a_list_in_several_fields_is_one() {
    let request = whole("GET / HTTP/1.1\r\nHost: a\r\nIf-Match: \"x\"\r\nIf-Match: \"y\"\r\n\r\n");
    assert_eq!(request.header("if-match"), Some("\"x\", \"y\""));
}

#[test]
fn absolute_targets_lose_their_authority() {
    let path = |target: &str| whole(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).target;
    assert_eq!(path("http://host:80/files/x?q"), "/files/x?q");
    assert_eq!(path("http://host"), "/");
    assert_eq!(path("HTTP://h/files/x"), "/files/x");
    assert_eq!(path("hTTpS://h?a=/b"), "/?a=/b");
    for target in ["http:///x", "ftp://h/x", "http:/h/x", "://h/x"] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(read(&head).unwrap_err(), 400, "{target}");
    }
    // Refused as a method.
    assert!(read("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n").is_ok());
}

#[test]
fn an_answer_has_one_length_and_is_never_chunked() {
    let response = Response {
        length: u64::from(u32::MAX) * 4,
        ..Response::empty(200)
    };
    let head = String::from_utf8(response.with("ETag", "\"1\"").head(1, true)).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("\r\nContent-Length: 17179869180\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\nETag: \"1\"\r\n") && !head.contains("hunked"),
        "{head}"
    );
    assert!(
        head.ends_with("\r\nConnection: keep-alive\r\n\r\n"),
        "{head}"
    );
}

#[test]
fn a_value_that_would_end_the_line_is_left_out() {
    let response = Response::empty(200).with("X-Name", "a\r\nSet-Cookie: b");
    let head = String::from_utf8(response.head(1, false)).unwrap();
    assert!(
        !head.contains("Set-Cookie") && !head.contains("X-Name"),
        "{head}"
    );
}

#[test]
fn a_head_is_served_when_its_last_line_has_come() {
    let http = Http::new(Idle, Arc::new(()));
    let whole = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\n\n",
        "no request\r\n\r\n",
    ];
    for text in whole {
        let (early, all) = (&text.as_bytes()[..text.len() - 1], text.as_bytes());
        assert!(!is_served(&http, early), "{text:?}");
        assert!(is_served(&http, all), "{text:?}");
    }
    assert!(!is_served(&http, b"\r\n\r\n\r\n"));
    assert!(is_served(&http, &[b'a'; HEAD_MAX]));
}

fn is_served(http: &Http<Idle>, bytes: &[u8]) -> bool {
    let mut inbox = Inbox::default();
    inbox.push(bytes);
    http.parse(&mut inbox, ([127, 0, 0, 1], 1).into()).is_some()
}

#[test]
fn a_head_that_drips_is_searched_once() {
    let http = Http::new(Idle, Arc::new(()));
    let peer = ([127, 0, 0, 1], 1).into();
    let fields = "X: yyyyyyyy\r\n".repeat(1000);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let empty_lines = "\r\n".repeat(5000);
    for text in [head, empty_lines + "GET / HTTP/1.0\r\n\r\n"] {
        let looked_at = LOOKED_AT.get();
        let mut inbox = Inbox::default();
        let (last, rest) = text.as_bytes().split_last().unwrap();
        for byte in rest {
            inbox.push(&[*byte]);
            assert!(http.parse(&mut inbox, peer).is_none());
        }
        inbox.push(&[*last]);
        assert!(http.parse(&mut inbox, peer).is_some());
        // Each byte when it comes, and with the two that come after it.
        assert!(LOOKED_AT.get() - looked_at <= 3 * text.len());
    }
}

#[test]
fn bytes_beyond_ascii_are_opaque() {
    let read = |field: &[u8]| {
        let head = [b"GET / HTTP/1.1\r\nHost: a\r\n", field, b"\r\n\r\n"].concat();
        match parse(&head, ([127, 0, 0, 1], 1).into()) {
            Ok(Some((request, _))) => Ok(request),
            Ok(None) => panic!("it is whole"),
            Err(refusal) => Err(refusal.status),
        }
    };
    let request = read(b"Cookie: n=M\xfcller").unwrap();
    assert_eq!(request.header("cookie"), Some("n=M\u{fc}ller"));
    let request = read("Cookie: n=M\u{fc}ller".as_bytes()).unwrap();
    assert_eq!(request.header("cookie"), Some("n=M\u{fc}ller"));
    // What looks like white space in Latin-1 is none.
    assert_eq!(read(b"Content-Length: 0\xa0").unwrap_err(), 400);
    assert_eq!(read(b"Content-Length: 5\x85").unwrap_err(), 400);
}

#[test]
fn a_later_minor_version_is_understood_as_the_latest_that_is_known() {
    let request = whole("GET /x HTTP/1.2\r\nHost: a\r\n\r\n");
    assert_eq!((request.path(), request.minor_version), ("/x", 1));
    assert!(request.keep_alive);
    assert!(read("\r\nGET / HTTP/1.9\r\nHost: a\r\n\r\n").is_ok());
    assert_eq!(read("GET / HTTP/1.2\r\n\r\n").unwrap_err(), 400);
    for version in [
        "HTTP/0.9",
        "HTTP/2.0",
        "HTTP/1.10",
        "HTTP/1.",
        "http/1.2",
        "HTTP/1.x",
    ] {
        let head = format!("GET / {version}\r\nHost: a\r\n\r\n");
        assert!(matches!(read(&head).unwrap_err(), 400 | 505), "{version}");
    }
}

struct Idle;

impl Handler for Idle {
    fn handle(&self, _request: Request) -> Answer<Response> {
        Answer::Now(Response::text(status::OK, ""))
    }
}

#[derive(Default)]
struct Ends(Mutex<Vec<(RequestName, Outcome)>>);

impl Observer for Ends {
    fn request(&self, end: &RequestEnd) {
        self.0.lock().push((end.name, end.outcome));
    }
}

#[test]
fn who_is_refused_for_overload_is_counted() {
    let ends = Arc::new(Ends::default());
    let peer = ([127, 0, 0, 1], 1).into();
    let http = Http::new(Idle, Arc::clone(&ends));
    drop(http.busy(peer, None, Full::Server));
    drop(http.busy(peer, None, Full::Client));
    let refused = |status| (RequestName::Method("other"), Outcome::Status(status));
    assert_eq!(*ends.0.lock(), [refused(503), refused(429)]);
}
