//! The Unix socket that passes open files.

use std::io::Read;

use proto::ErrorCode;
use proto::storage::{LocalSocket, Open, StorageRequest};
use test_peers::storage::{Act, FakeStorage, memory_with, socket_reply};
use test_peers::support::{cluster, content, key};

use crate::support::{Node, code};

fn socket_of(node: &Node) -> LocalSocket {
    let request = StorageRequest::LocalSocket.encode();
    let body = node.client().send(&request).unwrap();
    LocalSocket::decode(&body).unwrap().unwrap()
}

#[test]
fn a_client_is_not_led_to_the_socket_of_another_storage() {
    let other = Node::start();
    let memory = memory_with(&key("f"), &content(1000));
    // As if its port were forwarded from another machine, where its socket has the same path.
    let led_to = LocalSocket {
        id: [1; 16],
        ..socket_of(&other)
    };
    let socket = Act::Raw(socket_reply(&led_to.encode()));
    let storage = FakeStorage::start_with_socket(&memory, socket, |_, _| Act::Serve);
    let (_tracker, client) = cluster(&[&storage]);
    let mut bytes = Vec::new();
    let mut download = client.download(&key("f")).unwrap();
    download.read_to_end(&mut bytes).unwrap();
    assert!(bytes == content(1000));
    assert_eq!(storage.requests(), ["read"]);
}

#[test]
fn each_start_of_a_storage_has_a_socket_of_its_own() {
    let mut node = Node::start();
    let first = socket_of(&node);
    node.restart();
    let second = socket_of(&node);
    assert_eq!(first.path, second.path);
    assert_ne!(first.id, second.id);
    let open = StorageRequest::Open(Open {
        key: key("f"),
        socket: second.id,
    });
    let over_tcp = node.client().send(&open.encode());
    assert_eq!(code(over_tcp), ErrorCode::BadRequest);
}
