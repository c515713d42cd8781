//! The frame with the tnv protocol on it.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::units::Period;
use crossbeam_channel::{TryRecvError, bounded};
use net::{OpenFile, ServerConfig};
use proto::storage::{Download, StorageRequest, Upload};
use proto::{ErrorCode, HEAD_LEN, Head};
use rustix::io::Errno;

use super::support::*;

fn upload(file: &str, size: u64) -> Vec<u8> {
    StorageRequest::Upload(Upload {
        key: key(file),
        size,
    })
    .encode()
}

#[test]
fn a_long_list_is_not_copied_for_each_who_asks() {
    const N_ASKING: usize = 8;
    let probe = Probe::new();
    let server = start(&config(), &probe);
    let asking: Vec<_> = (0..N_ASKING)
        .map(|_| {
            let mut stream = connect(server.addr());
            stream
                .write_all(&StorageRequest::FileSize(key("list")).encode())
                .unwrap();
            stream
        })
        .collect();
    // Each reply on its way holds the list itself.
    wait_until(|| Arc::strong_count(&probe.list) > N_ASKING);
    for mut stream in asking {
        let (head, body) = receive(&mut stream);
        assert!(head.is_ok());
        assert!(body == *probe.list);
        assert_eq!(ask_size(&mut stream), 1);
    }
    assert_eq!(Arc::strong_count(&probe.list), 1);
    server.shutdown();
}

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let server = start(&config(), &Probe::new());
    let mut stream = connect(server.addr());
    let mut requests = Vec::new();
    for _ in 0..200 {
        requests.extend(StorageRequest::FileSize(key("f")).encode());
    }
    stream.write_all(&requests).unwrap();
    for n in 1..=200 {
        assert_eq!(number(&mut stream), n);
    }
    server.shutdown();
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = start(&config(), &Probe::new());
    let mut stream = connect(server.addr());
    let mut bytes = StorageRequest::FileSize(key("f")).encode();
    bytes.extend(upload("f", 3));
    bytes.extend(b"abc");
    for byte in bytes {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(number(&mut stream), 1);
    assert_eq!(number(&mut stream), 3);
    server.shutdown();
}

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

#[test]
fn a_panic_is_answered_and_costs_no_worker() {
    let server = start(
        &ServerConfig {
            workers: 1,
            fast_workers: 1,
            ..config()
        },
        &Probe::new(),
    );
    for _ in 0..3 {
        let mut stream = connect(server.addr());
        stream
            .write_all(&StorageRequest::Stat(key("f")).encode())
            .unwrap();
        assert_eq!(fault(&mut stream).message, "[toy] internal error");
        assert_closed(&mut stream);
    }
    assert_eq!(ask_size(&mut connect(server.addr())), 1);
    server.shutdown();
}

#[test]
fn a_small_refused_upload_leaves_the_connection_in_step() {
    let server = start(&config(), &Probe::new());
    let mut stream = connect(server.addr());
    stream.write_all(&upload("refused", 60_000)).unwrap();
    stream.write_all(&vec![7; 60_000]).unwrap();
    assert_eq!(fault(&mut stream).code, ErrorCode::Exists);
    assert_eq!(ask_size(&mut stream), 1);
    server.shutdown();
}

#[test]
fn a_large_refused_upload_is_answered_before_its_content() {
    let server = start(&config(), &Probe::new());
    let mut stream = connect(server.addr());
    stream.write_all(&upload("refused", 1 << 40)).unwrap();
    stream.write_all(&vec![7; 1 << 20]).unwrap();
    assert_eq!(fault(&mut stream).code, ErrorCode::Exists);
    assert_closed(&mut stream);
    server.shutdown();
}

#[test]
fn lengths_that_lie_are_refused() {
    let server = start(&config(), &Probe::new());
    for body_len in [-1, i64::MIN, i64::MAX, 399, 401] {
        for command in [71, 72, 73, 74, 0, 255] {
            let mut stream = connect(server.addr());
            let head = Head {
                body_len,
                command,
                status: 0,
            };
            stream.write_all(&head.encode()).unwrap();
            assert_eq!(fault(&mut stream).code, ErrorCode::BadRequest, "{head:?}");
            assert_closed(&mut stream);
        }
    }
    // A size field that contradicts the body length.
    let mut request = upload("f", 10);
    request[..8].copy_from_slice(&(408i64 + 9).to_be_bytes());
    request.extend(b"123456789");
    let mut stream = connect(server.addr());
    stream.write_all(&request).unwrap();
    assert_eq!(fault(&mut stream).code, ErrorCode::BadRequest);
    assert_eq!(ask_size(&mut stream), 1);
    server.shutdown();
}

#[test]
fn a_close_at_any_byte_leaves_nothing_behind() {
    let probe = Probe::new();
    let server = start(&config(), &probe);
    let mut request = upload("f", 4);
    request.extend(b"fou");
    for len in (0..request.len())
        .step_by(7)
        .chain([HEAD_LEN, request.len()])
    {
        connect(server.addr()).write_all(&request[..len]).unwrap();
    }
    probe.expect("undone");
    wait_until(|| server.connections().now() == 0);
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
    let download = StorageRequest::Download(Download {
        key: key("f"),
        offset: size,
        size,
    });
    unread.write_all(&download.encode()).unwrap();
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
        let download = StorageRequest::Download(Download {
            key: key("f"),
            offset: size,
            size,
        });
        stream.write_all(&download.encode()).unwrap();
    }
    assert_eq!(ask_size(&mut connect(server.addr())), 1);
    for stream in &mut slow {
        assert_eq!(receive(stream).1.len(), size as usize);
        assert_eq!(ask_size(stream), 1);
    }
    server.shutdown();
}

#[test]
fn a_file_shorter_than_announced_ends_the_connection() {
    let server = start(&config(), &Probe::new());
    for (len, size) in [(1 << 20, 2 << 20), (10, 20)] {
        let mut stream = connect(server.addr());
        let download = StorageRequest::Download(Download {
            key: key("f"),
            offset: len,
            size,
        });
        stream.write_all(&download.encode()).unwrap();
        let mut head = [0; HEAD_LEN];
        stream.read_exact(&mut head).unwrap();
        let head = Head::decode(&head);
        if head.is_ok() {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.len() < size as usize);
        } else {
            assert_eq!(size, 20);
        }
    }
    server.shutdown();
}

#[test]
fn only_an_error_of_the_content_tells_a_client_that_a_small_file_is_damaged() {
    let server = start(&config(), &Probe::new());
    let told = |file: &str, len: u64| {
        let mut stream = connect(server.addr());
        let download = StorageRequest::Download(Download {
            key: key(file),
            offset: len,
            size: 20,
        });
        stream.write_all(&download.encode()).unwrap();
        fault(&mut stream).code
    };
    assert_eq!(told("f", 10), ErrorCode::Damaged, "it ends early");
    assert_eq!(told("unreadable", 20), ErrorCode::Unavailable);
    server.shutdown();
    // The disk has lost what it cannot read; a volume that is away may come back.
    let file = tempfile::tempfile().unwrap();
    for (errno, code) in [
        (Errno::IO, ErrorCode::Damaged),
        (Errno::NOTCONN, ErrorCode::Unavailable),
        (Errno::STALE, ErrorCode::Unavailable),
    ] {
        assert_eq!(file.cannot_read(0, &errno.into()), code, "{errno}");
    }
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

#[test]
fn a_stop_finishes_what_is_in_flight_and_closes_the_rest() {
    let probe = Probe::new();
    let server = start(&config(), &probe);
    let addr = server.addr();
    let mut idle = connect(addr);
    assert_eq!(ask_size(&mut idle), 1);
    let mut busy = connect(addr);
    busy.write_all(&StorageRequest::Delete(key("f")).encode())
        .unwrap();
    probe.expect("waiting");
    let mut sending = connect(addr);
    sending.write_all(&upload("told", 6)).unwrap();
    sending.write_all(b"abc").unwrap();
    probe.expect("taken");
    std::thread::scope(|scope| {
        let stop = scope.spawn(move || server.shutdown());
        assert_closed(&mut idle);
        assert!(!stop.is_finished());
        probe.gate.0.send(()).unwrap();
        assert!(receive(&mut busy).0.is_ok());
        sending.write_all(b"def").unwrap();
        assert_eq!(number(&mut sending), 6);
        stop.join().unwrap();
    });
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[test]
fn a_stop_breaks_off_what_misses_its_deadline() {
    let probe = Probe::new();
    let stop_timeout = Period::from_millis(200);
    let server = start(
        &ServerConfig {
            stop_timeout,
            ..config()
        },
        &probe,
    );
    let mut stream = connect(server.addr());
    stream.write_all(&upload("told", 6)).unwrap();
    stream.write_all(b"abc").unwrap();
    probe.expect("taken");
    server.shutdown();
    assert_closed(&mut stream);
    probe.expect("undone");
}
