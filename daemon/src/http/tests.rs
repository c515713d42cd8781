//! Heads that must and must not pass, and how answers look.

use std::sync::Arc;

use super::protocol::{Handler, Http};
use super::request::{HEAD_MAX, Parsed, Request, parse};
use super::response::{Response, status};
use crate::http::Answer;
use crate::metrics::{Metrics, Page};
use crate::net::{Lane, Protocol, Readiness};

fn read(head: &str) -> Result<Option<Request>, u16> {
    match parse(head.as_bytes(), ([127, 0, 0, 1], 1).into()) {
        Ok(Parsed::Head(request, len)) => {
            assert_eq!(len, head.len());
            Ok(Some(request))
        }
        Ok(Parsed::Partial) => Ok(None),
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

#[test]
fn a_head_without_end_is_refused_at_its_limit() {
    let head = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(HEAD_MAX));
    assert_eq!(read(&head).unwrap_err(), 431);
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(200)
    );
    assert_eq!(read(&many).unwrap_err(), 431);
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
    let http = Http::new(Idle, Arc::new(Metrics::of_http()));
    let whole = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\n\n",
        "no request\r\n\r\n",
    ];
    for text in whole {
        let (early, all) = (&text.as_bytes()[..text.len() - 1], text.as_bytes());
        assert_eq!(http.readiness(early), Readiness::More, "{text:?}");
        assert_eq!(
            http.readiness(all),
            Readiness::Serve(Lane::Slow),
            "{text:?}"
        );
    }
    assert_eq!(http.readiness(b"\r\n\r\n\r\n"), Readiness::More);
    assert!(matches!(
        http.readiness(&[b'a'; HEAD_MAX]),
        Readiness::Serve(_)
    ));
}

struct Idle;

impl Handler for Idle {
    fn handle(&self, _request: Request) -> Answer {
        Answer::Now(Response::text(status::OK, ""))
    }
}

#[test]
fn who_is_refused_for_overload_is_counted() {
    let metrics = Arc::new(Metrics::of_http());
    drop(Http::new(Idle, Arc::clone(&metrics)).busy());
    let page = Page::new(metrics.gather()).text().unwrap();
    let line = "tnv_http_requests_total{code=\"503\",method=\"other\"} 1";
    assert!(page.contains(line), "{page}");
}
