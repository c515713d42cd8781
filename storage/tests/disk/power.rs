//! A power cut, which takes what was not synced.

use super::node::{Node, content, faulty_disk, folder};

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_file_and_the_identity_outlast_a_power_cut_right_after_the_first_start() {
    let folder = folder();
    let disk = faulty_disk(&folder, 64 << 20);
    // All folders are new: those above the store path and the state file, and those of the file.
    let state = "state_file = \"a/lib/tnv/state\"\n";
    let mut node = Node::start_with(folder, &["a/srv/data"], "0B", state);
    node.client().upload("kept", &content(100_000)).unwrap();
    assert!(node.log().contains("this storage is node "));
    node.kill();
    disk.cut_power();
    node.restart();
    let kept = node.client().download("kept", 0, 0).unwrap();
    assert_eq!(kept, content(100_000));
    assert!(!node.log().contains("this storage is node "), "a new id");
    drop((disk, node));
}
