//! The frame with HTTP on it.

use std::io::{Cursor, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use net::http::{Handler, Http, Method, Request, Response, TrustedProxies, status};
use net::{Answer, Full, NetEvent, Part, Server, ServerConfig, Source};
use test_support::http::browse;

use super::support::*;

/// `/text` is a line, `/stream` 3 MiB from a reader, `/short` a reader that ends early, `/panic` one.
struct Toy;

const STREAM_LEN: u64 = 3 << 20;

/// A source without a socket.
struct Reading(Cursor<Vec<u8>>);

impl Source for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }

    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn may_splice(&self) -> bool {
        false
    }

    fn taken(&mut self, _len: usize) {}

    fn abandon(&mut self) {}

    fn timeout(&self) -> Duration {
        PATIENCE
    }
}

impl Handler for Toy {
    fn handle(&self, request: Request) -> Answer<Response> {
        let stream = |available: u64| {
            let reader = Cursor::new(vec![7u8; available as usize]);
            let body = vec![Part::Stream {
                source: Box::new(Reading(reader)),
                len: STREAM_LEN,
            }];
            Response {
                length: STREAM_LEN,
                body,
                ..Response::empty(status::OK)
            }
        };
        Answer::Now(match (&request.method, request.path()) {
            (Method::Get | Method::Head, "/text") => Response::text(status::OK, "hello"),
            (_, "/stream") => stream(STREAM_LEN),
            (_, "/short") => stream(1000),
            (_, "/panic") => panic!("as the test wants it"),
            _ => Response::text(status::METHOD_NOT_ALLOWED, "no").with("Allow", "GET, HEAD"),
        })
    }
}

fn start() -> Server {
    start_behind(&config(), TrustedProxies::default())
}

fn start_behind(config: &ServerConfig, proxies: TrustedProxies) -> Server {
    let http = Http::new(Toy, Arc::new(())).behind(proxies);
    Server::start("toy", ([127, 0, 0, 1], 0).into(), config, http).unwrap()
}

#[test]
fn a_trusted_proxy_has_no_limit_of_its_own() {
    const PROXY: [u8; 4] = [127, 0, 0, 9];
    const OTHER: [u8; 4] = [127, 0, 0, 10];
    let limited = ServerConfig {
        connections_per_address: Some(2),
        ..config()
    };
    let proxies = TrustedProxies::new(&["127.0.0.9".parse().unwrap()], None);
    let server = start_behind(&limited, proxies.clone());
    let ask = |stream: &mut TcpStream| {
        stream
            .write_all(b"GET /text HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nhello\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
    };
    let open = |ip| {
        let mut stream = connect_from(ip, server.addr());
        ask(&mut stream);
        stream
    };
    let mut of_proxy: Vec<_> = (0..3).map(|_| open(PROXY)).collect();
    of_proxy.iter_mut().for_each(ask);
    let mut of_other: Vec<_> = (0..3).map(|_| open(OTHER)).collect();
    assert_closed(&mut of_other[0]);
    of_other[1..].iter_mut().for_each(ask);
    // A proxy that is no longer trusted has the limit for its next connections.
    proxies.reload(&[], None);
    open(PROXY);
    assert_closed(&mut of_proxy[0]);
    server.shutdown();
}

/// `/held` waits for the gate of a probe.
struct Held(Arc<Probe>);

impl Handler for Held {
    fn handle(&self, request: Request) -> Answer<Response> {
        if request.path() == "/held" {
            self.0.events.0.send("waiting").unwrap();
            self.0.gate.1.recv_timeout(PATIENCE).unwrap();
        }
        Answer::Now(Response::text(status::OK, "hello"))
    }
}

/// Starts with a limit of one connection or request of each client.
fn start_held(probe: &Arc<Probe>, counts: &Arc<Counts>) -> Server {
    let limited = ServerConfig {
        connections_per_address: Some(1),
        ..config()
    };
    let proxies = TrustedProxies::new(&["127.0.0.9".parse().unwrap()], Some(1));
    let http = Http::new(Held(Arc::clone(probe)), Arc::clone(counts)).behind(proxies);
    Server::start("held", ([127, 0, 0, 1], 0).into(), &limited, http).unwrap()
}

fn send(stream: &mut TcpStream, path: &str, fields: &str) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
}

#[test]
fn a_client_with_too_many_connections_gets_429() {
    let (probe, counts) = (Probe::new(), Arc::new(Counts::default()));
    let server = start_held(&probe, &counts);
    let mut first = connect_from([127, 0, 0, 10], server.addr());
    send(&mut first, "/held", "");
    probe.expect("waiting");
    let refused = read_to_end(&mut connect_from([127, 0, 0, 10], server.addr()));
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("\r\nRetry-After: 1\r\n"), "{refused}");
    assert_eq!(counts.of(NetEvent::Refused(Full::Client)), 1);
    let mut other = connect_from([127, 0, 0, 11], server.addr());
    send(&mut other, "/", "");
    assert!(read_to_end(&mut other).starts_with("HTTP/1.1 200 "));
    probe.gate.0.send(()).unwrap();
    assert!(read_to_end(&mut first).starts_with("HTTP/1.1 200 "));
    server.shutdown();
}

#[test]
fn a_client_behind_a_proxy_with_too_many_requests_gets_429() {
    let (probe, counts) = (Probe::new(), Arc::new(Counts::default()));
    let server = start_held(&probe, &counts);
    let ask = |path: &str, fields: &str| {
        let mut stream = connect_from([127, 0, 0, 9], server.addr());
        send(&mut stream, path, fields);
        stream
    };
    let mut first = ask("/held", "X-Forwarded-For: 192.0.2.1\r\n");
    probe.expect("waiting");
    for (fields, expected) in [
        ("X-Forwarded-For: 1.1.1.1, 192.0.2.1\r\n", "429"),
        ("Forwarded: for=192.0.2.1\r\n", "429"),
        ("Forwarded: for=192.0.2.2\r\n", "200"),
        ("", "200"),
    ] {
        let answer = read_to_end(&mut ask("/", fields));
        let line = format!("HTTP/1.1 {expected} ");
        assert!(answer.starts_with(&line), "{fields}: {answer}");
        assert_eq!(answer.contains("\r\nRetry-After: 1\r\n"), expected == "429");
    }
    assert_eq!(counts.of(NetEvent::Refused(Full::Client)), 2);
    probe.gate.0.send(()).unwrap();
    assert!(read_to_end(&mut first).starts_with("HTTP/1.1 200 "));
    // The permit is given back with the end of the request, which may follow the reply.
    let again = || {
        let answer = read_to_end(&mut ask("/", "X-Forwarded-For: 192.0.2.1\r\n"));
        answer.starts_with("HTTP/1.1 200 ")
    };
    wait_until(again);
    server.shutdown();
}

#[test]
fn a_connection_carries_many_requests() {
    let server = start();
    let mut browser = browse(server.addr());
    for _ in 0..3 {
        let text = browser.ask("GET", "/text", &[]);
        assert_eq!((text.status, text.text()), (200, "hello\n"));
        let stream = browser.ask("GET", "/stream", &[]);
        assert_eq!(stream.body.len() as u64, STREAM_LEN);
        assert!(stream.body.iter().all(|&byte| byte == 7));
    }
    server.shutdown();
}

#[test]
fn head_has_the_head_of_get_and_nothing_more() {
    let server = start();
    let mut browser = browse(server.addr());
    let mut fields = |method| {
        let mut answer = browser.ask(method, "/text", &[]);
        answer.fields.retain(|(name, _)| name != "date");
        answer.fields
    };
    assert_eq!(fields("HEAD"), fields("GET"));
    assert_eq!(fields("GET").len(), 5);
    server.shutdown();
}

#[test]
fn refusals_and_panics_are_answered_and_close() {
    let server = start();
    let cases = [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), "400"),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), "505"),
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(20_000)), "414"),
        (
            format!("GET / HTTP/1.1\r\nX: {}\r\n", "x".repeat(20_000)),
            "431",
        ),
        ("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "500"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
            "405",
        ),
    ];
    for (request, status) in cases {
        let mut stream = connect(server.addr());
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:?}: {answer}"
        );
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    }
    server.shutdown();
}

#[test]
fn a_stream_that_ends_early_cuts_the_connection() {
    let server = start();
    let mut browser = browse(server.addr());
    browser.send("GET", "/short", &[]);
    assert_eq!(browser.begin_answer().status, 200);
    assert_eq!(browser.read(1000), [7; 1000]);
    assert!(browser.rest().is_empty());
    server.shutdown();
}

#[test]
fn a_request_of_another_protocol_is_refused_without_waiting_for_its_end() {
    let server = start();
    for bytes in [
        &[0, 0, 0, 0, 0, 0, 1, 0x90, 12, 0][..],
        &[0x16, 3, 1],
        b"\r\n\x00x",
    ] {
        let mut stream = connect(server.addr());
        stream.write_all(bytes).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 400");
    }
    server.shutdown();
}
