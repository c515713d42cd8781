//! Disks that refuse.

use std::io::{Read, Write};

use proto::ErrorCode;
use test_disk::{FaultyDisk, Operation};

use super::node::{Node, content, download_of, faulty_disk, folder};
use super::support::{code, upload_head};
use test_support::until;

const EIO: i32 = 5;
const EDQUOT: i32 = 122;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

fn on_one_disk() -> (Node, FaultyDisk) {
    on_one_disk_with("")
}

fn on_one_disk_with(more: &str) -> (Node, FaultyDisk) {
    let folder = folder();
    let disk = faulty_disk(&folder, 64 << 20);
    let more = format!("state_file = \"state\"\n{more}");
    let node = Node::start_with(folder, &["a"], "0B", &more);
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
fn many_deletions_that_are_refused_cause_few_log_lines() {
    const N: u32 = 1000;
    let node = Node::start(folder(), &["a"], "0B");
    node.client().upload("f", b"x").unwrap();
    let file = node.files("a").remove(0);
    let connection = rusqlite::Connection::open(node.path("storage.db")).unwrap();
    // A folder cannot be unlinked, and this one has no row of its own.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
               INSERT INTO t_file_02 (id, appid, userid, status, file_path, file_size, group_name) \
               SELECT 'half' || i, appid, userid, 1, file_path, 1, group_name FROM n, t_file_02 \
               WHERE id = 'f'";
    assert_eq!(connection.execute(sql, [N]).unwrap(), N as usize);
    let told = || {
        let log = node.log();
        let lines = log.lines().filter(|line| line.contains(" not finished: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    until("all were tried", || {
        // An upload that meets such a row starts the job of deletions.
        let mut client = node.client();
        client.0.write_all(&upload_head("half1", 1 << 20)).unwrap();
        assert_eq!(code(client.receive()), ErrorCode::Unavailable);
        told().len() > 1
    });
    let lines = told();
    assert!(lines.len() <= N as usize / 10, "{}", lines.len());
    assert!(lines.last().unwrap().contains(" more like it before"));
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
    let disk = faulty_disk(&folder, 64 << 20);
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

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn content_that_cannot_be_read_in_the_middle_of_a_transfer_is_damage() {
    let (node, disk) = on_one_disk();
    // Not yet read, so the kernel has nothing of it. One leaves with the head of its reply.
    node.client().upload("large", &content(5 << 20)).unwrap();
    node.client().upload("small", &content(1000)).unwrap();
    disk.fail(&[(Operation::Content, EIO)]);
    assert_eq!(
        code(node.client().download("small", 0, 0)),
        ErrorCode::Damaged
    );
    read_to_the_end(&node, "large");
    let warning = |text: &str| {
        let warnings = node.tracker.warnings();
        warnings.iter().any(|warning| warning.contains(text))
    };
    until("the tracker hears of both", || {
        warning("2 files are damaged")
    });
    let log = node.log();
    assert!(log.contains("tnv001/large is damaged: "), "{log}");
    assert!(log.contains("cannot be read at byte 0: "), "{log}");
    // The size is right, which says nothing.
    assert_eq!(node.client().size("large").unwrap(), 5 << 20);
    until("it is told still", || warning("2 files are damaged"));
    node.client().delete("small").unwrap();
    until("one is left", || {
        warning("a file is damaged: tnvideo/tnv001/large")
    });
    drop((disk, node));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_write_that_fails_when_the_file_is_closed_is_no_success() {
    let (node, disk) = on_one_disk_with("durability = \"none\"\n");
    for (errno, refusal) in [(EIO, ErrorCode::Unavailable), (ENOSPC, ErrorCode::NoSpace)] {
        disk.fail(&[(Operation::Close, errno)]);
        assert_eq!(code(node.client().upload("new", b"x")), refusal);
        assert_eq!(code(node.client().size("new")), ErrorCode::NotFound);
        disk.fail(&[]);
        until("uploads succeed again", || {
            node.client().upload("new", b"x").is_ok()
        });
        node.client().delete("new").unwrap();
        assert_eq!(node.files("a").len(), 1);
    }
    drop((disk, node));
}

/// Downloads a file whose content does not come to its end.
fn read_to_the_end(node: &Node, file: &str) {
    let mut client = node.client();
    client.0.write_all(&download_of(file)).unwrap();
    let mut reply = Vec::new();
    client.0.read_to_end(&mut reply).unwrap();
    assert!(reply.len() < 5 << 20, "all of it came");
}
