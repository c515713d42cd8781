//! Replies that lie, stop short, or come from another kind of server.

use client::{Error, ErrorKind, ProtocolError};
use proto::storage::REPLY;
use proto::{Head, STATUS_FAILURE};
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage};
use test_peers::support::{cluster, content, key};

fn head(body_len: i64, command: u8, status: u8) -> Vec<u8> {
    let head = Head {
        body_len,
        command,
        status,
    };
    head.encode().to_vec()
}

/// The error of a FILESIZE that is answered with these bytes.
fn error_of(bytes: Vec<u8>) -> Error {
    let memory = memory_with(&key("f"), &content(10));
    let storage = FakeStorage::start(&memory, move |_, _| Act::Raw(bytes.clone()));
    let (_tracker, client) = cluster(&[&storage]);
    client.file_size(&key("f")).unwrap_err()
}

#[test]
fn lying_lengths_are_refused_before_anything_is_allocated() {
    for body_len in [-1, i64::MIN, 9, i64::MAX] {
        for status in [0, STATUS_FAILURE] {
            let error = match (body_len, status) {
                // A failure of nine bytes is one.
                (9, STATUS_FAILURE) => continue,
                _ => error_of(head(body_len, REPLY, status)),
            };
            let Error::Protocol { source, .. } = &error else {
                panic!("{error}");
            };
            let is_length = matches!(source, ProtocolError::BodyLength { actual, .. }
                if *actual == body_len);
            assert!(is_length, "{source}");
        }
    }
}

#[test]
fn nonsense_is_a_protocol_error() {
    let negative_size = [head(8, REPLY, 0), vec![0xff; 8]].concat();
    for bytes in [
        head(8, 100, 0),
        head(7, REPLY, 0).into_iter().chain([0; 7]).collect(),
        head(0, REPLY, 0),
        head(0, REPLY, STATUS_FAILURE),
        negative_size,
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ] {
        let error = error_of(bytes.clone());
        assert_eq!(error.kind(), ErrorKind::Protocol, "{bytes:?}: {error}");
    }
}

#[test]
fn replies_cut_short_are_time_outs_while_the_server_stays() {
    for bytes in [
        head(8, REPLY, 0)[..5].to_vec(),
        head(8, REPLY, 0),
        head(20, REPLY, STATUS_FAILURE),
    ] {
        let error = error_of(bytes.clone());
        assert_eq!(error.kind(), ErrorKind::Timeout, "{bytes:?}: {error}");
    }
}

#[test]
fn any_status_but_zero_is_a_failure() {
    let body = [&2_i16.to_be_bytes()[..], b"[h] gone\0"].concat();
    for status in [1, 0xff, STATUS_FAILURE] {
        let bytes = [head(body.len() as i64, REPLY, status), body.clone()].concat();
        let error = error_of(bytes);
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(cause.to_string(), "[h] gone");
    }
}

#[test]
fn a_liar_does_not_keep_the_others_from_answering() {
    let memory = memory_with(&key("f"), &content(10));
    let liar = FakeStorage::start(&memory, |_, _| Act::Raw(head(i64::MAX, REPLY, 0)));
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&liar, &good]);
    assert_eq!(client.file_size(&key("f")).unwrap(), 10);
    assert_eq!(client.stat(&key("f")).unwrap().size, 10);
    let mut read = Vec::new();
    let len = Some(4);
    let mut range = client.read_range(&key("f"), 3, len).unwrap();
    std::io::Read::read_to_end(&mut range, &mut read).unwrap();
    assert_eq!(read, content(10)[3..7]);
}
