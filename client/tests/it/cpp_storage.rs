//! A C++ storage that cannot read on writes a failure into the content and closes.

use std::io::Read;

use client::{Client, Download, Error, ErrorKind};
use proto::storage::StorageRequest;
use test_peers::cpp::{cpp_storage, failing_at, failure_frame};
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage};
use test_peers::support::{cluster, content, key};

const LEN: usize = 3000;

fn read_all(client: &Client) -> (Vec<u8>, std::io::Result<usize>) {
    let mut bytes = Vec::new();
    let mut download = client.download(&key("f")).unwrap();
    let read = download.read_to_end(&mut bytes);
    (bytes, read)
}

#[test]
fn a_failure_in_the_content_is_no_content() {
    let memory = memory_with(&key("f"), &content(LEN));
    // At the end the announced length cuts the failure, or ends with it.
    for good in [0, 1, 2000, LEN - 55, LEN - 54, LEN - 20, LEN - 9, LEN - 1] {
        let failing = failing_at(&memory, LEN, good);
        let next = cpp_storage(&memory, |_, _| Act::Serve);
        let (_tracker, client) = cluster(&[&failing, &next]);
        let (bytes, read) = read_all(&client);
        assert_eq!(read.unwrap(), LEN, "failure at {good}");
        assert!(bytes == content(LEN), "failure at {good}");
        assert!(next.requests().contains(&"download"));
    }
}

#[test]
fn without_another_storage_the_failure_is_the_answer() {
    let memory = memory_with(&key("f"), &content(LEN));
    let failing = failing_at(&memory, LEN, 2000);
    let (_tracker, client) = cluster(&[&failing]);
    let (bytes, read) = read_all(&client);
    let error = read.unwrap_err();
    let error = Error::of_io(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
    assert!(error.chain().contains("read file fail"), "{error}");
    assert_eq!(bytes, content(LEN)[..2000]);
}

#[test]
fn content_that_looks_like_a_failure_is_content() {
    let zeros = [content(500), vec![0; 2000]].concat();
    let like_one = [content(500), failure_frame()].concat();
    let in_the_middle = [content(500), failure_frame(), content(70_000)].concat();
    for file in [zeros, like_one, in_the_middle, vec![0]] {
        let memory = memory_with(&key("f"), &file);
        let storage = cpp_storage(&memory, |_, _| Act::Serve);
        let (_tracker, client) = cluster(&[&storage]);
        let (bytes, read) = read_all(&client);
        assert_eq!(read.unwrap(), file.len());
        assert!(bytes == file);
    }
}

#[test]
fn what_a_broken_storage_sent_before_is_kept() {
    let memory = memory_with(&key("f"), &content(LEN));
    let breaking = cpp_storage(&memory, |offset, _| match offset {
        0 => Act::CutAfter(600),
        offset => panic!("asked from byte {offset} on"),
    });
    let next = cpp_storage(&memory, |offset, _| {
        assert_eq!(offset, 600, "content is asked for again");
        Act::Serve
    });
    let (_tracker, client) = cluster(&[&breaking, &next]);
    let (bytes, read) = read_all(&client);
    assert_eq!(read.unwrap(), LEN);
    assert!(bytes == content(LEN));
}

/// Reads without waiting until a read would have to ask a storage.
fn read_until_storages_are_asked(download: &mut Download, bytes: &mut Vec<u8>) {
    let mut buf = [0; 512];
    while download.stream().is_some() {
        if let Some(n) = download.read_ready(&mut buf).unwrap() {
            bytes.extend(&buf[..n]);
        }
    }
}

#[test]
fn a_read_that_does_not_wait_leaves_a_storage_that_broke_off_to_the_next_read() {
    let memory = memory_with(&key("f"), &content(LEN));
    let breaking = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Read(_) | StorageRequest::Download(_) => Act::CutAfter(600),
        _ => Act::Serve,
    });
    let (_tracker, client) = cluster(&[&breaking]);
    let mut download = client.download(&key("f")).unwrap();
    let mut bytes = Vec::new();
    read_until_storages_are_asked(&mut download, &mut bytes);
    assert!(!bytes.is_empty() && content(LEN).starts_with(&bytes));
    let asked = breaking.requests().len();
    assert_eq!(download.offset(), bytes.len() as u64);
    download.read_ready(&mut [0; 512]).unwrap();
    assert!(breaking.requests().len() > asked);
}

#[test]
fn a_read_that_does_not_wait_leaves_the_check_of_the_last_bytes_to_the_next_read() {
    let file = [content(500), failure_frame()].concat();
    let memory = memory_with(&key("f"), &file);
    let storage = cpp_storage(&memory, |_, _| Act::Serve);
    let (_tracker, client) = cluster(&[&storage]);
    let mut download = client.download(&key("f")).unwrap();
    let mut bytes = Vec::new();
    read_until_storages_are_asked(&mut download, &mut bytes);
    let asked = storage.requests().len();
    assert_eq!(storage.requests().last(), Some(&"download"));
    while download.remaining() > 0 {
        let mut buf = [0; 512];
        if let Some(n) = download.read_ready(&mut buf).unwrap() {
            bytes.extend(&buf[..n]);
        }
    }
    assert!(bytes == file);
    assert_eq!(storage.requests().len(), asked + 1);
}
