//! Mounts that go away under a running storage, and storages that go away under their mounts.

use std::io::Write;

use proto::ErrorCode;

use super::bricks::assert_away;
use super::group::{Group, Node, content, files_below, run};
use super::support::upload_head;
use test_support::until;

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn nothing_is_written_beneath_a_lost_mount() {
    let mut group = Group::start("unmounted", "");
    store_two(&group.nodes[0]);
    let mount = group.nodes[0].mount.take().unwrap();
    mount.unmount_lazily().unwrap();
    is_away(&group);
    let beneath = files_below(&group.nodes[0].data());
    assert!(beneath.is_empty(), "{beneath:?}");
    comes_back(&mut group);
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn a_dead_client_is_no_missing_file() {
    let mut group = Group::start("disconnected", "");
    store_two(&group.nodes[0]);
    group.nodes[0]
        .mount
        .as_mut()
        .unwrap()
        .kill_client()
        .unwrap();
    is_away(&group);
    // The dead mount has to go before another can be made there.
    drop(group.nodes[0].mount.take());
    is_away(&group);
    comes_back(&mut group);
}

/// One of them is in the row cache.
fn store_two(node: &Node) {
    let mut client = node.client();
    client.upload("known", &content(1, 70_000)).unwrap();
    client.upload("unknown", &content(2, 70_000)).unwrap();
    client.download("known", 0, 0).unwrap();
}

fn is_away(group: &Group) {
    let mut client = group.nodes[0].client();
    // Before the storage has noticed by itself, and after.
    for _ in 0..2 {
        assert_away(&client.upload("more", &content(3, 1000)).unwrap_err());
        // Its content is in memory, and a check of a moment ago still holds.
        until("the open file is not trusted any more", || {
            client.download("known", 0, 0).is_err()
        });
        for file in ["known", "unknown"] {
            assert_away(&client.download(file, 0, 0).unwrap_err());
            assert_away(&client.size(file).unwrap_err());
            assert_away(&client.delete(file).unwrap_err());
        }
        until("the tracker knows", || {
            !group.tracker.all_take_uploads() && !group.tracker.all_serve_downloads()
        });
    }
    // The peer has a mount that is well.
    let mut peer = group.nodes[1].client();
    assert_eq!(peer.download("known", 0, 0).unwrap(), content(1, 70_000));
}

fn comes_back(group: &mut Group) {
    let node = &mut group.nodes[0];
    node.mount = Some(group.volume.mount(&node.folder.join("data")).unwrap());
    let took = until("uploads are taken again", || {
        group.tracker.all_take_uploads()
    });
    eprintln!("back {took:?} after the mount");
    let mut client = group.nodes[0].client();
    client.upload("more", &content(3, 1000)).unwrap();
    assert_eq!(
        client.download("unknown", 0, 0).unwrap(),
        content(2, 70_000)
    );
    assert_eq!(client.size("known").unwrap(), 70_000);
    assert_eq!(group.nodes[1].files().len(), 3);
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn a_storage_does_not_start_without_its_mount() {
    let mut group = Group::start("unstarted", "");
    let node = &mut group.nodes[0];
    node.kill();
    node.mount.take().unwrap().unmount().unwrap();
    let refused = run(&node.folder, &[]);
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(
        words.contains("data") && words.contains("--init-store"),
        "{words}"
    );
    assert!(words.contains("mount"), "{words}");
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn a_killed_storage_leaves_no_half_file() {
    let mut group = Group::start("killed", "");
    let node = &mut group.nodes[0];
    let bytes = content(1, 8 << 20);
    let mut client = node.client();
    client
        .0
        .write_all(&upload_head("f", bytes.len() as u64))
        .unwrap();
    client.0.write_all(&bytes[..6 << 20]).unwrap();
    until("the file has begun", || !node.files().is_empty());
    node.kill();
    let is_final =
        |path: &std::path::PathBuf| !path.file_name().unwrap().to_str().unwrap().starts_with('.');
    assert!(!node.files().iter().any(is_final), "{:?}", node.files());
    node.spawn();
    for node in &group.nodes {
        let code = node.client().download("f", 0, 0).unwrap_err().code;
        assert_eq!(code, ErrorCode::NotFound);
    }
    group.nodes[0].client().upload("f", &bytes).unwrap();
    assert_eq!(group.nodes[1].client().download("f", 0, 0).unwrap(), bytes);
}
