//! `tnv admin` where trackers are of both kinds.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use proto::admin::{NONCE_LEN, Nonce, StorageOrder, TrackerOrder};
use proto::cluster::{Cluster, Group, Storage};
use proto::storage::{self, StorageRequest};
use proto::tracker::{self, TrackerRequest};
use proto::{ErrorCode, Fault};
use tempfile::TempDir;
use test_peers::fake::{Fake, read_request, reply, silent};
use test_peers::tracker::{FakeTracker, refuse};

use crate::support::{SLACK, code, stderr, stdout, tnv};

const KEY: &[u8] = b"a key of some length";
const NONCE: Nonce = [7; NONCE_LEN];

/// A storage that obeys.
fn obedient_storage() -> Fake {
    Fake::start(|_, stream| {
        while let Some(request) = read_request::<StorageRequest>(stream) {
            let body = match request {
                StorageRequest::Challenge => NONCE.to_vec(),
                StorageRequest::Admin(signed) => {
                    let node = "a1".parse().unwrap();
                    signed.sign_reply::<StorageOrder>(&node, KEY, &NONCE, &[])
                }
                other => panic!("{other:?}"),
            };
            reply(stream, storage::REPLY, &body);
        }
    })
}

/// A tracker that obeys and knows one storage.
fn obedient_tracker(storage: &Fake) -> Fake {
    let known = Cluster {
        groups: vec![Group {
            name: "group001".to_owned(),
            open: true,
            storages: vec![Storage {
                address: storage.address.to_string(),
                node: "a1".to_owned(),
                status: "ACTIVE".to_owned(),
                ..Storage::default()
            }],
            ..Group::default()
        }],
        ..Cluster::default()
    };
    Fake::start(move |_, stream| {
        while let Some(request) = read_request::<TrackerRequest>(stream) {
            let body = match request {
                TrackerRequest::Cluster => known.encode(),
                TrackerRequest::Challenge => NONCE.to_vec(),
                TrackerRequest::Admin(signed) => {
                    let here = stream.local_addr().unwrap();
                    signed.sign_reply::<TrackerOrder>(&here, KEY, &NONCE, &[])
                }
                _ => Vec::new(),
            };
            reply(stream, tracker::REPLY, &body);
        }
    })
}

/// Runs `tnv admin` with a key.
fn admin(trackers: [&Fake; 2], args: &[&str]) -> Output {
    let dir = TempDir::new().unwrap();
    command(&dir, trackers, args).output().unwrap()
}

/// The command of `tnv admin` with a key in `dir`.
fn command(dir: &TempDir, trackers: [&Fake; 2], args: &[&str]) -> Command {
    let key = dir.path().join("key");
    std::fs::write(&key, KEY).unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let trackers = trackers
        .map(|tracker| tracker.address.to_string())
        .join(";");
    let args = [&["admin", "--key-file", "key"], args].concat();
    tnv(dir.path(), &trackers, &args)
}

/// Drains the storage and opens a group, by way of the second tracker.
fn assert_obeyed(trackers: [&Fake; 2], storage: &Fake) {
    let output = admin(trackers, &["drain", storage.address.as_str()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let told = format!("drain {0}: done at {0}\n", storage.address);
    assert_eq!(stdout(&output), told);
    let output = admin(trackers, &["open-group", "group001"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let at = format!("done at {}\n", trackers[1].address);
    assert!(stdout(&output).ends_with(&at));
}

#[test]
fn a_cpp_tracker_in_front_hides_no_storage_and_takes_no_orders() {
    let storage = obedient_storage();
    let list = FakeTracker::start(&[&storage.address]);
    let cpp = Fake::start(move |_, stream| {
        while let Some(request) = read_request::<TrackerRequest>(stream) {
            if request != TrackerRequest::Groups {
                return refuse(stream, &Fault::new(ErrorCode::Unknown, "unknown command"));
            }
            reply(stream, tracker::REPLY, &list.answer(&request));
        }
    });
    assert_obeyed([&cpp, &obedient_tracker(&storage)], &storage);
}

#[test]
fn a_silent_tracker_costs_an_order_little() {
    let storage = obedient_storage();
    let tracker = obedient_tracker(&storage);
    let began = Instant::now();
    assert_obeyed([&silent::<TrackerRequest>(), &tracker], &storage);
    // Three questions; the time-out of the command line is 30 s.
    assert!(began.elapsed() < 3 * Duration::from_secs(2) + SLACK);
}

#[test]
fn a_tracker_without_the_key_leaves_an_order_to_the_next_one() {
    let storage = obedient_storage();
    let tracker = obedient_tracker(&storage);
    let without_key = Fake::start(|_, stream| {
        while let Some(request) = read_request::<TrackerRequest>(stream) {
            if request != TrackerRequest::Challenge {
                return refuse(stream, &Fault::new(ErrorCode::Forbidden, "no key"));
            }
            reply(stream, tracker::REPLY, &NONCE);
        }
    });
    assert_obeyed([&without_key, &tracker], &storage);
    let output = admin([&without_key, &without_key], &["open-group", "group001"]);
    assert_eq!(code(&output), 9, "{}", stderr(&output));
}

/// A false tracker, or one of an earlier version.
#[test]
fn a_reply_that_is_not_signed_is_not_believed() {
    let signs_nothing = Fake::start(|_, stream| {
        while let Some(request) = read_request::<TrackerRequest>(stream) {
            let body = match request {
                TrackerRequest::Challenge => NONCE.to_vec(),
                _ => Vec::new(),
            };
            reply(stream, tracker::REPLY, &body);
        }
    });
    let output = admin(
        [&signs_nothing, &signs_nothing],
        &["open-group", "group001"],
    );
    assert_ne!(code(&output), 0);
    let said = stderr(&output);
    assert!(
        said.contains("its reply is not signed with the admin key"),
        "{said}"
    );
}

/// That it is done cannot be asked for again.
#[test]
fn that_an_order_is_done_is_told_though_nobody_reads_stdout() {
    let storage = obedient_storage();
    let tracker = obedient_tracker(&storage);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let dir = TempDir::new().unwrap();
    let mut command = command(&dir, [&tracker, &tracker], &["open-group", "group001"]);
    command.stdout(writer).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let told = format!(
        "tnv: not printed on standard output: open-group group001: done at {}",
        tracker.address
    );
    assert!(stderr(&output).lines().any(|line| line == told));
}
