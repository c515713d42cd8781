//! Which connections make room for others.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use base::units::Period;
use net::wire::Wire;
use net::{Full, Inbox, NetEvent, NetGauge, Server, ServerConfig, WorkerPool};
use proto::storage::StorageRequest;
use proto::{ErrorCode, HEAD_LEN};

use super::support::*;

const ONE: [u8; 4] = [127, 0, 0, 2];
const OTHER: [u8; 4] = [127, 0, 0, 3];
const MAX: u32 = 12;

const UPLOAD_LEN: u64 = 1 << 20;

/// An upload of which a byte has come.
fn stall(mut stream: TcpStream, probe: &Probe) -> TcpStream {
    stream.write_all(&upload("told", UPLOAD_LEN)).unwrap();
    stream.write_all(b"x").unwrap();
    probe.expect("taken");
    stream
}

/// Connects and asks until the answer is one; false when it is that the server is busy.
fn is_served(mut stream: TcpStream) -> bool {
    // A busy server may have answered and closed before it was asked.
    let asked = stream.write_all(&StorageRequest::FileSize(key("f")).encode());
    let mut head = [0; HEAD_LEN];
    let answered = std::io::Read::read_exact(&mut stream, &mut head);
    asked.is_ok() && answered.is_ok() && proto::Head::decode(&head).is_ok()
}

fn end(server: Server) {
    server.reload(&ServerConfig {
        stop_timeout: Period::from_millis(1),
        ..config()
    });
    server.shutdown();
}

#[test]
fn a_client_at_its_limit_makes_room_for_itself() {
    let limited = ServerConfig {
        connections_per_address: Some(3),
        ..config()
    };
    let counts = Arc::new(Counts::default());
    let server = start_counted(&limited, &Probe::new(), &counts);
    let mut others: Vec<_> = (0..2).map(|_| connect_from(OTHER, server.addr())).collect();
    let mut streams: Vec<_> = (0..3).map(|_| connect_from(ONE, server.addr())).collect();
    for stream in others.iter_mut().chain(&mut streams) {
        assert_eq!(ask_size(stream), 1);
    }
    // A worker may still hold a connection whose reply has come.
    wait_until(|| counts.now(NetGauge::Busy(WorkerPool::Fast)) == 0);
    let mut fourth = connect_from(ONE, server.addr());
    assert_eq!(ask_size(&mut fourth), 1);
    assert_closed(&mut streams[0]);
    assert_eq!(ask_size(&mut streams[2]), 2);
    for stream in &mut others {
        assert_eq!(ask_size(stream), 2);
    }
    assert_eq!(server.connections().now(), 5);
    server.shutdown();
}

#[test]
fn a_client_whose_connections_all_work_is_refused_at_its_limit() {
    let probe = Probe::new();
    let counts = Arc::new(Counts::default());
    let limited = ServerConfig {
        connections_per_address: Some(2),
        ..config()
    };
    let server = start_counted(&limited, &probe, &counts);
    let mut held: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = connect_from(ONE, server.addr());
            let delete = StorageRequest::Delete(key("f")).encode();
            stream.write_all(&delete).unwrap();
            probe.expect("waiting");
            stream
        })
        .collect();
    let refused = fault(&mut connect_from(ONE, server.addr()));
    assert_eq!(refused.code, ErrorCode::Busy);
    assert!(refused.message.contains("of this address"), "{refused}");
    assert_eq!(counts.of(NetEvent::Refused(Full::Client)), 1);
    assert!(is_served(connect_from(OTHER, server.addr())));
    // Either of the workers takes what is sent first.
    for _ in &held {
        probe.gate.0.send(()).unwrap();
    }
    for stream in &mut held {
        assert!(receive(stream).0.is_ok());
    }
    server.shutdown();
}

#[test]
fn slow_transfers_of_one_client_do_not_keep_others_out() {
    let probe = Probe::new();
    let counts = Arc::new(Counts::default());
    let config = ServerConfig {
        connections_max: MAX,
        ..config()
    };
    let server = start_counted(&config, &probe, &counts);
    let slow: Vec<_> = (0..MAX)
        .map(|_| stall(connect_from(ONE, server.addr()), &probe))
        .collect();
    // As soon as the transfers have had time to show that they are slow.
    wait_until(|| is_served(connect_from(OTHER, server.addr())));
    assert!(counts.of(NetEvent::Evicted) >= 1);
    probe.expect("undone");
    // Its own connections take no room of each other here.
    assert!(server.connections().now() >= slow.len() - 2);
    end(server);
}

#[test]
fn the_slowest_of_a_client_makes_room_at_its_limit() {
    let probe = Probe::new();
    let server = start(
        &ServerConfig {
            connections_per_address: Some(2),
            ..config()
        },
        &probe,
    );
    let mut slow = stall(connect_from(ONE, server.addr()), &probe);
    let mut quick = stall(connect_from(ONE, server.addr()), &probe);
    quick.write_all(&vec![7; 512 << 10]).unwrap();
    wait_until(|| is_served(connect_from(ONE, server.addr())));
    probe.expect("undone");
    assert_closed(&mut slow);
    quick.write_all(&vec![7; (512 << 10) - 1]).unwrap();
    assert_eq!(number(&mut quick), 1 << 20);
    server.shutdown();
}

/// While the accept thread looks at a connection, the next one comes: there is always somebody to
/// accept.
struct Flood {
    addr: OnceLock<SocketAddr>,
    has_begun: AtomicBool,
    clients: Mutex<VecDeque<TcpStream>>,
    /// The flood ends by then, also when the test has failed.
    end: Instant,
}

/// Connects and sends a part of a head.
fn begin_request(addr: &SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(addr, Duration::from_millis(100)).ok()?;
    stream.write_all(&[0]).ok()?;
    Some(stream)
}

impl Flood {
    fn go_on(&self) {
        const CLIENTS: usize = 8;
        let is_accepting = std::thread::current().name() == Some("accept");
        let Some(addr) = self.addr.get().filter(|_| is_accepting) else {
            return;
        };
        if Instant::now() < self.end
            && let Some(stream) = begin_request(addr)
        {
            self.has_begun.store(true, Ordering::Relaxed);
            let mut clients = self.clients.lock().unwrap();
            clients.push_back(stream);
            if clients.len() > CLIENTS {
                clients.pop_front();
            }
        }
    }
}

#[test]
fn a_flood_of_connections_does_not_delay_a_stop() {
    let flood = Arc::new(Flood {
        addr: OnceLock::new(),
        has_begun: AtomicBool::new(false),
        clients: Mutex::default(),
        end: Instant::now() + 2 * PATIENCE,
    });
    let flooded = Watched {
        wire: Wire::new(Toy(Probe::new()), "toy", Arc::new(Counts::default())),
        look: {
            let flood = Arc::clone(&flood);
            move |_: &Inbox| {
                flood.go_on();
                false
            }
        },
    };
    let server = Server::start("toy", ([127, 0, 0, 1], 0).into(), &config(), flooded).unwrap();
    let addr = *flood.addr.get_or_init(|| server.addr());
    // The first whose byte is there when it is accepted begins the flood.
    wait_until(|| {
        drop(begin_request(&addr));
        flood.has_begun.load(Ordering::Relaxed)
    });
    let began = Instant::now();
    server.shutdown();
    assert!(began.elapsed() < PATIENCE / 2);
    // The accept thread has ended, and with it the listener.
    let closed = TcpStream::connect_timeout(&addr, PATIENCE).unwrap_err();
    assert_eq!(closed.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn at_the_cap_the_longest_idle_connection_goes() {
    let server = start(
        &ServerConfig {
            connections_max: 3,
            ..config()
        },
        &Probe::new(),
    );
    let mut streams: Vec<_> = (0..3).map(|_| connect(server.addr())).collect();
    for stream in &mut streams {
        assert_eq!(ask_size(stream), 1);
    }
    let mut fourth = connect(server.addr());
    assert_eq!(ask_size(&mut fourth), 1);
    assert_eq!(server.connections().now(), 3);
    server.reload(&ServerConfig {
        connections_max: 4,
        ..config()
    });
    let mut fifth = connect(server.addr());
    assert_eq!(ask_size(&mut fifth), 1);
    assert_eq!(server.connections().now(), 4);
    assert_eq!(ask_size(&mut streams[2]), 2);
    server.shutdown();
}
