//! `tnv monitor` with scripted trackers.

mod checks;
mod status_ports;

use std::process::Output;
use std::sync::{Arc, Mutex};

use proto::Address;
use proto::cluster::{Cluster, Group, RejectedJoin, Storage, Tracker};
use proto::report::{Counters, Drain, Idserver, Report, ReportedError, Space, StorePath};
use proto::tracker::{REPLY, TrackerRequest};
use serde_json::Value;
use tempfile::TempDir;
use test_peers::fake::{Fake, dead_address, read_request, reply};
use test_peers::tracker::FakeTracker;

use crate::support::{code, stdout, tnv};

/// A tracker of tnv that replies with this cluster.
fn tracker(cluster: &Arc<Mutex<Cluster>>) -> Fake {
    let cluster = Arc::clone(cluster);
    Fake::start(move |_, stream| {
        while let Some(request) = read_request::<TrackerRequest>(stream) {
            assert_eq!(request, TrackerRequest::Cluster);
            reply(stream, REPLY, &cluster.lock().unwrap().encode());
        }
    })
}

fn storage(host: u8) -> Storage {
    let space = Space {
        total: 1000 << 30,
        free: 500 << 30,
        reserved: 100 << 30,
        available: 400 << 30,
    };
    let path = StorePath {
        path: "/data".to_owned(),
        space,
        health: "writable".to_owned(),
        why: String::new(),
    };
    let report = Report {
        version: "1.2.3".to_owned(),
        space,
        paths: vec![path],
        counters: Counters {
            total_upload_count: 45035,
            ..Counters::default()
        },
        errors: vec![ReportedError {
            time: 1,
            text: "no\u{1b}[2J luck".to_owned(),
        }],
        ..Report::default()
    };
    Storage {
        address: format!("10.0.0.{host}:23000"),
        hostname: format!("host{host}"),
        version: "1.2.3".to_owned(),
        status: "ACTIVE".to_owned(),
        beat_time: 1000,
        report: Some(report),
        ..Storage::default()
    }
}

fn cluster() -> Cluster {
    Cluster {
        tracker: Tracker {
            hostname: "t1".to_owned(),
            version: "1.2.3".to_owned(),
            ..Tracker::default()
        },
        groups: vec![Group {
            name: "group001".to_owned(),
            open: true,
            unregistered: false,
            storages: vec![storage(1), storage(2)],
        }],
        refused: Vec::new(),
    }
}

fn monitor(trackers: &[&str], args: &[&str]) -> Output {
    let dir = TempDir::new().unwrap();
    let args = [&["monitor"], args].concat();
    tnv(dir.path(), &trackers.join(";"), &args)
        .output()
        .unwrap()
}

/// The exit code and the line of a check.
fn check(trackers: &[&str]) -> (i32, String) {
    let output = monitor(trackers, &["--check"]);
    let line = stdout(&output).to_owned();
    assert_eq!(line.lines().count(), 1, "{line}");
    (code(&output), line)
}

#[test]
fn the_page_has_the_words_of_fdfs_monitor() {
    let mut cluster = cluster();
    cluster.groups[0].storages[1].untried = true;
    let fake = tracker(&Arc::new(Mutex::new(cluster)));
    let output = monitor(&[fake.address.as_str()], &[]);
    assert_eq!(code(&output), 0);
    assert_eq!(check(&[fake.address.as_str()]).0, 0);
    let page = stdout(&output);
    for line in [
        "tracker server count=1, current server index=0",
        "group count: 1",
        "Group 1:",
        "group name = group001",
        "disk total space     =   1000 GB",
        "disk available space =    400 GB",
        "storage server count = 2",
        "readable server count = 2",
        "\tStorage 2:",
        "\t\thost = 10.0.0.2:23000  ACTIVE",
        "\t\taddress = not tried, see check_networks of the trackers",
        "\t\tread write mode = both (normal)",
        "\t\tversion = 1.2.3",
        "\t\ttotal_upload_count = 45035",
    ] {
        assert!(page.lines().any(|l| l == line), "{line:?} in {page}");
    }
    assert!(page.contains("no\\u{1b}[2J luck") && !page.contains('\u{1b}'));
}

#[test]
fn text_of_a_peer_cannot_start_a_line() {
    let mut cluster = cluster();
    let storage = &mut cluster.groups[0].storages[0];
    storage.notes = vec!["well\n\t\tstatus = fine\u{1b}[2J".to_owned()];
    storage.hostname = "h\nGroup 7:".to_owned();
    cluster.refused = vec![RejectedJoin {
        time: 1,
        text: "x\ngroup count: 9".to_owned(),
    }];
    let fake = tracker(&Arc::new(Mutex::new(cluster)));
    let output = monitor(&[fake.address.as_str()], &[]);
    let page = stdout(&output);
    for line in [
        "\t\tnote = well\\n\\t\\tstatus = fine\\u{1b}[2J",
        "\t\thost name = h\\nGroup 7:",
        "refused: x\\ngroup count: 9 (by tracker ",
    ] {
        assert!(
            page.lines().any(|l| l.starts_with(line)),
            "{line:?} in {page}"
        );
    }
}

#[test]
fn differences_of_trackers_and_dead_trackers_are_reported() {
    let (one, other) = (cluster(), Arc::new(Mutex::new(cluster())));
    other.lock().unwrap().groups[0].storages[0].status = "OFFLINE".to_owned();
    other.lock().unwrap().groups[0].storages.pop();
    let (one, other) = (tracker(&Arc::new(Mutex::new(one))), tracker(&other));
    let dead = dead_address();
    let trackers = [dead.as_str(), one.address.as_str(), other.address.as_str()];
    let page = monitor(&trackers, &[]);
    let text = stdout(&page);
    let (one, other) = (&one.address, &other.address);
    for line in [
        "tracker server count=3, current server index=1".to_owned(),
        format!("trackers differ: group001 10.0.0.1:23000 is ACTIVE at {one}, OFFLINE at {other}"),
        format!("trackers differ: group001 10.0.0.2:23000 is ACTIVE at {one}, unknown at {other}"),
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} in {text}");
    }
    let json: Value = serde_json::from_str(stdout(&monitor(&trackers, &["--json"]))).unwrap();
    assert_eq!(json["differences"].as_array().unwrap().len(), 2);
    assert!(json["trackers"][0]["error"].is_string());
    let report = &json["groups"][0]["storages"][1]["report"];
    assert_eq!(report["counters"]["total_upload_count"], 45035);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 1, "{line}");
    assert!(line.starts_with("TNV WARNING - ") && line.contains("does not answer"));
}

#[test]
fn the_entry_with_more_details_is_shown_if_cpp_trackers_know_the_storage_too() {
    let address: Address = "10.0.0.1:23000".parse().unwrap();
    let cpp = FakeTracker::start(&[&address]);
    let mut known = cluster();
    known.groups[0].storages.truncate(1);
    // The C++ tracker seems to have a later beat, because its times have no zone.
    known.groups[0].storages[0].beat_time = 1000;
    known.groups[0].storages[0].node = "a1".to_owned();
    let known = Arc::new(Mutex::new(known));
    let ours = tracker(&known);
    let trackers = [cpp.fake.address.as_str(), ours.address.as_str()];
    for trackers in [trackers, [trackers[1], trackers[0]]] {
        let output = monitor(&trackers, &[]);
        let page = stdout(&output);
        for line in ["\t\tid = a1", "disk total space     =   1000 GB"] {
            assert!(page.lines().any(|l| l == line), "{line:?} in {page}");
        }
    }
    // An ACTIVE entry wins over an OFFLINE one with more details.
    known.lock().unwrap().groups[0].storages[0].status = "OFFLINE".to_owned();
    let page = monitor(&trackers, &[]);
    let line = "\t\thost = 10.0.0.1:23000  ACTIVE";
    assert!(
        stdout(&page).lines().any(|l| l == line),
        "{}",
        stdout(&page)
    );
}

#[test]
fn the_list_of_a_cpp_tracker_is_shown() {
    let address = dead_address();
    let list = FakeTracker::start(&[&address]);
    let fake = &list.fake;
    let output = monitor(&[fake.address.as_str()], &[]);
    let page = stdout(&output);
    assert_eq!(code(&output), 0, "{page}");
    assert!(page.contains("tells its list of groups only"));
    assert!(page.contains(&format!("host = {address}  ACTIVE")));
    assert!(page.contains("join time = 2026-11-21T23:36:52"), "{page}");
    let (exit, line) = check(&[fake.address.as_str()]);
    assert_eq!(exit, 0, "{line}");
}
