//! Files that expire, and names of files.

use std::time::{SystemTime, UNIX_EPOCH};

use base::units::Period;
use proto::ErrorCode;
use proto::file_list::{FileList, ListRequest, UsagePart};
use proto::storage::{
    Attributes, Download, RangeSpec, Read, StorageRequest, Store, Upload, encode_file_size,
};
use test_support::until;

use super::support::{Client, Node, code, key};

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() as i64
}

fn store(client: &mut Client, file: &str, expires: Option<i64>, name: Option<&str>) -> Store {
    let upload = Upload {
        key: key(file),
        size: 7,
    };
    let name = name.map(|name| name.parse().unwrap());
    let store = Store {
        upload,
        attributes: Attributes { expires, name },
    };
    let request = StorageRequest::Store(Box::new(store.clone())).encode();
    let body = client.send(&[&request[..], b"content"].concat()).unwrap();
    assert!(body.is_empty());
    store
}

/// All requests for the file.
fn requests(file: &str) -> Vec<StorageRequest> {
    let key = key(file);
    vec![
        StorageRequest::FileSize(key.clone()),
        StorageRequest::Stat(key.clone()),
        StorageRequest::Attributes(key.clone()),
        StorageRequest::Download(Download {
            key: key.clone(),
            offset: 0,
            size: 0,
        }),
        StorageRequest::Read(Read {
            key,
            range: RangeSpec::WHOLE,
        }),
    ]
}

fn list() -> ListRequest {
    ListRequest {
        app: key("x").app,
        user: key("x").user,
        prefix: None,
        since: 0,
        after: String::new(),
    }
}

#[test]
fn a_file_with_attributes_tells_them() {
    let node = Node::start();
    let mut client = node.client();
    let expires = now() + 3600;
    let stored = [
        store(&mut client, "a", Some(expires), Some("Der Film ü.mp4")),
        store(&mut client, "b", None, Some("b.mp4")),
        store(&mut client, "c", None, None),
    ];
    for store in stored {
        let file = store.upload.key.file.as_str();
        let request = StorageRequest::Attributes(key(file)).encode();
        let body = client.send(&request).unwrap();
        assert_eq!(Attributes::decode(&body).unwrap(), store.attributes);
        assert_eq!(client.stat(file).unwrap().expires, file == "a");
        assert_eq!(client.download(file, 0, 0).unwrap(), b"content");
    }
    client.upload("plain", b"content").unwrap();
    assert!(!client.stat("plain").unwrap().expires);
}

#[test]
fn an_expired_file_does_not_exist_and_is_deleted() {
    let node = Node::start_with(|config| config.expiry.interval = Period::from_secs(1));
    let peer = node.peer();
    let mut clients = [node.client(), peer.client()];
    let expires = now() + 2;
    store(&mut clients[0], "short", Some(expires), None);
    store(&mut clients[0], "long", Some(expires + 3600), None);
    // Both have the row and the file at hand.
    for client in &mut clients {
        assert_eq!(client.download("short", 0, 0).unwrap(), b"content");
    }
    until("the file has expired", || {
        let was_early = now() < expires;
        let found = clients[1].stat("short");
        assert!(found.is_ok() || now() >= expires, "gone too early");
        assert!(
            found.is_err() || was_early || now() <= expires,
            "gone too late"
        );
        found.is_err()
    });
    for client in &mut clients {
        for request in requests("short") {
            assert_eq!(code(client.send(&request.encode())), ErrorCode::NotFound);
        }
    }
    until("the file is deleted", || node.files().len() == 1);
    clients[0].upload("short", b"another").unwrap();
    assert_eq!(clients[1].download("short", 0, 0).unwrap(), b"another");
}

#[test]
fn an_expired_file_that_is_not_deleted_yet_is_in_no_list() {
    let node = Node::start_with(|config| config.expiry.interval = Period::from_secs(3600));
    let mut client = node.client();
    let expires = now() + 2;
    store(&mut client, "short", Some(expires), None);
    store(&mut client, "long", Some(expires + 3600), None);
    until("the file has expired", || now() >= expires);
    let listed = client.send(&StorageRequest::List(Box::new(list())).encode());
    let FileList { files, .. } = FileList::decode(&listed.unwrap()).unwrap();
    let ids: Vec<String> = files.iter().map(|file| file.id.to_string()).collect();
    assert_eq!(ids, ["long"]);
    let usage = client.send(&StorageRequest::Usage(Box::new(list())).encode());
    assert_eq!(UsagePart::decode(&usage.unwrap()).unwrap().files, 1);
    assert_eq!(node.files().len(), 2);
    let refusal = client.upload("short", b"another");
    assert_eq!(code(refusal), ErrorCode::Unavailable);
    client.delete("short").unwrap();
    client.upload("short", b"another").unwrap();
    let size = StorageRequest::FileSize(key("short")).encode();
    assert_eq!(client.send(&size).unwrap(), encode_file_size(7));
}

#[test]
fn no_file_expires_in_the_past() {
    let node = Node::start();
    let mut client = node.client();
    let attributes = Attributes {
        expires: Some(now()),
        name: None,
    };
    let upload = Upload {
        key: key("x"),
        size: 7,
    };
    let store = StorageRequest::Store(Box::new(Store { upload, attributes })).encode();
    let refusal = client.send(&[&store[..], b"content"].concat()).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::BadRequest);
    assert!(refusal.message.contains("in the past"), "{refusal}");
    assert!(node.files().is_empty());
}
