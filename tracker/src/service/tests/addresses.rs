//! Reports about addresses that the tracker tries.

use std::time::Duration;

use daemon::status::StatusSource;

use super::*;

/// Joins with an address that it advertises.
fn advertise(connection: &mut Connection<'_>, node: &str, address: &str) {
    let hello = Hello {
        node: node.parse().unwrap(),
        advertise: Some(address.parse().unwrap()),
        address: Some(address.parse().unwrap()),
        local: None,
        remembers: false,
        cluster: None,
    };
    let hello = TrackerRequest::Hello(Box::new(hello));
    connection.call(hello).unwrap();
    connection.join("g1", "h", 1).unwrap();
    connection.beat("g1", "h").unwrap();
}

/// The next address that is tried so many hours from now, which fails.
fn fail(globals: &Globals, hours: u64) -> Option<SocketAddr> {
    let mut groups = globals.groups.lock();
    let now = globals.now().elapsed + Duration::from_secs(3600 * hours);
    let (handle, addr) = groups.next_probe(now)?;
    groups.end_probe(
        &handle,
        Some("Connection refused (os error 111)".into()),
        now,
    );
    Some(addr)
}

#[test]
fn why_a_connection_failed_is_told_to_no_peer() {
    let setting = Setting::new();
    let globals = &setting.service.globals;
    let _storage = setting.active("g1", "127.0.0.1", 1);
    let bind = |user: &str| setting.saddrs(user).map(drop);
    bind("alice").unwrap();
    for hour in 1..=2 {
        assert_eq!(fail(globals, hour), Some(([127, 0, 0, 1], 1).into()));
    }
    let mut reader = setting.connect("192.0.2.9");
    let cluster = reader.call(TrackerRequest::Cluster).unwrap();
    let told = [
        String::from_utf8(cluster).unwrap(),
        setting.saddrs("alice").unwrap_err().message,
        setting.lookup("alice").unwrap_err().message,
    ];
    for text in told {
        assert!(
            text.contains("127.0.0.1:1 cannot be connected to"),
            "{text}"
        );
        for reason in ["refused (", "os error", "111"] {
            assert!(!text.contains(reason), "{text}");
        }
    }
    let shown = StatusView(Arc::clone(globals)).describe();
    let reason = &shown["unreachable"][0]["reason"];
    assert_eq!(reason, "Connection refused (os error 111)");
}

#[test]
fn an_address_in_another_network_is_not_tried_and_that_is_told() {
    let setting = Setting::new();
    let mut stranger = setting.connect("192.0.2.7");
    advertise(&mut stranger, "aa", "10.0.0.9:22");
    let globals = &setting.service.globals;
    assert_eq!(fail(globals, 1), None);
    let mut near = setting.connect("10.0.0.1");
    advertise(&mut near, "bb", "10.0.0.2:1");
    assert_eq!(fail(globals, 1), Some(([10, 0, 0, 2], 1).into()));
    let body = stranger.call(TrackerRequest::Cluster).unwrap();
    let cluster = Cluster::decode(&body).unwrap();
    let storages = cluster.groups.iter().flat_map(|group| &group.storages);
    let storages: Vec<_> = storages
        .map(|s| (s.untried, s.offered, s.notes.len()))
        .collect();
    assert_eq!(storages, [(true, true, 0), (false, true, 0)]);
}
