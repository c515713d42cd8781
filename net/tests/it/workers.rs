//! Which connections have a worker, and which pool serves them.

use std::io::Write;
use std::time::{Duration, Instant};

use base::units::Period;
use crossbeam_channel::{TryRecvError, bounded};
use net::ServerConfig;
use proto::ErrorCode;
use proto::storage::StorageRequest;

use super::support::*;

#[test]
fn silent_and_half_requests_cost_no_worker() {
    let server = start(&config(), &Probe::new());
    let half = &upload("f", 1 << 40)[..200];
    let mut others: Vec<_> = (0..600).map(|_| connect(server.addr())).collect();
    for stream in others.iter_mut().step_by(2) {
        stream.write_all(half).unwrap();
    }
    let mut stream = connect(server.addr());
    for n in 1..=100 {
        assert_eq!(ask_size(&mut stream), n);
    }
    assert_eq!(server.connections().now(), 601);
    drop(others);
    server.shutdown();
}

#[test]
fn stalled_uploads_cost_no_worker() {
    let probe = Probe::new();
    let server = start(&config(), &probe);
    let mut others: Vec<_> = (0..50).map(|_| connect(server.addr())).collect();
    for stream in &mut others {
        stream.write_all(&upload("f", 1 << 20)).unwrap();
        stream.write_all(b"a beginning").unwrap();
    }
    let mut stream = connect(server.addr());
    assert_eq!(ask_size(&mut stream), 1);
    stream.write_all(&upload("f", 4)).unwrap();
    stream.write_all(b"four").unwrap();
    assert_eq!(number(&mut stream), 4);
    // Their content goes on where it stopped.
    let rest = vec![0; (1 << 20) - "a beginning".len()];
    for stream in &mut others {
        stream.write_all(&rest).unwrap();
        assert_eq!(number(stream), 1 << 20);
    }
    assert!(probe.events.1.is_empty());
    server.shutdown();
}

#[test]
fn a_slow_reader_is_parked_and_gets_every_byte() {
    let server = start(
        &ServerConfig {
            workers: 1,
            fast_workers: 1,
            ..config()
        },
        &Probe::new(),
    );
    let size = 48 << 20;
    let mut slow: Vec<_> = (0..8).map(|_| connect(server.addr())).collect();
    for stream in &mut slow {
        let request = download("f", size, size);
        stream.write_all(&request).unwrap();
    }
    assert_eq!(ask_size(&mut connect(server.addr())), 1);
    for stream in &mut slow {
        assert_eq!(receive(stream).1.len(), size as usize);
        assert_eq!(ask_size(stream), 1);
    }
    server.shutdown();
}

#[test]
fn a_slow_lane_does_not_hold_up_the_fast_one() {
    let probe = Probe::new();
    let server = start(&config(), &probe);
    let mut slow: Vec<_> = (0..4).map(|_| connect(server.addr())).collect();
    for stream in &mut slow {
        stream
            .write_all(&StorageRequest::Delete(key("f")).encode())
            .unwrap();
    }
    probe.expect("waiting");
    probe.expect("waiting");
    let mut stream = connect(server.addr());
    assert_eq!(ask_size(&mut stream), 1);
    for _ in &slow {
        probe.gate.0.send(()).unwrap();
    }
    for stream in &mut slow {
        assert!(receive(stream).0.is_ok());
    }
    server.shutdown();
}

#[test]
fn workers_that_take_what_is_ready_leave_nobody_out() {
    const REQUESTS: u64 = 300;
    const SLOW_REQUESTS: usize = 30;
    let probe = Probe::new();
    let server = start(&config(), &probe);
    let addr = server.addr();
    // Dropping the sender ends the quick ones, also when a check here fails.
    let (slow_runs, slow_ended) = bounded::<()>(0);
    let quick = || {
        let mut stream = connect(addr);
        for n in 1.. {
            assert_eq!(ask_size(&mut stream), n);
            if n >= REQUESTS && slow_ended.try_recv() == Err(TryRecvError::Disconnected) {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(quick);
        }
        // Meanwhile a request for the other pool is found by workers who must not serve it.
        let mut slow = connect(addr);
        let delete = StorageRequest::Delete(key("f")).encode();
        for _ in 0..SLOW_REQUESTS {
            slow.write_all(&delete).unwrap();
            probe.expect("waiting");
            probe.gate.0.send(()).unwrap();
            assert!(receive(&mut slow).0.is_ok());
        }
        drop(slow_runs);
    });
    server.shutdown();
}

#[test]
fn who_waits_too_long_for_a_worker_is_told_busy() {
    let probe = Probe::new();
    let queue_timeout = Period::from_secs(1);
    let server = start(
        &ServerConfig {
            workers: 1,
            queue_timeout,
            ..config()
        },
        &probe,
    );
    let mut first = connect(server.addr());
    first
        .write_all(&StorageRequest::Delete(key("f")).encode())
        .unwrap();
    probe.expect("waiting");
    let mut second = connect(server.addr());
    second
        .write_all(&StorageRequest::Delete(key("f")).encode())
        .unwrap();
    // A later answer on the fast pool shows that the second request is in its queue by now.
    let began = Instant::now();
    let mut third = connect(server.addr());
    while began.elapsed() < Duration::from_millis(1100) {
        ask_size(&mut third);
    }
    probe.gate.0.send(()).unwrap();
    assert!(receive(&mut first).0.is_ok());
    assert_eq!(fault(&mut second).code, ErrorCode::Busy);
    assert_closed(&mut second);
    server.shutdown();
}
