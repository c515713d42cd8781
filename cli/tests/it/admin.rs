//! `tnv admin` where trackers are of both kinds.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use proto::admin::NONCE_LEN;
use proto::cluster::{Cluster, Group, Storage};
use proto::storage::{self, StorageRequest};
use proto::tracker::{self, TrackerRequest};
use proto::{ErrorCode, Fault};
use tempfile::TempDir;
use test_peers::fake::{Fake, read_request, reply};
use test_peers::tracker::{FakeTracker, refuse};

use crate::support::{code, stderr, stdout, tnv};

#[test]
fn a_cpp_tracker_in_front_hides_no_storage_and_takes_no_orders() {
    let storage = Fake::start(|_, stream| {
        while let Some(request) = read_request::<StorageRequest>(stream) {
            let body: &[u8] = match request {
                StorageRequest::Challenge => &[7; NONCE_LEN],
                StorageRequest::Admin(_) => &[],
                other => panic!("{other:?}"),
            };
            reply(stream, storage::REPLY, body);
        }
    });
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
    let ours = Fake::start(move |_, stream| {
        while let Some(request) = read_request::<TrackerRequest>(stream) {
            let body = match request {
                TrackerRequest::Cluster => known.encode(),
                TrackerRequest::Challenge => vec![7; NONCE_LEN],
                _ => Vec::new(),
            };
            reply(stream, tracker::REPLY, &body);
        }
    });
    let list = FakeTracker::start(&[&storage.address]);
    let cpp = Fake::start(move |_, stream| {
        while let Some(request) = read_request::<TrackerRequest>(stream) {
            if request != TrackerRequest::Groups {
                return refuse(stream, &Fault::new(ErrorCode::Unknown, "unknown command"));
            }
            reply(stream, tracker::REPLY, &list.answer(&request));
        }
    });
    let dir = TempDir::new().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "a key of some length\n").unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let trackers = format!("{};{}", cpp.address, ours.address);
    let admin = |args: &[&str]| {
        let args = [&["admin", "--key-file", "key"], args].concat();
        tnv(dir.path(), &trackers, &args).output().unwrap()
    };
    let output = admin(&["drain", storage.address.as_str()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let told = format!("drain {0}: done at {0}\n", storage.address);
    assert_eq!(stdout(&output), told);
    let output = admin(&["open-group", "group001"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).ends_with(&format!("done at {}\n", ours.address)));
}
