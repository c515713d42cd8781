//! Valid requests and their replies.

use std::io::Write;
use std::sync::Arc;

use net::ServerConfig;
use proto::storage::StorageRequest;
use proto::{ErrorCode, HEAD_LEN, Head};

use super::support::*;

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
