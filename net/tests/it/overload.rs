//! A server whose workers or threads are held up.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use base::units::Period;
use crossbeam_channel::{RecvTimeoutError, unbounded};
use net::wire::Wire;
use net::{Inbox, NetEvent, NetGauge, Server, ServerConfig, WorkerPool};
use proto::storage::StorageRequest;
use proto::{ErrorCode, HEAD_LEN};

use super::support::*;

/// Between two bytes of a peer that sends too little.
const DRIP: Duration = Duration::from_millis(9);

#[test]
fn requests_are_told_busy_in_time_though_no_worker_is_free() {
    for (pool, held) in [
        (WorkerPool::Slow, StorageRequest::Delete(key("f"))),
        (WorkerPool::Fast, StorageRequest::FileSize(key("held"))),
    ] {
        let probe = Probe::new();
        let counts = Arc::new(Counts::default());
        let config = ServerConfig {
            workers: 1,
            fast_workers: 1,
            queue_timeout: Period::from_millis(300),
            ..config()
        };
        let server = start_counted(&config, &probe, &counts);

        let mut first = connect(server.addr());
        first.write_all(&held.encode()).unwrap();
        probe.expect("waiting");
        assert!(!counts.is_stuck(pool));
        let mut others: Vec<_> = (0..3).map(|_| connect(server.addr())).collect();
        for stream in &mut others {
            stream.write_all(&held.encode()).unwrap();
        }
        // The worker is held all the time.
        for stream in &mut others {
            assert_eq!(fault(stream).code, ErrorCode::Busy);
            assert_closed(stream);
        }
        assert_eq!(counts.of(NetEvent::Late), 3);
        wait_until(|| counts.is_stuck(pool));
        assert_eq!(counts.now(NetGauge::Queued(pool)), 0);

        probe.gate.0.send(()).unwrap();
        assert!(receive(&mut first).0.is_ok());
        wait_until(|| !counts.is_stuck(pool));
        server.shutdown();
    }
}

#[test]
fn a_connection_outlives_an_upload_longer_than_a_head_may_take() {
    let probe = Probe::new();
    let server = start(
        &ServerConfig {
            head_timeout: Period::from_secs(1),
            ..config()
        },
        &probe,
    );
    let mut stream = connect(server.addr());
    let mut request = upload("told", 6);
    request.extend(b"abc");
    stream.write_all(&request).unwrap();
    probe.expect("taken");
    // Other connections show how time passes: one that sends a part of a head is closed late.
    let pass_head_timeout = || {
        let mut half = connect(server.addr());
        half.write_all(&[0; 5]).unwrap();
        assert_closed(&mut half);
    };
    pass_head_timeout();
    stream.write_all(b"def").unwrap();
    assert_eq!(number(&mut stream), 6);
    pass_head_timeout();
    assert_eq!(ask_size(&mut stream), 1);
    server.shutdown();
}

#[test]
fn long_replies_that_nobody_reads_are_bounded_together() {
    const N_FITTING: usize = (64 << 20) / LIST_LEN;
    const N_ASKING: usize = 2 * N_FITTING;
    let counts = Arc::new(Counts::default());
    let config = ServerConfig {
        connections_max: 2 * N_ASKING as u32,
        ..config()
    };
    let server = start_counted(&config, &Probe::new(), &counts);
    let ask = |file: &str| {
        let mut stream = connect(server.addr());
        let request = StorageRequest::FileSize(key(file)).encode();
        stream.write_all(&request).unwrap();
        stream
    };
    let copies: Vec<_> = (0..N_ASKING).map(|_| ask("copy")).collect();
    wait_until(|| counts.of(NetEvent::Unsent) == N_ASKING - N_FITTING);
    wait_until(|| server.connections().now() == N_FITTING);
    let whole = copies.into_iter().filter_map(|mut stream| {
        let mut reply = vec![0; HEAD_LEN + LIST_LEN];
        stream.read_exact(&mut reply).ok()
    });
    assert_eq!(whole.count(), N_FITTING);
    server.shutdown();
}

#[test]
fn a_dripping_upload_is_dropped_though_a_worker_is_free_for_it() {
    let probe = Probe::new();
    let counts = Arc::new(Counts::default());
    let config = ServerConfig {
        workers: 1,
        fast_workers: 1,
        ..impatient()
    };
    let server = start_counted(&config, &probe, &counts);
    let mut stream = connect(server.addr());
    stream.write_all(&upload("told", 1 << 20)).unwrap();
    let (ended, end) = unbounded::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Until the server closes, or the test has failed.
            while stream.write_all(b"x").is_ok()
                && end.recv_timeout(DRIP) == Err(RecvTimeoutError::Timeout)
            {}
        });
        probe.expect("taken");
        let undone = probe.events.1.recv_timeout(PATIENCE);
        drop(ended);
        assert_eq!(undone, Ok("undone"));
    });
    assert_eq!(counts.of(NetEvent::Stalled), 1);
    server.shutdown();
}

/// First bytes at which a look panics or waits.
const PANIC: u8 = 0xfe;
const BLOCK: u8 = 0xff;

#[test]
fn a_panic_over_one_connection_loses_no_event_of_another() {
    const N_OTHERS: usize = 64;
    let counts = Arc::new(Counts::default());
    let (blocked, is_blocked) = unbounded();
    let (release, released) = unbounded();
    let touchy = Watched {
        wire: Wire::new(Toy(Probe::new()), "toy", Arc::clone(&counts)),
        look: move |inbox: &Inbox| match inbox.bytes().first() {
            Some(&PANIC) => panic!("as the test wants it"),
            Some(&BLOCK) => {
                blocked.send(()).unwrap();
                released.recv_timeout(PATIENCE).unwrap();
                true
            }
            _ => false,
        },
    };
    let server = Server::start("toy", ([127, 0, 0, 1], 0).into(), &config(), touchy).unwrap();
    let connect = || connect(server.addr());
    let (mut blocking, mut panicking) = (connect(), connect());
    let mut others: Vec<TcpStream> = (0..N_OTHERS).map(|_| connect()).collect();
    wait_until(|| server.connections().now() == N_OTHERS + 2);
    // While the parking thread is held, events gather.
    blocking.write_all(&[BLOCK]).unwrap();
    is_blocked.recv_timeout(PATIENCE).unwrap();
    panicking.write_all(&[PANIC]).unwrap();
    for stream in &mut others {
        let request = StorageRequest::FileSize(key("f")).encode();
        stream.write_all(&request).unwrap();
    }
    release.send(()).unwrap();
    for stream in &mut others {
        assert_eq!(number(stream), 1);
    }
    assert_closed(&mut panicking);
    server.shutdown();
}

#[test]
fn the_silent_and_the_slow_are_dropped_in_time() {
    let probe = Probe::new();
    let server = start(&impatient(), &probe);
    let mut idle = connect(server.addr());
    let mut half = connect(server.addr());
    half.write_all(&[0; 5]).unwrap();
    let mut stalled = connect(server.addr());
    stalled.write_all(&upload("f", 1 << 20)).unwrap();
    let mut unread = connect(server.addr());
    let size = 64 << 20;
    let request = download("f", size, size);
    unread.write_all(&request).unwrap();
    assert_closed(&mut idle);
    assert_closed(&mut half);
    assert_closed(&mut stalled);
    probe.expect("undone");
    wait_until(|| server.connections().now() == 0);
    let mut rest = Vec::new();
    let _ = unread.read_to_end(&mut rest);
    assert!(rest.len() < size as usize, "{}", rest.len());
    server.shutdown();
}
