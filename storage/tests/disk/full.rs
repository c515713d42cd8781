//! Disks without room.

use std::fs::File;
use std::io::Write;

use proto::ErrorCode;
use test_disk::{FaultyDisk, SmallDisk};

use super::node::{Node, content, folder};
use super::support::{code, upload_head};
use test_support::until;

const MIB: usize = 1 << 20;

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_disk_at_its_reserve_serves_and_takes_nothing_until_there_is_room() {
    let folder = folder();
    let disk = SmallDisk::mount(&folder.path().join("a"), 24 << 20).unwrap();
    let node = Node::start(folder, &["a"], "25%");
    let mut client = node.client();
    // What refuses a large file closes the connection.
    let fill = |name: &str, len: usize| {
        let takes = |n: &usize| {
            node.client()
                .upload(&format!("{name}{n}"), &content(len))
                .is_ok()
        };
        (0..).take_while(takes).count()
    };
    client.upload("small", &content(4096)).unwrap();
    let n_large = fill("large", MIB);
    assert!((15..=18).contains(&n_large), "{n_large}");
    fill("smaller", 4096);
    assert_eq!(code(client.upload("more", b"x")), ErrorCode::NoSpace);
    let told = until("the tracker hears of it", || {
        node.tracker.none_takes_uploads()
    });
    assert_eq!(client.download("large0", 0, 0).unwrap(), content(MIB));
    assert_eq!(client.size("small").unwrap(), 4096);

    // One small file is not room enough to begin again.
    client.delete("small").unwrap();
    assert_eq!(code(client.upload("more", b"x")), ErrorCode::NoSpace);
    client.delete("large0").unwrap();
    let back = until("it takes uploads again", || node.tracker.all_take_uploads());
    client.upload("more", b"x").unwrap();
    eprintln!("full: the tracker was told after {told:?}, of room {back:?} after a deletion");
    drop((node, disk));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_disk_that_fills_up_under_an_upload_keeps_nothing_of_it() {
    let folder = folder();
    let disk = SmallDisk::mount(&folder.path().join("a"), 8 << 20).unwrap();
    let node = Node::start(folder, &["a"], "0B");
    node.client().upload("kept", &content(MIB)).unwrap();
    // Too small to have its room set aside.
    let bytes = content(MIB - 1);
    let mut client = node.client();
    client
        .0
        .write_all(&upload_head("cut", bytes.len() as u64))
        .unwrap();
    client.0.write_all(&bytes[..MIB / 2]).unwrap();
    until("it has begun", || node.files("a").len() == 2);
    let mut junk = File::create(node.path("a/junk")).unwrap();
    while junk.write_all(&[0; 4096]).is_ok() {}
    client.0.write_all(&bytes[MIB / 2..]).unwrap();
    assert_eq!(code(client.receive()), ErrorCode::NoSpace);
    until("its temporary file is gone", || node.files("a").len() == 2);
    assert_eq!(code(node.client().size("cut")), ErrorCode::NotFound);
    assert_eq!(node.client().download("kept", 0, 0).unwrap(), content(MIB));
    drop((node, disk));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn uploads_in_progress_are_promised_their_room() {
    let folder = folder();
    // It cannot set room aside: what is promised stands in the books alone.
    let disk = FaultyDisk::mount(&folder.path().join("a"), 32 << 20).unwrap();
    let node = Node::start(folder, &["a"], "4MiB");
    let begin = |name: &str, n: usize| {
        let mut client = node.client();
        client.0.write_all(&upload_head(name, 12 << 20)).unwrap();
        until("it has begun", || node.files("a").len() == n);
        client
    };
    let mut uploads = vec![begin("first", 1), begin("second", 2)];
    let refused = node.client().send(&upload_head("third", 12 << 20));
    assert_eq!(code(refused), ErrorCode::NoSpace);
    node.client().upload("small", &content(MIB)).unwrap();

    // One gives up, one goes on.
    drop(uploads.remove(0));
    until("its room is free", || node.files("a").len() == 2);
    uploads.push(begin("third", 3));
    for mut upload in uploads {
        upload.0.write_all(&content(12 * MIB)).unwrap();
        assert_eq!(upload.receive().unwrap(), b"");
    }
    let refused = node.client().upload("fourth", &content(4 * MIB));
    assert_eq!(code(refused), ErrorCode::NoSpace);
    drop((disk, node));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn of_two_disks_the_one_with_room_is_used() {
    let folder = folder();
    let disk = SmallDisk::mount(&folder.path().join("a"), 2 << 20).unwrap();
    let node = Node::start(folder, &["a", "b"], "0B");
    let mut client = node.client();
    for n in 0..6 {
        client.upload(&format!("file{n}"), &content(MIB)).unwrap();
    }
    assert_eq!(node.files("a").len() + node.files("b").len(), 6);
    assert!(node.files("a").len() <= 2);
    let junk = File::create(node.path("a/junk")).unwrap();
    while (&junk).write_all(&[0; 4096]).is_ok() {}
    for n in 6..10 {
        client.upload(&format!("file{n}"), b"content").unwrap();
    }
    for n in 0..10 {
        assert!(client.size(&format!("file{n}")).is_ok());
    }
    assert!(!node.tracker.none_takes_uploads());
    drop((node, disk));
}
