//! Requests that wait for another server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use daemon::config::ServerConfig;
use daemon::http::{Answer, Handler, Http, Request, Response, status};
use daemon::metrics::Metrics;
use daemon::net::{Pending, Server};

use super::support::{PATIENCE, config, connect};

/// More than may wait for a worker.
const N_WAITING: usize = 8;

/// Asks another server at each request. It answers with that one's byte, or with `silent`.
struct Asking {
    other: SocketAddr,
    patience: Duration,
}

struct Asked {
    stream: Option<TcpStream>,
    patience: Duration,
}

impl Handler for Asking {
    fn handle(&self, request: Request) -> Answer {
        if request.path() == "/panic" {
            return Answer::Later(Box::new(Panic));
        }
        let asks = request.path() == "/ask";
        Answer::Later(Box::new(Asked {
            stream: asks.then(|| connect(self.other)),
            patience: self.patience,
        }))
    }
}

impl Pending<Response> for Asked {
    fn socket(&self) -> Option<&TcpStream> {
        self.stream.as_ref()
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn resume(mut self: Box<Self>, silent: bool) -> Response {
        let mut byte = [b'-'];
        match &mut self.stream {
            _ if silent => return Response::text(status::UNAVAILABLE, "silent"),
            Some(stream) => stream.read_exact(&mut byte).unwrap(),
            None => {}
        }
        Response::text(status::OK, &String::from_utf8_lossy(&byte))
    }
}

struct Panic;

impl Pending<Response> for Panic {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn resume(self: Box<Self>, _silent: bool) -> Response {
        panic!("as the test wants it")
    }
}

/// A server with one worker, and the other that it asks.
fn start(patience: Duration) -> (Server, TcpListener) {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let config = ServerConfig {
        workers: 1,
        ..config()
    };
    let asking = Asking {
        other: other.local_addr().unwrap(),
        patience,
    };
    let http = Http::new(asking, Arc::new(Metrics::of_http()));
    let addr = (Ipv4Addr::LOCALHOST, 0).into();
    let server = Server::start("toy", addr, &config, http).unwrap();
    (server, other)
}

fn ask(server: &Server, path: &str) -> TcpStream {
    let mut stream = connect(server.addr());
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn who_waits_for_another_server_holds_no_worker() {
    let (server, other) = start(PATIENCE);
    let asked: Vec<(TcpStream, TcpStream)> = (0..N_WAITING)
        .map(|_| (ask(&server, "/ask"), other.accept().unwrap().0))
        .collect();
    // The last one first: none of them stands in the way of another.
    for (digit, (client, mut peer)) in asked.into_iter().enumerate().rev() {
        write!(peer, "{digit}").unwrap();
        let answer = answer(client);
        assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{digit}\n")), "{answer}");
    }
    server.shutdown();
}

#[test]
fn a_server_that_says_nothing_in_time_is_told() {
    let (server, other) = start(Duration::from_millis(10));
    let client = ask(&server, "/ask");
    let _peer = other.accept().unwrap();
    let answer = answer(client);
    assert!(answer.starts_with("HTTP/1.0 503 "), "{answer}");
    server.shutdown();
}

#[test]
fn what_has_nothing_to_wait_for_goes_on_at_once() {
    let (server, _other) = start(PATIENCE);
    assert!(answer(ask(&server, "/now")).ends_with("\r\n\r\n-\n"));
    server.shutdown();
}

#[test]
fn a_panic_behind_the_answer_costs_one_request() {
    let (server, _other) = start(PATIENCE);
    let failed = answer(ask(&server, "/panic"));
    assert!(failed.starts_with("HTTP/1.1 500 "), "{failed}");
    assert!(answer(ask(&server, "/now")).starts_with("HTTP/1.0 200 "));
    server.shutdown();
}
