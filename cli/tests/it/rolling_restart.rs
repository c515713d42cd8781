//! The script that restarts a cluster, before trackers whose storages are not all active.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use proto::group_list::{self, Group, Storage};
use proto::tracker::{REPLY, TrackerRequest};
use tempfile::TempDir;
use test_peers::fake::{Fake, dead_address, read_request, reply};
use test_peers::tracker::refuse_cluster;

use crate::support::{code, stderr, stdout};

type Groups = Arc<Mutex<Vec<Group>>>;

fn tracker(groups: &Groups) -> Fake {
    let groups = Arc::clone(groups);
    Fake::start(move |_, stream| {
        while let Some(request) = read_request::<TrackerRequest>(stream) {
            if request == TrackerRequest::Cluster {
                return refuse_cluster(stream);
            }
            assert_eq!(request, TrackerRequest::Groups);
            reply(stream, REPLY, &group_list::encode(&groups.lock().unwrap()));
        }
    })
}

/// Groups of storages with these statuses.
fn groups(statuses: &[&[&str]]) -> Vec<Group> {
    let storage = |group: usize, storage: usize, status: &str| Storage {
        version: "0.1".to_owned(),
        hostname: "a \"status\":\"ACTIVE\",\"address\":\"x\"".to_owned(),
        address: format!("10.0.{group}.{storage}:23000"),
        startup_time: String::new(),
        join_time: String::new(),
        beat_time: String::new(),
        status: status.to_owned(),
    };
    let group = |(idx, statuses): (usize, &&[&str])| Group {
        name: format!("group{idx}"),
        storages: (0..)
            .zip(*statuses)
            .map(|(n, status)| storage(idx, n, status))
            .collect(),
    };
    statuses.iter().enumerate().map(group).collect()
}

fn restart(trackers: &[&str], args: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/tnv-rolling-restart");
    let tnv = Path::new(env!("CARGO_BIN_EXE_tnv")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    Command::new(script)
        .args(["-t", &trackers.join(";"), "-c", "echo did"])
        .args(args)
        .env("PATH", format!("{}:{path}", tnv.display()))
        .env("HOME", folder.path())
        .env("TNV_CONFIG", "/dev/null")
        .output()
        .unwrap()
}

#[test]
fn a_storage_that_is_not_active_stops_a_rolling_restart_unless_two_others_are() {
    let state: Groups = Arc::default();
    let fake = tracker(&state);
    let trackers = [fake.address.as_str()];
    let set = |statuses: &[&[&str]]| *state.lock().unwrap() = groups(statuses);
    let refused = |args: &[&str], why: &str| {
        let output = restart(&trackers, args);
        assert_eq!(code(&output), 1, "{output:?}");
        assert!(stderr(&output).contains(why), "{output:?}");
        assert_eq!(stdout(&output), "");
    };
    let done = |args: &[&str]| {
        let output = restart(&trackers, args);
        assert_eq!(code(&output), 0, "{output:?}");
        assert!(stdout(&output).contains("did one\n"), "{output:?}");
    };

    set(&[&["ACTIVE", "ACTIVE"], &["ACTIVE"]]);
    done(&["one"]);

    set(&[&["ACTIVE"], &["ACTIVE", "OFFLINE"]]);
    refused(
        &["one"],
        "not all storages are active: 10.0.1.1:23000 is OFFLINE;",
    );
    refused(
        &["-f", "one"],
        "one storage is left of: group group1 at tracker ",
    );

    set(&[&["ACTIVE", "ONLINE", "ACTIVE"], &["OFFLINE", "OFFLINE"]]);
    refused(
        &["one"],
        "10.0.0.1:23000 is ONLINE, 10.0.1.0:23000 is OFFLINE",
    );
    done(&["-f", "one"]);

    set(&[&["OFFLINE"]]);
    refused(&["-f", "one"], "no tracker has an active storage");
}

#[test]
fn trackers_that_differ_or_do_not_answer_stop_a_rolling_restart() {
    let whole: Groups = Arc::new(Mutex::new(groups(&[&["ACTIVE", "ACTIVE"]])));
    let less: Groups = Arc::new(Mutex::new(groups(&[&["ACTIVE"]])));
    let (whole, less) = (tracker(&whole), tracker(&less));
    let output = restart(&[whole.address.as_str(), less.address.as_str()], &["one"]);
    assert_eq!(code(&output), 1, "{output:?}");
    let expected = format!("missing: 10.0.0.1:23000 at tracker {}\n", less.address);
    assert!(stderr(&output).ends_with(&expected), "{output:?}");

    for trackers in [
        [dead_address().as_str(), whole.address.as_str()],
        [whole.address.as_str(), dead_address().as_str()],
    ] {
        let output = restart(&trackers, &["one"]);
        assert_eq!((code(&output), stdout(&output)), (1, ""), "{output:?}");
        assert!(stderr(&output).contains("a tracker does not answer"));
    }
}
