//! Lists of files.

use std::sync::Arc;

use client::{Client, Error, ErrorKind, ListQuery, Usage};
use proto::storage::StorageRequest;
use proto::{ErrorCode, FileKey};
use test_peers::cpp::cpp_storage;
use test_peers::storage::{Act, FakeStorage, Memory};
use test_peers::support::{cluster, content, key};

/// Files `f0` to `f7` of `alice`, which a fake storage lists in three parts, and one of another user.
fn memory() -> Arc<Memory> {
    let memory = Arc::new(Memory::default());
    let mut files = memory.files.lock().unwrap();
    for n in 0..8 {
        files.insert(key(&format!("f{n}")), content(n));
    }
    let other = FileKey {
        user: "bob".parse().unwrap(),
        ..key("g")
    };
    files.insert(other, content(1000));
    drop(files);
    memory
}

fn query(prefix: &str) -> ListQuery {
    let FileKey { app, user, .. } = key("x");
    ListQuery {
        app,
        user,
        prefix: (!prefix.is_empty()).then(|| prefix.parse().unwrap()),
        since: None,
    }
}

fn ids(client: &Client, query: ListQuery) -> Result<Vec<String>, Error> {
    let files = client.list(query);
    files.map(|file| Ok(file?.id.to_string())).collect()
}

#[test]
fn lists_and_sums_are_complete() {
    let storage = FakeStorage::good(&memory());
    let (_tracker, client) = cluster(&[&storage]);
    let all = ids(&client, query("")).unwrap();
    assert_eq!(all, (0..8).map(|n| format!("f{n}")).collect::<Vec<_>>());
    assert_eq!(storage.requests(), ["list"; 3]);
    assert_eq!(ids(&client, query("f3")).unwrap(), ["f3"]);
    let sums = client.usage(query("")).unwrap();
    assert_eq!((sums.files, sums.bytes), (8, 28));
    let later = ListQuery {
        since: Some(1_700_000_001),
        ..query("")
    };
    assert_eq!(client.usage(later).unwrap(), Usage::default());
}

#[test]
fn another_storage_goes_on_where_one_fails() {
    let memory = memory();
    let failing = FakeStorage::start(&memory, |number, request| match request {
        StorageRequest::List(_) if number == 0 => Act::Serve,
        _ => Act::Refuse(ErrorCode::Busy),
    });
    let good = FakeStorage::good(&memory);
    let (tracker, _) = cluster(&[&failing, &good]);
    for _ in 0..4 {
        let client = Client::new(test_peers::support::config(&tracker));
        assert_eq!(ids(&client, query("")).unwrap().len(), 8);
    }
}

#[test]
fn a_storage_without_lists_is_remembered() {
    let memory = memory();
    let cpp = cpp_storage(&memory, |_, _| Act::Serve);
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&cpp, &good]);
    for _ in 0..4 {
        assert_eq!(ids(&client, query("")).unwrap().len(), 8);
    }
    let n_lists = cpp
        .requests()
        .iter()
        .filter(|name| **name == "list")
        .count();
    assert!(n_lists <= 1, "{:?}", cpp.requests());

    let (_tracker, client) = cluster(&[&cpp]);
    for _ in 0..2 {
        let error = client.usage(query("")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown);
        assert!(error.to_string().contains("does not know LIST"), "{error}");
    }
}

#[test]
fn a_refusal_ends_the_list_once() {
    let storage = FakeStorage::start(&memory(), |_, _| Act::Refuse(ErrorCode::Forbidden));
    let (_tracker, client) = cluster(&[&storage]);
    let items: Vec<_> = client.list(query("")).collect();
    assert_eq!(items.len(), 1);
    let error = items[0].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
}
