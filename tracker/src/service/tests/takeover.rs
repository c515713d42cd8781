//! Requests of strangers about a member that beats.

use proto::Request;

use super::*;

const NODE: &str = "5ec7e75ec7e7";

/// A hello of a node that advertises an address.
fn hello(node: &str, address: Option<&str>) -> TrackerRequest {
    TrackerRequest::Hello(Box::new(Hello {
        node: node.parse().unwrap(),
        advertise: address.map(|address| address.parse().unwrap()),
        address: address.map(|address| address.parse().unwrap()),
        local: None,
        remembers: true,
        cluster: None,
    }))
}

/// A member with a node id that beats.
fn victim(setting: &Setting) -> Connection<'_> {
    let mut victim = setting.connect("10.0.0.1");
    victim.call(hello(NODE, None)).unwrap();
    victim.join("g1", "h", 1).unwrap();
    victim.beat("g1", "h").unwrap();
    victim
}

/// Requests about the victim of a connection that did not join as it.
fn assert_not_obeyed(stranger: &mut Connection<'_>) {
    let report = || TrackerRequest::Report(member("g1", "h"), Box::default());
    for refused in [
        stranger.beat("g1", "h"),
        stranger.call(report()),
        stranger.leave("g1", "h"),
    ] {
        assert_eq!(code(refused), ErrorCode::NotFound);
    }
}

#[test]
fn a_member_that_beats_is_changed_by_its_own_connection_only() {
    let setting = Setting::new();
    let mut victim = victim(&setting);
    for (ip, node, advertised) in [
        // Who learned the node id, at another address and at the same one.
        ("10.0.0.9", Some(NODE), None),
        ("10.0.0.9", Some(NODE), Some("10.0.0.1:1")),
        // Who wants the address.
        ("10.0.0.9", Some("b0b"), Some("10.0.0.1:1")),
        // Another program of the same machine.
        ("10.0.0.1", Some("b0b"), None),
        ("10.0.0.1", None, None),
    ] {
        let mut stranger = setting.connect(ip);
        assert_not_obeyed(&mut stranger);
        if let Some(node) = node {
            stranger.call(hello(node, advertised)).unwrap();
        }
        assert_eq!(code(stranger.join("g1", "h", 1)), ErrorCode::Exists);
        assert_not_obeyed(&mut stranger);
        let listed = [row("10.0.0.1:1", "ACTIVE")];
        assert_eq!(victim.list(), listed, "{ip} {node:?} {advertised:?}");
    }
    victim.beat("g1", "h").unwrap();
    assert_eq!(setting.saddrs("alice").unwrap().1, ["10.0.0.1:1"]);
    let metrics = &setting.service.globals.metrics;
    assert_eq!(metrics.refused_takeovers.get(), 5);
}

#[test]
fn no_peer_and_no_log_is_told_a_node_id() {
    let setting = Setting::new();
    let _victim = victim(&setting);
    let mut stranger = setting.connect("10.0.0.9");
    let bytes = [TrackerRequest::Cluster, TrackerRequest::Groups]
        .map(|request| String::from_utf8_lossy(&stranger.call(request).unwrap()).into_owned());
    stranger.call(hello("b0b", Some("10.0.0.1:1"))).unwrap();
    let refused = stranger.join("g1", "h", 1).unwrap_err().message;
    let request = hello(NODE, None);
    let logged = request.access_fields().file.unwrap_or_default();
    let shown = StatusView(Arc::clone(&setting.service.globals));
    let shown = daemon::status::StatusSource::describe(&shown).to_string();
    let digest = NodeId::new(NODE).unwrap().digest();
    assert!(bytes[0].contains(digest.as_str()), "{}", bytes[0]);
    for text in bytes
        .into_iter()
        .chain([refused, shown, logged.into_owned()])
    {
        assert!(!text.contains(NODE), "{text}");
    }
}
