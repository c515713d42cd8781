//! Rows that a storage finds and that are not of its group, or not of the user who asks.

use std::io::Write;

use daemon::status::StatusConfig;
use proto::storage::{RangeSpec, Read, StorageRequest, encode_file_size};
use proto::{ErrorCode, Fault, FileKey};

use super::support::{Client, Node, code, key, upload_head};
use test_support::until;

const LARGE: u64 = 1 << 20;

fn set_group(node: &Node, group: Option<&str>) {
    let database = node.folder.path().join("storage.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let sql = "UPDATE t_file_02 SET group_name = ?1";
    assert_eq!(connection.execute(sql, [group]).unwrap(), 1);
}

fn read(client: &mut Client, file: &str) -> Result<Vec<u8>, Fault> {
    let read = Read {
        key: key(file),
        range: RangeSpec::WHOLE,
    };
    client.send(&StorageRequest::Read(read).encode())
}

/// Only the head is sent: what comes back was told before the content.
fn upload_large(node: &Node, file: &str) -> Result<Vec<u8>, Fault> {
    node.client().send(&upload_head(file, LARGE))
}

#[test]
fn a_file_of_another_group_is_not_served_and_its_group_is_told() {
    let node = Node::start_with(|config| {
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
    });
    let mut client = node.client();
    client.upload("x", b"content").unwrap();
    set_group(&node, Some("group002"));
    let refusals = [
        client.size("x").map(drop),
        client.stat("x").map(drop),
        client.download("x", 0, 0).map(drop),
        read(&mut client, "x").map(drop),
        client.delete("x"),
    ];
    for refusal in refusals {
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Unavailable, "{refusal}");
        assert!(refusal.message.contains("group group002"), "{refusal}");
    }
    for refusal in [
        client.upload("x", b"content").unwrap_err(),
        upload_large(&node, "x").unwrap_err(),
    ] {
        assert_eq!(refusal.code, ErrorCode::Exists, "{refusal}");
        assert!(refusal.message.contains("in group group002"), "{refusal}");
    }
    let metrics = node.page("/metrics");
    assert!(
        metrics.contains("tnv_storage_foreign_rows_total 7"),
        "{metrics}"
    );
    assert!(node.page("/healthz").contains("files of group group002"));
    // Rows of the C++ system name no group.
    set_group(&node, None);
    assert_eq!(client.download("x", 0, 0).unwrap(), b"content");
    client.delete("x").unwrap();
    assert!(node.files().is_empty());
}

#[test]
fn users_of_one_table_have_files_of_the_same_id() {
    let node = Node::start();
    let mut client = node.client();
    // Users of one table.
    let theirs = FileKey {
        user: "alice".parse().unwrap(),
        ..key("x")
    };
    let upload = proto::storage::Upload {
        key: theirs.clone(),
        size: 7,
    };
    let head = StorageRequest::Upload(upload).encode();
    client.0.write_all(&head).unwrap();
    client.send(b"content").unwrap();
    assert_eq!(code(client.stat("x")), ErrorCode::NotFound);
    client.upload("x", b"other").unwrap();
    assert_eq!(code(client.upload("x", b"third")), ErrorCode::Exists);
    assert_eq!(client.download("x", 0, 0).unwrap(), b"other");
    client.delete("x").unwrap();
    let of_alice = StorageRequest::FileSize(theirs).encode();
    assert_eq!(client.send(&of_alice).unwrap(), encode_file_size(7));
    assert_eq!(node.files().len(), 1);
}

#[test]
fn an_id_under_deletion_is_found_however_many_there_are() {
    let node = Node::start();
    let mut client = node.client();
    client.upload("first", b"content").unwrap();
    let database = node.folder.path().join("storage.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    // More than are looked at in one go, of files that cannot be removed: a folder in the way.
    let stuck = format!("{}/000/000/000", node.config.store_paths[0]);
    let sql = "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 10000) \
        INSERT INTO t_file_02 (id, appid, userid, status, file_path, file_size, group_name) \
        SELECT 'a' || n, 'tnvideo', 'tnv001', 1, ?1, 7, 'group001' FROM n";
    assert_eq!(connection.execute(sql, [stuck]).unwrap(), 10_001);
    client.upload("the last", b"content").unwrap();
    let sql = "UPDATE t_file_02 SET status = 1 WHERE id = 'the last'";
    assert_eq!(connection.execute(sql, ()).unwrap(), 1);
    for refusal in [
        client.upload("the last", b"content").unwrap_err(),
        upload_large(&node, "the last").unwrap_err(),
    ] {
        assert_eq!(refusal.code, ErrorCode::Unavailable, "{refusal}");
        assert!(refusal.message.contains("still being deleted"), "{refusal}");
    }
    // Who deletes it again finishes the deletion.
    client.delete("the last").unwrap();
    until("the id is free", || {
        node.client().upload("the last", b"another").is_ok()
    });
}
