//! kill -9 at the worst moments: no client fails, and no acknowledged file is lost.

use std::io::Read;
use std::process::Stdio;

use bench::Content;
use test_cluster::{Layout, Role};
use test_support::http::open;

use crate::support::{Fixture, MIB, PATIENCE, wait_for};

/// Much more than all buffers between a storage and a player.
const LARGE: u64 = 256 * MIB;

#[test]
fn a_stream_goes_on_when_its_storage_is_killed() {
    let mut fixture = Fixture::small(2);
    let content = Content::new(1, LARGE);
    let id = fixture.upload(&content).file.as_str().to_owned();
    for _ in 0..2 {
        let url = fixture.url(&id);
        let (_, mut body) = open(&url, None, PATIENCE).unwrap();
        let mut start = vec![0; MIB as usize];
        body.read_exact(&mut start).unwrap();
        let serving = wait_for("the storage that serves", || fixture.storage_at_work(false));
        fixture.cluster.kill(&serving).unwrap();
        content.starting_at(MIB).compare(&mut body).unwrap();
        // In the next round either storage may serve the stream.
        fixture.cluster.start_node(&serving).unwrap();
        fixture.cluster.wait_ready().unwrap();
    }
}

#[test]
fn an_upload_goes_to_the_peer_when_its_storage_is_killed() {
    let mut fixture = Fixture::small(2);
    let content = Content::new(2, LARGE);
    let path = fixture.local_file("film.mp4", &content);
    let mut command = fixture.tnv().command(["upload".as_ref(), path.as_os_str()]);
    let upload = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let receiving = wait_for("a storage that receives", || fixture.storage_at_work(true));
    fixture.cluster.kill(&receiving).unwrap();
    let output = upload.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let id = String::from_utf8(output.stdout).unwrap();
    let (files, temporaries) = fixture.stored();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(temporaries.len(), 1, "it was not killed in the middle");
    assert_eq!(fixture.n_rows(), 1);
    fixture.assert_streams(id.trim(), &content);
}

#[test]
fn acknowledged_files_survive_kill_9_right_after_the_reply() {
    let mut fixture = Fixture::small(2);
    for round in 0..3 {
        let content = Content::new(round, MIB + round);
        let key = fixture.upload(&content);
        for node in fixture.nodes(Role::Storage) {
            fixture.cluster.kill(&node).unwrap();
        }
        for node in fixture.nodes(Role::Storage) {
            fixture.cluster.start_node(&node).unwrap();
        }
        fixture.cluster.wait_ready().unwrap();
        let mut stored = fixture.client().download(&key).unwrap();
        content.clone().compare(&mut stored).unwrap();
        fixture.assert_streams(key.file.as_str(), &content);
    }
}

#[test]
fn uploads_go_on_with_one_idserver() {
    let mut fixture = Fixture::start(&Layout {
        idservers: 2,
        ..Layout::small(2)
    });
    for (round, idserver) in fixture.nodes(Role::Idserver).into_iter().enumerate() {
        fixture.cluster.kill(&idserver).unwrap();
        // The first upload finds the dead idserver, the later ones know it.
        for idx in 0..3 {
            let content = Content::new(10 * round as u64 + idx, 100_000);
            let key = fixture.upload(&content);
            fixture.assert_streams(key.file.as_str(), &content);
        }
        fixture.cluster.start_node(&idserver).unwrap();
        fixture.cluster.wait_ready().unwrap();
    }
    assert_eq!(fixture.stored().0.len(), 6, "numbers are handed out once");
}
