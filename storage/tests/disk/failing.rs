//! Disks that refuse.

use proto::ErrorCode;
use test_disk::{FaultyDisk, Operation};

use super::node::{Node, content, folder};
use super::support::code;
use test_support::until;

const EIO: i32 = 5;
const EDQUOT: i32 = 122;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

fn on_one_disk() -> (Node, FaultyDisk) {
    let folder = folder();
    let disk = FaultyDisk::mount(&folder.path().join("a"), 64 << 20).unwrap();
    let node = Node::start(folder, &["a"], "0B");
    node.client().upload("kept", &content(100_000)).unwrap();
    (node, disk)
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_disk_that_takes_no_writes_serves_until_it_takes_them_again() {
    let (node, disk) = on_one_disk();
    for (errno, first) in [(EIO, ErrorCode::Unavailable), (EROFS, ErrorCode::ReadOnly)] {
        disk.fail(&[(Operation::Write, errno)]);
        assert_eq!(code(node.client().upload("new", b"x")), first);
        // It is known now.
        assert_eq!(code(node.client().upload("new", b"x")), ErrorCode::ReadOnly);
        let told = until("the tracker hears of it", || {
            node.tracker.none_takes_uploads()
        });
        let kept = node.client().download("kept", 0, 0).unwrap();
        assert_eq!(kept, content(100_000));
        disk.fail(&[]);
        let back = until("it is well again", || node.tracker.all_take_uploads());
        eprintln!("error {errno}: told after {told:?}, well after {back:?}");
        assert_eq!(node.files("a").len(), 1);
    }
    node.client().upload("new", b"x").unwrap();
    drop((disk, node));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_deletion_that_cannot_unlink_is_no_success_and_is_finished_later() {
    let (node, disk) = on_one_disk();
    let kept = node.client().download("kept", 0, 0).unwrap();
    assert_eq!(kept, content(100_000));
    disk.fail(&[(Operation::Write, EIO)]);
    for _ in 0..2 {
        assert_eq!(code(node.client().delete("kept")), ErrorCode::Unavailable);
    }
    disk.fail(&[]);
    until("the file is gone", || node.files("a").is_empty());
    let deleted = node.client().delete("kept");
    assert!(deleted.is_ok() || code(deleted) == ErrorCode::NotFound);
    assert_eq!(code(node.client().size("kept")), ErrorCode::NotFound);
    drop((disk, node));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_full_disk_that_says_so_late_is_no_broken_disk() {
    let (node, disk) = on_one_disk();
    disk.fail(&[(Operation::Write, ENOSPC)]);
    for _ in 0..2 {
        assert_eq!(code(node.client().upload("new", b"x")), ErrorCode::NoSpace);
    }
    disk.fail(&[]);
    until("a write to succeed", || {
        node.client().upload("new", b"x").is_ok()
    });
    drop((disk, node));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_disk_that_did_not_sync_is_not_believed_until_a_restart() {
    let (mut node, disk) = on_one_disk();
    disk.fail(&[(Operation::Sync, EIO)]);
    assert_eq!(code(node.client().upload("new", b"x")), ErrorCode::ReadOnly);
    disk.fail(&[]);
    until("the tracker hears of it", || {
        node.tracker.none_takes_uploads()
    });
    assert_eq!(code(node.client().upload("new", b"x")), ErrorCode::ReadOnly);
    assert_eq!(node.client().size("kept").unwrap(), 100_000);
    assert_eq!(node.files("a").len(), 1);
    node.restart();
    node.client().upload("new", b"x").unwrap();
    drop((disk, node));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_disk_that_finds_out_at_the_sync_that_it_is_full_is_no_broken_disk() {
    let (node, disk) = on_one_disk();
    for errno in [ENOSPC, EDQUOT] {
        disk.fail(&[(Operation::Sync, errno)]);
        for _ in 0..2 {
            assert_eq!(code(node.client().upload("new", b"x")), ErrorCode::NoSpace);
        }
        disk.fail(&[]);
        until("uploads succeed again", || {
            node.client().upload("new", b"x").is_ok()
        });
        node.client().delete("new").unwrap();
    }
    drop((disk, node));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn of_two_disks_the_one_that_works_is_used_at_once() {
    let folder = folder();
    let disk = FaultyDisk::mount(&folder.path().join("a"), 64 << 20).unwrap();
    let node = Node::start(folder, &["a", "b"], "0B");
    disk.fail(&[(Operation::Write, EIO)]);
    for n in 0..4 {
        let uploaded = node.client().upload(&format!("file{n}"), b"content");
        uploaded.unwrap();
    }
    assert_eq!((node.files("a").len(), node.files("b").len()), (0, 4));
    assert!(!node.tracker.none_takes_uploads());
    drop((disk, node));
}
