//! Members come and go.

use base::units::Period;
use proto::ErrorCode;
use proto::group_list::Group;
use proto::report::{Drain, Report, Space};
use proto::tracker::TrackerRequest;
use tracker::{Config, Tracker};

use super::support::*;

fn addresses(groups: &[Group]) -> Vec<(&str, &str)> {
    let storages = groups.iter().flat_map(|group| &group.storages);
    storages
        .map(|s| (s.address.as_str(), s.status.as_str()))
        .collect()
}

#[test]
fn members_on_one_host_differ_by_address_and_port() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(&folder.path().join("tracker.db")));
    let at = [(2, 23000), (3, 23000), (3, 23001)];
    let mut storages = at.map(|(host, port)| {
        let mut storage = Client::connect(tracker.addr(), host);
        assert_eq!(storage.join("group001", port), Ok(vec![]));
        storage
    });
    storages[1].beat("group001").unwrap();
    // A group that no user is given to, sorted before the other.
    storages[0].join("another", 24000).unwrap();
    let groups = storages[0].groups();
    let expected = [
        ("127.0.0.2:24000", "ONLINE"),
        ("127.0.0.2:23000", "ONLINE"),
        ("127.0.0.3:23000", "ACTIVE"),
        ("127.0.0.3:23001", "ONLINE"),
    ];
    assert_eq!(addresses(&groups), expected);
    assert_eq!(
        (&*groups[0].name, &*groups[1].name),
        ("another", "group001")
    );
    tracker.shutdown();
}

#[test]
fn who_leaves_is_gone_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(&folder.path().join("tracker.db")));
    let mut client = Client::connect(tracker.addr(), 1);
    let mut storages = [2, 3].map(|host| {
        let mut storage = Client::connect(tracker.addr(), host);
        storage.join("group001", 23000).unwrap();
        storage.beat("group001").unwrap();
        storage
    });
    assert_eq!(client.saddrs("alice").unwrap().addresses.len(), 2);
    let leave = TrackerRequest::Leave(member("group001", "h"));
    assert_eq!(client.call(&leave).unwrap_err().code, ErrorCode::NotFound);
    storages[0].call(&leave).unwrap();
    let reply = client.saddrs("alice").unwrap();
    assert_eq!(reply.addresses, ["127.0.0.3:23000".parse().unwrap()]);
    assert_eq!(addresses(&client.groups()), [("127.0.0.3:23000", "ACTIVE")]);
    storages[1].call(&leave).unwrap();
    assert_eq!(client.groups(), []);
    let fault = client.saddrs("alice").unwrap_err();
    assert_eq!(
        fault.message,
        "[vm] no active storage in group group001 of tnvideo/alice"
    );
    tracker.shutdown();
}

#[test]
fn silence_makes_offline_and_a_beat_active_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder.path().join("tracker.db"));
    config.check_interval = Period::from_millis(100);
    let tracker = start(config);
    let status = |wanted: &'static str| {
        move |groups: &[Group]| addresses(groups) == [("127.0.0.2:23000", wanted)]
    };
    let mut storage = Client::connect(tracker.addr(), 2);
    storage.join("group001", 23000).unwrap();
    // A member that never beats goes offline, too.
    storage.wait_for(|_| {}, status("OFFLINE"));
    for _ in 0..2 {
        let beat = |storage: &mut Client| drop(storage.beat("group001").unwrap());
        storage.wait_for(beat, status("ACTIVE"));
        storage.wait_for(|_| {}, status("OFFLINE"));
    }
    assert_eq!(
        storage.saddrs("alice").unwrap_err().code,
        ErrorCode::Unavailable
    );
    // Joining again, on another connection, it keeps its place.
    let mut again = Client::connect(tracker.addr(), 2);
    let join = |again: &mut Client| drop(again.join("group001", 23000).unwrap());
    again.wait_for(join, status("ONLINE"));
    tracker.shutdown();
}

#[test]
fn members_have_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder.path().join("tracker.db"));
    config.members_max = 2;
    let tracker = start(config);
    let mut storage = Client::connect(tracker.addr(), 2);
    for port in [1, 2] {
        storage.join("group001", port).unwrap();
        storage.beat("group001").unwrap();
    }
    let fault = storage.join("group001", 3).unwrap_err();
    assert_eq!(fault.code, ErrorCode::Busy);
    assert_eq!(fault.message, "[vm] 2 members already, no room for more");
    storage.join("group001", 1).unwrap();
    tracker.shutdown();
}

#[test]
fn it_cannot_start_where_another_listens() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tracker.db");
    let first = start(config(&database));
    let second = Config {
        listen: first.addr(),
        ..config(&database)
    };
    let error = format!("{:#}", Tracker::start(second).err().unwrap());
    assert!(error.starts_with("cannot listen on 127.0.0.1:"), "{error}");
    first.shutdown();
}

#[test]
fn what_members_report_is_told_to_monitors_and_drained_ones_are_not_offered() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder.path().join("tracker.db"));
    config.groups.push("group002".parse().unwrap());
    let tracker = start(config);
    let mut client = Client::connect(tracker.addr(), 1);
    let mut storages = [2, 3].map(|host| {
        let mut storage = Client::connect(tracker.addr(), host);
        storage.join("group001", 23000).unwrap();
        storage.beat("group001").unwrap();
        storage
    });
    let space = Space {
        total: 10,
        ..Space::default()
    };
    for (drain, addresses) in [
        (Drain::Uploads, &["127.0.0.2:23000", "127.0.0.3:23000"][..]),
        (Drain::All, &["127.0.0.2:23000"]),
        (Drain::None, &["127.0.0.2:23000", "127.0.0.3:23000"]),
    ] {
        let report = Report {
            drain,
            space,
            ..Report::default()
        };
        storages[1].report("group001", &report).unwrap();
        let cluster = client.cluster();
        assert_eq!(cluster.tracker.hostname, "vm");
        let groups: Vec<_> = cluster.groups.iter().map(|g| (&*g.name, g.open)).collect();
        assert_eq!(groups, [("group001", true), ("group002", true)]);
        let members = &cluster.groups[0].storages;
        assert_eq!(members[0].report, None);
        assert_eq!(members[1].report.as_ref(), Some(&report));
        assert_eq!((&*members[1].status, members[1].join_time), ("ACTIVE", 2));
        let mut told = client.saddrs("alice").unwrap().addresses;
        if drain == Drain::Uploads {
            assert_eq!(told[0].as_str(), "127.0.0.2:23000");
        }
        told.sort();
        assert!(
            told.iter()
                .map(|a| a.as_str())
                .eq(addresses.iter().copied())
        );
    }
    tracker.shutdown();
}

#[test]
fn no_user_is_given_to_a_group_that_takes_no_uploads() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(&folder.path().join("tracker.db")));
    let mut storage = Client::connect(tracker.addr(), 2);
    storage.join("group001", 23000).unwrap();
    storage.beat("group001").unwrap();
    storage.saddrs("before").unwrap();
    let full = Report {
        uploads: false,
        ..Report::default()
    };
    storage.report("group001", &full).unwrap();
    let fault = storage.saddrs("alice").unwrap_err();
    assert_eq!(
        fault.message,
        "[vm] no group has an active storage that takes uploads for tnvideo/alice"
    );
    // Who has files there still gets them.
    assert_eq!(storage.saddrs("before").unwrap().addresses.len(), 1);
    tracker.shutdown();
}

#[test]
fn a_reload_changes_how_many_there_may_be_and_how_long_they_may_be_silent() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder.path().join("tracker.db"));
    config.members_max = 1;
    config.check_interval = Period::from_secs(3600);
    let mut tracker = start(config.clone());
    let mut first = Client::connect(tracker.addr(), 2);
    let mut second = Client::connect(tracker.addr(), 3);
    first.join("group001", 23000).unwrap();
    first.beat("group001").unwrap();
    let refused = second.join("group001", 23000).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Busy);
    config.members_max = 2;
    tracker.reload(&config).unwrap();
    second.join("group001", 23000).unwrap();
    config.check_interval = Period::from_millis(100);
    tracker.reload(&config).unwrap();
    let are_offline = |groups: &[Group]| addresses(groups).iter().all(|(_, s)| *s == "OFFLINE");
    first.wait_for(|_| {}, are_offline);
    tracker.shutdown();
}
