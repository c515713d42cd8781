//! Files that expire or have a name.

use std::io::Cursor;

use client::{Client, Error, ErrorKind};
use proto::storage::Attributes;
use test_peers::cpp::cpp_storage;
use test_peers::storage::{Act, FakeStorage, Memory};
use test_peers::support::{cluster, content, key};

fn attributes(expires: Option<i64>) -> Attributes {
    Attributes {
        expires,
        name: Some("film.mp4".parse().unwrap()),
    }
}

fn store(client: &Client, id: &str, attributes: &Attributes) -> Result<(), Error> {
    let mut source = Cursor::new(content(1000));
    let stored = client.upload_with(&key(id), attributes, &mut source, 1000, &mut |_| ());
    stored.map(drop)
}

#[test]
fn a_storage_keeps_attributes_and_tells_them() {
    let memory = Default::default();
    let storage = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&storage]);
    store(&client, "f", &attributes(Some(4_000_000_000))).unwrap();
    store(&client, "plain", &Attributes::default()).unwrap();
    assert_eq!(storage.requests(), ["store", "upload"]);
    let found = client.attributes(&key("f")).unwrap();
    assert_eq!(found, attributes(Some(4_000_000_000)));
    assert!(client.stat(&key("f")).unwrap().expires);
    assert!(!client.stat(&key("plain")).unwrap().expires);
    assert!(client.attributes(&key("plain")).unwrap().is_empty());
}

#[test]
fn a_cpp_storage_gets_no_name_and_no_file_that_would_never_expire() {
    let memory = std::sync::Arc::<Memory>::default();
    let cpp = cpp_storage(&memory, |_, _| Act::Serve);
    let (_tracker, client) = cluster(&[&cpp]);
    let refused = store(&client, "f", &attributes(Some(4_000_000_000))).unwrap_err();
    assert!(matches!(refused, Error::Unsupported { .. }), "{refused:?}");
    assert_eq!(memory.get(&key("f")), None);
    store(&client, "f", &attributes(None)).unwrap();
    assert_eq!(memory.get(&key("f")), Some(content(1000)));
    // It is remembered: the next one is sent once.
    let n_before = cpp.requests().len();
    store(&client, "g", &attributes(None)).unwrap();
    assert_eq!(cpp.requests()[n_before..], ["upload"]);
    assert!(client.attributes(&key("f")).unwrap().is_empty());
    let missing = client.attributes(&key("missing")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn a_file_that_is_to_expire_is_stored_where_that_is_known() {
    let memory = std::sync::Arc::<Memory>::default();
    let cpp = cpp_storage(&memory, |_, _| Act::Serve);
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&cpp, &good]);
    for id in ["a", "b", "c", "d"] {
        store(&client, id, &attributes(Some(4_000_000_000))).unwrap();
    }
    assert_eq!(good.requests(), ["store"; 4]);
}

#[test]
fn a_stale_connection_costs_no_name() {
    let memory = std::sync::Arc::<Memory>::default();
    let storage = FakeStorage::start(&memory, |number, _| match number {
        // The second upload.
        2 => Act::Close,
        _ => Act::Serve,
    });
    let (_tracker, client) = cluster(&[&storage]);
    for id in ["a", "b"] {
        store(&client, id, &attributes(None)).unwrap();
        assert_eq!(
            client.attributes(&key(id)).unwrap(),
            attributes(None),
            "{id}"
        );
    }
    let stored = storage
        .requests()
        .into_iter()
        .filter(|name| *name != "attributes");
    assert_eq!(stored.collect::<Vec<_>>(), ["store"; 3]);
}
