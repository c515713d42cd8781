//! The settings of a new configuration that a running storage takes on.

use base::units::{ByteSize, Period};
use proto::ErrorCode;
use storage::{Config, Reserve};

use super::support::{Node, code};
use test_support::until;

fn reload(node: &mut Node, change: impl FnOnce(&mut Config)) {
    change(&mut node.config);
    let storage = node.storage.as_mut().unwrap();
    storage.reload(&node.config).unwrap();
}

#[test]
fn another_reserve_counts_at_once() {
    let mut node = Node::start();
    let mut client = node.client();
    client.upload("before", b"content").unwrap();
    let huge = Reserve::Bytes(ByteSize::new(1 << 60));
    reload(&mut node, |config| config.reserved_space = huge);
    assert_eq!(code(client.upload("full", b"content")), ErrorCode::NoSpace);
    let none = Reserve::Bytes(ByteSize::new(0));
    reload(&mut node, |config| config.reserved_space = none);
    until("there is room again", || {
        node.client().upload("after", b"content").is_ok()
    });
}

#[test]
fn another_cache_begins_empty() {
    let mut node = Node::start();
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    client.size("a").unwrap();
    let database = node.folder.path().join("storage.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.execute("DELETE FROM t_file_02", ()).unwrap();
    reload(&mut node, |config| {
        config.reserved_space = Reserve::Percent(0)
    });
    assert_eq!(client.size("a"), Ok(7));
    reload(&mut node, |config| config.cache.ttl = Period::from_secs(60));
    assert_eq!(code(client.size("a")), ErrorCode::NotFound);
}
