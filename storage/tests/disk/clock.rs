//! A file system with another clock than this machine.

use std::fs;
use std::time::Duration;

use super::node::{Node, faulty_disk, folder};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn an_orphan_is_as_old_as_the_clock_of_its_file_system_says() {
    let folder = folder();
    let disk = faulty_disk(&folder, 64 << 20);
    disk.set_behind(10 * HOUR);
    let node = Node::start(folder, &["a"], "0B");
    node.client().upload("kept", b"content").unwrap();
    // Neither file has a row. Two hours go by between them.
    fs::write(node.path("a/000/000/000/5F9E3FA7_1FE"), b"old").unwrap();
    disk.set_behind(8 * HOUR);
    fs::write(node.path("a/000/000/000/5F9E3FA7_1FF"), b"new").unwrap();
    let listed = node.list_orphans();
    assert!(listed.contains("5F9E3FA7_1FE"), "{listed}");
    assert!(!listed.contains("5F9E3FA7_1FF"), "{listed}");
    drop((disk, node));
}
