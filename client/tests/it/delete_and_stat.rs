//! DELETE, and STAT with and without C++ storages.

use std::sync::Arc;

use client::{ErrorKind, Stat, checksum_of};
use proto::ErrorCode;
use proto::storage::StorageRequest;

use crate::storage::{Act, FakeStorage, Memory};
use crate::support::{cluster, content, key, memory_with};

#[test]
fn stat_tells_what_the_storage_knows() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(1000)));
    let (_tracker, client) = cluster(&[&storage]);
    let expected = Stat {
        size: 1000,
        modified: Some(1_700_000_000),
        checksum: Some(checksum_of(&mut content(1000).as_slice()).unwrap()),
    };
    assert_eq!(client.stat(&key("f")).unwrap(), expected);
    assert_eq!(
        client.stat(&key("g")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_cpp_storage_is_asked_for_stat_once() {
    let memory = memory_with(&key("f"), &content(1000));
    for act in [Act::RefuseAndClose(ErrorCode::Unknown), Act::Close] {
        let cpp = FakeStorage::start(&memory, move |_, request| match request {
            StorageRequest::Stat(_) => act.clone(),
            _ => Act::Serve,
        });
        let (_tracker, client) = cluster(&[&cpp]);
        let expected = Stat {
            size: 1000,
            modified: None,
            checksum: None,
        };
        for _ in 0..3 {
            assert_eq!(client.stat(&key("f")).unwrap(), expected);
        }
        assert_eq!(cpp.requests(), ["stat", "filesize", "filesize", "filesize"]);
    }
}

#[test]
fn a_storage_that_merely_failed_is_asked_for_stat_again() {
    let memory = memory_with(&key("f"), &content(1000));
    let failing = FakeStorage::start(&memory, |number, _| match number {
        0 | 1 => Act::Close,
        _ => Act::Serve,
    });
    let (_tracker, client) = cluster(&[&failing]);
    assert_eq!(
        client.stat(&key("f")).unwrap_err().kind(),
        ErrorKind::Network
    );
    assert!(client.stat(&key("f")).unwrap().checksum.is_some());
    assert_eq!(failing.requests(), ["stat", "filesize", "stat"]);
}

#[test]
fn delete_removes_and_says_when_there_is_nothing() {
    let memory = memory_with(&key("f"), &content(10));
    let storage = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&storage]);
    client.delete(&key("f")).unwrap();
    assert_eq!(memory.get(&key("f")), None);
    assert_eq!(
        client.delete(&key("f")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_delete_that_was_done_without_an_answer_is_a_success() {
    for act in [Act::ServeAndClose, Act::ServeAndFallSilent] {
        let memory = memory_with(&key("f"), &content(10));
        let dying = FakeStorage::start(&memory, move |_, _| act.clone());
        let good = FakeStorage::good(&memory);
        let (_tracker, client) = cluster(&[&dying, &good]);
        client.delete(&key("f")).unwrap();
        assert_eq!(good.requests(), ["delete"]);
    }
}

#[test]
fn a_delete_done_on_a_stale_connection_is_a_success() {
    let memory = memory_with(&key("f"), &content(10));
    let storage = FakeStorage::start(&memory, |number, _| match number {
        1 => Act::ServeAndClose,
        _ => Act::Serve,
    });
    let (_tracker, client) = cluster(&[&storage]);
    client.file_size(&key("f")).unwrap();
    client.delete(&key("f")).unwrap();
    assert_eq!(storage.requests(), ["filesize", "delete", "delete"]);
}

#[test]
fn a_delete_refused_everywhere_is_not_found_only_if_one_says_so() {
    let memory = Arc::new(Memory::default());
    let busy = FakeStorage::start(&memory, |_, _| Act::Refuse(ErrorCode::ReadOnly));
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&busy, &good]);
    assert_eq!(
        client.delete(&key("f")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}
