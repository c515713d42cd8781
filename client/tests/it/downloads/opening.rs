//! `open` and `begin_open`: size, time and content of a file in one request.

use std::io::Read;

use client::{ErrorKind, Opening};
use proto::storage::{ByteRange, RangeSpec, StorageRequest};
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage};
use test_peers::support::{cluster, content, key};

use super::LEN;

#[test]
fn a_file_is_opened_with_what_is_known_of_it() {
    let file = content(LEN);
    let memory = memory_with(&key("f"), &file);
    let storage = FakeStorage::good(&memory);
    let cpp = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Read(_) | StorageRequest::Stat(_) => Act::Close,
        _ => Act::Serve,
    });
    for storage in [&storage, &cpp] {
        let (_tracker, client) = cluster(&[storage]);
        let spans = [
            (0, 0),
            (5, 10),
            (-7, 0),
            (-7, 2),
            (LEN as i64, 0),
            (i64::MAX, 9),
        ];
        for (offset, size) in spans {
            let span = RangeSpec { offset, size };
            let (stat, mut part) = client.open(&key("f"), span).unwrap();
            assert_eq!(stat.size, LEN as u64);
            let ByteRange { offset: start, len } = span.within(LEN as u64);
            assert_eq!((part.offset(), part.remaining()), (start, len));
            let mut bytes = Vec::new();
            part.read_to_end(&mut bytes).unwrap();
            assert!(bytes == file[start as usize..][..len as usize]);
        }
        let error = client.open(&key("g"), RangeSpec::WHOLE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    assert_eq!(storage.requests(), ["read"; 7]);
    // On the idle connection that asked for a Unix socket, and on two new ones; then none.
    let requests = cpp.requests();
    let n_reads = requests.iter().filter(|name| **name == "read").count();
    assert_eq!(n_reads, 3);
}

#[test]
fn a_storage_that_does_not_answer_an_opening_is_given_up_for_the_next() {
    let memory = memory_with(&key("f"), b"abc");
    let silent = FakeStorage::start(&memory, |_, _| Act::FallSilent);
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&silent, &good]);
    let mut opening = client
        .begin_open(&key("f"), RangeSpec::WHOLE, u64::MAX)
        .unwrap();
    let peer = |opening: &Opening| opening.stream().unwrap().peer_addr().unwrap();
    let first = peer(&opening);
    opening.abandon_stream();
    assert_ne!(peer(&opening), first);
    let (stat, mut rest) = opening.finish().unwrap();
    assert_eq!(stat.size, 3);
    let mut bytes = Vec::new();
    rest.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"abc");
    // The silent storage is tried last now.
    let opening = client
        .begin_open(&key("f"), RangeSpec::WHOLE, u64::MAX)
        .unwrap();
    assert!(opening.finish().is_ok());
    assert_eq!(good.requests(), ["read"; 2]);
}

#[test]
fn a_connection_that_was_closed_meanwhile_costs_an_opening_nothing() {
    let memory = memory_with(&key("f"), b"abc");
    let storage = FakeStorage::start(&memory, |n, _| match n {
        1 => Act::Close,
        _ => Act::Serve,
    });
    let (_tracker, client) = cluster(&[&storage]);
    for _ in 0..2 {
        let opening = client
            .begin_open(&key("f"), RangeSpec::WHOLE, u64::MAX)
            .unwrap();
        let (stat, mut rest) = opening.finish().unwrap();
        let mut bytes = Vec::new();
        rest.read_to_end(&mut bytes).unwrap();
        assert_eq!((stat.size, bytes.len()), (3, 3));
    }
    assert_eq!(storage.requests(), ["read"; 3]);
}

#[test]
fn the_rest_is_requested_when_the_first_piece_is_read() {
    let file = content(LEN);
    let storage = FakeStorage::good(&memory_with(&key("f"), &file));
    let (_tracker, client) = cluster(&[&storage]);
    let opening = client.begin_open(&key("f"), RangeSpec::WHOLE, 1000);
    let (_, mut download) = opening.unwrap().finish().unwrap();
    assert_eq!(download.remaining(), LEN as u64);
    let mut peeked = [0; 2000];
    assert_eq!(download.peek(&mut peeked).unwrap(), 2000);
    assert_eq!(peeked, file[..2000]);
    assert_eq!((download.offset(), download.remaining()), (0, LEN as u64));
    let mut bytes = Vec::new();
    download.read_to_end(&mut bytes).unwrap();
    assert!(bytes == file);
    assert_eq!(storage.requests(), ["read"; 2]);
    assert_eq!(storage.fake.n_connections(), 1);
}
