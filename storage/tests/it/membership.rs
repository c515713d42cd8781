//! Joining, beating and leaving, against a tracker that writes down what it is told.

use daemon::metrics::Metrics;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use base::units::Period;
use crossbeam_channel::{Receiver, Sender, unbounded};
use daemon::status::StatusConfig;
use net::wire::{Caller, Reply, Service, Wire};
use net::{Server, ServerConfig};
use proto::hello::Welcome;
use proto::report::Report;
use proto::tracker::TrackerRequest;
use proto::{ErrorCode, Fault};
use storage::Storage;
use test_support::until;

use super::support::{Node, PATIENCE, code};

struct Diary {
    heard: Sender<TrackerRequest>,
    /// Answers the next beat as a tracker that was started anew.
    forgetful: AtomicBool,
    /// Answers the next request of this kind that it has too much to do.
    busy: Mutex<Option<&'static str>>,
}

impl Service for Diary {
    type Request = TrackerRequest;
    type Session = ();

    fn call(&self, request: TrackerRequest, _: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        let beat = matches!(request, TrackerRequest::Beat(_));
        let kind = kind(&request);
        self.heard.send(request).unwrap();
        if beat && self.forgetful.swap(false, Ordering::Relaxed) {
            return Err(Fault::new(ErrorCode::NotFound, "unknown member"));
        }
        if self
            .busy
            .lock()
            .unwrap()
            .take_if(|busy| *busy == kind)
            .is_some()
        {
            return Err(Fault::new(ErrorCode::Busy, "busy, waited 5s for a worker"));
        }
        let body = if kind == "hello" {
            let cluster = Some("abc".parse().unwrap());
            Welcome { cluster }.encode()
        } else {
            Vec::new()
        };
        Ok(Reply::Body(body))
    }
}

fn tracker(forgetful: bool) -> (Server, Receiver<TrackerRequest>) {
    tracker_that_is(forgetful, None)
}

fn tracker_that_is(
    forgetful: bool,
    busy: Option<&'static str>,
) -> (Server, Receiver<TrackerRequest>) {
    let (heard, diary) = unbounded();
    let service = Diary {
        heard,
        forgetful: AtomicBool::new(forgetful),
        busy: Mutex::new(busy),
    };
    let wire = Wire::new(
        service,
        "tracker",
        Arc::new(Metrics::of_wire::<TrackerRequest>()),
    );
    let addr = ([127, 0, 0, 1], 0).into();
    (
        Server::start("tracker", addr, &ServerConfig::default(), wire).unwrap(),
        diary,
    )
}

fn kind(request: &TrackerRequest) -> &'static str {
    match request {
        TrackerRequest::Join(_) => "join",
        TrackerRequest::Beat(_) => "beat",
        TrackerRequest::Leave(_) => "leave",
        TrackerRequest::Hello(_) => "hello",
        TrackerRequest::Report(..) => "report",
        _ => "other",
    }
}

#[test]
fn every_tracker_is_joined_beaten_and_left() {
    let trackers = [tracker(false), tracker(true)];
    let mut node = Node::start_with(|config| {
        config.trackers = trackers
            .iter()
            .map(|(server, _)| server.addr().into())
            .collect();
    });
    let next = |diary: &Receiver<TrackerRequest>| loop {
        let request = diary.recv_timeout(PATIENCE).unwrap();
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
    for (server, diary) in trackers {
        let last = diary.try_iter().last().unwrap();
        assert_eq!(kind(&last), "leave");
        server.shutdown();
    }
}

#[test]
fn every_beat_comes_with_a_report_of_space_and_counters() {
    let (server, diary) = tracker(false);
    let node = Node::start_with(|config| config.trackers = vec![server.addr().into()]);
    let mut client = node.client();
    client.upload("film", b"content").unwrap();
    client.download("film", 0, 0).unwrap();
    client.size("none").unwrap_err();
    let deadline = std::time::Instant::now() + PATIENCE;
    let report = loop {
        let request = diary.recv_deadline(deadline).unwrap();
        if let TrackerRequest::Report(_, report) = request
            && report.counters.total_stat_count == 1
            && report.space.total > 0
        {
            break *report;
        }
    };
    let counters = report.counters;
    assert_eq!(
        (
            counters.total_upload_count,
            counters.success_upload_count,
            counters.success_upload_bytes,
            counters.success_download_count,
            counters.success_download_bytes,
            counters.success_stat_count,
        ),
        (1, 1, 7, 1, 7, 0)
    );
    assert!((1..=counters.connection_max_count).contains(&counters.connection_current_count));
    assert_eq!(report.paths.len(), 1);
    let path = &report.paths[0];
    assert_eq!(
        (&path.path, &*path.health),
        (&node.config.store_paths[0], "writable")
    );
    assert_eq!(path.space, report.space);
    assert!(report.space.available <= report.space.free && report.uploads);
    drop(node);
    server.shutdown();
}

#[test]
fn a_reload_changes_how_often_it_beats() {
    let (server, diary) = tracker(false);
    let mut node = Node::start_with(|config| {
        config.trackers = vec![server.addr().into()];
        config.beat_interval = Period::from_secs(3600);
    });
    let beat = || {
        while kind(&diary.recv_timeout(PATIENCE).unwrap()) != "beat" {}
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
        let (server, diary) = tracker_that_is(false, Some(busy));
        let node = Node::start_with(|config| config.trackers = vec![server.addr().into()]);
        for _ in 0..2 {
            while kind(&diary.recv_timeout(PATIENCE).unwrap()) != busy {}
        }
        drop(node);
        server.shutdown();
    }
}

#[test]
fn trackers_are_told_the_same_node_id_after_a_restart_and_where_clients_go() {
    let (server, diary) = tracker(false);
    let mut node = Node::start_with(|config| {
        config.trackers = vec![server.addr().into()];
        config.advertise = Some("localhost:4000".parse().unwrap());
    });
    let next_hello = || loop {
        let request = diary.recv_timeout(PATIENCE).unwrap();
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
    let (server, diary) = tracker(true);
    let node = Node::start_with(|config| {
        config.trackers = vec![server.addr().into()];
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
    });
    // It has joined again, and beaten.
    for expected in ["join", "beat", "join", "beat"] {
        while kind(&diary.recv_timeout(PATIENCE).unwrap()) != expected {}
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
    let (server, diary) = tracker(false);
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
        let heard: Vec<_> = diary.try_iter().map(|request| kind(&request)).collect();
        assert!(heard.is_empty(), "{heard:?}");
        is_told
    });
    assert_eq!(diary.try_iter().count(), 0);
    drop(node);
    server.shutdown();
}

#[test]
fn a_storage_that_is_drained_refuses_uploads_and_serves_what_it_has() {
    let mut node = Node::start_with(|config| {
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
    });
    node.client().upload("film", b"content").unwrap();
    node.storage.take().unwrap().shutdown();
    let state = r#"{"node": "a1", "drain": "uploads"}"#;
    std::fs::write(&node.config.state_file, state).unwrap();
    node.storage = Some(Storage::start(node.config.clone()).unwrap());
    let refused = node.client().upload("another", b"content").unwrap_err();
    assert_eq!(refused.code, ErrorCode::ReadOnly, "{refused}");
    assert_eq!(node.client().download("film", 0, 0).unwrap(), b"content");
    let answer = node.ask_status("/healthz");
    let health = answer.text();
    assert_eq!(answer.status, 200, "{health}");
    assert!(health.contains("ok\ndrained of: uploads"), "{health}");
}

#[test]
fn who_is_not_in_allow_hosts_is_refused_until_a_reload_lets_it_in() {
    let mut node = Node::start_with(|config| {
        config.allow_hosts = vec!["10.0.0.0/8".parse().unwrap()];
    });
    let refused = node.client().upload("film", b"content").unwrap_err();
    assert_eq!(refused.code, ErrorCode::Forbidden);
    let config = storage::Config {
        allow_hosts: vec!["127.0.0.1".parse().unwrap()],
        ..node.config.clone()
    };
    node.storage.as_mut().unwrap().reload(&config).unwrap();
    node.client().upload("film", b"content").unwrap();
}

/// The next report that is as it should be.
fn report(diary: &Receiver<TrackerRequest>, is: impl Fn(&Report) -> bool) -> Report {
    let deadline = Instant::now() + PATIENCE * 3;
    let mut last = None;
    loop {
        match diary.recv_deadline(deadline) {
            Ok(TrackerRequest::Report(_, report)) if is(&report) => return *report,
            Ok(TrackerRequest::Report(_, report)) => last = Some(report),
            Ok(_) => {}
            Err(e) => panic!("{e}, last was {last:?}"),
        }
    }
}

#[test]
fn a_storage_without_idservers_says_so_at_once_and_takes_no_uploads_when_no_number_is_left() {
    let (server, diary) = tracker(false);
    let mut node = Node::start_with(|config| config.trackers = vec![server.addr().into()]);
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    let well = |report: &Report| !report.idservers.is_empty();
    let told = report(&diary, well);
    assert_eq!((told.uploads, told.uploads_why.as_str()), (true, ""));
    let address = node.config.idservers[0].to_string();
    assert_eq!(told.idservers[0].address, address);
    assert_eq!(told.idservers[0].why, "");

    node.idserver.take().unwrap().shutdown();
    let told = report(&diary, |report| {
        report
            .idservers
            .iter()
            .any(|idserver| !idserver.why.is_empty())
    });
    // A number is left for each of the next uploads.
    assert!(told.uploads, "{}", told.uploads_why);
    let refused = (1..=100).find_map(|n| client.upload(&format!("b{n}"), b"").err());
    assert_eq!(refused.unwrap().code, ErrorCode::Unavailable);
    let told = report(&diary, |report| !report.uploads);
    assert!(
        told.uploads_why.starts_with("no idserver gives a number: "),
        "{}",
        told.uploads_why
    );
    assert!(told.downloads && told.downloads_why.is_empty());
    server.shutdown();
}

#[test]
fn a_storage_that_was_never_asked_for_a_file_knows_that_no_idserver_answers() {
    let (server, diary) = tracker(false);
    let node = Node::start_with(|config| {
        config.trackers = vec![server.addr().into()];
        config.idservers = vec!["127.0.0.9:1".parse().unwrap()];
    });
    let told = report(&diary, |report| !report.uploads);
    assert!(
        told.uploads_why.contains("127.0.0.9:1"),
        "{}",
        told.uploads_why
    );
    drop(node);
    server.shutdown();
}

#[test]
fn a_storage_whose_database_takes_no_rows_tells_the_trackers_so() {
    let (server, diary) = tracker(false);
    let node = Node::start_with(|config| config.trackers = vec![server.addr().into()]);
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    assert!(report(&diary, |_| true).uploads);
    let database = node.folder.path().join("storage.db");
    let other = rusqlite::Connection::open(&database).unwrap();
    other.execute_batch("begin immediate").unwrap();
    assert_eq!(code(client.upload("b", b"content")), ErrorCode::Unavailable);
    let told = report(&diary, |report| !report.uploads);
    assert!(
        told.uploads_why.starts_with("database unavailable: "),
        "{}",
        told.uploads_why
    );
    assert!(told.downloads, "{}", told.downloads_why);
    other.execute_batch("rollback").unwrap();
    assert_eq!(report(&diary, |report| report.uploads).uploads_why, "");
    drop(node);
    server.shutdown();
}
