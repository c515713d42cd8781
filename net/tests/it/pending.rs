//! Requests that wait for another server, and replies that come from one.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use net::http::{Handler, Http, Request, Response, status};
use net::{Answer, NetGauge, Part, Pending, Server, ServerConfig, Source, Wake};
use socket2::SockRef;

use super::support::{Counts, PATIENCE, config, connect};

/// Far more requests than the one worker could hold.
const N_WAITING: usize = 8;
/// More than may wait without it.
const N_CROWD: usize = 40;

/// Asks another server at each request, `/again` once more if that is silent, and answers with its
/// byte. `/stream` sends on what comes from there.
struct Asking {
    other: SocketAddr,
    patience: Duration,
}

struct PendingAnswer {
    other: SocketAddr,
    stream: Option<TcpStream>,
    patience: Duration,
    again: bool,
}

impl Handler for Asking {
    fn handle(&self, request: Request) -> Answer<Response> {
        let asked = |stream, again| {
            Answer::Later(Box::new(PendingAnswer {
                other: self.other,
                stream,
                patience: self.patience,
                again,
            }))
        };
        match request.path() {
            "/panic" => Answer::Later(Box::new(Panic)),
            "/now" => asked(None, false),
            "/stream" => {
                let source = Box::new(Relayed(connect(self.other)));
                let body = vec![Part::Stream { source, len: 2 }];
                Answer::Now(Response {
                    length: 2,
                    body,
                    ..Response::empty(status::OK)
                })
            }
            path => asked(Some(connect(self.other)), path == "/again"),
        }
    }
}

impl Pending<Response> for PendingAnswer {
    fn socket(&self) -> Option<&TcpStream> {
        self.stream.as_ref()
    }

    fn timeout(&self) -> Duration {
        self.patience
    }

    fn resume(mut self: Box<Self>, wake: Wake) -> Answer<Response> {
        if wake.silent && std::mem::take(&mut self.again) {
            self.stream = Some(connect(self.other));
            self.patience = PATIENCE;
            return Answer::Later(self);
        }
        let mut byte = [b'-'];
        Answer::Now(match &mut self.stream {
            _ if wake.silent => Response::text(status::UNAVAILABLE, "silent"),
            Some(stream) => {
                stream.read_exact(&mut byte).unwrap();
                Response::text(status::OK, &String::from_utf8_lossy(&byte))
            }
            None => Response::text(status::OK, "nothing to wait for"),
        })
    }
}

struct Panic;

impl Pending<Response> for Panic {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    fn resume(self: Box<Self>, _wake: Wake) -> Answer<Response> {
        panic!("as the test wants it")
    }
}

/// The bytes of a connection.
struct Relayed(TcpStream);

impl Source for Relayed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn socket(&self) -> Option<&TcpStream> {
        Some(&self.0)
    }

    fn may_splice(&self) -> bool {
        true
    }

    fn taken(&mut self, _len: usize) {}

    fn abandon(&mut self) {}

    fn timeout(&self) -> Duration {
        PATIENCE
    }
}

/// A server with one worker, its counts, and the other that it asks.
struct Setting {
    server: Server,
    counts: Arc<Counts>,
    other: TcpListener,
}

fn start(patience: Duration) -> Setting {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    SockRef::from(&other)
        .set_read_timeout(Some(PATIENCE))
        .unwrap();
    let config = ServerConfig {
        workers: 1,
        ..config()
    };
    let asking = Asking {
        other: other.local_addr().unwrap(),
        patience,
    };
    let counts = Arc::new(Counts::default());
    let http = Http::new(asking, Arc::clone(&counts));
    let addr = (Ipv4Addr::LOCALHOST, 0).into();
    Setting {
        server: Server::start("toy", addr, &config, http).unwrap(),
        counts,
        other,
    }
}

impl Setting {
    fn ask(&self, path: &str) -> TcpStream {
        let mut stream = connect(self.server.addr());
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        stream
    }

    /// A request, and the question that the server asks for it.
    fn ask_and_accept(&self, path: &str) -> (TcpStream, TcpStream) {
        (self.ask(path), self.other.accept().unwrap().0)
    }

    fn end(self) {
        self.server.shutdown();
        assert_eq!(self.counts.now(NetGauge::Waiting), 0);
    }
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn who_waits_for_another_server_holds_no_worker() {
    let setting = start(PATIENCE);
    let asked: Vec<_> = (0..N_WAITING)
        .map(|_| setting.ask_and_accept("/ask"))
        .collect();
    // The last one first: none of them stands in the way of another.
    for (digit, (client, mut peer)) in asked.into_iter().enumerate().rev() {
        write!(peer, "{digit}").unwrap();
        let answer = answer(client);
        assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{digit}\n")), "{answer}");
    }
    setting.end();
}

#[test]
fn of_a_crowd_everybody_is_answered() {
    let setting = start(PATIENCE);
    let clients: Vec<_> = (0..N_CROWD).map(|_| setting.ask("/ask")).collect();
    for _ in 0..N_CROWD {
        setting.other.accept().unwrap().0.write_all(b"x").unwrap();
    }
    for client in clients {
        assert!(answer(client).ends_with("\r\n\r\nx\n"));
    }
    setting.end();
}

#[test]
fn a_client_that_is_gone_does_not_hold_the_worker() {
    let setting = start(PATIENCE);
    let (client, peer) = setting.ask_and_accept("/ask");
    SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    assert!(answer(setting.ask("/now")).starts_with("HTTP/1.0 200 "));
    drop(peer);
    setting.server.shutdown();
}

#[test]
fn a_server_that_says_nothing_in_time_is_told() {
    let setting = start(Duration::from_millis(10));
    let (client, _peer) = setting.ask_and_accept("/ask");
    let answer = answer(client);
    assert!(answer.starts_with("HTTP/1.0 503 "), "{answer}");
    setting.end();
}

#[test]
fn another_server_is_waited_for_in_the_same_way() {
    let setting = start(Duration::from_millis(10));
    let (client, _silent) = setting.ask_and_accept("/again");
    let (mut second, _) = setting.other.accept().unwrap();
    assert!(answer(setting.ask("/now")).starts_with("HTTP/1.0 200 "));
    second.write_all(b"x").unwrap();
    assert!(answer(client).ends_with("\r\n\r\nx\n"));
    setting.end();
}

#[test]
fn a_server_that_pauses_in_a_reply_holds_no_worker() {
    let setting = start(PATIENCE);
    let (client, mut peer) = setting.ask_and_accept("/stream");
    peer.write_all(b"a").unwrap();
    assert!(answer(setting.ask("/now")).starts_with("HTTP/1.0 200 "));
    peer.write_all(b"b").unwrap();
    assert!(answer(client).ends_with("\r\n\r\nab"));
    setting.end();
}

#[test]
fn what_has_nothing_to_wait_for_goes_on_at_once() {
    let setting = start(PATIENCE);
    assert!(answer(setting.ask("/now")).ends_with("\r\n\r\nnothing to wait for\n"));
    setting.end();
}

#[test]
fn a_panic_behind_the_answer_costs_one_request() {
    let setting = start(PATIENCE);
    let failed = answer(setting.ask("/panic"));
    assert!(failed.starts_with("HTTP/1.1 500 "), "{failed}");
    assert!(answer(setting.ask("/now")).starts_with("HTTP/1.0 200 "));
    setting.end();
}
