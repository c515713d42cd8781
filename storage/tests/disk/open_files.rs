//! Files that the storage keeps open after a read.

use std::fs;

use proto::ErrorCode;
use test_disk::SmallDisk;

use super::node::{Node, content, folder};
use super::support::code;
use test_support::until;

/// Reads of files that were open, and of others.
fn reads(node: &Node) -> [u64; 2] {
    let page = node.page("/metrics");
    ["hits", "misses"].map(|kind| {
        let name = format!("tnv_cache_{kind}_total{{cache=\"open_files\"}} ");
        let mut lines = page.text().lines();
        let found = lines.find_map(|line| line.strip_prefix(&name));
        found.unwrap().trim().parse().unwrap()
    })
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_file_that_was_read_is_open_for_a_while_and_then_the_volume_can_be_unmounted() {
    let folder = folder();
    let disk = SmallDisk::mount(&folder.path().join("a"), 24 << 20).unwrap();
    let node = Node::start(folder, &["a"], "0B");
    let mut client = node.client();
    client.upload("f", &content(70_000)).unwrap();
    let before = reads(&node);
    for _ in 0..10 {
        assert_eq!(client.download("f", 0, 0).unwrap(), content(70_000));
    }
    let [hits, misses] = reads(&node);
    assert_eq!([hits - before[0], misses - before[1]], [9, 1]);
    let took = until("the volume is unmounted", || disk.unmount().is_ok());
    eprintln!("unmounted {took:?} after the last read");
    assert_eq!(code(client.download("f", 0, 0)), ErrorCode::Unavailable);
}

#[test]
fn a_file_that_was_read_is_gone_when_it_is_deleted_or_removed() {
    let node = Node::start(folder(), &["a"], "0B");
    let mut client = node.client();
    let mut read = |file: &str| {
        client.upload(file, &content(1000)).unwrap();
        client.download(file, 0, 0).unwrap();
        client.download(file, 0, 0).unwrap();
    };
    read("removed");
    fs::remove_file(&node.files("a")[0]).unwrap();
    read("deleted");
    let hits = reads(&node)[0];
    assert!(hits >= 2, "{hits} reads of files that were open");
    client.delete("deleted").unwrap();
    assert_eq!(code(client.download("deleted", 0, 0)), ErrorCode::NotFound);
    assert_eq!(code(client.download("removed", 0, 0)), ErrorCode::Damaged);
}
