//! DELETE, and STAT with and without C++ storages.

use std::sync::Arc;

use client::{ErrorKind, Stat, checksum_of};
use proto::ErrorCode;
use proto::storage::StorageRequest;
use test_peers::recorded::exchange;
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage, Memory};
use test_peers::support::{cluster, content, key};

#[test]
fn stat_tells_what_the_storage_knows() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(1000)));
    let (_tracker, client) = cluster(&[&storage]);
    let expected = Stat {
        size: 1000,
        modified: Some(1_700_000_000),
        checksum: Some(checksum_of(&mut content(1000).as_slice()).unwrap()),
        expires: false,
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
    // By closing once a storage says nothing: only by closing twice in a row.
    for (act, n_stats) in [
        (Act::RefuseAndClose(ErrorCode::Unknown), 1),
        (Act::Close, 2),
    ] {
        let cpp = FakeStorage::start(&memory, move |_, request| match request {
            StorageRequest::Stat(_) => act.clone(),
            _ => Act::Serve,
        });
        let (_tracker, client) = cluster(&[&cpp]);
        let expected = Stat {
            size: 1000,
            modified: None,
            checksum: None,
            expires: false,
        };
        for _ in 0..3 {
            assert_eq!(client.stat(&key("f")).unwrap(), expected);
        }
        let expected = [vec!["stat"; n_stats], vec!["filesize"; 3]].concat();
        assert_eq!(cpp.requests(), expected);
    }
}

#[test]
fn a_storage_that_merely_broke_is_asked_for_stat_again() {
    let memory = memory_with(&key("f"), &content(1000));
    for n_breaks in [1, 2, 3] {
        let failing = FakeStorage::start(&memory, move |number, _| match number {
            n if n < n_breaks => Act::Close,
            _ => Act::Serve,
        });
        let (_tracker, client) = cluster(&[&failing]);
        let first = client.stat(&key("f"));
        match n_breaks {
            1 => assert!(first.unwrap().checksum.is_some()),
            2 => assert_eq!(first.unwrap().checksum, None),
            _ => assert_eq!(first.unwrap_err().kind(), ErrorKind::Network),
        }
        // Only two breaks and a FILESIZE that works mean that it lacks STAT.
        let again = client.stat(&key("f")).unwrap();
        assert_eq!(again.checksum.is_some(), n_breaks != 2);
    }
}

#[test]
fn a_restart_between_two_stats_does_not_mean_that_it_lacks_stat() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(1000)));
    let (_tracker, client) = cluster(&[&storage]);
    for _ in 0..3 {
        assert!(client.stat(&key("f")).unwrap().checksum.is_some());
        storage.fake.close_connections();
    }
    assert_eq!(storage.requests(), ["stat"; 3]);
}

#[test]
fn what_a_cpp_storage_says_of_a_missing_file_is_not_found() {
    let missing = |command| exchange("storage", command, false).response;
    let (size, delete) = (missing("filesize"), missing("delete"));
    let cpp = FakeStorage::start(
        &Arc::new(Memory::default()),
        move |_, request| match request {
            StorageRequest::Delete(_) => Act::Raw(delete.clone()),
            StorageRequest::Stat(_) => Act::RefuseAndClose(ErrorCode::Unknown),
            _ => Act::Raw(size.clone()),
        },
    );
    let (_tracker, client) = cluster(&[&cpp]);
    let kind = |error: client::Error| error.kind();
    assert_eq!(
        kind(client.file_size(&key("f")).unwrap_err()),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(client.stat(&key("f")).unwrap_err()),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(client.delete(&key("f")).unwrap_err()),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(client.download(&key("f")).unwrap_err()),
        ErrorKind::NotFound
    );
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
