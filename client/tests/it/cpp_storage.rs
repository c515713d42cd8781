//! A C++ storage that cannot read on writes a failure into the content and closes.

use std::io::Read;
use std::sync::Arc;

use client::{Client, Error, ErrorKind};
use proto::storage::{REPLY, StorageRequest};
use proto::{ErrorCode, Fault, Head};

use crate::cli::{Setup, code, stderr};
use crate::storage::{Act, FakeStorage, Memory};
use crate::support::{cluster, content, key, memory_with};

const LEN: usize = 3000;

/// As a C++ storage encodes it; 55 bytes.
fn frame() -> Vec<u8> {
    let text = format!("read file fail{}", "!".repeat(22));
    let frame = Fault::new(ErrorCode::Unknown, text).encode(REPLY, "cpp");
    assert_eq!(frame.len(), 55);
    frame
}

/// Knows the commands of the C++ system only, and is asked for each DOWNLOAD what to do.
fn cpp(
    memory: &Arc<Memory>,
    script: impl Fn(u64, u64) -> Act + Send + Sync + 'static,
) -> FakeStorage {
    FakeStorage::start(memory, move |_, request| match request {
        StorageRequest::Read(_) | StorageRequest::Stat(_) => {
            Act::RefuseAndClose(ErrorCode::Unknown)
        }
        StorageRequest::Download(range) => script(range.offset, range.size),
        _ => Act::Serve,
    })
}

/// Sends the file up to byte `good`, the failure, and closes.
fn failing_at(memory: &Arc<Memory>, good: usize) -> FakeStorage {
    cpp(memory, move |offset, size| {
        let offset = offset as usize;
        let len = match size {
            0 => LEN - offset,
            size => size as usize,
        };
        let head = Head::reply(REPLY, len as u64).encode();
        let part = content(LEN)[offset.min(good)..good.max(offset)].to_vec();
        Act::RawAndClose([head.to_vec(), part, frame()].concat())
    })
}

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
        let failing = failing_at(&memory, good);
        let next = cpp(&memory, |_, _| Act::Serve);
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
    let failing = failing_at(&memory, 2000);
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
    let like_one = [content(500), frame()].concat();
    let in_the_middle = [content(500), frame(), content(70_000)].concat();
    for file in [zeros, like_one, in_the_middle, vec![0]] {
        let memory = memory_with(&key("f"), &file);
        let storage = cpp(&memory, |_, _| Act::Serve);
        let (_tracker, client) = cluster(&[&storage]);
        let (bytes, read) = read_all(&client);
        assert_eq!(read.unwrap(), file.len());
        assert!(bytes == file);
    }
}

#[test]
fn what_a_broken_storage_sent_before_is_kept() {
    let memory = memory_with(&key("f"), &content(LEN));
    let breaking = cpp(&memory, |offset, _| match offset {
        0 => Act::CutAfter(600),
        offset => panic!("asked from byte {offset} on"),
    });
    let next = cpp(&memory, |offset, _| {
        assert_eq!(offset, 600, "content is asked for again");
        Act::Serve
    });
    let (_tracker, client) = cluster(&[&breaking, &next]);
    let (bytes, read) = read_all(&client);
    assert_eq!(read.unwrap(), LEN);
    assert!(bytes == content(LEN));
}

#[test]
fn the_command_line_goes_on_at_the_next_storage() {
    let memory = memory_with(&key("f"), &content(LEN));
    let failing = failing_at(&memory, 2000);
    let next = cpp(&memory, |_, _| Act::Serve);
    let setup = Setup::new(&[&failing, &next]);
    let output = setup.run(&["download", "f"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(setup.read("f").unwrap() == content(LEN));
}
