//! Requests whose client has gone on: what they would do now has no effect.

use std::fs::File;
use std::io::Write;

use proto::ErrorCode;
use proto::storage::StorageRequest;
use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};
use test_support::until;

use super::support::{Node, code, key, upload_head};

/// A database that takes no writes, as one that hangs.
struct Hung {
    connection: Connection,
    lock: File,
}

impl Hung {
    fn of(node: &Node) -> Hung {
        let path = node.folder.path().join("storage.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let lock = File::open(path.with_extension("db.lock")).unwrap();
        Hung { connection, lock }
    }

    /// Whether the storage is about to write: it holds the writers' lock.
    fn is_waited_for(&self) -> bool {
        if flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return true;
        }
        flock(&self.lock, FlockOperation::Unlock).unwrap();
        false
    }

    /// Goes on, until the storage has written what waited.
    fn go_on(self) {
        self.connection.execute_batch("ROLLBACK").unwrap();
        until("the storage has written", || !self.is_waited_for());
    }
}

#[test]
fn an_upload_whose_client_has_left_makes_no_row() {
    for len in [7, 100_000] {
        let node = Node::start();
        let database = Hung::of(&node);
        let mut client = node.client();
        client.0.write_all(&upload_head("x", len)).unwrap();
        client.0.write_all(&vec![7; len as usize]).unwrap();
        until("the row waits", || database.is_waited_for());
        drop(client);
        database.go_on();
        until("the file is gone", || node.files().is_empty());
        assert_eq!(code(node.client().size("x")), ErrorCode::NotFound);
        node.client().upload("x", b"another").unwrap();
        assert_eq!(node.client().download("x", 0, 0).unwrap(), b"another");
    }
}

#[test]
fn an_upload_whose_client_waits_for_a_slow_database_is_stored() {
    let node = Node::start();
    let database = Hung::of(&node);
    let mut client = node.client();
    client.0.write_all(&upload_head("x", 7)).unwrap();
    client.0.write_all(b"content").unwrap();
    until("the row waits", || database.is_waited_for());
    database.go_on();
    client.receive().unwrap();
    assert_eq!(client.download("x", 0, 0).unwrap(), b"content");
}

#[test]
fn a_deletion_whose_client_has_left_leaves_the_file() {
    let node = Node::start();
    node.client().upload("x", b"content").unwrap();
    let database = Hung::of(&node);
    let mut client = node.client();
    let request = StorageRequest::Delete(key("x")).encode();
    client.0.write_all(&request).unwrap();
    until("the deletion waits", || database.is_waited_for());
    drop(client);
    database.go_on();
    assert_eq!(node.client().download("x", 0, 0).unwrap(), b"content");
    node.client().delete("x").unwrap();
    assert!(node.files().is_empty());
}
