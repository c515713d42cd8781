//! Joining, beating and leaving, against a tracker that records what it is told.

use base::units::Period;
use crossbeam_channel::Receiver;
use daemon::status::StatusConfig;
use proto::tracker::TrackerRequest;
use test_support::until;

use super::support::{Node, PATIENCE};
use super::tracker::{kind, tracker, tracker_that_is};

#[test]
fn every_tracker_is_joined_beaten_and_left() {
    let trackers = [tracker(false), tracker(true)];
    let mut node = Node::start_with(|config| {
        config.trackers = trackers
            .iter()
            .map(|(server, _)| server.addr().into())
            .collect();
    });
    let next = |requests: &Receiver<TrackerRequest>| loop {
        let request = requests.recv_timeout(PATIENCE).unwrap();
        if !matches!(
            request,
            TrackerRequest::Hello(_) | TrackerRequest::Report(..)
        ) {
            return request;
        }
    };
    let TrackerRequest::Join(join) = next(&trackers[0].1) else {
        panic!("not a join")
    };
    assert_eq!(join.port, node.storage.as_ref().unwrap().addr().port());
    assert_eq!(
        (join.member.group.as_str(), join.member.hostname.as_str()),
        ("group001", "vm")
    );
    let heard: Vec<_> = (0..2).map(|_| kind(&next(&trackers[0].1))).collect();
    assert_eq!(heard, ["beat", "beat"]);
    let heard: Vec<_> = (0..4).map(|_| kind(&next(&trackers[1].1))).collect();
    assert_eq!(heard, ["join", "beat", "join", "beat"]);
    node.storage.take().unwrap().shutdown();
    for (server, requests) in trackers {
        let last = requests.try_iter().last().unwrap();
        assert_eq!(kind(&last), "leave");
        server.shutdown();
    }
}

#[test]
fn a_reload_changes_how_often_it_beats() {
    let (server, requests) = tracker(false);
    let mut node = Node::start_with(|config| {
        config.trackers = vec![server.addr().into()];
        config.beat_interval = Period::from_secs(3600);
    });
    let beat = || {
        while kind(&requests.recv_timeout(PATIENCE).unwrap()) != "beat" {}
    };
    beat();
    node.config.beat_interval = Period::from_millis(50);
    let storage = node.storage.as_mut().unwrap();
    storage.reload(&node.config).unwrap();
    beat();
    beat();
    drop(node);
    server.shutdown();
}

#[test]
fn a_tracker_that_is_busy_is_not_taken_for_one_that_knows_no_hellos_and_reports() {
    for busy in ["hello", "report"] {
        let (server, requests) = tracker_that_is(false, Some(busy));
        let node = Node::start_with(|config| config.trackers = vec![server.addr().into()]);
        for _ in 0..2 {
            while kind(&requests.recv_timeout(PATIENCE).unwrap()) != busy {}
        }
        drop(node);
        server.shutdown();
    }
}

#[test]
fn trackers_are_told_the_same_node_id_after_a_restart_and_where_clients_go() {
    let (server, requests) = tracker(false);
    let mut node = Node::start_with(|config| {
        config.trackers = vec![server.addr().into()];
        config.advertise = Some("localhost:4000".parse().unwrap());
    });
    let next_hello = || loop {
        let request = requests.recv_timeout(PATIENCE).unwrap();
        if let TrackerRequest::Hello(hello) = request {
            return *hello;
        }
    };
    let first = next_hello();
    assert_eq!(first.advertise.as_ref().unwrap().as_str(), "localhost:4000");
    let address = first.address.unwrap();
    assert!(address.ip().is_loopback() && address.port() == 4000);
    assert_eq!(first.local, Some([127, 0, 0, 1].into()));
    // The cluster that the tracker names is remembered, also after a restart.
    assert_eq!((first.remembers, first.cluster), (true, None));
    let named = Some("abc".parse().unwrap());
    assert_eq!(next_hello().cluster, named);
    node.restart();
    let again = next_hello();
    assert_eq!((again.node, again.cluster), (first.node, named));
    drop(node);
    server.shutdown();
}

#[test]
fn that_a_tracker_forgot_this_storage_is_counted() {
    let (server, requests) = tracker(true);
    let node = Node::start_with(|config| {
        config.trackers = vec![server.addr().into()];
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
    });
    // It has joined again, and beaten.
    for expected in ["join", "beat", "join", "beat"] {
        while kind(&requests.recv_timeout(PATIENCE).unwrap()) != expected {}
    }
    let metrics = node.page("/metrics");
    assert!(
        metrics.contains("\ntnv_storage_forgotten_total 1\n"),
        "{metrics}"
    );
    drop(node);
    server.shutdown();
}

#[test]
fn with_an_advertised_name_that_has_no_address_nobody_is_sent_elsewhere() {
    let (server, requests) = tracker(false);
    let node = Node::start_with(|config| {
        config.trackers = vec![server.addr().into()];
        config.advertise = Some("no-such-host.invalid:4000".parse().unwrap());
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
    });
    let why = "cannot resolve no-such-host.invalid:4000";
    let line = format!("tracker {}: {why}", server.addr());
    until("the page tells why", || {
        let is_told = node.page("/healthz").contains(&line);
        // It asked before it gave up: whatever it told is here.
        let heard: Vec<_> = requests.try_iter().map(|request| kind(&request)).collect();
        assert!(heard.is_empty(), "{heard:?}");
        is_told
    });
    assert_eq!(requests.try_iter().count(), 0);
    drop(node);
    server.shutdown();
}
