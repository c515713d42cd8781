//! Bricks that die while files come in.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use proto::{ErrorCode, Fault};

use super::group::{Group, content};
use super::support::{Client, upload_head};
use test_support::until;

const SIZE: usize = 16 << 20;

/// Sends the first half of a file, lets `happen`, and sends the rest.
fn upload_around(
    client: &mut Client,
    file: &str,
    bytes: &[u8],
    happen: impl FnOnce(),
) -> Result<(), Fault> {
    client
        .0
        .write_all(&upload_head(file, bytes.len() as u64))
        .unwrap();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    client.0.write_all(first).unwrap();
    happen();
    // A refusal may come before all is sent.
    let sent = client.0.write_all(second);
    let answer = client.receive().map(drop);
    assert!(sent.is_ok() || answer.is_err());
    answer
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn a_brick_that_dies_is_healed() {
    let group = Group::start("heal", "");
    let [a, b] = &group.nodes;
    let bytes = content(1, SIZE);
    let answer = upload_around(&mut a.client(), "f", &bytes, || {
        group.volume.kill_brick(0).unwrap();
    });
    answer.unwrap();
    a.client().upload("later", &content(2, 1000)).unwrap();
    assert_eq!(b.client().download("f", 0, 0).unwrap(), bytes);
    assert!(group.volume.heal_pending().unwrap() > 0);
    group.volume.start_bricks().unwrap();
    group.volume.heal().unwrap();
    let took = until("everything is healed", || {
        group.volume.heal_pending().is_ok_and(|n| n == 0)
    });
    eprintln!("healed {took:?} after the brick was back");
    let paths = a.files();
    assert_eq!(paths.len(), 2, "{paths:?}");
    for path in paths {
        let on_brick = below(&group.volume.bricks()[0], &a.data(), &path);
        assert!(
            fs::read(&path).unwrap() == fs::read(on_brick).unwrap(),
            "{path:?}"
        );
    }
}

fn below(brick: &Path, data: &Path, file: &Path) -> PathBuf {
    brick.join(file.strip_prefix(data).unwrap())
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn a_lost_quorum_refuses_uploads_until_it_is_back() {
    lose_quorum(&Group::start("quorum", ""));
}

/// Without a sync GlusterFS has said 'written' to what it could not write.
#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn so_it_does_without_durability() {
    lose_quorum(&Group::start("lax", "durability = \"none\""));
}

fn lose_quorum(group: &Group) {
    let [a, b] = &group.nodes;
    let mut client = a.client();
    client.upload("before", &content(3, 5000)).unwrap();
    for (idx, len) in [SIZE, 1000, 100_000].into_iter().enumerate() {
        let file = format!("lost{idx}");
        let bytes = content(4 + idx, len);
        let fault = upload_around(&mut a.client(), &file, &bytes, || kill_two(group)).unwrap_err();
        assert_away(&fault);
        let told = until("the tracker knows", || group.tracker.none_takes_uploads());
        eprintln!("refused: {fault}; the tracker knew {told:?} later");
        refuses_only_cleanly(&a.client(), &file);
        refuses_only_cleanly(&b.client(), &file);
        group.volume.start_bricks().unwrap();
        let back = until("uploads are taken again", || {
            group.tracker.all_take_uploads()
        });
        eprintln!("taken again {back:?} after the bricks were back");
        client.upload(&file, &bytes).unwrap();
        assert_eq!(b.client().download(&file, 0, 0).unwrap(), bytes);
    }
    assert_eq!(
        b.client().download("before", 0, 0).unwrap(),
        content(3, 5000)
    );
    until("nothing half-written is left", || a.files().len() == 4);
}

fn kill_two(group: &Group) {
    for idx in [0, 1] {
        group.volume.kill_brick(idx).unwrap();
    }
}

fn refuses_only_cleanly(client: &Client, lost: &str) {
    let mut client = Client(client.0.try_clone().unwrap());
    assert_away(&client.upload("more", b"more").unwrap_err());
    match client.download("before", 0, 0) {
        Ok(bytes) => assert_eq!(bytes, content(3, 5000)),
        Err(fault) => assert_away(&fault),
    }
    let fault = client.download(lost, 0, 0).unwrap_err();
    assert_eq!(fault.code, ErrorCode::NotFound, "{fault}");
}

pub fn assert_away(fault: &Fault) {
    let is_right = matches!(fault.code, ErrorCode::ReadOnly | ErrorCode::Unavailable);
    assert!(is_right, "{fault}");
}
